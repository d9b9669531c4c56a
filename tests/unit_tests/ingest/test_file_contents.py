"""read_file: files that cannot be read, limits, and loaders of the user."""

import os
import sys
from pathlib import Path

import pytest

from langchain_gptoss.errors import InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest import SkippedFile, load_documents, split_documents
from tests.unit_tests.ingest.line_loader import LineLoader


def test_missing_special_and_unreadable_files_are_skipped(tmp_path, monkeypatch):
    (tmp_path / "good.md").write_text("good")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "locked.md").write_text("x")
    (tmp_path / "folder.md").mkdir()
    read_bytes, scandir = Path.read_bytes, os.scandir

    def deny_file(path: Path) -> bytes:
        if path.name == "locked.md":
            raise PermissionError(13, "Permission denied", str(path))
        return read_bytes(path)

    def deny_folder(path):
        if str(path).endswith("folder.md"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(Path, "read_bytes", deny_file)
    monkeypatch.setattr(os, "scandir", deny_folder)
    skipped: list[SkippedFile] = []
    assert len(load_documents(tmp_path, on_skip=skipped.append)) == 1
    assert {file.source: file.reason for file in skipped} == {
        "folder.md": "the folder cannot be read (Permission denied)",
        "gone.md": "it no longer exists",
        "locked.md": "it cannot be read (Permission denied)",
        "pipe.md": "it is not a regular file",
    }


def test_too_large_files_are_not_opened(tmp_path, monkeypatch):
    with (tmp_path / "huge.txt").open("wb") as file:
        file.truncate(100_000_001)
    (tmp_path / "good.txt").write_text("good")
    opened = []
    read_bytes = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda path: opened.append(path.name) or read_bytes(path))
    skips: list[SkippedFile] = []
    load_documents(tmp_path, on_skip=skips.append)
    assert [skip.reason for skip in skips] == ["it has 100.0 MB and the limit is 100.0 MB; split it or raise max_bytes"]
    assert opened == ["good.txt"]
    with pytest.raises(InvalidInputError, match="max_bytes is 0"):
        load_documents(tmp_path, max_bytes=0)


def test_file_deleted_during_the_run_is_skipped(tmp_path, monkeypatch):
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("x")
    read_bytes = Path.read_bytes

    def delete_and_read(path: Path) -> bytes:
        if path.name == "a.md":
            path.unlink()
        return read_bytes(path)

    monkeypatch.setattr(Path, "read_bytes", delete_and_read)
    skips: list[SkippedFile] = []
    assert len(load_documents(tmp_path, on_skip=skips.append)) == 1
    assert [str(skip) for skip in skips] == ["Skipped a.md: it no longer exists."]


def test_loaders_are_chosen_by_suffix(tmp_path):
    (tmp_path / "a.log").write_text("one\ntwo")
    (tmp_path / "b.pdf").write_text("scan")
    (tmp_path / "c.md").write_text("text")
    loaders = {"LOG": LineLoader, ".pdf": lambda path: f"# OCR\n\n{path.read_text()}"}
    documents = load_documents(tmp_path, loaders=loaders)
    assert [(d.metadata["source"], d.page_content) for d in documents] == [
        ("a.log", "one"),
        ("a.log", "two"),
        ("b.pdf", "# OCR\n\nscan"),
        ("c.md", "text"),
    ]
    assert [d.metadata["title"] for d in documents] == ["a", "a", "b", "c"]

    def raise_key_error(path: Path) -> str:
        raise KeyError("page")

    skips: list[SkippedFile] = []
    load_documents(tmp_path, loaders={".pdf": raise_key_error}, on_skip=skips.append)
    assert [str(skip) for skip in skips] == ["Skipped b.pdf: raise_key_error failed on it (KeyError: 'page')."]
    load_documents(tmp_path, loaders={".pdf": lambda _: " "}, on_skip=skips.append)
    assert skips[-1].reason == "it has no text"
    structured = load_documents(tmp_path / "b.pdf", loaders={".pdf": lambda _: "# Scan\n\n## Costs\n\nfive"})
    assert [chunk.metadata["heading"] for chunk in split_documents(structured)] == ["Scan > Costs"]
    with pytest.raises(InvalidInputError, match=r"The loader for \.pdf returned something else"):
        load_documents(tmp_path, loaders={".pdf": lambda _: [1]})


def test_missing_parser_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "lxml.html", None)
    (tmp_path / "a.html").write_text("x")
    with pytest.raises(MissingDependencyError, match=r'pip install "langchain-gptoss\[rag\]"'):
        load_documents(tmp_path)
