"""The log's files: the log, its head, and the lock under which one process at a time writes them.

Beside a log `<log>` stand

- `<log>.head`: the last line's place and hash, so that lines missing at the end are noticed. It is written in place:
  512 bytes, one sector, so that it is never half written and needs no room on a full disk;
- `<log>.lock`: held while the log is written;
- `<log>.torn-<time>`: what a crash left of a line, moved out of the log.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from langchain_gptoss.audit.line_format import NOTHING, Entry, Seal, Unreadable, canonical, parse
from langchain_gptoss.errors import StorageError

HEAD_BYTES = 512
_BLOCK = 64 * 1024
_PRIVATE = 0o600


@dataclass(frozen=True)
class Head:
    """What the head file says.

    Attributes:
        log: The log's id.
        seq: The last line's place; -1 before the first line.
        hash: The last line's hash.
        mac: Shows that the holder of the key wrote it; empty without a key.
    """

    log: str
    seq: int
    hash: str
    mac: str

    @classmethod
    def of(cls, seal: Seal, log: str, seq: int, line_hash: str = NOTHING) -> "Head":
        """Returns a head with its code."""
        return cls(log, seq, line_hash, seal.head(log, seq, line_hash))

    def is_by(self, seal: Seal) -> bool:
        """Returns whether the holder of the key wrote it."""
        return self.mac == seal.head(self.log, self.seq, self.hash)

    def written(self) -> bytes:
        """Returns the head file's content."""
        return canonical(self.__dict__).ljust(HEAD_BYTES - 1) + b"\n"


def beside(log: Path, what: str) -> Path:
    """Returns the path of a file that stands beside a log."""
    return log.with_name(f"{log.name}.{what}")


def lock_of(log: Path, *, seconds: float) -> FileLock:
    """Returns the lock under which a log is written; one for all threads of a process."""
    return FileLock(beside(log, "lock"), timeout=seconds, thread_local=False, mode=_PRIVATE)


@contextlib.contextmanager
def still(log: Path, *, seconds: float) -> Iterator[None]:
    """Keeps writers out where there may be any: a copy has none, and one on a read-only disk cannot be locked.

    Raises:
        StorageError: Somebody holds the lock for longer than that.
    """
    with contextlib.ExitStack() as held:
        if beside(log, "lock").exists():
            try:
                held.enter_context(lock_of(log, seconds=seconds))
            except Timeout as error:
                raise StorageError(
                    f"{str(log)!r} has been locked by another process for {seconds:g} s. Try again when it is done."
                ) from error
            except OSError:
                pass
        yield


def read_head(log: Path) -> Head | None:
    """Returns what the head file says; None if there is none.

    Raises:
        Unreadable: It does not hold a head.
        OSError: It cannot be read.
    """
    try:
        content = beside(log, "head").read_bytes()
    except FileNotFoundError:
        return None
    if not content and not (log.exists() and log.stat().st_size):
        return None  # a crash in the moment that the first log was made
    try:
        found = Head(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise Unreadable("the head file does not hold a head") from error
    if type(found.seq) is not int or not all(isinstance(text, str) for text in (found.log, found.hash, found.mac)):
        raise Unreadable("the head file does not hold a head")
    return found


def write_head(log: Path, head: Head) -> None:
    """Writes the head file.

    Raises:
        OSError: It cannot be written.
    """
    fd = os.open(beside(log, "head"), os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), _PRIVATE)
    try:
        write_all(fd, head.written())
    finally:
        os.close(fd)


def write_all(fd: int, data: bytes) -> None:
    """Writes every byte: the system may take fewer at a time.

    Raises:
        OSError: They do not all fit.
    """
    while data:
        data = data[os.write(fd, data) :]


def write_at(log: Path, offset: int, data: bytes, *, keep_rest: bool = False) -> None:
    """Writes lines at the end of a log, all of them or none.

    Args:
        log: The log.
        offset: Where its last whole line ends.
        data: The lines.
        keep_rest: If they cannot be written, leaves what stands after `offset`, which is still to be dealt with.

    Raises:
        OSError: They cannot be written; the log is as long as before.
    """
    fd = os.open(log, os.O_WRONLY | os.O_CREAT | getattr(os, "O_BINARY", 0), _PRIVATE)
    try:
        try:
            os.lseek(fd, offset, os.SEEK_SET)
            write_all(fd, data)
        except OSError:
            if not keep_rest:
                os.ftruncate(fd, offset)
            raise
        if os.fstat(fd).st_size > offset + len(data):
            os.ftruncate(fd, offset + len(data))
    finally:
        os.close(fd)


def synced(path: Path) -> None:
    """Has the disk confirm what was written to a file; a folder too, where the system can.

    Raises:
        OSError: It does not.
    """
    try:
        fd = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:
        if path.is_dir():
            return  # Windows opens no folders
        raise
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def lines_backwards(log: Path, *, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yields a log's lines from the last one on: where each starts, and its bytes.

    The first one yielded is what stands after the last line's end: empty, unless a line was torn.
    """
    with log.open("rb") as stream:
        offset = stream.seek(0, os.SEEK_END) if end is None else end
        rest = b""
        while offset:
            step = min(_BLOCK, offset)
            offset -= step
            stream.seek(offset)
            rest = stream.read(step) + rest
            *whole, rest = reversed(rest.split(b"\n"))
            place = offset + len(rest) + sum(len(line) + 1 for line in whole)
            for line in whole:
                place -= len(line)
                yield place, line
                place -= 1
        yield 0, rest


def entries(log: Path, *, end: int | None = None) -> Iterator[tuple[int, bytes, Entry | None]]:
    """Yields a log's lines: their number from 1, their bytes, and what was read; None for one that cannot be read."""
    read = 0
    with log.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            read += len(line)
            if end is not None and read > end:
                return
            try:
                yield number, line, parse(line[:-1]) if line.endswith(b"\n") else None
            except Unreadable:
                yield number, line, None
