"""Reranking by cross-encoders and chat models."""

import pytest
from langchain_core.language_models import FakeListChatModel

from langchain_gptoss import ChatGptOss
from langchain_gptoss.decisions import GptOssDecisions
from langchain_gptoss.errors import GptOssForkError, InvalidInputError
from langchain_gptoss.retrievers import HistoryAwareRetriever, HybridRetriever, RerankRetriever
from tests.unit_tests.forked import call_forked, needs_fork
from tests.unit_tests.retrievers.helpers import (
    OverlapEncoder,
    RetrieverSuite,
    create_bm25,
    create_fixed,
    create_store,
    list_ids,
)
from tests.unit_tests.scripted_models import ScoringEngine


class TestRerank(RetrieverSuite):
    @property
    def retriever_constructor(self):
        return RerankRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": create_store(), "reranker": OverlapEncoder()}


def test_retrievers_can_be_combined():
    hybrid = HybridRetriever(retrievers=[HybridRetriever(retrievers=[create_bm25()]), create_store()])
    stacked = RerankRetriever(retriever=hybrid, reranker=OverlapEncoder(), k=2)
    found = HistoryAwareRetriever(retriever=stacked, llm=FakeListChatModel(responses=["unused"])).invoke("zone 7")
    assert found[0].metadata["n"] == 7
    assert found[0].metadata["relevance_score"] == 0.2
    assert "fused_score" not in found[0].metadata


async def test_a_cross_encoder_orders_documents():
    reranked = RerankRetriever(retriever=create_fixed(("a b", 0.9), ("b c d", 0.1)), reranker=OverlapEncoder())
    for found in (reranked.invoke("b c d"), await reranked.ainvoke("b c d")):
        assert [(d.id, d.metadata["relevance_score"]) for d in found] == [("b c d", 0.3), ("a b", 0.1)]
    assert RerankRetriever(retriever=create_fixed(), reranker=OverlapEncoder()).invoke("x") == []


def test_objects_with_predict_or_score_are_accepted_and_others_refused():
    class Scoring:
        def score(self, pairs):
            return [len(p) for _, p in pairs]

    class Short:
        def predict(self, pairs):
            return [1.0]

    assert list_ids(RerankRetriever(retriever=create_fixed(("a", 1), ("bbb", 0)), reranker=Scoring()).invoke("x")) == [
        "bbb",
        "a",
    ]
    with pytest.raises(InvalidInputError, match="1 scores for 2 passages"):
        RerankRetriever(retriever=create_fixed(("a", 1), ("bbb", 0)), reranker=Short()).invoke("x")
    with pytest.raises(ValueError, match="int is not a reranker"):
        RerankRetriever(retriever=create_fixed(), reranker=5)


async def test_a_chat_model_grades_passages():
    judge = FakeListChatModel(responses=["Passage 1: 2\n[2]: 9.5\n3: 99"])
    reranked = RerankRetriever(retriever=create_fixed(("a", 0.9), ("b", 0.5), ("c", 0.1)), reranker=judge)
    for found in (reranked.invoke("x"), await reranked.ainvoke("x")):
        assert [(d.id, d.metadata.get("relevance_score")) for d in found] == [("b", 0.95), ("a", 0.2), ("c", None)]


async def test_a_decision_model_and_a_model_of_this_package_give_probabilities():
    def get_shares(prompt: str) -> dict[str, float]:
        return {"Yes": 0.9, "No": 0.1} if "Text:\nb\n" in prompt else {"Yes": 0.1, "No": 0.3}

    llm = ChatGptOss(model="gpt-oss-20b", engine=ScoringEngine(get_shares))
    for judge in (llm, GptOssDecisions(llm=llm)):
        reranked = RerankRetriever(retriever=create_fixed(("a", 0.9), ("b", 0.5)), reranker=judge)
        for found in (reranked.invoke("x"), await reranked.ainvoke("x")):
            assert [d.id for d in found] == ["b", "a"]
            assert [d.metadata["relevance_score"] for d in found] == pytest.approx([0.9, 0.25], abs=1e-6)


def test_the_order_is_unchanged_without_grades():
    judge = FakeListChatModel(responses=["They are all very good passages."])
    found = RerankRetriever(retriever=create_fixed(("a", 0.9), ("b", 0.5)), reranker=judge).invoke("x")
    assert [(d.id, d.metadata["relevance_score"]) for d in found] == [("a", 0.9), ("b", 0.5)]


def test_a_chat_model_grades_ten_passages_per_prompt():
    judge = FakeListChatModel(responses=["1: 1", "2: 8"])
    retriever = create_fixed(*((f"p{n}", 0.5) for n in range(12)))
    found = RerankRetriever(retriever=retriever, reranker=judge, k=2).invoke("x")
    assert len(found) == 2
    assert found[0].metadata["relevance_score"] == 0.8


@needs_fork
def test_an_encoder_that_was_used_before_a_fork_is_refused_in_the_child():
    used = RerankRetriever(retriever=create_fixed(("a b", 0.9)), reranker=OverlapEncoder())
    unused = RerankRetriever(retriever=create_fixed(("a b", 0.9)), reranker=OverlapEncoder())
    used.invoke("a")
    assert isinstance(call_forked(lambda: used.invoke("a")), GptOssForkError)
    assert [found.id for found in call_forked(lambda: unused.invoke("a"))] == ["a b"]
