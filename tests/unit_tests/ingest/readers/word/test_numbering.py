"""Labels that Word computes."""

import pytest

from langchain_gptoss.ingest.readers.word.numbering import format_number
from tests.unit_tests.ingest.readers.word.helpers import read_word, write_paragraph


def write_level(number: int, kind: str, text: str, rest: str = "") -> str:
    return f'<w:lvl w:ilvl="{number}"><w:start w:val="1"/><w:numFmt w:val="{kind}"/><w:lvlText w:val="{text}"/>{rest}</w:lvl>'


def write_definition(identifier: int, *levels: str) -> str:
    return f'<w:abstractNum w:abstractNumId="{identifier}">{"".join(levels)}</w:abstractNum>'


def write_list(identifier: int, definition: int, rest: str = "") -> str:
    return f'<w:num w:numId="{identifier}"><w:abstractNumId w:val="{definition}"/>{rest}</w:num>'


def write_item(text: str, number: int, level: int = 0) -> str:
    properties = f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>'
    return write_paragraph(text, properties=properties)


NUMBERING = (
    write_definition(0, write_level(0, "decimal", "%1."), write_level(1, "lowerLetter", "%2)"))
    + write_definition(1, write_level(0, "bullet", "\uf0b7"), write_level(1, "bullet", "o"))
    + write_definition(2, write_level(0, "upperRoman", "Article %1"), write_level(1, "decimal", "%1.%2", "<w:isLgl/>"))
    + write_list(1, 0)
    + write_list(2, 1)
    + write_list(3, 2)
    + write_list(4, 0, '<w:lvlOverride w:ilvl="0"><w:startOverride w:val="5"/></w:lvlOverride>')
)


def test_numbers_go_on_after_other_paragraphs():
    body = write_item("one", 1) + write_item("two", 1) + write_paragraph("Between.") + write_item("three", 1)
    assert read_word(body, numbering=NUMBERING) == "1. one\n2. two\n\nBetween.\n\n3. three"


def test_levels_are_nested_and_start_again():
    body = "".join(write_item(text, 1, level) for text, level in [("A", 0), ("x", 1), ("y", 1), ("B", 0), ("z", 1)])
    assert read_word(body, numbering=NUMBERING) == "1. A\n  - a) x\n  - b) y\n2. B\n  - a) z"


def test_bullets_follow_their_lead_in():
    body = write_paragraph("Not covered:") + write_item("a fall", 2) + write_item("water", 2) + write_item("sea", 2, 1)
    assert read_word(body, numbering=NUMBERING) == "Not covered:\n\n- a fall\n- water\n  - sea"


def test_labels_of_clauses_stay_before_their_paragraphs():
    body = (
        write_item("Fees", 3)
        + write_item("The fee is due.", 3, 1)
        + write_item("Term", 3)
        + write_item("One year.", 3, 1)
    )
    assert (
        read_word(body, numbering=NUMBERING)
        == "Article I Fees\n\n1.1 The fee is due.\n\nArticle II Term\n\n2.1 One year."
    )


def test_a_list_with_a_start_of_its_own():
    assert (
        read_word(write_item("a", 1) + write_item("b", 4) + write_item("c", 4), numbering=NUMBERING)
        == "1. a\n5. b\n6. c"
    )


def test_numbered_headings_keep_their_numbers():
    styles = '<w:style w:styleId="T1"><w:name w:val="heading 1"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr></w:pPr></w:style>'
    body = write_paragraph("Scope", properties='<w:pStyle w:val="T1"/>') * 2
    assert read_word(body, styles=styles, numbering=NUMBERING) == "# 1. Scope\n\n# 2. Scope"


def test_paragraphs_without_a_known_list_have_no_label():
    body = write_item("a", 0) + write_item("b", 99) + write_item("c", 1, 7)
    assert read_word(body, numbering=NUMBERING) == "a\n\nb\n\nc"
    assert read_word(body) == "a\n\nb\n\nc"


@pytest.mark.parametrize(
    ("number", "kind", "text"),
    [
        (4, "decimal", "4"), (4, "decimalZero", "04"), (28, "lowerLetter", "bb"), (3, "upperLetter", "C"),
        (1994, "lowerRoman", "mcmxciv"), (4, "upperRoman", "IV"), (0, "lowerRoman", "0"), (4, "none", ""), (4, "chicago", "4"),
    ],
)  # fmt: skip
def test_formats_of_numbers(number, kind, text):
    assert format_number(number, kind) == text
