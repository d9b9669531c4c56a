"""Words of a PDF page with their places, as PDFium reports them."""

import re
from ctypes import byref, create_string_buffer
from typing import Any, NamedTuple

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.notation import format_subscript, format_superscript

LINE_HYPHEN = "\ufffe"
"""Character that PDFium writes for a hyphen at the end of a line, in place of the hyphen and the line break."""

_HYPHEN_CODE = 2  # code that PDFium gives such a hyphen among the characters

_WORD = re.compile(f"[^\\s{LINE_HYPHEN}]+{LINE_HYPHEN}?|{LINE_HYPHEN}")
_DIGIT_INSIDE = re.compile(r"\S\d|\d[^\W\d_]")
# Private characters that stand for raised and lowered ones until the text of their line is known.
_SCRIPT_CHARS = "0123456789+-−"
_RAISED = {ord(char): 0xF0100 + place for place, char in enumerate(_SCRIPT_CHARS)}
_LOWERED = {ord(char): 0xF0200 + place for place, char in enumerate(_SCRIPT_CHARS)}
_PLAIN = {code: char for codes in (_RAISED, _LOWERED) for char, code in codes.items()}
_SCRIPTS = re.compile("([\U000f0100-\U000f010f]+)|[\U000f0200-\U000f020f]+")
_BOLD = re.compile(rb"bold|black|heavy|(?<![a-z])demi", re.IGNORECASE)
_MAX_FONT_NAME_BYTES = 128
_SMALL_SHARE = 0.9  # superscripts and subscripts are set at 58 to 83 % of the size of the text
# Share of the text's height by which their lower edge is moved at least. A small character on the baseline of the
# text is moved up by 0.08 at most, because its descent is small too.
_RAISED_SHARE, _LOWERED_SHARE = 0.12, 0.03
_MAX_SHIFT_SHARE = 0.8  # what is moved further stands on another line


class Box(NamedTuple):
    """Rectangle on a page in points, from the lower left corner of the page as it is shown."""

    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        """Height in points, which is about the font size for a box of one line."""
        return self.top - self.bottom


class Word(NamedTuple):
    """Part of a page's text without white space.

    A word that ends with `LINE_HYPHEN` is the last of its line.

    Attributes:
        start: Offset of its first character in the page's text.
        end: Offset after its last character.
        box: Its place.
        is_upright: False for text that runs upwards or downwards.
    """

    start: int
    end: int
    box: Box
    is_upright: bool


class CharBoxes:
    """Boxes of the characters of a page. They include the ascent and descent of the font, whatever the letter.

    Args:
        page: An open `pypdfium2.PdfPage`.
        text_page: Its `pypdfium2.PdfTextPage`.
    """

    def __init__(self, page: Any, text_page: Any) -> None:
        raw = require("pypdfium2.raw", extra="rag")
        self._rect = raw.FS_RECTF()
        self._reference = byref(self._rect)
        self._get = raw.FPDFText_GetLooseCharBox
        self._text_page = text_page.raw
        self._get_font = raw.FPDFText_GetFontInfo
        self._font_name = create_string_buffer(_MAX_FONT_NAME_BYTES)
        self._left, self._bottom, self._right, self._top = page.get_cropbox()
        self._rotation = page.get_rotation()
        self._is_plain = not (self._rotation or self._left or self._bottom)

    def __getitem__(self, index: int) -> Box:
        self._get(self._text_page, index, self._reference)
        rect = self._rect
        if self._is_plain:
            return Box(rect.left, rect.bottom, rect.right, rect.top)
        left, bottom = rect.left - self._left, rect.bottom - self._bottom
        right, top = rect.right - self._left, rect.top - self._bottom
        width, height = self._right - self._left, self._top - self._bottom
        if self._rotation == 90:
            return Box(bottom, width - right, top, width - left)
        if self._rotation == 180:
            return Box(width - right, height - top, width - left, height - bottom)
        if self._rotation == 270:
            return Box(height - top, left, height - bottom, right)
        return Box(left, bottom, right, top)

    def measure_word(self, start: int, end: int) -> Word:
        """Return the word at some offsets, which is measured by its first and its last character."""
        if not self._is_plain:
            return _create_word(start, end, self[start], self[end - 1])
        # Most of the time that reading a page takes is spent here.
        rect = self._rect
        self._get(self._text_page, start, self._reference)
        left, bottom, right, top = rect.left, rect.bottom, rect.right, rect.top
        if end - start > 1:
            self._get(self._text_page, end - 1, self._reference)
            if rect.bottom != bottom or rect.top != top or rect.left < left:
                last = Box(rect.left, rect.bottom, rect.right, rect.top)
                return _create_word(start, end, Box(left, bottom, right, top), last)
            right = rect.right
        return Word(start, end, Box(left, bottom, right, top), True)

    def has_one_height(self, start: int, end: int) -> bool:
        """Return True if some characters have the same lower and upper edge."""
        edges = set()
        for index in range(start, end):
            self._get(self._text_page, index, self._reference)
            edges.add((self._rect.bottom, self._rect.top))
        return len(edges) == 1 and self._is_plain

    def is_bold(self, index: int) -> bool:
        """Return True if the name of a character's font says that it is bold."""
        size = self._get_font(self._text_page, index, self._font_name, _MAX_FONT_NAME_BYTES, None)
        return 0 < size <= _MAX_FONT_NAME_BYTES and bool(_BOLD.search(self._font_name.value))


