"""Reads a log from end to end and lists whatever shows that it is not as it was written."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.ledger import LOCK_SECONDS
from langchain_gptoss.audit.line_format import NOTHING, Entry, Seal, Unreadable, load_key
from langchain_gptoss.errors import InvalidInputError

Kind = Literal["altered", "unreadable", "torn", "removed", "order", "replaced", "head", "key", "pruning", "recorded"]
_MOST = 1000  # problems that are listed; a log of which every line is altered would fill the memory
_NOTES = {"gap", "repaired", "pruned"}


@dataclass(frozen=True)
class Problem:
    """Something that shows a change.

    Attributes:
        line: The line's number in the file, from 1; None for what is not about one line.
        kind: `"altered"`: a line's bytes are not those that were hashed. `"unreadable"`: no line of a log. `"torn"`:
            a last line without its end. `"removed"`: lines are missing. `"order"`: a line stands where it was not
            written, or twice. `"replaced"`: a line follows another one than it was written after. `"head"`: the head
            does not fit the log. `"key"`: the log is not hashed with the key. `"pruning"`: lines were removed without
            the act being recorded. `"recorded"`: one of these was found when the log was opened, and said in it.
        what: What was found, for people.
    """

    line: int | None
    kind: Kind
    what: str

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.kind}: {self.what}"


@dataclass(frozen=True)
class Verification:
    """What reading a log showed.

    Attributes:
        ok: Whether it is as it was written.
        records: Lines read.
        problems: What is wrong, at most the first 1,000.
        notes: What the log tells of itself: gaps, torn lines that were moved aside, pruning.
        head: The last line's place and hash, as `"SEQ:HASH"`, to be kept elsewhere; empty without a line.
        keyed: Whether the lines are hashed with a key.
    """

    ok: bool
    records: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    head: str = ""
    keyed: bool = False


def verify(path: str | Path, *, key: bytes | Path | None = None, head: str | None = None) -> Verification:
    """Checks every line of a log, their chain, and its end.

    Args:
        path: The log.
        key: The key it was begun with, or a file that holds it; else the environment variable `GPTOSS_AUDIT_KEY`.
        head: A head that was kept elsewhere, as `"SEQ:HASH"`: the log must still hold that line.

    Raises:
        InvalidInputError: There is no log, it needs a key and none is given, or the head is not of that form.
        StorageError: Another process keeps the log locked.
    """
    log, seal = Path(path), Seal(load_key(key))
    kept = read_kept_head(head) if head is not None else None
    if not log.exists() and not files.beside(log, "head").exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}. Name the file that AuditLog writes.")
    found = _Walk(seal)
    with files.still(log, seconds=LOCK_SECONDS):
        size = log.stat().st_size if log.exists() else 0
        try:
            stated = files.read_head(log)
        except Unreadable as error:
            stated = None
            found.problem(None, "head", f"{error}: what is missing at the end cannot be seen")
        else:
            if stated is None:
                found.problem(None, "head", "the head file is gone: what is missing at the end cannot be seen")
    found.wanted = {each.seq for each in (stated,) if each} | ({kept[0]} if kept else set())
    if size and found.begins(log):
        for number, line, entry in files.entries(log, end=size):
            found.line(number, line, entry)
        found.close()
    _compare_heads(found, stated, kept, seal)
    return found.result()


def read_kept_head(head: str) -> tuple[int, str]:
    """Reads a head that was kept elsewhere.

    Raises:
        InvalidInputError: It is not `"SEQ:HASH"`.
    """
    seq, _, line_hash = head.strip().partition(":")
    if not (seq.isdecimal() and len(line_hash) == 64):
        raise InvalidInputError(f"The head {head!r} is not of the form SEQ:HASH, as `gptoss audit verify` prints it.")
    return int(seq), line_hash.lower()


def _compare_heads(found: "_Walk", stated: Head | None, kept: tuple[int, str] | None, seal: Seal) -> None:
    if found.unchecked:
        return
    if stated is not None:
        if not stated.is_by(seal):
            found.problem(None, "head", "the head file was not written with the key, or was altered")
        if found.log is not None and stated.log != found.log:
            found.problem(None, "head", "the head file is that of another log")
        found.compare(stated.seq, stated.hash, "the head file")
    if kept is not None:
        found.compare(*kept, "the head that was kept elsewhere")


@dataclass
class _Walk:
    """What has been seen so far of a log."""

    seal: Seal
    wanted: set[int] = field(default_factory=set)
    log: str | None = None
    unchecked: bool = False
    _seq: int = -1
    _hash: str | None = NOTHING
    _records: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _hashes: dict[int, str] = field(default_factory=dict)
    _checkpoint: Entry | None = None
    _pruned_by: str | None = None
    _keyed: bool = False

    def problem(self, line: int | None, kind: Kind, what: str) -> None:
        if len(self._problems) < _MOST:
            self._problems.append(Problem(line, kind, what))

    def begins(self, log: Path) -> bool:
        """Reads the first line's account of the log; returns whether the lines can be checked with this key."""
        _, _, first = next(iter(files.entries(log)))
        record = first.record if first else {}
        if first is None or record.get("event") not in {"created", "checkpoint"}:
            self.problem(1, "removed", "the log does not begin with its first line, nor with a record of pruning")
            self._hash = None
            return True
        self.log, self._keyed = str(record.get("log")), record.get("algorithm") != "sha256"
        if self._keyed and self.seal.key is None:
            raise InvalidInputError(
                f"The audit log {str(log)!r} is hashed with a key. Give it: --key-file FILE, key=, or GPTOSS_AUDIT_KEY."
            )
        if record.get("key_id") != self.seal.key_id or record.get("algorithm") != self.seal.algorithm:
            what = "the log is hashed with another key" if self._keyed else "a key is given, and the log is without one"
            self.problem(1, "key", f"{what}; its lines were not checked")
            self.unchecked = True
            return False
        return True

    def line(self, number: int, line: bytes, entry: Entry | None) -> None:
        """Checks a line against those before it."""
        self._records += 1
        if entry is None:
            kind: Kind = "unreadable" if line.endswith(b"\n") else "torn"
            left = "not a line of the log" if line.endswith(b"\n") else f"{len(line)} bytes of a line without its end"
            self.problem(number, kind, left)
            self._seq, self._hash = self._seq + 1, None
            return
        if self.seal.hash(entry.body) != entry.hash:
            self.problem(number, "altered", f"record {entry.seq} is not what was written")
        if number == 1 and entry.record.get("event") == "checkpoint":
            self._begin_after(entry)
        elif entry.seq <= self._seq:
            self.problem(number, "order", f"record {entry.seq} stands after record {self._seq}: moved, or repeated")
            return
        elif self._follows(number, entry):
            self._tell(number, entry)
        if entry.seq in self.wanted:
            self._hashes.setdefault(entry.seq, self._hash if entry is self._checkpoint and self._hash else entry.hash)

    def _follows(self, number: int, entry: Entry) -> bool:
        expected = self._seq + 1
        if entry.seq > expected:
            gone = f"record {expected}" if entry.seq == expected + 1 else f"records {expected} to {entry.seq - 1}"
            self.problem(number, "removed", f"{gone}, before this line")
        elif self._hash is not None and entry.previous != self._hash:
            self.problem(number, "replaced", f"record {entry.seq} was written after another line than the one before")
        self._seq, self._hash = entry.seq, entry.hash
        return True

    def _begin_after(self, entry: Entry) -> None:
        """Takes a first line that says what was pruned before it."""
        self._checkpoint = entry
        self._seq, self._hash = entry.seq, str(entry.record.get("hash"))
        if losses := entry.record.get("losses"):
            self._notes.append(f"{losses} earlier findings were recorded in what was pruned")

    def _tell(self, number: int, entry: Entry) -> None:
        record = entry.record
        event = record.get("event")
        if event == "pruned":
            self._pruned_by = str(record.get("checkpoint"))
        if event == "mismatch":
            self.problem(number, "recorded", f"{record.get('what')}, found on {entry.time}")
        elif event in _NOTES:
            self._notes.append(f"line {number}, {entry.time}: {_told(record)}")

    def close(self) -> None:
        """Compares the first line with the record of the act that put it there."""
        stands = self._checkpoint.hash if self._checkpoint else None
        if stands != self._pruned_by:
            self.problem(1, "pruning", "the beginning of the log is not what the last recorded pruning left")

    def compare(self, seq: int, line_hash: str, whose: str) -> None:
        """Checks that the log holds the line that a head names."""
        if seq < 0:
            return
        if seq > self._seq:
            self.problem(None, "removed", f"{whose} names record {seq}, and the log ends at {max(self._seq, 0)}")
        elif (here := self._hashes.get(seq)) is None:
            pruned = self._checkpoint is not None and seq < self._checkpoint.seq
            what = "which was pruned: a later head is needed to compare" if pruned else "which is not there"
            self.problem(None, "head" if pruned else "removed", f"{whose} names record {seq}, {what}")
        elif here != line_hash:
            self.problem(None, "replaced", f"record {seq} is not the one that {whose} names")

    def result(self) -> Verification:
        """Returns what was found."""
        return Verification(
            ok=not self._problems,
            records=self._records,
            problems=tuple(self._problems),
            notes=tuple(self._notes),
            head=f"{self._seq}:{self._hash}" if self._seq >= 0 and self._hash else "",
            keyed=self._keyed,
        )


def _told(record: dict[str, object]) -> str:
    match record.get("event"):
        case "gap":
            return f"{record.get('count')} records could not be written since {record.get('since')}"
        case "repaired":
            return f"a torn line of {record.get('bytes')} bytes was moved to {record.get('moved_to')}"
        case _:
            return f"{record.get('count')} records up to {record.get('through')} were pruned ({record.get('reason')})"


def losses_through(log: Path, lines: int) -> int:
    """Returns how many findings the first lines of a log record, pruned ones included."""
    total = 0
    for _, _, entry in itertools.islice(files.entries(log), lines):
        if entry is not None:
            total += entry.record.get("event") == "mismatch"
            total += int(entry.record.get("losses") or 0) if entry.record.get("event") == "checkpoint" else 0
    return total


def read_entries(path: str | Path) -> Iterator[Entry]:
    """Yields what a log holds, from its first line on, without checking it.

    Raises:
        InvalidInputError: There is no log.
    """
    log = Path(path)
    if not log.exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}. Name the file that AuditLog writes.")
    yield from (entry for _, _, entry in files.entries(log) if entry is not None)
