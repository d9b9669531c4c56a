"""Bookmarks of a PDF as headings of its pages: the only structure that most PDFs have."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.ingest.readers.base import PageHeadings

_MAX_BOOKMARKS = 10_000  # real PDFs have hundreds, and a malformed tree may branch without end
# "3.2", "Chapter 3:" and "IV." precede many headings on the page, but not in the bookmarks.
_NUMBER = r"(?:(?:(?:[^\W\d_]+\s+)?\d[\d.]*[):]?|[ivxlc]+[.):])\s+(?:[-–—]\s+)?)?"


@dataclass(frozen=True)
class Bookmark:
    """A bookmark.

    Attributes:
        page: Index of the page that it leads to, from 0.
        path: The titles of the bookmarks above it and its own, joined by " > ".
        title: Its title.
    """

    page: int
    path: str
    title: str


def list_bookmarks(document: Any) -> list[Bookmark]:
    """Return the bookmarks of an open `pypdfium2.PdfDocument` that lead to a page, in their order."""
    bookmarks: list[Bookmark] = []
    titles: list[str] = []
    for number, item in enumerate(document.get_toc()):
        if number >= _MAX_BOOKMARKS:
            break
        title = " ".join(item.get_title().replace("\0", "").split())
        titles = [*titles[: item.level], title]
        destination = item.get_dest()
        page = destination.get_index() if destination is not None else None
        if title and page is not None:
            bookmarks.append(Bookmark(page, " > ".join(filter(None, titles)), title))
    return bookmarks


def find_headings(pages: list[str], bookmarks: list[Bookmark]) -> list[PageHeadings]:
    """Return the headings of each page; the first one of a page holds from the page's beginning.

    A bookmark begins at the line of its page that shows its title. If no line does, it begins where the previous
    bookmark of that page begins, or at the top.

    Args:
        pages: The texts of the pages.
        bookmarks: The bookmarks, in the order of the outline.

    Returns:
        One list per page; empty lists if there are no bookmarks.
    """
    if not bookmarks:
        return [[] for _ in pages]
    bookmarks_by_page: dict[int, list[Bookmark]] = {}
    for bookmark in bookmarks:
        bookmarks_by_page.setdefault(bookmark.page, []).append(bookmark)
    current_path = ""
    headings = []
    for number, text in enumerate(pages):
        page_headings: dict[int, str] = {0: current_path}
        for start, path in _locate_bookmarks(text, bookmarks_by_page.get(number, [])):
            page_headings[start] = current_path = path
        headings.append(sorted(page_headings.items()))
    return headings


def _locate_bookmarks(text: str, bookmarks: list[Bookmark]) -> Iterator[tuple[int, str]]:
    start = 0
    for bookmark in bookmarks:
        line_start = _find_title_line(text, bookmark.title, start)
        # With only white space above it, the bookmark is the heading of the page's top.
        start = line_start if line_start is not None and text[:line_start].strip() else start
        yield start, bookmark.path


def _find_title_line(text: str, title: str, start: int) -> int | None:
    """Return the start of the first line that is this title, or else of one that begins with it."""
    words = r"\s+".join(map(re.escape, title.split()))
    for end in (r"[ \t]*$", r"\b"):
        match = re.compile(rf"^[ \t]*{_NUMBER}{words}{end}", re.MULTILINE | re.IGNORECASE).search(text, start)
        if match:
            return match.start()
    return None
