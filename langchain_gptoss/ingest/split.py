"""Split documents into chunks along their structure; each chunk is an exact slice of its file's text.

A chunk never crosses a heading or a page, and paragraphs, list items, tables and code blocks stay whole where they
fit. Chunks are exact slices, so that a citation can be found in the file character by character. Splitting is pure: the
same documents give the same chunks and the same ids.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.lengths import (
    CharacterMeasure,
    Measure,
    TokenCounter,
    TokenMeasure,
    find_longest_end,
    find_overlap_start,
)
from langchain_gptoss.ingest.structure import HEADINGS, Section, Span, parse_sections

DEFAULT_MAX_CHARS = 700

# The lookbehind counts a run of points once: without it a page of dots takes quadratic time.
_SENTENCE_END = re.compile(r"(?<![.!?…])[.!?…]++(?:[\"'”’)\]]|\s?»)*+\s++|[。！？]++")
_WHITE_SPACE = re.compile(r"\s+")
_LINE_END = re.compile(r"\r\n|\n|\r")


@dataclass(frozen=True)
class ChunkLimits:
    """Limits of the chunks that an index is made of.

    Attributes:
        max_chars: Maximum number of characters in a chunk, or None if `max_tokens` is the limit.
        max_tokens: Maximum number of tokens in a chunk, or None if `max_chars` is the limit.
        overlap: Maximum length that a chunk repeats of the previous chunk, in the unit of the limit.
    """

    max_chars: int | None
    max_tokens: int | None
    overlap: int


@dataclass(frozen=True)
class _Splitter:
    limit: int
    overlap: int
    count_tokens: TokenCounter | None  # None: lengths are in characters

    def split(self, document: Document) -> Iterator[Document]:
        """Yield the chunks of a document."""
        text = document.page_content
        title = str(document.metadata.get("title") or "")
        measure = CharacterMeasure() if self.count_tokens is None else TokenMeasure(text, self.count_tokens)
        for section in parse_sections(document):
            limit = self._reserve_heading(section.heading or title)
            overlap = min(self.overlap, limit - 1)
            pieces = _cut_blocks(text, section, limit, measure)
            for span in _pack_pieces(text, pieces, limit, overlap, measure):
                yield _create_chunk(document, section.heading, span)

    def _reserve_heading(self, heading: str) -> int:
        """Return the limit of a chunk's own text: the model embeds its heading together with it."""
        if self.count_tokens is None or not heading:
            return self.limit
        heading_tokens = self.count_tokens(f"{heading}\n") - self.count_tokens("")
        return max(self.limit // 2, self.limit - heading_tokens, 1)


def split_documents(
    documents: Iterable[Document],
    *,
    max_chars: int | None = None,
    max_tokens: int | None = None,
    count_tokens: TokenCounter | None = None,
    overlap: int = 0,
) -> list[Document]:
    """Split documents into chunks.

    Markdown headings (`# Title`, outside fenced code) and the bookmarks of a PDF start new sections. A chunk's text is
    `file_text[start:end]` of its metadata, without surrounding white space. Markdown headings are not part of a
    chunk's text: they are in the metadata of the chunks below them. Titles of bookmarks stay in the text. Nothing else
    but white space is lost.

    Args:
        documents: Documents as `load_documents` returns them. In documents of other loaders, a missing `start` counts
            as 0 and a missing `source` as "".
        max_chars: Maximum number of characters in one chunk; 700 if `max_tokens` is not given.
        max_tokens: Maximum number of tokens in one chunk, in place of `max_chars`. The heading that is embedded with
            the chunk counts too and takes at most half of them.
        count_tokens: Returns the number of tokens of a text, special tokens included, as
            `create_token_counter(embeddings)` does. Required with `max_tokens`.
        overlap: Maximum length that a chunk repeats of the previous chunk of its section, in tokens with `max_tokens`,
            else in characters. Whole sentences are repeated or, if these are too long, whole words. The limit includes
            it.

    Returns:
        The chunks, in order. Their metadata is that of their document and `start`, `end` (offsets in the file's
        extracted text), `heading` ("Title > Section" as plain text, "" before the first heading) and `chunk_id`, which
        is also the Document's id. The id is the same for the same text at the same place of the same source.

    Raises:
        InvalidInputError: A limit is below 1, both limits are given, `max_tokens` comes without `count_tokens`, or the
            overlap is not below the limit.
    """
    limit = check_limits(max_chars, max_tokens, overlap)
    if max_tokens is not None and count_tokens is None:
        raise InvalidInputError(
            "max_tokens needs count_tokens=.", hint="Pass create_token_counter(embeddings), or use max_chars."
        )
    splitter = _Splitter(limit, overlap, None if max_tokens is None else count_tokens)
    return [chunk for document in documents for chunk in splitter.split(document)]


def check_limits(max_chars: int | None, max_tokens: int | None, overlap: int) -> int:
    """Return the limit that applies, in its own unit; arguments are those of `split_documents`.

    Raises:
        InvalidInputError: The arguments contradict each other or are out of range.
    """
    if max_chars is not None and max_tokens is not None:
        raise InvalidInputError("max_chars and max_tokens are both given.", hint="Give one of them.")
    name, limit = ("max_chars", max_chars) if max_tokens is None else ("max_tokens", max_tokens)
    if limit is None:
        limit = DEFAULT_MAX_CHARS
    if limit < 1:
        usual = "400 to 1000 suit most texts." if max_tokens is None else "128 to 512 suit most models."
        raise InvalidInputError(f"{name} is {limit} and must be at least 1.", hint=usual)
    if not 0 <= overlap < limit:
        raise InvalidInputError(f"overlap is {overlap} and must be at least 0 and below {name} ({limit}).")
    return limit


def compute_chunk_id(source: str, start: int, end: int, content: str) -> str:
    """Return a chunk's id: the same for the same text at the same place of the same source."""
    key = json.dumps([source, start, end, content])
    return hashlib.sha256(key.encode()).hexdigest()[:32]


def format_for_embedding(chunk: Document) -> str:
    """Return the text that is embedded for a chunk: its heading, or else its title, and its text.

    Together with its heading, a sentence such as "It costs 5 euros" is found by the title of its section.
    """
    heading = chunk.metadata.get("heading") or chunk.metadata.get("title")
    return f"{heading}\n{chunk.page_content}" if heading else chunk.page_content


def _create_chunk(document: Document, heading: str, span: Span) -> Document:
    content = document.page_content[span[0] : span[1]]
    document_start = int(document.metadata.get("start", 0))
    start, end = document_start + span[0], document_start + span[1]
    id_ = compute_chunk_id(str(document.metadata.get("source", "")), start, end, content)
    metadata = {**document.metadata, "start": start, "end": end, "heading": heading, "chunk_id": id_}
    metadata.pop(HEADINGS, None)
    return Document(id=id_, page_content=content, metadata=metadata)


def _cut_blocks(text: str, section: Section, limit: int, measure: Measure) -> Iterator[Span]:
    for start, end in section.blocks:
        first_cut = _LINE_END if start in section.line_block_starts else _SENTENCE_END
        yield from _cut_span(text, (start, end), limit, measure, (first_cut, _WHITE_SPACE))


def _cut_span(text: str, span: Span, limit: int, measure: Measure, cuts: tuple[re.Pattern[str], ...]) -> Iterator[Span]:
    """Yield a span whole if it fits, else its parts at the first pattern; too long parts are cut at the next one."""
    start, end = _strip_span(text, span)
    if start == end:
        return
    if measure.measure(start, end) <= limit:
        yield start, end
    elif not cuts:
        while start < end:
            stop = find_longest_end(start, end, limit, measure)
            yield start, stop
            start = stop
    else:
        for match in cuts[0].finditer(text, start, end):
            yield from _cut_span(text, (start, match.end()), limit, measure, cuts[1:])
            start = match.end()
        yield from _cut_span(text, (start, end), limit, measure, cuts[1:])


def _strip_span(text: str, span: Span) -> Span:
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip())
    return start, max(start, span[0] + len(piece.rstrip()))


def _pack_pieces(text: str, pieces: Iterable[Span], limit: int, overlap: int, measure: Measure) -> Iterator[Span]:
    """Join neighbours while the slice from the first to the last stays within the limit."""
    group: list[Span] = []
    length = 0
    for piece in pieces:
        piece_length = measure.measure(*piece)
        joined = measure.estimate_length(length, group[0][0], piece[1], piece_length) if group else piece_length
        if group and joined > limit:
            chunks = list(_verify_group(group, limit, measure))
            yield from chunks
            group, length = [piece], piece_length
            if overlap:
                start = find_overlap_start(text, chunks[-1], piece[1], limit=limit, overlap=overlap, measure=measure)
                if start is not None:
                    group, length = [(start, piece[1])], measure.measure(start, piece[1])
        else:
            group.append(piece)
            length = joined
    yield from _verify_group(group, limit, measure)


def _verify_group(group: list[Span], limit: int, measure: Measure) -> Iterator[Span]:
    """Yield a group as one span, or as several if the exact length exceeds the estimate."""
    while group:
        count = len(group)
        while count > 1 and measure.measure(group[0][0], group[count - 1][1]) > limit:
            count -= 1
        yield group[0][0], group[count - 1][1]
        group = group[count:]
