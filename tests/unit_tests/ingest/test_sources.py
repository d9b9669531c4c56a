"""list_files and the files that load_documents takes from places."""

import os
from pathlib import Path

import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import DocumentsError, InvalidInputError
from langchain_gptoss.ingest import SkippedFile, load_documents


def test_folder_is_listed_in_order_without_hidden_and_unsupported_files(tmp_path):
    for name in ("b.TXT", "a/é 資料.md", "a/.hidden.md", ".git/x.md", "a.markdown", "c.doc"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(f"body of {name}", encoding="utf-8")
    documents = load_documents(str(tmp_path), on_skip=lambda skipped: pytest.fail(str(skipped)))
    assert [document.metadata["source"] for document in documents] == ["a.markdown", "a/é 資料.md", "b.TXT"]
    assert [document.metadata["title"] for document in documents] == ["a", "é 資料", "b"]


def test_invalid_bytes_in_a_file_name_are_replaced(tmp_path):
    try:
        Path(os.fsdecode(bytes(tmp_path) + b"/caf\xe9.md")).write_text("x")
    except OSError:
        pytest.skip("this file system takes only Unicode names")
    (document,) = load_documents(tmp_path)
    assert document.metadata["source"] == "caf\ufffd.md"
    assert document.metadata["title"] == "caf\ufffd"


def test_home_folder_can_be_abbreviated(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "x.md").write_text("x")
    assert len(load_documents("~")) == 1


def test_links_to_folders_are_not_followed(tmp_path):
    (tmp_path / "a.md").write_text("x")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    (tmp_path / "loop.md").symlink_to(tmp_path / "loop.md")
    skips: list[SkippedFile] = []
    assert len(load_documents(tmp_path, on_skip=skips.append)) == 1
    reasons = {skip.source: skip.reason for skip in skips}
    assert reasons["sub/up"].startswith("links to folders are not followed; give the folder")
    assert reasons["loop.md"].startswith("it cannot be read (Too many levels")
    linked = tmp_path / "linked"
    linked.symlink_to(tmp_path / "sub")
    (tmp_path / "sub" / "b.md").write_text("y")
    assert [d.metadata["source"] for d in load_documents(linked, on_skip=skips.append)] == ["b.md"]


def test_patterns_and_lists_select_files(tmp_path, monkeypatch):
    for name in ("docs/a.md", "docs/deep/b.md", "docs/c.txt", "docs/d.png", "other/e.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {name}")

    def list_sources(*places: object) -> list[str]:
        return [document.metadata["source"] for document in load_documents(list(places))]

    assert list_sources(str(tmp_path / "docs" / "**" / "*.md")) == ["a.md", "deep/b.md"]
    assert list_sources(tmp_path / "docs", tmp_path / "other" / "e.md") == ["docs/a.md", "docs/c.txt", "docs/deep/b.md", "other/e.md"]  # fmt: skip
    assert list_sources(tmp_path / "docs", str(tmp_path / "docs" / "*.md")) == ["a.md", "c.txt", "deep/b.md"]
    monkeypatch.chdir(tmp_path)
    assert list_sources("*/?.md") == ["docs/a.md", "other/e.md"]
    (tmp_path / "[x].md").write_text("brackets")
    assert list_sources("[x].md") == ["[x].md"]
    with pytest.raises(DocumentsError, match=r"No file matches .*\*\.pdf. Check the pattern"):
        load_documents("docs/*.pdf")
    with pytest.raises(DocumentsError, match="No documents are named"):
        load_documents([])
    with pytest.raises(DocumentsError, match="There is no file or folder at nowhere"):
        load_documents(["docs", "nowhere"])
    with pytest.raises(InvalidInputError, match="neither a path nor a LangChain loader"):
        load_documents([Document(page_content="x")])


def test_folders_with_an_index_are_ignored(tmp_path):
    for name in ("docs/a.md", "docs/index/sync.sqlite", "docs/index/x.json", "docs/s/index-0.faiss", "docs/s/manifest.json"):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("{}")
    assert [document.metadata["source"] for document in load_documents(tmp_path)] == ["docs/a.md"]
