"""Texts as the patterns of quantities read them, with a way back to the offsets of the original."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import cached_property
from typing import NamedTuple

from langchain_gptoss.text.function_words import FUNCTION_WORDS
from langchain_gptoss.text.language import detect_language
from langchain_gptoss.text.normalization import fold_accents, remove_invisible

# Signs that stay, because they mean something beside a number, and signs of the same meaning in one spelling.
_KEPT = "°%‰€$£¥₹½¼¾⅓⅔⅛⅜⅝⅞⁰¹²³⁴⁵⁶⁷⁸⁹⁻×≤≥§µ~≈Ω…"
_SIGNS = {
    **{sign: sign for sign in _KEPT},
    **dict.fromkeys("‐‑‒–−﹣－", "-"),
    **dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000\t", " "
    ),
    **dict.fromkeys("’‘ʼ′＇", "'"),
    "μ": "µ",
    "º": "°",
    "˚": "°",
    "℃": "°C",
    "℉": "°F",
    "№": "n°",
    "⁄": "/",
    "∕": "/",
    **{chr(0x2080 + digit): str(digit) for digit in range(10)},
}
_DES = re.compile(r"\bd[èÈ]s\b", re.IGNORECASE)  # "dès" (from) and "des" (article) differ by the accent only


_WORD = re.compile(r"[^\W\d_]+")
# A line that begins with a small letter or a number continues the sentence; other lines are list items or sentences.
_SPACES = re.compile(r"\*{2,}|_{2,}| {2,}|(?<=[\w,(]) *\r?\n *(?=[a-zà-öø-ÿ€$£]|\d+(?![\d.)]| ?-))")
_DIGIT = re.compile(r"[\d½¼¾⅓⅔⅛⅜⅝⅞]")


class Word(NamedTuple):
    """A word of a folded text in lower case, with its place."""

    text: str
    start: int
    end: int


def split_words(text: str) -> list[Word]:
    """Return the words of a folded text."""
    return [Word(match[0], match.start(), match.end()) for match in _WORD.finditer(text)]


class _Folding(dict[int, str]):
    """Translation table that is filled as characters are met."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        folded = _SIGNS.get(char)
        if folded is None:
            is_invisible = unicodedata.category(char) == "Mn" or not remove_invisible(f" {char}").strip(" ")
            folded = "" if is_invisible and not char.isspace() else fold_accents(char)
        self[code] = folded
        return folded


_FOLDING = _Folding()


class FoldedSentence:
    """A text without accents and invisible characters, in two forms of equal length.

    Args:
        original: The text to fold.

    Attributes:
        cased: The folded text with its capital letters.
        text: The folded text in lower case.
    """

    def __init__(self, original: str) -> None:
        self._original = original
        self._offsets: list[int] | None = None
        self.cased = original.replace("\t", " ") if original.isascii() else self._fold()
        if _SPACES.search(self.cased):
            self._join_spaces()
        lowered = self.cased.lower()
        if len(lowered) != len(self.cased):
            lowered = "".join(char.lower() if len(char.lower()) == 1 else char for char in self.cased)
        self.text = lowered

    def _fold(self) -> str:
        original = self._original
        pieces = [_FOLDING[ord(char)] for char in original]
        for match in _DES.finditer(original):
            pieces[match.start() + 1] = "è"
        if any(len(piece) != 1 for piece in pieces):
            self._offsets = [offset for offset, piece in enumerate(pieces) for _ in piece]
        return "".join(pieces)

    def _join_spaces(self) -> None:
        """Replace runs of spaces, and line breaks within a sentence, by one space; remove marks of bold text."""
        pieces: list[str] = []
        offsets: list[int] = []
        old_offsets = self._offsets or range(len(self.cased))
        done = 0
        for match in _SPACES.finditer(self.cased):
            space = " " if match[0].isspace() else ""
            pieces += (self.cased[done : match.start()], space)
            offsets += [*old_offsets[done : match.start()], *([old_offsets[match.start()]] if space else [])]
            done = match.end()
        self.cased = "".join((*pieces, self.cased[done:]))
        self._offsets = [*offsets, *old_offsets[done:]]

    @cached_property
    def language(self) -> str:
        """The likeliest language of all that are detected, or an empty string."""
        return detect_language(self._original) or ""

    @cached_property
    def main_language(self) -> str:
        """The likelier one of English and French, or an empty string; this is much faster than `language`."""
        english, french = (len(self.vocabulary & FUNCTION_WORDS[language]) for language in ("en", "fr"))
        if english == french:
            return self.language if self.language in ("en", "fr") else ""
        return "en" if english > french else "fr"

    @cached_property
    def words(self) -> Sequence[Word]:
        """The words in order."""
        return split_words(self.text)

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """The different words."""
        return frozenset(word.text for word in self.words)

    @cached_property
    def has_digit(self) -> bool:
        """True if there is a digit or a sign such as "½"."""
        return bool(_DIGIT.search(self.text))

    def get_words(self, text: str) -> list[Word]:
        """Return the words that are not blank in a copy of the text."""
        return [word for word in self.words if text[word.start] != "\0"]

    def find_original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original text that belongs to a span of the folded text."""
        if self._offsets is None:
            return start, end
        return self._offsets[start], self._offsets[end - 1] + 1
