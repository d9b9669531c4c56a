"""Hybrid search: weights, depth, scores of candidates that a retriever did not return."""

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.embeddings import DeterministicFakeEmbedding
from pydantic import Field

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers import HybridRetriever
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import compile_filter
from tests.unit_tests.retrievers.helpers import (
    DOCUMENTS,
    FixedRetriever,
    RetrieverSuite,
    create_bm25,
    create_fixed,
    create_store,
    list_ids,
)


class TestHybrid(RetrieverSuite):
    @property
    def retriever_constructor(self):
        return HybridRetriever

    @property
    def retriever_constructor_params(self):
        return {"retrievers": [create_bm25(), create_store()]}


def test_clear_score_differences_outweigh_small_ones():
    clear = create_fixed(("right", 0.9), ("x", 0.2), ("y", 0.19), ("z", 0.18))
    unclear = create_fixed(("x", 0.5), ("right", 0.49), ("y", 0.485), ("z", 0.48))
    assert list_ids(HybridRetriever(retrievers=[clear, unclear]).invoke("q"))[0] == "right"
    by_ranks = HybridRetriever(retrievers=[clear, unclear], fusion="ranks").invoke("q")
    assert by_ranks[0].metadata["fused_score"] == by_ranks[1].metadata["fused_score"]


def test_rank_fusion_uses_the_formula_of_the_paper():
    found = HybridRetriever(
        retrievers=[create_fixed(("a", 1), ("b", 0)), create_fixed(("b", 1))], fusion="ranks"
    ).invoke("q")
    assert {d.id: d.metadata["fused_score"] for d in found} == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61})


def test_weights_order_documents_and_inactive_retrievers_are_dropped():
    one, other = create_fixed(("a", 0.9), ("b", 0.1)), create_fixed(("b", 0.9), ("a", 0.1))
    assert list_ids(HybridRetriever(retrievers=[one, other], weights=[3, 1]).invoke("q")) == ["a", "b"]
    assert list_ids(HybridRetriever(retrievers=[one, other], weights=[1, 3]).invoke("q")) == ["b", "a"]
    assert list_ids(HybridRetriever(retrievers=[None, other]).invoke("q")) == ["b", "a"]
    assert list_ids(HybridRetriever(retrievers=[one, other], weights=[1, 0]).invoke("q")) == ["a", "b"]
    for bad in ({"retrievers": []}, {"retrievers": [None]}, {"retrievers": [one], "weights": [-1]}):
        with pytest.raises(ValueError, match=r"no retriever|0 or more"):
            HybridRetriever(**bad)
    with pytest.raises(ValueError, match="2 retrievers and 1 weights"):
        HybridRetriever(retrievers=[one, other], weights=[1])


def test_documents_without_scores_count_by_rank():
    found = HybridRetriever(
        retrievers=[create_fixed(("a", None), ("b", None)), create_fixed(("b", 0.9), ("c", 0.1))]
    ).invoke("q")
    assert list_ids(found)[0] == "b"
    assert found[0].metadata["relevance_score"] == 0.9
    alone = HybridRetriever(retrievers=[create_fixed(("a", None), ("b", None))]).invoke("q")
    assert list_ids(alone) == ["a", "b"]
    assert "relevance_score" not in alone[0].metadata


def test_a_retriever_without_results_changes_nothing():
    assert list_ids(HybridRetriever(retrievers=[create_fixed(), create_fixed(("a", 0.9), ("b", 0.1))]).invoke("q")) == [
        "a",
        "b",
    ]
    assert HybridRetriever(retrievers=[create_fixed(), create_fixed()]).invoke("q") == []


def test_filter_and_k_apply_to_every_retriever():
    hybrid = HybridRetriever(retrievers=[create_bm25(), create_store(), FixedRetriever(documents=DOCUMENTS)], k=3)
    assert {d.metadata["n"] for d in hybrid.invoke("shipping", filter={"n": {"$gte": 10}})} == {10, 11}
    assert len(hybrid.invoke("shipping", k=5)) == 5
    with pytest.raises(InvalidInputError, match="k is 0"):
        hybrid.invoke("shipping", k=0)


class ScoringRetriever(FixedRetriever):
    """Returns its best documents, and can score all of them."""

    returned: int

    def _get_relevant_documents(self, query, *, run_manager):
        return super()._get_relevant_documents(query, run_manager=run_manager)[: self.returned]

    def score_documents(self, query, ids):
        return {d.id: d.metadata["relevance_score"] for d in self.documents if d.id in ids}


class RecordingEmbedding(DeterministicFakeEmbedding):
    """Records the queries that it embeds."""

    queries: list[str] = Field(default_factory=list)

    def embed_query(self, text):
        self.queries.append(text)
        return super().embed_query(text)


LETTERS = "abcdef"
ONE = dict(zip(LETTERS, (0.9, 0.8, 0.3, 0.2, 0.1, -0.4), strict=True))
OTHER = dict(zip(LETTERS, (0.1, 0.2, 0.7, 0.9, 0.5, 0.4), strict=True))


