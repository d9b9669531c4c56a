"""Numbers of Excel, shown by a format."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction

from langchain_gptoss.ingest.readers.excel.format_codes import Section, Token
from langchain_gptoss.ingest.readers.excel.locales import Locale

_SIGNIFICANT_DIGITS = 15  # that Excel keeps; more of them are the noise of binary fractions


def convert_to_decimal(value: float) -> Decimal:
    """Return a number with the digits that Excel keeps: 0.1 + 0.2 is 0.3."""
    return Decimal(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def format_general(value: float) -> str:
    """Return a number as it is shown without a format."""
    number = convert_to_decimal(value)
    if number and not -10 <= number.adjusted() <= 20:
        return f"{number.normalize():E}"
    text = f"{number:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def format_number(value: Decimal, section: Section, locale: Locale) -> str:
    """Return a number that is not negative as a section of a format shows it."""
    tokens = section.tokens
    if any(token.kind == "general" for token in tokens):
        shown = "".join(format_general(float(value)) if token.kind == "general" else token.text for token in tokens)
    elif any(token.kind == "slash" for token in tokens) and any(token.kind == "digit" for token in tokens):
        shown = _format_fraction(value, tokens)
    elif any(token.kind == "exponent" for token in tokens):
        shown = _format_exponent(value, tokens, locale)
    else:
        shown = _format_plain(value, tokens, locale)
    return " ".join(shown.split())


def _format_plain(value: Decimal, tokens: Sequence[Token], locale: Locale) -> str:
    point = next((number for number, token in enumerate(tokens) if token.kind == "point"), len(tokens))
    digits = [number for number, token in enumerate(tokens) if token.kind == "digit"]
    if not digits:
        return "".join(token.text for token in tokens if token.kind in ("literal", "percent", "slash"))
    # Commas behind the last digit before the point divide by a thousand each.
    last_digit = max((number for number in digits if number < point), default=-1)
    scale = sum(token.kind == "comma" for token in tokens[last_digit + 1 : point])
    if point < len(tokens):
        scale += sum(token.kind == "comma" for token in tokens[digits[-1] + 1 :])
    has_groups = any(token.kind == "comma" for token in tokens[digits[0] : max(last_digit, 0)])
    percents = sum(token.kind == "percent" for token in tokens)
    scaled = value.scaleb(2 * percents - 3 * scale)
    places = sum(number > point for number in digits)
    whole, _, fraction = f"{scaled.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):f}".partition(".")
    whole_slots = [tokens[number].text for number in digits if number < point]
    fraction_slots = [tokens[number].text for number in digits if number > point]
    shown_digits = dict(
        zip(
            digits,
            _fill_whole("" if whole == "0" else whole, whole_slots, locale.group if has_groups else "")
            + _fill_fraction(fraction, fraction_slots),
            strict=True,
        )
    )
    has_fraction = any(shown_digits[number] for number in digits if number > point)
    parts: list[str] = []
    for number, token in enumerate(tokens):
        if token.kind == "digit":
            parts.append(shown_digits[number])
        elif token.kind == "point":
            has_whole = any(shown_digits[digit] for digit in digits if digit < point)
            mark = locale.decimal if has_whole else f"0{locale.decimal}"
            parts.append(mark if number == point and has_fraction else "")
        elif token.kind in ("literal", "percent"):
            parts.append(token.text)
    return "".join(parts)


def _fill_whole(whole: str, slots: Sequence[str], group: str) -> list[str]:
    """Return the text of each place before the point; the first one takes all digits that have no place."""
    required = max((len(slots) - number for number, slot in enumerate(slots) if slot == "0"), default=0)
    digits = whole.rjust(required, "0")
    places = [
        digit + (group if left and left % 3 == 0 else "")
        for digit, left in zip(digits, range(len(digits) - 1, -1, -1), strict=True)
    ]
    if not slots:
        return []
    surplus = max(len(places) - len(slots), 0)
    texts = ["".join(places[: surplus + 1]), *places[surplus + 1 :]] if places else []
    return [""] * (len(slots) - len(texts)) + texts


def _fill_fraction(fraction: str, slots: Sequence[str]) -> list[str]:
    """Return the text of each place behind the point; "#" and "?" leave out zeros at the end."""
    required = max((number + 1 for number, slot in enumerate(slots) if slot == "0"), default=0)
    length = max(required, len(fraction.rstrip("0")))
    return [fraction[number] if number < length else "" for number in range(len(slots))]


def _format_exponent(value: Decimal, tokens: Sequence[Token], locale: Locale) -> str:
    at = next(number for number, token in enumerate(tokens) if token.kind == "exponent")
    mantissa, rest = tokens[:at], tokens[at + 1 :]
    point = next((number for number, token in enumerate(mantissa) if token.kind == "point"), len(mantissa))
    whole_places = max(sum(token.kind == "digit" for token in mantissa[:point]), 1)
    places = sum(token.kind == "digit" for token in mantissa[point:])
    exponent = value.adjusted() if value else 0
    exponent -= exponent % whole_places if whole_places > 1 else 0  # the form of engineers, such as ##0.0E+0
    unit = Decimal(1).scaleb(-places)
    if value.scaleb(-exponent).quantize(unit, rounding=ROUND_HALF_UP) >= 10**whole_places:
        exponent += whole_places
    shown = _format_plain(value.scaleb(-exponent), mantissa, locale)
    sign = "-" if exponent < 0 else "+" if tokens[at].text == "E+" else ""
    width = sum(token.kind == "digit" for token in rest)
    suffix = "".join(token.text for token in rest if token.kind == "literal")
    return f"{shown}E{sign}{abs(exponent):0{width}d}{suffix}"


def _format_fraction(value: Decimal, tokens: Sequence[Token]) -> str:
    """Return a number as a fraction, such as `# ?/?` and `# ??/16`."""
    at = next(number for number, token in enumerate(tokens) if token.kind == "slash")
    below = tokens[at + 1 :]
    fixed = "".join(token.text for token in below if token.text.isdigit())
    places = sum(token.kind == "digit" for token in below)
    exact = Fraction(value)
    if fixed.strip("0"):
        denominator = int(fixed)
        parts = round(exact * denominator)
    else:
        limited = exact.limit_denominator(10 ** max(places, 1) - 1)
        parts, denominator = limited.numerator, limited.denominator
    has_whole = any(token.kind == "literal" and not token.text.strip() for token in tokens[:at])
    whole, rest = divmod(parts, denominator) if has_whole else (0, parts)
    if not rest:
        return str(whole)
    return f"{whole} {rest}/{denominator}" if whole else f"{rest}/{denominator}"
