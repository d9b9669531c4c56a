"""JSON and JSON lines as lines of text."""

import pytest

from langchain_gptoss.errors import DocumentWarning
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
        ("a.json", b"\xff\xff", "it is not UTF-8 text"),
        ("a.jsonl", b'{}\n{"a"\n', "none of its lines is valid JSON (line 2: "),
        ("a.jsonl", b"hello\nworld\n", "none of its lines is valid JSON (line 1: Expecting value"),
        ("a.jsonl", b"\0\0\0\n", "it is empty"),
    ],
)
def test_unusable_files_are_skipped(tmp_path, name, data, reason):
    assert reason in read_skip_reason(tmp_path, name, data)


@pytest.mark.parametrize(
    ("data", "expected", "warning"),
    [
        (b'{"a": 1}\n{"a": \n{"a": 3}\n', "a: 1\n\na: 3", r"line 2 is not valid JSON \(Expecting value.*\) and is left out"),
        (b'{"a": 1}\nx\n{"a": 3}\n{"a', "a: 1\n\na: 3", "lines 2, 4 are not valid JSON"),
        (b'{"a": 1}\n\0\0\0\0\n{"a": 3}\n', "a: 1\n\na: 3", "line 2 is not valid JSON .it contains NUL bytes."),
        (b'{"a": 1}\n' + b"[" * 100_000, "a: 1", "line 2 is not valid JSON .more than 1,000 levels."),
        (b'{"a": 1}\n' + b"x\n" * 12, "a: 1", "lines 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 2 more are not valid JSON"),
        ('{"lieu": "Orléans"}\n{"lieu": "Béziers"}\n'.encode("cp1252"), "lieu: Orléans\n\nlieu: Béziers", "windows-1252"),
    ],
)  # fmt: skip
def test_broken_lines_are_named_and_the_others_stay(tmp_path, data, expected, warning):
    with pytest.warns(DocumentWarning, match=warning):
        assert load_text(tmp_path, "a.jsonl", data).page_content == expected


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
def test_wide_encodings_without_a_mark_are_recognized(tmp_path, encoding):
    text = '{"lieu": "Orléans", "prix": 5}'
    for name in ("a.json", "a.jsonl"):
        with pytest.warns(DocumentWarning, match="it is read as UTF"):
            document = load_text(tmp_path, name, text.encode(encoding))
        assert document.page_content == "lieu: Orléans\nprix: 5"
        assert document.metadata["encoding"] == encoding
        assert load_text(tmp_path, name, f"\ufeff{text}".encode(encoding)).page_content == "lieu: Orléans\nprix: 5"


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("lines.json", '{"a": 1}\n{"a": 2}\n', "a: 1\n\na: 2"),
        ("document.jsonl", '[\n  {"a": 1},\n  {"a": 2}\n]\n', "a: 1\n\na: 2"),
    ],
)
def test_documents_and_lines_under_the_suffix_of_the_other_are_read(tmp_path, name, text, expected):
    assert load_text(tmp_path, name, text.encode()).page_content == expected
