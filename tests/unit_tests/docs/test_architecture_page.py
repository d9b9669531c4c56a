"""docs/architecture.md agrees with the folders and with the dependency table."""

import re

import pytest

from tests import ROOT
from tests.unit_tests.test_architecture import LINES, PACKAGE, SAME_LINE

PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
HIDDEN = {"samples", "__pycache__"}


def read_listed_packages() -> set[str]:
    return set(re.findall(r"^\| `([\w/.]+)` \|", PAGE, re.MULTILINE))


def find_packages() -> set[str]:
    folders = {path.parent.relative_to(PACKAGE).as_posix() + "/" for path in PACKAGE.rglob("__init__.py")}
    modules = {path.name for path in PACKAGE.glob("*.py") if path.name != "__init__.py"}
    return (folders - {"./"}) | modules


def test_every_package_has_one_line():
    assert read_listed_packages() == find_packages()


def test_the_dependency_table_is_the_tested_one():
    block = re.search(r"```text\n(cli .*?)```", PAGE, re.DOTALL)[1]
    rows = [re.split(r"\s{8,}", row)[0].split() for row in block.splitlines() if not row.startswith(" ")]
    present = {path.name.removesuffix(".py") for path in PACKAGE.iterdir()}
    assert [set(row) for row in rows] == [line & present for line in LINES if line & present]


def test_the_exceptions_on_one_line_are_the_tested_ones():
    notes = [re.split(r"\s{8,}", row)[-1] for row in PAGE.splitlines() if " -> " in row]
    arrows = [re.fullmatch(r"([\w, ]+) -> ([\w, ]+)", note) for note in notes]
    allowed = {
        source.strip(): {target.strip() for target in arrow[2].split(",")}
        for arrow in arrows
        if arrow
        for source in arrow[1].split(",")
    }
    assert allowed == SAME_LINE


@pytest.mark.parametrize("path", sorted(set(re.findall(r"`((?:\w+/)+\w+\.(?:py|toml|md)|(?:\w+/){2,})`", PAGE))))
def test_every_named_path_exists(path):
    assert (PACKAGE / path).exists() or (ROOT / path).exists()
