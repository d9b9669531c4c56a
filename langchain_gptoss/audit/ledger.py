"""The chain on disk: lines are added under a lock, by several processes, and what a crash left is put right.

A line is written before the head, and only then acknowledged. So after a crash

- a torn last line was acknowledged to nobody: it is moved aside, and an event says so;
- a log that ends before its head has lost lines, and one whose head is missing or differs may have: an event in the
  chain says so for good, so that going on does not wipe out the trace.
"""

import contextlib
import hashlib
import os
import threading
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.line_format import FORMAT, NOTHING, Entry, Seal, Unreadable, canonical, line_of, now, parse
from langchain_gptoss.errors import InvalidInputError, StorageError

LOCK_SECONDS = 5.0
_POLL_SECONDS = 0.001  # an addition takes less; filelock's own pause would delay an answer by fifty times that


@dataclass(frozen=True)
class Written:
    """A line that was added: its place, hash and time."""

    seq: int
    hash: str
    time: str


@dataclass(frozen=True)
class _End:
    """Where the log ends, and by what that is recognised without reading it."""

    head: Head
    size: int
    inode: int


class Ledger:
    """Adds lines to a log.

    Args:
        path: The log.
        seal: How its lines are hashed.
        sync: Whether the disk must confirm each addition.
    """

    def __init__(self, path: Path, seal: Seal, *, sync: bool = False) -> None:
        """Touches nothing yet."""
        self.path = path
        self._seal = seal
        self._sync = sync
        self._end: _End | None = None
        self._made_by = 0
        self._renew()

    def _renew(self) -> None:
        # After a fork the parent's threads, which may have held these, are not there to let go.
        if self._made_by != os.getpid():
            self._made_by = os.getpid()
            self._thread_lock = threading.Lock()
            self._file_lock = files.lock_of(self.path, seconds=LOCK_SECONDS)

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Keeps other threads and processes from writing.

        Raises:
            OSError: The lock cannot be had (`filelock.Timeout` is one too).
        """
        self._renew()
        with self._thread_lock:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._file_lock.acquire(poll_interval=_POLL_SECONDS):
                yield

    def add(self, records: Sequence[bytes]) -> list[Written]:
        """Adds records, all of them or none, after looking what others added; makes or mends the log first.

        Args:
            records: As canonical JSON.

        Raises:
            OSError: They could not be written.
            StorageError: The log's last line is altered.
            InvalidInputError: The log has another key.
        """
        with self.held():
            self._catch_up()
            return self._write(records) if records else []

    def catch_up(self) -> Head:
        """Makes or mends the log, with the lock held by the caller, and returns where it ends."""
        self._catch_up()
        assert self._end is not None
        return self._end.head

    def _catch_up(self) -> None:
        try:
            head: Head | None = files.read_head(self.path)
            odd = None
        except Unreadable as error:
            head, odd = None, str(error)
        if self._end is not None and head == self._end.head and self._on_disk() == (self._end.size, self._end.inode):
            return
        self._end = None  # whatever fails below, the next addition looks again
        if not self.path.exists() or self.path.stat().st_size == 0:
            self._begin(head, odd)
        else:
            self._go_on(head, odd)

    def _on_disk(self) -> tuple[int, int] | None:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return None
        return found.st_size, found.st_ino

    def _begin(self, head: Head | None, odd: str | None) -> None:
        """Writes the first line. The head goes before it, so that a log without a head is known to have lost it."""
        new = head is not None and head.seq == -1
        log = head.log if head is not None and new else uuid.uuid4().hex
        if head is None and odd is None:
            files.write_head(self.path, Head.of(self._seal, log, -1))
        self._end = _End(Head.of(self._seal, log, -1), 0, 0)
        records = [self._created(log)]
        if odd or (head is not None and not new):
            what = odd or "the log was gone, and its head was still there"
            records.append(_mismatch(what, head, seq=-1, line_hash=NOTHING))
        self._write(records)

    def _created(self, log: str) -> bytes:
        values = {"algorithm": self._seal.algorithm, "event": "created", "format": FORMAT, "log": log}
        return canonical(values | ({"key_id": self._seal.key_id} if self._seal.key_id else {}))

    def _go_on(self, head: Head | None, odd: str | None) -> None:
        """Finds where an existing log ends, and records what is wrong with its end."""
        (torn_at, torn), *last = _last_two(self.path)
        if not last:
            self._begin_again(torn, head, odd)
            return
        log = self._log_id()
        entry = self._last_entry(last[0][1])
        self._end = _End(Head.of(self._seal, log, entry.seq, entry.hash), torn_at, self.path.stat().st_ino)
        records = []
        if torn:
            records.append(self._moved_aside(torn))
        if wrong := odd or self._wrong_with(head, log, entry):
            records.append(_mismatch(wrong, head, seq=entry.seq, line_hash=entry.hash))
        if records:
            self._write(records, torn=bool(torn))
        elif head != self._end.head:
            files.write_head(self.path, self._end.head)

    def _begin_again(self, torn: bytes, head: Head | None, odd: str | None) -> None:
        """Deals with a log whose first line has no end: a crash in the moment that it was made, or worse."""
        event = self._moved_aside(torn)
        fresh = head is not None and head.seq == -1
        log = head.log if head is not None and fresh else uuid.uuid4().hex
        self._end = _End(Head.of(self._seal, log, -1), 0, 0)
        records = [self._created(log), event]
        if not fresh:
            what = odd or "the log had no whole line"
            records.append(_mismatch(what, head, seq=-1, line_hash=NOTHING))
        self._write(records, torn=True)

    def _last_entry(self, line: bytes) -> Entry:
        try:
            entry = parse(line)
        except Unreadable:
            entry = None
        if entry is None or self._seal.hash(entry.body) != entry.hash:
            raise StorageError(
                f"The last line of the audit log {str(self.path)!r} is altered, so nothing can be chained to it. "
                "See what `gptoss audit verify` says, keep the files as evidence, and go on in a new log."
            )
        return entry

    def _log_id(self) -> str:
        """Returns the log's id after checking that it has this key."""
        with self.path.open("rb") as stream:
            first = stream.readline()
        try:
            record = parse(first[:-1]).record
            log, algorithm = str(record["log"]), record["algorithm"]
        except (Unreadable, KeyError) as error:
            raise StorageError(
                f"{str(self.path)!r} does not begin as an audit log does. Name another file, or see what "
                "`gptoss audit verify` says."
            ) from error
        if (algorithm, record.get("key_id")) != (self._seal.algorithm, self._seal.key_id):
            was = "without a key" if algorithm == "sha256" else "with a key"
            given = "no key is given" if self._seal.key is None else "the key that is given is not that one"
            raise InvalidInputError(
                f"The audit log {str(self.path)!r} was begun {was}, and {given}. Give what it was begun with, or begin "
                "a new log."
            )
        return log

    def _wrong_with(self, head: Head | None, log: str, last: Entry) -> str:
        """Returns what a head shows to be wrong, or nothing."""
        if head is None:
            return "the head file was gone"
        if head.log != log:
            return "the head file was of another log"
        if not head.is_by(self._seal):
            return "the head file was not written with the key"
        if head.seq > last.seq:
            return "lines were missing at the end"
        if head.seq >= 0 and self._hash_at(head.seq) != head.hash:
            return "the line that the head names was another one"
        return ""

    def _hash_at(self, seq: int) -> str | None:
        """Returns the hash of the line at a place, or through which a first line says that lines were pruned."""
        for _, line in files.lines_backwards(self.path):
            with contextlib.suppress(Unreadable):
                entry = parse(line)
                if entry.seq == seq:
                    pruned = entry.record.get("event") == "checkpoint"
                    return str(entry.record.get("hash")) if pruned else entry.hash
                if entry.seq < seq:
                    return None
        return None

    def _moved_aside(self, torn: bytes) -> bytes:
        """Saves what is left of a torn line, and returns the event that tells of it."""
        place = files.beside(self.path, f"torn-{now().translate(str.maketrans('', '', '-:.'))}")
        fd = os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600)
        try:
            files.write_all(fd, torn)
            os.fsync(fd)
        finally:
            os.close(fd)
        digest = hashlib.sha256(torn).hexdigest()
        return canonical({"bytes": len(torn), "event": "repaired", "moved_to": place.name, "sha256": digest})

    def _write(self, records: Sequence[bytes], *, torn: bool = False) -> list[Written]:
        assert self._end is not None
        head, time = self._end.head, now()
        seq, previous, lines, written = head.seq, head.hash, [], []
        for record in records:
            seq += 1
            previous, line = line_of(self._seal, seq=seq, time=time, previous=previous, record=record)
            lines.append(line)
            written.append(Written(seq, previous, time))
        data, before = b"".join(lines), self._end.size
        self._end, new = None, Head.of(self._seal, head.log, seq, previous)
        files.write_at(self.path, before, data, keep_rest=torn)
        try:
            files.write_head(self.path, new)
            if self._sync:
                self.synced()
        except OSError:
            # Nobody is told of these lines, so they may not stand; what the head says now is put right with them.
            os.truncate(self.path, before)
            files.write_head(self.path, head)
            raise
        self._end = _End(new, before + len(data), self.path.stat().st_ino)
        return written

    def synced(self) -> None:
        """Has the disk confirm what was written.

        Raises:
            OSError: It does not.
        """
        files.synced(self.path)
        files.synced(files.beside(self.path, "head"))


def _last_two(path: Path) -> list[tuple[int, bytes]]:
    """Returns what stands after the last line's end, and that line if there is a whole one."""
    found: list[tuple[int, bytes]] = []
    for place in files.lines_backwards(path):
        found.append(place)
        if len(found) == 2:
            break
    return found


def _mismatch(what: str, head: Head | None, *, seq: int, line_hash: str) -> bytes:
    values: dict[str, Any] = {"event": "mismatch", "ended_at": {"hash": line_hash, "seq": seq}, "what": what}
    if head is not None:
        values["head"] = {"hash": head.hash, "log": head.log, "seq": head.seq}
    return canonical(values)
