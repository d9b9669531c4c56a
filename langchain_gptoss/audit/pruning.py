"""Pruning: removes old records and records the removal, so that the log can still be verified.

The remaining lines stay as they are, byte for byte. One line, the checkpoint, replaces the removed ones; it contains
the number and the hash of the last of them. An event at the end of the log names the checkpoint by its hash. The new
file replaces the old one in one step.
"""

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_gptoss._io import open_replacement
from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.ledger import Ledger
from langchain_gptoss.audit.line_format import (
    FORMAT,
    ZERO_HASH,
    Entry,
    Hasher,
    build_line,
    format_now,
    format_time,
    load_key,
    to_canonical_json,
)
from langchain_gptoss.audit.verification import count_recorded_problems, verify
from langchain_gptoss.errors import InvalidInputError, StorageError


@dataclass(frozen=True)
class PruneResult:
    """Result of pruning.

    Attributes:
        removed: Number of removed records; 0 if none is old enough.
        kept: Number of lines in the log now.
        through: Number of the last removed record; None if none was removed.
    """

    removed: int
    kept: int
    through: int | None = None


@dataclass(frozen=True)
class _OldLines:
    """The lines to remove.

    Attributes:
        count: Number of lines.
        end: Where they end, in bytes.
        first: The first entry.
        last: The last entry.
    """

    count: int
    end: int
    first: Entry
    last: Entry

    @property
    def has_checkpoint(self) -> bool:
        """True if the log was pruned before."""
        return self.first.record.get("event") == "checkpoint"


def prune(
    path: str | Path,
    *,
    older_than: timedelta,
    key: bytes | Path | None = None,
    reason: str = "retention",
) -> PruneResult:
    """Remove the records before the first one that is not older than an age, and record the removal.

    Writers of the log wait meanwhile: about a second for 100 MB.

    Args:
        path: The log.
        older_than: The age, by the times in the log.
        key: The key of the log, or a file that contains it; None reads the environment variable `GPTOSS_AUDIT_KEY`.
        reason: The reason, for the record.

    Raises:
        InvalidInputError: There is no log, or the age is negative.
        StorageError: The log cannot be verified, so pruning would destroy evidence; or the disk has no space for the
            new file beside the old one.
    """
    log, hasher = Path(path), Hasher(load_key(key))
    if not log.exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}.", hint="Name the file that AuditLog writes.")
    return prune_ledger(Ledger(log, hasher), hasher, older_than=older_than, reason=reason)


def prune_ledger(ledger: Ledger, hasher: Hasher, *, older_than: timedelta, reason: str) -> PruneResult:
    """Prune the log of a ledger; see `prune`."""
    if older_than < timedelta():
        raise InvalidInputError(f"older_than is {older_than}, and an age cannot be negative.")
    oldest_time = format_time(datetime.now(UTC) - older_than)
    try:
        if _find_old_lines(ledger.path, oldest_time) is None:
            return PruneResult(0, _count_lines(ledger.path))
        _check_unaltered(ledger.path, hasher)
        with ledger.lock():
            head = ledger.catch_up()
            old_lines = _find_old_lines(ledger.path, oldest_time)
            assert old_lines is not None
            return _replace_log(ledger.path, hasher, head, old_lines, reason, oldest_time)
    except OSError as error:
        raise StorageError(
            f"The audit log {str(ledger.path)!r} cannot be pruned: {(error.strerror or str(error)).lower()}. It is "
            "unchanged.",
            hint="Free space for a second copy of it, or allow writing in its folder.",
        ) from error


def _check_unaltered(log: Path, hasher: Hasher) -> None:
    problems = verify(log, key=hasher.key).problems
    serious = [problem for problem in problems if problem.kind not in {"recorded", "torn"}]
    if serious:
        raise StorageError(
            f"The audit log {str(log)!r} cannot be verified ({serious[0]}), so pruning it would destroy evidence.",
            hint="Keep the files as evidence, and continue in a new log.",
        )


def _find_old_lines(log: Path, oldest_time: str) -> _OldLines | None:
    """Return the lines before the first one to keep; None if they are only a checkpoint or the first line."""
    count, end, first, last = 0, 0, None, None
    for _, line, entry in files.scan_lines(log):
        # The first line has the time at which the log was created or pruned; the lines after it decide.
        if entry is None or (entry.time >= oldest_time and count):
            break
        count, end, first, last = count + 1, end + len(line), first or entry, entry
    if first is None or last is None or last.time >= oldest_time or count == 1:
        return None
    return _OldLines(count, end, first, last)


def _count_lines(log: Path) -> int:
    return sum(1 for _ in files.scan_lines(log))


def _build_checkpoint(
    log: Path, hasher: Hasher, log_id: str, old_lines: _OldLines, reason: str, oldest_time: str
) -> dict[str, Any]:
    count = old_lines.count
    if old_lines.has_checkpoint:
        count += int(old_lines.first.record.get("count", 0)) - 1
    values = {
        "algorithm": hasher.algorithm,
        "count": count,
        "event": "checkpoint",
        "format": FORMAT,
        "hash": old_lines.last.hash,
        "log": log_id,
        "losses": count_recorded_problems(log, old_lines.count),
        "older_than": oldest_time,
        "reason": reason,
    }
    return values | ({"key_id": hasher.key_id} if hasher.key_id else {})


def _replace_log(
    log: Path, hasher: Hasher, head: Head, old_lines: _OldLines, reason: str, oldest_time: str
) -> PruneResult:
    """Write the new file beside the old one, replace the old one, and write the new head."""
    checkpoint = to_canonical_json(_build_checkpoint(log, hasher, head.log, old_lines, reason, oldest_time))
    time, last_removed = format_now(), old_lines.last
    first_hash, first_line = build_line(hasher, seq=last_removed.seq, time=time, previous=ZERO_HASH, record=checkpoint)
    removed = old_lines.count - old_lines.has_checkpoint
    event = {
        "checkpoint": first_hash,
        "count": removed,
        "event": "pruned",
        "hash": last_removed.hash,
        "older_than": oldest_time,
        "reason": reason,
        "through": last_removed.seq,
    }
    last_hash, last_line = build_line(
        hasher, seq=head.seq + 1, time=time, previous=head.hash, record=to_canonical_json(event)
    )
    with (
        open_replacement(log, mode=log.stat().st_mode & 0o777) as new_log,
        new_log.open("wb") as target,
        log.open("rb") as source,
    ):
        target.write(first_line)
        source.seek(old_lines.end)
        shutil.copyfileobj(source, target, 1 << 20)
        target.write(last_line)
    files.write_head(log, Head.create(hasher, head.log, head.seq + 1, last_hash))
    return PruneResult(removed, _count_lines(log), last_removed.seq)
