"""Dates and quantities of English and French sentences: numbers with their units, days and months.

Two sentences can share nearly all words and state different figures. Claims are checked with these functions.
"""

from __future__ import annotations

import re
from functools import lru_cache

from langchain_gptoss.text.normalization import normalize_number, normalize_prose
from langchain_gptoss.text.words import extract_content_words

_MONTHS = (
    "january janvier",
    "february fevrier",
    "march mars",
    "april avril",
    "may mai",
    "june juin",
    "july juillet",
    "august aout",
    "september septembre",
    "october octobre",
    "november novembre",
    "december decembre",
)
_DAYS = (
    "monday lundi",
    "tuesday mardi",
    "wednesday mercredi",
    "thursday jeudi",
    "friday vendredi",
    "saturday samedi",
    "sunday dimanche",
)
_MONTH_BY_WORD = {word: line.split()[0] for line in _MONTHS for word in line.split()}
_DAY_BY_WORD = {form: line.split()[0] for line in _DAYS for word in line.split() for form in (word, f"{word}s")}
_AMBIGUOUS_MONTHS = ("may", "march", "mars")  # also a verb, a verb and a planet

# Each line holds the spellings of one unit; the first one represents all.
_UNITS = (
    "% percent pourcent",
    "euro euros eur €",
    "dollar dollars usd $",
    "pound pounds gbp £ livres sterling",
    "centime centimes cent cents",
    "second seconds seconde secondes sec",
    "minute minutes min",
    "hour hours heure heures hr hrs",
    "day days jour jours",
    "week weeks semaine semaines",
    "month months mois",
    "year years an ans annee annees",
    "km kilometre kilometres kilometer kilometers",
    "m metre metres meter meters",
    "cm centimetre centimetres centimeter centimeters",
    "mm millimetre millimetres millimeter millimeters",
    "mile miles",
    "kg kilo kilos kilogram kilograms kilogramme kilogrammes",
    "g gram grams gramme grammes",
    "mg milligram milligrams milligramme milligrammes",
    "tonne tonnes ton tons",
    "l litre litres liter liters",
    "ml millilitre millilitres milliliter milliliters",
    "gb go",
    "mb mo",
    "kw",
    "kwh",
    "°c celsius",
    "°f fahrenheit",
)
_UNIT_BY_WORD = {word: line.split()[0] for line in _UNITS for word in line.split()}
_CURRENCY_SIGNS = "€$£"
_TOKEN = re.compile(r"[€$£]|%|°[cCfF]|\d+(?:[.,:/]\d+)*|[^\W\d_]+")
_MAX_WORDS_TO_UNIT = 2  # words that may come between a number and its unit: "five working days"


def is_calendar_word(word: str) -> bool:
    """Return True for a month or a day of the week, in lower case and without accents."""
    return word in _MONTH_BY_WORD or word in _DAY_BY_WORD


@lru_cache(maxsize=4096)
def extract_dates(text: str) -> frozenset[str]:
    """Return the days of the week and the months in a text, by their English names in lower case.

    "May", "March" and "mars" count as months only beside a number.
    """
    tokens = _tokenize(text)
    dates = {_DAY_BY_WORD[token] for token in tokens if token in _DAY_BY_WORD}
    for position, token in enumerate(tokens):
        neighbours = tokens[max(0, position - 1) : position] + tokens[position + 1 : position + 2]
        if token in _MONTH_BY_WORD and (
            token not in _AMBIGUOUS_MONTHS or any(other[0].isdigit() for other in neighbours)
        ):
            dates.add(_MONTH_BY_WORD[token])
    return frozenset(dates)


@lru_cache(maxsize=4096)
def extract_quantities(text: str) -> dict[str, frozenset[str]]:
    """Return the numbers of a text with the units of each; a number without a unit has an empty set."""
    tokens = _tokenize(text)
    quantities: dict[str, set[str]] = {}
    for position, token in enumerate(tokens):
        if not token[0].isdigit():
            continue
        units = quantities.setdefault(normalize_number(token), set())
        if position and tokens[position - 1] in _CURRENCY_SIGNS:
            units.add(_UNIT_BY_WORD[tokens[position - 1]])
            continue
        for other in tokens[position + 1 : position + 2 + _MAX_WORDS_TO_UNIT]:
            if other[0].isdigit():
                break
            if other in _UNIT_BY_WORD:
                units.add(_UNIT_BY_WORD[other])
                break
    return {number: frozenset(units) for number, units in quantities.items()}


def _tokenize(text: str) -> list[str]:
    """Return the words, numbers and unit signs of a text in order, spelled as `extract_content_words` spells them."""
    return [
        token.lower() if token[0] in f"{_CURRENCY_SIGNS}%°" else "".join(extract_content_words(token)) or token.lower()
        for token in _TOKEN.findall(normalize_prose(text))
    ]


def has_same_quantities(claim: str, evidence: str) -> bool:
    """Return True if evidence has every number of a claim, with a common unit where both state units."""
    available = extract_quantities(evidence)
    return all(
        number in available and (not units or not available[number] or bool(units & available[number]))
        for number, units in extract_quantities(claim).items()
    )
