"""Comparison of quantities: which evidence states the quantity of a claim, and which excludes it."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from langchain_gptoss.text.quantities.amounts import PLUS_OR_MINUS
from langchain_gptoss.text.quantities.dates import find_weekday
from langchain_gptoss.text.quantities.extraction import extract_quantities
from langchain_gptoss.text.quantities.identifiers import REFERENCE_KINDS
from langchain_gptoss.text.quantities.model import CalendarDate, Quantity, create_amount
from langchain_gptoss.text.quantities.rates import calculate_period
from langchain_gptoss.text.quantities.units import (
    GENERAL_UNITS,
    MONEY,
    PHYSICAL_DIMENSIONS,
    TIME_DIMENSIONS,
    UNITS,
    convert_to_base,
)

_GENERAL_REFERENCES = frozenset({"number", "reference", "version", "model"})
_SHORT_PERIODS = frozenset({"second", "minute", "hour"})
_MINUTES_PER_HALF_DAY = 720
_FIRST_YEAR, _LAST_YEAR = 1000, 2199


def has_same_quantities(claim: str, evidence: str) -> bool:
    """Return True if evidence states every quantity of a claim."""
    available = extract_quantities(evidence)
    return all(
        quantity.is_implicit
        or any(is_same_quantity(quantity, other) for other in available)
        or _is_stated_in_parts(quantity, available)
        for quantity in extract_quantities(claim)
    )


def _is_stated_in_parts(claim: Quantity, available: Sequence[Quantity]) -> bool:
    """Return True if evidence has the amount and its rate apart: "each year she trains four apprentices"."""
    if not claim.rate or "/" in claim.rate or claim.unit == "time":
        return False
    amount = claim.change(rate="", period=Fraction(1))
    period = create_amount(0, 0, Fraction(1), unit="time", rate=claim.rate, period=claim.period)
    has_period = any(other.unit == "time" and other.rate and is_same_quantity(period, other) for other in available)
    return has_period and any(not other.rate and is_same_quantity(amount, other) for other in available)


def is_same_quantity(claim: Quantity, evidence: Quantity) -> bool:
    """Return True if evidence states the quantity of a claim, in any notation.

    A claim may say less: a number without its unit or rate, a date without its year. It may not say more or something
    else: the bounds of both agree, and an approximate value does not state an exact one.
    """
    if evidence.is_approximate and not claim.is_approximate:
        return False
    if claim.kind != evidence.kind:
        return _is_same_across_kinds(claim, evidence)
    if claim.kind == "identifier":
        return _is_same_identifier(claim, evidence)
    if claim.kind == "date":
        return _is_same_date(claim, evidence)
    if claim.kind == "time":
        return _is_same_time(claim, evidence)
    if claim.kind == "ordinal":
        return claim.low == evidence.low and not _has_other_known_unit(claim, evidence)
    return _is_same_amount(claim, evidence)


def is_rival_quantity(claim: Quantity, evidence: Quantity) -> bool:
    """Return True if both are of the same kind and can be compared, but have other values: one excludes the other."""
    if claim.is_implicit or evidence.is_implicit or is_same_quantity(claim, evidence):
        return False
    if is_same_quantity(evidence, claim):
        return False
    if claim.kind != evidence.kind:
        return False
    if claim.kind == "identifier":
        return _get_shape(claim) == _get_shape(evidence)
    if claim.kind == "date":
        one, other = claim.low_date or claim.high_date, evidence.low_date or evidence.high_date
        return bool(one and other and _has_common_part(one, other))
    if claim.kind == "time":
        return True
    if claim.kind == "ordinal":
        return claim.unit == evidence.unit
    return _get_dimension(claim) == _get_dimension(evidence)


def _get_shape(quantity: Quantity) -> tuple[str, str]:
    letters = quantity.identifier.rstrip("0123456789.-")
    return quantity.unit, "" if quantity.unit else letters or quantity.identifier[:0]


def _get_dimension(quantity: Quantity) -> str:
    """Return what a quantity measures; all currencies are money, and months are time."""
    if quantity.unit in MONEY or quantity.unit == "cent":
        return "money"
    if quantity.unit == "time":
        return "frequency of events"
    dimension = convert_to_base(Fraction(1), quantity.unit)[1]
    if dimension in TIME_DIMENSIONS:
        return "time"
    return "temperature" if dimension in ("celsius", "fahrenheit", "degree", "kelvin") else dimension


def _is_same_across_kinds(claim: Quantity, evidence: Quantity) -> bool:
    if claim.kind == "time" and claim.duration is not None and evidence.kind == "amount":
        return _is_same_amount(_read_as_duration(claim), evidence)
    if evidence.kind == "time" and evidence.duration is not None and claim.kind == "amount" and claim.unit:
        return _is_same_amount(claim, _read_as_duration(evidence))
    if claim.kind == "date" and evidence.kind == "amount":
        return _is_bare_year(claim) and evidence.is_single and evidence.low == _get_year(claim)
    if claim.kind == "identifier":
        is_name = claim.unit not in REFERENCE_KINDS
        return is_name and evidence.kind == "amount" and evidence.is_bare and claim.identifier == evidence.written
    if claim.kind != "amount" or not claim.is_bare or claim.low is None:
        return False
    if evidence.kind == "identifier":
        return evidence.identifier in (claim.written, str(claim.low))
    if evidence.kind == "ordinal":
        return claim.low == evidence.low
    if evidence.kind == "date" and evidence.is_single and evidence.low_date:
        return claim.low in (evidence.low_date.day, evidence.low_date.year)
    return evidence.kind == "time" and evidence.is_single and _is_hour(claim.low, evidence)


def _read_as_duration(time: Quantity) -> Quantity:
    hours = (time.duration or Fraction(0)) / 60
    changes = {"low": None if time.low is None else hours, "high": None if time.high is None else hours}
    return time.change(kind="amount", unit="hour", meridiem="", zone="", **changes)


def _is_bare_year(quantity: Quantity) -> bool:
    year = quantity.low_date
    return bool(
        quantity.is_single and year and year.year and not (year.month or year.day or year.period or year.weekday)
    )


def _get_year(quantity: Quantity) -> Fraction | None:
    return Fraction(quantity.low_date.year) if quantity.low_date and quantity.low_date.year else None


def _is_hour(value: Fraction, time: Quantity) -> bool:
    if time.low is None:
        return False
    is_stated_half = time.meridiem in ("am", "pm")
    return time.low == value * 60 or (
        is_stated_half and value <= 12 and (time.low - value * 60) % _MINUTES_PER_HALF_DAY == 0
    )


def _is_same_identifier(claim: Quantity, evidence: Quantity) -> bool:
    if _normalize_identifier(claim) != _normalize_identifier(evidence):
        return False
    units = {claim.unit, evidence.unit} - {""}
    return len(units) < 2 or bool(units & _GENERAL_REFERENCES and not (units - _GENERAL_REFERENCES) & REFERENCE_KINDS)


def _normalize_identifier(quantity: Quantity) -> str:
    text = quantity.identifier
    if quantity.unit == "phone" and text.startswith("+33"):
        return f"0{text[3:]}"
    if quantity.unit == "version":
        return text.removeprefix("v")
    return text


def _is_same_date(claim: Quantity, evidence: Quantity) -> bool:
    if claim.is_ambiguous or evidence.is_ambiguous:
        return bool(claim.written) and claim.written == evidence.written and claim.is_single == evidence.is_single
    if claim.is_single and claim.low_date:
        if evidence.is_single and evidence.low_date:
            return _includes_date(claim.low_date, evidence.low_date)
        end = evidence.low_date or evidence.high_date
        return bool(evidence.is_soft_bound and end and _includes_date(claim.low_date, end))
    if evidence.is_single and evidence.low_date:
        end = claim.low_date or claim.high_date
        return bool(claim.is_soft_bound and end and _includes_date(end, evidence.low_date))
    is_soft = claim.is_soft_bound or evidence.is_soft_bound
    for one, other, is_same_side in (
        (claim.low_date, evidence.low_date, is_soft or claim.is_low_inclusive == evidence.is_low_inclusive),
        (claim.high_date, evidence.high_date, is_soft or claim.is_high_inclusive == evidence.is_high_inclusive),
    ):
        if one is not None and not (other is not None and is_same_side and _includes_date(one, other)):
            return False
    return True


def _includes_date(claim: CalendarDate, evidence: CalendarDate) -> bool:
    """Return True if a date has every part of another; a weekday follows from a complete date."""
    pairs = ((claim.year, evidence.year), (claim.month, evidence.month), (claim.day, evidence.day))
    if any(one is not None and one != other for one, other in pairs):
        return False
    if claim.period is not None and claim.period != evidence.period and not _is_in_period(claim.period, evidence):
        return False
    if claim.weekday is None:
        return True
    return claim.weekday == (find_weekday(evidence) if claim.day or evidence.weekday is not None else None)


def _is_in_period(period: str, day: CalendarDate) -> bool:
    """Return True if a date with a day or month lies in a quarter or half-year."""
    if day.month is None or period[0] not in "QH" or day.period:
        return False
    return False


def _has_common_part(one: CalendarDate, other: CalendarDate) -> bool:
    """Return True if two dates state a common part differently."""
    pairs = (
        (one.year, other.year),
        (one.month, other.month),
        (one.day, other.day),
        (one.weekday, other.weekday),
        (one.period, other.period),
    )
    return any(first is not None and second is not None for first, second in pairs)


def _is_same_time(claim: Quantity, evidence: Quantity) -> bool:
    if claim.zone and claim.zone != evidence.zone:
        if not (_is_offset(claim.zone) and _is_offset(evidence.zone)):
            return False
        shift = Fraction(int(claim.zone) - int(evidence.zone))
        claim = claim.change(
            low=None if claim.low is None else (claim.low - shift) % 1440,
            high=None if claim.high is None else (claim.high - shift) % 1440,
        )
    is_soft = claim.is_soft_bound or evidence.is_soft_bound
    if claim.is_single:
        ends = (evidence.low, evidence.high) if evidence.is_single or evidence.is_soft_bound else (None, None)
        return any(end is not None and _is_same_clock(claim, claim.low, evidence, end) for end in ends)
    if evidence.is_single:
        end = claim.high if claim.low is None else claim.low
        return claim.is_soft_bound and _is_same_clock(claim, end, evidence, evidence.low)
    for one, other, is_same_side in (
        (claim.low, evidence.low, is_soft or claim.is_low_inclusive == evidence.is_low_inclusive),
        (claim.high, evidence.high, is_soft or claim.is_high_inclusive == evidence.is_high_inclusive),
    ):
        if one is not None and not (other is not None and is_same_side and _is_same_clock(claim, one, evidence, other)):
            return False
    return True


def _is_offset(zone: str) -> bool:
    return zone.lstrip("-").isdigit()


def _is_same_clock(claim: Quantity, one: Fraction | None, evidence: Quantity, other: Fraction | None) -> bool:
    if one is None or other is None:
        return False
    is_loose = claim.meridiem == "12" and evidence.meridiem in ("am", "pm")
    return one == other or (is_loose and (one - other) % _MINUTES_PER_HALF_DAY == 0)


def _is_same_amount(claim: Quantity, evidence: Quantity) -> bool:
    if _is_interval_of(claim, evidence) or _is_period_of(claim, evidence):
        return True
    if not _has_same_rate(claim, evidence) or not _has_same_qualifier(claim, evidence):
        return False
    if claim.is_ambiguous or evidence.is_ambiguous:
        if not claim.written or claim.written != evidence.written or claim.scale != evidence.scale:
            return False
        evidence = evidence.change(
            low=claim.low if evidence.low is not None else None, high=claim.high if evidence.high is not None else None
        )
    factor = _find_factor(claim, evidence)
    if factor is None or _has_other_decimals(claim, evidence):
        return False
    low = None if claim.low is None else claim.low * factor
    high = None if claim.high is None else claim.high * factor
    return _has_same_bounds(claim.change(low=low, high=high), evidence)


def _has_same_bounds(claim: Quantity, evidence: Quantity) -> bool:
    if claim.is_soft_bound and evidence.is_single:
        return evidence.low in (claim.low, claim.high)
    if evidence.is_soft_bound and claim.is_single:
        return claim.low in (evidence.low, evidence.high)
    if (claim.low, claim.high) != (evidence.low, evidence.high):
        return False
    is_soft = claim.is_soft_bound or evidence.is_soft_bound
    is_same_side = (claim.is_low_inclusive, claim.is_high_inclusive) == (
        evidence.is_low_inclusive,
        evidence.is_high_inclusive,
    )
    return is_soft or is_same_side


def _has_same_rate(claim: Quantity, evidence: Quantity) -> bool:
    if claim.rate:
        if claim.unit == "time" and evidence.unit == "time" and evidence.rate:
            return True  # compared as a frequency by _find_factor
        return calculate_period(claim) == calculate_period(evidence)
    if not evidence.rate:
        return True
    unit, rate = UNITS.get(evidence.unit), UNITS.get(evidence.rate)
    if unit is None or unit.dimension not in PHYSICAL_DIMENSIONS or evidence.unit == "time":
        return True
    return not (evidence.rate in _SHORT_PERIODS or (rate is not None and rate.dimension in PHYSICAL_DIMENSIONS))


def _has_same_qualifier(claim: Quantity, evidence: Quantity) -> bool:
    is_tolerance = PLUS_OR_MINUS in (claim.qualifier, evidence.qualifier)
    return (not claim.qualifier and not is_tolerance) or claim.qualifier == evidence.qualifier


def _is_interval_of(claim: Quantity, evidence: Quantity) -> bool:
    """Return True if a duration is the period of a frequency: "18 months" of "every 18 months"."""
    if (
        claim.rate
        or not claim.unit
        or evidence.unit != "time"
        or evidence.low != 1
        or not claim.is_single
        or claim.low is None
    ):
        return False
    return convert_to_base(claim.low, claim.unit) == calculate_period(evidence)


def _is_period_of(claim: Quantity, evidence: Quantity) -> bool:
    """Return True if a claim says "every year" of an amount per year."""
    is_frequency = claim.unit == "time" and claim.low == 1 and claim.is_single and bool(claim.rate)
    return is_frequency and evidence.unit != "time" and calculate_period(claim) == calculate_period(evidence)


def _find_factor(claim: Quantity, evidence: Quantity) -> Fraction | None:
    """Return the factor from the unit of a claim to that of evidence, or None if they are different units."""
    if claim.unit == evidence.unit == "time" and claim.rate and evidence.rate:
        claim_period, evidence_period = calculate_period(claim), calculate_period(evidence)
        return evidence_period[0] / claim_period[0] if claim_period[1] == evidence_period[1] else None
    if not claim.unit or claim.unit.removesuffix("s") == evidence.unit.removesuffix("s"):
        return Fraction(1)
    one, other = UNITS.get(claim.unit), UNITS.get(evidence.unit)
    if one is not None and other is not None and one.dimension == other.dimension:
        return one.factor / other.factor
    is_special = evidence.unit in GENERAL_UNITS.get(claim.unit, frozenset())
    return Fraction(1) if is_special or _is_translation(claim, evidence) else None


def _is_translation(claim: Quantity, evidence: Quantity) -> bool:
    """Return True if both count things by nouns of different languages, which cannot be compared."""
    has_other_language = claim.language and evidence.language and claim.language != evidence.language
    if not has_other_language or not (claim.noun or evidence.noun):
        return False
    return all(quantity.noun or _is_counted_thing(quantity.unit) for quantity in (claim, evidence))


def _is_counted_thing(unit: str) -> bool:
    return unit in UNITS and UNITS[unit].dimension == unit


def _has_other_known_unit(claim: Quantity, evidence: Quantity) -> bool:
    is_known = claim.unit in UNITS and evidence.unit in UNITS
    return is_known and claim.unit != evidence.unit


def _has_other_decimals(claim: Quantity, evidence: Quantity) -> bool:
    """Return True for bare numbers such as 3.1 and 3.10, which may be versions."""
    if claim.unit or evidence.unit or "." not in f"{claim.written}{evidence.written}":
        return False
    return claim.written != evidence.written and claim.written.rstrip("0") == evidence.written.rstrip("0")
