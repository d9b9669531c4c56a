"""Markdown that readers of other formats write."""

import pytest

from langchain_gptoss.ingest.readers.markdown_blocks import (
    Block,
    escape_structure,
    format_heading,
    format_list_item,
    join_in_line,
)
from langchain_gptoss.ingest.structure import find_first_heading


@pytest.mark.parametrize("text", ["# no heading", "one\n## two", "Total\n===", "Text\n---", "```\n# x", "  ~~~", "#"])
def test_escaped_lines_are_no_structure(text):
    escaped = escape_structure(text)
    assert escaped.replace("\\", "") == text
    assert escaped != text
    assert find_first_heading(escaped + "\n\nmore") == ""


@pytest.mark.parametrize("text", ["#hashtag", "a # b", "5 = 5", "- item", "a --- b", "`code`"])
def test_other_lines_stay(text):
    assert escape_structure(text) == text


def test_headings_have_one_line_and_at_most_six_levels():
    assert format_heading(2, " a\n b ") == "## a b"
    assert format_heading(9, "x") == "###### x"


def test_list_items_indent_what_belongs_to_them():
    nested = Block(text="- x\n- y", is_list=True)
    assert format_list_item("-", [Block(text="a\nb"), nested]) == "- a\n  b\n  - x\n  - y"
    assert format_list_item("3.", [Block(text="a"), Block(text="b")]) == "3. a\n\n   b"
    assert format_list_item("-", [nested]) == "-\n  - x\n  - y"


def test_blocks_in_one_line():
    blocks = [Block(text="Kinds:"), Block(text="- a\n- b", is_list=True), Block(text="more\nlines")]
    assert join_in_line(blocks) == "Kinds: a; b more lines"