def read_characters(text_page: Any) -> str:
    """Return the text of a page with one character per character of PDFium.

    Args:
        text_page: An open `pypdfium2.PdfTextPage`.
    """
    text: str = text_page.get_text_range()
    count = text_page.count_chars()
    if len(text) == count:
        return text
    # PDFium leaves characters without a code out of the text, but counts them.
    raw = require("pypdfium2.raw", extra="rag")
    codes = [raw.FPDFText_GetUnicode(text_page.raw, index) for index in range(count)]
    return "".join(LINE_HYPHEN if code == _HYPHEN_CODE else chr(code) for code in codes)


def find_words(text: str, boxes: CharBoxes) -> list[Word]:
    """Return the words of a page's text in the order of the text.

    Args:
        text: The text of the page; one character per box.
        boxes: The boxes of its characters.
    """
    return [boxes.measure_word(*match.span()) for match in _WORD.finditer(text)]


def _create_word(start: int, end: int, first: Box, last: Box) -> Word:
    is_upright = last.left >= first.left - 1 and abs(last.bottom - first.bottom) < max(first.height, last.height)
    box = Box(
        min(first.left, last.left),
        min(first.bottom, last.bottom),
        max(first.right, last.right),
        max(first.top, last.top),
    )
    return Word(start, end, box, is_upright)


def mark_scripts(text: str, words: list[Word], boxes: CharBoxes) -> str:
    """Return a page's text with private characters in place of raised and lowered digits.

    Every character keeps its offset. `format_scripts` writes them.
    """
    changed: dict[int, str] = {}
    for number, word in enumerate(words):
        part = text[word.start : word.end]
        if not word.is_upright:
            continue
        if _DIGIT_INSIDE.search(part):
            changed.update(_find_scripts(part, word, boxes))
        elif part.isdecimal():
            neighbours = (words[place].box for place in (number - 1, number + 1) if 0 <= place < len(words))
            base = next((box for box in neighbours if _is_beside(word.box, box)), word.box)
            changed.update(zip(range(word.start, word.end), convert_script(part, word.box, base), strict=True))
    if not changed:
        return text
    return "".join(changed.get(index, char) for index, char in enumerate(text))


def _is_beside(box: Box, other: Box) -> bool:
    """Return True if there is at most half a height between two boxes of a line."""
    gap = max(box.left - other.right, other.left - box.right)
    return abs(2 * gap) < other.height and box.bottom < other.top and other.bottom < box.top


def _find_scripts(part: str, word: Word, boxes: CharBoxes) -> dict[int, str]:
    if boxes.has_one_height(word.start, word.end):
        return {}
    places = [boxes[index] for index in range(word.start, word.end)]
    base = max(places, key=lambda place: place.height)
    return {
        word.start + offset: script
        for offset, (char, place) in enumerate(zip(part, places, strict=True))
        if (script := convert_script(char, place, base)) != char
    }


def convert_script(text: str, place: Box, base: Box) -> str:
    """Return digits as private characters if they are small and stand higher or lower than the text beside them.

    Args:
        text: Text of one height.
        place: Its place.
        base: The place of the text beside it.
    """
    if not place.height or place.height > _SMALL_SHARE * base.height:
        return text
    shift = (place.bottom - base.bottom) / base.height
    if abs(shift) > _MAX_SHIFT_SHARE:
        return text
    if shift > _RAISED_SHARE:
        return text.translate(_RAISED)
    return text.translate(_LOWERED) if shift < -_LOWERED_SHARE else text


def format_scripts(line: str) -> str:
    """Return a line with its superscripts, subscripts and note marks in plain text: "10^4", "m²", "30 € [1]"."""
    before, position = "", 0
    for match in _SCRIPTS.finditer(line):
        before += line[position : match.start()]
        script, after = match[0].translate(_PLAIN), line[match.end() :]
        formatted = format_superscript(script, before, after) if match[1] else format_subscript(script, before)
        before += f"{formatted} " if formatted.endswith("]") and after[:1].isalnum() else formatted
        position = match.end()
    return before + line[position:]
