"""The one folder of the user's machine that this package writes to, and how it writes there.

Everything in it is made anew when it is deleted. A file or folder appears there whole or not at all: it is made
under a temporary name beside its place and then renamed.
"""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from platformdirs import user_cache_path

from langchain_gptoss.errors import StorageError

_PARTIAL = ".partial-"


def home() -> Path:
    """Returns the cache folder: `GPTOSS_HOME` if it is set, else the platform's own place for caches."""
    override = os.environ.get("GPTOSS_HOME")
    return Path(override).expanduser() if override else user_cache_path("langchain-gptoss")


@contextmanager
def storage_errors(folder: Path, *, setting: str = "GPTOSS_HOME") -> Iterator[None]:
    """Turns the operating system's complaint about a full or read-only disk into a `StorageError`.

    Args:
        folder: What is written to.
        setting: The environment variable that moves it elsewhere.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}:
            raise
        raise StorageError(
            f"Cannot write to {str(folder)!r}: {(error.strerror or str(error)).lower()}. "
            f"Make room or allow writing there, or set {setting} to another folder."
        ) from error


def require_free_space(folder: Path, needed: int, *, setting: str = "GPTOSS_HOME") -> None:
    """Checks the disk before something large is written to it.

    Args:
        folder: Where it will be written; its nearest existing parent counts.
        needed: Bytes.
        setting: The environment variable that moves the folder elsewhere.

    Raises:
        StorageError: Fewer bytes are free.
    """
    place = folder
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    if free < needed:
        raise StorageError(
            f"{needed / 1e6:.0f} MB are needed in {str(folder)!r} and {free / 1e6:.0f} MB are free. "
            f"Make room, or set {setting} to a folder on another disk."
        )


@contextmanager
def making(target: Path) -> Iterator[Path]:
    """Yields a temporary folder that becomes `target` when the block ends well, and vanishes when it does not.

    What an earlier, killed run left beside `target` is removed first, so call it under `lock(target)`.
    """
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        for leftover in target.parent.glob(f"{_PARTIAL}{target.name}-*"):
            shutil.rmtree(leftover, ignore_errors=True)
        partial = Path(tempfile.mkdtemp(prefix=f"{_PARTIAL}{target.name}-", dir=target.parent))
        try:
            yield partial
            partial.chmod(0o755)  # mkdtemp's 0700 would hide a shared cache from its other users
            partial.rename(target)
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def lock(target: Path) -> Iterator[None]:
    """Lets one process at a time make `target`; the others wait, and then find it made."""
    with storage_errors(target.parent):
        target.parent.mkdir(parents=True, exist_ok=True)
        guard = FileLock(target.parent / f".{target.name}.lock")
        guard.acquire()
    try:
        yield
    finally:
        guard.release()
