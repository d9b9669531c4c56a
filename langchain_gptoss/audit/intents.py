"""Intents: what is known of answers that callers have begun to read, until their records are in the log.

An answer that is shown piece by piece could be read and never recorded, if the process is killed in between. So an
intent is written before the first piece, and each piece is added before it is shown. After the record is written, its
intent is deleted. Intents that a killed process has left are made into records when the log is opened next.

The folder `<log>.intents` contains

- `<owner>.lock`: locked by an open log for as long as it has intents, so that others leave them alone;
- `<owner>-<number>`: the intent of one answer. Its first line is the record without the answer, and each further line
  adds masked text: `{"keep": number of characters before it, "text": text}`.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from langchain_gptoss._io import PRIVATE_MODE, create_private_folder
from langchain_gptoss.audit import files
from langchain_gptoss.audit.ledger import Ledger
from langchain_gptoss.audit.line_format import to_canonical_json

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_BINARY_FLAG = getattr(os, "O_BINARY", 0)  # Windows only
_MAX_OPEN_CHARS = 2_000  # text before the last so many characters is not masked again
_MIN_OPEN_CHARS = 500

Mask = Callable[[str], str]


class AnswerIntent:
    """The intent of one answer.

    Args:
        path: The file.
        values: The record without the answer, masked.
        mask: Masks the text of the answer.
        sync: True if the disk must confirm each line.
    """

    def __init__(self, path: Path, values: Mapping[str, Any], *, mask: Mask, sync: bool) -> None:
        """Write the first line.

        Raises:
            OSError: It cannot be written.
        """
        self.path, self._mask, self._sync = path, mask, sync
        self._settled_chars = 0  # masked characters before the open text
        self._open_text, self._open_masked = "", ""
        self._lock = threading.Lock()
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | _BINARY_FLAG
        self._descriptor: int | None = os.open(path, flags, PRIVATE_MODE)
        try:
            self._write_line(values)
        except OSError:
            self.discard()
            raise

    def add_text(self, text: str) -> None:
        """Write a piece of the answer, before it is shown.

        Raises:
            OSError: It cannot be written.
        """
        with self._lock:
            if self._descriptor is None:
                return
            self._open_text += text
            masked = self._mask(self._open_text)  # as a whole, because a number may come in several pieces
            kept = _count_common_chars(self._open_masked, masked)
            self._write_line({"keep": self._settled_chars + kept, "text": masked[kept:]})
            self._open_masked = masked
            self._settle_text()

    def close(self) -> None:
        """Close the file and keep it."""
        with self._lock:
            self._close()

    def discard(self) -> None:
        """Delete the file: the record is in the log, or nothing was shown."""
        with self._lock:
            self._close()
            with suppress(OSError):  # what remains is found at the next start, with a record of the same id
                self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write_line(self, values: Mapping[str, Any]) -> None:
        assert self._descriptor is not None
        files.write_all(self._descriptor, to_canonical_json(values) + b"\n")
        if self._sync:
            os.fsync(self._descriptor)

    def _settle_text(self) -> None:
        """Keep the text that is masked again short. It is cut at a space."""
        if len(self._open_text) <= _MAX_OPEN_CHARS:
            return
        end = max(self._open_text.rfind(mark, 0, -_MIN_OPEN_CHARS) for mark in ("\n", ". ", " "))
        if end <= 0:
            return
        self._settled_chars += len(self._mask(self._open_text[:end]))
        self._open_text = self._open_text[end:]
        self._open_masked = self._mask(self._open_text)


class IntentFolder:
    """The intents of one log.

    Args:
        log: The log.
        ledger: Its lock keeps other processes away while owners change.
        sync: True if the disk must confirm each line.
    """

    def __init__(self, log: Path, ledger: Ledger, *, sync: bool) -> None:
        self.path = files.get_companion_path(log, "intents")
        self._ledger, self._sync = ledger, sync
        self._process_id, self._owner = 0, ""
        self._lock_descriptor: int | None = None
        self._lock = threading.Lock()

    def create(self, values: Mapping[str, Any], mask: Mask) -> AnswerIntent:
        """Write the intent of an answer.

        Raises:
            OSError: It cannot be written.
        """
        self._create_owner()
        return AnswerIntent(self.path / f"{self._owner}-{uuid.uuid4().hex}", values, mask=mask, sync=self._sync)

    def take_leftovers(self) -> Iterator[tuple[Path, dict[str, Any] | None]]:
        """Yield the intents of owners that have ended: the file and the record, None if nothing was written to it.

        The caller deletes the files.

        Raises:
            OSError: They cannot be read.
        """
        if not self.path.is_dir():
            return
        with self._ledger.lock():
            owners = {path.name.partition("-")[0].removesuffix(".lock") for path in self.path.iterdir()}
            locks = {owner: _try_lock(self.path / f"{owner}.lock") for owner in sorted(owners - {self._owner})}
        ended = {owner: descriptor for owner, descriptor in locks.items() if descriptor is not None}
        try:
            for owner in ended:
                for path in sorted(self.path.glob(f"{owner}-*")):
                    yield path, read_intent(path)
                if not any(self.path.glob(f"{owner}-*")):
                    (self.path / f"{owner}.lock").unlink()
        finally:
            for descriptor in ended.values():
                os.close(descriptor)
        with suppress(OSError):  # other logs use it
            self.path.rmdir()

    def list_own(self) -> list[Path]:
        """Return the intents of this process and log that are not deleted."""
        return sorted(self.path.glob(f"{self._owner}-*")) if self._owner and self._process_id == os.getpid() else []

    def close(self) -> None:
        """Give up the ownership. Remaining intents are found at the next start."""
        with self._lock:
            if self._lock_descriptor is None or self._process_id != os.getpid():
                return
            os.close(self._lock_descriptor)
            self._lock_descriptor = None
            with suppress(OSError):
                (self.path / f"{self._owner}.lock").unlink()
            self._owner = ""
            with suppress(OSError):
                self.path.rmdir()

    def _create_owner(self) -> None:
        """Lock a file of this process. After a fork, the child becomes an owner of its own."""
        with self._lock:
            if self._process_id == os.getpid() and self._lock_descriptor is not None and self.path.is_dir():
                return
            with self._ledger.lock():
                create_private_folder(self.path)
                owner = uuid.uuid4().hex
                descriptor = _try_lock(self.path / f"{owner}.lock")
            if descriptor is None:
                raise OSError(f"{str(self.path)!r} cannot be locked")
            self._process_id, self._owner, self._lock_descriptor = os.getpid(), owner, descriptor


def read_intent(path: Path) -> dict[str, Any] | None:
    """Return the record in an intent, with the text that was shown; None if its first line is not complete.

    Raises:
        OSError: The file cannot be read.
    """
    values: dict[str, Any] | None = None
    for line in path.read_bytes().split(b"\n"):
        try:
            content = json.loads(line)
            if values is None and (content["event"] != "answer" or not isinstance(content["id"], str)):
                break
            if values is None:
                values = {**content, "answer": ""}
            else:
                values["answer"] = values["answer"][: content["keep"]] + content["text"]
        except (ValueError, TypeError, KeyError):  # the line that was being written
            break
    return values


def _count_common_chars(first: str, second: str) -> int:
    """Return the number of characters with which both texts begin."""
    if second.startswith(first):
        return len(first)
    pairs = enumerate(zip(first, second, strict=False))
    return next((number for number, (one, other) in pairs if one != other), min(len(first), len(second)))


def _try_lock(path: Path) -> int | None:
    """Return the descriptor of a lock file, or None if another descriptor has locked it.

    The lock is not an object that is released when it is collected: a forked child must not release it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | _BINARY_FLAG, PRIVATE_MODE)
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor
