"""Amounts: numbers in digits and words with sign, scale, currency and unit, and ordinals."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence, Word, split_words
from langchain_gptoss.text.quantities.model import Quantity, create_amount
from langchain_gptoss.text.quantities.number_words import (
    COLLECTIVES,
    FIRST_WORDS,
    NUMBER_WORDS,
    NumberPhrase,
    parse_number_words,
)
from langchain_gptoss.text.quantities.numerals import NUMERAL, parse_numeral
from langchain_gptoss.text.quantities.ordinals import create_ordinal, is_ordinal
from langchain_gptoss.text.quantities.units import (
    CURRENCY_CODE,
    CURRENCY_SIGN,
    FUNCTION,
    MONEY,
    PHRASE,
    TIME_DIMENSIONS,
    UNITS,
    find_unit,
    get_singular,
    is_plural,
)

_SCALE_WORDS = {
    "thousand": 10**3,
    "thousands": 10**3,
    "mille": 10**3,
    "milliers": 10**3,
    "millier": 10**3,
    "hundred": 100,
    "million": 10**6,
    "millions": 10**6,
    "mio": 10**6,
    "billion": 10**9,
    "billions": 10**9,
    "milliard": 10**9,
    "milliards": 10**9,
    "mds": 10**9,
    "mrd": 10**9,
    "bn": 10**9,
    "trillion": 10**12,
    "trillions": 10**12,
    "tn": 10**12,
    "lakh": 10**5,
    "lakhs": 10**5,
    "lac": 10**5,
    "crore": 10**7,
    "crores": 10**7,
    **{word: value for word, (value, _) in COLLECTIVES.items()},
}
_SCALE_WORD = re.compile(
    rf"[ -]?(?P<word>{'|'.join(sorted(_SCALE_WORDS, key=len, reverse=True))})(?![\w])(?P<of> (?:de |of )|\ d')?"
)
_MONEY_AFTER = rf"(?:{CURRENCY_SIGN}|(?:{CURRENCY_CODE}|euros?|dollars?|francs?)(?!\w))"
_SHORT_SCALE = re.compile(rf" ?(?P<scale>k|md|mds|mrd|mn|mio|m|g|bn|b)(?: ?(?={_MONEY_AFTER})| d'(?=euros))")
_ATTACHED_SCALE = re.compile(r"(?P<scale>k|K|M|B|bn|mn|m|b|T|tn)(?![\w/²³])")
_SHORT_SCALES = {
    "k": 10**3,
    "m": 10**6,
    "mn": 10**6,
    "mio": 10**6,
    "md": 10**9,
    "mds": 10**9,
    "mrd": 10**9,
    "bn": 10**9,
}
_SHORT_SCALES |= {"b": 10**9, "g": 10**9, "t": 10**12, "tn": 10**12}
_CURRENCY_BEFORE = re.compile(
    rf"(?<!\d)(?<!\d )(?P<sign>-|- ?)?(?P<currency>{CURRENCY_SIGN}|(?<![\w])(?:{CURRENCY_CODE}))(?: ?(?P<sign2>-))? ?$"
)
_MINUS = re.compile(r"(?:(?<![\w)%°€$£\].])-|(?<=[ (])-|(?<!au )(?<!du )(?<!\w)(?:minus|moins|negative) )$")
_DIGIT_BEFORE_DASH = re.compile(r"[\d%°€$£] ?-$")
PLUS_OR_MINUS = "plus or minus"
"""Qualifier of a tolerance."""
_PLUS = re.compile(r"(?<![\w)])(?:(?P<both>±|\+/-|\+-)|\+) ?$")
_BELOW_ZERO = re.compile(r" (?:below (?:zero|freezing)|sous zero|au-dessous de zero|en dessous de zero)")
_ORDINAL_SUFFIX = re.compile(r"(?:st|nd|rd|th|nds?|es|°| ?(?:ers?|eres?|res?|emes?|ndes?|e))(?![\w])")
_LIST_MARK = re.compile(r"(?:^|\n)[ ]*\(?\d{1,3}[.)][ ]+$")
_LABEL_UNIT = re.compile(
    r"(?:[(\[](?:en |in )?(?P<unit>[^()\[\]:]{1,20})[)\]]|\b(?P<noun>(?:nombre |number )?(?:de |d'"
    r"|of )?[a-z]+)) ?[:=] ?$"
)
_WORD_AFTER = re.compile(
    r" ?-?(?P<of>(?:de |d'|of )(?=[a-z]))?(?P<word>[a-z°%‰€$£¥₹µω][a-z°²³µω$]*)(?!')[.]?(?P<digit>[23](?!\w))?"
)
_NOUN = re.compile(r"(?:[ -]|(?<=d')|(?<=de ))(?P<word>[a-z][a-z'-]*)")
_ADJECTIVES = frozenset(
    """new full extra additional more further other different small large big great good main total whole consecutive
    successive single free old young local national active official separate short long square cubic working business
    calendar nouveaux nouvelles nouveau nouvelle grands grandes petits petites petit petite grand grande premiers
    premieres derniers dernieres autres bons bonnes gros grosses vieux vieilles jeunes beaux belles longs longues
    meilleurs prochains prochaines principaux principales seul seule seuls seules supplementaires us""".split()  # noqa: SIM905
)
_QUALIFIER_BEFORE = {
    "working": "working",
    "business": "working",
    "calendar": "calendar",
    "consecutive": "consecutive",
}
_QUALIFIER_AFTER = re.compile(
    r" (?:(?P<working>ouvr(?:able|e)s?)|(?P<calendar>calendaires?)|(?P<consecutive>consecutifs?|consecutives?))(?!\w)"
)
_TAX_AFTER = re.compile(
    r" ?\(?(?:(?P<excluding>ht|hors taxes?|h\.t\.|excl(?:\.|uding|usive of)? ?(?:vat|tax(?:es)?)|before tax|ex vat)"
    r"|(?P<including>ttc|t\.t\.c\.|toutes taxes comprises|incl(?:\.|uding|usive of)? ?(?:vat|tax(?:es)?)|after tax)"
    r"|(?P<net>net(?:te)?s?)|(?P<gross>gross|bruts?|brutes?))(?!\w)\)?"
)
_COMPOUND_UNITS = {"mph": ("mile", "hour"), "kph": ("km", "hour"), "kmh": ("km", "hour"), "kmph": ("km", "hour")}
_COMPOUND_UNITS |= {"rpm": ("revolution", "minute"), "bpm": ("beat", "minute")}
_FRACTION_OF_UNIT = re.compile(
    r"[ -](?:an |a |de |d'|of an |of a )?(?P<unit>hour|heure|day|month|mois|week|semaine|minute|an|annee"
    r"|jour|mile|year|litre|kilo|million|journee"
    r"|dozen|tablet|dose|pint|metre)s?(?!\w)"
)
_AND_A_HALF = re.compile(r" (?:and a half|et demie?)(?!\w)")
_ARTICLE_CONTEXT = re.compile(
    r"\b(?:only|exactly|just|least|most|than|or|to|seulement|seul|qu'|moins|plus|exactement|ou|a|of|de"
    r"|dure|lasts?|takes?|is|est|within|in|every|sous|pendant|for|after|about|nearly|almost|under"
    r"|over)[ ]$"
)
_ARTICLE_AND_TIME = re.compile(
    r"(?<![\w-])(?<!half )(?<!quarter of )(?<!quarters of )(?<!third of )an? (?P<unit>hour|day"
    r"|week|month|year|minute|second|decade"
    r"|century|fortnight)(?!\w|-)"
)
_FIRST_OF_TWO = re.compile(rf" (?:or|ou|to|a|and|et) (?:\d|(?:{'|'.join(sorted(NUMBER_WORDS))})\b)")
_LEADING_POINT = re.compile(r"(?:^|[ (])\.$")  # ".75"
_MAX_SYMBOL_CHARS = 3
_PAIR = re.compile(r"\b(?:the|les|des|ces|these|those) $")  # "the larger of the two"
_INCHES = re.compile(r"$|[^\w\s]| (?:tall|long|wide|high|deep|thick|by|x)\b")
_REPEATED = re.compile(r"(?P<words>[a-z]+(?:[ -][a-z]+){0,5}) ?\((?P<digits>\d{1,9})\)")
_COLLECTIVE_LEAD = re.compile(r" (?:de |d'|of )")


def find_amounts(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield the numbers of a text with their signs, scales, currencies and units, and the ordinals.

    Args:
        sentence: The folded text.
        text: Its lower-case form in which what was found before is blank.
    """
    if "(" in text and sentence.has_digit:
        yield from _find_repeated_amounts(sentence, text)
    if sentence.has_digit:
        for match in NUMERAL.finditer(text):
            quantity = _read_numeral(sentence, text, match)
            if quantity is not None:
                yield quantity
    if sentence.vocabulary & FIRST_WORDS:
        yield from _find_amounts_in_words(sentence, text)


