"""The value types of quantities."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, Literal

Kind = Literal["amount", "date", "time", "ordinal", "identifier"]


@dataclass(frozen=True, kw_only=True)
class CalendarDate:
    """A date or a part of one; a part that the text does not state is None.

    Attributes:
        year: Year, negative before Christ.
        month: Month, 1 to 12.
        day: Day of the month.
        weekday: Day of the week, Monday is 0.
        period: A quarter ("Q1"), half-year ("H1"), decade ("1990s") or century ("C19").
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None
    period: str | None = None

    @property
    def sort_key(self) -> Fraction:
        """A number that orders dates with the same stated parts."""
        days = (self.year or 0) * 372 + (self.month or 0) * 31 + (self.day or 0)
        return Fraction(days if days else self.weekday or 0)


@dataclass(frozen=True, kw_only=True)
class Quantity:
    """A number, date, time, ordinal or identifier of a text, with everything that belongs to it.

    Attributes:
        start: Offset of the first character; sign, bound words, unit and rate are included.
        end: Offset after the last character.
        kind: "amount" is any number with or without a unit, durations included.
        low: Lower end, None if unbounded. Times are minutes since midnight. Dates are ordered, not counted, by it.
        high: Upper end, equal to `low` for a single value.
        is_low_inclusive: False for "more than".
        is_high_inclusive: False for "less than".
        unit: Canonical unit ("EUR", "day"), the folded noun as written if unknown, or an empty string. Of an
            identifier, the kind of reference ("article").
        rate: Canonical units of "per X", joined by "/", or an empty string.
        period: Number of `rate` units: 18 for "once every 18 months".
        qualifier: What narrows the unit: "working", "calendar", "net", "gross", "excluding tax", "including tax".
        is_approximate: True for "about".
        is_soft_bound: True if the bound also names the value itself ("within 14 days", "opens at 9").
        is_implicit: True for "a week": it can support a claim but needs no support.
        written: Digits as written; two ambiguous spellings agree if they are written the same.
        is_ambiguous: True if a decimal mark could be a thousands separator or a day a month.
        scale: Factor of "million" or "k", already contained in `low` and `high`.
        low_date: The date at the lower end, if the kind is "date".
        high_date: The date at the upper end.
        zone: Time zone of a time.
        meridiem: "am" or "pm" if stated, "12" for a full hour without either, such as "8 o'clock".
        duration: Minutes, if "1 h 30" may also be a duration.
        identifier: Canonical text of an identifier.
        noun: True if `unit` is a noun that is in no table of units.
        language: Language of the text if it matters for the unit, or an empty string.
    """

    start: int
    end: int
    kind: Kind
    low: Fraction | None = None
    high: Fraction | None = None
    is_low_inclusive: bool = True
    is_high_inclusive: bool = True
    unit: str = ""
    rate: str = ""
    period: Fraction = Fraction(1)
    qualifier: str = ""
    is_approximate: bool = False
    is_soft_bound: bool = False
    is_implicit: bool = False
    written: str = ""
    is_ambiguous: bool = False
    scale: Fraction = Fraction(1)
    low_date: CalendarDate | None = None
    high_date: CalendarDate | None = None
    zone: str = ""
    meridiem: str = ""
    duration: Fraction | None = None
    identifier: str = ""
    noun: bool = False
    language: str = ""

    @property
    def is_single(self) -> bool:
        """True for one value, neither a range nor a bound."""
        return self.low is not None and self.low == self.high and self.low_date == self.high_date

    @property
    def is_bare(self) -> bool:
        """True for a number alone, without unit, rate or bound."""
        return self.is_single and not self.unit and not self.rate and not self.qualifier

    def change(self, **changes: Any) -> Quantity:
        """Return a copy with other attributes."""
        return replace(self, **changes)


def create_amount(start: int, end: int, value: Fraction, **attributes: Any) -> Quantity:
    """Return a single value of the kind "amount", unless another kind is given."""
    return Quantity(start=start, end=end, low=value, high=value, **{"kind": "amount", **attributes})


def create_date(start: int, end: int, date: CalendarDate, **attributes: Any) -> Quantity:
    """Return a single date."""
    key = date.sort_key
    return Quantity(start=start, end=end, kind="date", low=key, high=key, low_date=date, high_date=date, **attributes)
