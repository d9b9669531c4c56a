"""Verification: reads a log from end to end and lists everything that shows a change."""

import itertools
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.ledger import LOCK_TIMEOUT_S
from langchain_gptoss.audit.line_format import ZERO_HASH, Entry, Hasher, MalformedDataError, load_key
from langchain_gptoss.errors import InvalidInputError

Kind = Literal["altered", "unreadable", "torn", "removed", "order", "replaced", "head", "key", "pruning", "recorded"]
MAX_PROBLEMS = 1000  # a list for a log in which every line is altered would fill the memory
_NOTED_EVENTS = {"gap", "repaired", "pruned"}


@dataclass(frozen=True)
class Problem:
    """Something that shows a change.

    Attributes:
        line: Number of the line in the file, from 1; None if the problem is not in one line.
        kind: `"altered"`: the bytes of a line are not those that were hashed. `"unreadable"`: not a line of a log.
            `"torn"`: a last line without a line end. `"removed"`: lines are missing. `"order"`: a line is in the wrong
            place or occurs twice. `"replaced"`: the line before is another one than when the line was written.
            `"head"`: the head does not match the log. `"key"`: the log is not hashed with the key. `"pruning"`: lines
            were removed without a record of it. `"recorded"`: one of these was found when the log was opened, and
            recorded in it.
        description: Explanation for people.
    """

    line: int | None
    kind: Kind
    description: str

    def __str__(self) -> str:
        place = "" if self.line is None else f"line {self.line}: "
        return f"{place}{self.kind}: {self.description}"


@dataclass(frozen=True)
class Verification:
    """Result of a verification.

    Attributes:
        ok: True if the log is as it was written.
        records: Number of lines.
        problems: The problems, at most the first 1,000.
        notes: Events that the log records about itself: gaps, torn lines that were moved aside, pruning.
        head: Number and hash of the last line as `"SEQ:HASH"`, to be kept elsewhere; empty without a line.
        is_keyed: True if the lines are hashed with a key.
    """

    ok: bool
    records: int
    problems: tuple[Problem, ...] = ()
    notes: tuple[str, ...] = ()
    head: str = ""
    is_keyed: bool = False


def verify(path: str | Path, *, key: bytes | Path | None = None, head: str | None = None) -> Verification:
    """Check every line of a log, the chain of hashes, and the end of the log.

    Args:
        path: The log.
        key: The key of the log, or a file that contains it; None reads the environment variable `GPTOSS_AUDIT_KEY`.
        head: A head that was kept elsewhere, as `"SEQ:HASH"`: the log must still contain that line.

    Raises:
        InvalidInputError: There is no log, it needs a key and none is given, or the head does not have that form.
        StorageError: Another process keeps the log locked.
    """
    log, hasher = Path(path), Hasher(load_key(key))
    kept_head = parse_kept_head(head) if head is not None else None
    if not log.exists() and not files.get_companion_path(log, "head").exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}.", hint="Name the file that AuditLog writes.")
    verifier = _Verifier(hasher)
    with files.lock_out_writers(log, timeout_s=LOCK_TIMEOUT_S):
        size = log.stat().st_size if log.exists() else 0
        try:
            file_head = files.read_head(log)
        except MalformedDataError as error:
            file_head = None
            verifier.add_problem(None, "head", f"{error}; lines missing at the end cannot be detected")
        else:
            if file_head is None:
                verifier.add_problem(None, "head", "the head file is gone; lines missing at the end cannot be detected")
    if file_head is not None:
        verifier.compared_seqs.add(file_head.seq)
    if kept_head is not None:
        verifier.compared_seqs.add(kept_head[0])
    if size and verifier.check_start(log):
        for number, line, entry in files.scan_lines(log, end=size):
            verifier.check_line(number, line, entry)
        verifier.check_pruning()
    _compare_heads(verifier, file_head, kept_head, hasher)
    return verifier.build_result()


