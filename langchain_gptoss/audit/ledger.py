"""Adding lines to a log under a lock, from several threads and processes, and repair after a crash.

A line is written before the head, and the caller gets its receipt only after both. So after a crash

- an incomplete last line has no receipt: it is moved to another file, and an event records this;
- a log that ends before its head has lost lines, and one whose head is missing or differs may have lost some: an event
  in the log records it permanently, so that new lines do not hide it.
"""

import contextlib
import hashlib
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from langchain_gptoss._io import PRIVATE_MODE, create_private_folder, sync_to_disk
from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.line_format import (
    FORMAT,
    ZERO_HASH,
    Entry,
    Hasher,
    MalformedDataError,
    build_line,
    format_now,
    parse_line,
    to_canonical_json,
)
from langchain_gptoss.errors import InvalidInputError, StorageError

LOCK_TIMEOUT_S = 5.0
POLL_INTERVAL_S = 0.001  # an addition takes less; the default of filelock would delay an answer fifty times longer


@dataclass(frozen=True)
class AddedLine:
    """A line that was added: its number, hash and time."""

    seq: int
    hash: str
    time: str


@dataclass(frozen=True)
class _LogEnd:
    """The end of the log, and the size and inode by which an unchanged log is recognized without reading it."""

    head: Head
    size: int
    inode: int


