"""Sections and headings of documents."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.ingest import split_documents
from langchain_gptoss.ingest.structure import find_first_heading


def split_text(text: str, limit: int = 700, **metadata: object) -> list[Document]:
    return split_documents([Document(page_content=text, metadata=metadata)], max_chars=limit)


def split_texts(text: str, limit: int = 700) -> list[str]:
    return [chunk.page_content for chunk in split_text(text, limit)]


def test_headings_are_plain_text_in_metadata():
    text = "intro\n# **Big** [Title](http://x) #\n\nbody\n\n## `code` \\_x\\_ C#\nmore\n### Deep\ndeep\n## Next\nlast\n# Other\nend"
    assert [(chunk.metadata["heading"], chunk.page_content) for chunk in split_text(text)] == [
        ("", "intro"),
        ("Big Title", "body"),
        ("Big Title > code _x_ C#", "more"),
        ("Big Title > code _x_ C# > Deep", "deep"),
        ("Big Title > Next", "last"),
        ("Other", "end"),
    ]


def test_repeated_headings_start_sections_and_lone_headings_give_no_chunk():
    assert split_texts("# A\none\n# A\ntwo\n# Alone\n") == ["one", "two"]
    assert split_texts("# Alone") == []
    assert split_texts("") == []


def test_lines_that_are_no_headings_stay_in_the_text():
    text = f"#hash\n####### seven\n    # indented\n# {'x' * 300}"
    assert split_texts(text) == [text]
    pdf = "# not Markdown"
    assert [c.page_content for c in split_text(pdf, source="x.PDF")] == [pdf]


def test_fenced_code_has_no_structure():
    text = "```sh\n# comment\n\n- no item\n~~~\n```\nafter\n~~~~\n# x\n~~~\n# y\n~~~~~\n# Real\nend"
    assert [(chunk.metadata["heading"], chunk.page_content) for chunk in split_text(text)] == [
        ("", text[: text.index("\n# Real")]),
        ("Real", "end"),
    ]
    assert split_texts("```\n# open to the end") == ["```\n# open to the end"]


@pytest.mark.parametrize(
    ("text", "chunks"),
    [
        ("Amarrage\n========\n\nDeux amarres.", [("Amarrage", "Deux amarres.")]),
        ("Night\n-----\nTwo lamps.", [("Night", "Two lamps.")]),
        ("Top\n===\n\none\n\nSub\n---\n\ntwo\n\n# Next\nend", [("Top", "one"), ("Top > Sub", "two"), ("Next", "end")]),
        ("  Indented *title*\n=\ntext", [("Indented title", "text")]),
        ("Title\r\n-----\r\n\r\ntext\r\n", [("Title", "text")]),
        ("Horaires : 9 h - 12 h\n---\n\nFermé le lundi.", [("Horaires : 9 h - 12 h", "Fermé le lundi.")]),
        ("# One\nTwo\n---\nend", [("One > Two", "end")]),
        ("intro\n\n---\nNight\n-----\nend", [("", "intro\n\n---"), ("Night", "end")]),
    ],
)
def test_an_underlined_line_is_a_heading(text, chunks):
    assert [(chunk.metadata["heading"], chunk.page_content) for chunk in split_text(text)] == chunks


@pytest.mark.parametrize(
    "text",
    [
        "A rule follows.\n\n---\n\nText.",
        "The ferry leaves at 9.\n---\nThe bus leaves at 8.",
        "Two lines of a paragraph\nthat go on here\n---\nText.",
        "- an item\n---\nText.",
        "1. un élément\n   qui continue\n---\nTexte.",
        "| a | b |\n---\nText.",
        "> a quotation\n---\nText.",
        "Regards\n--\nAnna",
        "    indented code\n===\nText.",
        "```\nTitle\n=====\n```",
        "---\n---\nText.",
        "---\nbroken: [front matter\n---\nText.",
        f"{'x' * 301}\n=====\nText.",
        "<!--\n# Internal\n\nDraft\n=====\n-->\nText.",
        "#hashtag\nText.",
    ],
)
def test_lines_beside_rules_lists_tables_code_and_comments_are_no_headings(text):
    chunks = split_text(text)
    assert {chunk.metadata["heading"] for chunk in chunks} == {""}
    assert "".join("".join(chunk.page_content for chunk in chunks).split()) == "".join(text.split())


def test_underlines_are_text_in_formats_without_headings():
    text = "Total\n=====\n12"
    assert [chunk.page_content for chunk in split_text(text, source="x.csv")] == [text]


def test_find_first_heading_ignores_code_and_empty_headings():
    assert find_first_heading("text\n```\n# no\n```\n#\n## *Yes*\n# Later") == "Yes"
    assert find_first_heading("none") == ""
    assert find_first_heading("<!-- # no -->\n\nFirst\n=====") == "First"


@pytest.mark.parametrize(
    "headings", ["x", 5, [["a", "b"]], [[5, "x"]], [[0, "x"], [9, "y"], [3, "z"]], [[0]], {"a": 1}]
)
def test_unknown_values_under_the_headings_key_are_ignored(headings):
    document = Document(page_content="# T\n\ntext", metadata={"headings": headings})
    assert [chunk.metadata["heading"] for chunk in split_documents([document])] == ["T"]
