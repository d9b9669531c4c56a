"""Split documents into chunks along their structure; each chunk is an exact slice of its file's text.

A chunk never crosses a heading, and paragraphs, list items, tables and code blocks stay whole where they fit. It ends
with its page, but for a sentence that goes on on the next page. Chunks are exact slices, so that a citation can be
found in the file character by character. Splitting is pure: the same documents give the same chunks and the same ids.
"""

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.ingest.introductions import Introductions, find_introductions
from langchain_gptoss.ingest.lengths import (
    CharacterMeasure,
    Measure,
    TokenCounter,
    TokenMeasure,
    find_longest_end,
    find_overlap_start,
)
from langchain_gptoss.ingest.pages import PageRun, PageSection, group_pages, parse_run
from langchain_gptoss.ingest.structure import HEADINGS, Section, Span
from langchain_gptoss.text.sentences import find_sentences

DEFAULT_MAX_CHARS = 700

_WHITE_SPACE = re.compile(r"\s+")
_LINE_END = re.compile(r"\r\n|\n|\r")

LEAD_IN = "lead_in"
"""Metadata key of the lines that introduce the list or table that a chunk begins within."""


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


class _Piece(NamedTuple):
    """A span that goes into one chunk.

    Attributes:
        span: Its span.
        wanted_ends: Ends of the list that it introduces and of its first item: what should be in the same chunk if that
            fits, best first.
    """

    span: Span
    wanted_ends: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Splitter:
    limit: int
    overlap: int
    count_tokens: TokenCounter | None  # None: lengths are in characters

    def split(self, run: PageRun) -> Iterator[Document]:
        """Yield the chunks of a run of pages."""
        text = run.text
        measure = CharacterMeasure() if self.count_tokens is None else TokenMeasure(text, self.count_tokens)
        sections = parse_run(run)
        introductions = self._find_introductions(text, sections, measure)
        for section in sections:
            metadata = run.documents[section.page].metadata
            heading = join_headings(metadata.get("heading"), section.section.heading)
            limit = self._reserve(heading or str(metadata.get("title") or ""))
            limit = self._reserve_lead_in(section.section, limit, introductions)
            overlap = min(self.overlap, limit - 1)
            pieces = _cut_blocks(text, section.section, limit, measure, introductions)
            for span in _pack_pieces(text, pieces, limit, overlap, measure):
                introduction = introductions.find(span[0])
                lead_in = introduction.find_lead_in(span[0]) if introduction else ""
                yield _create_chunk(run, heading, span, lead_in)

    def _find_introductions(self, text: str, sections: Sequence[PageSection], measure: Measure) -> Introductions:
        """Return the introductions of the sections that do not fit into one chunk; the others need none."""
        found = Introductions()
        group: list[Section] = []
        for index, page_section in enumerate(sections):
            if page_section.section.blocks or not page_section.is_continued:
                group.append(page_section.section)
            if index + 1 == len(sections) or not sections[index + 1].is_continued:
                blocks = [block for section in group for block in section.blocks]
                fitting = self.limit if self.count_tokens is None else self.limit // 2
                if blocks and (len(group) > 1 or measure.measure(blocks[0][0], blocks[-1][1]) > fitting):
                    line_block_starts = {start for section in group for start in section.line_block_starts}
                    for introduction in find_introductions(text, blocks, line_block_starts):
                        found.add(introduction)
                group = []
        return found

    def _reserve_lead_in(self, section: Section, limit: int, introductions: Introductions) -> int:
        """Return the limit in a section with a list that does not fit into one chunk and repeats its lead-in."""
        if self.count_tokens is None:
            return limit
        lead_ins = {
            introduction.find_lead_in(block[0])
            for block in section.blocks
            if (introduction := introductions.find(block[0]))
        }
        return min((self._reserve(lead_in, limit) for lead_in in lead_ins), default=limit)

    def _reserve(self, context: str, limit: int | None = None) -> int:
        """Return the limit of a chunk's own text: the model embeds its heading together with it."""
        limit = self.limit if limit is None else limit
        if self.count_tokens is None or not context:
            return limit
        tokens = self.count_tokens(f"{context}\n") - self.count_tokens("")
        return max(self.limit // 2, limit - tokens, 1)


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
    but white space is lost. A sentence that goes on on the next page is in one chunk, with the page where it begins. A
    line that introduces a list or a table stays with it where both fit into one chunk.

    Args:
        documents: Documents as `load_documents` returns them. In documents of other loaders, a missing `start` counts
            as 0 and a missing `source` as "". Pages of one source must follow each other. A `heading` in the metadata
            of a document is above its own headings.
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
        is also the Document's id. The id is the same for the same text at the same place of the same source. A chunk
        that ends on another page than it begins has `end_page`. A chunk that begins within a list or table has
        `lead_in`, the lines before it that introduce the list ("The warranty does not cover:") or name the columns.

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
    return [chunk for run in group_pages(documents) for chunk in splitter.split(run)]


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
    """Return the text that is embedded for a chunk: its heading, or else its title, its lead-in and its text.

    Together with its heading, a sentence such as "It costs 5 euros" is found by the title of its section.
    """
    heading = chunk.metadata.get("heading") or chunk.metadata.get("title")
    return "\n".join(filter(None, (heading, chunk.metadata.get(LEAD_IN), chunk.page_content)))


def join_headings(own: Any, heading: str) -> str:
    """Return the path of a document's own heading and a heading within it.

    Args:
        own: The `heading` in the document's metadata; other loaders may have anything there.
        heading: The path of headings within the document.
    """
    base = own.strip() if isinstance(own, str) else ""
    if heading == base or heading.startswith(f"{base} > "):
        return heading
    return " > ".join(filter(None, (base, heading)))


def _create_chunk(run: PageRun, heading: str, span: Span, lead_in: str) -> Document:
    first, last = (run.find_page(span[0]), run.find_page(span[1] - 1)) if len(run.documents) > 1 else (0, 0)
    document = run.documents[first]
    content = run.text[span[0] : span[1]]
    start, end = run.file_start + span[0], run.file_start + span[1]
    id_ = compute_chunk_id(str(document.metadata.get("source", "")), start, end, content)
    metadata = {**document.metadata, "start": start, "end": end, "heading": heading, "chunk_id": id_}
    metadata.pop(HEADINGS, None)
    if last > first:
        metadata["end_page"] = run.documents[last].metadata["page"]
    if lead_in:
        metadata[LEAD_IN] = lead_in
    return Document(id=id_, page_content=content, metadata=metadata)


_Cuts = Callable[[str, int, int], Iterator[int]]
"""Returns the places between two offsets of a text where it may be cut."""


def _find_line_ends(text: str, start: int, end: int) -> Iterator[int]:
    return (match.end() for match in _LINE_END.finditer(text, start, end))


def _find_word_ends(text: str, start: int, end: int) -> Iterator[int]:
    return (match.end() for match in _WHITE_SPACE.finditer(text, start, end))


def _find_sentence_ends(text: str, start: int, end: int) -> Iterator[int]:
    return (start + sentence_end for _, sentence_end in find_sentences(text[start:end]))


def _cut_blocks(
    text: str, section: Section, limit: int, measure: Measure, introductions: Introductions
) -> Iterator[_Piece]:
    for start, end in section.blocks:
        first_cuts = _find_line_ends if start in section.line_block_starts else _find_sentence_ends
        introduction = introductions.find(start)
        cuts = (first_cuts, _find_word_ends)
        if introduction is None or not introduction.has_lead_in or start != introduction.start:
            yield from map(_Piece, _cut_span(text, (start, end), limit, measure, cuts))
        else:
            yield from map(_Piece, _cut_span(text, (start, introduction.lead_in_start), limit, measure, cuts))
            *spans, last = _cut_span(text, (introduction.lead_in_start, end), limit, measure, cuts)
            yield from map(_Piece, spans)
            yield _Piece(last, (introduction.end, introduction.blocks[1][1]))


def _cut_span(text: str, span: Span, limit: int, measure: Measure, cuts: tuple[_Cuts, ...]) -> Iterator[Span]:
    """Yield a span whole if it fits, else its parts at the first cuts; too long parts are cut at the next ones."""
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
        for place in cuts[0](text, start, end):
            yield from _cut_span(text, (start, place), limit, measure, cuts[1:])
            start = place
        yield from _cut_span(text, (start, end), limit, measure, cuts[1:])


def _strip_span(text: str, span: Span) -> Span:
    piece = text[span[0] : span[1]]
    start = span[0] + len(piece) - len(piece.lstrip())
    return start, max(start, span[0] + len(piece.rstrip()))


def _pack_pieces(text: str, pieces: Iterable[_Piece], limit: int, overlap: int, measure: Measure) -> Iterator[Span]:
    """Join neighbours while the slice from the first to the last stays within the limit."""
    group: list[Span] = []
    length = 0
    for piece in pieces:
        span = piece.span
        piece_length = measure.measure(*span)
        joined = measure.estimate_length(length, group[0][0], span[1], piece_length) if group else piece_length
        wanted_end = _choose_wanted_end(piece, limit, measure) if piece.wanted_ends else span[1]
        if group and (joined > limit or (wanted_end > span[1] and measure.measure(group[0][0], wanted_end) > limit)):
            chunks = list(_verify_group(group, limit, measure))
            yield from chunks
            group, length = [span], piece_length
            if overlap:
                start = find_overlap_start(text, chunks[-1], wanted_end, limit=limit, overlap=overlap, measure=measure)
                if start is not None:
                    group, length = [(start, span[1])], measure.measure(start, span[1])
        else:
            group.append(span)
            length = joined
    yield from _verify_group(group, limit, measure)


def _choose_wanted_end(piece: _Piece, limit: int, measure: Measure) -> int:
    """Return the end of what should be in one chunk with a piece: the list that it introduces, or its first item."""
    start, end = piece.span
    return next((wanted for wanted in piece.wanted_ends if measure.measure(start, wanted) <= limit), end)


def _verify_group(group: list[Span], limit: int, measure: Measure) -> Iterator[Span]:
    """Yield a group as one span, or as several if the exact length exceeds the estimate."""
    while group:
        count = len(group)
        while count > 1 and measure.measure(group[0][0], group[count - 1][1]) > limit:
            count -= 1
        yield group[0][0], group[count - 1][1]
        group = group[count:]
