"""`AuditLog`: what is put into it stands in a file, in its place in a chain, when `append` returns."""

import asyncio
import logging
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from langchain_gptoss.audit.ledger import Ledger
from langchain_gptoss.audit.line_format import Seal, canonical, load_key, now
from langchain_gptoss.audit.masking import Masker
from langchain_gptoss.audit.pruning import Pruned, prune_with
from langchain_gptoss.audit.pseudonyms import Pseudonyms
from langchain_gptoss.audit.records import AnswerRecord, new_id
from langchain_gptoss.errors import InvalidInputError, StorageError

logger = logging.getLogger(__name__)

_SYNC_SECONDS = 1.0
# Not masked: they are made by programs, and a placeholder in them would make the record useless.
_KEPT = frozenset(
    {"id", "user", "session", "sha256", "model", "sampling", "prompt_version", "domain", "usage", "timings", "event"}
    | {"labels", "verdict", "source"}
)
_EVENTS = frozenset({"created", "checkpoint", "gap", "mismatch", "pruned", "repaired"})


@dataclass(frozen=True)
class Receipt:
    """Where a record stands.

    Attributes:
        id: The record's id, which `gptoss audit show` finds.
        seq: Its place in the log; None if it was not written.
        hash: Its hash, which covers every record before it too; None if it was not written.
        written: False where the log could not be written and `on_error="continue"` lets the answer go out.
    """

    id: str
    seq: int | None = None
    hash: str | None = None
    written: bool = True


@dataclass
class _Gap:
    count: int = 0
    since: str = ""
    error: str = ""


