"""CSV: delimiters, quotation marks and the lines around a table."""

import pytest

from langchain_gptoss.ingest import split_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.csv", "Name,City\nAnna,Paris\nBob,\n", "- Name: Anna; City: Paris\n- Name: Bob"),
        ("a.csv", 'Nom;Ville\n"Anne; dite ""Nana""";"Paris\nNord"\n', '- Nom: Anne; dite "Nana"; Ville: Paris Nord'),
        ("a.csv", "1,2\n3,4\n", "- 1; 2\n- 3; 4"),
        ("a.csv", "only\n", "- only"),
        ("a.tsv", "Name\tAge\nAnna\t3\t4\n", "- Name: Anna; Age: 3; 4"),
    ],
)
def test_rows_become_list_items(tmp_path, name, text, expected):
    document = load_text(tmp_path, name, text.encode())
    assert document.page_content == expected
    assert document.metadata["title"] == "a"
    assert {chunk.metadata["heading"] for chunk in split_documents([document])} == {""}


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b'"' + b"x" * 200_000, "it is not readable CSV (field larger than field limit (131072))"),
        (b"\n,,\n", "it is empty"),
    ],
)
def test_unusable_files_are_skipped(tmp_path, data, reason):
    assert reason in read_skip_reason(tmp_path, "a.csv", data)