def _find_repeated_amounts(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield amounts of contracts: "two (2) years"."""
    for match in _REPEATED.finditer(text):
        words = split_words(match["words"])
        for first in range(len(words)):
            phrase = parse_number_words(match["words"], words, first)
            if phrase is not None and phrase.last == len(words) - 1 and phrase.value == int(match["digits"]):
                start = match.start() + words[first].start
                yield _complete(sentence, text, create_amount(start, match.end(), phrase.value), is_fraction=False)
                break


def _find_amounts_in_words(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    for article in _ARTICLE_AND_TIME.finditer(text):
        unit = find_unit(article["unit"]) or article["unit"]
        is_implicit = not _ARTICLE_CONTEXT.search(text, max(0, article.start() - 12), article.start())
        amount = create_amount(article.start(), article.end(), Fraction(1), unit=unit, is_implicit=is_implicit)
        yield _add_half(text, amount)
    words = sentence.get_words(text)
    index = 0
    while index < len(words):
        phrase = parse_number_words(text, words, index)
        if phrase is None:
            index += 1
            continue
        quantity = _read_phrase(sentence, text, words, index, phrase)
        if quantity is not None:
            yield quantity
        index = phrase.last + 1


def _read_numeral(sentence: FoldedSentence, text: str, match: re.Match[str]) -> Quantity | None:
    start, end = match.span()
    before = text[max(0, start - 12) : start]
    if before and (before[-1].isalpha() or before[-1] == "_") and not _CURRENCY_BEFORE.search(before):
        return None
    if before.endswith("[") and text[end : end + 1] == "]":
        return None  # the mark of a reference
    if re.match(r" - [a-z]", text[end : end + 4]) and not text[:start].strip():
        return None  # the number of a heading
    if text[end : end + 2] in (". ", ") ") and _LIST_MARK.search(
        f"{text[max(0, start - 8) : start]}{match[0]}{text[end : end + 2]}"
    ):
        return None
    ordinal = _ORDINAL_SUFFIX.match(text, end)
    if ordinal and match["digits"] == match[0] and match[0].isdigit():
        return create_ordinal(sentence, text, start, ordinal.end(), Fraction(int(match[0])))
    numeral = parse_numeral(match, sentence)
    if numeral is not None and match[0].isdigit() and _LEADING_POINT.search(before):
        return _complete(sentence, text, create_amount(start - 1, end, numeral.value / 10 ** len(match[0])), False)
    if numeral is None:
        return Quantity(start=start, end=end, kind="identifier", identifier=match[0])
    is_minimum = bool(re.match(r"\+(?! ?\d)", text[end : end + 3]))
    amount = create_amount(start, end + is_minimum, numeral.value, written=numeral.written)
    amount = amount.change(is_ambiguous=numeral.is_ambiguous) if numeral.is_ambiguous else amount
    quantity = _complete(sentence, text, amount, numeral.is_fraction)
    if is_minimum:
        return quantity.change(high=None)
    if quantity.unit in MONEY and numeral.decimals == 3 and re.fullmatch(r"[1-9]\d{0,2}[.,]\d{3}", numeral.written):
        return quantity.change(is_ambiguous=True)  # prices hardly have three decimals
    return quantity


def _read_phrase(
    sentence: FoldedSentence, text: str, words: list[Word], first: int, phrase: NumberPhrase
) -> Quantity | None:
    start, end = words[first].start, words[phrase.last].end
    if phrase.is_ordinal:
        if not is_ordinal(text, start, end, words[first].text):
            return None
        return create_ordinal(sentence, text, start, end, phrase.value)
    if _is_no_number(sentence, text, start, end, words[first].text, phrase):
        return None
    value = phrase.value
    if words[phrase.last].text == "six" and re.match(r" cents?\b", text[end:]) and sentence.main_language == "fr":
        value, end = value * 100, end + re.match(r" cents?", text[end:]).end()  # type: ignore[union-attr]
    if (lead := _COLLECTIVE_LEAD.match(text, end)) and (words[phrase.last].text in COLLECTIVES or phrase.scale > 1000):
        end = lead.end()
    amount = create_amount(start, end, value, is_approximate=phrase.is_approximate, scale=phrase.scale)
    if phrase.is_article:
        return _read_article(sentence, text, amount)
    complete = _complete(sentence, text, amount, phrase.is_fraction)
    is_pair = complete.is_bare and complete.low == 2 and bool(_PAIR.search(text, max(0, start - 8), start))
    return complete.change(is_implicit=True) if is_pair else complete


def _is_no_number(sentence: FoldedSentence, text: str, start: int, end: int, word: str, phrase: NumberPhrase) -> bool:
    """Return True for words that look like numbers: "neuf" (new), "per cent", and names such as "Trois-Rivières"."""
    if re.match(r"-[A-Z]", sentence.cased[end : end + 2]) or text[start - 1 : start] == "-":
        return True
    if word in ("cent", "mille") and phrase.value in (100, 1000):
        is_coin = word == "cent" and sentence.main_language != "fr"
        if re.search(r"\b(?:per|pour|a|one|the) ?$" if is_coin else r"\bpour $", text[max(0, start - 6) : start]):
            return True
        return not re.match(r" [a-z]", text[end:])
    if word == "neuf" and phrase.value == 9:
        following = re.match(r" ([a-z]+)", text[end:])
        return not following or following[1] in FUNCTION
    if word == "half" or (phrase.is_fraction and word in ("demi", "demie", "quart")):
        is_part_of_word = text[end : end + 1] == "-" and not _FRACTION_OF_UNIT.match(text, end)
        return is_part_of_word or bool(
            re.search(r"\b(?:first|second|other|premiere|seconde) $", text[max(0, start - 10) : start])
        )
    return (
        phrase.is_fraction
        and word == "un"
        and "tiers" in text[start:end]
        and not re.match(r" (?:de|du|des|d')", text[end:])
    )


def _read_article(sentence: FoldedSentence, text: str, amount: Quantity) -> Quantity | None:
    """Return "one day" and "un an" as amounts; "one" and "un" before other nouns are no numbers."""
    complete = _complete(sentence, text, amount, is_fraction=False)
    if complete.unit == "second" and text[amount.start : amount.end] == "un":
        return None  # "un second passeport"
    if _FIRST_OF_TWO.match(text, amount.end):
        return amount  # "one or two days"
    words_after = [word for word in text[amount.end : complete.end].split() if word not in ("et", "and", "a", "half")]
    if not PHRASE.match(text, amount.end + 1) and len([w for w in words_after if not w.startswith("demi")]) > 1:
        complete = amount  # "une deuxième année"
    word, before = text[amount.start : amount.end], text[max(0, amount.start - 12) : amount.start]
    is_emphatic = bool(re.match(r" (?:seule?|single|and only)\b", text[amount.end :])) or bool(
        re.search(r"\b(?:only|exactly|just|least|most)[ ]$", before)
    )
    if is_emphatic:
        return complete
    is_measure = complete.unit in UNITS and UNITS[complete.unit].dimension != complete.unit
    if complete.unit in MONEY or is_measure:
        is_vague = word != "one" and complete.unit in ("day", "time") and not _ARTICLE_CONTEXT.search(before)
        return complete.change(is_implicit=is_vague or complete.unit in ("semester",))
    return None


def _complete(sentence: FoldedSentence, text: str, amount: Quantity, is_fraction: bool) -> Quantity:
    """Return an amount with its sign, scale, currency, unit and qualifier."""
    amount = _add_sign_and_currency(text, amount)
    amount = _add_scale(sentence, text, amount)
    if is_fraction:
        unit = _FRACTION_OF_UNIT.match(text, amount.end)
        if unit:
            if unit["unit"] == "million":
                return amount.change(end=unit.end(), low=_multiply(amount, 10**6), high=_multiply(amount, 10**6))
            return amount.change(end=unit.end(), unit=find_unit(unit["unit"]) or unit["unit"])
    amount = _add_unit(sentence, text, amount)
    if is_fraction and amount.low is not None and amount.low < 1 and (not amount.unit or amount.noun):
        percent = amount.low * 100
        amount = amount.change(low=percent, high=percent, unit="%", noun=False, written="")
    if _BELOW_ZERO.match(text, amount.end) and amount.low is not None and amount.low > 0:
        amount = amount.change(low=-amount.low, high=-amount.low, end=_BELOW_ZERO.match(text, amount.end).end())  # type: ignore[union-attr]
    return _add_qualifier(text, amount)


def _multiply(amount: Quantity, factor: int) -> Fraction:
    return (amount.low or Fraction(0)) * factor


def _add_sign_and_currency(text: str, amount: Quantity) -> Quantity:
    before = text[max(0, amount.start - 14) : amount.start]
    currency = _CURRENCY_BEFORE.search(before)
    start, is_negative = amount.start, False
    if currency:
        start -= len(before) - currency.start("currency")
        is_negative = bool(currency["sign2"])
        before = before[: currency.start("currency")]
        amount = amount.change(
            start=start, unit=find_unit(currency["currency"].upper()) or find_unit(currency["currency"]) or ""
        )
    sign = _MINUS.search(before)
    if sign and not _DIGIT_BEFORE_DASH.search(before):
        start -= len(before) - sign.start()
        is_negative = True
    elif plus := _PLUS.search(before):
        start -= len(before) - plus.start()
        if plus["both"]:
            amount = amount.change(qualifier=PLUS_OR_MINUS)
    if is_negative and amount.low is not None:
        return amount.change(start=start, low=-amount.low, high=-amount.low)
    return amount.change(start=start)


def _add_scale(sentence: FoldedSentence, text: str, amount: Quantity) -> Quantity:
    end, factor, is_approximate = amount.end, 1, amount.is_approximate
    while word := _SCALE_WORD.match(text, end):
        factor *= _SCALE_WORDS[word["word"]]
        is_approximate = is_approximate or COLLECTIVES.get(word["word"], (0, False))[1]
        end = word.end() if word["of"] else word.end("word")
    if factor == 1:
        short = _SHORT_SCALE.match(text, end)
        attached = None if short else _ATTACHED_SCALE.match(sentence.cased, end)
        if short:
            factor, end = _SHORT_SCALES[short["scale"]], short.end()
        elif attached and (attached["scale"] not in ("m", "b", "T") or amount.unit in MONEY):
            factor, end = _SHORT_SCALES[attached["scale"].lower()], attached.end()
        elif (
            spaced := re.compile(r" (?P<scale>M|Md|Mds|bn|k)(?![\w/²³])(?: (?:de |d'))?").match(sentence.cased, end)
        ) and not amount.noun:
            factor, end = _SHORT_SCALES[spaced["scale"].lower()], spaced.end()
    if factor == 1 or amount.low is None:
        return amount
    value = amount.low * factor
    return amount.change(
        end=end,
        low=value,
        high=value,
        scale=amount.scale * factor,
        is_approximate=is_approximate,
        is_ambiguous=False if factor > 1 and not amount.is_ambiguous else amount.is_ambiguous,
    )


def _add_unit(sentence: FoldedSentence, text: str, amount: Quantity) -> Quantity:
    if amount.unit:
        repeated = re.compile(rf" ?(?:{_MONEY_AFTER})").match(text, amount.end)
        return (
            amount.change(end=repeated.end()) if repeated and find_unit(repeated[0].strip()) == amount.unit else amount
        )
    phrase = PHRASE.match(text, amount.end + len(re.match(r"[ -]?", text[amount.end :])[0]))  # type: ignore[index]
    if phrase:
        return amount.change(end=phrase.end(), unit=find_unit(phrase[0].replace("s-cfa", "s-cfa")) or phrase[0])
    match = _WORD_AFTER.match(text, amount.end)
    if not match:
        return _add_label_unit(text, amount)
    written = sentence.cased[match.start("word") : match.end("word")] + (match["digit"] or "")
    end = match.end("digit") if match["digit"] else match.end("word")
    compound = _COMPOUND_UNITS.get(written.lower())
    if compound:
        return amount.change(end=end, unit=compound[0], rate=compound[1])
    unit = _find_unit_beside(text, match, written)
    if unit:
        return _add_half(text, amount.change(end=end, unit=unit))
    return _add_noun(sentence, text, amount) if match["word"] not in FUNCTION else _add_label_unit(text, amount)


_ONLY_ATTACHED_OR_SPACED = frozenset("s d a j n t to in pt m h w v b c g l k f".split())  # noqa: SIM905


def _find_unit_beside(text: str, match: re.Match[str], written: str) -> str | None:
    lowered = written.lower()
    if match["of"] and lowered not in ("euros", "euro", "dollars", "francs"):
        return None
    if lowered in ("a", "in", "to", "d", "s", "pt", "mad", "once", "as", "an"):
        if written == "A":
            return "A"
        if lowered == "in" and _INCHES.match(text, match.end()):
            return "in"
        is_attached = text[match.start("word") - 1].isdigit()
        if lowered == "an":
            return (
                "year"
                if re.match(r"(?:[^a-z]|$|\s(?:et|au|de|pour|a|ou|minimum|maximum))", text[match.end() :])
                else None
            )
        return find_unit(written) if (is_attached and lowered in ("s", "d", "to", "pt")) or written == "To" else None
    return find_unit(written)


def _add_half(text: str, amount: Quantity) -> Quantity:
    half = _AND_A_HALF.match(text, amount.end)
    if not half or amount.low is None:
        return amount
    value = amount.low + Fraction(1, 2) * (amount.scale or 1)
    return amount.change(end=half.end(), low=value, high=value)


def _add_noun(sentence: FoldedSentence, text: str, amount: Quantity) -> Quantity:
    """Return an amount with the noun that it counts: "3 doors", "5 working days", "2 nouveaux patients"."""
    candidates: list[tuple[str, int]] = []
    position, qualifier = amount.end, ""
    for _ in range(4):
        match = _NOUN.match(text, position)
        if not match or match["word"] in FUNCTION or match["word"].startswith(("d'", "l'", "qu'")):
            break
        word = match["word"].removesuffix("'s")
        phrase = PHRASE.match(text, match.start("word"))
        unit = find_unit(phrase[0]) if phrase else find_unit(sentence.cased[match.start("word") : match.end("word")])
        if unit and not (unit in ("item", "second") and candidates) and word not in ("to", "a", "once", "in", "mad"):
            is_after_adjectives = all(
                candidate in _ADJECTIVES or not is_plural(candidate) for candidate, _ in candidates
            )
            if is_after_adjectives:
                return amount.change(end=phrase.end() if phrase else match.end(), unit=unit, qualifier=qualifier)
        qualifier = _QUALIFIER_BEFORE.get(word, qualifier)
        candidates.append((word, match.end()))
        position = match.end()
    return _choose_noun(sentence, amount, candidates)


def _choose_noun(sentence: FoldedSentence, amount: Quantity, candidates: list[tuple[str, int]]) -> Quantity:
    nouns = [pair for pair in candidates if pair[0] not in _ADJECTIVES]
    if not nouns:
        return amount
    is_counted = amount.low is not None and abs(amount.low) > 1
    plural = next((pair for pair in nouns if is_plural(pair[0])), None) if is_counted else None
    word, end = plural or nouns[0]
    is_verb = is_counted and plural is None and len(word) > _MAX_SYMBOL_CHARS and len(candidates) > 1
    if is_verb:
        return amount  # "children under six travel free"
    return amount.change(end=end, unit=get_singular(word), noun=True, language=sentence.main_language)


def _add_label_unit(text: str, amount: Quantity) -> Quantity:
    """Return an amount with the unit of its label: "Weight (kg): 12", "Number of days: 5"."""
    label = _LABEL_UNIT.search(text, max(0, amount.start - 40), amount.start)
    if not label:
        return amount
    written = (label["unit"] or re.sub(r"^(?:nombre |number )?(?:de |d'|of )?", "", label["noun"])).strip()
    unit = find_unit(written)
    if unit is None or (label["noun"] and not _is_counting_label(label["noun"], written, unit)):
        return amount
    return amount.change(unit=unit)


def _is_counting_label(label: str, noun: str, unit: str) -> bool:
    """Return True for "Number of days: 5", "Days: 5" and "Seats: 4"."""
    if label.startswith(("nombre", "number", "de ", "d'", "of ")) or UNITS[unit].dimension in TIME_DIMENSIONS:
        return True
    return UNITS[unit].dimension == unit and is_plural(noun)


def _add_qualifier(text: str, amount: Quantity) -> Quantity:
    after = _QUALIFIER_AFTER.match(text, amount.end)
    if after and amount.unit:
        return amount.change(end=after.end(), qualifier=after.lastgroup or "")
    tax = _TAX_AFTER.match(text, amount.end)
    if tax and amount.unit in MONEY:
        name = {"excluding": "excluding tax", "including": "including tax"}.get(
            tax.lastgroup or "", tax.lastgroup or ""
        )
        return amount.change(end=tax.end(), qualifier=name)
    return amount
