"""Text normalization: accents, compatibility forms, invisible characters, spellings of numbers.

Each function serves one purpose, and they differ on purpose:

- `normalize_characters` comes first wherever words are compared: in search, in checks, and in the detection of
  languages. It gives one spelling to what looks the same, and keeps accents and case.
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

_APOSTROPHES = "\u2019\u2018\u02bc\u201b\u2032\u00b4\u02b9\ua78c"
_DOUBLE_QUOTES = "\u201c\u201d\u201e\u201f\u2033\u00ab\u00bb\u2039\u203a"
_HYPHENS = "\u2010\u2011\u2012\u2013\u2212\ufe63\uff0d"
# Characters that Unicode does not decompose into the way people type them.
_TYPED = str.maketrans(
    {"œ": "oe", "Œ": "OE", "æ": "ae", "Æ": "AE", **dict.fromkeys("’‘ʼ", "'"), **dict.fromkeys("‐‑–−", "-")}
)
# Letters of other scripts that look like Latin ones.
_LOOKALIKES = str.maketrans(
    "асеорхуіјѕԁһԛԝкмтвнАВЕКМНОРСТХУІЈЅαονιρτυκΑΒΕΖΗΙΚΜΝΟΡΤΥΧ",
    "aceopxyijsdhqwkmtbhABEKMHOPCTXYIJSaoviptukABEZHIKMNOPTYX",
)

_BROKEN_WORD = re.compile(r"(?<=[^\W\d_])-[ \t]*\r?\n[ \t]*(?=[a-zß-öø-ÿ])")
_GROUPED = re.compile(r"(?<![\d.,])\d{1,3}(?: \d{3})+(?!\d)")
_HOUR = re.compile(r"\b(\d{1,2})\s?h(?:\s?(\d{2}))?\b", re.IGNORECASE)
_SCALED = re.compile(
    r"(?<!\d)(\d+(?:[.,]\d+)?)[ \u00a0\u202f-]?(thousand|mille|millions?|billions?|milliards?)\b", re.IGNORECASE
)
_SCALES = {"thousand": 1000, "mille": 1000, "million": 10**6, "billion": 10**9, "milliard": 10**9}


_MAYBE_INVISIBLE = re.compile(_INVISIBLE.pattern.partition("|(?:")[0] + "|[\u200c\u200d\ufe0e\ufe0f]")


def remove_invisible(text: str) -> str:
    """Return a text without the characters that no reader sees, such as soft hyphens and direction marks."""
    return text if text.isascii() else _INVISIBLE.sub("", text)


class _Spelling(dict[int, str]):
    """Translation table that is filled as characters are met: code point to the spelling for comparisons."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        self[code] = _spell(char)
        return self[code]


def _spell(char: str) -> str:
    """Return one character in the compatibility form that people type, or the character itself."""
    digit = unicodedata.decimal(char, None)
    if digit is not None:
        return str(digit)
    kind = unicodedata.decomposition(char).partition(" ")[0]
    plain = unicodedata.normalize("NFKC", char)
    if kind == "<circle>" and plain.isdigit():
        return f" {plain} "
    # A spacing accent decomposes into a space and a mark.
    is_kept = not kind.startswith("<") or (len(plain) > 1 and plain[0].isspace())
    return char if is_kept else plain.replace("\u2044", "/")


# Vowels that people leave out when they type: Hebrew points, Arabic vowel signs and the Arabic letter stretcher.
_POINTS = [
    *range(0x0591, 0x05BE), 0x05BF, 0x05C1, 0x05C2, 0x05C4, 0x05C5, 0x05C7, *range(0x0610, 0x061B), 0x0640,
    *range(0x064B, 0x0660), 0x0670,
]  # fmt: skip
_SPELLING = _Spelling(
    {
        **{ord(char): "'" for char in _APOSTROPHES},
        **{ord(char): '"' for char in _DOUBLE_QUOTES},
        **{ord(char): "-" for char in _HYPHENS},
        **dict.fromkeys([0x2122, 0x2120, *_POINTS], ""),  # 2122 and 2120 are the marks of trade names
        **{ord(char): "/" for char in "\u2044\u2215"},
        ord("\u0149"): "'n",
        ord("\u2116"): "No ",
        ord("\u2024"): ".",
    }
)
_SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074-\u2079"
_SUPERSCRIPT_NUMBER = re.compile(f"[\u207a\u207b]?[{_SUPERSCRIPTS}]+")
_SUBSCRIPT_AFTER_DIGIT = re.compile("(?<=[0-9])(?=[\u2080-\u2089])")
_SINGLE_FRACTIONS = "\u00bc-\u00be\u2150-\u215e\u2189"
_FRACTION = re.compile(
    "(?:([0-9])[ \u00a0\u2009\u202f]?)?"
    f"(?:([{_SUPERSCRIPTS}]{{1,6}})[\u2044/]([\u2080-\u2089]{{1,6}})|([{_SINGLE_FRACTIONS}]))"
)
_RAISED = re.compile("[\u00b2\u00b3\u00b9\u00bc-\u00be\u2070-\u2089\u2150-\u215e\u2189]")
_BROKEN_AT_SOFT_HYPHEN = re.compile("\u00ad\\s+(?=[^\\W\\d_])")
_BACKTICK = re.compile("(?<=[^\\W\\d_])`(?=[^\\W\\d_])")
_LETTERS_BEFORE = re.compile(r"[^\W\d_]*$")
_DEGREE = re.compile("\u00ba(?=[CF](?![^\\W_]))")  # the ordinal sign in "20 ºC"
_MAX_REPLACED = 40
_MAX_UNIT_LETTERS = 2  # "km²" is "km2", and the ² of "price²" belongs to a footnote
_TYPED_DIGITS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹₀₁₂₃₄₅₆₇₈₉", "+-01234567890123456789")


