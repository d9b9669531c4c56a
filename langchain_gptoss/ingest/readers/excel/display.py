"""Values of cells as the reader of a sheet sees them."""

from __future__ import annotations

import math

from langchain_gptoss.ingest.readers.excel.dates import format_date
from langchain_gptoss.ingest.readers.excel.format_codes import Section, parse_format
from langchain_gptoss.ingest.readers.excel.locales import find_locale
from langchain_gptoss.ingest.readers.excel.numbers import convert_to_decimal, format_general, format_number

# ECMA-376 part 1, 18.8.30. Excel shows formats 14 and 22 in the order of the reader's country; ISO 8601 has one order.
BUILTIN_FORMATS = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "#,##0;-#,##0", 6: "#,##0;-#,##0",
    7: "#,##0.00;-#,##0.00", 8: "#,##0.00;-#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?", 13: "# ??/??",
    14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM", 20: "h:mm",
    21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 37: "#,##0;(#,##0)", 38: "#,##0;(#,##0)", 39: "#,##0.00;(#,##0.00)",
    40: "#,##0.00;(#,##0.00)", 41: "#,##0;-#,##0", 42: "#,##0;-#,##0", 43: "#,##0.00;-#,##0.00",
    44: "#,##0.00;-#,##0.00", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
}  # fmt: skip
"""Formats by their number, which files do not define."""

_SYSTEM_DATES = {"mm-dd-yy": "yyyy-mm-dd", "m/d/yy h:mm": "yyyy-mm-dd h:mm"}  # 14 and 22, written as codes
_TIMESTAMP = "yyyy-mm-dd h:mm:ss"  # the format that programs give to dates with and without a time
_MAX_FORMAT_CHARS = 255  # of Excel


def format_value(value: float, code: str, *, is_1904: bool = False, language: str = "") -> str:
    """Return a number as a format shows it.

    Args:
        value: The stored number; dates are days.
        code: The format.
        is_1904: True if dates count from 1904.
        language: Language of separators and month names if the format names none, "" if it is in doubt.
    """
    code = _SYSTEM_DATES.get(code, code)
    if code == _TIMESTAMP and value == int(value):
        code = "yyyy-mm-dd"
    if code == "General" or len(code) > _MAX_FORMAT_CHARS or not math.isfinite(value):
        return format_general(value)
    sections = [section for section in parse_format(code) if not section.is_text]
    if not sections:
        return format_general(value)
    section, is_negated = _choose_section(sections, value)
    if section is None:
        return format_general(value)
    has_fraction = any(token.kind == "point" for token in section.tokens)
    locale = find_locale(section.locale, language, has_fraction=has_fraction)
    if section.is_date:
        shown = format_date(value, section, locale, is_1904=is_1904)
        return format_general(value) if shown is None else shown
    number = format_number(convert_to_decimal(abs(value)), section, locale)
    return f"-{number}" if is_negated and any(char in "123456789" for char in number) else number


def format_text(text: str, code: str) -> str:
    """Return a text as a format shows it: `"Ref. "@` puts words before it."""
    sections = [section for section in parse_format(code[:_MAX_FORMAT_CHARS]) if section.is_text]
    if code == "@" or not sections:
        return text
    return "".join(token.text if token.kind == "literal" else text for token in sections[-1].tokens)


def _choose_section(sections: list[Section], value: float) -> tuple[Section | None, bool]:
    """Return the section for a value, and whether the minus sign must be added because the section does not say it."""
    if any(section.operator for section in sections):
        section = next((one for one in sections if not one.operator or one.is_met(value)), None)
        return section, value < 0 and section is not None and not _has_sign(section)
    if value < 0 and len(sections) > 1:
        return sections[1], not _has_sign(sections[1]) and bool(sections[1].tokens)
    if value == 0 and len(sections) > 2:
        return sections[2], False
    return sections[0], value < 0


def _has_sign(section: Section) -> bool:
    # A format can show negative numbers in red only, which a text cannot.
    return any(char in "-−(" or char.isalpha() for char in section.literal)