class AuditLog:
    """An append-only, hash-chained log of answers, in JSON lines.

    Example:
        .. code-block:: python

            with AuditLog("audit.jsonl") as log:
                receipt = log.append(AnswerRecord(question="When?", answer="On Monday.", user="ada"))
            verify("audit.jsonl").ok
            # True

    Several threads and processes may append to the same log.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        key: bytes | Path | None = None,
        mask: bool | Masker | None = True,
        on_error: Literal["stop", "continue"] = "stop",
        sync: Literal["always", "batch", "never"] = "batch",
        pseudonymise: bool = True,
        pseudonym_key: bytes | Path | None = None,
        reasoning: bool = False,
        retention: timedelta | None = None,
    ) -> None:
        """Makes the log, or finds its end; what a crash left is put right and recorded.

        Args:
            path: The file. Its head, lock and pseudonym key stand beside it.
            key: Hashes lines with a key, so that whoever may write the file cannot compute the chain anew: bytes, or a
                file that holds them; else the environment variable `GPTOSS_AUDIT_KEY`. None anywhere: SHA-256.
            mask: True masks personal data (see `Masker`) before anything is hashed or written; a `Masker` of your own;
                None or False writes texts as they are.
            on_error: When a record cannot be written, `"stop"` raises, so that no answer goes out unrecorded;
                `"continue"` returns a receipt that says so, and the log tells of the gap as soon as it can be written.
            sync: Lines are with the operating system when `append` returns, and survive a crash of the process. For a
                crash of the machine, `"always"` has the disk confirm each, `"batch"` within a second, in the background
                and when the log is closed; `"never"` leaves it to the system.
            pseudonymise: False writes the ids of users and sessions as they are.
            pseudonym_key: Of the pseudonyms; else a random one of this log.
            reasoning: Whether the model's reasoning is kept.
            retention: Removes records that are older, when the log is opened and at `prune()`.

        Raises:
            InvalidInputError: An argument that cannot work, or a log that was begun with another key.
            StorageError: The log cannot be written, under `on_error="stop"`, or its last line is altered.
        """
        _check(on_error=on_error, sync=sync)
        self.path = Path(path).absolute()
        self.retention = retention
        self._seal = Seal(load_key(key))
        self._ledger = Ledger(self.path, self._seal, sync=sync == "always")
        self._masker = mask if isinstance(mask, Masker) else Masker() if mask else None
        # Sources are told apart by their names, in which only an address with a password is worth hiding.
        self._secrets = Masker(kinds=("secret", "credentials")) if self._masker else None
        self._pseudonyms = Pseudonyms(self.path, pseudonym_key) if pseudonymise else None
        self._stops, self._reasoning = on_error == "stop", reasoning
        self._gap, self._lock = _Gap(), threading.Lock()
        self._syncer = _Syncer(self._ledger) if sync == "batch" else None
        self._closed = False
        self._open()

    @property
    def gap(self) -> int:
        """How many records could not be written, and are not told of in the log yet."""
        return self._gap.count

    def append(self, record: AnswerRecord | Mapping[str, Any]) -> Receipt:
        """Writes a record.

        Args:
            record: An answer's, or an event of your own: a dict with the key `"event"`.

        Returns:
            Where it stands; `hash` is what to give out with the answer.

        Raises:
            StorageError: It could not be written, under `on_error="stop"`.
            InvalidInputError: It holds what JSON has no form for, or the log is closed.
        """
        if self._closed:
            raise InvalidInputError(f"The audit log {str(self.path)!r} is closed. Open it again to write to it.")
        values = self._values(record)
        record_id = str(values["id"])
        with self._lock:
            try:
                content = canonical(self._masked(self._pseudonymised(values)))
                self._raise_of_sync()
                gap = [canonical(self._told())] if self._gap.count else []
                *_, written = self._ledger.add([*gap, content])
            except (OSError, StorageError) as error:
                return self._failed(record_id, error)
            self._gap = _Gap()
        if self._syncer is not None:
            self._syncer.wake()
        return Receipt(record_id, written.seq, written.hash)

    async def aappend(self, record: AnswerRecord | Mapping[str, Any]) -> Receipt:
        """Does what `append` does, on another thread: waiting for the disk or for another process blocks nobody."""
        return await asyncio.to_thread(self.append, record)

    def prune(self, older_than: timedelta | None = None, *, reason: str = "retention") -> Pruned:
        """Removes old records, and records that; see `langchain_gptoss.audit.pruning`.

        Args:
            older_than: Age; else `retention`.
            reason: Why, for the record.

        Raises:
            InvalidInputError: No age is given, or it is negative.
            StorageError: The log does not verify, or cannot be written anew.
        """
        age = older_than if older_than is not None else self.retention
        if age is None:
            raise InvalidInputError("Say how old: prune(timedelta(days=180)), or AuditLog(..., retention=...).")
        with self._lock:
            return prune_with(self._ledger, self._seal, older_than=age, reason=reason)

    def close(self) -> None:
        """Has the disk confirm what was written, and tells of a gap if that is possible now."""
        if self._closed:
            return
        self._closed = True
        with self._lock:
            try:
                if self._gap.count:
                    self._ledger.add([canonical(self._told())])
                    self._gap = _Gap()
            except (OSError, StorageError) as error:
                logger.warning("%d records are missing from %s, which does not say so: %s", self.gap, self.path, error)
        if self._syncer is not None:
            self._syncer.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def _open(self) -> None:
        try:
            self._ledger.add([])
        except OSError as error:
            if self._stops:
                raise StorageError(self._cannot(error)) from error
            logger.warning("%s", self._cannot(error))
            return
        if self.retention is None:
            return
        try:
            self.prune()
        except StorageError as error:
            if self._stops:
                raise
            logger.warning("%s", error)

    def _values(self, record: AnswerRecord | Mapping[str, Any]) -> dict[str, Any]:
        """Returns what of a record is kept."""
        if isinstance(record, AnswerRecord):
            values = record.model_dump(mode="json")
            if not self._reasoning:
                del values["reasoning"]
            return values | {"event": "answer"}
        values = dict(record)
        if not isinstance(values.get("event"), str) or values["event"] in _EVENTS:
            raise InvalidInputError(
                f"A record that is a dict needs an 'event', a name of your own; {', '.join(sorted(_EVENTS))} are the "
                "log's. For an answer pass AnswerRecord.of(...)."
            )
        return values | {"id": str(values.get("id") or new_id())}

    def _pseudonymised(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._pseudonyms is None:
            return values
        named = {kind: values[kind] for kind in ("user", "session") if values.get(kind) is not None}
        return values | {kind: self._pseudonyms.of(kind, str(name)) for kind, name in named.items()}

    def _masked(self, values: dict[str, Any]) -> dict[str, Any]:
        if self._masker is None or self._secrets is None:
            return values
        seen: dict[tuple[str, str], str] = {}
        masked: dict[str, Any] = self._masker.mask_all(values, keep=_KEPT, seen=seen)
        for part in ("passages", "citations"):
            for each in masked.get(part) or ():
                if isinstance(each, dict) and isinstance(each.get("source"), str):
                    each["source"] = self._secrets.mask(each["source"], seen)
        return masked

    def _raise_of_sync(self) -> None:
        if self._syncer is not None and (error := self._syncer.take_error()) is not None:
            raise error

    def _failed(self, record_id: str, error: OSError | StorageError) -> Receipt:
        message = self._cannot(error) if isinstance(error, OSError) else str(error)
        if self._stops:
            raise StorageError(message) from error
        if not self._gap.count:
            self._gap = _Gap(0, now(), error.strerror or str(error) if isinstance(error, OSError) else str(error))
            logger.warning("%s Answers go on unrecorded.", message)
        self._gap.count += 1
        return Receipt(record_id, written=False)

    def _told(self) -> dict[str, Any]:
        return {"count": self._gap.count, "error": self._gap.error, "event": "gap", "since": self._gap.since}

    def _cannot(self, error: OSError) -> str:
        return (
            f"The audit log {str(self.path)!r} cannot be written: {(error.strerror or str(error)).lower()}. Make room "
            'or allow writing there; on_error="continue" lets answers go out without being recorded.'
        )


def _check(*, on_error: str, sync: str) -> None:
    for name, value, choices in (
        ("on_error", on_error, ("stop", "continue")),
        ("sync", sync, ("always", "batch", "never")),
    ):
        if value not in choices:
            raise InvalidInputError(f"{name} is {value!r}; it must be one of {', '.join(map(repr, choices))}.")


class _Syncer:
    """Has the disk confirm what was written, at most a second later, on a thread that exists while there is work."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self._dirty = False

    def wake(self) -> None:
        """Says that something was written."""
        with self._lock:
            self._dirty = True
            if self._thread is None or not self._thread.is_alive():  # after a fork it is not
                self._thread = threading.Thread(target=self._run, name="gptoss-audit-sync", daemon=True)
                self._thread.start()

    def take_error(self) -> OSError | None:
        """Returns what went wrong since the last call."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Ends the thread after a last confirmation."""
        self._stop.set()
        with self._lock:
            thread = self._thread
        if thread is not None and thread.is_alive():
            thread.join()
        self._sync()

    def _run(self) -> None:
        self._stop.wait(_SYNC_SECONDS)
        with self._lock:
            self._thread = None  # what is written from here on is the next thread's
        self._sync()

    def _sync(self) -> None:
        with self._lock:
            dirty, self._dirty = self._dirty, False
        if not dirty:
            return
        try:
            self._ledger.synced()
        except FileNotFoundError:
            pass  # the log was taken away, which the next line finds out
        except OSError as error:
            self._error = error
            logger.warning("The disk does not confirm the audit log %s: %s", self._ledger.path, error)
