"""Dates of English and French texts: days, months, years, weekdays, quarters, decades and centuries."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date

from langchain_gptoss.text.quantities.folding import FoldedSentence, split_words
from langchain_gptoss.text.quantities.model import CalendarDate, Quantity, create_date
from langchain_gptoss.text.quantities.number_words import parse_number_words
from langchain_gptoss.text.quantities.units import CURRENCY_CODE, CURRENCY_SIGN, MONEY, UNITS, find_unit

_MONTH_LINES = (
    "january janvier jan janv",
    "february fevrier feb fev fevr",
    "march mars mar",
    "april avril apr avr",
    "may mai",
    "june juin jun",
    "july juillet jul juil",
    "august aout aug",
    "september septembre sep sept",
    "october octobre oct",
    "november novembre nov",
    "december decembre dec",
)
_WEEKDAY_LINES = (
    "monday lundi",
    "tuesday mardi",
    "wednesday mercredi",
    "thursday jeudi",
    "friday vendredi",
    "saturday samedi",
    "sunday dimanche",
)
_MONTHS = {word: number for number, line in enumerate(_MONTH_LINES, 1) for word in line.split()}
_WEEKDAYS = {
    form: number for number, line in enumerate(_WEEKDAY_LINES) for word in line.split() for form in (word, f"{word}s")
}
_SHORT_WEEKDAYS = {
    word: number
    for number, line in enumerate(
        ("mon lun", "tue tues mar", "wed mer", "thu thur thurs jeu", "fri ven", "sat sam", "sun dim")
    )
    for word in line.split()
}
_CALENDAR_WORDS = frozenset(
    {word for line in _MONTH_LINES for word in line.split()[:2]} | {"mai", "may"} | set(_WEEKDAYS)
)
_ALL_NAMES = frozenset({*_MONTHS, *_WEEKDAYS, *_SHORT_WEEKDAYS})
_PERIOD_NAMES = frozenset(
    {"quarter", "trimestre", "semestre", "half", "semester", "century", "siecle", "siecles", "centuries"}
)
CAPITALIZED_WORDS = frozenset({*_MONTHS, *_WEEKDAYS})
_AMBIGUOUS_MONTHS = frozenset({"may", "march", "mars", "mar", "jan", "sept", "dec", "sep", "jun"})
_M = "|".join(sorted(_MONTHS, key=len, reverse=True))
_W = "|".join(sorted(_WEEKDAYS, key=len, reverse=True))
_DAY = r"(?:[12]\d|3[01]|0?[1-9])"
_SUFFIX = r"(?:st|nd|rd|th| ?er| ?e(?!t))?"
_YEAR = r"(?:1\d{3}|2[01]\d{2})(?![\d]|[.,]\d)"
_LEAD = rf"(?:(?P<weekday>{_W}),? (?:the |le )?)?"

_ISO = re.compile(
    r"(?<![\d.,-])(?P<year>[12]\d{3})[-/](?P<month>0[1-9]|1[0-2])[-/](?P<day>0[1-9]|[12]\d"
    r"|3[01])(?:t(?=\d\d:))?(?![\d]|-\d)"
)
_DAY_MONTH = re.compile(
    rf"{_LEAD}(?<![\d.,:/])(?P<day>{_DAY}){_SUFFIX}(?: of| jour de"
    rf"| du mois de)?[ -]?(?P<month>{_M})\b(?:\.(?=,? \d{{4}}))?(?:,? (?:of )?(?P<year>{_YEAR})|-(?P<year2>{_YEAR}))?"
)
_MONTH_DAY = re.compile(
    rf"{_LEAD}\b(?P<month>{_M})\.? (?:the )?(?P<day>{_DAY}){_SUFFIX}(?![\w:]|[.,]\d|h\d)(?:,? (?P<year>{_YEAR}))?"
)
_MONTH_YEAR = re.compile(rf"\b(?P<month>{_M})\.?,? (?:of |de )?(?P<year>{_YEAR})")
_NUMERIC = re.compile(
    r"(?<![\d.,/-])(?P<first>\d{1,2})(?P<mark>[/.-])(?P<second>\d{1,2})(?P=mark)(?P<year>\d{4}|\d{2})(?![\d]|[./-]\d)"
)
_NUMERIC_MONTH = re.compile(r"(?<![\d.,/-])(?P<month>0[1-9]|1[0-2]|[1-9])/(?P<year>(?:19|20)\d\d)(?![\d/])")
_WORD_DAY = re.compile(
    rf"\b(?P<month>{_M}) (?:the )?(?=[a-z]+(?:st|nd|rd|th)\b)|\b(?:the )?(?=[a-z]+(?:-[a-z]+)?(?:st|nd|rd"
    rf"|th) (?:of )?(?P<after>{_M})\b)"
)
_FIRST_OF_RANGE = re.compile(
    rf"(?<![\d.,:/])(?P<day>{_DAY}){_SUFFIX} ?(?:-|to|and|or|et|ou|a|au|&|until|jusqu'au|through)(?: the| le)? ?$"
)
_DAY_AFTER_RANGE = re.compile(
    rf" ?(?:-|to|through|until|and) ?(?:the )?(?P<day>{_DAY})(?:st|nd|rd|th)?(?![\w:%]|[.,]\d|[ ]?(?:{_M}"
    rf"|h\b|%|€|am|pm|days?|people|euros?))(?:,? (?P<year>{_YEAR}))?"
)
_LONE_MONTH = re.compile(rf"\b(?P<month>{_M})\b")
_MONTH_CONTEXT = re.compile(
    r"(?:\b(?:in|since|until|till|from|by|of|early|late|mid|each|every|next|last|this|between|to|and"
    r"|through|before|after"
    r"|en|de|mois|debut|fin|mi|depuis|jusqu'en|courant|chaque|et|a|avant|apres)[ -]|d'|[(:|,]\s?)$"
)
_WEEKDAY = re.compile(rf"\b(?P<weekday>{_W})\b")
_SHORT_WEEKDAY_RANGE = re.compile(
    rf"\b(?P<first>{'|'.join(_SHORT_WEEKDAYS)})\.? ?(?:-|to|au|a) ?(?P<second>{'|'.join(_SHORT_WEEKDAYS)})\b\.?"
)
_ORDINALS = {"first": 1, "1st": 1, "1er": 1, "premier": 1, "second": 2, "2nd": 2, "2e": 2, "2eme": 2, "deuxieme": 2}
_ORDINALS |= {"third": 3, "3rd": 3, "3e": 3, "3eme": 3, "troisieme": 3, "fourth": 4, "4th": 4, "4e": 4, "4eme": 4}
_ORDINALS |= {"quatrieme": 4, "last": 4, "dernier": 4}
_QUARTER = re.compile(
    rf"\b(?:(?P<ordinal>{'|'.join(_ORDINALS)}) (?P<name>quarter|trimestre|semestre|half(?= of (?:the year"
    rf"|\d))|semester)"
    rf"|(?P<letter>[qths])(?P<number>[1-4]))(?!\w)(?:(?: of| de| d'| du| of the year)?[ ]?(?P<year>{_YEAR}))?"
)
_DECADE = re.compile(r"(?<![\w.,])(?:annees (?P<french>(?:\d\d)?\d0)|(?:the )?'?(?P<english>(?:\d\d)?\d0)'?s)(?!\w)")
_CENTURY = re.compile(
    r"(?<!\w)(?:(?P<digits>\d{1,2})(?:st|nd|rd|th|e|eme|er)|(?P<roman>[ivx]{1,5})(?:e|eme"
    r"|er)?)[ -](?:century|siecle)s?\b"
    r"|(?P<words>[a-z]+(?:-[a-z]+)*) (?:century|siecle)\b"
)
_LONE_YEAR = re.compile(
    r"(?:(?<![\w.,:/+$€£-])|(?<=[12]\d\d\d-))(?P<year>1\d{3}|2[01]\d{2})(?![\w%°€$£]|[.,:]\d|/\d{3}| \d{3}(?!\d))"
)
_SHORT_YEAR_RANGE = re.compile(r"(?<![\w.,:/-])(?P<first>(?:19|20)\d\d)[/-](?P<second>\d\d)(?![\w/-]|[.,]\d)")
_YEAR_CONTEXT = re.compile(
    r"(?:\b(?:in|since|until|till|from|by|of|to|year|years|early|late|mid|before|after|between|and|through"
    r"|around|circa|for"
    r"|en|annee|annees|depuis|jusqu'en|an|avant|apres|vers|pour|de|entre|et|a|l'an|exercice|summer|winter"
    r"|spring|autumn|fall"
    r"|ete|hiver|printemps|automne|edition|rentree)[ -]|[(/])$"
)
_ERA = re.compile(
    r",? ?(?P<before>b\.?c\.?e?\.?(?!\w)|av(?:ant|\.) ?j\.?-?c\.?|avant notre ere|avant jesus-christ)"
    r"|,? ?(?:a\.?d\.?(?!\w)|ce\b|apr(?:es|\.) ?j\.?-?c\.?)"
)
_YEAR_PREPOSITION = re.compile(
    r"\b(?:in|since|until|till|en|depuis|annees?|years?|jusqu'en|l'an|ete|hiver|summer|winter|before) $"
)
_COUNTED = re.compile(r" (?:[a-z]+ )?(?:[a-z]{3,}(?<![uis])s|people)\b")
_FOLLOWING = re.compile(r" ?(?:[^\W\d_]+(?!')[²³23]?|[%‰€$£°][^\W\d_]?)")
_CURRENCY_BEFORE = re.compile(rf"(?:{CURRENCY_SIGN}|(?<!\w)(?:{CURRENCY_CODE})) ?$")
_NO_UNITS = frozenset({"a", "an", "in", "to", "at", "s", "once", "as", "A", "mad", "or"})
_FIRST_LIKELY_YEAR = 1500  # smaller numbers are years only after a word such as "in"


def is_calendar_word(word: str) -> bool:
    """Return True for a month or a day of the week, in lower case and without accents."""
    return word in _CALENDAR_WORDS


def find_dates(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield the dates of a text.

    Args:
        sentence: The folded text.
        text: Its lower-case form in which what was found before is blank.
    """
    has_name = bool(sentence.vocabulary & _ALL_NAMES)
    has_period = sentence.has_digit or bool(sentence.vocabulary & _PERIOD_NAMES)
    blanked = text
    for finder, is_needed in (
        (_find_iso_dates, sentence.has_digit),
        (_find_numeric_dates, sentence.has_digit),
        (_find_named_dates, has_name),
        (_find_periods, has_period),
        (_find_months_and_weekdays, has_name),
        (_find_years, sentence.has_digit),
    ):
        if not is_needed:
            continue
        found = list(finder(sentence, blanked))
        for quantity in found:
            blanked = blank_span(blanked, quantity.start, quantity.end)
        yield from found


