"""Batches: their ends, and errors in the middle."""

import pytest

from langchain_gptoss.errors import IndexStoreError, InvalidInputError
from langchain_gptoss.ingest import open_store
from langchain_gptoss.ingest.sync import apply as apply
from tests.unit_tests.ingest.sync_helpers import (
    HashEmbeddings,
    describe_index,
    describe_new_index,
    synchronize,
    write_file,
)


def test_batches_can_end_inside_a_file(docs, place, tmp_path, monkeypatch):
    write_file(docs / "large.txt", "".join(f"Sentence {i}. " for i in range(2000)))
    expected = describe_new_index(docs, tmp_path)
    monkeypatch.setattr(apply, "BATCH_SIZE", 4)
    monkeypatch.setattr(apply, "SAVE_INTERVAL_S", 0.0)
    synchronize(docs, place)
    assert describe_index(place) == expected


def test_run_after_a_failure_continues(docs, place, tmp_path, monkeypatch):
    class FailingEmbeddings(HashEmbeddings):
        def embed_documents(self, texts):
            if self.embedded >= 3:
                raise RuntimeError("out of memory")
            return super().embed_documents(texts)

    monkeypatch.setattr(apply, "BATCH_SIZE", 2)
    with pytest.raises(IndexStoreError, match=r"hashed failed on 1 chunks, of .* \(RuntimeError: out of memory\)") as e:
        synchronize(docs, place, embeddings=FailingEmbeddings())
    assert "synchronize again, which continues from there" in str(e.value)
    kept = len(open_store(place, HashEmbeddings()))
    assert kept > 0
    embeddings = HashEmbeddings()
    report = synchronize(docs, place, embeddings=embeddings)
    assert embeddings.embedded == 5 - kept
    assert report.chunk_count == 5
    assert describe_index(place) == describe_new_index(docs, tmp_path)


def test_unusable_vectors_leave_the_index_unchanged(docs, place, tmp_path):
    class NanEmbeddings(HashEmbeddings):
        def embed_documents(self, texts):
            return [[float("nan")] * 8 for _ in texts]

    synchronize(docs, place)
    before = describe_index(place)["documents"]
    write_file(docs / "d.md", "four")
    with pytest.raises(InvalidInputError, match="NaN"):
        synchronize(docs, place, embeddings=NanEmbeddings())
    store = open_store(place, HashEmbeddings())
    assert {d.id for d in store.get_by_ids(list(before))} == set(before)
    synchronize(docs, place)
    assert describe_index(place) == describe_new_index(docs, tmp_path)
