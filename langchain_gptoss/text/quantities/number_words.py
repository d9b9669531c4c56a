"""Number words in English and French, up to billions, and ordinals in words."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import Word

_SMALL_LINES = {
    "en": """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
    seventeen eighteen nineteen""",
    "fr": "zero un deux trois quatre cinq six sept huit neuf dix onze douze treize quatorze quinze seize",
}
_SMALL = {word: value for line in _SMALL_LINES.values() for value, word in enumerate(line.split())} | {"une": 1}
_TENS = {
    "twenty": 20,
    "thirty": 30,
    "forty": 40,
    "fourty": 40,
    "fifty": 50,
    "sixty": 60,
    "seventy": 70,
    "eighty": 80,
    "ninety": 90,
    "vingt": 20,
    "vingts": 20,
    "trente": 30,
    "quarante": 40,
    "cinquante": 50,
    "soixante": 60,
    "septante": 70,
    "huitante": 80,
    "octante": 80,
    "nonante": 90,
}
_HUNDREDS = frozenset({"hundred", "cent", "cents"})
_SCALES = {
    "thousand": 1000,
    "mille": 1000,
    "million": 10**6,
    "millions": 10**6,
    "billion": 10**9,
    "billions": 10**9,
    "milliard": 10**9,
    "milliards": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "lakhs": 10**5,
    "crore": 10**7,
    "crores": 10**7,
}
_FRENCH = (
    frozenset(_SMALL_LINES["fr"].split()[1:]) - {"six"}
    | {"une", "mille", "cents", "vingts"}
    | {word for word in _TENS if word.endswith(("e", "t")) and word != "eight"}
)
_STARTS = frozenset({*_SMALL, *_TENS, "cent", "mille"})
NUMBER_WORDS = frozenset({*_STARTS, *_HUNDREDS, *_SCALES})

_ORDINAL_SMALL = {
    "first": 1,
    "second": 2,
    "seconde": 2,
    "third": 3,
    "fourth": 4,
    "fifth": 5,
    "sixth": 6,
    "seventh": 7,
    "eighth": 8,
    "ninth": 9,
    "tenth": 10,
    "eleventh": 11,
    "twelfth": 12,
    "thirteenth": 13,
    "fourteenth": 14,
    "fifteenth": 15,
    "sixteenth": 16,
    "seventeenth": 17,
    "eighteenth": 18,
    "nineteenth": 19,
    "twentieth": 20,
    "thirtieth": 30,
    "fortieth": 40,
    "fiftieth": 50,
    "sixtieth": 60,
    "seventieth": 70,
    "eightieth": 80,
    "ninetieth": 90,
    "hundredth": 100,
    "premier": 1,
    "premiere": 1,
    "premiers": 1,
    "premieres": 1,
    "unieme": 1,
    "quatrieme": 4,
    "cinquieme": 5,
    "neuvieme": 9,
    "onzieme": 11,
    "douzieme": 12,
    "treizieme": 13,
    "quatorzieme": 14,
    "quinzieme": 15,
    "seizieme": 16,
    "trentieme": 30,
    "quarantieme": 40,
    "cinquantieme": 50,
    "soixantieme": 60,
    "centieme": 100,
    **{
        (f"{word}ieme"): _SMALL.get(word) or _TENS[word]
        for word in ["deux", "trois", "six", "sept", "huit", "dix", "vingt"]
    },
}
ORDINAL_WORDS = frozenset({*_ORDINAL_SMALL, *(f"{word}s" for word in _ORDINAL_SMALL if word.endswith("ieme"))})
_DENOMINATORS = {
    "half": 2,
    "halves": 2,
    "third": 3,
    "thirds": 3,
    "quarter": 4,
    "quarters": 4,
    "fourths": 4,
    "fifth": 5,
    "fifths": 5,
    "sixths": 6,
    "eighths": 8,
    "tenth": 10,
    "tenths": 10,
    "demi": 2,
    "demie": 2,
    "tiers": 3,
    "quart": 4,
    "quarts": 4,
    "cinquieme": 5,
    "cinquiemes": 5,
    "sixieme": 6,
    "sixiemes": 6,
    "dixieme": 10,
    "dixiemes": 10,
}
COLLECTIVES = {
    "dozen": (12, False),
    "dozens": (12, False),
    "douzaine": (12, False),
    "douzaines": (12, False),
    "huitaine": (8, True),
    "dizaine": (10, True),
    "dizaines": (10, True),
    "quinzaine": (15, True),
    "vingtaine": (20, True),
    "trentaine": (30, True),
    "quarantaine": (40, True),
    "cinquantaine": (50, True),
    "soixantaine": (60, True),
    "centaine": (100, True),
    "centaines": (100, True),
    "millier": (1000, True),
}
"""Nouns that count: their value, and whether they mean "about"."""
_SPECIAL = frozenset({"a", "an", "half", "un", "une", "moitie"})
FIRST_WORDS = _STARTS | ORDINAL_WORDS | _SPECIAL
"""Words with which a number in words begins."""
_JOINED = re.compile(r"[ ]?-[ ]?|[ ]")


@dataclass(frozen=True, kw_only=True)
class NumberPhrase:
    """A number in words.

    Attributes:
        value: The number.
        last: Index of its last word.
        is_ordinal: True for "twenty-first".
        is_fraction: True for "two thirds".
        is_approximate: True for "une vingtaine".
        is_article: True for "un", "une" and "one" alone.
        scale: Factor of a final "million".
    """

    value: Fraction
    last: int
    is_ordinal: bool = False
    is_fraction: bool = False
    is_approximate: bool = False
    is_article: bool = False
    scale: Fraction = Fraction(1)


def parse_number_words(text: str, words: Sequence[Word], first: int) -> NumberPhrase | None:
    """Return the number in words that begins at a word, or None.

    Args:
        text: The folded text in lower case.
        words: Its words.
        first: Index of the word.
    """
    word = words[first].text
    if word not in FIRST_WORDS:
        return None
    if word in _SPECIAL:
        phrase = _parse_special(text, words, first)
        if phrase is not None:
            return phrase
    if word in ORDINAL_WORDS:
        return NumberPhrase(value=Fraction(_read_ordinal(word)), last=first, is_ordinal=True)
    if word not in _STARTS:
        return None
    return _parse_cardinal(text, words, first)


def _read_ordinal(word: str) -> int:
    return _ORDINAL_SMALL.get(word) or _ORDINAL_SMALL[word.removesuffix("s")]


def _is_joined(text: str, words: Sequence[Word], index: int) -> bool:
    """Return True if only a space or a hyphen separates a word from the one before."""
    return 0 < index < len(words) and bool(_JOINED.fullmatch(text, words[index - 1].end, words[index].start))


def _parse_special(text: str, words: Sequence[Word], first: int) -> NumberPhrase | None:
    """Return "a hundred", "half a million", "un quart", "la moitié", or None."""
    word = words[first].text
    following = words[first + 1].text if _is_joined(text, words, first + 1) else ""
    if word == "half" and following in ("a", "an") and _is_joined(text, words, first + 2):
        third = words[first + 2].text
        if third in ("million", "billion", "dozen"):
            value = Fraction(COLLECTIVES["dozen"][0] if third == "dozen" else _SCALES[third], 2)
            return NumberPhrase(value=value, last=first + 2)
        return NumberPhrase(value=Fraction(1, 2), last=first + 1, is_fraction=True)
    if word in ("half", "moitie"):
        return NumberPhrase(value=Fraction(1, 2), last=first, is_fraction=True)
    if word in ("a", "an") and following in ("hundred", "thousand", "million", "billion", "dozen"):
        if following == "dozen":
            return NumberPhrase(value=Fraction(12), last=first + 1)
        return _parse_cardinal(text, words, first + 1, first_value=1)
    if word in ("a", "an", "un", "une") and following in ("quarter", "half", "third", "fifth", "tenth"):
        after = words[first + 2].text if _is_joined(text, words, first + 2) else ""
        if after in ("of", "an", "a") or (following == "half" and word == "a"):
            last = first + 2 if after in ("an", "a") else first + 1
            return NumberPhrase(value=Fraction(1, _DENOMINATORS[following]), last=last, is_fraction=True)
    if word in ("un", "une") and following in ("quart", "demi", "demie", "tiers", "cinquieme", "dixieme"):
        return NumberPhrase(value=Fraction(1, _DENOMINATORS[following]), last=first + 1, is_fraction=True)
    if word in ("un", "une") and following in COLLECTIVES:
        size, is_approximate = COLLECTIVES[following]
        return NumberPhrase(value=Fraction(size), last=first + 1, is_approximate=is_approximate)
    return None


def _parse_cardinal(text: str, words: Sequence[Word], first: int, first_value: int = 0) -> NumberPhrase | None:
    total, scale, index, last, current = 0, 1, first, first, first_value
    room = 100 if not first_value else 0  # what a following small number must stay below
    is_french = words[first].text in _FRENCH
    while index < len(words) and (index == first or _is_joined(text, words, index)):
        word = words[index].text
        if word in ("and", "et") and index > first:
            if not _is_continued_after_and(text, words, index, current, total):
                break
            index += 1
            word = words[index].text
        if word == "vingts" or (word == "vingt" and current % 100 == 4 and words[index - 1].text == "quatre"):
            if current % 100 != 4:
                break
            current, room = current + 76, 20
        elif word in _SMALL:
            small = _SMALL[word]
            is_seventeen = current % 100 and current % 10 == 0 and words[index - 1].text == "dix" and 7 <= small <= 9
            if small >= room and not is_seventeen:
                break
            current, room = current + small, 0
            is_french = is_french or word in _FRENCH
        elif word in _TENS:
            if room < 100:
                break
            current, room = current + _TENS[word], 20 if word == "soixante" else 10
        elif word in _HUNDREDS:
            if current > 19 or (word == "cents" and not is_french) or (word == "cent" and not is_french and current):
                break
            current, room = max(1, current) * 100, 100
        elif word in _SCALES:
            if not current and word != "mille":
                break
            scale = _SCALES[word]
            total, current, room = total + max(1, current) * scale, 0, 100
        elif word in ORDINAL_WORDS and index > first and (value := _read_ordinal(word)):
            if value >= room or (value in (2, 3) and word in ("second", "third") and current % 10):
                break
            return NumberPhrase(value=Fraction(total + current + value), last=index, is_ordinal=True)
        else:
            break
        last, index = index, index + 1
    return _add_suffix(text, words, first, last, Fraction(total + current), Fraction(scale if not current else 1))


def _is_continued_after_and(text: str, words: Sequence[Word], index: int, current: int, total: int) -> bool:
    """Return True if a number goes on after "and" or "et": "one hundred and five", "vingt et un"."""
    if not _is_joined(text, words, index + 1):
        return False
    following = words[index + 1].text
    if words[index].text == "et":
        return bool(current % 100) and current % 10 == 0 and following in ("un", "une", "onze", "unieme")
    is_number = following in _SMALL or following in _TENS
    return is_number and following not in ("un", "une") and (current % 100 == 0) and (current > 0 or total > 0)


def _add_suffix(
    text: str, words: Sequence[Word], first: int, last: int, value: Fraction, scale: Fraction
) -> NumberPhrase:
    """Return a number with a following denominator, collective or "and a half"."""
    following = words[last + 1].text if _is_joined(text, words, last + 1) else ""
    is_share = (value == 1 and words[first].text == "one") or (value > 1 and following.endswith("s"))
    is_ordinal = following in ORDINAL_WORDS and not is_share
    if following in _DENOMINATORS and 1 <= value < 10 and not is_ordinal:
        return NumberPhrase(value=value / _DENOMINATORS[following], last=last + 1, is_fraction=True)
    if following in COLLECTIVES:
        size, is_approximate = COLLECTIVES[following]
        return NumberPhrase(value=value * size, last=last + 1, is_approximate=is_approximate)
    tail = " ".join(word.text for word in words[last + 1 : last + 4]) if following in ("and", "et") else ""
    if tail == "and a half":
        return NumberPhrase(value=value + Fraction(1, 2), last=last + 3)
    is_article = first == last and words[first].text in ("one", "un", "une")
    return NumberPhrase(value=value, last=last, is_article=is_article, scale=scale)
