"""load_documents: warnings, errors and supported formats."""

import logging
from pathlib import Path

import pytest

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest import SUPPORTED_SUFFIXES, load_documents


def test_skipped_files_are_logged_by_default(tmp_path, caplog):
    (tmp_path / "broken.pdf").write_bytes(b"junk")
    (tmp_path / "good.md").write_text("x")
    with caplog.at_level(logging.WARNING):
        load_documents(tmp_path)
    (message,) = [record.getMessage() for record in caplog.records]
    assert message.startswith("Skipped broken.pdf: it is not a readable PDF (")
    assert message.endswith(").")


def test_errors_name_the_remedy(tmp_path):
    def load_error(path: Path) -> str:
        with pytest.raises(DocumentsError) as raised:
            load_documents(path, on_skip=lambda _: None)
        return str(raised.value)

    suffixes = f"{', '.join(SUPPORTED_SUFFIXES[:-1])} or .eml"
    assert load_error(tmp_path / "nowhere") == f"There is no file or folder at {tmp_path / 'nowhere'}. Check the path."
    assert "There is no file or folder" in load_error(tmp_path / "nul\0")
    assert load_error(tmp_path) == f"The folder {tmp_path} is empty. Put documents into it ({suffixes})."
    for name in ("a.doc", "b.xls", "c.png", "d", ".hidden.md"):
        (tmp_path / name).write_text("x")
    assert load_error(tmp_path) == (
        f"The folder {tmp_path} has no document in a supported format, only a.doc, b.xls, c.png and 1 more. Supported are {suffixes}."
    )
    assert (
        load_error(tmp_path / "a.doc") == f"a.doc has a format that is not supported. Convert it to one of {suffixes}."
    )
    for i in range(5):
        (tmp_path / f"e{i}.md").write_text("")
    assert load_error(tmp_path) == (
        f"Nothing at {tmp_path} can be used (e0.md: it is empty; e1.md: it is empty; e2.md: it is empty; and 2 more). "
        "Repair or replace the files."
    )
    assert "e0.md: it is empty" in load_error(tmp_path / "e0.md")


def test_supported_suffixes_are_pinned():
    assert SUPPORTED_SUFFIXES == (
        ".md", ".markdown", ".txt", ".html", ".htm", ".pdf", ".docx", ".pptx", ".xlsx", ".epub", ".csv", ".tsv",
        ".json", ".jsonl", ".eml",
    )  # fmt: skip
