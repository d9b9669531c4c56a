"""Removes old records on purpose, and says so in the log, which stays verifiable.

The lines that are kept stay as they are, byte for byte. The removed ones are replaced by one line, a checkpoint, that
holds the place and the hash of the last of them; an event at the end of the chain names that checkpoint by its hash.
The new file takes the old one's place in one step.
"""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from langchain_gptoss.audit import files
from langchain_gptoss.audit.files import Head
from langchain_gptoss.audit.ledger import Ledger
from langchain_gptoss.audit.line_format import NOTHING, Entry, Seal, canonical, line_of, load_key, now, stamp
from langchain_gptoss.audit.verification import losses_through, verify
from langchain_gptoss.errors import InvalidInputError, StorageError


@dataclass(frozen=True)
class Pruned:
    """What was removed.

    Attributes:
        removed: How many records; 0 if none is that old.
        kept: How many lines the log has now.
        through: The place of the last removed one; None if none was.
    """

    removed: int
    kept: int
    through: int | None = None


@dataclass(frozen=True)
class _Prefix:
    lines: int
    end: int  # bytes
    last: Entry
    first: Entry


def prune(
    path: str | Path,
    *,
    older_than: timedelta,
    key: bytes | Path | None = None,
    reason: str = "retention",
) -> Pruned:
    """Removes the records before the first that is not older, and records the act.

    Whoever writes the log waits meanwhile: about a second for 100 MB.

    Args:
        path: The log.
        older_than: Age, by the times in the log.
        key: The key it was begun with, or a file that holds it; else the environment variable `GPTOSS_AUDIT_KEY`.
        reason: Why, for the record.

    Raises:
        InvalidInputError: There is no log, or the age is negative.
        StorageError: The log does not verify, so that pruning would wipe out traces; or the disk cannot hold the new
            file beside the old one.
    """
    log, seal = Path(path), Seal(load_key(key))
    if not log.exists():
        raise InvalidInputError(f"There is no audit log at {str(log)!r}. Name the file that AuditLog writes.")
    return prune_with(Ledger(log, seal), seal, older_than=older_than, reason=reason)


def prune_with(ledger: Ledger, seal: Seal, *, older_than: timedelta, reason: str) -> Pruned:
    """See `prune`; `ledger` is that of the process's own writer."""
    if older_than < timedelta():
        raise InvalidInputError(f"older_than is {older_than}; an age is not negative.")
    oldest = stamp(datetime.now(UTC) - older_than)
    try:
        if _prefix(ledger.path, oldest) is None:
            return Pruned(0, _count(ledger.path))
        _refuse_altered(ledger.path, seal)
        with ledger.held():
            head = ledger.catch_up()
            prefix = _prefix(ledger.path, oldest)
            assert prefix is not None
            return _replace(ledger.path, seal, head, prefix, reason, oldest)
    except OSError as error:
        raise StorageError(
            f"The audit log {str(ledger.path)!r} could not be pruned: {(error.strerror or str(error)).lower()}. "
            "It is as it was. Make room for a second copy of it, or allow writing in its folder."
        ) from error


def _refuse_altered(log: Path, seal: Seal) -> None:
    found = verify(log, key=seal.key)
    wrong = [problem for problem in found.problems if problem.kind not in {"recorded", "torn"}]
    if wrong:
        raise StorageError(
            f"The audit log {str(log)!r} does not verify ({wrong[0]}), and pruning it would wipe out traces. Keep the "
            "files as evidence, and go on in a new log."
        )


def _prefix(log: Path, oldest: str) -> _Prefix | None:
    """Returns the records before the first that is not older; a checkpoint alone is not worth replacing."""
    lines, end, first, last = 0, 0, None, None
    for _, line, entry in files.entries(log):
        # The first line has the time of the log's making, or of the last pruning; what follows decides.
        if entry is None or (entry.time >= oldest and lines):
            break
        lines, end, first, last = lines + 1, end + len(line), first or entry, entry
    if first is None or last is None or last.time >= oldest:
        return None
    return None if lines == 1 else _Prefix(lines, end, last, first)


def _count(log: Path) -> int:
    return sum(1 for _ in files.entries(log))


def _checkpoint(log: Path, seal: Seal, head: Head, prefix: _Prefix, reason: str, oldest: str) -> dict[str, Any]:
    before = prefix.first.record if prefix.first.record.get("event") == "checkpoint" else {}
    values = {
        "algorithm": seal.algorithm,
        "count": prefix.lines - bool(before) + int(before.get("count", 0)),
        "event": "checkpoint",
        "format": 1,
        "hash": prefix.last.hash,
        "log": head.log,
        "losses": losses_through(log, prefix.lines),
        "older_than": oldest,
        "reason": reason,
    }
    return values | ({"key_id": seal.key_id} if seal.key_id else {})


def _replace(log: Path, seal: Seal, head: Head, prefix: _Prefix, reason: str, oldest: str) -> Pruned:
    """Writes the new file beside the old one, puts it in its place, and then the new head."""
    values = _checkpoint(log, seal, head, prefix, reason, oldest)
    time = now()
    first_hash, first = line_of(seal, seq=prefix.last.seq, time=time, previous=NOTHING, record=canonical(values))
    removed = prefix.lines - (prefix.first.record.get("event") == "checkpoint")
    act = {
        "checkpoint": first_hash,
        "count": removed,
        "event": "pruned",
        "hash": prefix.last.hash,
        "older_than": oldest,
        "reason": reason,
        "through": prefix.last.seq,
    }
    last_hash, last = line_of(seal, seq=head.seq + 1, time=time, previous=head.hash, record=canonical(act))
    with _beside(log) as fd:
        files.write_all(fd, first)
        with log.open("rb") as stream:
            stream.seek(prefix.end)
            while block := stream.read(1 << 20):
                files.write_all(fd, block)
        files.write_all(fd, last)
    files.write_head(log, Head.of(seal, head.log, head.seq + 1, last_hash))
    files.synced(log.parent)
    return Pruned(removed, _count(log), prefix.last.seq)


@contextlib.contextmanager
def _beside(log: Path) -> Iterator[int]:
    """Yields an open file that takes the log's place when the block ends well, and is gone when it does not."""
    fd, name = tempfile.mkstemp(prefix=f".{log.name}.pruned-", dir=log.parent)
    try:
        try:
            yield fd
            os.fsync(fd)
        finally:
            os.close(fd)
        os.chmod(name, log.stat().st_mode & 0o777)
        os.replace(name, log)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
