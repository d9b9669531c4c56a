"""Front matter of Markdown."""

import pytest

from langchain_gptoss.ingest.readers.front_matter import parse_front_matter


@pytest.mark.parametrize(
    ("text", "values", "rest"),
    [
        (
            "---\ntitle: Deck guide\n# internal: reviewed\nowner: deck team\n---\n\nText",
            {"title": "Deck guide", "owner": "deck team"},
            "Text",
        ),
        ("---\r\ntitre: Guide du pont\r\n---\r\n\r\nTexte", {"titre": "Guide du pont"}, "Texte"),
        ("---\ntags: [mer, port]\n...\nText", {"tags": ["mer", "port"]}, "Text"),
        ("---\ntags:\n  - a\n  - 2\n---\nText", {"tags": ["a", 2]}, "Text"),
        (
            "---\nversion: 3.10\nopens: 12:30\ncountry: no\ndraft: true\nyear: 2025\ncode: 007\ndate: 2025-05-01\n---\n",
            {
                "version": "3.10",
                "opens": "12:30",
                "country": "no",
                "draft": True,
                "year": 2025,
                "code": "007",
                "date": "2025-05-01",
            },
            "",
        ),
        ("---\na: 1\nnested:\n  b: 2\nmixed: [1, [2]]\nempty:\n---\nText", {"a": 1}, "Text"),
        ("---\n# only a comment\n---\nText", {}, "Text"),
        ("---\n---\nText", {}, "Text"),
        (
            '+++\ntitle = "Guide"\nweight = 5\nratio = 0.5\nday = 2025-05-01\ntags = ["a"]\n+++\nText',
            {"title": "Guide", "weight": 5, "ratio": 0.5, "day": "2025-05-01", "tags": ["a"]},
            "Text",
        ),
    ],
)
def test_front_matter_is_metadata(text, values, rest):
    front_matter = parse_front_matter(text)
    assert (front_matter.values, text[front_matter.end :]) == (values, rest)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "---",
        "---\ntitle: never closed\n\nText",
        "---\njust a sentence between two rules\n---\nText",
        "---\n- a\n- list\n---\nText",
        "---\ntitle: [broken\n---\nText",
        "---\ntitle: a: b: c\n---\nText",
        "\n---\ntitle: not on the first line\n---\nText",
        "----\ntitle: four hyphens\n----\nText",
        "+++\ntitle = broken\n+++\nText",
        "# Title\n\n---\na: b\n---\n",
        f"---\na: {'[' * 5000}\n---\nText",
    ],
)
def test_what_is_no_valid_front_matter_stays_text(text):
    front_matter = parse_front_matter(text)
    assert (front_matter.values, front_matter.end) == ({}, 0)


def test_a_toml_block_of_unusual_length_stays_text():
    text = f"+++\n{'a.' * 50_000}b = 1\n+++\ntext"
    assert parse_front_matter(text).end == 0
