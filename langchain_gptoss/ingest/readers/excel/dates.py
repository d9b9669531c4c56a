"""Dates, times and durations of Excel: numbers of days, shown by a format."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from fractions import Fraction

from langchain_gptoss.ingest.readers.excel.format_codes import Section, Token
from langchain_gptoss.ingest.readers.excel.locales import Locale

_SECONDS_PER_DAY = 86_400
_EPOCH_1900 = datetime.datetime(1899, 12, 30)
_EPOCH_1904 = datetime.datetime(1904, 1, 1)
_LAST_DAY_OF_WRONG_LEAP_YEAR = 60  # Excel's calendar has a 29 February 1900
_MAX_DAYS = 2_958_466  # the year 10000


def format_date(value: float, section: Section, locale: Locale, *, is_1904: bool) -> str | None:
    """Return a number of days as its format shows it, None if it is out of the range of dates.

    Args:
        value: Days since the workbook's first day.
        section: The format.
        locale: Names of months and days.
        is_1904: True if the first day is 1 January 1904.
    """
    has_elapsed = any(token.kind == "elapsed" for token in section.tokens)
    digits = _count_fraction_digits(section.tokens)
    sign = "-" if value < 0 and has_elapsed else ""
    if not -_MAX_DAYS < value < _MAX_DAYS or (value < 0 and not has_elapsed):
        return None
    unit = 10**digits
    ticks = round(Fraction(repr(abs(value))) * _SECONDS_PER_DAY * unit)
    seconds, fraction = divmod(ticks, unit)
    days, second_of_day = divmod(seconds, _SECONDS_PER_DAY)
    if is_1904:
        day = _EPOCH_1904 + datetime.timedelta(days=days)
    else:
        day = _EPOCH_1900 + datetime.timedelta(days=days + (days < _LAST_DAY_OF_WRONG_LEAP_YEAR))
    moment = day + datetime.timedelta(seconds=second_of_day)
    text = "".join(_format_tokens(section.tokens, moment, seconds, f"{fraction:0{digits}d}" if digits else "", locale))
    return sign + " ".join(text.split())


def _format_tokens(
    tokens: Sequence[Token], moment: datetime.datetime, seconds: int, fraction: str, locale: Locale
) -> list[str]:
    parts: list[str] = []
    has_12_hours = any(token.text in ("am/pm", "a/p") for token in tokens)
    for number, token in enumerate(tokens):
        if token.kind == "elapsed":
            parts.append(_format_elapsed(token.text, seconds))
        elif token.kind == "date":
            parts.append(_format_part(token.text, moment, locale, _is_minute(tokens, number), has_12_hours))
        elif token.kind == "digit":
            parts.append(fraction if number and tokens[number - 1].kind == "point" else "")
        elif token.kind in ("literal", "point", "slash", "comma"):
            parts.append(token.text)
    return parts


def _count_fraction_digits(tokens: Sequence[Token]) -> int:
    return sum(token.kind == "digit" for token in tokens)


def _format_elapsed(text: str, seconds: int) -> str:
    amount = seconds // {"h": 3600, "m": 60, "s": 1}[text[0]]
    return f"{amount:0{len(text)}d}"


def _is_minute(tokens: Sequence[Token], number: int) -> bool:
    """Return True if an "m" stands for minutes: it follows hours or precedes seconds."""
    if tokens[number].text[0] != "m" or len(tokens[number].text) > 2:
        return False
    before = next((token.text[0] for token in reversed(tokens[:number]) if token.kind in ("date", "elapsed")), "")
    after = next((token.text[0] for token in tokens[number + 1 :] if token.kind in ("date", "elapsed")), "")
    return before == "h" or after == "s"


def _format_part(text: str, moment: datetime.datetime, locale: Locale, is_minute: bool, has_12_hours: bool) -> str:
    letter, length = text[0], len(text)
    if text in ("am/pm", "a/p"):
        return ("AM", "PM")[moment.hour >= 12][: 2 if text == "am/pm" else 1]
    if letter == "m" and is_minute:
        return f"{moment.minute:0{length}d}"
    if letter == "m":
        return _format_name(locale.months[moment.month - 1], moment.month, length, locale)
    if letter == "d":
        return _format_name(locale.days[moment.weekday()] if length > 2 else "", moment.day, length, locale)
    if letter == "h":
        hour = (moment.hour % 12 or 12) if has_12_hours else moment.hour
        return f"{hour:0{length}d}"
    if letter == "s":
        return f"{moment.second:0{length}d}"
    if letter == "y":
        return f"{moment.year:04d}" if length > 2 else f"{moment.year % 100:02d}"
    return f"{moment.year:04d}" if letter == "e" else ""


def _format_name(name: str, number: int, length: int, locale: Locale) -> str:
    if length <= 2:
        return f"{number:0{length}d}"
    if length == 5:
        return name[:1]
    return locale.shorten_name(name) if length == 3 else name
