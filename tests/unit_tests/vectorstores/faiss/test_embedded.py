"""Reading all documents and vectors out of a FaissStore, to move them elsewhere."""

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import core as _faiss_core
from tests.unit_tests.vectorstores.store_helpers import EMBEDDING, METRICS, SIZE, filled, unit


def read(store: FaissStore, batch_size: int = 1000) -> dict[str, tuple[Document, np.ndarray]]:
    found: dict[str, tuple[Document, np.ndarray]] = {}
    for documents, vectors in store.embedded(batch_size):
        assert 0 < len(documents) == len(vectors) <= batch_size
        for document, vector in zip(documents, vectors, strict=True):
            assert document.id not in found
            found[document.id] = document, vector
    return found


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("index", [None, "IVF4,Flat"])
@pytest.mark.parametrize("pieces", [7, 16_384])
def test_all_documents_come_with_their_vectors(metric, index, pieces, monkeypatch):
    monkeypatch.setattr(_faiss_core, "_READ", pieces)
    store, vectors = filled(200, metric=metric, index=index)
    store.delete(["d3", "d150"])
    store.add_embedded([Document(id="d7", page_content="changed", metadata={"new": True})], [np.ones(SIZE)])
    del vectors["d3"], vectors["d150"]
    vectors["d7"] = np.ones(SIZE)
    found = read(store, 30)
    assert found.keys() == vectors.keys()
    for id_, (document, vector) in found.items():
        expected = unit(vectors[id_]) if metric == "cosine" else vectors[id_]
        assert vector == pytest.approx(expected, abs=1e-5)
        assert document == store.get_by_ids([id_])[0]
    assert store.index_info.kind == (index or "Flat")


def test_a_copy_searches_the_same():
    store, _ = filled(100)
    copy = FaissStore(EMBEDDING)
    for documents, vectors in store.embedded(batch_size=9):
        copy.add_embedded(documents, vectors)
    for query in "abc":
        ours, theirs = (one.similarity_search_with_score(query, 10) for one in (store, copy))
        assert [document for document, _ in ours] == [document for document, _ in theirs]


def test_what_changes_meanwhile_never_comes_twice_or_half(monkeypatch):
    monkeypatch.setattr(_faiss_core, "_READ", 20)
    store, _ = filled(100)
    came = []
    for documents, _ in store.embedded(batch_size=10):
        came += [document.id for document in documents]
        if len(came) == 10:
            store.delete(["d0", "d50"])
            store.add_embedded([Document(id="d60", page_content="changed")], [np.ones(SIZE)])
    assert sorted(came) == sorted(f"d{i}" for i in range(100) if i not in (50, 60))
    reading = store.embedded()
    store.delete()
    assert list(reading) == []


def test_eight_bits_give_what_they_hold():
    store, vectors = filled(400, index="SQ8")
    for id_, (_, vector) in read(store).items():
        assert vector == pytest.approx(unit(vectors[id_]), abs=0.02)


def test_nothing_to_read_and_batches_of_nothing():
    assert list(FaissStore(EMBEDDING).embedded()) == []
    with pytest.raises(InvalidInputError, match="batch_size is 0"):
        FaissStore(EMBEDDING).embedded(0)