def create_scoring(scores: dict[str, float], returned: int) -> ScoringRetriever:
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return ScoringRetriever(documents=create_fixed(*ordered).documents, returned=returned)


def standardize(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return [(value - mean) / deviation for value in values]


async def test_candidates_that_a_retriever_did_not_return_get_its_score():
    hybrid = HybridRetriever(
        retrievers=[create_scoring(ONE, 2), create_scoring(OTHER, 2)], weights=[2, 1], depth=2, k=2
    )
    candidates = ["a", "b", "d", "c"]
    pairs = [[scores[name] for name in candidates] for scores in (ONE, OTHER)]
    expected = [2 * x + y for x, y in zip(*map(standardize, pairs), strict=True)]
    order = sorted(zip(candidates, expected, strict=True), key=lambda item: -item[1])[:2]
    for found in (hybrid.invoke("q"), await hybrid.ainvoke("q")):
        assert [(d.id, d.metadata["fused_score"]) for d in found] == [(n, pytest.approx(s)) for n, s in order]
        for d in found:
            assert d.metadata["relevance_score"] == pytest.approx((2 * ONE[d.id] + OTHER[d.id]) / 3)


def test_depth_depends_on_scoring_and_k():
    class DepthRecorder(FixedRetriever):
        depths: list[int] = Field(default_factory=list)

        def _get_relevant_documents(self, query, *, run_manager, k):
            self.depths.append(k)
            return []

    class ScoringDepthRecorder(DepthRecorder):
        def score_documents(self, query, ids):
            return {}

    retrievers = [DepthRecorder(documents=[]), ScoringDepthRecorder(documents=[])]
    HybridRetriever(retrievers=retrievers).invoke("q")
    HybridRetriever(retrievers=retrievers, fusion="ranks").invoke("q")
    HybridRetriever(retrievers=retrievers, depth=50).invoke("q", k=60)
    HybridRetriever(retrievers=retrievers, depth=50).invoke("q", k=5)
    assert [retriever.depths for retriever in retrievers] == [[200, 200, 60, 50], [100, 200, 60, 50]]


def test_candidates_are_scored_only_if_a_list_with_relevance_was_cut():
    class FailingScorer(ScoringRetriever):
        def score_documents(self, query, ids):
            raise AssertionError(f"scored {ids}")

    letters = [
        FailingScorer(documents=create_scoring(scores, 6).documents, returned=n) for scores, n in ((ONE, 3), (OTHER, 2))
    ]
    HybridRetriever(retrievers=letters, depth=5, k=2).invoke("q")  # the lists are complete
    HybridRetriever(retrievers=letters, depth=2, k=2, fusion="ranks").invoke("q")
    by_rank = FailingScorer(documents=create_fixed(("a", None), ("b", None)).documents, returned=2)
    HybridRetriever(retrievers=[by_rank, create_scoring(OTHER, 2)], depth=2, k=2).invoke("q")
    with pytest.raises(AssertionError, match="scored"):
        HybridRetriever(retrievers=letters, depth=2, k=2).invoke("q")


@pytest.mark.parametrize("filter_", [None, {"n": {"$gte": 4}}, lambda metadata: metadata["n"] % 2 == 0])
async def test_depth_does_not_change_scores_of_bm25_and_faiss(filter_):
    words, embedding = create_bm25(), RecordingEmbedding(size=8)
    store = FaissStore(embedding)
    store.add_documents(DOCUMENTS)
    shallow = HybridRetriever(retrievers=[words, store], depth=3, k=3)
    deep = HybridRetriever(retrievers=[words, store], k=12)
    mean = {d.id: d.metadata["relevance_score"] for d in deep.invoke("zone 7", filter=filter_)}
    embedding.queries.clear()
    found = shallow.invoke("zone 7", filter=filter_)
    assert embedding.queries == ["zone 7"]
    assert await shallow.ainvoke("zone 7", filter=filter_) == found
    assert embedding.queries == ["zone 7"] * 2
    assert len(found) == 3
    assert {d.id: d.metadata["relevance_score"] for d in found} == pytest.approx({d.id: mean[d.id] for d in found})
    if filter_ is not None:
        accepts = compile_filter(filter_)
        assert all(accepts(d.metadata) for d in found)


async def test_sync_and_async_agree_and_callbacks_see_every_retriever():
    seen = []

    class Handler(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, **kwargs):
            seen.append(query)

    hybrid = HybridRetriever(retrievers=[create_bm25(), create_store()])
    assert await hybrid.ainvoke("zone 3") == hybrid.invoke("zone 3", {"callbacks": [Handler()]})
    assert seen == ["zone 3"] * 3
    batches = await hybrid.abatch(["zone 1", "zone 2"])
    assert [found[0].metadata["n"] for found in batches] == [
        f[0].metadata["n"] for f in hybrid.batch(["zone 1", "zone 2"])
    ]
