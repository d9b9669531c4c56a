"""Statements: sentences, list items and table rows together with the lines that introduce them."""

import pytest

from langchain_gptoss.text.sentences import find_sentences, find_statements


def read_statements(text: str) -> list[tuple[str, str]]:
    return [(text[one.start : one.end], one.get_lead_in_text(text)) for one in find_statements(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "The plan lasts a year. The plan does not cover:\n\n- damage by a fall\n- theft. It never is.\n\nAsk us.",
            [
                ("The plan lasts a year.", ""),
                ("The plan does not cover:", ""),
                ("damage by a fall", "The plan does not cover:"),
                ("theft.", "The plan does not cover:"),
                ("It never is.", "The plan does not cover:"),
                ("Ask us.", ""),
            ],
        ),
        (
            "Sont exclus :\n1. les chocs ;\n\n2. la casse ;\n\n3. le vol.\nTout le reste est couvert.",
            [
                ("Sont exclus :", ""),
                ("les chocs ;", "Sont exclus :"),
                ("la casse ;", "Sont exclus :"),
                ("le vol.", "Sont exclus :"),
                ("Tout le reste est couvert.", ""),
            ],
        ),
        (
            "Not covered:\n- parts that wear out:\n  * batteries\n  * seals\n- theft",
            [
                ("Not covered:", ""),
                ("parts that wear out:", "Not covered:"),
                ("batteries", "Not covered: parts that wear out:"),
                ("seals", "Not covered: parts that wear out:"),
                ("theft", "Not covered:"),
            ],
        ),
        (
            "1. Bring:\na) a card\nb) a photo\n2. Wait.",
            [("Bring:", ""), ("a card", "Bring:"), ("a photo", "Bring:"), ("Wait.", "")],
        ),
        (
            "The following are not accepted.\n\n• cheques\n• coins",
            [
                ("The following are not accepted.", ""),
                ("cheques", "The following are not accepted."),
                ("coins", "The following are not accepted."),
            ],
        ),
        ("Call us.\n\n- by phone\n- by mail", [("Call us.", ""), ("by phone", ""), ("by mail", "")]),
        ("**Exclus**\n- le vol", [("**Exclus**", ""), ("le vol", "**Exclus**")]),
        (
            "## Not covered:\n\n- theft\n\n## Covered\n\n- fire",
            [("Not covered:", ""), ("theft", "Not covered:"), ("Covered", ""), ("fire", "")],
        ),
        (
            "Sont exclus :\n\nles chocs\n\nle vol\n\nLe reste est couvert.",
            [
                ("Sont exclus :", ""),
                ("les chocs", "Sont exclus :"),
                ("le vol", "Sont exclus :"),
                ("Le reste est couvert.", ""),
            ],
        ),
        (
            "Table 2. Prices\n\n| Model | Price |\n|---|---|\n| Eco | 30 € |\n\nAfter it.",
            [
                ("Table 2. Prices", ""),
                ("Model | Price", "Table 2. Prices"),
                ("Eco | 30 €", "Table 2. Prices Model | Price"),
                ("After it.", ""),
            ],
        ),
        (
            "It does not cover: a) damage by a fall; b) theft. The rest is covered.",
            [
                ("It does not cover:", ""),
                ("damage by a fall;", "It does not cover:"),
                ("theft.", "It does not cover:"),
                ("The rest is covered.", ""),
            ],
        ),
        (
            "La garantie exclut (i) les chocs et (ii) le vol.",
            [("La garantie exclut", ""), ("les chocs et", "La garantie exclut"), ("le vol.", "La garantie exclut")],
        ),
    ],
)
def test_lead_ins(text, expected):
    assert read_statements(text) == expected


def test_sentences_without_enumeration_have_the_same_spans():
    text = "# Rules\n\nSee section 4 a) and more. You need:\n\n1. a card\n2. a photo\n\n| a | b |\n|---|---|\n| c | d |"
    assert [(one.start, one.end) for one in find_statements(text)] == list(find_sentences(text))


def test_lead_in_span_reaches_from_the_outermost_to_the_innermost():
    text = "Not covered:\n- theft\n- wear:\n  - seals"
    last = list(find_statements(text))[-1]
    assert last.lead_in == (0, text.index("wear:") + 5)
    assert [text[start:end] for start, end in last.lead_ins] == ["Not covered:", "wear:"]
    assert next(find_statements(text)).lead_in is None
