"""Values of cells as the reader of a sheet sees them."""

import pytest

from langchain_gptoss.ingest.readers.excel.display import BUILTIN_FORMATS, format_text, format_value

ACCOUNTING = '_-* #,##0.00\\ "€"_-;\\-* #,##0.00\\ "€"_-;_-* "-"??\\ "€"_-;_-@_-'


@pytest.mark.parametrize(
    ("value", "code", "shown"),
    [
        # without a format
        (12, "General", "12"),
        (0.30000000000000004, "General", "0.3"),
        (1e-7, "General", "0.0000001"),
        (123456789012, "General", "123456789012"),
        (1e25, "General", "1E+25"),
        (-1.5, "General", "-1.5"),
        (1234.5, 'General" km"', "1234.5 km"),
        # percent
        (0.94, "0%", "94%"),
        (0.735, "0.0%", "73.5%"),
        (0.015, "0.0 %", "1.5 %"),
        (-0.08, "0.0%", "-8.0%"),
        # amounts: without a language there are groups only if decimal places show what they are
        (1234.5, '#,##0.00 "€"', "1,234.50 €"),
        (88400, '#,##0.00 "€"', "88,400.00 €"),
        (88400, "#,##0", "88400"),
        (-88400, "#,##0", "-88400"),
        (1234.5, "0.00", "1234.50"),
        (1234.5, "#,##0.00\\ [$€-40C]", "1 234,50 €"),
        (1234567.891, "#,##0.00 [$€-407]", "1.234.567,89 €"),
        (1234.5, "[$$-409]#,##0.00", "$1,234.50"),
        (1234.5, "[$CHF-807] #,##0.00", "CHF 1’234.50"),
        (1234.5, ACCOUNTING, "1,234.50 €"),
        (-3, ACCOUNTING, "-3.00 €"),
        (0, ACCOUNTING, "- €"),
        # negative numbers
        (-5.5, "#,##0.00_);(#,##0.00)", "(5.50)"),
        (-5.5, "0.00;[Red]0.00", "-5.50"),
        (-5.5, "0.00;[Red]-0.00", "-5.50"),
        (-5.5, '0.00;"loss "0.00', "loss 5.50"),
        (-0.001, "0.00", "0.00"),
        # digits
        (123, "00000", "00123"),
        (2.5, "0", "3"),
        (1.005, "0.00", "1.01"),
        (5, "0.##", "5"),
        (5.25, "0.##", "5.25"),
        (0.5, "#.##", "0.5"),
        (12, '0" kg"', "12 kg"),
        (12.5, '0.0" m²"', "12.5 m²"),
        (612345678, '00" "00" "00" "00" "00', "06 12 34 56 78"),
        (123456789, "000-00-0000", "123-45-6789"),
        (1234567, "#,##0,", "1235"),
        (1234567, '0.0,,"M"', "1.2M"),
        (12345, "0.00E+00", "1.23E+04"),
        (0.00012, "0.0E-0", "1.2E-4"),
        (123456, "##0.0E+0", "123.5E+3"),
        (0.25, "# ?/?", "1/4"),
        (1.75, "# ??/??", "1 3/4"),
        (2.0, "# ?/?", "2"),
        (0.3125, "# ??/16", "5/16"),
        # conditions and hidden values
        (1, '[=1]"yes";[=0]"no";0', "yes"),
        (0, '[=1]"yes";[=0]"no";0', "no"),
        (1500, '[>=1000]0.0," k";0', "1.5 k"),
        (15, '[>=1000]0.0," k";0', "15"),
        (5, ";;;", ""),
        (0, '0;-0;"none"', "none"),
        # dates and times
        (45789, "d mmmm yyyy", "12 May 2025"),
        (45789, "[$-40C]d mmmm yyyy;@", "12 mai 2025"),
        (45789, "[$-407]d. MMMM yyyy", "12. Mai 2025"),
        (45789, "dddd d mmm yy", "Monday 12 May 25"),
        (45789, "[$-40C]ddd d mmm", "lun. 12 mai"),
        (45689, "[$-40C]mmm yyyy", "févr. 2025"),
        (45789, "dd/mm/yyyy", "12/05/2025"),
        (45789, "dd.mm.yyyy", "12.05.2025"),
        (45789, "mm-dd-yy", "2025-05-12"),
        (45789.354166667, "m/d/yy h:mm", "2025-05-12 8:30"),
        (45789, "yyyy-mm-dd h:mm:ss", "2025-05-12"),
        (45789.5, "yyyy-mm-dd h:mm:ss", "2025-05-12 12:00:00"),
        (0.354166667, "h:mm", "8:30"),
        (0.854166667, "h:mm AM/PM", "8:30 PM"),
        (0.0, "h:mm AM/PM", "12:00 AM"),
        (1.2604166667, "[h]:mm", "30:15"),
        (1.2604166667, '[h]"h"mm', "30h15"),
        (-0.25, "[h]:mm", "-6:00"),
        (0.0625, "[mm]:ss", "90:00"),
        (0.5212, "mm:ss.0", "30:31.7"),
        (1, "yyyy-mm-dd", "1900-01-01"),
        (61, "yyyy-mm-dd", "1900-03-01"),
        # out of range
        (-5, "yyyy-mm-dd", "-5"),
        (1e9, "yyyy-mm-dd", "1000000000"),
        (float("inf"), "0.00", "Infinity"),
    ],
)  # fmt: skip
def test_numbers_are_shown_by_their_format(value, code, shown):
    assert format_value(value, code) == shown


@pytest.mark.parametrize(
    ("value", "code", "language", "shown"),
    [
        (88400, '#,##0.00 "€"', "fr", "88 400,00 €"),
        (88400, "#,##0", "fr", "88 400"),
        (2.5, "0.0%", "fr", "250,0%"),
        (88400, "#,##0", "en", "88,400"),
        (88400, '#,##0.00 "€"', "en", "88,400.00 €"),
        (88400, "#,##0.00 [$€-407]", "en", "88.400,00 €"),
        (88400, "0", "en", "88400"),
    ],
)
def test_numbers_have_the_separators_of_the_workbook(value, code, language, shown):
    assert format_value(value, code, language=language) == shown


def test_months_have_the_language_of_the_workbook():
    assert format_value(45789, "d mmmm yyyy", language="fr") == "12 mai 2025"
    assert format_value(45789, "[$-409]d mmmm yyyy", language="fr") == "12 May 2025"


def test_dates_can_count_from_1904():
    assert format_value(44327, "yyyy-mm-dd", is_1904=True) == "2025-05-12"


@pytest.mark.parametrize(
    ("text", "code", "shown"),
    [
        ("a", "@", "a"),
        ("a", '"Ref. "@', "Ref. a"),
        ("a", ACCOUNTING, " a "),
        ("a", "0.00", "a"),
        ("a", '0;-0;0;"n° "@', "n° a"),
    ],
)
def test_texts_are_shown_by_their_format(text, code, shown):
    assert format_text(text, code) == shown


@pytest.mark.parametrize("value", [0.0, 1.0, -1.0, 0.5, 45789.75, 1e15, -0.0])
def test_every_builtin_format_shows_every_number(value):
    assert all(format_value(value, code).strip() for code in BUILTIN_FORMATS.values())


@pytest.mark.parametrize("code", ["", '"', "[", "\\", "0.0.0", "E+", "0E+", "/", "?/", "#,", ",", "%", "@", "[$", "_", "*", ";", "yyyy[h", "0\\"])  # fmt: skip
def test_broken_formats_are_no_error(code):
    assert isinstance(format_value(1234.5, code), str)
    assert isinstance(format_text("a", code), str)
