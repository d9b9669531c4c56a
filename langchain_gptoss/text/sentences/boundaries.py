"""Sentence splitting for English and French prose, lists and tables.

Lines are read first: a heading, a list item and a table row begin a sentence and, but for items that go on in the next
line, end it. A line of text goes on in the next line if its sentence is open: the line break of a PDF, of an e-mail or
of a page does not end it. Within a line, punctuation decides.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise

from langchain_gptoss.text.sentences.lines import Line, parse_lines
from langchain_gptoss.text.sentences.punctuation import CANDIDATE, Following, TextEndsError, is_sentence_end

_LEADING = re.compile(r"(?:[\s|\ufeff]+|[-–—*•>]+(?=\s)|#{1,6}(?=\s)|\(?\d{1,2}[.)](?=\s+[^\W\d]))+")
_TRAILING = " \t\r\n\f\v\u00a0\u202f|"
_MARKS = "-–—*•>#|"

_DANGLING = re.compile(
    r"(?:[,(\[«“‘/&]|\w[-\u2010]|\b(?:a|an|the|of|by|with|between|for|from|at|and|or|nor|that|which|whose|every|each|to|in|on|into|upon"
    r"|under|within|without|than|as|is|are|was|were|be|been|has|have|had|will|shall|must|may|can|not|least|most|its|their"
    r"|this|these|no|if|per|mr|mrs|dr|le|la|les|un|une|des|du|de|au|aux|à|et|ou|ni|par|pour|dans|sur|sous|avec|sans"
    r"|entre|chez|vers|que|qui|dont|où|ce|cet|cette|ces|son|sa|ses|leur|leurs|est|sont|être|été|a|ont|sera|seront|doit"
    r"|doivent|peut|peuvent|ne|pas|plus|tous|toutes|chaque|en|m|mme|art|article|section|page|n°|no|[ldnsjcm]['’]))\s*$",
    re.IGNORECASE,
)
"""An ending that cannot be the end of a sentence."""

_PAGE_NUMBER = re.compile(
    r"\s*(?:(?:page|p\.|seite)\s*)?[-–—]?\s*\d{1,4}\s*[-–—]?(?:\s*(?:/|of|sur|de)\s*\d{1,4})?\s*", re.I
)
_END = re.compile(r"[.!?…:;。！？][\"'”’»)\]*_\s]*$")
_NUMBER_MARKS = ("1.", "1)")
_MIN_OPEN_CHARS = 25  # a shorter line without punctuation before a blank line is a title
_MIN_OPEN_WORDS = 4
_MIN_WRAPPED_CHARS = 45  # shorter lines are not wrapped
_MIN_WRAPPED_SHARE = 0.8  # of the longest line of the paragraph
_MIN_LIST_LINE_CHARS = 45  # a shorter line under "You need:" is an item


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
        elif _is_end_at_line(text, start, lines, index, is_complete):
            yield from _trim(text, start, line.end, first_line)
            start = -1


def _trim(text: str, start: int, end: int, line: int) -> Iterator[tuple[int, int, int]]:
    while end > start and text[end - 1] in _TRAILING:
        end -= 1
    leading = _LEADING.match(text, start, end)
    if leading:
        start = leading.end()
    while start < end and text[start].isspace():
        start += 1
    if end > start and text[start:end].strip(_MARKS + _TRAILING):
        yield start, end, line


def _skip_space(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


_RECORD = re.compile(r"[^:;.!?]{1,40}:[ \u00a0][^;]*;[ \u00a0]+[^:;.!?]{1,40}:[ \u00a0]")


def _is_record(text: str, line: Line, is_complete: bool) -> bool:
    """Return True for a table row as a list item, "Model: E2; Price: 30 €", which is one sentence whatever it says."""
    if line.kind != "item" or ": " not in text[line.content : line.content + 45]:
        return False
    if not is_complete and line.end == len(text):
        raise TextEndsError
    return _RECORD.match(text, line.content, line.end) is not None


def _is_end_at_line(text: str, start: int, lines: Sequence[Line], index: int, is_complete: bool) -> bool:
    """Return True if a sentence ends at the end of a line that another one follows."""
    line, following = lines[index], lines[index + 1]
    if not is_complete:
        _require_first_token(text, following)
    if line.kind not in ("text", "item") or following.kind in ("row", "heading", "code"):
        return True
    sentence = text[start : line.end]
    if following.kind == "item":
        is_number = following.mark in _NUMBER_MARKS and following.gap == 0
        return not (
            is_number
            and text[following.start].isdigit()
            and _DANGLING.search(sentence)
            and len(sentence) > _MIN_OPEN_CHARS
        )
    if following.gap and _is_page_number(text, following):
        return not _is_continued_after_number(text, start, lines, index, is_complete)
    if line.gap and index and _is_page_number(text, line) and start < line.start:
        return False  # the line before has decided
    match = _find_last_candidate(text, start, line.end)
    if match is not None:
        return is_sentence_end(text, start, match, Following(text, following.content, is_complete))
    return _is_end_without_mark(text, start, lines, index, is_complete)


def _is_end_without_mark(text: str, start: int, lines: Sequence[Line], index: int, is_complete: bool) -> bool:
    line, following = lines[index], lines[index + 1]
    sentence = text[start : line.end]
    if _END.search(sentence):  # a colon or a semicolon
        return True
    first = text[following.content :].lstrip("\"'“«( \u00a0")[:1] or text[following.content]
    is_dangling = _DANGLING.search(sentence) is not None
    if following.gap:
        return not _is_continued_paragraph(sentence, first, is_dangling)
    if first.islower():
        return _is_unmarked_item(text, lines, index) and not is_dangling
    if is_dangling and len(sentence) > _MIN_OPEN_CHARS:
        return sentence.rstrip().endswith(",") and len(sentence) < _MIN_WRAPPED_CHARS
    return not _is_wrapped(text, lines, index, is_complete)


def _is_continued_paragraph(sentence: str, first: str, is_dangling: bool) -> bool:
    """Return True if a sentence goes on after a blank line, as at the end of a page."""
    words = len(sentence.split())
    if is_dangling:
        return words >= _MIN_OPEN_WORDS and (first.islower() or not sentence.rstrip().endswith(","))
    return (
        first.islower()
        and words >= _MIN_OPEN_WORDS
        and len(sentence) >= _MIN_OPEN_CHARS
        and not sentence.lstrip(_MARKS + " ")[:1].islower()
    )


def _is_page_number(text: str, line: Line) -> bool:
    return line.kind == "text" and _PAGE_NUMBER.fullmatch(text, line.start, line.end) is not None


def _is_continued_after_number(text: str, start: int, lines: Sequence[Line], index: int, is_complete: bool) -> bool:
    """Return True if a sentence goes on after a blank line and a page number."""
    if index + 2 >= len(lines):
        if not is_complete:
            raise TextEndsError
        return False
    sentence, following = text[start : lines[index].end], lines[index + 2]
    return (
        following.kind == "text"
        and _find_last_candidate(text, start, lines[index].end) is None
        and not _END.search(sentence)
        and _is_continued_paragraph(sentence, text[following.content], _DANGLING.search(sentence) is not None)
    )


def _is_unmarked_item(text: str, lines: Sequence[Line], index: int) -> bool:
    """Return True for a short line under a line with a colon: an item without a mark."""
    line = lines[index]
    if line.kind != "text" or line.end - line.start >= _MIN_LIST_LINE_CHARS:
        return False
    while index and lines[index].gap == 0 and lines[index - 1].kind == "text":
        index -= 1
        if text[lines[index].start : lines[index].end].rstrip(" *_\u00a0").endswith(":"):
            return True
        if lines[index].end - lines[index].start >= _MIN_LIST_LINE_CHARS:
            return False
    return False


def _is_wrapped(text: str, lines: Sequence[Line], index: int, is_complete: bool) -> bool:
    """Return True if a line was broken at the width of its paragraph, so that the next line continues its sentence."""
    line = lines[index]
    if line.end - line.start < _MIN_WRAPPED_CHARS:
        return False
    first = index
    while first and lines[first].gap == 0 and lines[first].kind == "text" and lines[first - 1].kind in ("text", "item"):
        first -= 1
    last = index + 1
    if not is_complete and last + 1 >= len(lines):
        raise TextEndsError
    if last + 1 < len(lines) and lines[last + 1].gap == 0 and lines[last + 1].kind == "text":
        last += 1
    block = lines[first : last + 1]
    widest = max(other.end - other.start for other in block[: index + 2 - first])
    if line.end - line.start < _MIN_WRAPPED_SHARE * widest:
        return False
    return any(
        text[after.content].islower() and not _END.search(text, one.start, one.end) for one, after in pairwise(block)
    )


def _find_last_candidate(text: str, start: int, end: int) -> re.Match[str] | None:
    """Return the candidate at the end of a line, or None."""
    for match in CANDIDATE.finditer(text, max(start, end - 20), end):
        if match.end() == end or not text[match.end() : end].strip():
            return match
    return None


def _require_first_token(text: str, line: Line) -> None:
    """Raise TextEndsError if the first word of a line may still grow into another kind of line."""
    if text[line.start] not in "|#" and not re.search(r"\S\s", text[line.start : line.end + 1]):
        raise TextEndsError
