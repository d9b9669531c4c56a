"""Opening an index, and its embedding model."""

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
