"""JSON and JSON lines as lines of text."""

import pytest

from langchain_gptoss.ingest import split_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("a.json", '{"a": {"b": [1, 2], "c": null}, "d": "text"}', "a.b: 1, 2\nd: text"),
        ("a.json", '[{"q": "x", "l": [{"z": true}]}, "two"]', "q: x\nl[1].z: true\n\ntwo"),
        ("a.jsonl", '{"a": 1}\n\n{"a": "# no heading"}\n', "a: 1\n\na: # no heading"),
        ("a.json", r'{"a": "x\u0000\ud800y"}', "a: x\ufffdy"),
    ],
)
def test_values_become_lines(tmp_path, name, text, expected):
    document = load_text(tmp_path, name, text.encode())
    assert document.page_content == expected
    assert document.metadata["title"] == "a"
    assert {chunk.metadata["heading"] for chunk in split_documents([document])} == {""}


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.json", b"{", "it is not valid JSON (Expecting"),
        ("a.json", b"", "it is empty"),
        ("a.json", b"[" * 100_000, "its JSON is nested too deeply"),
        ("a.json", "é".encode("latin-1"), "it is not UTF-8 text"),
        ("a.jsonl", b'{}\n{"a"\n', "it is not valid JSON (line 2: "),
    ],
)
def test_unusable_files_are_skipped(tmp_path, name, data, reason):
    assert reason in read_skip_reason(tmp_path, name, data)
