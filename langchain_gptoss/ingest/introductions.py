"""Lists and tables with the words that introduce them, such as "The warranty does not cover:"."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from functools import cached_property

from langchain_gptoss.ingest.structure import LIST_ITEM, Span
from langchain_gptoss.text.sentences import find_sentences, find_statements
from langchain_gptoss.text.sentences.lead_ins import can_introduce, is_continued_list, join_lead_ins

_LAST_CHARS = 500  # of a paragraph in which its last sentence is searched first
_NESTED_LEAD_IN = re.compile(r":[*_\s]*[\r\n]")
_COLON_CHARS = 8  # at the end of a paragraph in which a colon is searched
_MAX_INDENT = 40
_HEAD_LINES = 3  # of a table: its head, the line below it, a row


@dataclass(frozen=True)
class Introduction:
    """A list or table together with the sentence before it, if that introduces it.

    Attributes:
        text: The whole text.
        lead_in_start: Where the sentence begins; the start of the first block if none introduces the list.
        blocks: Spans of the paragraph with this sentence, if there is one, and of the items or tables.
        table_starts: Starts of the tables and code blocks among them.
        has_lead_in: True if the first block is the paragraph.
    """

    text: str
    lead_in_start: int
    blocks: Sequence[Span]
    table_starts: Set[int]
    has_lead_in: bool

    @property
    def start(self) -> int:
        """Where the first block begins."""
        return self.blocks[0][0]

    @property
    def end(self) -> int:
        """Where the last block ends."""
        return self.blocks[-1][1]

    def find_lead_in(self, offset: int) -> str:
        """Return the lead-in, from text before an offset, of what stands at this offset."""
        if offset <= self.lead_in_start:
            return ""
        index = bisect_right(self.blocks, offset, key=lambda block: block[0]) - 1
        start, end = self.blocks[index]
        if start in self.table_starts:
            spans = self._find_spans_in_table(start, end, offset)
        elif self.has_lead_in or _NESTED_LEAD_IN.search(self.text, self.lead_in_start, offset):
            spans = self._find_spans_in_list(offset)
        else:
            spans = []
        return join_lead_ins(self.text[start:end] for start, end in spans if end <= offset)

    def _find_spans_in_table(self, start: int, end: int, offset: int) -> list[Span]:
        """Return the sentence before the list or table, and the head of the table."""
        spans = [(self.lead_in_start, self.blocks[0][1])] if self.has_lead_in else []
        if offset == start or "|" not in self.text[start : start + _MAX_INDENT]:
            return spans  # the head of a table follows, and code has none
        head_end = start
        for _ in range(_HEAD_LINES):
            line_end = self.text.find("\n", head_end + 1, end)
            head_end = end if line_end < 0 else line_end
        rows = list(find_statements(self.text[start:head_end]))
        return spans + [(start + first, start + last) for row in rows[-1:] for first, last in row.lead_ins]

    def _find_spans_in_list(self, offset: int) -> list[Span]:
        index = bisect_right(self._list, offset, key=lambda one: one[0])
        return self._list[index][1] if index < len(self._list) else []

    @cached_property
    def _list(self) -> list[tuple[int, list[Span]]]:
        """End of each statement, and its lead-ins."""
        base = self.lead_in_start
        return [
            (base + one.end, [(base + start, base + end) for start, end in one.lead_ins])
            for one in find_statements(self.text[base : self.end])
        ]


class Introductions:
    """The introductions of a text, in order."""

    def __init__(self) -> None:
        self._items: list[Introduction] = []
        self._starts: list[int] = []

    def add(self, introduction: Introduction) -> None:
        """Add the next introduction."""
        self._items.append(introduction)
        self._starts.append(introduction.start)

    def find(self, offset: int) -> Introduction | None:
        """Return the introduction that has the character at an offset, or None."""
        if not self._starts:
            return None
        index = bisect_right(self._starts, offset) - 1
        return self._items[index] if index >= 0 and offset < self._items[index].end else None


def find_introductions(text: str, blocks: Sequence[Span], line_block_starts: Set[int]) -> Iterator[Introduction]:
    """Yield the introductions among the blocks of a section.

    Args:
        text: The text.
        blocks: Blocks of the section.
        line_block_starts: Starts of tables and code blocks.
    """
    is_item = LIST_ITEM.match
    is_listed = [start in line_block_starts or is_item(text, start, end) is not None for start, end in blocks]
    first = 0
    while first < len(blocks):
        last = first + 1
        if is_listed[first]:
            while last < len(blocks) and is_listed[last]:
                last += 1
            yield Introduction(text, blocks[first][0], blocks[first:last], line_block_starts, has_lead_in=False)
        elif _has_lead_in(text, blocks, first, is_listed):
            last += 1
            while last < len(blocks) and (is_listed[last] or is_continued_list(text, blocks[last - 1], blocks[last])):
                last += 1
            lead_in_start = _find_last_sentence(text, *blocks[first])
            yield Introduction(text, lead_in_start, blocks[first:last], line_block_starts, has_lead_in=True)
        first = last


def _has_lead_in(text: str, blocks: Sequence[Span], index: int, is_listed: Sequence[bool]) -> bool:
    start, end = blocks[index]
    is_last = index + 1 == len(blocks)
    if is_last or not (is_listed[index + 1] or ":" in text[max(start, end - _COLON_CHARS) : end]):
        return False
    return can_introduce(text[start:end], is_before_list=is_listed[index + 1])


def _find_last_sentence(text: str, start: int, end: int) -> int:
    """Return where the last sentence of a paragraph begins."""
    window = max(start, end - _LAST_CHARS)
    starts = [window + first for first, _ in find_sentences(text[window:end])]
    if len(starts) < 2 and window > start:
        starts = [start + first for first, _ in find_sentences(text[start:end])]
    return starts[-1] if starts else start
