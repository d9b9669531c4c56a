"""Lines of a PDF page: the words of the page as PDFium orders them, line by line, with their places."""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from langchain_gptoss.ingest.readers.pdf.words import LINE_HYPHEN, Box, Word, format_scripts

_SURROGATE = re.compile("[\ud800-\udfff]")
_SAME_LINE_OVERLAP = 0.5  # of the lower one of two boxes
_OTHER_LINE_OVERLAP = 0.3
_MAX_GAP_EMS = 0.6  # between two parts of a line that PDFium has divided
_OVERLAP_EMS = 0.3  # by which italic and kerned text may reach into the next part
_SPACE_EMS = 0.12  # a smaller gap is no space between words


class Line(NamedTuple):
    """A line of a page.

    Attributes:
        text: Its text, which ends with `LINE_HYPHEN` if a hyphen breaks its last word.
        box: Its place.
        words: Its words.
        is_bold: True if it begins in bold.
    """

    text: str
    box: Box
    words: Sequence[Word]
    is_bold: bool = False


@dataclass(frozen=True, kw_only=True)
class PageLines:
    """The lines of a page.

    Attributes:
        lines: The lines, in reading order as far as it is known.
        rotated: Lines of text that runs upwards or downwards.
        raw_text: The text of the page with the words at their offsets.
        width: Width of the page in points.
        height: Height of the page in points.
        is_scan: True if the page has pictures and no text.
    """

    lines: Sequence[Line]
    rotated: Sequence[Line]
    raw_text: str
    width: float
    height: float
    is_scan: bool = False

    def replace_lines(self, lines: Sequence[Line]) -> "PageLines":
        """Return the page with other lines."""
        return replace(self, lines=lines)

    def format_text(self) -> str:
        """Return the text of the page, one line per line."""
        text = "\n".join(line.text for line in (*self.lines, *self.rotated)).replace("\0", "")
        if _SURROGATE.search(text):  # PDFium gives UTF-16 where a wide character has 16 bits
            return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "ignore")
        return text


def get_enclosing_box(boxes: Iterable[Box]) -> Box:
    """Return the smallest box around some boxes, of which there must be one at least."""
    lefts, bottoms, rights, tops = zip(*boxes, strict=True)
    return Box(min(lefts), min(bottoms), max(rights), max(tops))


def create_line(text: str, words: Sequence[Word]) -> Line:
    """Create a line of words that stand side by side on the page.

    Args:
        text: The text of the page.
        words: Words of the page, in the order of the text.
    """
    line = text[words[0].start : words[-1].end]
    return rebuild_line(text, words) if "\n" in line else _create_line(line, words)


def rebuild_line(text: str, words: Sequence[Word]) -> Line:
    """Create a line of words that may stand at different places in the text of the page.

    Args:
        text: The text of the page.
        words: The words from left to right.
    """
    return _create_line("".join(_format_words(text, words)), words)


def _create_line(line: str, words: Sequence[Word]) -> Line:
    return Line(format_scripts(line), get_enclosing_box(word.box for word in words), words)


def _format_words(text: str, words: Sequence[Word]) -> Iterator[str]:
    """Yield words and what stands between them, with a gap's width in place of a line break."""
    for before, word in zip((None, *words[:-1]), words, strict=True):
        if before is not None:
            between = text[before.end : word.start]
            is_gap = word.box.left - before.box.right > _SPACE_EMS * max(word.box.height, before.box.height)
            is_blank = before.end < word.start and between.isspace() and "\n" not in between
            yield between if is_blank else " " if is_gap and before.end != word.start else ""
        yield text[word.start : word.end]


def is_upright(line: Line) -> bool:
    """Return True if most words of a line run from left to right."""
    return 2 * sum(word.is_upright for word in line.words) >= len(line.words)


def find_lines(text: str, words: Sequence[Word]) -> Iterator[Line]:
    """Yield the lines of a page's text: those of PDFium, and lines that it has divided at a superscript as one."""
    line: list[Word] = []
    for word in words:
        if line and _is_line_end(text, line[-1], word):
            yield create_line(text, line)
            line = []
        line.append(word)
    if line:
        yield create_line(text, line)


def _is_line_end(text: str, before: Word, word: Word) -> bool:
    if text[before.end - 1] == LINE_HYPHEN:
        return True
    if "\n" in text[before.end : word.start]:
        return not _can_share_line(before, word)
    if before.box.bottom == word.box.bottom:  # the usual case
        return False
    # PDFium has no line break in some places, such as after a hyphen that is no U+002D.
    return before.is_upright and word.is_upright and _get_overlap(before.box, word.box) < _OTHER_LINE_OVERLAP


def _get_overlap(box: Box, other: Box) -> float:
    """Return the height that two boxes share, as a share of the lower one."""
    height = min(box.height, other.height)
    return (min(box.top, other.top) - max(box.bottom, other.bottom)) / height if height > 0 else 0.0


def _can_share_line(before: Word, word: Word) -> bool:
    if not (before.is_upright and word.is_upright) or _get_overlap(before.box, word.box) < _SAME_LINE_OVERLAP:
        return False
    height = max(before.box.height, word.box.height)
    return -_OVERLAP_EMS * height < word.box.left - before.box.right < _MAX_GAP_EMS * height
