"""Iteration over all documents and vectors of a FaissStore."""

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import core
from tests.unit_tests.vectorstores.store_helpers import EMBEDDING, METRICS, SIZE, fill_store, normalize


def read_all(store: FaissStore, batch_size: int = 1000) -> dict[str, tuple[Document, np.ndarray]]:
    found: dict[str, tuple[Document, np.ndarray]] = {}
    for documents, vectors in store.iterate_with_vectors(batch_size):
        assert 0 < len(documents) == len(vectors) <= batch_size
        for document, vector in zip(documents, vectors, strict=True):
            assert document.id not in found
            found[document.id] = document, vector
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", [None, "IVF4,Flat"])
@pytest.mark.parametrize("pieces", [7, 16_384])
def test_all_documents_are_yielded_with_their_vectors(metric, index, pieces, monkeypatch):
    monkeypatch.setattr(core, "READ_VECTORS", pieces)
    store, vectors = fill_store(200, metric=metric, index=index)
    store.delete(["d3", "d150"])
    store.add_with_vectors([Document(id="d7", page_content="changed", metadata={"new": True})], [np.ones(SIZE)])
    del vectors["d3"], vectors["d150"]
    vectors["d7"] = np.ones(SIZE)
    found = read_all(store, 30)
    assert found.keys() == vectors.keys()
    for id_, (document, vector) in found.items():
        expected = normalize(vectors[id_]) if metric == "cosine" else vectors[id_]
        assert vector == pytest.approx(expected, abs=1e-5)
        assert document == store.get_by_ids([id_])[0]
    assert store.index_info.kind == (index or "Flat")


def test_copied_store_returns_the_same_results():
    store, _ = fill_store(100)
    copy = FaissStore(EMBEDDING)
    for documents, vectors in store.iterate_with_vectors(batch_size=9):
        copy.add_with_vectors(documents, vectors)
    for query in "abc":
        ours, theirs = (one.similarity_search_with_score(query, 10) for one in (store, copy))
        assert [document for document, _ in ours] == [document for document, _ in theirs]


def test_documents_changed_during_the_iteration_are_left_out(monkeypatch):
    monkeypatch.setattr(core, "READ_VECTORS", 20)
    store, _ = fill_store(100)
    yielded = []
    for documents, _ in store.iterate_with_vectors(batch_size=10):
        yielded += [document.id for document in documents]
        if len(yielded) == 10:
            store.delete(["d0", "d50"])
            store.add_with_vectors([Document(id="d60", page_content="changed")], [np.ones(SIZE)])
    assert sorted(yielded) == sorted(f"d{i}" for i in range(100) if i not in (50, 60))
    reading = store.iterate_with_vectors()
    store.delete()
    assert list(reading) == []


def test_vectors_in_eight_bits_are_approximate():
    store, vectors = fill_store(400, index="SQ8")
    for id_, (_, vector) in read_all(store).items():
        assert vector == pytest.approx(normalize(vectors[id_]), abs=0.02)


def test_empty_store_yields_nothing_and_batch_size_must_be_positive():
    assert list(FaissStore(EMBEDDING).iterate_with_vectors()) == []
    with pytest.raises(InvalidInputError, match="batch_size is 0"):
        FaissStore(EMBEDDING).iterate_with_vectors(0)
