"""Text normalization: accents, compatibility forms, invisible characters, spellings of numbers.

Each function serves one purpose, and they differ on purpose:

- `fold_accents` is for comparing and searching words. It changes Latin letters only, because a mark can make another
  letter in other scripts.
- `fold_for_rules` and `FoldedText` are for patterns that must be hard to evade. They remove the marks of every script.
- `normalize_prose` keeps accents and repairs what page layout does to words and numbers.
"""

from __future__ import annotations

import re
import unicodedata

# Characters that no reader sees: zero-width and filler characters, marks and overrides of direction, tags, and the
# variation selectors that text never needs. The joiners (200C, 200D) and the selectors FE0E and FE0F are invisible
# after a Latin letter, a space, or another of their kind, and at the beginning of a text: they join nothing there.
_INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\u3164"
    "\ufe00-\ufe0d\ufeff\uffa0\ufff0-\ufffb\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
    "|(?:(?<![^\\s\u0000-\u024f\u200c\u200d\ufe0e\ufe0f])[\u200c\u200d\ufe0e\ufe0f])+"
)

# Characters that Unicode does not decompose into the way people type them.
_TYPED = str.maketrans({"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", "’": "'", "‘": "'", "ʼ": "'", "‑": "-", "–": "-"})
# Letters of other scripts that look like Latin ones.
_LOOKALIKES = str.maketrans(
    "асеорхуіјѕԁһԛԝкмтвнАВЕКМНОРСТХУІЈЅαονιρτυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aceopxyijsdhqwkmtbhABEKMHOPCTXYIJSaoviptukABEZHIKMNOPTYX",
)

_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-[ \t]*\r?\n[ \t]*(?=[a-zß-öø-ÿ])")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?:[ \u00a0\u202f]\d{3})+(?!\d)")
_HOUR = re.compile(r"\b(\d{1,2})\s?h(?:\s?(\d{2}))?\b", re.IGNORECASE)
_SCALED = re.compile(
    r"(\d+(?:[.,]\d+)?)[ \u00a0\u202f-]?(thousand|mille|millions?|billions?|milliards?)\b", re.IGNORECASE
)
_SCALES = {"thousand": 1000, "mille": 1000, "million": 10**6, "billion": 10**9, "milliard": 10**9}


def remove_invisible(text: str) -> str:
    """Return a text without the characters that no reader sees, such as soft hyphens and direction marks."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


class _AccentFolding(dict[int, str]):
    """Translation table that is filled as characters are met: code point to the character without its accent."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        base = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
        is_latin = base.isascii() and (len(base) == 1 or (len(base) > 1 and char.isalpha()))
        self[code] = base if is_latin else char
        return self[code]


_FOLDING = _AccentFolding({**_TYPED, ord("ß"): "ss"})


def fold_accents(text: str) -> str:
    """Return a text without the accents of Latin letters, without ligatures, and with straight apostrophes and hyphens.

    Letters of other scripts stay as they are. Case stays too.
    """
    return text if text.isascii() else unicodedata.normalize("NFC", text).translate(_FOLDING)


def _remove_marks(text: str) -> str:
    """Return a text in compatibility form (NFKD) without the marks of any script."""
    decomposed = unicodedata.normalize("NFKD", text.translate(_TYPED))
    return "".join(char for char in decomposed if unicodedata.category(char) != "Mn")


def fold_for_rules(text: str) -> str:
    """Return a text as the rules of a domain read it.

    Accents and invisible characters are removed, apostrophes and hyphens are straight, and white space is one space.
    Letters keep their case; compile the patterns with `re.IGNORECASE`.
    """
    visible = (char for char in _remove_marks(text) if unicodedata.category(char) != "Cf")
    return re.sub(r"\s+", " ", "".join(visible))


def fold_pattern(pattern: str) -> str:
    """Return a regular expression that matches texts folded by `fold_for_rules`.

    White space stays, because it can be part of groups and repetitions.
    """
    return _remove_marks(pattern)


class FoldedText:
    """A text in the form in which patterns are matched, with a way back to the offsets of the original.

    It is in lower case, without accents and without invisible characters. Lookalikes (full-width, mathematical,
    Cyrillic and Greek letters) are written in Latin, so that the pattern "ignore" finds "ｉgnоre".

    Args:
        original: The text to fold.

    Attributes:
        text: The folded text.
    """

    def __init__(self, original: str) -> None:
        pieces: list[str] = []
        offsets: list[int] = []
        invisible = {offset for match in _INVISIBLE.finditer(original) for offset in range(*match.span())}
        for offset, character in enumerate(original):
            if offset in invisible:
                continue
            folded = character if character.isascii() else _fold_character(character)
            pieces.append(folded)
            offsets += [offset] * len(folded)
        self.text = "".join(pieces).lower()
        if len(self.text) != len(offsets):  # offsets matter more than case; no character is known to grow here
            self.text = "".join(pieces)
        self._offsets = [*offsets, len(original)]

    def find_original_span(self, start: int, end: int) -> tuple[int, int]:
        """Return the span in the original text that belongs to a span of the folded text."""
        return self._offsets[start], (self._offsets[end - 1] + 1 if end > start else self._offsets[start])


def _fold_character(character: str) -> str:
    if character.isspace():
        return "\n" if character in "\u0085\u2028\u2029" else " "
    return _remove_marks(character).translate(_LOOKALIKES).lower()


def normalize_prose(text: str) -> str:
    """Return a text with its words and numbers in one spelling; accents and case stay.

    Invisible characters are removed, and words that a line end broke are joined. Digits that are grouped by spaces are
    joined ("1 500": "1500"), scales are multiplied out ("2 million": "2000000"), and hours get a colon ("10 h 30":
    "10:30").
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", remove_invisible(text))
    if "\n" in text:
        text = _BROKEN_WORD.sub("", text)
    if not any(map(str.isdecimal, text)):
        return text
    text = _GROUPED.sub(lambda match: re.sub(r"\D", "", match[0]), text)
    text = _SCALED.sub(_multiply_out, text)
    return _HOUR.sub(lambda match: f"{match[1]}:{match[2] or '00'}", text)


def _multiply_out(match: re.Match[str]) -> str:
    value = float(match[1].replace(",", ".")) * _SCALES[match[2].lower().removesuffix("s")]
    return str(int(value)) if value.is_integer() else match[0]


def normalize_number(number: str) -> str:
    """Return a number with a decimal point, without thousands separators and trailing zeros: "12,90" becomes "12.9"."""
    text = re.sub(r",(?=\d{3}(?:\D|$))", "", number).replace(",", ".")
    return text.rstrip("0").rstrip(".") if re.fullmatch(r"\d+\.\d+", text) else text
