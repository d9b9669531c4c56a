"""Raised and lowered digits are not part of the number beside them."""

import pytest

from langchain_gptoss.ingest.readers.pdf import read_pdf
from langchain_gptoss.ingest.readers.pdf.words import Box, convert_script, format_scripts
from tests.unit_tests.ingest.readers.pdf.placed_text import Text, create_placed_pdf


def read_line(*texts: Text) -> str:
    return read_pdf(create_placed_pdf(texts), 0).pages[0]


@pytest.mark.parametrize(
    ("base", "script", "rise", "expected"),
    [
        ("10", "4", 5, "10^4"),
        ("10", "-3", 5, "10^-3"),
        ("30 €", "1", 4, "30 € [1]"),
        ("12", "3", 4, "12^3"),
        ("m", "2", 5, "m²"),
        ("CO", "2", -2, "CO₂"),
        ("guarantee", "12", 4, "guarantee [12]"),
        ("1", "st", 4, "1st"),
        ("1", "er", 4, "1er"),
    ],
)
def test_digits_above_and_below_the_line(base, script, rise, expected):
    width = {"10": 12.2, "30 €": 21.4, "12": 12.2, "m": 9.2, "CO": 16.5, "guarantee": 50.2, "1": 6.1}[base]
    assert read_line(Text(50, 700, base), Text(50 + width, 700 + rise, script, 7)) == expected


def test_text_goes_on_after_a_raised_digit():
    assert (
        read_line(Text(50, 700, "It costs 30 €"), Text(109.5, 704, "1", 7), Text(116.5, 700, "per month."))
        == "It costs 30 € [1] per month."
    )


def test_digits_of_one_size_are_one_number():
    assert read_line(Text(50, 700, "104"), Text(50, 680, "E2 and 12th")) == "104\nE2 and 12th"


@pytest.mark.parametrize("x", [54.2, 57])
def test_a_note_begins_with_its_mark(x):
    texts = [Text(50, 720, "Two years."), Text(50, 704, "1", 7), Text(x, 700, "without tax")]
    assert read_line(*texts) == "Two years.\n[1] without tax"


@pytest.mark.parametrize(
    ("place", "expected"),
    [
        (Box(10, 0.9, 14, 8), "x4"),
        (Box(10, 5, 14, 12), "x⁴"),
        (Box(10, -2, 14, 5), "x₄"),
        (Box(10, 5, 14, 16.5), "x4"),
        (Box(10, -14, 14, -7), "x4"),
        (Box(10, 5, 14, 5), "x4"),
    ],
)
def test_small_digits_on_the_line_and_on_other_lines_stay(place, expected):
    assert format_scripts("x" + convert_script("4", place, Box(0, 0, 10, 12))) == expected
