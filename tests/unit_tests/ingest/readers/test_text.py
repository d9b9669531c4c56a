"""Markdown, plain text and the decoding of text formats."""

import hashlib

import pytest

from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import load_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason


def test_text_is_left_as_it_is(tmp_path):
    text = "\r\n# The *Title* #\r\n\r\nline one\rline two\n\ttab \u2028 nbsp\xa0\n"
    (tmp_path / "x.md").write_bytes(b"\xef\xbb\xbf" + text.encode())
    (document,) = load_documents(tmp_path / "x.md")
    assert document.page_content == text
    assert document.metadata == {
        "source": "x.md",
        "title": "The Title",
        "start": 0,
        "content_hash": hashlib.sha256(text.encode()).hexdigest(),
    }


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("x.txt", b"\xff\xff", "it is not UTF-8 text (byte 1), nor text in another known encoding; save it as UTF-8"),
        ("x.md", b"a\0b", "it contains NUL bytes, so it is not UTF-8 text; save it as UTF-8"),
        ("x.md", b"", "it is empty"),
        ("x.md", b"\xef\xbb\xbf \r\n\t", "it is empty"),
        ("x.html", b"<script>x</script>", "it is empty"),
    ],
)
def test_undecodable_and_empty_files_are_skipped(tmp_path, name, data, reason):
    assert read_skip_reason(tmp_path, name, data) == reason


def test_declared_encodings_are_used(tmp_path):
    text = "Prix : 5 € à l'été"
    for name, data in {
        "le.txt": b"\xff\xfe" + text.encode("utf-16-le"),
        "be.csv": b"\xfe\xff" + text.encode("utf-16-be"),
        "32.md": b"\xff\xfe\0\0" + text.encode("utf-32-le"),
        "meta.html": f'<html><head><META http-equiv="x" content="text/html; charset=windows-1252"></head>{text}'.encode("cp1252"),
        "short.html": f"<meta charset='cp1252'>{text}".encode("cp1252"),
        "xml.htm": f'<?xml version="1.0" encoding="cp1252"?><p>{text}'.encode("cp1252"),
        "unknown.html": f"<meta charset=klingon>{text}".encode(),
        "marked.html": b"\xef\xbb\xbf" + f"<meta charset=cp1252>{text}".encode(),
    }.items():  # fmt: skip
        assert text in load_text(tmp_path, name, data).page_content, name


def test_guessed_encodings_are_in_the_metadata_and_in_a_warning(tmp_path):
    (tmp_path / "x.txt").write_bytes("Le café est fermé l’été.".encode("cp1252"))
    with pytest.warns(DocumentWarning, match=r"^x\.txt: it does not say its encoding; it is read as windows-1252\.$"):
        (document,) = load_documents(tmp_path)
    assert document.page_content == "Le café est fermé l’été."
    assert (document.metadata["encoding"], document.metadata["encoding_guessed"]) == ("windows-1252", True)
