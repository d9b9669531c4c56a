"""read_file: files that cannot be read, limits, and loaders of the user."""

import hashlib
import os
import sys
import zipfile
from pathlib import Path

import lxml.etree
import pypdfium2
import pytest

from langchain_gptoss.errors import InvalidInputError, MissingDependencyError
from langchain_gptoss.ingest import SkippedFile, file_contents, load_documents, split_documents
from langchain_gptoss.ingest.file_contents import create_read_options, read_file
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.sources import SourceFile
from tests.unit_tests.ingest.line_loader import LineLoader

OPTIONS = create_read_options(None, 1_000_000)


def test_missing_special_and_unreadable_files_are_skipped(tmp_path, monkeypatch):
    (tmp_path / "good.md").write_text("good")
    (tmp_path / "gone.md").symlink_to(tmp_path / "nowhere.md")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "locked.md").write_text("x")
    (tmp_path / "folder.md").mkdir()
    open_file, scandir = file_contents._open_without_waiting, os.scandir

    def deny_file(path: str, flags: int) -> int:
        if path.endswith("locked.md"):
            raise PermissionError(13, "Permission denied", path)
        return open_file(path, flags)

    def deny_folder(path):
        if str(path).endswith("folder.md"):
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(file_contents, "_open_without_waiting", deny_file)
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
    open_file = file_contents._open_without_waiting
    monkeypatch.setattr(
        file_contents,
        "_open_without_waiting",
        lambda path, flags: opened.append(Path(path).name) or open_file(path, flags),
    )
    skips: list[SkippedFile] = []
    load_documents(tmp_path, on_skip=skips.append)
    assert [skip.reason for skip in skips] == ["it has 100.0 MB and the limit is 100.0 MB; split it or raise max_bytes"]
    assert opened == ["good.txt"]
    with pytest.raises(InvalidInputError, match="max_bytes is 0"):
        load_documents(tmp_path, max_bytes=0)


def test_file_deleted_during_the_run_is_skipped(tmp_path, monkeypatch):
    for name in ("a.md", "b.md"):
        (tmp_path / name).write_text("x")
    open_file = file_contents._open_without_waiting

    def delete_and_open(path: str, flags: int) -> int:
        if path.endswith("a.md"):
            os.unlink(path)
        return open_file(path, flags)

    monkeypatch.setattr(file_contents, "_open_without_waiting", delete_and_open)
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
        read_file(SourceFile("a.html", tmp_path / "a.html"), OPTIONS)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (KeyError("page"), "it cannot be parsed (KeyError: 'page'); open it and save it again"),
        (
            LookupError("unknown encoding"),
            "it cannot be parsed (LookupError: unknown encoding); open it and save it again",
        ),
        (UnicodeDecodeError("undefined", b"a", 0, 1, "bad"), "it cannot be parsed (UnicodeDecodeError: "),
        (OverflowError("int too large."), "it cannot be parsed (OverflowError: int too large); open"),
        (zipfile.BadZipFile("bad\n  header"), "it cannot be parsed (BadZipFile: bad header); open"),
        (lxml.etree.ParserError("empty"), "it cannot be parsed (ParserError: empty); open"),
        (pypdfium2.PdfiumError("no page"), "it cannot be parsed (PdfiumError: no page); open"),
        (AssertionError(), "it cannot be parsed (AssertionError); open"),
        (StopIteration(), "it cannot be parsed (StopIteration); open"),
        (ImportError("libxml2.so"), "it cannot be parsed (ImportError: libxml2.so); open"),
        (
            RecursionError("maximum recursion depth exceeded"),
            "it is nested too deeply; save it again in another format",
        ),
        (MemoryError(), "reading it needs more memory than it may use; split it"),
        (ValueError("x" * 1000), f"it cannot be parsed (ValueError: {'x' * 200}); open"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_every_error_of_a_reader_concerns_its_file_alone(tmp_path, monkeypatch, error, reason):
    def fail(data: bytes, max_bytes: int) -> None:
        raise error

    monkeypatch.setattr(file_contents, "load_reader", lambda suffix: fail)
    (tmp_path / "a.pdf").write_bytes(b"x")
    with pytest.raises(UnreadableFileError) as raised:
        read_file(SourceFile("a.pdf", tmp_path / "a.pdf"), OPTIONS)
    assert str(raised.value).startswith(reason)
    assert raised.value.file_hash == hashlib.sha256(b"x").hexdigest()


def test_files_that_are_larger_than_they_say_are_read_up_to_the_limit(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_text("0123456789")
    status = os.stat(path)
    monkeypatch.setattr(os, "fstat", lambda _: os.stat_result((*status[:6], 4, *status[7:10])))
    assert file_contents._read_bytes(path, 10) == b"0123456789"
    with pytest.raises(UnreadableFileError, match="split it or raise max_bytes"):
        file_contents._read_bytes(path, 9)


def test_a_pipe_that_replaces_a_file_is_not_waited_for(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    os.mkfifo(path)
    monkeypatch.setattr(Path, "stat", lambda _, **__: os.stat(__file__))
    with pytest.raises(UnreadableFileError, match="not a regular file"):
        file_contents._read_bytes(path, 1_000_000)
