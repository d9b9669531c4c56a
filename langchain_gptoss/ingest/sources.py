"""Files at a place: a file, a folder, a pattern, or several of these.

Each file gets a name, its source, that stays the same when everything is moved together: its path below the given
folder or, with several places, below the folder that they share.
"""

import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest.file_search import WILDCARDS, FileSearch
from langchain_gptoss.text.terminal import clean_line

SYNC_MANIFEST = "sync.sqlite"
"""Name of a file that marks its folder as an index; such folders are not searched for documents."""

ACCESS_RULES = "access.toml"
"""Name of a file with access labels, which is no document."""

_VECTOR_SUFFIX = ".faiss"


@dataclass(frozen=True)
class SkippedFile:
    """A file or a subfolder that cannot be used.

    Attributes:
        source: Its path relative to the given folder, with forward slashes.
        reason: The reason, as a clause without a full stop: "it is empty".
    """

    source: str
    reason: str

    def __str__(self) -> str:
        return clean_line(f"Skipped {self.source}: {self.reason}.")


@dataclass(frozen=True)
class FileWarning:
    """Something that a user should know about a file, which is used all the same.

    Attributes:
        source: Its path relative to the given folder, with forward slashes.
        message: A clause without a full stop: "line 3 is not valid JSON and is left out".
    """

    source: str
    message: str

    def __str__(self) -> str:
        return clean_line(f"{self.source}: {self.message}.")


@dataclass(frozen=True)
class SourceFile:
    """A file with a supported suffix.

    Attributes:
        source: Its name in metadata.
        path: Its absolute path.
    """

    source: str
    path: Path


@dataclass
class Listing:
    """The files at some places.

    Attributes:
        root: The folder that sources are relative to.
        files: The supported files, ordered by source.
        skipped: Files and folders that cannot be listed.
        unlisted_prefixes: Sources of the folders in `skipped`, each with a closing slash. Files below them may exist.
        unsupported: Sources of the files that no reader supports.
    """

    root: Path
    files: list[SourceFile] = field(default_factory=list)
    skipped: list[SkippedFile] = field(default_factory=list)
    unlisted_prefixes: list[str] = field(default_factory=list)
    unsupported: list[str] = field(default_factory=list)

    def skip_file(self, path: Path, reason: str) -> None:
        """Record a file that is not read; a file that several places name is recorded once."""
        skipped = SkippedFile(_make_source(path, self.root), reason)
        if skipped not in self.skipped:
            self.skipped.append(skipped)

    def skip_folder(self, path: Path, reason: str) -> None:
        """Record a folder whose files are unknown."""
        source = _make_source(path, self.root)
        prefix = "" if source == "." else f"{source}/"
        if prefix not in self.unlisted_prefixes:
            self.skipped.append(SkippedFile(source, reason))
            self.unlisted_prefixes.append(prefix)


@dataclass(frozen=True)
class _Place:
    text: str
    root: Path
    is_pattern: bool = False


def list_files(
    places: Sequence[str | Path], suffixes: Sequence[str], *, exclude: Path | None = None, follow_links: bool = False
) -> Listing:
    """Return the files at some places.

    Hidden files, hidden folders and folders that hold an index are ignored. Links to folders, which may lead in
    circles, and links that lead out of a folder are not followed; a place itself may be a link.

    Args:
        places: Files, folders, and patterns such as `docs/**/*.md`.
        suffixes: Suffixes of the supported files, in lower case.
        exclude: A folder to ignore.
        follow_links: Follow all links; each folder is still read once.

    Raises:
        DocumentsError: One of the places does not exist.
    """
    resolved = [_resolve_place(place) for place in places]
    if not resolved:
        raise DocumentsError("No documents are named.", hint="Give a file, a folder or a pattern.")
    listing = Listing(_find_common_folder([place.root for place in resolved]))
    seen_paths: set[Path] = set()
    seen_sources: set[str] = set()
    for place in resolved:
        for path in _iterate_paths(place, listing, exclude, follow_links):
            identity = Path(os.path.realpath(path)) if follow_links else path
            if identity in seen_paths:
                continue
            seen_paths.add(identity)
            source = _make_source(path, listing.root)
            if source in seen_sources:
                reason = "another file has the same name in Unicode; rename one of them"
                listing.skipped.append(SkippedFile(source, reason))
            elif path.suffix.lower() in suffixes:
                listing.files.append(SourceFile(source, path))
            elif path.name != ACCESS_RULES:
                listing.unsupported.append(source)
            seen_sources.add(source)
    listing.files.sort(key=lambda file: file.source)
    listing.unsupported.sort()
    return listing


def _resolve_place(place: str | Path) -> _Place:
    text = os.path.expanduser(place)
    try:
        path = Path(os.path.abspath(text))
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        if any(wildcard in str(text) for wildcard in WILDCARDS):
            return _Place(str(text), _find_pattern_root(str(text)), is_pattern=True)
        raise DocumentsError(f"There is no file or folder at {text}.", hint="Check the path.") from None
    except OSError as error:
        raise DocumentsError(f"{text} cannot be read ({error.strerror}).", hint="Check its permissions.") from error
    return _Place(str(path), path if stat.S_ISDIR(mode) else path.parent)


def _find_pattern_root(pattern: str) -> Path:
    """Return the folder above the first part of a pattern that holds a wildcard."""
    path = Path(pattern)
    fixed_parts = path.parts[: _count_fixed_parts(path)]
    return Path(os.path.abspath(os.path.join(*fixed_parts) if fixed_parts else "."))


def _count_fixed_parts(pattern: Path) -> int:
    return next(number for number, part in enumerate(pattern.parts) if any(wildcard in part for wildcard in WILDCARDS))


def _find_common_folder(folders: list[Path]) -> Path:
    try:
        return Path(os.path.commonpath(folders))
    except ValueError:  # they lie on several drives of Windows
        return Path()


def _iterate_paths(place: _Place, listing: Listing, exclude: Path | None, follow_links: bool) -> Iterator[Path]:
    search = FileSearch(
        root=place.root,
        follow_links=follow_links,
        is_left_out=lambda folder, names: folder == exclude or (not place.is_pattern and _is_index(names)),
        skip_file=listing.skip_file,
        skip_folder=listing.skip_folder,
    )
    if place.is_pattern:
        yield from _match_pattern(place, search, exclude)
    elif Path(place.text) == place.root:
        yield from search.walk()
    else:
        yield Path(place.text)  # the user has named it, so that it may be a link


def _match_pattern(place: _Place, search: FileSearch, exclude: Path | None) -> Iterator[Path]:
    pattern = Path(place.text)
    parts = pattern.parts[_count_fixed_parts(pattern) :]
    has_match = False
    for name in search.match(parts):
        path = Path(os.path.abspath(name))
        has_match = True
        if not (exclude and path.is_relative_to(exclude)):
            yield path
    if not has_match:
        raise DocumentsError(f"No file matches {place.text}.", hint="Check the pattern.")


def _is_index(names: Sequence[str]) -> bool:
    return SYNC_MANIFEST in names or any(name.endswith(_VECTOR_SUFFIX) for name in names)


def _make_source(path: Path, root: Path) -> str:
    try:
        return make_printable(path.relative_to(root).as_posix())
    except ValueError:
        return make_printable(path.as_posix())


def make_printable(name: str) -> str:
    """Return a file name as valid Unicode; file names on Linux may be any bytes."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
