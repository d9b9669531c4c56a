"""Sentences of prose, lists, tables and PDF text."""

import pytest

from langchain_gptoss.text.sentences import find_sentences


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 4.90 euros. It takes e.g. two days.", ["It costs 4.90 euros.", "It takes e.g. two days."]),
        ("- One item\n- Another item\n", ["One item", "Another item"]),
        ("Il a dit « oui ». Puis il est parti !", ["Il a dit « oui ».", "Puis il est parti !"]),
        ("| a | b |\n| c | d |", ["a | b", "c | d"]),
        ("  \n\n ", []),
        ("no end", ["no end"]),
        ("You need:\n- a card\n- a photo\nEnd", ["You need:", "a card", "a photo", "End"]),
    ],
)
def test_find_sentences(text, expected):
    assert [text[start:end] for start, end in find_sentences(text)] == expected


def test_line_breaks_of_a_pdf_do_not_end_a_sentence():
    text = "The laptop can be returned\nwithin 14 days. It must be\ncomplete."
    assert [text[start:end] for start, end in find_sentences(text)] == [
        "The laptop can be returned\nwithin 14 days.",
        "It must be\ncomplete.",
    ]
