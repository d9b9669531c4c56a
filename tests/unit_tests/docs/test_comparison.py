"""docs/comparison.md: the table is complete, its sources resolve, and the tests that it names exist."""

import re

import pytest

from tests import ROOT
from tests.unit_tests.docs.named_tests import assert_test_exists

PAGE = ROOT / "docs" / "comparison.md"
TEXT = PAGE.read_text(encoding="utf-8")
HEADER, _, *ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")] for line in TEXT.splitlines() if line.startswith("|")
]
SOURCES = re.findall(r"^\[\^(\d+)\]: (.+)$", TEXT, flags=re.MULTILINE)
BODY = TEXT.partition("## Sources")[0]
NAMED_TESTS = re.findall(r"\[`(tests/[\w/.]+)::([\w:]+)`\]\(\.\./([\w/.]+)\)", TEXT)


def find_source_numbers(text: str) -> list[str]:
    return re.findall(r"\[\^(\d+)\]", text)


def test_every_row_has_a_cell_for_each_column():
    assert len(HEADER) == 6
    assert len(ROWS) >= 20
    for row in ROWS:
        assert len(row) == len(HEADER), row[0]
        assert all(row), row[0]
    assert len({row[0] for row in ROWS}) == len(ROWS)


def test_every_cell_has_a_source_and_every_source_a_cell():
    defined = [number for number, _ in SOURCES]
    assert len(set(defined)) == len(defined)
    for row in ROWS:
        for cell in row[1:]:
            assert find_source_numbers(cell), f"{row[0]}: {cell}"
    assert set(find_source_numbers(BODY)) == set(defined)


def test_the_sources_are_tests_here_and_code_elsewhere():
    sources = dict(SOURCES)
    for row in ROWS:
        for number in find_source_numbers(row[1]):
            assert "::" in sources[number], f"{row[0]}: no test"
        for number in find_source_numbers("".join(row[2:])):
            assert re.search(r"`[\w/]+\.(py|go)`|\bRun\b", sources[number]), f"{row[0]}: no line of code"


@pytest.mark.parametrize(("path", "name", "link"), sorted(set(NAMED_TESTS)))
def test_every_named_test_exists(path, name, link):
    assert link == path
    assert_test_exists(path, name)


def test_no_test_is_named_in_another_form():
    assert len(re.findall(r"::(?:test_|Test)", TEXT)) == len(NAMED_TESTS) + sum(
        "::" in name for _, name, _ in NAMED_TESTS
    )


def test_the_index_links_the_page():
    assert "(comparison.md)" in (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
