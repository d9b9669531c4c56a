"""Superscripts, subscripts and note marks."""

import pytest

from langchain_gptoss.ingest.readers.notation import (
    format_note_mark,
    format_subscript,
    format_superscript,
    separate_columns,
)
from langchain_gptoss.text.quantities import extract_quantities


@pytest.mark.parametrize(
    ("before", "superscript", "after", "text"),
    [
        # Powers: after a digit with a caret, because ⁴ in compatibility form is 4.
        ("10", "4", " litres", "10^4 litres"),
        ("10", "-6", "", "10^-6"),
        ("10", "−6", "", "10^-6"),
        ("2", "n+1", "", "2^(n+1)"),
        ("2 m", "3", "", "2 m³"),
        ("5 kg/m", "2", "", "5 kg/m²"),
        ("2 mètres", "2", "", "2 mètres²"),
        ("s", "-1", "", "s⁻¹"),
        ("a", "2", " + b", "a² + b"),
        ("(a+b)", "2", "", "(a+b)²"),
        ("e", "x+1", "", "e^(x+1)"),
        ("Fe", "3+", "", "Fe³⁺"),
        # Ordinals and abbreviations keep their letters.
        ("le 1", "er", " mai", "le 1er mai"),
        ("la 2", "e", " fois", "la 2e fois"),
        ("XIX", "e", " siècle", "XIXe siècle"),
        ("the 5", "th", " floor", "the 5th floor"),
        ("3", "rd", "", "3rd"),
        ("n", "o", " 5", "n° 5"),
        ("N", "os", " 5 et 6", "N°s 5 et 6"),
        ("1", "o", "", "1°"),
        ("20 ", "°", "C", "20 °C"),
        ("M", "me", " Roux", "Mme Roux"),
        ("M", "lle", "", "Mlle"),
        ("D", "r", " Petit", "Dr Petit"),
        ("et C", "ie", "", "et Cie"),
        ("Larkspur", "TM", "", "Larkspur™"),
        # Marks of notes stand apart.
        ("12 euros", "1", "", "12 euros [1]"),
        ("12 €", "3", "", "12 € [3]"),
        ("5 %", "2", "", "5 % [2]"),
        ("12 euros.", "3", " Next", "12 euros.[3] Next"),
        ("12", "[3]", "", "12 [3]"),
        ("12", "(1)", "", "12 (1)"),
        ("the fee", "1,2", "", "the fee [1,2]"),
        ("", "1", " Without tax", "[1] Without tax"),
        ("12", "*", "", "12*"),
        # Cents.
        ("$19", "99", "", "$19.99"),
        ("19", "99", " €", "19,99 €"),
        ("19 €", "90", "", "19 €90"),
        ("12", "", "", "12"),
    ],
)
def test_a_superscript_never_becomes_the_next_digit(before, superscript, after, text):
    assert before + format_superscript(superscript, before, after) + after == text


@pytest.mark.parametrize(
    ("before", "subscript", "text"),
    [
        ("H", "2", "H₂"), ("CO", "2", "CO₂"), ("log", "10", "log₁₀"), ("x", "i", "x_i"), ("T", "max", "T_max"),
        ("101", "2", "101_2"), ("x", "i,j", "x_(i,j)"), ("", "note", "note"), ("SO", "", "SO"),
    ],
)  # fmt: skip
def test_a_subscript_never_becomes_the_next_digit(before, subscript, text):
    assert before + format_subscript(subscript, before) == text


@pytest.mark.parametrize(
    ("before", "mark", "text"),
    [("12", "3", "12 [3]"), ("prix", " 3 ", "prix [3]"), ("end.", "[3]", "end.[3]"), ("", "a", "[a]"), ("x", "", "x")],
)
def test_a_note_mark_stands_in_brackets(before, mark, text):
    assert before + format_note_mark(mark, before) == text


def test_figures_of_two_columns_are_two_numbers():
    text = separate_columns("Adult\t1\t200 €")
    assert text == "Adult\t1; 200 €"
    assert [text[quantity.start : quantity.end] for quantity in extract_quantities(text)] == ["1", "200 €"]


@pytest.mark.parametrize(("base", "power", "value"), [("10", "4", 10_000), ("2 m", "3", 2), ("10", "-2", 0.01)])
def test_powers_have_their_value(base, power, value):
    (quantity,) = extract_quantities(f"It holds {base}{format_superscript(power, base)}.")
    assert quantity.low == pytest.approx(value)
