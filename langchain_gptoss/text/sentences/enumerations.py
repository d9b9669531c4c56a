"""Enumerations within a sentence: "It does not cover: a) damage by a fall; b) theft."."""

from __future__ import annotations

import re
from collections.abc import Iterator

Span = tuple[int, int]

_MARK = re.compile(
    r"(?:^|(?<=[\s:;,]))(?:\(?(?P<letter>[a-h])\)|\(?(?P<roman>i{1,3}|iv|v|vi{1,3})\)|\(?(?P<digit>[1-9])\)"
    r"|(?P<point>[1-9])\.(?=\s[^\W\d])|(?P<bullet>[•▪◦]))\s+"
)
_ROMAN = ("i", "ii", "iii", "iv", "v", "vi", "vii", "viii")
_MIN_LEAD_IN_WORDS = 2


def split_enumeration(text: str, start: int, end: int) -> list[Span]:
    """Return the lead-in and the items of an enumeration in a sentence; only the sentence if there is none.

    The items of an enumeration have marks in order, begin after a lead-in of two words or more, and are at least two.

    Args:
        text: The text.
        start: Start of the sentence.
        end: End of the sentence.
    """
    marks = list(_find_marks(text, start, end))
    if len(marks) < 2:
        return [(start, end)]
    starts = [marks[0][0], *(mark_start for mark_start, _ in marks[1:]), end]
    lead_in = (start, _trim_end(text, start, marks[0][0]))
    items = [(content, _trim_end(text, content, stop)) for (_, content), stop in zip(marks, starts[1:], strict=True)]
    return [lead_in, *(item for item in items if item[0] < item[1])]


def _find_marks(text: str, start: int, end: int) -> Iterator[Span]:
    """Yield the marks of the first enumeration: where each begins, and where its item begins."""
    kind, expected = "", 0
    for match in _MARK.finditer(text, start, end):
        group = match.lastgroup or ""
        if not kind:
            if not _can_begin(text, start, match):
                continue
            kind = "roman" if match["letter"] is None and match["roman"] else group
            expected = 1
            yield match.start(), match.end()
        elif _is_expected(match, kind, expected + 1):
            expected += 1
            yield match.start(), match.end()


def _can_begin(text: str, start: int, match: re.Match[str]) -> bool:
    is_first = match["bullet"] or (match["letter"] or match["roman"] or match["digit"] or match["point"]) in (
        "a",
        "i",
        "1",
    )
    before = text[start : match.start()].rstrip()
    if not is_first or len(before.split()) < _MIN_LEAD_IN_WORDS:
        return False
    return before.endswith(":") or (match["point"] is None and match["bullet"] is None)


def _is_expected(match: re.Match[str], kind: str, number: int) -> bool:
    if kind == "bullet":
        return match["bullet"] is not None
    if kind == "letter":
        return match["letter"] == "abcdefgh"[number - 1 : number]
    if kind == "roman":
        value = match["roman"] or match["letter"]
        return number <= len(_ROMAN) and value == _ROMAN[number - 1]
    return match[kind] == str(number)


def _trim_end(text: str, start: int, end: int) -> int:
    while end > start and text[end - 1].isspace():
        end -= 1
    return end
