"""The files of a log: the log itself, its head, and the lock under which one process at a time writes them.

Beside a log `<log>` there are

- `<log>.head`: number and hash of the last line, so that lines missing at the end are detected. It is overwritten in
  place: its 512 bytes are one sector, so it is never half written and needs no space on a full disk;
- `<log>.lock`: locked while the log is written;
- `<log>.torn-<time>`: the rest of a line that a crash cut off, moved out of the log.
"""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock, Timeout

from langchain_gptoss._io import PRIVATE_MODE
from langchain_gptoss.audit.line_format import (
    ZERO_HASH,
    Entry,
    Hasher,
    MalformedDataError,
    parse_line,
    to_canonical_json,
)
from langchain_gptoss.errors import StorageError

HEAD_BYTES = 512
BLOCK_BYTES = 64 * 1024
_BINARY_FLAG = getattr(os, "O_BINARY", 0)  # Windows only


@dataclass(frozen=True)
class Head:
    """Content of the head file.

    Attributes:
        log: The id of the log.
        seq: The number of the last line; -1 before the first line.
        hash: The hash of the last line.
        mac: Proof that the owner of the key wrote it; empty without a key.
    """

    log: str
    seq: int
    hash: str
    mac: str

    @classmethod
    def create(cls, hasher: Hasher, log_id: str, seq: int, line_hash: str = ZERO_HASH) -> "Head":
        """Return a signed head."""
        return cls(log_id, seq, line_hash, hasher.sign_head(log_id, seq, line_hash))

    def is_signed_by(self, hasher: Hasher) -> bool:
        """Return True if it was written with the key of `hasher`."""
        return self.mac == hasher.sign_head(self.log, self.seq, self.hash)

    def serialize(self) -> bytes:
        """Return the bytes of the head file."""
        return to_canonical_json(self.__dict__).ljust(HEAD_BYTES - 1) + b"\n"


def get_companion_path(log: Path, suffix: str) -> Path:
    """Return the path of a file beside a log."""
    return log.with_name(f"{log.name}.{suffix}")


def create_lock(log: Path, *, timeout_s: float) -> FileLock:
    """Return the lock under which a log is written; one lock serves all threads of a process."""
    # Not `_io.lock_path`: an append polls the lock often, and renews it after a fork.
    return FileLock(get_companion_path(log, "lock"), timeout=timeout_s, thread_local=False, mode=PRIVATE_MODE)


@contextlib.contextmanager
def lock_out_writers(log: Path, *, timeout_s: float) -> Iterator[None]:
    """Hold the lock of a log during the block. A copy has no lock, and one on a read-only disk cannot be locked.

    Raises:
        StorageError: Another process holds the lock for longer than `timeout_s`.
    """
    with contextlib.ExitStack() as stack:
        if get_companion_path(log, "lock").exists():
            try:
                stack.enter_context(create_lock(log, timeout_s=timeout_s))
            except Timeout as error:
                raise StorageError(
                    f"{str(log)!r} has been locked by another process for {timeout_s:g} s.",
                    hint="Try again when it has finished.",
                ) from error
            except OSError:
                pass
        yield


def read_head(log: Path) -> Head | None:
    """Return the content of the head file; None if there is no head file.

    Raises:
        MalformedDataError: The file does not contain a head.
        OSError: The file cannot be read.
    """
    try:
        content = get_companion_path(log, "head").read_bytes()
    except FileNotFoundError:
        return None
    if not content and not (log.exists() and log.stat().st_size):
        return None  # a crash while the log was created
    try:
        head = Head(**json.loads(content))
    except (ValueError, TypeError, RecursionError) as error:
        raise MalformedDataError("the head file does not contain a head") from error
    if type(head.seq) is not int or not all(isinstance(text, str) for text in (head.log, head.hash, head.mac)):
        raise MalformedDataError("the head file does not contain a head")
    return head


def write_head(log: Path, head: Head) -> None:
    """Write the head file.

    Raises:
        OSError: It cannot be written.
    """
    descriptor = os.open(get_companion_path(log, "head"), os.O_WRONLY | os.O_CREAT | _BINARY_FLAG, PRIVATE_MODE)
    try:
        write_all(descriptor, head.serialize())
    finally:
        os.close(descriptor)


def write_all(descriptor: int, data: bytes) -> None:
    """Write all bytes; a single system call may write fewer.

    Raises:
        OSError: They cannot be written.
    """
    while data:
        data = data[os.write(descriptor, data) :]


def write_lines(log: Path, offset: int, data: bytes, *, keep_rest: bool = False) -> None:
    """Write lines at the end of a log, all of them or none.

    Args:
        log: The log.
        offset: Where its last complete line ends, in bytes.
        data: The lines.
        keep_rest: If they cannot be written, keep the torn line after `offset`, which is not saved elsewhere yet.

    Raises:
        OSError: They cannot be written; the length of the log is unchanged.
    """
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | _BINARY_FLAG, PRIVATE_MODE)
    try:
        try:
            os.lseek(descriptor, offset, os.SEEK_SET)
            write_all(descriptor, data)
        except OSError:
            if not keep_rest:
                os.ftruncate(descriptor, offset)
            raise
        if os.fstat(descriptor).st_size > offset + len(data):
            os.ftruncate(descriptor, offset + len(data))
    finally:
        os.close(descriptor)


def read_lines_backwards(log: Path, *, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """Yield the lines of a log from the last one to the first: their offset in bytes and their content.

    The first item is the rest after the last line end. It is empty unless a line was torn.
    """
    with log.open("rb") as stream:
        offset = stream.seek(0, os.SEEK_END) if end is None else end
        rest = b""
        while offset:
            size = min(BLOCK_BYTES, offset)
            offset -= size
            stream.seek(offset)
            rest = stream.read(size) + rest
            *lines, rest = reversed(rest.split(b"\n"))
            line_offset = offset + len(rest) + sum(len(line) + 1 for line in lines)
            for line in lines:
                line_offset -= len(line)
                yield line_offset, line
                line_offset -= 1
        yield 0, rest


def scan_lines(log: Path, *, end: int | None = None) -> Iterator[tuple[int, bytes, Entry | None]]:
    """Yield the lines of a log: their number from 1, their bytes, and their entry, or None for a malformed line.

    Args:
        log: The log.
        end: Stop at this offset in bytes.
    """
    offset = 0
    with log.open("rb") as stream:
        for number, line in enumerate(stream, start=1):
            offset += len(line)
            if end is not None and offset > end:
                return
            try:
                yield number, line, parse_line(line[:-1]) if line.endswith(b"\n") else None
            except MalformedDataError:
                yield number, line, None
