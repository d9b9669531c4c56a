"""Sections and blocks of a document: the structure that splitting respects.

Headings come from Markdown (`# Title` or an underlined line, outside fenced code and comments) or, for a PDF, from its
bookmarks.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal, NamedTuple

from langchain_core.documents import Document

HEADINGS = "headings"
"""Metadata key of headings that the text does not mark: pairs of an offset in the text and the heading's path."""
MARKDOWN = "markdown"
"""Value of `metadata["format"]` for a document whose text is Markdown, whatever the suffix of its file is."""

LIST_ITEM = re.compile(r"[ \t]*(?:[-*+•◦▪–]|\d{1,9}[.)]|\(?[a-z]\))[ \t]")
"""The start of a list item, its mark included."""

Span = tuple[int, int]
"""Start and end of a part of a text."""

# In files that were never Markdown a line such as "# comment" is content.
_SUFFIXES_WITHOUT_HEADINGS = {".pdf", ".csv", ".tsv", ".json", ".jsonl", ".eml"}

# A longer "heading" is a paragraph that begins with "#". As a heading it would be in no chunk's text.
_MAX_HEADING_CHARS = 300

_LINE = re.compile(r"[^\r\n]+(?:\r\n|\n|\r)?|\r\n|\n|\r")
# CommonMark 0.31, "ATX headings".
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t].*)?")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t]+)#+$")
# CommonMark 0.31, "Fenced code blocks", at any indentation because list items indent them further.
_FENCE = re.compile(r"[ \t]*(?:(`{3,})[^`]*|(~{3,}).*)")
_TABLE_ROW = re.compile(r"[ \t]*\|")
# CommonMark 0.31, "Setext headings": one line of text that "===" or "---" underlines.
# Fewer than three hyphens are more often the start of a signature.
_UNDERLINE = re.compile(r" {0,3}(?:=+|-{3,})[ \t]*")
_UNDERLINED = re.compile(rf"[\r\n]{_UNDERLINE.pattern}(?:[\r\n]|\Z)")
# Above "---" a sentence, quotation or indented line is a paragraph before a rule. As a heading it would be in no chunk.
_NO_HEADING = {"=": re.compile(r"\s{4}"), "-": re.compile(r"\s|[<>]|.*[.;,]\s*$")}

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(\*\*|\*|`)(.+?)\1")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")

_LineKind = Literal["heading", "blank", "fence", "code", "comment", "row", "item", "text"]


class _Line(NamedTuple):
    start: int
    end: int
    kind: _LineKind


@dataclass
class Section:
    """The text under one heading.

    Attributes:
        heading: The path of headings, such as "Returns > Costs"; "" before the first heading.
        blocks: Paragraphs, list items, tables and code blocks, which stay whole where they fit.
        line_block_starts: Starts of the tables and code blocks, which are cut between lines.
    """

    heading: str
    blocks: list[Span] = field(default_factory=list)
    line_block_starts: set[int] = field(default_factory=set)


def parse_sections(document: Document) -> list[Section]:
    """Return the sections of a document; spans are offsets in its `page_content`."""
    headings = _validate_headings(document.metadata.get(HEADINGS))
    if headings:
        return _parse_under_headings(document.page_content, headings)
    return _parse_markdown(document.page_content, with_headings=_is_markdown(document))


def find_first_heading(text: str) -> str:
    """Return the plain text of the first Markdown heading, "" if there is none."""
    names = (_parse_heading(text[line.start : line.end])[1] for line in _parse_lines(text) if line.kind == "heading")
    return next((name for name in names if name), "")


def can_have_headings(source: str) -> bool:
    """Return True if a line such as `# Prices` may be a heading in a source, judged by its suffix."""
    return PurePosixPath(source).suffix.lower() not in _SUFFIXES_WITHOUT_HEADINGS


def _is_markdown(document: Document) -> bool:
    if document.metadata.get("format") == MARKDOWN:
        return True
    return can_have_headings(str(document.metadata.get("source", "")))


def _validate_headings(value: Any) -> Sequence[tuple[int, str]]:
    # Another loader may store something else under this key.
    try:
        headings = [(int(start), str(path)) for start, path in value]
    except (TypeError, ValueError):
        return []
    starts = [start for start, _ in headings]
    return headings if starts[:1] == [0] and starts == sorted(starts) else []


def _parse_under_headings(text: str, headings: Sequence[tuple[int, str]]) -> list[Section]:
    ends = [*(start for start, _ in headings[1:]), len(text)]
    sections = []
    for (start, path), end in zip(headings, ends, strict=True):
        for part in _parse_markdown(text[start:end], with_headings=False):
            blocks = [(start + block_start, start + block_end) for block_start, block_end in part.blocks]
            sections.append(Section(path, blocks, {start + offset for offset in part.line_block_starts}))
    return sections


def _parse_markdown(text: str, *, with_headings: bool) -> list[Section]:
    path: dict[int, str] = {}
    sections = [Section("")]
    previous: _LineKind = "blank"
    for line in _parse_lines(text, with_headings=with_headings):
        section = sections[-1]
        if line.kind == "heading":
            level, name = _parse_heading(text[line.start : line.end])
            path = {depth: above for depth, above in path.items() if depth < level} | {level: name}
            sections.append(Section(" > ".join(name for name in path.values() if name)))
        elif _is_continuation(line.kind, previous):
            section.blocks[-1] = (section.blocks[-1][0], line.end)
        elif line.kind != "blank":
            section.blocks.append((line.start, line.end))
            if line.kind in ("fence", "row"):
                section.line_block_starts.add(line.start)
        previous = line.kind
    return sections


def find_fenced_code(text: str) -> list[Span]:
    """Return the spans of fenced code blocks in a Markdown text, fences included."""
    spans: list[Span] = []
    for line in _parse_lines(text):
        if line.kind == "fence":
            spans.append((line.start, line.end))
        elif line.kind == "code":
            spans[-1] = (spans[-1][0], line.end)
    return spans


def _parse_lines(text: str, *, with_headings: bool = True) -> Iterator[_Line]:
    """Return the lines of a text; an underlined heading is one line together with its underline."""
    lines = _classify_lines(text, with_headings=with_headings)
    return _join_underlines(text, lines) if with_headings and _UNDERLINED.search(text) else lines


def _join_underlines(text: str, lines: Iterator[_Line]) -> Iterator[_Line]:
    waiting: _Line | None = None  # a line of text, until the next one shows whether it is underlined
    is_paragraph_start, above = False, "blank"
    for line in lines:
        if waiting is not None and is_paragraph_start and _is_underlined(text, waiting, line):
            yield _Line(waiting.start, line.end, "heading")
            waiting, above = None, "heading"
            continue
        if waiting is not None:
            yield waiting
        is_paragraph_start = above not in ("text", "item")
        waiting = line if line.kind == "text" else None
        # A rule ends a paragraph. At the top of a text it may open front matter that is not valid, which is no heading.
        if not (above == "blank" and line.start and _UNDERLINE.fullmatch(text[line.start : line.end].strip())):
            above = line.kind
        if waiting is None:
            yield line
    if waiting is not None:
        yield waiting


def _is_underlined(text: str, line: _Line, underline: _Line) -> bool:
    below = text[underline.start : underline.end].rstrip("\r\n")
    if underline.kind not in ("text", "item") or not _UNDERLINE.fullmatch(below):
        return False
    name = text[line.start : line.end].rstrip("\r\n")
    if len(name) > _MAX_HEADING_CHARS or _UNDERLINE.fullmatch(name):
        return False
    return not _NO_HEADING[below.strip()[0]].match(name)


def _classify_lines(text: str, *, with_headings: bool) -> Iterator[_Line]:
    fence, is_comment = "", False
    has_comments = "<!--" in text
    for match in _LINE.finditer(text):
        line = match.group().rstrip("\r\n")
        kind: _LineKind
        if fence:
            kind = "code"
            mark = line.strip()
            if len(mark) >= len(fence) and not mark.strip(fence[0]):
                fence = ""
        elif not (is_comment or has_comments) and line[:1].isalpha() and not LIST_ITEM.match(line):
            kind = "text"  # most lines; the other kinds begin with white space, a mark or a digit
        elif is_comment or (has_comments and line.lstrip().startswith("<!--")):
            kind = "comment"
            is_comment = "-->" not in line
        elif opening := _FENCE.fullmatch(line):
            kind, fence = "fence", opening[1] or opening[2]
        elif not line.strip():
            kind = "blank"
        elif with_headings and len(line) <= _MAX_HEADING_CHARS and _HEADING.fullmatch(line):
            kind = "heading"
        elif _TABLE_ROW.match(line):
            kind = "row"
        else:
            kind = "item" if LIST_ITEM.match(line) else "text"
        yield _Line(match.start(), match.end(), kind)


def _is_continuation(kind: _LineKind, previous: _LineKind) -> bool:
    if kind == "row":
        return previous == "row"
    if kind == "comment":
        return previous in ("comment", "text", "item")
    return kind == "code" or (kind == "text" and previous in ("text", "item", "comment"))


def _parse_heading(line: str) -> tuple[int, str]:
    """Return a heading's level and its text without Markdown's marks."""
    line = line.strip()
    name, line_end, underline = line.replace("\r", "\n").partition("\n")
    if line_end:
        level = 1 if underline.strip().startswith("=") else 2
    else:
        name = line.lstrip("#")
        level = len(line) - len(name)
        name = _CLOSING_HASHES.sub("", name.strip())
    name = _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", name))
    return level, " ".join(_ESCAPE.sub(r"\1", name).split())