def parse_kept_head(head: str) -> tuple[int, str]:
    """Return number and hash of a head that was kept elsewhere.

    Raises:
        InvalidInputError: It is not of the form `"SEQ:HASH"`.
    """
    seq, _, line_hash = head.strip().partition(":")
    if not (seq.isdecimal() and len(line_hash) == 64):
        raise InvalidInputError(
            f"The head {head!r} is not of the form SEQ:HASH.", hint="Give it as `gptoss audit verify` prints it."
        )
    return int(seq), line_hash.lower()


def _compare_heads(
    verifier: "_Verifier", file_head: Head | None, kept_head: tuple[int, str] | None, hasher: Hasher
) -> None:
    if not verifier.can_check_lines:
        return
    if file_head is not None:
        if not file_head.is_signed_by(hasher):
            verifier.add_problem(None, "head", "the head file was not written with the key, or was altered")
        if verifier.log_id is not None and file_head.log != verifier.log_id:
            verifier.add_problem(None, "head", "the head file belongs to another log")
        verifier.compare_head(file_head.seq, file_head.hash, "the head file")
    if kept_head is not None:
        verifier.compare_head(*kept_head, "the head that was kept elsewhere")


@dataclass
class _Verifier:
    """State of a verification while the lines are read.

    Attributes:
        hasher: Computes the hashes of lines.
        compared_seqs: Numbers of the lines that heads name.
        log_id: The id of the log; None before its first line.
        can_check_lines: False if the log has another key.
    """

    hasher: Hasher
    compared_seqs: set[int] = field(default_factory=set)
    log_id: str | None = None
    can_check_lines: bool = True
    _seq: int = -1
    _hash: str | None = ZERO_HASH
    _records: int = 0
    _problems: list[Problem] = field(default_factory=list)
    _notes: list[str] = field(default_factory=list)
    _compared_hashes: dict[int, str] = field(default_factory=dict)
    _checkpoint: Entry | None = None
    _recorded_checkpoint_hash: str | None = None
    _is_keyed: bool = False

    def add_problem(self, line: int | None, kind: Kind, description: str) -> None:
        """Record a problem, unless there are too many."""
        if len(self._problems) < MAX_PROBLEMS:
            self._problems.append(Problem(line, kind, description))

    def check_start(self, log: Path) -> bool:
        """Read id and algorithm from the first line. Return True if the lines can be checked with this key."""
        _, _, first = next(iter(files.scan_lines(log)))
        record = first.record if first else {}
        if first is None or record.get("event") not in {"created", "checkpoint"}:
            self.add_problem(1, "removed", "the log starts neither with its first line nor with a record of pruning")
            self._hash = None
            return True
        self.log_id, self._is_keyed = str(record.get("log")), record.get("algorithm") != "sha256"
        if self._is_keyed and self.hasher.key is None:
            raise InvalidInputError(
                f"The audit log {str(log)!r} is hashed with a key.",
                hint="Give it: --key-file FILE, key=, or GPTOSS_AUDIT_KEY.",
            )
        if record.get("key_id") != self.hasher.key_id or record.get("algorithm") != self.hasher.algorithm:
            reason = "the log is hashed with another key" if self._is_keyed else "the log is hashed without a key"
            self.add_problem(1, "key", f"{reason}; its lines were not checked")
            self.can_check_lines = False
        return self.can_check_lines

    def check_line(self, number: int, line: bytes, entry: Entry | None) -> None:
        """Check a line against those before it."""
        self._records += 1
        if entry is None:
            if line.endswith(b"\n"):
                self.add_problem(number, "unreadable", "not a line of the log")
            else:
                self.add_problem(number, "torn", f"{len(line)} bytes of a line without a line end")
            self._seq, self._hash = self._seq + 1, None
            return
        if self.hasher.hash_line(entry.body) != entry.hash:
            self.add_problem(number, "altered", f"record {entry.seq} is not what was written")
        if number == 1 and entry.record.get("event") == "checkpoint":
            self._start_at_checkpoint(entry)
        elif entry.seq <= self._seq:
            self.add_problem(number, "order", f"record {entry.seq} comes after record {self._seq}: moved or repeated")
            return
        else:
            self._check_order(number, entry)
            self._read_event(number, entry)
        if entry.seq in self.compared_seqs:
            is_checkpoint = entry is self._checkpoint
            self._compared_hashes.setdefault(entry.seq, self._hash if is_checkpoint and self._hash else entry.hash)

    def _check_order(self, number: int, entry: Entry) -> None:
        expected = self._seq + 1
        if entry.seq > expected:
            missing = f"record {expected}" if entry.seq == expected + 1 else f"records {expected} to {entry.seq - 1}"
            self.add_problem(number, "removed", f"{missing}, before this line")
        elif self._hash is not None and entry.previous != self._hash:
            self.add_problem(
                number, "replaced", f"record {entry.seq} was written after another line than the one before it"
            )
        self._seq, self._hash = entry.seq, entry.hash

    def _start_at_checkpoint(self, entry: Entry) -> None:
        """Start with a first line that replaces pruned lines."""
        self._checkpoint = entry
        self._seq, self._hash = entry.seq, str(entry.record.get("hash"))
        if losses := entry.record.get("losses"):
            self._notes.append(f"the pruned lines recorded {losses} earlier problems")

    def _read_event(self, number: int, entry: Entry) -> None:
        record = entry.record
        event = record.get("event")
        if event == "pruned":
            self._recorded_checkpoint_hash = str(record.get("checkpoint"))
        if event == "mismatch":
            self.add_problem(number, "recorded", f"{record.get('what')}, found on {entry.time}")
        elif event in _NOTED_EVENTS:
            self._notes.append(f"line {number}, {entry.time}: {_describe_event(record)}")

    def check_pruning(self) -> None:
        """Compare the first line with the record of the last pruning."""
        checkpoint_hash = self._checkpoint.hash if self._checkpoint else None
        if checkpoint_hash != self._recorded_checkpoint_hash:
            self.add_problem(1, "pruning", "the start of the log is not what the last recorded pruning left")

    def compare_head(self, seq: int, line_hash: str, owner: str) -> None:
        """Check that the log contains the line that a head names.

        Args:
            seq: The number of the line.
            line_hash: Its hash.
            owner: The head, for the description of a problem.
        """
        if seq < 0:
            return
        if seq > self._seq:
            self.add_problem(None, "removed", f"{owner} names record {seq}, and the log ends at {max(self._seq, 0)}")
        elif (present_hash := self._compared_hashes.get(seq)) is None:
            is_pruned = self._checkpoint is not None and seq < self._checkpoint.seq
            reason = "which was pruned; comparing needs a later head" if is_pruned else "which is missing"
            self.add_problem(None, "head" if is_pruned else "removed", f"{owner} names record {seq}, {reason}")
        elif present_hash != line_hash:
            self.add_problem(None, "replaced", f"record {seq} is not the one that {owner} names")

    def build_result(self) -> Verification:
        """Return the result."""
        return Verification(
            ok=not self._problems,
            records=self._records,
            problems=tuple(self._problems),
            notes=tuple(self._notes),
            head=f"{self._seq}:{self._hash}" if self._seq >= 0 and self._hash else "",
            is_keyed=self._is_keyed,
        )


def _describe_event(record: dict[str, object]) -> str:
    match record.get("event"):
        case "gap":
            return f"{record.get('count')} records could not be written since {record.get('since')}"
        case "repaired":
            return f"a torn line of {record.get('bytes')} bytes was moved to {record.get('moved_to')}"
        case _:
            return f"{record.get('count')} records up to {record.get('through')} were pruned ({record.get('reason')})"


def count_recorded_problems(log: Path, lines: int) -> int:
    """Return the number of problems that the first lines of a log record, those in pruned lines included."""
    total = 0
    for _, _, entry in itertools.islice(files.scan_lines(log), lines):
        if entry is not None:
            total += entry.record.get("event") == "mismatch"
            total += int(entry.record.get("losses") or 0) if entry.record.get("event") == "checkpoint" else 0
    return total
