"""Adapters: every store, retriever or Runnable can be queried with k, a filter and scores."""

import pytest
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_gptoss.retrievers import HybridRetriever
from tests.unit_tests.retrievers.helpers import DOCUMENTS, EMBEDDING, create_bm25, create_store


def test_stores_retrievers_and_runnables_are_accepted():
    store = InMemoryVectorStore(EMBEDDING)
    store.add_documents(DOCUMENTS)
    retrievers = [
        store,
        store.as_retriever(),
        create_store().as_retriever(),
        RunnableLambda(lambda _: DOCUMENTS[:2]),
        create_bm25().with_config(tags=["x"]),
    ]
    found = HybridRetriever(retrievers=retrievers, k=4).invoke("shipping")
    assert len(found) == 4
    with pytest.raises(ValueError, match="str is not a retriever"):
        HybridRetriever(retrievers=["bm25"])


class CosineStore(InMemoryVectorStore):
    """Defines the meaning of its scores."""

    def _select_relevance_score_fn(self):
        return lambda cosine: (1 + cosine) / 2


async def test_a_store_with_defined_scores_gives_relevance():
    store = CosineStore(EMBEDDING)
    store.add_documents(DOCUMENTS)
    for found in (
        HybridRetriever(retrievers=[store]).invoke("x"),
        await HybridRetriever(retrievers=[store]).ainvoke("x"),
    ):
        assert all(0 <= d.metadata["relevance_score"] <= 1 for d in found)
    assert "relevance_score" not in store.get_by_ids(["d1"])[0].metadata
