"""Scores of documents that a FAISS retriever did not return."""

import pytest

from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.retrievers.helpers import EMBEDDING, create_store


@pytest.mark.parametrize(
    ("metric", "index"),
    [
        ("cosine", None),
        ("inner_product", None),
        ("l2", None),
        ("cosine", "SQ8"),
        ("l2", "IVF8,Flat"),
        ("inner_product", "IVF8,SQ8"),
    ],
)
def test_score_documents_equals_the_scores_of_a_full_search(metric, index):
    store = FaissStore(EMBEDDING, metric=metric, index=index)
    store.add_texts([f"text {n}" for n in range(600)], [{"n": n} for n in range(600)], ids=[str(n) for n in range(600)])
    store.delete(["5"])
    everything = {d.id: d.metadata["relevance_score"] for d in store.as_retriever().invoke("query", k=600)}
    assert len(everything) == 599
    ids = [str(n) for n in range(0, 600, 7)]
    scores = store.as_retriever().score_documents("query", ["nowhere", "5", *ids, ids[0]])
    assert scores == pytest.approx({id_: everything[id_] for id_ in ids}, abs=1e-6)
    filtered = store.as_retriever(search_kwargs={"filter": {"n": {"$lt": 10}}}).score_documents("query", ids)
    assert filtered == pytest.approx({id_: everything[id_] for id_ in ("0", "7")}, abs=1e-6)
    assert store.as_retriever(search_type="mmr").score_documents("query", ids) == {}


def test_score_documents_leaves_out_unknown_documents():
    assert FaissStore(EMBEDDING).as_retriever().score_documents("query", ["a"]) == {}
    assert create_store().as_retriever().score_documents("query", ["a"]) == {}
    store = FaissStore(EMBEDDING, index="IVF4,SQ8,disk")
    store.add_texts([f"text {n}" for n in range(300)], ids=[str(n) for n in range(300)])
    if store.index_info.kind.endswith("disk"):
        assert store.score_documents("query", ["1"]) == {}
