"""Pages of one file as one text, so that a sentence can go on from one page to the next."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss.ingest.readers.base import PAGE_BREAK
from langchain_gptoss.ingest.structure import HEADINGS, Section, Span, parse_sections
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.sentences.line_breaks import is_page_number

_OWN_KEYS = frozenset({"start", "page", "end_page", "page_label", HEADINGS})  # in which pages of one file may differ
_MAX_OPEN_CHARS = 2000  # on each side of a page break that are searched for a sentence that crosses it


@dataclass(frozen=True, kw_only=True)
class PageRun:
    """Neighbouring pages of one file, or a document that has none.

    Attributes:
        documents: The pages.
        text: Their texts with page breaks in between: a slice of the file's text.
        starts: Where each page begins in `text`.
    """

    documents: Sequence[Document]
    text: str
    starts: Sequence[int]

    @property
    def file_start(self) -> int:
        """Offset of `text` in the file's text."""
        return _get_start(self.documents[0]) or 0

    def find_page(self, offset: int) -> int:
        """Return the index of the page that has the character at an offset of `text`."""
        return bisect_right(self.starts, offset) - 1


@dataclass(kw_only=True)
class PageSection:
    """A section of a page; its spans are offsets in the text of the run.

    Attributes:
        page: Index of the page.
        section: The section.
        is_continued: True if the section goes on from the section before it, on the page before.
    """

    page: int
    section: Section
    is_continued: bool


def group_pages(documents: Iterable[Document]) -> Iterator[PageRun]:
    """Yield documents in order; pages of one file that follow each other are one run."""
    group: list[Document] = []
    for document in documents:
        if group and not _is_next_page(group[-1], document):
            yield _create_run(group)
            group = []
        group.append(document)
    if group:
        yield _create_run(group)


def parse_run(run: PageRun) -> list[PageSection]:
    """Return the sections of a run. A sentence that goes on on the next page belongs to the page where it begins."""
    sections: list[PageSection] = []
    for index, (document, start) in enumerate(zip(run.documents, run.starts, strict=True)):
        page_sections = [
            PageSection(page=index, section=_move_section(section, start), is_continued=False)
            for section in parse_sections(document)
        ]
        previous = next((one.section for one in reversed(sections) if one.section.blocks or one.section.heading), None)
        if previous is not None and _is_continuation(previous, page_sections[0].section):
            page_sections[0].is_continued = True
            if previous.blocks:
                _join_open_sentence(run.text, previous, page_sections[0].section, start)
        sections += page_sections
    return sections


def _create_run(documents: Sequence[Document]) -> PageRun:
    lengths = (len(document.page_content) + len(PAGE_BREAK) for document in documents[:-1])
    return PageRun(
        documents=tuple(documents),
        text=PAGE_BREAK.join(document.page_content for document in documents),
        starts=tuple(accumulate(lengths, initial=0)),
    )


def _is_next_page(page: Document, following: Document) -> bool:
    """Return True if two documents are neighbouring pages of one file whose places in its text are known."""
    metadata, other = page.metadata, following.metadata
    start, next_start = _get_start(page), _get_start(following)
    if start is None or next_start != start + len(page.page_content) + len(PAGE_BREAK):
        return False
    has_numbers = isinstance(metadata.get("page"), int) and isinstance(other.get("page"), int)
    return has_numbers and metadata["page"] < other["page"] and _get_shared(metadata) == _get_shared(other)


def _get_start(document: Document) -> int | None:
    start = document.metadata.get("start")
    return start if isinstance(start, int) else None


def _get_shared(metadata: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metadata.items() if name not in _OWN_KEYS}


def _move_section(section: Section, distance: int) -> Section:
    if not distance:
        return section
    return Section(
        section.heading,
        [(start + distance, end + distance) for start, end in section.blocks],
        {start + distance for start in section.line_block_starts},
    )


def _is_continuation(section: Section, following: Section) -> bool:
    """Return True if the first section of a page goes on from the last one of the page before."""
    return bool(following.blocks) and following.heading in ("", section.heading)


def _join_open_sentence(text: str, section: Section, following: Section, page_start: int) -> None:
    """Give the rest of a sentence that crosses a page break to the block in which it begins."""
    first, last = _find_neighbours(text, section, following)
    if first[0] in section.line_block_starts or last[0] in following.line_block_starts:
        return
    start = max(first[0], page_start - _MAX_OPEN_CHARS)
    end = min(last[1], page_start + _MAX_OPEN_CHARS)
    sentence_end = next(
        (start + b for a, b in find_sentences(text[start:end]) if start + a < page_start - len(PAGE_BREAK) < start + b),
        0,
    )
    if sentence_end <= page_start:
        return
    section.blocks = [block for block in section.blocks if block[0] <= first[0]]
    section.blocks[-1] = (first[0], sentence_end)
    rest = [(max(block_start, sentence_end), block_end) for block_start, block_end in following.blocks]
    following.blocks = [(a, b) for a, b in rest if text[a:b].strip()]


def _find_neighbours(text: str, section: Section, following: Section) -> tuple[Span, Span]:
    """Return the blocks before and after a page break; a page number between them is no block."""
    before, after = section.blocks[-2:], following.blocks[:2]
    first = before[0] if len(before) > 1 and is_page_number(text[slice(*before[1])]) else before[-1]
    last = after[1] if len(after) > 1 and is_page_number(text[slice(*after[0])]) else after[0]
    return first, last
