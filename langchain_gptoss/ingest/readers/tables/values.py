"""Kinds of cell values, by which names are told from values."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Literal

from langchain_gptoss.ingest.readers.tables.words import CHOICES, NAMES, UNITS

ValueKind = Literal["none", "number", "date", "time", "code", "address", "choice", "text"]
"""Kind of a value. "none" says nothing about its column: an empty cell or "n/a". "code" has letters and digits in one
word, "address" is an e-mail or web address, "choice" is yes, no or a mark."""

_CURRENCY = r"(?:[€$£¥₹]|EUR|USD|GBP|CHF|CAD|JPY)"
_NUMBER = re.compile(
    rf"[-+−–±~≈<>≤≥(]*\s?(?:{_CURRENCY}|k€|M€)?\s?[-+−]?[\d٠-٩][\d.,'’\s]*(?:E[-+]?\d+)?\s?"
    rf"(?:%|‰|[a-zA-Zµ]{{0,2}}{_CURRENCY}|[^\W\d_]{{1,9}}\.?[²³23]?(?:/[^\W\d_]{{1,6}}[²³23]?)?|°\s?[CFcf])?(?:\s?HT|\s?TTC)?\)?",
    re.IGNORECASE,
)
_MONTHS = (
    r"jan(?:uary|vier|v)?|feb(?:ruary)?|f[ée]v(?:rier|r)?|mar(?:ch|s)?|apr(?:il)?|avr(?:il)?|ma[iy]|june?|juin|july?"
    r"|juil(?:let)?|aug(?:ust)?|ao[uû]t|sept?(?:ember|embre)?|oct(?:ober|obre)?|nov(?:ember|embre)?|d[ée]c(?:ember|embre)?"
)
_DATE = re.compile(
    rf"\d{{4}}-\d\d(?:-\d\d)?(?:[T ]\d{{1,2}}:\d\d.*)?|\d{{1,2}}[/.-]\d{{1,2}}[/.-]\d{{2,4}}(?: \d\d?:\d\d.*)?"
    rf"|(?:\w{{2,9}}\.?,? )?\d{{1,2}}(?:st|nd|rd|th|er)?[ -](?:{_MONTHS})\.?(?:,?[ -]\d{{2,4}})?"
    rf"|(?:{_MONTHS})\.?(?: \d{{1,2}}(?:st|nd|rd|th)?,?)?[ -]\d{{2,4}}",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"\d{1,3}(?::[0-5]\d){1,2}(?:\s?[ap]\.?m\.?)?|\d{1,2}\s?h(?:\s?[0-5]\d)?|\d{1,2}\s?[ap]\.?m\.?", re.IGNORECASE
)
_CODE = re.compile(r"(?=[^\s]*\d)(?=[^\s]*[^\W\d_])\S+")
_ADDRESS = re.compile(r"\S+@\S+\.\w+|(?:https?://|www\.)\S+", re.IGNORECASE)
_NONE = frozenset({"", "-", "–", "—", "n/a", "na", "n.a.", "nc", "n.c.", "n/d", "nd", "./.", "?", "…", "...", "#n/a"})
_YEAR = re.compile(r"(?:19|20|21)\d\d")
_PLAIN_NUMBER = re.compile(r"-?\d+(?:[.,]\d+)?")

_NOTE_START = re.compile(
    r"[*†‡¹²³⁽]|\(?\d{1,2}\)\s|\[\d{1,2}\]|page \d|sources? "
    r"|(?:notes?|nb|n\.b\.?|remarques?|sources?|nota|légende|legend)\s?:",
    re.IGNORECASE,
)
_MIN_NOTE_CHARS = 40
_MAX_PHRASE_WORDS = 3
_MIN_COMMON_SHAPE = 0.8


@lru_cache(maxsize=1 << 16)
def classify_value(text: str) -> ValueKind:
    """Return the kind of a cell's text."""
    folded = text.casefold()
    if folded in _NONE:
        return "none"
    if folded in CHOICES:
        return "choice"
    if any(char.isdigit() for char in text[:60]):
        if _TIME.fullmatch(text):
            return "time"
        if _DATE.fullmatch(text):
            return "date"
        if _NUMBER.fullmatch(text):
            return "number"
        if _CODE.fullmatch(text):
            return "address" if _ADDRESS.fullmatch(text) else "code"
        return "text"
    return "address" if _ADDRESS.fullmatch(text) else "text"


def find_common_kind(values: Iterable[str], *, share: float = 0.6) -> ValueKind:
    """Return the kind that at least `share` of the values have; "none" without values, "text" if they differ."""
    counts = Counter(kind for value in values if (kind := classify_value(value)) != "none")
    if not counts:
        return "none"
    kind, count = counts.most_common(1)[0]
    return kind if count >= share * counts.total() else "text"


def is_year(text: str) -> bool:
    """Return True for a year from 1900 to 2199."""
    return _YEAR.fullmatch(text) is not None


def parse_plain_number(text: str) -> float | None:
    """Return the value of a number without unit and grouping, None for other texts."""
    return float(text.replace(",", ".")) if _PLAIN_NUMBER.fullmatch(text) else None


def is_unit(text: str) -> bool:
    """Return True for a unit that stands alone, also in brackets: "kg", "(€)", "in %"."""
    bare = text.strip("()[]").strip().casefold()
    return bare.removeprefix("in ").removeprefix("en ") in UNITS


def is_total(name: str) -> bool:
    """Return True for the first cell of a row with totals."""
    return name.casefold().startswith(("total", "sum", "somme", "sous-total", "subtotal", "grand total"))


def is_note(text: str) -> bool:
    """Return True for a text that comments a table: a sentence, or a text after a footnote mark or "Note:"."""
    if _NOTE_START.match(text):
        return True
    return len(text) >= _MIN_NOTE_CHARS or (text.endswith((".", "!", ";")) and len(text.split()) >= 4)


def describe_shape(text: str) -> tuple[int, bool, bool, bool]:
    """Return the length class of a text, and whether it has digits, a comma, and capital letters in all its words."""
    words = text.split()
    length = 1 if len(words) == 1 else 2 if len(words) <= _MAX_PHRASE_WORDS else 3
    return length, any(map(str.isdigit, text)), "," in text, all(word[:1].isupper() for word in words)


def find_common_shape(values: Iterable[str]) -> tuple[int, bool, bool, bool] | None:
    """Return the shape that almost all values have, None if they differ."""
    counts = Counter(describe_shape(value) for value in values if value)
    if not counts:
        return None
    shape, count = counts.most_common(1)[0]
    return shape if count >= _MIN_COMMON_SHAPE * counts.total() else None


def has_name_word(text: str) -> bool:
    """Return True if one of the first words of a text names columns or fields: "Unit price", "Nom du client"."""
    if any(char.isdigit() for char in text):
        return False  # "4 Quay Street" is an address
    words = re.findall(r"n°|[^\W_]+(?:-[^\W_]+)?", text.casefold()) or [text]
    return any(word in NAMES or (word.endswith("s") and word[:-1] in NAMES) for word in words[:4])
