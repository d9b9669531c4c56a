"""Durable writes, locks and private files.

Files and folders appear complete, or they do not appear. What belongs to the user (sessions, indexes, logs) is created
for its owner alone.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

PARTIAL_PREFIX = ".partial-"
"""Beginning of the names of files and folders that are not complete."""

PRIVATE_MODE = 0o600
PRIVATE_FOLDER_MODE = 0o700
SHARED_MODE = 0o644
SHARED_FOLDER_MODE = 0o755
_FILE_BITS = 0o666
_ROOT_UID = 0


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
    descriptor, name = tempfile.mkstemp(prefix=f"{PARTIAL_PREFIX}{path.name}-", dir=path.parent)
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


def create_private_folder(path: Path, *, restrict: bool = False) -> None:
    """Create a folder that only its owner may enter, with its parents, unless it exists.

    Args:
        path: The folder.
        restrict: Make an existing folder private too if it has the mode 0755 with which earlier versions created it. A
            folder with another mode is left as it is: its owner has chosen who may enter it.

    Raises:
        OSError: The folder cannot be created.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.mkdir(mode=PRIVATE_FOLDER_MODE)
    except FileExistsError:
        if not path.is_dir():
            raise
        if restrict:
            _restrict(path, SHARED_FOLDER_MODE, PRIVATE_FOLDER_MODE)


def create_private_file(path: Path) -> None:
    """Create an empty file that only its owner may read, unless it exists; a file with the mode 0644 becomes private.

    Raises:
        OSError: The file cannot be created.
    """
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_MODE))
    except FileExistsError:
        _restrict(path, SHARED_MODE, PRIVATE_MODE)


def _restrict(path: Path, former_mode: int, mode: int) -> None:
    # The folder of another user, or a file system without modes, is used as it is.
    with suppress(OSError):
        if stat.S_IMODE(path.stat().st_mode) == former_mode:
            path.chmod(mode)


def get_file_mode(folder: Path) -> int:
    """Return the mode for files in a private folder: they may be read by those who may enter it.

    Raises:
        OSError: The folder does not exist.
    """
    return PRIVATE_MODE | (stat.S_IMODE(folder.stat().st_mode) & _FILE_BITS)


def find_foreign_access(path: Path) -> str | None:
    """Return why another account could replace a file or folder, as a clause, or None if none can.

    The path and each folder above it must belong to this user or to root and must not be writable by others. In a
    folder with the sticky bit, such as `/tmp`, nobody can replace what belongs to somebody else. A group that is named
    by the same number as the user contains this user only, on systems that give each user a group.

    Args:
        path: A file or folder; links in it are resolved first.

    Raises:
        OSError: The path does not exist, or cannot be read.
    """
    real = Path(os.path.realpath(path, strict=True))
    for place in (real, *real.parents):
        status = place.stat(follow_symlinks=False)
        if status.st_uid not in (os.geteuid(), _ROOT_UID):
            return f"{place} belongs to another account"
        has_own_group = status.st_gid == status.st_uid != _ROOT_UID
        others_write = stat.S_IWOTH if has_own_group else stat.S_IWOTH | stat.S_IWGRP
        is_sticky = place != real and bool(status.st_mode & stat.S_ISVTX)
        if status.st_mode & others_write and not is_sticky:
            return f"{place} can be written by other accounts"
    return None


@contextmanager
def open_replacement_folder(target: Path, *, mode: int = SHARED_FOLDER_MODE) -> Iterator[Path]:
    """Yield a temporary folder that becomes `target` when the block succeeds and is deleted when it fails.

    Folders that an earlier, killed run left beside `target` are deleted first, so hold a lock on `target`.

    Args:
        target: The new folder.
        mode: Its permission bits; the temporary folder is private.

    Raises:
        OSError: The folder cannot be made or renamed.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f"{PARTIAL_PREFIX}{target.name}-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=f"{PARTIAL_PREFIX}{target.name}-", dir=target.parent))
    try:
        yield partial
        partial.chmod(mode)
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
    guard = FileLock(path.with_name(f".{path.name}.lock"), timeout=timeout_s, mode=PRIVATE_MODE)
    try:
        guard.acquire()
    except Timeout as error:
        raise TimeoutError(f"{str(path)!r} has been locked by another process for {timeout_s:g} s.") from error
    try:
        yield
    finally:
        guard.release()
