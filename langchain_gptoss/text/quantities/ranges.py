"""Ranges and lists: quantities that stand together, and what one of them leaves to the other."""

from __future__ import annotations

import re
from collections.abc import Sequence
from fractions import Fraction

from langchain_gptoss.text.quantities.bounds import CHANGE
from langchain_gptoss.text.quantities.model import CalendarDate, Quantity
from langchain_gptoss.text.quantities.units import MONEY, UNITS

_RANGE = re.compile(
    r" ?(?:-|to|a|au|jusqu'(?:a|au|en)|through|thru|till|until|up to|et jusqu'a)(?: (?:the|le|la|l'))? ?"
)
_AND = re.compile(r" (?:and|et)(?: (?:the|le|la|d'))? ?")
_BETWEEN = re.compile(r"\b(?:between|entre)(?: (?:the|le|la|les))? ?$")
_FROM = re.compile(r"\b(?:from|de|du|d'|depuis)(?: (?:the|le|la|between|environ))? ?$")
_OR = re.compile(r" (?:or|ou) ")
_LIST = re.compile(r"(?:,| ?/| (?:and|et|or|ou|&|to|a)|, (?:and|or))? ?")
_COMPOUND = re.compile(r",? ?(?:and |et )?")
_COMPOUND_PARTS = (
    ("hour", "minute"),
    ("minute", "second"),
    ("day", "hour"),
    ("week", "day"),
    ("year", "month"),
    ("m", "cm"),
    ("ft", "in"),
    ("kg", "g"),
    ("lb", "oz"),
    ("EUR", "cent"),
    ("USD", "cent"),
)
_MONEY_TAIL_DIGITS = 2


def combine_quantities(text: str, quantities: Sequence[Quantity]) -> list[Quantity]:
    """Return the quantities with compounds ("1 hour 30 minutes") and ranges ("5 to 10 days") as one each.

    Args:
        text: The folded text in lower case.
        quantities: Single values in order.
    """
    combined: list[Quantity] = []
    for quantity in quantities:
        if combined:
            joined = _join_compound(text, combined[-1], quantity) or _join_range(text, combined[-1], quantity)
            if joined is not None:
                combined[-1] = joined
                continue
        combined.append(quantity)
    return _share_units(text, combined)


def _join_compound(text: str, first: Quantity, second: Quantity) -> Quantity | None:
    """Return "2 years and 6 months" and "3 € 50" as one amount, or None."""
    if first.kind != "amount" or second.kind != "amount" or not first.is_single or not second.is_single:
        return None
    if first.low is None or second.low is None or not first.unit or second.low < 0:
        return None
    between = text[first.end : second.start]
    if not second.unit and between == " " and first.low.denominator == 1 and second.written:
        if first.unit in MONEY and len(second.written) == _MONEY_TAIL_DIGITS and second.written.isdigit():
            value = first.low + second.low / 100
            return first.change(end=second.end, low=value, high=value)
        if first.unit == "m" and len(second.written) == _MONEY_TAIL_DIGITS and second.written.isdigit():
            value = first.low + second.low / 100
            return first.change(end=second.end, low=value, high=value)
    if (
        (first.unit, second.unit) not in _COMPOUND_PARTS
        or not _COMPOUND.fullmatch(between)
        or _BETWEEN.search(text, max(0, first.start - 20), first.start)
    ):
        return None
    ratio = Fraction(1, 100) if second.unit == "cent" else UNITS[second.unit].factor / UNITS[first.unit].factor
    if second.low * ratio >= 1 or first.rate:
        return None
    value = first.low + second.low * ratio
    return first.change(end=second.end, low=value, high=value, rate=second.rate, qualifier=second.qualifier)


def _join_range(text: str, first: Quantity, second: Quantity) -> Quantity | None:
    """Return two values with "to", "and" after "between", or a hyphen between them as one range, or None."""
    if not (first.is_single and second.is_single) or second.start - first.end > 14:
        return None
    between, before = text[first.end : second.start], text[max(0, first.start - 60) : first.start]
    is_between = bool(_AND.fullmatch(between) and _BETWEEN.search(before))
    is_or = bool(_OR.fullmatch(between))
    if not (is_between or is_or or _RANGE.fullmatch(between)):
        return None
    if is_or and not _is_next_number(first, second):
        return None
    if not is_between and not is_or and CHANGE.search(before):
        return None
    pair = _align(first, second, is_hyphen="-" in between)
    if pair is None:
        return None
    lead = (_BETWEEN if is_between else _FROM).search(before)
    start = first.start - (len(before) - lead.start()) if lead else first.start
    first, second = pair
    return second.change(
        start=start,
        low=first.low,
        low_date=first.low_date,
        high=second.high,
        written=f"{first.written}-{second.written}",
        is_ambiguous=first.is_ambiguous or second.is_ambiguous,
        is_approximate=first.is_approximate or second.is_approximate,
        duration=None,
    )


