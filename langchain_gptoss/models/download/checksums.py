"""Whether a checkpoint's files are bit for bit what was published.

Reading every byte takes seconds to a minute, so this runs when it is asked for and not at every start.
"""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

from langchain_gptoss._progress import BytesBar, bytes_bar
from langchain_gptoss.models.safetensors_files import DamagedCheckpointError

SUMS = "SHA256SUMS"
_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](.+)")
_DIGEST = re.compile(r"[0-9a-f]{64}|[0-9a-f]{40}")
_CHUNK = 4 * 1024 * 1024


def verify(folder: Path) -> tuple[str, ...]:
    """Compares a checkpoint's files with the digests that are known of them, with a progress bar by bytes.

    They are known from a file `SHA256SUMS` in the folder, as `sha256sum` writes it, and in the hub's cache from the
    names under which it stores the files.

    Returns:
        The names of the files that were compared, and found unaltered; empty where no digest is known.

    Raises:
        DamagedCheckpointError: Files are missing or altered, or `SHA256SUMS` cannot be read.
    """
    expected = known(folder)
    if missing := [name for name in expected if not (folder / name).is_file()]:
        raise DamagedCheckpointError(
            f"{str(folder)!r} lacks {', '.join(map(repr, missing))}, of which {SUMS!r} tells. "
            "Copy or fetch the checkpoint again."
        )
    if altered := _altered(folder, expected):
        raise DamagedCheckpointError(
            f"Altered in {str(folder)!r}: {', '.join(map(repr, altered))}. What they hold is not what was published. "
            "Copy or fetch the checkpoint again."
        )
    return tuple(expected)


def known(folder: Path) -> dict[str, str]:
    """Returns the digests that are known of a checkpoint's files, by name, without reading the files.

    Raises:
        DamagedCheckpointError: `SHA256SUMS` cannot be read.
        OSError: The folder cannot be read.
    """
    return _hub_digests(folder) | _written_digests(folder)


def matches(file: Path, digest: str, bar: BytesBar | None = None) -> bool:
    """Returns whether a file has a digest.

    Args:
        file: Any file.
        digest: In lower-case hexadecimal: its SHA-256, or (40 digits) the id that Git gives to its content.
        bar: Told of the bytes that were read.

    Raises:
        OSError: It cannot be read.
    """
    with file.open("rb") as stream:
        if len(digest) == 64:
            state = hashlib.sha256()
        else:
            # Git's own construction; against mistakes on the way, for which SHA-1 is enough.
            state = hashlib.sha1(f"blob {file.stat().st_size}\0".encode(), usedforsecurity=False)
        while chunk := stream.read(_CHUNK):
            state.update(chunk)
            if bar is not None:
                bar.update(len(chunk))
    return state.hexdigest() == digest


def _altered(folder: Path, expected: Mapping[str, str]) -> list[str]:
    if not expected:
        return []
    total = sum((folder / name).stat().st_size for name in expected)
    with bytes_bar(total, f"Verifying {len(expected)} files") as bar:
        return [name for name, digest in expected.items() if not matches(folder / name, digest, bar)]


def _hub_digests(folder: Path) -> dict[str, str]:
    """Returns what the hub's cache knows: its files are links to `blobs/<digest>`."""
    found = {}
    for file in sorted(folder.iterdir()):
        if file.is_symlink():
            blob = file.readlink()
            if blob.parent.name == "blobs" and _DIGEST.fullmatch(blob.name):
                found[file.name] = blob.name
    return found


def _written_digests(folder: Path) -> dict[str, str]:
    file = folder / SUMS
    if not file.exists():
        return {}
    found = {}
    try:
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
            if not line.strip() or line.startswith("#"):
                continue
            parsed = _LINE.fullmatch(line)
            name = parsed[2].removeprefix("./") if parsed else ""
            if parsed is None or Path(name).is_absolute() or ".." in Path(name).parts:
                raise ValueError(f"line {number} is not a SHA-256 and the name of a file in the folder")
            found[name] = parsed[1].lower()
    except (OSError, ValueError) as error:
        raise DamagedCheckpointError(
            f"{str(file)!r} cannot be read: {error}. Write it anew with sha256sum, or remove it."
        ) from error
    return found
