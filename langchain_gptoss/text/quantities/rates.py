"""Rates and frequencies: per month, a day, every 18 months, twice a week."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence, split_words
from langchain_gptoss.text.quantities.model import Quantity, create_amount
from langchain_gptoss.text.quantities.number_words import NUMBER_WORDS, parse_number_words
from langchain_gptoss.text.quantities.units import FUNCTION, MONEY, UNITS, find_unit, get_singular

_TIME_NOUN = (
    "second|minute|hour|day|night|week|month|quarter|year|decade|century|seconde|heure|jour|journee|nuit|semaine|mois"
    "|trimestre|semestre|an|annee|siecle|h|min|s|j|sem|weekend|week-end"
)
_COUNTED_NOUN = (
    "person|head|piece|child|adult|visit|pupil|student|kilo|kilometre|kilometer|mile|litre|liter|kg|metre|meter"
    "|ticket|pop|unit|square metre|square meter|tonne|gallon|pound|copy|page|box|bottle|pack|user|seat|room|share"
)
_FRENCH_NOUN = f"{_TIME_NOUN}|kilo|kg|litre|metre|unite|piece|personne|tonne|boite|bouteille|seance"
_UNIT_WORD = r"[a-z°%][a-z°²³%-]*\d?"
_PER = re.compile(
    rf" ?(?:,? ?(?:et |and |, )?(?:per|par)[ ](?P<per>(?:square |cubic )?{_UNIT_WORD}(?: carre| cube)?)"
    rf"|/ ?(?P<slash>{_UNIT_WORD})"
    rf"|(?:an?|each|every|chaque|pour chaque|for each) (?P<each>{_TIME_NOUN}|{_COUNTED_NOUN}|personne"
    rf"|adulte|enfant)(?!\w)"
    rf"|(?:(?P<article>l[ea] |l')|a (?:l[a] |l')|au |by the |the |de l')(?P<the>{_FRENCH_NOUN})(?!\w)"
    rf"|(?:tous les|toutes les) (?P<tous>jours|mois|ans|heures|semaines|annees)(?!\w)"
    rf"|(?P<adjective>hourly|daily|weekly|monthly|quarterly|yearly|annually|annual|mensuels?|mensuelles?"
    rf"|annuels?|annuelles?|hebdomadaires?|quotidiens?|journaliers?|trimestriels?|p\.a\.|pa)(?!\w))"
)
_PERIOD_NUMBER = re.compile(
    r" ?(?:per|par|every|each|toutes? les|tous les|/) ?(?P<size>\d{1,4}|[a-z]+(?:-[a-z]+)?) ?(?P<unit>"
    + _TIME_NOUN
    + r"|km|kg|g|ml|l|m2|m²|m|pages|people|personnes|habitants|inhabitants)s?(?!\w)"
)
_NO_RATES = frozenset(
    """virement carte cartes cheque mail e-mail email courrier telephone internet exemple defaut train avion bus voie
    rapport consequent ailleurs lettre prelevement ecrit avance suite le la les un une des sms rail route mer
    terre air l'etat
    cent mille ici se hasard ordre application decision arrete decret loi l' ce cette ces contre voiture bateau nature
    ordinateur t""".split()  # noqa: SIM905
)
_LABEL_RATE = re.compile(r"(?:\b(?:per|par)|/) ?(?P<unit>[a-z]+)\)? ?[:=] ?$")
_FILLER = re.compile(
    r" (?:ttc|ht|net|nets|brut|bruts|gross|each|chacun|chacune|maximum|minimum|max|min|au plus|au moins"
    r"|au maximum|on average|en moyenne|d'eau|of water|d'alcool)(?= (?:per|par|a|an|/))"
)
_NOUN_AND_PER = re.compile(
    r"(?: (?!and\b|et\b|or\b|ou\b|but\b|for\b|pour\b|the\b|to\b|in\b|with\b|avec\b)[a-z'-]+){1,3}(?= (?:per|par) [a-z])"
)
_FREQUENCY_UNITS = {
    "hourly": ("hour", 1),
    "daily": ("day", 1),
    "weekly": ("week", 1),
    "fortnightly": ("week", 2),
    "monthly": ("month", 1),
    "quarterly": ("month", 3),
    "yearly": ("year", 1),
    "annually": ("year", 1),
    "annual": ("year", 1),
    "biennial": ("year", 2),
    "quotidien": ("day", 1),
    "journalier": ("day", 1),
    "hebdomadaire": ("week", 1),
    "mensuel": ("month", 1),
    "trimestriel": ("month", 3),
    "semestriel": ("month", 6),
    "annuel": ("year", 1),
    "p.a.": ("year", 1),
    "pa": ("year", 1),
}
_ADJECTIVE_WORD = re.compile(
    r"(?<![\w-])(?P<word>hourly|daily|weekly|fortnightly|monthly|quarterly|yearly|annually|annual|biennial"
    r"|quotidien(?:ne)?s?|journali(?:er|ere)s?"
    r"|hebdomadaires?|mensuel(?:le)?s?|trimestriel(?:le)?s?|semestriel(?:le)?s?|annuel(?:le)?s?"
    r"|quotidiennement|mensuellement|annuellement)(?![\w-])"
)
_FREQUENCY_WORDS = frozenset("once twice thrice times fois every each tous toutes chaque".split())  # noqa: SIM905
_TIMES = {"once": 1, "twice": 2, "thrice": 3}
_EVERY = re.compile(
    rf"(?<![\w-])(?:(?P<count>once|twice|thrice|(?P<number>\d{{1,3}}|[a-z]+(?:-[a-z]+)?) ?(?:times|fois|x))(?:,)? ?)?"
    rf"(?:(?P<every>every|each|tous les|toutes les|chaque|per|par|an?)[ ](?P<other>other "
    rf"|second )?(?:(?P<size>\d{{1,4}}|[a-z]+(?:-[a-z]+)?) )?(?P<unit>{_TIME_NOUN})s?(?!\w|-))"
)
_TIMES_ADVERB = re.compile(
    r"(?<![\w-])(?P<count>once|twice|thrice|(?P<number>\d{1,3}|[a-z]+(?:-[a-z]+)?) times) "
    r"(?P<adverb>hourly|daily|weekly|monthly|quarterly|yearly|annually)(?![\w-])"
)
_TWICE = re.compile(r"(?<![\w-])(?P<count>twice|thrice)(?! (?:as|the|that|this|over))(?![\w-])")


def add_rate(text: str, quantity: Quantity) -> Quantity:
    """Return an amount with what it is "per".

    Args:
        text: The folded text in lower case.
        quantity: An amount.
    """
    if quantity.kind != "amount":
        return quantity
    period = _PERIOD_NUMBER.match(text, quantity.end)
    if period and (size := _read_count(period["size"])):
        unit = find_unit(period["unit"]) or period["unit"]
        return quantity.change(end=period.end(), rate=unit, period=size)
    rates = [quantity.rate] if quantity.rate else []
    end = quantity.end
    filler = _FILLER.match(text, end)
    position = filler.end() if filler else end
    if not filler and quantity.unit and (noun := _NOUN_AND_PER.match(text, end)):
        position = noun.end()
    while match := _PER.match(text, position):
        rate = _read_rate(text, quantity, match)
        if rate is None:
            break
        rates.append(rate)
        position = end = match.end()
    return quantity.change(end=end, rate="/".join(sorted(rates))) if end > quantity.end else quantity


def _read_rate(text: str, quantity: Quantity, match: re.Match[str]) -> str | None:
    """Return the canonical unit of a rate, or None if the words are no rate."""
    word = match["per"] or match["slash"] or match["each"] or match["the"] or match["tous"]
    if match["adjective"]:
        if not quantity.unit or quantity.unit == "time":
            return None
        unit, size = _FREQUENCY_UNITS[_get_adjective(match["adjective"])]
        return unit if size == 1 else "quarter"
    if match["the"] and (quantity.unit not in MONEY and quantity.unit not in ("km", "mile")):
        return None
    if word is None or word in _NO_RATES or (match["per"] and word in FUNCTION and word not in ("an", "h")):
        return None
    if match["slash"] and not quantity.unit:
        return None
    return find_unit(word) or get_singular(word)


def add_label_rate(text: str, quantity: Quantity) -> Quantity:
    """Return an amount with the rate of its label: "Price per day: 22 €"."""
    label = None if quantity.rate else _LABEL_RATE.search(text, max(0, quantity.start - 24), quantity.start)
    unit = find_unit(label["unit"]) if label else None
    return quantity.change(rate=unit) if unit and quantity.kind == "amount" else quantity


def add_adjective_rates(text: str, quantities: list[Quantity]) -> list[Quantity]:
    """Return amounts of money with the rate of an adjective before them: "the monthly rent is 500 €".

    A frequency that gave its rate to an amount is left out.
    """
    result = list(quantities)
    for index, quantity in enumerate(result[:-1]):
        following = result[index + 1]
        between = text[quantity.end : following.start]
        is_adjective = quantity.unit == "time" and bool(_ADJECTIVE_WORD.fullmatch(text, quantity.start, quantity.end))
        is_frequency = quantity.unit == "time" and quantity.low == 1 and quantity.is_single and bool(quantity.rate)
        if is_frequency and between in (" ", ", ") and following.kind == "amount" and not following.rate:
            result[index + 1] = following.change(rate=quantity.rate, period=quantity.period)
            result[index] = quantity.change(is_implicit=True)
        elif (
            is_adjective
            and following.unit in (*MONEY, "%")
            and len(between.split()) <= 8
            and not re.search(r"[.;,(]\s", between)
        ):
            if not following.rate:
                unit = "quarter" if quantity.period == 3 else quantity.rate
                result[index + 1] = following.change(rate=unit)
            result[index] = quantity.change(is_implicit=True)
    return result


def _get_adjective(word: str) -> str:
    for stem in _FREQUENCY_UNITS:
        if word == stem or (
            word.startswith(stem[:-2]) and not word.endswith("ly") and len(stem) > 3 and stem[0] == word[0]
        ):
            return stem
    return word


def find_frequencies(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield how often something happens: "every 18 months", "twice a week", "weekly"."""
    if not (sentence.has_digit or sentence.vocabulary & _FREQUENCY_WORDS or _ADJECTIVE_WORD.search(text)):
        return
    for match in _TIMES_ADVERB.finditer(text):
        unit, size = _FREQUENCY_UNITS[match["adverb"]]
        count = _read_times(match)
        if count is not None:
            yield _create(match.start(), match.end(), count, unit, Fraction(size))
    for match in _EVERY.finditer(text):
        quantity = _read_frequency(match)
        if quantity is not None:
            yield quantity
    for match in _TWICE.finditer(text):
        count = Fraction(_TIMES[match["count"]])
        yield create_amount(match.start(), match.end(), count, unit="time")
    for match in _ADJECTIVE_WORD.finditer(text):
        unit, size = _FREQUENCY_UNITS[_get_adjective(match["word"])]
        yield _create(match.start(), match.end(), Fraction(1), unit, Fraction(size))


