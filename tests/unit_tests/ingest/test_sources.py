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


@pytest.fixture
def linked(tmp_path) -> Path:
    """A folder with links of every kind, beside a folder that none of its documents may come from."""
    docs, outside = tmp_path / "docs", tmp_path / "outside"
    for name in ("docs/ok.md", "docs/sub/deep.md", "docs/sub/..data/real.md", "outside/secret.md", "docs-2/near.md"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"text of {Path(name).stem}")
    (docs / "linkdir").symlink_to(outside)
    (docs / "sub" / "loop").symlink_to(docs)
    (docs / "sub" / "self").symlink_to(".")
    (docs / "link.md").symlink_to(outside / "secret.md")
    (docs / "chain.md").symlink_to("link.md")
    (docs / "relative.md").symlink_to("../outside/secret.md")
    (docs / "near.md").symlink_to("../docs-2/near.md")  # its folder begins with the name of the given one
    (docs / "gone.md").symlink_to("nowhere.md")
    (docs / "sub" / "mounted.md").symlink_to("..data/real.md")  # as Kubernetes mounts files
    return docs


def load_texts(*places: object, **options) -> tuple[list[str], dict[str, str]]:
    skips: list[SkippedFile] = []
    documents = load_documents(list(places), on_skip=skips.append, **options)
    assert len({skip.source for skip in skips}) == len(skips)
    return sorted(document.page_content for document in documents), {skip.source: skip.reason for skip in skips}


@pytest.mark.parametrize("pattern", ["", "**/*.md", "**/**/*.md", "**", "**/**"])
def test_links_that_lead_out_of_the_folder_are_not_followed(linked, pattern):
    texts, skips = load_texts(str(linked / pattern))
    assert texts == ["text of deep", "text of ok", "text of real"]
    assert all(skips[name].startswith("it is a link that leads out") for name in ("link.md", "chain.md", "relative.md", "near.md"))  # fmt: skip
    assert all(skips[name].startswith("links to folders are not followed") for name in ("linkdir", "sub/loop", "sub/self"))  # fmt: skip
    assert skips["gone.md"] == "it no longer exists"


@pytest.mark.parametrize(
    "pattern", ["*/*.md", "*/*/*.md", "*/loop/ok.md", "*/loop/*/deep.md", "linkdi?/*.md", "link*", "[l]ink.md"]
)
def test_no_pattern_leads_through_a_link(linked, pattern):
    try:
        texts, _ = load_texts(str(linked / pattern))
    except DocumentsError:
        texts = []
    assert set(texts) <= {"text of deep", "text of real"}


@pytest.mark.parametrize("pattern", ["", "**/*.md"])
def test_links_are_followed_if_asked_for_and_circles_give_each_document_once(linked, pattern):
    texts, skips = load_texts(str(linked / pattern), follow_links=True)
    assert {"text of ok", "text of deep", "text of near", "text of secret"} <= set(texts)
    assert texts.count("text of deep") == 1
    assert len(texts) == len(set(texts))
    assert set(skips) == {"gone.md"}


def test_a_named_link_is_followed(linked, tmp_path):
    (tmp_path / "named").symlink_to(linked)
    assert load_texts(tmp_path / "named")[0] == ["text of deep", "text of ok", "text of real"]
    assert load_texts(linked / "link.md")[0] == ["text of secret"]
    assert load_texts(str(tmp_path / "named" / "*.md"))[0] == ["text of ok"]


def test_special_files_are_not_opened(tmp_path):
    (tmp_path / "a.md").write_text("x")
    os.mkfifo(tmp_path / "pipe.md")
    (tmp_path / "null.md").symlink_to("/dev/zero")
    texts, skips = load_texts(tmp_path, follow_links=True)
    assert texts == ["x"]
    assert skips == dict.fromkeys(("null.md", "pipe.md"), "it is not a regular file")
