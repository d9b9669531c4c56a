"""Cuts documents into chunks along their structure, each one an exact slice of its file.

Structure first: a chunk never crosses a heading or a page, and paragraphs, list items, tables and code blocks stay
whole where they fit. Exact slices, because a citation is only worth something if it can be found in the file,
character by character. Pure: the same documents give the same chunks and the same ids.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, Literal

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.lengths import Chars, Count, Measure, Tokens, longest, repeated_from

DEFAULT_MAX_CHARS = 700
HEADINGS = "headings"
"""Where a document's metadata has the headings that its text does not mark: pairs of a place in it and a path."""
MARKDOWN = "markdown"
"""`metadata["format"]` of a document whose headings count, whatever its file's suffix says."""
# In text that was never Markdown a line such as "# comment" is content.
_NO_HEADINGS = {".pdf", ".csv", ".tsv", ".json", ".jsonl", ".eml"}

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
_Headings = Sequence[tuple[int, str]]


@dataclass(frozen=True)
class _Line:
    start: int
    end: int
    kind: _Kind


@dataclass
class _Section:
    heading: str
    blocks: list[_Span] = field(default_factory=list)
    by_line: set[int] = field(default_factory=set)  # starts of the code blocks and tables among them


@dataclass(frozen=True)
class _Rules:
    limit: int
    overlap: int
    count: Count | None  # None: lengths are in characters

    def measure(self, text: str) -> Measure:
        return Chars() if self.count is None else Tokens(text, self.count)

    def room(self, heading: str) -> int:
        """Returns what is left for a chunk's own text where the model is given its heading too."""
        if self.count is None or not heading:
            return self.limit
        return max(self.limit // 2, self.limit - self.count(f"{heading}\n") + self.count(""), 1)


def split_documents(
    documents: Iterable[Document],
    *,
    max_chars: int | None = None,
    max_tokens: int | None = None,
    count: Count | None = None,
    overlap: int = 0,
) -> list[Document]:
    """Returns the chunks of some documents, in order.

    Markdown headings (`# Title`, outside fenced code) start new sections. A chunk's text is
    `file_text[start:end]` of its metadata, without surrounding white space. A heading is in no chunk's text:
    it is in the metadata of the chunks below it. Nothing else but white space is lost. The bookmarks of a PDF start
    sections too, and their titles stay in the text.

    Args:
        documents: Documents as `load_documents` returns them. From other loaders, a missing `start` counts as
            0 and a missing `source` as "".
        max_chars: The most characters in one chunk; 700 where `max_tokens` is not given.
        max_tokens: The most tokens in one chunk, together with the heading that is embedded with it (which gets at
            most half of them). It replaces `max_chars`.
        count: Counts the tokens of a text, special ones included, as `token_counter(embeddings)` does.
        overlap: How much of the chunk before it a chunk repeats within a section, at most: whole sentences or, where
            these are too long, whole words; in tokens with `max_tokens`, else in characters. The limit holds with it.

    Returns:
        Documents that carry their document's metadata and `start`, `end` (offsets in the file's extracted
        text), `heading` ("Title > Section", plain text, "" before the first heading) and `chunk_id`, which is
        also the Document's id: the same for the same text at the same place of the same source.

    Raises:
        InvalidInputError: A limit is below 1, both limits are given, `max_tokens` comes without `count`, or the overlap
            is not below the limit.
    """
    rules = _rules(max_chars, max_tokens, count, overlap)
    return [_chunk(document, heading, span) for document in documents for heading, span in _spans(document, rules)]


def _rules(max_chars: int | None, max_tokens: int | None, count: Count | None, overlap: int) -> _Rules:
    limit = check_limits(max_chars, max_tokens, overlap)
    if max_tokens is not None and count is None:
        raise InvalidInputError("max_tokens needs count=, such as token_counter(embeddings).")
    return _Rules(limit, overlap, None if max_tokens is None else count)


def check_limits(max_chars: int | None, max_tokens: int | None, overlap: int) -> int:
    """Returns the limit that counts, of arguments as `split_documents` takes them.

    Raises:
        InvalidInputError: They cannot work.
    """
    if max_chars is not None and max_tokens is not None:
        raise InvalidInputError("max_chars and max_tokens are both given. Give one of them.")
    name, limit = ("max_chars", max_chars) if max_tokens is None else ("max_tokens", max_tokens)
    if limit is None:
        limit = DEFAULT_MAX_CHARS
    if limit < 1:
        usual = "Most texts do well with 400 to 1000." if max_tokens is None else "Most models do well with 128 to 512."
        raise InvalidInputError(f"{name} is {limit} and must be at least 1. {usual}")
    if not 0 <= overlap < limit:
        raise InvalidInputError(f"overlap is {overlap} and must be at least 0 and below {name} ({limit}).")
    return limit


def _spans(document: Document, rules: _Rules) -> Iterator[tuple[str, _Span]]:
    text = document.page_content
    title = str(document.metadata.get("title") or "")
    measure = rules.measure(text)
    for section in _sections_of(document):
        limit = rules.room(section.heading or title)
        pieces = _pieces_of(text, section, limit, measure)
        for span in _pack(text, pieces, limit, min(rules.overlap, limit - 1), measure):
            yield section.heading, span


def chunk_id(source: str, start: int, end: int, content: str) -> str:
    """Returns a chunk's id: the same for the same text at the same place of the same source."""
    key = json.dumps([source, start, end, content])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def embedded_text(chunk: Document) -> str:
    """Returns what the embedding model is given for a chunk: its heading, or else its title, and its text.

    A sentence such as "It costs 5 euros" is found by the title it stands under.
    """
    heading = chunk.metadata.get("heading") or chunk.metadata.get("title")
    return f"{heading}\n{chunk.page_content}" if heading else chunk.page_content


def first_heading(text: str) -> str:
    """Returns the plain text of the first Markdown heading, "" where there is none."""
    names = (_heading(text[line.start : line.end])[1] for line in _lines(text) if line.kind == "heading")
    return next((name for name in names if name), "")


def may_have_headings(source: str) -> bool:
    """Returns whether a line such as `# Prices` is a heading in a source, as far as its name tells."""
    return PurePosixPath(source).suffix.lower() not in _NO_HEADINGS


def _sections_of(document: Document) -> list[_Section]:
    named = _headings(document.metadata.get(HEADINGS))
    if named:
        return _named_sections(document.page_content, named)
    return _sections(document.page_content, headings=_has_headings(document))


def _headings(named: Any) -> _Headings:
    # Another loader may mean something else by the name.
    try:
        headings = [(int(place), str(path)) for place, path in named]
    except (TypeError, ValueError):
        return []
    places = [place for place, _ in headings]
    return headings if places[:1] == [0] and places == sorted(places) else []


def _named_sections(text: str, headings: _Headings) -> list[_Section]:
    """Returns the stretches that begin at some places, under the headings that are named for these."""
    ends = [*(start for start, _ in headings[1:]), len(text)]
    sections = []
    for (start, path), end in zip(headings, ends, strict=True):
        for part in _sections(text[start:end], headings=False):
            blocks = [(start + first, start + last) for first, last in part.blocks]
            sections.append(_Section(path, blocks, {start + at for at in part.by_line}))
    return sections


def _has_headings(document: Document) -> bool:
    if document.metadata.get("format") == MARKDOWN:
        return True
    return may_have_headings(str(document.metadata.get("source", "")))


def _chunk(document: Document, heading: str, span: _Span) -> Document:
    content = document.page_content[span[0] : span[1]]
    base = int(document.metadata.get("start", 0))
    start, end = base + span[0], base + span[1]
    id_ = chunk_id(str(document.metadata.get("source", "")), start, end, content)
    metadata = {**document.metadata, "start": start, "end": end, "heading": heading, "chunk_id": id_}
    metadata.pop(HEADINGS, None)
    return Document(id=id_, page_content=content, metadata=metadata)


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
        elif _continues(line.kind, previous):
            section.blocks[-1] = (section.blocks[-1][0], line.end)
        elif line.kind != "blank":
            section.blocks.append((line.start, line.end))
            if line.kind in ("fence", "row"):
                section.by_line.add(line.start)
        previous = line.kind
    return sections


def _continues(kind: _Kind, previous: _Kind) -> bool:
    if kind == "row":
        return previous == "row"
    return kind == "code" or (kind == "text" and previous in ("text", "item"))


def _pieces_of(text: str, section: _Section, limit: int, measure: Measure) -> Iterator[_Span]:
    for start, end in section.blocks:
        first = _LINE_END if start in section.by_line else _SENTENCE_END
        yield from _pieces(text, (start, end), limit, measure, (first, _WHITE_SPACE))


def _pieces(text: str, span: _Span, limit: int, measure: Measure, cuts: tuple[re.Pattern[str], ...]) -> Iterator[_Span]:
    """Yields a span whole if it fits, else cut by the first pattern; what is still too long, by the next."""
    start, end = _trimmed(text, span)
    if start == end:
        return
    if measure.size(start, end) <= limit:
        yield start, end
    elif not cuts:
        while start < end:
            stop = longest(start, end, limit, measure)
            yield start, stop
            start = stop
    else:
        for match in cuts[0].finditer(text, start, end):
            yield from _pieces(text, (start, match.end()), limit, measure, cuts[1:])
            start = match.end()
        yield from _pieces(text, (start, end), limit, measure, cuts[1:])


def _trimmed(text: str, span: _Span) -> _Span:
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip())
    return start, max(start, span[0] + len(piece.rstrip()))


def _pack(text: str, pieces: Iterable[_Span], limit: int, overlap: int, measure: Measure) -> Iterator[_Span]:
    """Joins neighbours for as long as the slice from the first to the last stays within the limit."""
    group: list[_Span] = []
    size = 0
    for piece in pieces:
        more = measure.size(*piece)
        joined = measure.joined(size, group[0][0], piece[1], more) if group else more
        if group and joined > limit:
            done = list(_verified(group, limit, measure))
            yield from done
            group, size = [piece], more
            if overlap:
                start = repeated_from(text, done[-1], piece[1], limit=limit, overlap=overlap, measure=measure)
                if start is not None:
                    group, size = [(start, piece[1])], measure.size(start, piece[1])
        else:
            group.append(piece)
            size = joined
    yield from _verified(group, limit, measure)


def _verified(group: list[_Span], limit: int, measure: Measure) -> Iterator[_Span]:
    """Yields a group as one span, or as several where its parts are longer together than their sum."""
    while group:
        taken = len(group)
        while taken > 1 and measure.size(group[0][0], group[taken - 1][1]) > limit:
            taken -= 1
        yield group[0][0], group[taken - 1][1]
        group = group[taken:]
