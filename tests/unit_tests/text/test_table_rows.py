"""Rows of pipe tables with the names of their columns."""

import pytest

from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.table_rows import describe_table_row, remove_column_names

FARES = """Fares of 2025

| Vehicle | Season | One way |
| --- | :-: | ---: |
| Car | Summer | 42 EUR |
| Motorcycle | Winter | 12 EUR |

After the table | there is text.
"""


def describe(text, part, **options):
    start = text.index(part)
    return describe_table_row(text, start, start + len(part), **options)


@pytest.mark.parametrize(
    ("text", "part", "expected"),
    [
        (FARES, "Motorcycle", "Vehicle: Motorcycle; Season: Winter; One way: 12 EUR"),
        (FARES, "| Car | Summer | 42 EUR |", "Vehicle: Car; Season: Summer; One way: 42 EUR"),
        (FARES, "42 EUR", "Vehicle: Car; Season: Summer; One way: 42 EUR"),
        (FARES, "Vehicle", ""),
        (FARES, ":-:", ""),
        (FARES, "Fares of", ""),
        (FARES, "there is", ""),
        ("Nom | Âge\n---|---\nZoé | 12 ans", "Zoé", "Nom: Zoé; Âge: 12 ans"),
        ("| Nom : | Âge |\r\n|---|---|\r\n| Zoé | 12 |\r\n", "Zoé", "Nom: Zoé; Âge: 12"),
        ("| | 2023 | 2024 |\n|---|---|---|\n| Holm | 8 | |", "Holm", "Holm; 2023: 8"),
        ("| Sign | Use |\n|---|---|\n| a \\| b | or |", "or", "Sign: a | b; Use: or"),
        ("| A | B |\n|---|---|\n| 1 | 2 | 3 |", "2", "A: 1; B: 2; 3"),
        ("| Car | Summer |", "Car", ""),
        ("|---|---|\n| Car | Summer |", "Car", ""),
        ("a | b and more text", "more", ""),
        ("", "", ""),
    ],
)
def test_a_row_is_said_with_the_names_of_its_columns(text, part, expected):
    assert describe(text, part) == expected


def test_the_names_come_from_the_lead_in_if_the_table_begins_in_an_earlier_chunk():
    chunk = "| Car | Summer | 42 EUR |\n| Motorcycle | Winter | 12 EUR |"
    lead_in = "Vehicle | Season | One way"
    assert describe(chunk, "12 EUR", lead_in=lead_in) == "Vehicle: Motorcycle; Season: Winter; One way: 12 EUR"
    captioned = describe(chunk, "12 EUR", lead_in=f"Fares of 2025: {lead_in}")
    assert captioned == "Vehicle: Motorcycle; Season: Winter; One way: 12 EUR"
    assert describe(chunk, "12 EUR", lead_in="Fares of 2025:") == ""
    assert describe(chunk, "12 EUR", lead_in="Vehicle | Season") == ""


@pytest.mark.parametrize(
    ("lead_in", "expected"),
    [
        ("Fares of the lines: Line | Adult | Child", "Fares of the lines:"),
        ("In force. See below! Line | Adult", "In force. See below!"),
        ("Line | Adult", ""),
        ("Fares of the lines:", "Fares of the lines:"),
        ("", ""),
    ],
)
def test_names_of_columns_can_be_removed_from_a_lead_in(lead_in, expected):
    assert remove_column_names(lead_in) == expected


def test_every_sentence_of_a_table_can_be_described():
    rows = [describe_table_row(FARES, start, end) for start, end in find_sentences(FARES)]
    assert [row for row in rows if row] == [
        "Vehicle: Car; Season: Summer; One way: 42 EUR",
        "Vehicle: Motorcycle; Season: Winter; One way: 12 EUR",
    ]
