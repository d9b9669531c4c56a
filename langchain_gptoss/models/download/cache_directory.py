"""The folders of this package on the user's machine: the cache, and the data that belongs to the user.

Everything in the cache is recreated when it is deleted. Files and folders appear there complete or not at all (see
`langchain_gptoss._io`).
"""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from platformdirs import user_cache_path, user_data_path

from langchain_gptoss.errors import StorageError

_APPLICATION = "langchain-gptoss"
_HOME_VARIABLE = "GPTOSS_HOME"
_DATA_FOLDER = "data"
_DISK_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


def cache_directory() -> Path:
    """Return the cache folder: `GPTOSS_HOME` if it is set, otherwise the platform's folder for caches."""
    home = os.environ.get(_HOME_VARIABLE)
    return Path(home).expanduser() if home else user_cache_path(_APPLICATION)


def data_directory() -> Path:
    """Return the folder for files that belong to the user and cannot be recreated, such as sessions and keys.

    This is the folder `data` in `GPTOSS_HOME` if that variable is set, otherwise the platform's folder for user data.
    The function does not create the folder.
    """
    home = os.environ.get(_HOME_VARIABLE)
    return Path(home).expanduser() / _DATA_FOLDER if home else user_data_path(_APPLICATION)


@contextmanager
def translate_storage_errors(folder: Path, *, setting: str = _HOME_VARIABLE) -> Iterator[None]:
    """Raise a `StorageError` for an `OSError` in the block that is caused by a full or read-only disk.

    Args:
        folder: The folder that the block writes to.
        setting: The environment variable that moves the folder.

    Raises:
        StorageError: The disk is full, or writing is not allowed.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_ERRORS:
            raise
        raise StorageError(
            f"Cannot write to {str(folder)!r}: {(error.strerror or str(error)).lower()}.",
            hint=f"Free space or allow writing there, or set {setting} to another folder.",
        ) from error


def require_free_space(folder: Path, needed_bytes: int, *, setting: str = _HOME_VARIABLE) -> None:
    """Check that the disk has enough space before a large file is written.

    Args:
        folder: The folder that will be written to. If it does not exist, its nearest existing parent is checked.
        needed_bytes: Size of the files.
        setting: The environment variable that moves the folder.

    Raises:
        StorageError: Fewer bytes are free.
    """
    existing = folder
    while not existing.exists():
        existing = existing.parent
    free_bytes = shutil.disk_usage(existing).free
    if free_bytes < needed_bytes:
        raise StorageError(
            f"{needed_bytes / 1e6:.0f} MB are needed in {str(folder)!r} and {free_bytes / 1e6:.0f} MB are free.",
            hint=f"Free space, or set {setting} to a folder on another disk.",
        )
