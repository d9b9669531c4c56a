"""Markdown files."""

import json

import pytest

from langchain_gptoss.ingest import load_documents, split_documents
from tests.unit_tests.ingest.readers.helpers import load_text


def test_front_matter_gives_title_and_metadata_and_no_text(tmp_path):
    data = "---\ntitle: Guide du pont\n# internal: à revoir\nowner: équipe\ntags: [pont, mer]\n---\n\n# Amarrage\n\nDeux amarres."
    document = load_text(tmp_path, "guide.md", data.encode())
    assert document.page_content == "# Amarrage\n\nDeux amarres."
    assert document.metadata["title"] == "Guide du pont"
    assert document.metadata["front_matter"] == {"title": "Guide du pont", "owner": "équipe", "tags": ["pont", "mer"]}
    json.dumps(document.metadata)
    (chunk,) = split_documents([document])
    assert chunk.metadata["heading"] == "Amarrage"
    assert document.page_content[chunk.metadata["start"] : chunk.metadata["end"]] == "Deux amarres."


def test_front_matter_behind_a_byte_order_mark_and_with_windows_line_ends(tmp_path):
    data = b"\xef\xbb\xbf---\r\ntitle: Deck\r\n---\r\n\r\nThe deck.\r\n"
    document = load_text(tmp_path, "a.markdown", data)
    assert (document.metadata["title"], document.page_content) == ("Deck", "The deck.\r\n")


@pytest.mark.parametrize(
    ("name", "text", "title"),
    [
        ("a.md", "# Deck\n\nText.", "Deck"),
        ("a.md", "Deck\n====\n\nText.", "Deck"),
        ("a.md", "---\nowner: me\n---\n# Deck", "Deck"),
        ("a.md", "---\nno: [end\n---\nText.", "a"),
        ("a.txt", "---\ntitle: Deck\n---\nText.", "a"),
    ],
)
def test_title_is_that_of_the_front_matter_else_the_first_heading(tmp_path, name, text, title):
    assert load_text(tmp_path, name, text.encode()).metadata["title"] == title


def test_a_text_without_front_matter_and_comments_stays_as_it_is(tmp_path):
    text = "\n  # Prices\r\n\n*5* `<!-- code -->` &nbsp; **x**\n\n```html\n<!-- code -->\n```\nend <!-- open\n"
    assert load_text(tmp_path, "a.md", text.encode()).page_content == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("One.\n<!-- old: 4 EUR -->\nTwo.", "One.\nTwo."),
        ("One <!-- hidden --> two.", "One  two."),
        ("<!--\n# Interne\n\nancien prix : 4 €\n-->\n# Prix\n\n6 €", "# Prix\n\n6 €"),
        ("`a` <!-- b --> `<!-- c -->` <!-- d -->end", "`a`  `<!-- c -->` end"),
        ("```\n<!-- a -->\n```\n<!-- b -->\n~~~\n<!-- c", "```\n<!-- a -->\n```\n~~~\n<!-- c"),
    ],
)
def test_comments_are_left_out(tmp_path, text, shown):
    assert load_text(tmp_path, "a.md", text.encode()).page_content == shown


def test_a_file_of_front_matter_alone_is_empty(tmp_path):
    (tmp_path / "a.md").write_text("---\ntitle: x\n---\n")
    (tmp_path / "b.md").write_text("text")
    skipped = []
    load_documents(tmp_path, on_skip=skipped.append)
    assert [str(file.reason) for file in skipped] == ["it is empty"]
