"""A folder of documents and a place for its index."""

from pathlib import Path

import pytest

from tests.unit_tests.ingest.sync_helpers import write_file


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    write_file(folder / "a.md", "# A\n\none\n\n## B\n\ntwo")
    write_file(folder / "sub" / "b.txt", "".join(f"three {i:03}. " for i in range(110)))
    write_file(folder / "c.csv", "Name,City\nAnna,Paris\n")
    return folder


@pytest.fixture
def place(tmp_path) -> Path:
    return tmp_path / "index"
