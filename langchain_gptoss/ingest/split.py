"""Cuts documents into chunks along their structure, each one an exact slice of its file.

Structure first: a chunk never crosses a heading, and paragraphs, list items, table rows and code blocks stay
whole where they fit. Exact slices, because a citation is only worth something if it can be found in the file,
character by character. Pure: the same documents give the same chunks and the same ids.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Literal

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError

# A longer "heading" is a paragraph with a stray "#": as a heading it would be in the text of no chunk.
_MAX_HEADING = 300

_LINE = re.compile(r"[^\r\n]+(?:\r\n|\n|\r)?|\r\n|\n|\r")
# CommonMark 0.31, "ATX headings".
_HEADING = re.compile(r" {0,3}#{1,6}(?:[ \t].*)?")
_CLOSING_HASHES = re.compile(r"(?:^|[ \t]+)#+$")
# CommonMark 0.31, "Fenced code blocks", at any indentation: in a list item they stand further right.
_FENCE = re.compile(r"[ \t]*(?:(`{3,})[^`]*|(~{3,}).*)")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_TABLE_ROW = re.compile(r"[ \t]*\|")

# The lookbehind makes a run of points count once: without it a page of dots takes quadratic time.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++(?:[\"'”’)\]]|\s?»)*+\s++|[。！？]++")
_WHITE_SPACE = re.compile(r"\s+")
_LINE_END = re.compile(r"\r\n|\n|\r")

_LINK = re.compile(r"!?\[([^\]]*)\]\([^)]*\)")
_EMPHASIS = re.compile(r"(\*\*|\*|`)(.+?)\1")
_ESCAPE = re.compile(r"\\([!-/:-@\[-`{-~])")

_Kind = Literal["heading", "blank", "fence", "code", "row", "item", "text"]
_Span = tuple[int, int]


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    kind: _Kind


@dataclass
class _Section:
    heading: str
    blocks: list[_Span] = field(default_factory=list)
    code: set[int] = field(default_factory=set)  # starts of the blocks that are fenced code


def split_documents(documents: Iterable[Document], *, max_chars: int = 700) -> list[Document]:
    """Returns the chunks of some documents, in order.

    Markdown headings (`# Title`, outside fenced code) start new sections. A chunk's text is
    `file_text[start:end]` of its metadata, without surrounding white space. A heading is in no chunk's text:
    it is in the metadata of the chunks below it.

    Args:
        documents: Documents as `load_documents` returns them. From other loaders, a missing `start` counts as
            0 and a missing `source` as "".
        max_chars: The most characters in one chunk.

    Returns:
        Documents that carry their document's metadata and `start`, `end` (offsets in the file's extracted
        text), `heading` ("Title > Section", plain text, "" before the first heading) and `chunk_id`, which is
        also the Document's id: the same for the same text at the same place of the same source.

    Raises:
        InvalidInputError: `max_chars` is below 1.
    """
    if max_chars < 1:
        raise InvalidInputError(
            f"max_chars is {max_chars} and must be at least 1. Most texts do well with 400 to 1000."
        )
    return [
        _chunk(document, section.heading, span)
        for document in documents
        for section in _sections(document.page_content, headings=not _is_pdf(document))
        for span in _pack(_pieces_of(document.page_content, section, max_chars), max_chars)
    ]


def first_heading(text: str) -> str:
    """Returns the plain text of the first Markdown heading, "" where there is none."""
    names = (_heading(text[line.start : line.end])[1] for line in _lines(text) if line.kind == "heading")
    return next((name for name in names if name), "")


def _is_pdf(document: Document) -> bool:
    # In text that was never Markdown a line such as "# comment" is content.
    return str(document.metadata.get("source", "")).lower().endswith(".pdf")


def _chunk(document: Document, heading: str, span: _Span) -> Document:
    content = document.page_content[span[0] : span[1]]
    base = int(document.metadata.get("start", 0))
    place = {"start": base + span[0], "end": base + span[1]}
    key = json.dumps([str(document.metadata.get("source", "")), *place.values(), content])
    chunk_id = hashlib.sha256(key.encode()).hexdigest()[:32]
    metadata = {**document.metadata, **place, "heading": heading, "chunk_id": chunk_id}
    return Document(id=chunk_id, page_content=content, metadata=metadata)


def _lines(text: str, *, headings: bool = True) -> Iterator[_Line]:
    fence = ""
    for match in _LINE.finditer(text):
        line = match.group().rstrip("\r\n")
        kind: _Kind
        if fence:
            kind = "code"
            mark = line.strip()
            if len(mark) >= len(fence) and not mark.strip(fence[0]):
                fence = ""
        elif opening := _FENCE.fullmatch(line):
            kind, fence = "fence", opening[1] or opening[2]
        elif not line.strip():
            kind = "blank"
        elif headings and len(line) <= _MAX_HEADING and _HEADING.fullmatch(line):
            kind = "heading"
        elif _TABLE_ROW.match(line):
            kind = "row"
        else:
            kind = "item" if _LIST_ITEM.match(line) else "text"
        yield _Line(match.start(), match.end(), kind)


def _heading(line: str) -> tuple[int, str]:
    """Returns a heading's level and its text without Markdown's marks."""
    line = line.strip()
    marked = line.lstrip("#")
    name = _CLOSING_HASHES.sub("", marked.strip())
    name = _EMPHASIS.sub(r"\2", _LINK.sub(r"\1", name))
    return len(line) - len(marked), " ".join(_ESCAPE.sub(r"\1", name).split())


def _sections(text: str, *, headings: bool) -> list[_Section]:
    """Returns the stretches between headings, each as blocks that should stay whole."""
    path: dict[int, str] = {}
    sections = [_Section("")]
    previous: _Kind = "blank"
    for line in _lines(text, headings=headings):
        section = sections[-1]
        if line.kind == "heading":
            level, name = _heading(text[line.start : line.end])
            path = {depth: above for depth, above in path.items() if depth < level} | {level: name}
            sections.append(_Section(" > ".join(name for name in path.values() if name)))
        elif line.kind == "code" or (line.kind == "text" and previous in ("text", "item")):
            section.blocks[-1] = (section.blocks[-1][0], line.end)
        elif line.kind != "blank":
            section.blocks.append((line.start, line.end))
            if line.kind == "fence":
                section.code.add(line.start)
        previous = line.kind
    return sections


def _pieces_of(text: str, section: _Section, limit: int) -> Iterator[_Span]:
    for start, end in section.blocks:
        first = _LINE_END if start in section.code else _SENTENCE_END
        yield from _pieces(text, (start, end), limit, (first, _WHITE_SPACE))


def _pieces(text: str, span: _Span, limit: int, cuts: tuple[re.Pattern[str], ...]) -> Iterator[_Span]:
    """Yields a span whole if it fits, else cut by the first pattern; what is still too long, by the next."""
    start, end = _trimmed(text, span)
    if start == end:
        return
    if end - start <= limit:
        yield start, end
    elif not cuts:
        for at in range(start, end, limit):
            yield at, min(at + limit, end)
    else:
        for match in cuts[0].finditer(text, start, end):
            yield from _pieces(text, (start, match.end()), limit, cuts[1:])
            start = match.end()
        yield from _pieces(text, (start, end), limit, cuts[1:])


def _trimmed(text: str, span: _Span) -> _Span:
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip())
    return start, max(start, span[0] + len(piece.rstrip()))


def _pack(pieces: Iterable[_Span], limit: int) -> Iterator[_Span]:
    """Joins neighbours for as long as the slice from the first to the last stays within the limit."""
    current: _Span | None = None
    for start, end in pieces:
        if current is not None and end - current[0] <= limit:
            current = (current[0], end)
            continue
        if current is not None:
            yield current
        current = (start, end)
    if current is not None:
        yield current
