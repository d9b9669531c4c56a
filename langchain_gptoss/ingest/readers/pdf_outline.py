"""The bookmarks of a PDF as the headings of its pages: the only structure that most PDFs have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Headings = list[tuple[int, str]]
"""Where a heading begins in a page's text, and its path ("Returns > Costs"); in the order of the text."""

_MOST = 10_000  # bookmarks; real ones are hundreds, and a malformed tree may branch without end
# "3.2", "Chapter 3:" and "IV." stand before many headings and not in their bookmarks.
_NUMBER = r"(?:(?:(?:[^\W\d_]+\s+)?\d[\d.]*[):]?|[ivxlc]+[.):])\s+(?:[-–—]\s+)?)?"


@dataclass(frozen=True)
class Bookmark:
    """A bookmark.

    Attributes:
        page: The page it leads to, from 0.
        path: Its title after those of the bookmarks above it, joined by " > ".
        title: Its title.
    """

    page: int
    path: str
    title: str


def bookmarks_of(document: Any) -> list[Bookmark]:
    """Returns the bookmarks of an open `pypdfium2.PdfDocument` that lead to a page, in their order."""
    found: list[Bookmark] = []
    above: list[str] = []
    for number, item in enumerate(document.get_toc()):
        if number >= _MOST:
            break
        title = " ".join(item.get_title().replace("\0", "").split())
        above = [*above[: item.level], title]
        destination = item.get_dest()
        page = destination.get_index() if destination is not None else None
        if title and page is not None:
            found.append(Bookmark(page, " > ".join(filter(None, above)), title))
    return found


def headings_of(pages: list[str], bookmarks: list[Bookmark]) -> list[Headings]:
    """Returns the headings of each page; the first one of a page is that of its beginning.

    A bookmark begins at the line of the page that holds its title. Where none does, it begins where the bookmark before
    it on that page does, or at the top.

    Args:
        pages: Their texts.
        bookmarks: In the order of the outline.
    """
    if not bookmarks:
        return [[] for _ in pages]
    by_page: dict[int, list[Bookmark]] = {}
    for bookmark in bookmarks:
        by_page.setdefault(bookmark.page, []).append(bookmark)
    current = ""
    every = []
    for number, text in enumerate(pages):
        headings: dict[int, str] = {0: current}
        for at, path in _begun(text, by_page.get(number, [])):
            headings[at] = current = path
        every.append(sorted(headings.items()))
    return every


def _begun(text: str, bookmarks: list[Bookmark]) -> Iterator[tuple[int, str]]:
    at = 0
    for bookmark in bookmarks:
        place = _line_of(text, bookmark.title, at)
        # Only white space above it: it is the heading of the top.
        at = place if place is not None and text[:place].strip() else at
        yield at, bookmark.path


def _line_of(text: str, title: str, after: int) -> int | None:
    """Returns where the line begins that is this title, or else one that begins with it."""
    words = r"\s+".join(map(re.escape, title.split()))
    for end in (r"[ \t]*$", r"\b"):
        match = re.compile(rf"^[ \t]*{_NUMBER}{words}{end}", re.MULTILINE | re.IGNORECASE).search(text, after)
        if match:
            return match.start()
    return None
