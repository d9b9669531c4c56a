"""Sentence splitting for English and French prose, lists and tables.

Lines are read first: a heading, a list item and a table row begin a sentence and, but for items that go on in the next
line, end it. A line of text goes on in the next line if its sentence is open: the line break of a PDF, of an e-mail or
of a page does not end it. Within a line, punctuation decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from langchain_gptoss.text.sentences.line_breaks import LineBreak
from langchain_gptoss.text.sentences.lines import Line, parse_lines
from langchain_gptoss.text.sentences.punctuation import CANDIDATE, Following, TextEndsError, is_sentence_end

_LEADING = re.compile(r"(?:[\s|\ufeff]+|[-–—*•>]+(?=\s)|#{1,6}(?=\s)|\(?\d{1,2}[.)](?=\s+[^\W\d]))+")
_MARKS = "-–—*•>#|"
_RECORD = re.compile(r"[^:;.!?]{1,40}:[ \u00a0][^;]*;[ \u00a0]+[^:;.!?]{1,40}:[ \u00a0]")


def find_sentences(text: str, *, is_complete: bool = True) -> Iterator[tuple[int, int]]:
    """Yield the span of each sentence, list item or table row of a text.

    `text[start:end]` is a sentence without white space, list marks and cell borders at its ends.

    Args:
        text: The text.
        is_complete: False if the text is the beginning of a longer one. Only sentences that the rest cannot change are
            yielded then: a sentence whose last word may be an abbreviation waits for the next words.
    """
    for start, end, _ in find_sentences_with_lines(text, list(parse_lines(text)), is_complete=is_complete):
        yield start, end


def find_sentences_with_lines(
    text: str, lines: Sequence[Line], *, is_complete: bool = True
) -> Iterator[tuple[int, int, int]]:
    """Yield the span of each sentence and the index of the line in which it begins; see `find_sentences`."""
    try:
        yield from _find_sentences(text, lines, is_complete)
    except TextEndsError:
        return


def _find_sentences(text: str, lines: Sequence[Line], is_complete: bool) -> Iterator[tuple[int, int, int]]:
    start, first_line = -1, 0
    for index, line in enumerate(lines):
        if start < 0:
            start, first_line = line.content, index
        if line.kind in ("text", "item"):
            whole_row = None
            for match in CANDIDATE.finditer(text, max(start, line.content), line.end):
                if match.end() == line.end:
                    break  # the next line decides
                if whole_row is None:
                    whole_row = _is_record(text, line, is_complete)
                if whole_row:
                    break
                following = Following(text, _skip_space(text, match.end()), is_complete)
                if is_sentence_end(text, start, match, following):
                    yield from _trim(text, start, match.end(), first_line)
                    start, first_line = match.end(), index
        if index + 1 == len(lines):
            if is_complete:
                yield from _trim(text, start, line.end, first_line)
        elif LineBreak(text, lines, index, start, is_complete).is_sentence_end():
            yield from _trim(text, start, line.end, first_line)
            start = -1


def _trim(text: str, start: int, end: int, line: int) -> Iterator[tuple[int, int, int]]:
    while end > start and (text[end - 1].isspace() or text[end - 1] == "|"):
        end -= 1
    leading = _LEADING.match(text, start, end)
    if leading:
        start = leading.end()
    while start < end and text[start].isspace():
        start += 1
    if any(not character.isspace() and character not in _MARKS for character in text[start:end]):
        yield start, end, line


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _is_record(text: str, line: Line, is_complete: bool) -> bool:
    """Return True for a table row as a list item, "Model: E2; Price: 30 €", which is one sentence whatever it says."""
    if line.kind != "item" or ": " not in text[line.content : line.content + 45]:
        return False
    if not is_complete and line.end == len(text):
        raise TextEndsError
    return _RECORD.match(text, line.content, line.end) is not None