def blank_span(text: str, start: int, end: int) -> str:
    """Return a text with zero characters in a span, which no pattern matches."""
    return f"{text[:start]}{chr(0) * (end - start)}{text[end:]}"


def _find_iso_dates(_: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _ISO.finditer(text):
        parsed = CalendarDate(year=int(match["year"]), month=int(match["month"]), day=int(match["day"]))
        end = match.end() - (match[0][-1] == "t")
        yield create_date(match.start(), end, parsed)


def _find_numeric_dates(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _NUMERIC.finditer(text):
        first, second, year = int(match["first"]), int(match["second"]), int(match["year"])
        if not (1 <= first <= 31 and 1 <= second <= 31) or min(first, second) > 12:
            continue
        if match["mark"] != "/" and len(match["year"]) == 2:
            continue  # a version or a code rather than a date
        year += 0 if year > 99 else (2000 if year < 70 else 1900)
        is_day_first = second <= 12 and (
            first > 12 or match["mark"] == "." or first == second or sentence.main_language == "fr"
        )
        is_ambiguous = not is_day_first and second <= 12
        day, month = (second, first) if second > 12 else (first, second)
        written = f"{first}/{second}/{year}"
        parsed = CalendarDate(year=year, month=month, day=day)
        yield create_date(match.start(), match.end(), parsed, written=written, is_ambiguous=is_ambiguous)
    for match in _NUMERIC_MONTH.finditer(text):
        parsed = CalendarDate(year=int(match["year"]), month=int(match["month"]))
        yield create_date(match.start(), match.end(), parsed)


def _find_named_dates(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    done = 0
    matches = [match for pattern in (_DAY_MONTH, _MONTH_DAY) for match in pattern.finditer(text)]
    for match in sorted(matches, key=lambda match: match.start()):
        if match.start() < done:
            continue
        if match["month"] in ("may", "march", "mars", "mar") and not _is_month_beside_day(sentence, match):
            continue
        year = match["year"] or match.groupdict().get("year2")
        parsed = CalendarDate(
            year=int(year) if year else None,
            month=_MONTHS[match["month"]],
            day=int(match["day"]),
            weekday=_WEEKDAYS[match["weekday"]] if match["weekday"] else None,
        )
        start, end = match.span()
        earlier = _FIRST_OF_RANGE.search(text, max(0, start - 20), start)
        if earlier and match.re is _DAY_MONTH:
            first = CalendarDate(year=parsed.year, month=parsed.month, day=int(earlier["day"]))
            yield create_date(earlier.start(), earlier.end("day"), first)
        later = _DAY_AFTER_RANGE.match(text, end) if match.re is _MONTH_DAY and not match["year"] else None
        if later:
            year = later["year"]
            parsed = CalendarDate(year=int(year) if year else None, month=parsed.month, day=parsed.day)
            second = CalendarDate(year=parsed.year, month=parsed.month, day=int(later["day"]))
            yield create_date(later.start("day"), later.end(), second)
        yield create_date(start, end, parsed)
        done = later.end() if later else end
    for match in _WORD_DAY.finditer(text):
        yield from _read_word_day(text, match)
    for match in _MONTH_YEAR.finditer(text):
        if not any(other.start() <= match.start() < other.end() for other in matches):
            yield create_date(
                match.start(), match.end(), CalendarDate(year=int(match["year"]), month=_MONTHS[match["month"]])
            )


def _is_month_beside_day(sentence: FoldedSentence, match: re.Match[str]) -> bool:
    """Return True if "may", "march" or "mar" beside a number is a month: "the 5 may attend" is none."""
    if match["month"] == "mars" or match["year"]:
        return True
    return sentence.cased[match.start("month")].isupper() or (
        match["month"] == "may" and sentence.main_language == "fr" and False
    )


def _read_word_day(text: str, match: re.Match[str]) -> Iterator[Quantity]:
    """Yield the date of "May the fifth" or "the twenty-first of May"."""
    words = split_words(text[match.end() : match.end() + 40])
    phrase = parse_number_words(text[match.end() :], words, 0) if words else None
    month = match["month"] or match["after"]
    if phrase is None or not phrase.is_ordinal or not 1 <= phrase.value <= 31:
        return
    end = match.end() + words[phrase.last].end if match["month"] else match.end("after")
    yield create_date(match.start(), end, CalendarDate(month=_MONTHS[month], day=int(phrase.value)))


def _find_periods(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _QUARTER.finditer(text):
        if (
            match["letter"]
            and (match["letter"] in "hst")
            and not (match["year"] and sentence.cased[match.start()].isupper())
        ):
            continue
        number = int(match["number"]) if match["number"] else _ORDINALS[match["ordinal"]]
        is_half = (match["name"] or "") in ("semestre", "half", "semester") or match["letter"] in ("h", "s")
        number = 2 if is_half and match["ordinal"] in ("last", "dernier") else number
        period = f"{'H' if is_half else 'Q'}{number}"
        yield create_date(match.start(), match.end(), CalendarDate(year=_to_int(match["year"]), period=period))
    for match in _DECADE.finditer(text):
        digits = match["french"] or match["english"]
        decade = digits if len(digits) == 4 else f"19{digits}"
        yield create_date(match.start(), match.end(), CalendarDate(period=f"{decade}s"))
    for match in _CENTURY.finditer(text):
        number = _read_century(match)
        if number:
            era = _ERA.match(text, match.end())
            sign = "-" if era and era["before"] else ""
            end = era.end() if era else match.end()
            yield create_date(
                match.start("words") if match["words"] else match.start(), end, CalendarDate(period=f"C{sign}{number}")
            )


def _to_int(digits: str | None) -> int | None:
    return int(digits) if digits else None


def _read_century(match: re.Match[str]) -> int:
    if match["digits"]:
        return int(match["digits"])
    if match["roman"]:
        values = [{"i": 1, "v": 5, "x": 10}[letter] for letter in match["roman"]]
        return sum(
            -value if value < following else value for value, following in zip(values, [*values[1:], 0], strict=True)
        )
    words = split_words(match["words"])
    phrase = parse_number_words(match["words"], words, 0)
    return int(phrase.value) if phrase is not None and phrase.is_ordinal and phrase.last == len(words) - 1 else 0


def _find_months_and_weekdays(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _SHORT_WEEKDAY_RANGE.finditer(text):
        first, second = _SHORT_WEEKDAYS[match["first"]], _SHORT_WEEKDAYS[match["second"]]
        yield create_date(match.start("first"), match.end("first"), CalendarDate(weekday=first))
        yield create_date(match.start("second"), match.end("second"), CalendarDate(weekday=second))
    for match in _WEEKDAY.finditer(text):
        yield create_date(match.start(), match.end(), CalendarDate(weekday=_WEEKDAYS[match["weekday"]]))
    for match in _LONE_MONTH.finditer(text):
        month = match["month"]
        if len(month) <= 4 and month not in ("may", "mai", "mars", "june", "juin", "july", "aout"):
            continue
        if month in _AMBIGUOUS_MONTHS:
            is_capital = sentence.cased[match.start()].isupper() or month == "mars"
            if not is_capital or not _MONTH_CONTEXT.search(text, max(0, match.start() - 12), match.start()):
                continue
        yield create_date(match.start(), match.end(), CalendarDate(month=_MONTHS[month]))


def _find_years(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    for match in _SHORT_YEAR_RANGE.finditer(text):
        first = int(match["first"])
        second = first // 100 * 100 + int(match["second"])
        # "(1951-63)" is a range of years, and "1951-63" by itself may be a number of something.
        is_enclosed = text[match.start() - 1 : match.start()] == "(" and text[match.end() : match.end() + 1] == ")"
        if second == first + 1 or (second > first and is_enclosed):
            yield create_date(match.start("first"), match.end("first"), CalendarDate(year=first))
            yield create_date(match.start("second"), match.end("second"), CalendarDate(year=second))
    for match in _LONE_YEAR.finditer(text):
        era = _ERA.match(text, match.end())
        year = int(match["year"])
        if era is None and _is_counted_number(sentence, text, match):
            continue
        is_before = bool(era and era["before"])
        yield create_date(
            match.start(), era.end() if era else match.end(), CalendarDate(year=-year if is_before else year)
        )


def _is_counted_number(sentence: FoldedSentence, text: str, match: re.Match[str]) -> bool:
    """Return True if four digits are an amount ("2000 m", "1000 places") rather than a year."""
    before = text[max(0, match.start() - 12) : match.start()]
    following = _FOLLOWING.match(sentence.cased, match.end())
    unit = find_unit(following[0].strip()) if following and following[0].strip() not in _NO_UNITS else None
    if unit is not None and (UNITS[unit].dimension != unit or unit in MONEY):
        return True
    if _CURRENCY_BEFORE.search(before):
        return True
    if _YEAR_PREPOSITION.search(before):
        return False
    has_context = bool(_YEAR_CONTEXT.search(before))
    is_counted = unit is not None or bool(_COUNTED.match(text, match.end()))
    return is_counted or (int(match["year"]) < _FIRST_LIKELY_YEAR and not has_context)


def find_weekday(day: CalendarDate) -> int | None:
    """Return the weekday of a date, stated or calculated, or None."""
    if day.weekday is not None or not (day.year and day.month and day.day):
        return day.weekday
    try:
        return date(day.year, day.month, day.day).weekday()
    except ValueError:
        return None