class Ledger:
    """Adds lines to a log.

    Args:
        path: The log.
        hasher: Hashes its lines.
        sync: True if the disk must confirm each addition.
    """

    def __init__(self, path: Path, hasher: Hasher, *, sync: bool = False) -> None:
        """Initialize without touching the file."""
        self.path = path
        self._hasher = hasher
        self._sync = sync
        self._end: _LogEnd | None = None
        self._process_id = 0
        self._create_locks()

    def _create_locks(self) -> None:
        # After a fork, the parent's threads are gone, and locks that they held would never be released.
        if self._process_id != os.getpid():
            self._process_id = os.getpid()
            self._thread_lock = threading.Lock()
            self._file_lock = files.create_lock(self.path, timeout_s=LOCK_TIMEOUT_S)

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other threads and processes from writing during the block.

        Raises:
            OSError: The lock cannot be acquired (`filelock.Timeout` is an OSError too).
        """
        self._create_locks()
        with self._thread_lock:
            create_private_folder(self.path.parent)
            with self._file_lock.acquire(poll_interval=POLL_INTERVAL_S):
                yield

    def add(self, records: Sequence[bytes]) -> list[AddedLine]:
        """Add records, all of them or none. Creates or repairs the log first, and reads what others have added.

        Args:
            records: The records as canonical JSON.

        Raises:
            OSError: They cannot be written.
            StorageError: The last line of the log is altered.
            InvalidInputError: The log has another key.
        """
        with self.lock():
            self.catch_up()
            return self._write(records) if records else []

    def catch_up(self) -> Head:
        """Create or repair the log, and return its head. The caller holds the lock.

        Raises:
            OSError: The files cannot be read or written.
            StorageError: The last line of the log is altered.
            InvalidInputError: The log has another key.
        """
        self._refresh_end()
        assert self._end is not None
        return self._end.head

    def _refresh_end(self) -> None:
        try:
            head: Head | None = files.read_head(self.path)
            head_error = None
        except MalformedDataError as error:
            head, head_error = None, str(error)
        end = self._end
        if end is not None and head == end.head and self._read_size_and_inode() == (end.size, end.inode):
            return
        self._end = None  # if anything below fails, the next addition starts again
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._start_log(head, head_error)
        else:
            self._continue_log(head, head_error)

    def _read_size_and_inode(self) -> tuple[int, int] | None:
        try:
            status = self.path.stat()
        except FileNotFoundError:
            return None
        return status.st_size, status.st_ino

    def _start_log(self, head: Head | None, head_error: str | None) -> None:
        """Write the first line.

        The head is written before it, so that a log without a head file must have lost it.
        """
        is_new = head is not None and head.seq == -1
        log_id = head.log if head is not None and is_new else uuid.uuid4().hex
        if head is None and head_error is None:
            files.write_head(self.path, Head.create(self._hasher, log_id, -1))
        self._end = _LogEnd(Head.create(self._hasher, log_id, -1), 0, 0)
        records = [self._build_first_record(log_id)]
        if head_error or (head is not None and not is_new):
            problem = head_error or "the log was gone, and its head was still there"
            records.append(_build_mismatch(problem, head, seq=-1, line_hash=ZERO_HASH))
        self._write(records)

    def _build_first_record(self, log_id: str) -> bytes:
        values = {"algorithm": self._hasher.algorithm, "event": "created", "format": FORMAT, "log": log_id}
        return to_canonical_json(values | ({"key_id": self._hasher.key_id} if self._hasher.key_id else {}))

    def _continue_log(self, head: Head | None, head_error: str | None) -> None:
        """Find the end of an existing log, and record problems with it."""
        # The rest after the last line end, and the last complete line if there is one.
        (rest_offset, rest), *last_lines = islice(files.read_lines_backwards(self.path), 2)
        if not last_lines:
            self._restart_log(rest, head, head_error)
            return
        log_id = self._read_log_id()
        entry = self._parse_last_line(last_lines[0][1])
        log_head = Head.create(self._hasher, log_id, entry.seq, entry.hash)
        self._end = _LogEnd(log_head, rest_offset, self.path.stat().st_ino)
        records = []
        if rest:
            records.append(self._move_aside(rest))
        if problem := head_error or self._find_head_problem(head, log_id, entry):
            records.append(_build_mismatch(problem, head, seq=entry.seq, line_hash=entry.hash))
        if records:
            self._write(records, keep_rest=bool(rest))
        elif head != log_head:
            files.write_head(self.path, log_head)

    def _restart_log(self, rest: bytes, head: Head | None, head_error: str | None) -> None:
        """Repair a log whose first line is torn: after a crash during its creation, or after other damage."""
        repair = self._move_aside(rest)
        is_new = head is not None and head.seq == -1
        log_id = head.log if head is not None and is_new else uuid.uuid4().hex
        self._end = _LogEnd(Head.create(self._hasher, log_id, -1), 0, 0)
        records = [self._build_first_record(log_id), repair]
        if not is_new:
            problem = head_error or "the log had no complete line"
            records.append(_build_mismatch(problem, head, seq=-1, line_hash=ZERO_HASH))
        self._write(records, keep_rest=True)

    def _parse_last_line(self, line: bytes) -> Entry:
        try:
            entry = parse_line(line)
        except MalformedDataError:
            entry = None
        if entry is None or self._hasher.hash_line(entry.body) != entry.hash:
            raise StorageError(
                f"The last line of the audit log {str(self.path)!r} is altered, so no line can be chained to it.",
                hint="Run `gptoss audit verify`, keep the files as evidence, and continue in a new log.",
            )
        return entry

    def _read_log_id(self) -> str:
        """Return the id of the log, after a check that it has the key of this ledger."""
        with self.path.open("rb") as stream:
            first = stream.readline()
        try:
            record = parse_line(first[:-1]).record
            log_id, algorithm = str(record["log"]), record["algorithm"]
        except (MalformedDataError, KeyError) as error:
            raise StorageError(
                f"{str(self.path)!r} does not start like an audit log.",
                hint="Name another file, or run `gptoss audit verify`.",
            ) from error
        if (algorithm, record.get("key_id")) != (self._hasher.algorithm, self._hasher.key_id):
            start = "without a key" if algorithm == "sha256" else "with a key"
            given = "no key is given" if self._hasher.key is None else "the given key is another one"
            raise InvalidInputError(
                f"The audit log {str(self.path)!r} was started {start}, and {given}.",
                hint="Give the key of the log, or start a new log.",
            )
        return log_id

    def _find_head_problem(self, head: Head | None, log_id: str, last: Entry) -> str:
        """Return the difference between a head and the log, or an empty string."""
        if head is None:
            return "the head file was gone"
        if head.log != log_id:
            return "the head file belonged to another log"
        if not head.is_signed_by(self._hasher):
            return "the head file was not written with the key"
        if head.seq > last.seq:
            return "lines were missing at the end"
        if head.seq >= 0 and self._read_hash(head.seq) != head.hash:
            return "the line named by the head had another hash"
        return ""

    def _read_hash(self, seq: int) -> str | None:
        """Return the hash of the line with a number. If that was pruned last, the checkpoint holds its hash."""
        for _, line in files.read_lines_backwards(self.path):
            with contextlib.suppress(MalformedDataError):
                entry = parse_line(line)
                if entry.seq == seq:
                    is_checkpoint = entry.record.get("event") == "checkpoint"
                    return str(entry.record.get("hash")) if is_checkpoint else entry.hash
                if entry.seq < seq:
                    return None
        return None

    def _move_aside(self, rest: bytes) -> bytes:
        """Save the rest of a torn line in a file of its own, and return the event that records it."""
        path = files.get_companion_path(self.path, f"torn-{format_now().translate(str.maketrans('', '', '-:.'))}")
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), PRIVATE_MODE)
        try:
            files.write_all(descriptor, rest)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        digest = hashlib.sha256(rest).hexdigest()
        return to_canonical_json({"bytes": len(rest), "event": "repaired", "moved_to": path.name, "sha256": digest})

    def _write(self, records: Sequence[bytes], *, keep_rest: bool = False) -> list[AddedLine]:
        """Write lines and the new head. The caller holds the lock."""
        assert self._end is not None
        head, time = self._end.head, format_now()
        seq, previous, lines, added = head.seq, head.hash, [], []
        for record in records:
            seq += 1
            previous, line = build_line(self._hasher, seq=seq, time=time, previous=previous, record=record)
            lines.append(line)
            added.append(AddedLine(seq, previous, time))
        data, old_size = b"".join(lines), self._end.size
        self._end, new_head = None, Head.create(self._hasher, head.log, seq, previous)
        files.write_lines(self.path, old_size, data, keep_rest=keep_rest)
        try:
            files.write_head(self.path, new_head)
            if self._sync:
                self.sync()
        except OSError:
            # The caller gets no receipt for these lines, so they are removed and the old head is restored.
            os.truncate(self.path, old_size)
            files.write_head(self.path, head)
            raise
        self._end = _LogEnd(new_head, old_size + len(data), self.path.stat().st_ino)
        return added

    def sync(self) -> None:
        """Wait until the disk has confirmed the log and its head.

        Raises:
            OSError: The disk reports an error.
        """
        sync_to_disk(self.path)
        sync_to_disk(files.get_companion_path(self.path, "head"))


def _build_mismatch(problem: str, head: Head | None, *, seq: int, line_hash: str) -> bytes:
    """Return the event that records a head that does not match the log."""
    values: dict[str, Any] = {"event": "mismatch", "ended_at": {"hash": line_hash, "seq": seq}, "what": problem}
    if head is not None:
        values["head"] = {"hash": head.hash, "log": head.log, "seq": head.seq}
    return to_canonical_json(values)
