"""Checksums: verify that the files of a checkpoint are bit for bit those that were published.

Reading every byte takes seconds to a minute, so the files are verified only on request and not at every start.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from langchain_gptoss._progress import ProgressBar, show_progress
from langchain_gptoss.errors import DamagedCheckpointError

SUMS_FILE = "SHA256SUMS"
_SUMS_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
SHA256_DIGITS = 64
_CHECKSUM = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_CHUNK_BYTES = 4 * 1024 * 1024
_COPY_AGAIN = "Copy or fetch the checkpoint again."


def verify_checksums(folder: Path) -> tuple[str, ...]:
    """Compare a checkpoint's files with their published checksums; show a progress bar by bytes.

    The checksums come from a file `SHA256SUMS` in the folder, as `sha256sum` writes it, and in the hub's cache from the
    names under which it stores the files.

    Returns:
        The names of the compared files, which are all unaltered; empty if no checksum is known.

    Raises:
        DamagedCheckpointError: Files are missing or altered, or `SHA256SUMS` cannot be read.
    """
    checksums = read_checksums(folder)
    if missing := [name for name in checksums if not (folder / name).is_file()]:
        raise DamagedCheckpointError(
            f"{str(folder)!r} lacks {', '.join(map(repr, missing))}, which {SUMS_FILE!r} lists.", hint=_COPY_AGAIN
        )
    if altered := _find_altered_files(folder, checksums):
        raise DamagedCheckpointError(
            f"Altered in {str(folder)!r}: {', '.join(map(repr, altered))}. The content differs from the published one.",
            hint=_COPY_AGAIN,
        )
    return tuple(checksums)


def read_checksums(folder: Path) -> dict[str, str]:
    """Return the published checksums of a checkpoint's files, by file name, without reading the files.

    Raises:
        DamagedCheckpointError: `SHA256SUMS` cannot be read.
        OSError: The folder cannot be read.
    """
    return _read_cache_checksums(folder) | _read_sums_file(folder)


def matches_checksum(file: Path, checksum: str, progress_bar: ProgressBar | None = None) -> bool:
    """Return True if a file has a checksum.

    Args:
        file: The file to read.
        checksum: SHA-256 (64 digits), or the id that Git gives to the content (40 digits), in lower-case hexadecimal.
        progress_bar: Updated with the number of bytes read.

    Raises:
        OSError: The file cannot be read.
    """
    with file.open("rb") as stream:
        if len(checksum) == SHA256_DIGITS:
            state = hashlib.sha256()
        else:
            # The checksum is Git's. It finds transmission errors, for which SHA-1 is good enough.
            state = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := stream.read(_CHUNK_BYTES):
            state.update(chunk)
            if progress_bar is not None:
                progress_bar.update(len(chunk))
    return state.hexdigest() == checksum


def _find_altered_files(folder: Path, checksums: Mapping[str, str]) -> list[str]:
    if not checksums:
        return []
    total_bytes = sum((folder / name).stat().st_size for name in checksums)
    with show_progress(total_bytes, f"Verifying {len(checksums)} files") as progress_bar:
        return [
            name for name, checksum in checksums.items() if not matches_checksum(folder / name, checksum, progress_bar)
        ]


def _read_cache_checksums(folder: Path) -> dict[str, str]:
    """Return the checksums that the hub's cache keeps: its files are links to `blobs/<checksum>`."""
    checksums = {}
    for file in sorted(folder.iterdir()):
        if file.is_symlink():
            blob = file.readlink()
            if blob.parent.name == "blobs" and _CHECKSUM.fullmatch(blob.name):
                checksums[file.name] = blob.name
    return checksums


def _read_sums_file(folder: Path) -> dict[str, str]:
    file = folder / SUMS_FILE
    if not file.exists():
        return {}
    checksums = {}
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            match = _SUMS_LINE.fullmatch(line)
            name = match[2].removeprefix("./") if match else ""
            if match is None or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"line {number} is not a SHA-256 and the name of a file in the folder")
            checksums[name] = match[1].lower()
    except (OSError, ValueError) as error:
        raise DamagedCheckpointError(
            f"{str(file)!r} cannot be read: {error}.", hint="Create it again with sha256sum, or remove it."
        ) from error
    return checksums
