"""Numbers in digits: grouping and decimal marks of every locale."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence

SUPERSCRIPTS = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "0123456789-")
VULGAR_FRACTIONS = {
    "½": Fraction(1, 2),
    "¼": Fraction(1, 4),
    "¾": Fraction(3, 4),
    "⅓": Fraction(1, 3),
    "⅔": Fraction(2, 3),
    "⅛": Fraction(1, 8),
    "⅜": Fraction(3, 8),
    "⅝": Fraction(5, 8),
    "⅞": Fraction(7, 8),
}
# In this order: 1 234,56 and 1'234.50; 1,25,000; 1,234.56, 1.234,56 and 3.14.
_DIGITS = (
    r"\d{1,3}(?:[ ]\d{3})+(?:[.,]\d+)?(?![\d]|[.,]\d)|\d{1,3}(?:'\d{3})+(?:[.,]\d+)?(?!\d)"
    r"|\d{1,2}(?:,\d{2})+,\d{3}(?:\.\d+)?(?![\d,])|\d+(?:[.,]\d+)*"
)
NUMERAL = re.compile(
    rf"(?P<digits>{_DIGITS})"
    r"(?:(?P<power_e>e[+-]?\d{1,3})(?![\w])|\s?[x×*]\s?10(?:\^(?P<caret>-?\d{1,3})|(?P<raised>[⁻⁰¹²³⁴⁵⁶⁷⁸⁹]{1,4}))"
    r"|\^(?P<exponent>-?\d{1,3})|(?P<superscript>⁻?[⁰¹²³⁴⁵⁶⁷⁸⁹]{1,3})"
    r"|\s?(?P<vulgar>[½¼¾⅓⅔⅛⅜⅝⅞])|(?:\ (?P<top>\d{1,2}))?/(?P<bottom>\d{1,3})(?![\d/.,]*\d))?"
    r"|(?P<lone>[½¼¾⅓⅔⅛⅜⅝⅞])"
)
_COMMA_DECIMAL = re.compile(r"(?<![\d.,])(?:\d+,\d{1,2}|0,\d+|\d{1,3}(?:\.\d{3})+,\d+)(?![\d,.]\d|\d)")
_POINT_DECIMAL = re.compile(r"(?<![\d.,])(?:\d+\.\d{1,2}|0\.\d+|\d{1,3}(?:,\d{3})+\.\d+)(?![\d,.]\d|\d)")
_POINT_LANGUAGES = frozenset({"en"})
_GROUPING_POINT_LANGUAGES = frozenset({"de", "es", "it", "nl", "pt", "da", "tr", "ca", "ro"})
_MAX_EXPONENT = 60
_MAX_DIGITS = 200


@dataclass(frozen=True, kw_only=True)
class Numeral:
    """The value of a number in digits.

    Attributes:
        value: Its value; of an ambiguous number, that with a decimal mark.
        written: The digits with their marks.
        is_ambiguous: True if the mark may be a decimal mark or a thousands separator.
        decimals: Number of digits after the decimal mark.
        is_fraction: True for "1/2" and "½".
    """

    value: Fraction
    written: str
    is_ambiguous: bool = False
    decimals: int = 0
    is_fraction: bool = False


def parse_numeral(match: re.Match[str], sentence: FoldedSentence) -> Numeral | None:
    """Return the value of a match of `NUMERAL`, or None if it is no number, such as "3.10.2"."""
    if match["lone"]:
        return Numeral(value=VULGAR_FRACTIONS[match["lone"]], written=match[0], is_fraction=True)
    plain = _parse_digits(match["digits"], sentence)
    if plain is None:
        return None
    value = plain.value
    power = match["power_e"] or match["caret"] or match["raised"]
    exponent = match["exponent"] or match["superscript"]
    if power:
        number = int(power.lstrip("e").translate(SUPERSCRIPTS))
        if abs(number) > _MAX_EXPONENT:
            return None
        return Numeral(value=value * Fraction(10) ** number, written=match[0])
    if exponent:
        return _raise_to_power(match, plain, exponent)
    if match["vulgar"]:
        return Numeral(value=value + VULGAR_FRACTIONS[match["vulgar"]], written=match[0], is_fraction=True)
    if match["bottom"]:
        return _parse_fraction(match, plain)
    return plain


def _raise_to_power(match: re.Match[str], plain: Numeral, exponent: str) -> Numeral | None:
    """Return the value of "10⁴" or "2^8"; a raised digit after another number may be the mark of a footnote."""
    number = int(exponent.translate(SUPERSCRIPTS))
    is_power = plain.written in ("2", "10") or match["exponent"]
    if not is_power or abs(number) > _MAX_EXPONENT or plain.value > 1000 or (plain.value == 0 and number < 0):
        return Numeral(value=plain.value, written=plain.written) if not match["exponent"] else None
    return Numeral(value=plain.value**number, written=match[0])


def _parse_fraction(match: re.Match[str], plain: Numeral) -> Numeral | None:
    bottom = int(match["bottom"])
    top = int(match["top"]) if match["top"] else plain.value
    if bottom == 0 or plain.decimals or (match["top"] and top >= bottom):
        return None
    whole = plain.value if match["top"] else 0
    return Numeral(value=whole + Fraction(top) / bottom, written=match[0], is_fraction=True)


def _parse_digits(digits: str, sentence: FoldedSentence) -> Numeral | None:
    if len(digits) > _MAX_DIGITS:
        return None
    compact = digits.replace(" ", "").replace("'", "")
    is_grouped = compact != digits
    marks = [char for char in compact if char in ".,"]
    if not marks:
        return Numeral(value=Fraction(int(compact)), written=compact)
    last = marks[-1]
    head, _, tail = compact.rpartition(last)
    if is_grouped or len(set(marks)) == 2:
        is_regular = len(set(marks[:-1])) <= 1 and (len(set(marks)) < 2 or last not in marks[:-1])
        return _create_decimal(re.sub("[.,]", "", head), tail, compact) if is_regular else None
    if len(marks) > 1:
        groups = compact.split(last)
        is_thousands = all(len(group) == 3 for group in groups[1:]) and len(groups[0]) <= 3
        is_indian = last == "," and len(groups[-1]) == 3 and all(len(group) == 2 for group in groups[1:-1])
        return Numeral(value=Fraction(int("".join(groups))), written=compact) if is_thousands or is_indian else None
    if len(tail) != 3 or len(head) > 3 or head.startswith("0"):
        return _create_decimal(head, tail, compact)
    mark = _find_decimal_mark(sentence, last)
    if mark is None:
        return Numeral(value=Fraction(int(head + tail), 1000), written=compact, is_ambiguous=True, decimals=3)
    if mark == last:
        return _create_decimal(head, tail, compact)
    return Numeral(value=Fraction(int(head + tail)), written=compact)


def _create_decimal(head: str, tail: str, written: str) -> Numeral:
    return Numeral(value=Fraction(int(head + tail), 10 ** len(tail)), written=written, decimals=len(tail))


def _find_decimal_mark(sentence: FoldedSentence, mark: str) -> str | None:
    """Return the decimal mark of a text, or None if neither its other numbers nor its language shows it."""
    has_comma, has_point = bool(_COMMA_DECIMAL.search(sentence.text)), bool(_POINT_DECIMAL.search(sentence.text))
    if has_comma != has_point:
        return "," if has_comma else "."
    if sentence.language in _POINT_LANGUAGES:
        return "."
    if sentence.language in _GROUPING_POINT_LANGUAGES or (sentence.language and mark == ","):
        return ","
    return None  # French texts use the point for both