def _read_frequency(match: re.Match[str]) -> Quantity | None:
    word = match["every"]
    if not match["count"] and word in ("per", "par", "a", "an"):
        return None
    size = _read_count(match["size"]) if match["size"] else Fraction(2 if match["other"] else 1)
    count = _read_times(match) if match["count"] else Fraction(1)
    if count is None or not size:
        return None
    unit = find_unit(match["unit"]) or match["unit"]
    return _create(match.start(), match.end(), count, unit, size)


def _read_times(match: re.Match[str]) -> Fraction | None:
    """Return the number of "twice" and "three times"."""
    return Fraction(_TIMES[match["count"]]) if match["count"] in _TIMES else _read_count(match["number"] or "")


def _read_count(word: str) -> Fraction | None:
    if word.isdigit():
        return Fraction(int(word))
    words = split_words(word)
    if not words or words[0].text not in NUMBER_WORDS:
        return None
    phrase = parse_number_words(word, words, 0)
    return phrase.value if phrase is not None and phrase.last == len(words) - 1 else None


def _create(start: int, end: int, count: Fraction, unit: str, size: Fraction) -> Quantity:
    return Quantity(start=start, end=end, kind="amount", low=count, high=count, unit="time", rate=unit, period=size)


def calculate_period(quantity: Quantity) -> tuple[Fraction, str]:
    """Return the length of a rate's period in the base unit of its dimension, and the dimension."""
    unit = UNITS.get(quantity.rate)
    if unit is None:
        return quantity.period, quantity.rate
    return quantity.period * unit.factor, unit.dimension
