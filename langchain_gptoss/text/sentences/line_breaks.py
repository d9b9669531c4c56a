"""Decide whether a sentence ends at the end of a line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from langchain_gptoss.text.sentences.lines import Line
from langchain_gptoss.text.sentences.punctuation import CANDIDATE, Following, TextEndsError, is_sentence_end

_OPEN_WORDS = frozenset(
    """a an the of by with between for from at and or nor that which who whom whose every each to in on into upon after
    before until during since under within without than as is are was were be been has have had will shall must may can
    not least most its their this these no if per mr mrs dr le la les un une des du de au aux à et ou ni par pour après
    avant depuis pendant contre selon dans sur sous avec sans entre chez vers que qui dont où ce cet cette ces son sa
    ses leur leurs est sont être été ont sera seront doit doivent peut peuvent ne pas plus moins tous toutes chaque en
    m mme art article section page n° no""".split()  # noqa: SIM905 (a list of strings would be a page long)
)
"""Words that cannot be the last ones of a sentence, or hardly ever are."""

_OPEN_END = re.compile(r"(?:[,(\[«“‘/&]|\w[-\u2010]|\b(?:[ldnsjcmLDNSJCM]|[Qq]u)['’])\s*$")
_LAST_WORD = re.compile(r"([^\W_]+°?)\s*$")
_MAX_WORD_CHARS = 30
_PAGE_NUMBER = re.compile(
    r"\s*(?:(?:page|p\.|seite)\s*)?[-–—]?\s*\d{1,4}\s*[-–—]?(?:\s*(?:/|of|sur|de)\s*\d{1,4})?\s*", re.IGNORECASE
)
_MARK = re.compile(r"[.!?…。！？؟।]")
_END = re.compile(r"[.!?…:;。！？][\"'”’»)\]*_\s]*$")
_OPENING = "\"'“‘«([ \u00a0\u202f*_"
_MARKS = "-–—*•>#| "
_MIN_OPEN_CHARS = 25  # a shorter line without punctuation before a blank line is a title
_MIN_OPEN_WORDS = 4
_MIN_BROKEN_WORDS = 3
_MIN_WRAPPED_CHARS = 45  # shorter lines are not wrapped
_MIN_WRAPPED_SHARE = 0.8  # of the longest line of the paragraph
_MAX_LIST_LINE_CHARS = 45  # a line under "You need:" that is not longer is an item
_MAX_TAIL_CHARS = 400  # of a sentence that are looked at
_MAX_TAIL_LINES = 40  # of a paragraph that are looked at


def is_page_number(line: str) -> bool:
    """Return True for a line such as "12", "- 12 -", "Page 3 of 12" or "3/12"."""
    return _PAGE_NUMBER.fullmatch(line) is not None


@dataclass(frozen=True, slots=True)
class LineBreak:
    """The end of a line that another line follows.

    Attributes:
        text: The text.
        lines: Its lines.
        index: Index of the line before the break.
        start: Where the sentence of its last words begins.
        is_complete: False if more text may come.
    """

    text: str
    lines: Sequence[Line]
    index: int
    start: int
    is_complete: bool

    def is_sentence_end(self) -> bool:
        """Return True if the sentence ends at the break.

        Raises:
            TextEndsError: The text ends before the decision is certain.
        """
        line, following = self._before, self._after
        self._require_first_token(following)
        if line.kind not in ("text", "item") or following.kind in ("row", "heading", "code"):
            return True
        if following.kind == "item":
            return not self._is_number_of_sentence()
        if self._is_page_number(self.index + 1):
            return not self._is_continued(self.index + 2)
        if self.start < line.start and self._is_page_number(self.index):
            return False  # the break before the number has decided
        mark = self._find_mark()
        if mark is not None:
            return is_sentence_end(
                self.text, self.start, mark, Following(self.text, following.content, self.is_complete)
            )
        if following.gap:
            return not self._is_continued(self.index + 1)
        return self._is_end_of_paragraph_line()

    @property
    def _before(self) -> Line:
        return self.lines[self.index]

    @property
    def _after(self) -> Line:
        return self.lines[self.index + 1]

    @property
    def _tail(self) -> str:
        """The last characters of the sentence before the break."""
        return self.text[max(self.start, self._before.end - _MAX_TAIL_CHARS) : self._before.end]

    def _require_first_token(self, line: Line) -> None:
        """Raise TextEndsError if the first word of a line may still grow into another kind of line."""
        if self.is_complete or self.text[line.start] in "|#":
            return
        has_token = re.search(r"\S\s", self.text[line.start : line.end + 1])
        if not has_token or not self.text[line.content : line.end].strip():
            raise TextEndsError

    def _find_mark(self) -> re.Match[str] | None:
        """Return the punctuation mark at the end of the line, or None."""
        end = self._before.end
        if not _MARK.search(self.text, max(self.start, end - 20), end):
            return None
        for match in CANDIDATE.finditer(self.text, max(self.start, end - 20), end):
            if not self.text[match.end() : end].strip():
                return match
        return None

    def _is_number_of_sentence(self) -> bool:
        """Return True for "as stated in section / 5. and 6.": the number at the start of the line is no list mark."""
        after, tail = self._after, self._tail
        is_number = after.gap == 0 and self.text[after.content - 2 : after.content - 1] == "." and after.mark == "1."
        return is_number and len(tail) > _MIN_OPEN_CHARS and _is_open(tail)

    def _is_page_number(self, index: int) -> bool:
        """Return True if a line is a page number that was left between two pages."""
        line = self.lines[index]
        if index == 0 or line.kind != "text" or line.end - line.start > _MAX_WORD_CHARS:
            return False
        if not is_page_number(self.text[line.start : line.end]):
            return False
        if index + 1 == len(self.lines):
            return self._report_end() and line.gap > 0
        return line.gap > 0 or self.lines[index + 1].gap > 0

    def _report_end(self) -> bool:
        if not self.is_complete:
            raise TextEndsError
        return True

    def _is_continued(self, index: int) -> bool:
        """Return True if the sentence goes on in a line after a blank line, as on the next page."""
        if index >= len(self.lines):
            return not self._report_end()
        line, tail = self.lines[index], self._tail
        self._require_first_token(line)
        if line.kind != "text" or _END.search(tail[-_MAX_WORD_CHARS:]) or len(tail.split()) < _MIN_OPEN_WORDS:
            return False
        first = self._read_first_character(line)
        if _is_open(tail):
            return first.islower() or not tail.rstrip().endswith(",")
        is_item_without_mark = self.text[self.start : self.start + 10].lstrip(_MARKS)[:1].islower()
        return first.islower() and len(tail) >= _MIN_OPEN_CHARS and not is_item_without_mark

    def _read_first_character(self, line: Line) -> str:
        return self.text[line.content : line.end].lstrip(_OPENING)[:1] or self.text[line.content : line.content + 1]

    def _is_end_of_paragraph_line(self) -> bool:
        tail = self._tail
        if _END.search(tail[-_MAX_WORD_CHARS:]):  # a colon or a semicolon
            return True
        is_open = _is_open(tail)
        is_inside_line = self.start > self._before.content  # another sentence ends in the line, so it is prose
        if is_inside_line and self._read_first_character(self._after).isdigit():
            return False  # "... is 40 mm high. The pump delivers / 31 litres per minute."
        if self._read_first_character(self._after).islower():
            return not is_open and self._is_unmarked_item()
        if is_open and len(tail.split()) >= _MIN_BROKEN_WORDS:
            return tail.rstrip().endswith(",") and len(tail) < _MIN_WRAPPED_CHARS
        return not self._is_wrapped()

    def _is_unmarked_item(self) -> bool:
        """Return True for a short line under a line with a colon: an item without a mark."""
        for index in range(self.index, max(0, self.index - _MAX_TAIL_LINES), -1):
            line, above = self.lines[index], self.lines[index - 1]
            if line.end - line.start >= _MAX_LIST_LINE_CHARS or line.gap or above.kind != "text":
                return False
            if self.text[above.start : above.end].rstrip(" *_\u00a0").endswith(":"):
                return True
        return False

    def _is_wrapped(self) -> bool:
        """Return True if a line was broken at the width of its paragraph, so that the next line continues it."""
        width = self._before.end - self._before.start
        if width < _MIN_WRAPPED_CHARS:
            return False
        first, last = self.index, self.index + 1
        while first > self.index - _MAX_TAIL_LINES and self.lines[first].gap == 0 and first:
            if self.lines[first].kind != "text" or self.lines[first - 1].kind not in ("text", "item"):
                break
            first -= 1
        if last + 1 == len(self.lines):
            self._report_end()
        elif self.lines[last + 1].gap == 0 and self.lines[last + 1].kind == "text":
            self._require_first_token(self.lines[last + 1])
            last += 1
        block = self.lines[first : last + 1]
        if width < _MIN_WRAPPED_SHARE * max(line.end - line.start for line in block[: self.index + 2 - first]):
            return False
        return any(
            self.text[after.content : after.content + 1].islower()
            and not _END.search(self.text, max(one.start, one.end - 20), one.end)
            for one, after in pairwise(block)
        )


def _is_open(tail: str) -> bool:
    """Return True if a sentence cannot end with its last word or mark so far."""
    end = tail[-_MAX_WORD_CHARS:]
    word = _LAST_WORD.search(end)
    return word[1].lower() in _OPEN_WORDS if word else _OPEN_END.search(end) is not None