def _is_next_number(first: Quantity, second: Quantity) -> bool:
    """Return True for "2 or 3 days": neighbours of which only the second has a unit."""
    is_amount = first.kind == second.kind == "amount"
    return is_amount and not first.unit and first.low is not None and second.low == first.low + 1


def _align(first: Quantity, second: Quantity, *, is_hyphen: bool) -> tuple[Quantity, Quantity] | None:
    """Return both ends of a range with the same unit, or None if they are no range."""
    if first.kind == "amount" and second.kind == "time" and not first.unit:
        if second.meridiem in ("am", "pm") or first.low is None or second.low is None:
            return None
        if second.duration is not None or first.low <= 24:
            return first.change(kind="time", low=first.low * 60, high=first.low * 60), second
    if first.kind != second.kind or first.low is None or second.low is None:
        return None
    if first.kind == "date":
        return _align_dates(first, second)
    if first.kind == "time":
        meridiem = first.meridiem if first.meridiem in ("am", "pm") else ""
        return first.change(meridiem=meridiem), second.change(
            meridiem="" if second.meridiem == "12" else second.meridiem
        )
    if first.kind == "identifier":
        return None
    if not first.unit and second.unit and not first.rate:
        scale = second.scale if first.scale == 1 else 1
        low = first.low * scale
        first = first.change(low=low, high=low, unit=second.unit, noun=second.noun, qualifier=second.qualifier)
    else:
        if first.unit and not second.unit:
            second = second.change(unit=first.unit, noun=first.noun, qualifier=first.qualifier, rate=first.rate)
        if first.scale == 1 and first.unit == second.unit and first.low is not None:
            low = first.low * second.scale
            first = first.change(low=low, high=low)
    if first.unit != second.unit:
        return _align_units(first, second)
    if first.low is None or second.low is None or first.low >= second.low:
        return None
    return first, second


def _align_units(first: Quantity, second: Quantity) -> tuple[Quantity, Quantity] | None:
    """Return "2 weeks to 1 month" is no common range, but "30 minutes to 2 hours" has one unit."""
    one, other = UNITS.get(first.unit), UNITS.get(second.unit)
    if one is None or other is None or one.dimension != other.dimension or first.low is None or second.low is None:
        return None
    low = first.low * one.factor / other.factor
    return (first.change(low=low, high=low, unit=second.unit), second) if low < second.low else None


def _align_dates(first: Quantity, second: Quantity) -> tuple[Quantity, Quantity] | None:
    """Return two dates of which the first takes the year of the second: "5 May to 10 June 2025"."""
    start, end = first.low_date, second.low_date
    if start is None or end is None:
        return None
    has_same_parts = (start.day is None) == (end.day is None) and (start.month is None) == (end.month is None)
    if not has_same_parts or (
        (start.weekday is None) != (end.weekday is None and start.day is None)
        and start.day is None
        and start.weekday is None
        and end.weekday is not None
    ):
        return None
    if start.year is None and end.year is not None:
        year = end.year
        if start.month is not None and end.month is not None and start.month > end.month:
            year -= 1
        start = CalendarDate(year=year, month=start.month, day=start.day, weekday=start.weekday, period=start.period)
        first = first.change(low_date=start, high_date=start, low=start.sort_key, high=start.sort_key)
    if start.year is not None and end.year is not None and start.sort_key >= end.sort_key:
        return None
    return first, second


def _share_units(text: str, quantities: list[Quantity]) -> list[Quantity]:
    """Return the quantities with the unit at the end of a list for all its numbers: "5, 10 and 15 euros"."""
    shared = list(quantities)
    for index in range(len(shared) - 2, -1, -1):
        one, following = shared[index], shared[index + 1]
        between = text[one.end : following.start]
        if (
            one.kind == following.kind == "amount"
            and one.is_bare
            and following.unit
            and between.strip()
            and _LIST.fullmatch(between)
        ):
            shared[index] = one.change(
                unit=following.unit, noun=following.noun, language=following.language, qualifier=following.qualifier
            )
    return shared
