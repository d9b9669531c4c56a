"""docs/compatibility.md: the tables are complete, every cell has a source, and our cells name tests that exist."""

import re

import pytest

from tests import ROOT
from tests.unit_tests.docs.named_tests import assert_test_exists

PAGE = ROOT / "docs" / "compatibility.md"
TEXT = PAGE.read_text(encoding="utf-8")
BODY = TEXT.partition("## Sources")[0]
HEADER = ["", "`gptoss serve`", "vLLM", "llama.cpp", "Ollama"]
NOT_FOUND = "not found"
LINES = [[cell.strip() for cell in line[1:-1].split("|")] for line in BODY.splitlines() if line.startswith("|")]
ROWS = [line for line in LINES if line != HEADER and not set("".join(line)) <= set("-")]
SOURCES = dict(re.findall(r"^\[\^(\d+)\]: (.+)$", TEXT, flags=re.MULTILINE))
NAMED_TESTS = sorted(set(re.findall(r"\[`(tests/[\w/.]+)::([\w:]+)`\]\(\.\./([\w/.]+)\)", TEXT)))


def find_sources(text: str) -> list[str]:
    return re.findall(r"\[\^(\d+)\]", text)


def test_the_tables_are_complete():
    assert LINES.count(HEADER) == 4
    assert len(ROWS) >= 33
    for row in ROWS:
        assert len(row) == len(HEADER), row[0]
        assert all(row), row[0]
    assert len({row[0] for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=[row[0] for row in ROWS])
def test_every_cell_has_a_source(row):
    [own] = find_sources(row[1])
    assert "::" in SOURCES[own]
    for cell in row[2:]:
        sources = find_sources(cell)
        assert sources or cell == NOT_FOUND, cell
        for number in sources:
            # a file at a commit, or a thread
            assert re.search(
                r"`[\w/.-]+\.(md|mdx|py|cpp|go)` \(commit [0-9a-f]{8}\b|\[#\d+\]\(https://", SOURCES[number]
            )


def test_every_source_is_used():
    assert len(re.findall(r"^\[\^", TEXT, flags=re.MULTILINE)) == len(SOURCES)
    assert set(find_sources(BODY)) == set(SOURCES)


@pytest.mark.parametrize(("path", "name", "link"), NAMED_TESTS)
def test_every_named_test_exists(path, name, link):
    assert link == path
    assert_test_exists(path, name)


def test_no_test_is_named_in_another_form():
    assert len(re.findall(r"::(?:test_|Test)", TEXT)) == len(re.findall(r"\]\(\.\./tests/", TEXT))


@pytest.mark.parametrize("page", ["docs/index.md", "docs/serving.md", "README.md"])
def test_the_page_is_linked(page):
    assert "compatibility.md)" in (ROOT / page).read_text(encoding="utf-8")
