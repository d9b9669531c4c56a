"""Opening an index, its embedding model, and who may read it."""

import os

import pytest

from langchain_gptoss.errors import IndexStoreError
from langchain_gptoss.ingest import open_store, sync_documents
from langchain_gptoss.ingest.sync.manifest import Manifest
from tests.unit_tests.ingest.sync_helpers import HashEmbeddings, synchronize, write_file


def test_other_embedding_model_is_rejected(docs, place):
    synchronize(docs, place)
    with pytest.raises(IndexStoreError, match=r"made with the embedding model hashed,? and other was given"):
        synchronize(docs, place, embeddings=HashEmbeddings("other"))


def test_embedding_model_of_the_index_is_the_default(docs, place, monkeypatch):
    names = []
    monkeypatch.setattr(
        "langchain_gptoss.embeddings.load_embeddings", lambda name: names.append(name) or HashEmbeddings()
    )
    sync_documents(docs, place, embeddings="some/model")
    write_file(docs / "d.md", "four")
    sync_documents(docs, place)
    assert len(open_store(place)) == 6
    assert names == ["some/model", "some/model", "some/model"]


def test_open_store_rejects_missing_and_incomplete_indexes(docs, place, tmp_path):
    with pytest.raises(IndexStoreError, match="gptoss index FOLDER --store"):
        open_store(place)
    synchronize(docs, place)
    assert len(open_store(place, HashEmbeddings())) == 5
    assert len(open_store(place / "store", HashEmbeddings())) == 5
    with Manifest(tmp_path / "empty.sqlite"):
        pass
    (tmp_path / "incomplete").mkdir()
    (tmp_path / "empty.sqlite").rename(tmp_path / "incomplete" / "sync.sqlite")
    with pytest.raises(IndexStoreError, match="is not complete"):
        open_store(tmp_path / "incomplete", HashEmbeddings())


def test_a_new_index_is_private_and_a_shared_one_stays_shared(tmp_path):
    documents = tmp_path / "docs"
    documents.mkdir()
    (documents / "a.md").write_text("Express delivery costs 12.90 euros.")
    index = tmp_path / "index"
    previous = os.umask(0o022)
    try:
        sync_documents(documents, index, embeddings=HashEmbeddings())
        assert [path for path in (index, *index.rglob("*")) if path.stat().st_mode & 0o077] == []
        index.chmod(0o750)
        (index / "store").chmod(0o750)
        (documents / "b.md").write_text("Standard delivery costs 4.90 euros.")
        sync_documents(documents, index, embeddings=HashEmbeddings())
    finally:
        os.umask(previous)
    files = [path for path in index.rglob("*") if path.is_file() and not path.name.endswith(".lock")]
    assert {path.stat().st_mode & 0o777 for path in files} == {0o640}
