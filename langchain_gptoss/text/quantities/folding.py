"""Texts as the patterns of quantities read them, with a way back to the offsets of the original."""

from __future__ import annotations

import re
import unicodedata
from functools import cached_property

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
        self.cased = original
        if not original.isascii():
            self.cased = self._fold()
        elif "\t" in original:
            self.cased = original.replace("\t", " ")
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

    @cached_property
    def language(self) -> str:
        """The likeliest language, or an empty string."""
        return detect_language(self._original) or ""

    def find_original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original text that belongs to a span of the folded text."""
        if self._offsets is None:
            return start, end
        return self._offsets[start], self._offsets[end - 1] + 1