def normalize_characters(text: str) -> str:
    """Return a text in which everything that looks the same is spelled in the same way; accents and case stay.

    Invisible characters are removed, and a word is joined that a soft hyphen broke. Ligatures, presentation forms,
    full-width characters and the digits of other scripts are written as people type them (NFKC), and so are quotation
    marks, apostrophes, hyphens and spaces. Numbers keep their values: "10⁴" becomes "10^4" and "2½" "2 1/2". The result
    is not meant for people: quotations are taken from the text itself.
    """
    if text.isascii():
        return text
    characters = "".join(set(text))
    if "\u00ad" in characters:
        text = _BROKEN_AT_SOFT_HYPHEN.sub("", text)
    if _MAYBE_INVISIBLE.search(characters):
        text = remove_invisible(text)
    if _RAISED.search(characters):
        text = _FRACTION.sub(_write_fraction, text)
        text = _SUPERSCRIPT_NUMBER.sub(_write_superscript, text)
        text = _SUBSCRIPT_AFTER_DIGIT.sub("_", text)
    if "\u00ba" in characters:
        text = _DEGREE.sub("°", text)
    text = unicodedata.normalize("NFC", _replace_characters(text, _SPELLING))
    return _BACKTICK.sub("'", text) if "`" in characters else text


def _replace_characters(text: str, table: dict[int, str]) -> str:
    """Return `text.translate(table)`, in a tenth of the time for texts with few characters that change."""
    changed = [char for char in set(text) if not char.isascii() and table[ord(char)] != char]
    if len(changed) > _MAX_REPLACED:
        return text.translate(table)
    for char in changed:
        text = text.replace(char, table[ord(char)])
    return text


def _write_fraction(match: re.Match[str]) -> str:
    whole, above, below, single = match.groups()
    fraction = f"{above}/{below}".translate(_TYPED_DIGITS) if above else _SPELLING[ord(single)]
    return f"{whole} {fraction}" if whole else fraction


def _write_superscript(match: re.Match[str]) -> str:
    number = match[0].translate(_TYPED_DIGITS)
    before = match.string[max(0, match.start() - _MAX_UNIT_LETTERS - 1) : match.start()]
    letters = _LETTERS_BEFORE.search(before)
    is_unit = letters is not None and 0 < len(letters[0]) <= _MAX_UNIT_LETTERS
    space = " " if match.string[match.end() : match.end() + 1].isalnum() else ""
    return f"{number}{space}" if is_unit else f"^{number}{space}"


class _AccentFolding(dict[int, str]):
    """Translation table that is filled as characters are met: code point to the character without its accent."""

    def __missing__(self, code: int) -> str:
        char = chr(code)
        base = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
        is_latin = base.isascii() and char.isalpha() and base.isalpha()
        self[code] = base if is_latin or char.isdecimal() else char
        return self[code]


# Letters that Unicode does not separate into a letter and an accent.
_LETTERS = {
    **dict(zip("øØłŁđĐðÐıħĦŧŦ", "oOlLdDdDihHtT", strict=True)),
    **{"ß": "ss", "ẞ": "SS", "þ": "th", "Þ": "Th", "ŋ": "ng", "Ŋ": "Ng"},
}
_FOLDING = _AccentFolding({**_TYPED, **{ord(letter): plain for letter, plain in _LETTERS.items()}})
_MARKS_OF_LATIN = re.compile("(?<=[A-Za-z])[\u0300-\u036f]+")  # accents that no single character has


def fold_accents(text: str) -> str:
    """Return a text without the accents of Latin letters, without ligatures, and with straight apostrophes and hyphens.

    Letters of other scripts stay as they are, and superscripts too. Case stays.
    """
    if text.isascii():
        return text
    return _MARKS_OF_LATIN.sub("", _replace_characters(unicodedata.normalize("NFC", text), _FOLDING))


def fold_for_search(text: str) -> str:
    """Return a text as its words are searched for: normalized, without accents, in lower case."""
    return fold_accents(normalize_characters(text)).lower()


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

    Characters are spelled as by `normalize_characters`, and words that a line end broke are joined. Digits that are
    grouped by spaces are joined ("1 500": "1500"), scales are multiplied out ("2 million": "2000000"), and hours get a
    colon ("10 h 30": "10:30").
    """
    text = normalize_characters(text)
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


def normalize_for_checks(text: str) -> str:
    """Return a text without invisible characters and with words joined that a line end broke.

    Numbers stay as written.
    """
    if not text.isascii():
        text = unicodedata.normalize("NFC", remove_invisible(text))
    return _BROKEN_WORD.sub("", text) if "\n" in text else text
