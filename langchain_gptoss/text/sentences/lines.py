"""Lines of a text by their layout: headings, table rows, list items, text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

LineKind = Literal["heading", "row", "item", "code", "text"]

_LINE = re.compile(r"[^\r\n]+")
_BREAK = re.compile(r"\r\n|\n|\r")
_INDENT = re.compile(r"[ \t\u00a0]*(?:>[ \t>]*)?")
_FENCE = re.compile(r"(?:`{3,}|~{3,})")
_HEADING = re.compile(r"#{1,6}(?:\s+|$)")
_ROW = re.compile(r"\|")
_BULLET = re.compile(r"([-–—*+•‣◦∙▪▫■□●○·►▸➢✓✔\uf0b7\uf0a7])(?:[ \t\u00a0]+|$)(?:\[[ xX]\][ \t]+)?")
# "J. R. Smith" and "M. Durand" begin with an initial, "p. 5" with an abbreviation.
_NUMBER = re.compile(
    r"\(?(?:(?P<digits>\d{1,3})|(?P<roman>[ivx]{2,5}|[IVX]{2,5})|(?P<letter>[a-z]))"
    r"(?P<close>\.\)|[.)])[ \t\u00a0]+(?![\s)])"
)
_CAPITAL = re.compile(r"\(?(?P<letter>[A-Z])(?P<close>\))[ \t\u00a0]+")
_LETTER_ABBREVIATIONS = frozenset("pvncfst")  # page, versus, number, circa, folio, section or series, tome
_DELIMITER_ROW = re.compile(r"[ \t:|-]+")


@dataclass(frozen=True, slots=True)
class Line:
    """A line that is not blank.

    Attributes:
        start: Offset of its first character, indentation included.
        content: Offset after its indentation and its list mark or heading mark.
        end: Offset after its last character, without the line break.
        kind: What the line is.
        mark: Kind of a list mark: the bullet itself, or one of `1. 1) a. a) i. i) A)`; "" in lines without one.
        indent: Width of its indentation.
        gap: Number of blank lines before it.
    """

    start: int
    content: int
    end: int
    kind: LineKind
    mark: str
    indent: int
    gap: int


def parse_lines(text: str) -> Iterator[Line]:
    """Yield the lines of a text that are not blank."""
    fence = ""
    previous_end = 0
    for match in _LINE.finditer(text):
        start, end = match.span()
        if not match.group().strip():
            continue
        gap = max(0, len(_BREAK.findall(text, previous_end, start)) - 1) if previous_end else 0
        previous_end = end
        content = _INDENT.match(text, start, end).end()  # type: ignore[union-attr]  # it matches an empty text
        indent = len(text[start:content].expandtabs(4))
        if fence or (opening := _FENCE.match(text, content, end)):
            stripped = text[content:end].strip()
            if not fence:
                fence = opening.group()  # type: ignore[union-attr]
            elif len(stripped) >= len(fence) and not stripped.strip(fence[0]):
                fence = ""
            yield Line(start, content, end, "code", "", indent, gap)
            continue
        kind, mark, content = _classify(text, content, end)
        yield Line(start, content, end, kind, mark, indent, gap)


def is_delimiter_row(text: str, line: Line) -> bool:
    """Return True if a line separates the head of a Markdown table from its rows."""
    is_empty = line.kind == "row" and _DELIMITER_ROW.fullmatch(text, line.start, line.end) is not None
    return is_empty and "-" in text[line.start : line.end]


def _classify(text: str, start: int, end: int) -> tuple[LineKind, str, int]:
    """Return the kind of a line without its indentation, its list mark, and where its text begins."""
    if _ROW.match(text, start, end):
        return "row", "", start
    if heading := _HEADING.match(text, start, end):
        return "heading", "", heading.end()
    if bullet := _BULLET.match(text, start, end):
        return ("item", bullet[1], bullet.end()) if bullet.end() < end else ("text", "", start)
    if number := _NUMBER.match(text, start, end) or _CAPITAL.match(text, start, end):
        groups = number.groupdict()
        letter = groups.get("letter") or ""
        before_digit = number.end() < end and text[number.end()].isdigit()
        if not (letter and letter in _LETTER_ABBREVIATIONS and groups["close"] == "." and before_digit):
            name = "1" if groups.get("digits") else "i" if groups.get("roman") else "A" if letter.isupper() else "a"
            return "item", name + groups["close"][-1], number.end()
    return "text", "", start
