"""Durable writes and locks: files and folders appear complete, or they do not appear."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

_PARTIAL_PREFIX = ".partial-"
PRIVATE_MODE = 0o600
SHARED_MODE = 0o644


def sync_to_disk(path: Path) -> None:
    """Wait until the disk has confirmed the content of a file, or the entries of a folder.

    Folders are skipped on Windows, which cannot open them.

    Raises:
        OSError: The system reports a write error.
    """
    is_folder = path.is_dir()
    if is_folder and not hasattr(os, "O_DIRECTORY"):
        return
    descriptor = os.open(path, os.O_RDONLY if is_folder else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, data: bytes, *, mode: int = SHARED_MODE) -> None:
    """Replace a file by new content: after a crash it holds either the old content or the new.

    The content is on disk before the file gets its name. The folder must exist.

    Args:
        path: The file to write.
        data: Its new content.
        mode: Permission bits of the new file.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.
    """
    with open_replacement(path, mode=mode) as temporary:
        temporary.write_bytes(data)


@contextmanager
def open_replacement(path: Path, *, mode: int = SHARED_MODE) -> Iterator[Path]:
    """Yield an empty temporary file that replaces `path` when the block succeeds and is deleted when it fails.

    Args:
        path: The file to replace; its folder must exist.
        mode: Permission bits of the new file.

    Raises:
        OSError: The file cannot be written; the old one is unchanged.
    """
    descriptor, name = tempfile.mkstemp(prefix=f"{_PARTIAL_PREFIX}{path.name}-", dir=path.parent)
    os.close(descriptor)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(mode)
        sync_to_disk(temporary)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_to_disk(path.parent)


@contextmanager
def open_replacement_folder(target: Path) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` when the block succeeds and is deleted when it fails.

    Folders that an earlier, killed run left beside `target` are deleted first, so hold a lock on `target`.

    Raises:
        OSError: The folder cannot be made or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f"{_PARTIAL_PREFIX}{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL_PREFIX}{target.name}-", dir=target.parent))
    try:
        yield partial
        partial.chmod(0o755)  # mkdtemp's 0700 would hide a shared folder from its other users
        partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def lock_path(path: Path, *, timeout_s: float = -1) -> Iterator[None]:
    """Hold an exclusive lock beside a path; only processes that use this function are kept out.

    Args:
        path: The file or folder to lock; the lock is the file `.<name>.lock` beside it.
        timeout_s: Seconds to wait for another process; negative waits without a limit.

    Raises:
        TimeoutError: Another process holds the lock for longer.
        OSError: The lock file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    guard = FileLock(path.with_name(f".{path.name}.lock"), timeout=timeout_s)
    try:
        guard.acquire()
    except Timeout as error:
        raise TimeoutError(f"{str(path)!r} has been locked by another process for {timeout_s:g} s.") from error
    try:
        yield
    finally:
        guard.release()
