"""Search for files below a folder, by walking it or by a pattern, without following links out of it.

Whoever may put a link into a folder could otherwise have any file of this machine read, and links to folders that lead
in circles would give each document many times.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path

WILDCARDS = ("*", "?", "[")
_ANY_FOLDERS = "**"
_LEADS_OUT = "it is a link that leads out of the folder; give its target as a source, or allow links (follow_links)"
_FOLDER_LINK = "links to folders are not followed; give the folder itself as a source, or allow links (follow_links)"


@dataclass(frozen=True, kw_only=True)
class FileSearch:
    """One search below a folder.

    Attributes:
        root: The folder. It may be a link itself: the user has named it.
        follow_links: Follow links out of the folder, and links to folders; each folder is still searched once.
        is_left_out: Says that a folder is not searched, from its path and the names of its files.
        skip_file: Receives a file that is not read, and the reason.
        skip_folder: Receives a folder that is not searched, and the reason.
    """

    root: Path
    follow_links: bool
    is_left_out: Callable[[Path, Sequence[str]], bool]
    skip_file: Callable[[Path, str], None]
    skip_folder: Callable[[Path, str], None]
    _seen_folders: set[tuple[int, int]] = field(default_factory=set)

    def walk(self) -> Iterator[Path]:
        """Yield all files below the folder, without hidden ones; those behind links to folders come last."""
        waiting = [self.root]
        while waiting:
            yield from self._walk_without_links(waiting.pop(0), waiting)

    def _walk_without_links(self, folder: Path, links: list[Path]) -> Iterator[Path]:
        """Yield the files below a folder, and append the links to folders that are to be followed."""
        entries = self._list(folder)
        if entries is None or self.is_left_out(folder, [entry.name for entry in entries]):
            return
        for entry in entries:
            path = folder / entry.name
            if entry.name.startswith("."):
                continue
            if not _is_folder(entry):
                yield from self._check_file(path)
            elif entry.is_symlink():
                if self._check_folder_link(path):
                    links.append(path)
            else:
                yield from self._walk_without_links(path, links)

    def match(self, parts: Sequence[str]) -> Iterator[Path]:
        """Yield the files that match a pattern.

        Args:
            parts: The parts of the pattern below the folder, such as `["**", "*.md"]`.
        """
        yield from self._match(self.root, parts)

    def _match(self, folder: Path, parts: Sequence[str]) -> Iterator[Path]:
        part, rest = parts[0], parts[1:]
        if part == _ANY_FOLDERS:
            yield from self._match_below(folder, rest or ["*"], ())
        elif not any(wildcard in part for wildcard in WILDCARDS):
            yield from self._match_entry(folder / part, rest)
        else:
            for entry in self._list(folder, is_new=False) or ():
                if fnmatch(entry.name, part) and (part.startswith(".") or not entry.name.startswith(".")):
                    yield from self._match_entry(folder / entry.name, rest)

    def _match_below(self, folder: Path, rest: Sequence[str], parents: Sequence[Path]) -> Iterator[Path]:
        """Yield the matches in a folder and in all folders below it; a folder that contains itself is left out."""
        real = Path(os.path.realpath(folder))
        if real in parents:
            return
        yield from self._match(folder, rest)
        for entry in self._list(folder, is_new=False) or ():
            path = folder / entry.name
            if _is_folder(entry) and not entry.name.startswith(".") and self._check_entry(path):
                yield from self._match_below(path, rest, (*parents, real))

    def _match_entry(self, path: Path, rest: Sequence[str]) -> Iterator[Path]:
        if not path.is_dir():
            if not rest and os.path.lexists(path):
                yield from self._check_file(path)
        elif rest and self._check_entry(path):
            yield from self._match(path, rest)

    def _check_file(self, path: Path) -> Iterator[Path]:
        """Yield a file, unless it is a link that leads out of the folder."""
        if path.is_symlink() and not self.follow_links and not self._is_inside(path):
            self.skip_file(path, _LEADS_OUT)
        else:
            yield path

    def _is_inside(self, path: Path) -> bool:
        try:
            target = Path(os.path.realpath(path, strict=True))
        except OSError:
            return True  # a broken link; reading it will say so
        return target.is_relative_to(os.path.realpath(self.root))

    def _check_entry(self, path: Path) -> bool:
        return not path.is_symlink() or self._check_folder_link(path)

    def _check_folder_link(self, path: Path) -> bool:
        if not self.follow_links:
            self.skip_folder(path, _FOLDER_LINK)
        return self.follow_links

    def _list(self, folder: Path, *, is_new: bool = True) -> list[os.DirEntry[str]] | None:
        """Return the entries of a folder by name, or None if it cannot be read, or was listed before (`is_new`)."""
        try:
            status = folder.stat()
            identity = (status.st_dev, status.st_ino)
            if is_new and identity in self._seen_folders:
                return None
            self._seen_folders.add(identity)
            with os.scandir(folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError as error:
            self.skip_folder(folder, f"the folder cannot be read ({error.strerror})")
            return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link to itself
        return False
