"""Lead-ins: the lines that introduce a list or a table, such as "The warranty does not cover:"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

from langchain_gptoss.text.sentences.lines import Line, is_delimiter_row

Span = tuple[int, int]

_COLON = re.compile(r":[\"'”’»)\]*_\s]*$")
_TERMINATED = re.compile(r"[.!?…。！？][\"'”’»)\]*_\s]*$")
_CONTINUED = re.compile(r"[;,][\s*_]*$")
_ANNOUNCING = re.compile(
    r"\b(?:following|as follows|below|suivant(?:e?s?)|comme suit|ci-dessous|ci-après)\b", re.IGNORECASE
)
_CAPTION = re.compile(r"\W*(?:table|tableau|tab\.)\s*[\dIVX]", re.IGNORECASE)
_RECORD = re.compile(r"[^:;]{1,60}:[^;]*;")
_MAX_TITLE_CHARS = 150  # a longer line without punctuation at its end introduces nothing

_MAX_DEPTH = 6

_LeadKind = Literal["text", "item", "heading", "row"]


@dataclass(slots=True)
class _LeadIn:
    """A line that introduces the lines below it.

    Attributes:
        span: Its span.
        kind: What kind of line it is.
        block: Index of its block.
        indent: Indentation, -1 of everything but items.
        mark: Mark of an item.
        is_flat: True if the items that it introduces have its own mark and indentation.
    """

    span: Span
    kind: _LeadKind
    block: int
    indent: int = -1
    mark: str = ""
    is_flat: bool = False


@dataclass(frozen=True, slots=True)
class _Block:
    """Lines that belong together: a heading, a row, an item or a paragraph with its continued lines.

    Attributes:
        first: Index of its first line.
        last: Index of its last line.
        text: Its last sentence.
        span: Span of its last sentence.
        sentence_count: Number of its sentences.
    """

    first: int
    last: int
    text: str
    span: Span
    sentence_count: int


def find_lead_ins(
    text: str, lines: Sequence[Line], sentences: Sequence[tuple[int, int, int]]
) -> list[tuple[Span, ...]]:
    """Return the lead-ins of each line, outermost first.

    Args:
        text: The text.
        lines: Its lines.
        sentences: Its sentences, with the index of the line in which each begins.
    """
    tracker = _Tracker(text, lines, list(_create_blocks(text, lines, sentences)))
    lead_ins: list[tuple[Span, ...]] = [()] * len(lines)
    for index, block in enumerate(tracker.blocks):
        spans = tracker.read_block(index)
        lead_ins[block.first : block.last + 1] = [spans] * (block.last + 1 - block.first)
    return lead_ins


def can_introduce(paragraph: str, *, is_before_list: bool) -> bool:
    """Return True if the last words of a paragraph introduce what follows.

    Args:
        paragraph: The paragraph.
        is_before_list: True if a list or table follows it.
    """
    end = paragraph.rstrip()[-_MAX_TITLE_CHARS:]
    if _COLON.search(end):
        return True
    if not is_before_list:
        return False
    if _TERMINATED.search(end):
        return _CAPTION.match(paragraph) is not None or _ANNOUNCING.search(end) is not None
    return len(paragraph) <= _MAX_TITLE_CHARS


def is_continued_list(text: str, block: Span, following: Span) -> bool:
    """Return True if a paragraph without a list mark is an item that follows another one: "theft; / fire"."""
    return text[following[0]].islower() or _CONTINUED.search(text[block[0] : block[1]]) is not None


def join_lead_ins(lead_ins: Iterable[str]) -> str:
    """Return lead-ins as one line."""
    return " ".join(" ".join(lead_in.split()) for lead_in in lead_ins)


def _create_blocks(text: str, lines: Sequence[Line], sentences: Sequence[tuple[int, int, int]]) -> Iterator[_Block]:
    sentences_by_line: dict[int, list[Span]] = {}
    for start, end, line_number in sentences:
        sentences_by_line.setdefault(line_number, []).append((start, end))
    first = 0
    for index, line in enumerate(lines):
        if index + 1 < len(lines) and not _is_block_start(text, lines, index + 1, sentences_by_line):
            continue
        spans = [span for number in range(first, index + 1) for span in sentences_by_line.get(number, [])]
        span = spans[-1] if spans else (line.content, line.end)
        yield _Block(first, index, text[span[0] : span[1]], span, len(spans))
        first = index + 1


def _is_block_start(text: str, lines: Sequence[Line], index: int, sentences_by_line: dict[int, list[Span]]) -> bool:
    line, previous = lines[index], lines[index - 1]
    if line.kind != "text" or previous.kind not in ("text", "item"):
        return True
    begins_sentence = any(start <= line.content + 8 for start, _ in sentences_by_line.get(index, ()))
    if not begins_sentence:
        return False
    if (
        line.gap
        or _COLON.search(text, previous.start, previous.end)
        or _CONTINUED.search(text, previous.start, previous.end)
    ):
        return True
    # A sentence that begins in the line below an item belongs to the item only if it is indented.
    is_below_item = previous.kind == "item" and line.indent <= previous.indent
    return is_below_item or not _TERMINATED.search(text, previous.start, previous.end)


@dataclass(slots=True)
class _Tracker:
    """Walks over the blocks of a text and keeps the lead-ins that hold."""

    text: str
    lines: Sequence[Line]
    blocks: list[_Block]
    stack: list[_LeadIn] = field(default_factory=list)
    item: Line | None = None  # the last item, as long as text can continue it
    last_item_block: int = -2

    def read_block(self, index: int) -> tuple[Span, ...]:
        """Return the lead-ins of a block and add it to the lead-ins if it is one."""
        block = self.blocks[index]
        line = self.lines[block.first]
        if line.kind != "row":
            self._remove_table(index)
        if line.kind == "heading":
            return self._read_heading(index, block)
        if line.kind == "row":
            return self._read_row(index, line)
        if line.kind == "item":
            return self._read_item(index, block, line)
        if line.kind == "code":
            return self._get_spans()
        return self._read_text(index, block, line)

    def _get_spans(self) -> tuple[Span, ...]:
        return tuple(lead_in.span for lead_in in self.stack)

    def _remove_table(self, index: int) -> None:
        if any(lead_in.kind == "row" for lead_in in self.stack) or (
            index and self.lines[self.blocks[index - 1].first].kind == "row"
        ):
            self.stack.clear()

    def _read_heading(self, index: int, block: _Block) -> tuple[Span, ...]:
        self.stack.clear()
        self.item = None
        if _COLON.search(block.text):
            self.stack.append(_LeadIn(block.span, "heading", index))
        return ()

    def _read_row(self, index: int, line: Line) -> tuple[Span, ...]:
        self.item = None
        spans = self._get_spans()
        is_head = index + 1 < len(self.blocks) and is_delimiter_row(self.text, self.lines[self.blocks[index + 1].first])
        if is_head:
            self.stack = [lead_in for lead_in in self.stack if lead_in.kind != "row"]
            spans = self._get_spans()
            self.stack.append(_LeadIn(self.blocks[index].span, "row", index))
        return spans

    def _read_item(self, index: int, block: _Block, line: Line) -> tuple[Span, ...]:
        introduces = bool(_COLON.search(block.text)) and not _RECORD.match(block.text)
        while self.stack and self.stack[-1].kind == "item":
            above = self.stack[-1]
            is_sibling = (above.indent, above.mark) == (line.indent, line.mark)
            if is_sibling and above.block == self.last_item_block:
                above.is_flat = True
            if not (above.indent > line.indent or (is_sibling and (not above.is_flat or introduces))):
                break
            self.stack.pop()
        spans = self._get_spans()
        self.item, self.last_item_block = line, index
        if introduces:
            self.stack.append(_LeadIn(block.span, "item", index, line.indent, line.mark))
        return spans

    def _read_text(self, index: int, block: _Block, line: Line) -> tuple[Span, ...]:
        if self.item is not None and line.indent > self.item.indent:
            # A further paragraph of an item. Nested lists may have ended before it.
            while self.stack and self.stack[-1].kind == "item" and self.stack[-1].indent >= line.indent:
                self.stack.pop()
            spans = self._get_spans()
            if _COLON.search(block.text):
                self._add_lead_in(_LeadIn(block.span, "item", index, self.item.indent, self.item.mark))
            return spans
        self.item = None
        if not self._is_unmarked_item(index, block, line):
            self.stack.clear()
        spans = self._get_spans()
        if self._is_lead_in(index, block):
            self._add_lead_in(_LeadIn(block.span, "text", index))
        return spans

    def _add_lead_in(self, lead_in: _LeadIn) -> None:
        if len(self.stack) >= _MAX_DEPTH:  # lines such as "Name:", each of which seems to introduce the next
            self.stack.clear()
        self.stack.append(lead_in)

    def _is_unmarked_item(self, index: int, block: _Block, line: Line) -> bool:
        """Return True for a paragraph or line that a lead-in above introduces."""
        if not self.stack or self.stack[-1].kind not in ("text", "heading"):
            return False
        distance = index - self.stack[-1].block
        if distance == 1:
            return bool(_COLON.search(self.text, *self.stack[-1].span))
        previous = self.blocks[index - 1]
        if self.lines[previous.first].kind != "text":
            return False
        is_small = self.text[line.content].islower()
        if is_small or _CONTINUED.search(previous.text):
            return True
        is_same_paragraph = line.gap == 0 and not _TERMINATED.search(previous.text)
        return is_same_paragraph and block.sentence_count == 1

    def _is_lead_in(self, index: int, block: _Block) -> bool:
        following = self.lines[self.blocks[index + 1].first] if index + 1 < len(self.blocks) else None
        is_before_list = following is not None and following.kind in ("item", "row") and following.gap <= 1
        return can_introduce(block.text, is_before_list=is_before_list)
