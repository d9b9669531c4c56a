"""Finds the files at a place: a file, a folder, a pattern, or several of these.

Each file gets a name, its source, that stays the same when everything is moved together: its path below the folder
that was given or, of several places, below the folder they share.
"""

import glob
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_gptoss.errors import DocumentsError

SYNC_MANIFEST = "sync.sqlite"
"""A folder that holds this file is an index and no place of documents."""

_VECTORS = ".faiss"
_MAGIC = ("*", "?", "[")


@dataclass(frozen=True)
class Skipped:
    """A file or a subfolder that could not be used.

    Attributes:
        source: Its path relative to the folder that was given, with forward slashes.
        reason: Why, as a clause without a full stop: "it is empty".
    """

    source: str
    reason: str

    def __str__(self) -> str:
        return f"Skipped {self.source}: {self.reason}."


@dataclass(frozen=True)
class Found:
    """A file that can be read, by its suffix.

    Attributes:
        source: Its name in metadata.
        path: Where it is.
    """

    source: str
    path: Path


@dataclass
class Listing:
    """What lies at some places.

    Attributes:
        root: The folder that sources are relative to.
        files: The files that can be read, in the order of their sources.
        skips: What could not be listed.
        blind: Sources of the folders among `skips`, each with a closing slash: what they hold is not known.
        others: Sources of the files that no loader reads.
    """

    root: Path
    files: list[Found] = field(default_factory=list)
    skips: list[Skipped] = field(default_factory=list)
    blind: list[str] = field(default_factory=list)
    others: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Place:
    given: str
    root: Path
    pattern: bool = False


def list_files(places: Sequence[str | Path], suffixes: Sequence[str], *, exclude: Path | None = None) -> Listing:
    """Returns the files at some places.

    Hidden files and folders are passed over, and so are folders that hold an index. Links to folders are not followed:
    they may lead anywhere, also in circles.

    Args:
        places: Files, folders, and patterns such as `docs/**/*.md`.
        suffixes: Suffixes of the files that can be read, in lower case.
        exclude: A folder that is passed over.

    Raises:
        DocumentsError: There is nothing at one of the places.
    """
    known = [_place(place) for place in places]
    if not known:
        raise DocumentsError("No documents are named. Give a file, a folder or a pattern.")
    listing = Listing(_common([place.root for place in known]))
    seen: set[Path] = set()
    sources: set[str] = set()
    for place in known:
        for path in _paths(place, listing, exclude):
            if path in seen:
                continue
            seen.add(path)
            source = _source(path, listing.root)
            if source in sources:
                listing.skips.append(Skipped(source, "another file's name looks the same; rename it in Unicode"))
            elif path.suffix.lower() in suffixes:
                listing.files.append(Found(source, path))
            else:
                listing.others.append(source)
            sources.add(source)
    listing.files.sort(key=lambda found: found.source)
    listing.others.sort()
    return listing


def _place(given: str | Path) -> _Place:
    text = os.path.expanduser(given)
    try:
        path = Path(os.path.abspath(text))
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if any(mark in str(text) for mark in _MAGIC):
            return _Place(str(text), _fixed_part(str(text)), pattern=True)
        raise DocumentsError(f"There is no file or folder at {text}. Check the path.") from None
    except OSError as error:
        raise DocumentsError(f"{text} cannot be read ({error.strerror}). Check its permissions.") from error
    return _Place(str(path), path if stat.S_ISDIR(mode) else path.parent)


def _fixed_part(pattern: str) -> Path:
    """Returns the folder above the first part of a pattern that is one."""
    fixed: list[str] = []
    for part in Path(pattern).parts:
        if any(mark in part for mark in _MAGIC):
            break
        fixed.append(part)
    return Path(os.path.abspath(os.path.join(*fixed) if fixed else "."))


def _common(roots: list[Path]) -> Path:
    try:
        return Path(os.path.commonpath(roots))
    except ValueError:  # on several drives of Windows
        return Path()


def _paths(place: _Place, listing: Listing, exclude: Path | None) -> Iterator[Path]:
    if place.pattern:
        found = False
        for name in glob.iglob(place.given, recursive=True):
            path = Path(os.path.abspath(name))
            found = True
            if not path.is_dir() and not (exclude and path.is_relative_to(exclude)):
                yield path
        if not found:
            raise DocumentsError(f"No file matches {place.given}. Check the pattern.")
    elif Path(place.given) == place.root:
        yield from _walk(place.root, listing, exclude)
    else:
        yield Path(place.given)


def _walk(folder: Path, listing: Listing, exclude: Path | None) -> Iterator[Path]:
    def skip(path: Path, reason: str) -> None:
        source = _source(path, listing.root)
        listing.skips.append(Skipped(source, reason))
        listing.blind.append("" if source == "." else f"{source}/")

    def unreadable(error: OSError) -> None:
        skip(Path(error.filename), f"the folder cannot be read ({error.strerror})")

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        if SYNC_MANIFEST in names or any(name.endswith(_VECTORS) for name in names):
            folders[:] = []
            continue
        kept = []
        for name in folders:
            path = Path(parent, name)
            if name.startswith(".") or path == exclude:
                continue
            if path.is_symlink():
                skip(path, "it is a link to a folder, which is not followed; name that folder as a place of its own")
            else:
                kept.append(name)
        folders[:] = kept
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _source(path: Path, root: Path) -> str:
    try:
        return printable(path.relative_to(root).as_posix())
    except ValueError:
        return printable(path.as_posix())


def printable(name: str) -> str:
    """Returns a name that can be saved and shown: a file name need not be valid Unicode on Linux."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
