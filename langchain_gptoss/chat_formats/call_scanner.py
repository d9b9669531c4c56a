"""Separation of an answer into text and places that may be tool calls, while it arrives.

A call stands between marks, in a code fence, or is a JSON object at the beginning of a line. The result depends on the
text alone, and not on the pieces in which it arrives.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from operator import itemgetter
from typing import Literal

from langchain_gptoss.chat_formats.stop_filter import measure_overlap
from langchain_gptoss.chat_formats.tool_notation import CALL_END, CALL_START, PROMPT_NOTATION, ToolNotation

# Marks that models write although the prompt names others.
_COMMON_MARKS = {CALL_START: CALL_END, "<tools>": "</tools>", "<function_call>": "</function_call>"}
_FENCE = "```"
_LINE_OPENING = re.compile(r"^[^\S\n]*(?P<opening>```|[{\[])", re.MULTILINE)
_OPENING_AFTER_CALL = re.compile(r"[\s,;]*(?P<opening>```|[{\[])")
_SEPARATORS = re.compile(r"[\s,;]*")
_PARTIAL_FENCE = re.compile(r"^[^\S\n]*`{1,2}\Z", re.MULTILINE)
_FENCE_LINE = re.compile(r"```\w*\s*")
_OBJECT_START = re.compile(r"(?:\[\s*)?\{\s*(?:\{\s*)?[\"']?")  # some templates show calls in doubled braces
_LIST_START = re.compile(r"\[\s*\Z")
_KEY = re.compile(r"\w*")
# The keys with which the object of a call begins.
_FIRST_KEYS = ("name", "arguments", "parameters", "function", "type", "id")


@dataclass(frozen=True, kw_only=True)
class Segment:
    """A part of an answer.

    Attributes:
        kind: `"text"`, or `"call"` for a place that may hold calls.
        source: The part as the model wrote it.
        body: What stands between the marks of a call.
        opening: The mark of a call, "```" for a code fence, or empty for bare JSON.
        is_complete: False for a call without its end.
    """

    kind: Literal["text", "call"]
    source: str
    body: str = ""
    opening: str = ""
    is_complete: bool = True


class CallScanner:
    """Scanner of one answer; the sources of its segments add up to the answer, except for white space around calls."""

    def __init__(self, notation: ToolNotation = PROMPT_NOTATION) -> None:
        """Create a scanner for the marks of a notation; the usual ones are found in every notation."""
        self._marks = dict(_COMMON_MARKS)
        if notation.opening:
            self._marks[notation.opening] = notation.closing
        self._mark_pattern = re.compile("|".join(map(re.escape, sorted(self._marks, key=len, reverse=True))))
        self._pending = ""
        self._is_line_start = True
        self._is_after_call = False
        self._call: _CallInProgress | None = None

    def feed(self, text: str) -> list[Segment]:
        """Return the segments that this text completes."""
        self._pending += text
        return list(self._scan(is_final=False))

    def close(self) -> list[Segment]:
        """Return the rest of the answer."""
        return list(self._scan(is_final=True))

    def _scan(self, *, is_final: bool) -> Iterator[Segment]:
        while True:
            if self._call is None:
                found = self._find_opening()
                if found is None:
                    break
                position, opening = found
                verdict = self._judge_opening(position, opening)
                if verdict is False or (verdict is None and is_final):
                    yield from self._take_text(position + len(opening))
                    continue
                size = len(self._pending)
                yield from self._take_text_before_call(position)
                if verdict is None:
                    return
                position -= size - len(self._pending)
                self._call = _CallInProgress(position, opening, self._get_closing(opening))
            end = self._call.find_end(self._pending)
            if end is None and not is_final:
                return
            yield self._take_call(self._call, end)
        yield from self._take_text(len(self._pending) if is_final else self._measure_decided(), is_final=is_final)

    def _judge_opening(self, position: int, opening: str) -> bool | None:
        """Return True if what opens here looks like a call, and None if that is not yet decided."""
        if opening in self._marks:
            return True
        text = self._pending[position:]
        if any(mark.startswith(text) for mark in self._marks):
            return None
        return _is_call_start(text)

    def _get_closing(self, opening: str) -> str:
        return _FENCE if opening == _FENCE else self._marks.get(opening, "")

    def _find_opening(self) -> tuple[int, str] | None:
        """Return the position and the text of the first opening of what may be a call."""
        mark = self._mark_pattern.search(self._pending)
        candidates = [(mark.start(), mark[0])] if mark else []
        if self._is_after_call and (after := _OPENING_AFTER_CALL.match(self._pending)):
            candidates.append((after.start("opening"), after["opening"]))
        for line in _LINE_OPENING.finditer(self._pending):
            if line.start() or self._is_line_start:
                candidates.append((line.start("opening"), line["opening"]))
                break
        return min(candidates, key=itemgetter(0), default=None)  # the mark, if both are at one place

    def _take_text(self, size: int, *, is_final: bool = False) -> Iterator[Segment]:
        """Return the beginning of the pending text as text; its white space waits for what follows."""
        text = self._pending[:size]
        if not is_final:
            text = text.rstrip()
        elif self._is_after_call and not text.strip():
            return
        if text:
            self._pending = self._pending[len(text) :]
            self._is_line_start = self._is_after_call = False
            yield Segment(kind="text", source=text)

    def _take_text_before_call(self, size: int) -> Iterator[Segment]:
        """Return the text before a call; its white space stays, as part of the source of the call."""
        if not (self._is_after_call and _SEPARATORS.fullmatch(self._pending[:size])):
            yield from self._take_text(size)

    def _measure_decided(self) -> int:
        """Return the length of the pending text that cannot be the beginning of a call."""
        if self._is_after_call and _SEPARATORS.fullmatch(self._pending):
            return 0
        held = max(measure_overlap(self._pending, mark) for mark in self._marks)
        fence = _PARTIAL_FENCE.search(self._pending)
        if fence and (fence.start() or self._is_line_start or self._is_after_call):
            held = max(held, len(self._pending) - fence.start())
        return len(self._pending) - held

    def _take_call(self, call: "_CallInProgress", end: int | None) -> Segment:
        """Return the call at the beginning of the pending text; None as its end means the end of the answer."""
        size = len(self._pending) if end is None else end + len(call.closing)
        source, self._pending = self._pending[:size], self._pending[size:]
        self._is_line_start = self._is_after_call = True
        self._call = None
        is_marked = call.opening in self._marks
        return Segment(
            kind="call",
            source=source,
            body=source[call.start + len(call.opening) : end] if is_marked else source[call.start :],
            opening=call.opening if call.closing or is_marked else "",
            is_complete=end is not None,
        )


class _CallInProgress:
    """A place that may hold calls, whose end is searched as the text arrives.

    Attributes:
        start: Position of the opening in the pending text.
        opening: A mark, "```", or a bracket of bare JSON.
        closing: The mark that ends the place; empty for bare JSON, and for marks without one.
    """

    def __init__(self, start: int, opening: str, closing: str) -> None:
        self.start, self.opening, self.closing = start, opening, closing
        self._is_json = opening in {"{", "["}
        self._position = start if self._is_json else start + len(opening)
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False
        self._first_closing = -1

    def find_end(self, text: str) -> int | None:
        """Return the end of the body; None if it has not arrived.

        A mark inside a string of the call is part of it, unless another call begins before the string ends: then the
        string has no end.

        Args:
            text: The pending text, which only grows.
        """
        while self._position < len(text):
            if not self._is_json and (end := self._check_marks(text)) is not None:
                return end if end >= 0 else None
            character = text[self._position]
            self._position += 1
            if self._read_character(character):
                return self._position
        return None

    def _check_marks(self, text: str) -> int | None:
        """Return the end if it is decided here, -1 if more text is needed, and None if the body goes on."""
        rest = text[self._position : self._position + max(len(self.opening), len(self.closing))]
        is_new_call = self.opening != _FENCE and rest.startswith(self.opening)
        if is_new_call and (self._first_closing >= 0 or not self.closing):
            return self._first_closing if self.closing else self._position
        if self.closing and rest.startswith(self.closing):
            if not self._is_in_string:
                return self._position
            if self._first_closing < 0:
                self._first_closing = self._position
            return None
        marks = (self.opening, self.closing) if self.opening != _FENCE else (self.closing,)
        is_partial = any(len(rest) < len(mark) and mark.startswith(rest) for mark in marks)
        return -1 if is_partial else None

    def _read_character(self, character: str) -> bool:
        """Advance by one character of JSON; return True if it closes the outermost bracket of bare JSON."""
        if self._is_in_string:
            self._is_in_string = character != '"' or self._is_escaped
            self._is_escaped = character == "\\" and not self._is_escaped
        elif character == '"':
            self._is_in_string = True
        elif character in "{}[]":
            self._depth += 1 if character in "{[" else -1
            return self._is_json and self._depth <= 0
        return False


def _is_call_start(text: str) -> bool | None:
    """Return True if a code fence or JSON begins like a call, and None if that is not yet decided."""
    fence = _FENCE_LINE.match(text)
    rest = text[fence.end() :] if fence else text
    if not rest or _LIST_START.match(rest):
        return None
    start = _OBJECT_START.match(rest)
    if start is None:
        return False
    key = _KEY.match(rest, start.end())
    if key is None or key.end() == len(rest):
        return None if any(name.startswith(key[0] if key else "") for name in _FIRST_KEYS) else False
    return key[0] in _FIRST_KEYS
