"""Fusion, reranking, follow-ups and neighbours, over scripted models and retrievers that misbehave."""

import asyncio
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import RunnableLambda
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests
from pydantic import Field

from langchain_gptoss.embeddings import Prompts, find_prompts, load_embeddings
from langchain_gptoss.errors import DownloadError, InvalidInputError
from langchain_gptoss.ingest import split_documents
from langchain_gptoss.retrievers import (
    BM25Retriever,
    HistoryAwareRetriever,
    HybridRetriever,
    NeighbourRetriever,
    RerankRetriever,
)
from langchain_gptoss.retrievers.fusion import Fusion, Side, distinct
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import compile_filter

TEXTS = [f"Shipping to zone {n} costs {n} euros." for n in range(12)]
DOCUMENTS = [Document(id=f"d{n}", page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
EMBEDDING = DeterministicFakeEmbedding(size=8)


def bm25(**options) -> BM25Retriever:
    return BM25Retriever.from_documents(DOCUMENTS, language="en", **options)


def faiss() -> FaissStore:
    store = FaissStore(EMBEDDING)
    store.add_documents(DOCUMENTS)
    return store


class Listed(BaseRetriever):
    """Returns its documents whatever it is asked, and takes neither `k` nor a filter."""

    documents: list[Document]

    def _get_relevant_documents(self, query, *, run_manager):
        return [document.model_copy(deep=True) for document in self.documents]


def listed(*pairs: tuple[str, float | None]) -> Listed:
    return Listed(
        documents=[
            Document(id=name, page_content=name, metadata={} if score is None else {"relevance_score": score})
            for name, score in pairs
        ]
    )


class Overlap:
    """A cross-encoder by word overlap."""

    def predict(self, pairs):
        return [len(set(q.lower().split()) & set(re.findall(r"\w+", p.lower()))) / 10 for q, p in pairs]


class Suite(RetrieversIntegrationTests):
    @property
    def retriever_query_example(self):
        return "shipping costs"


class TestHybrid(Suite):
    @property
    def retriever_constructor(self):
        return HybridRetriever

    @property
    def retriever_constructor_params(self):
        return {"retrievers": [bm25(), faiss()]}


class TestRerank(Suite):
    @property
    def retriever_constructor(self):
        return RerankRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": faiss(), "reranker": Overlap()}


class TestHistoryAware(Suite):
    @property
    def retriever_constructor(self):
        return HistoryAwareRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": faiss(), "llm": FakeListChatModel(responses=["unused"])}


class TestNeighbours(Suite):
    @property
    def retriever_constructor(self):
        return NeighbourRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": bm25(), "chunks": bm25()}


# --- fusion


def names(documents) -> list[str]:
    return [document.id for document in documents]


def test_a_sure_side_outweighs_an_unsure_one():
    sure = listed(("right", 0.9), ("x", 0.2), ("y", 0.19), ("z", 0.18))
    unsure = listed(("x", 0.5), ("right", 0.49), ("y", 0.485), ("z", 0.48))
    assert names(HybridRetriever(retrievers=[sure, unsure]).invoke("q"))[0] == "right"
    by_ranks = HybridRetriever(retrievers=[sure, unsure], fusion="ranks").invoke("q")
    assert by_ranks[0].metadata["fused_score"] == by_ranks[1].metadata["fused_score"]


def test_reciprocal_ranks_are_those_of_the_paper():
    found = HybridRetriever(retrievers=[listed(("a", 1), ("b", 0)), listed(("b", 1))], fusion="ranks").invoke("q")
    assert {d.id: d.metadata["fused_score"] for d in found} == pytest.approx({"a": 1 / 61, "b": 1 / 62 + 1 / 61})


def test_weights_and_sides_that_are_not_there():
    one, other = listed(("a", 0.9), ("b", 0.1)), listed(("b", 0.9), ("a", 0.1))
    assert names(HybridRetriever(retrievers=[one, other], weights=[3, 1]).invoke("q")) == ["a", "b"]
    assert names(HybridRetriever(retrievers=[one, other], weights=[1, 3]).invoke("q")) == ["b", "a"]
    assert names(HybridRetriever(retrievers=[None, other]).invoke("q")) == ["b", "a"]
    assert names(HybridRetriever(retrievers=[one, other], weights=[1, 0]).invoke("q")) == ["a", "b"]
    for bad in ({"retrievers": []}, {"retrievers": [None]}, {"retrievers": [one], "weights": [-1]}):
        with pytest.raises(ValueError, match=r"No retriever|0 or more"):
            HybridRetriever(**bad)
    with pytest.raises(ValueError, match="2 retrievers and 1 weights"):
        HybridRetriever(retrievers=[one, other], weights=[1])


def test_a_side_without_scores_counts_by_rank():
    found = HybridRetriever(retrievers=[listed(("a", None), ("b", None)), listed(("b", 0.9), ("c", 0.1))]).invoke("q")
    assert names(found)[0] == "b"
    assert found[0].metadata["relevance_score"] == 0.9
    alone = HybridRetriever(retrievers=[listed(("a", None), ("b", None))]).invoke("q")
    assert names(alone) == ["a", "b"]
    assert "relevance_score" not in alone[0].metadata


def test_a_side_that_finds_nothing_changes_nothing():
    assert names(HybridRetriever(retrievers=[listed(), listed(("a", 0.9), ("b", 0.1))]).invoke("q")) == ["a", "b"]
    assert HybridRetriever(retrievers=[listed(), listed()]).invoke("q") == []


def test_the_same_text_or_id_is_one_document():
    same = [
        Document(id=id_, page_content=text)
        for id_, text in (("1", "A b"), ("2", " A b\n"), ("1", "other"), (None, "A b"))
    ]
    assert names(distinct(same)) == ["1"]
    assert len(distinct([Document(page_content="x"), Document(page_content="y")])) == 2


def test_the_filter_holds_for_every_side_and_k_too():
    hybrid = HybridRetriever(retrievers=[bm25(), faiss(), Listed(documents=DOCUMENTS)], k=3)
    assert {d.metadata["n"] for d in hybrid.invoke("shipping", filter={"n": {"$gte": 10}})} == {10, 11}
    assert len(hybrid.invoke("shipping", k=5)) == 5
    with pytest.raises(InvalidInputError, match="k is 0"):
        hybrid.invoke("shipping", k=0)


def test_any_store_retriever_or_runnable_is_a_side():
    store = InMemoryVectorStore(EMBEDDING)
    store.add_documents(DOCUMENTS)
    sides = [
        store,
        store.as_retriever(),
        faiss().as_retriever(),
        RunnableLambda(lambda _: DOCUMENTS[:2]),
        bm25().with_config(tags=["x"]),
    ]
    found = HybridRetriever(retrievers=sides, k=4).invoke("shipping")
    assert len(found) == 4
    with pytest.raises(ValueError, match="str is no retriever"):
        HybridRetriever(retrievers=["bm25"])


class Cosine(InMemoryVectorStore):
    """Says what its scores mean."""

    def _select_relevance_score_fn(self):
        return lambda cosine: (1 + cosine) / 2


async def test_a_store_that_says_what_its_scores_mean_is_asked_for_them():
    store = Cosine(EMBEDDING)
    store.add_documents(DOCUMENTS)
    for found in (
        HybridRetriever(retrievers=[store]).invoke("x"),
        await HybridRetriever(retrievers=[store]).ainvoke("x"),
    ):
        assert all(0 <= d.metadata["relevance_score"] <= 1 for d in found)
    assert "relevance_score" not in store.get_by_ids(["d1"])[0].metadata


scored_lists = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1, allow_subnormal=False), max_size=8),
    min_size=1,
    max_size=3,
)


@given(scored_lists, st.booleans())
def test_fusion_orders_every_document_once_and_ignores_scale(lists, by_ranks):
    def sides(factor: float) -> list[Side]:
        return [
            Side(
                documents=[
                    Document(id=name, page_content=name, metadata={"relevance_score": score * factor})
                    for name, score in sorted(scores.items(), key=lambda item: -item[1])
                ],
                weight=1.0,
                cut=True,
            )
            for scores in lists
        ]

    found = Fusion(sides(1)).ordered(by_ranks=by_ranks)
    assert Fusion(sides(1)).ordered(by_ranks=by_ranks, k=2) == found[:2]
    assert sorted(names(found)) == sorted({name for scores in lists for name in scores})
    points = [d.metadata["fused_score"] for d in found]
    assert points == sorted(points, reverse=True)
    assert all(math.isfinite(point) for point in points)
    doubled = {d.id: d.metadata["fused_score"] for d in Fusion(sides(2)).ordered(by_ranks=by_ranks)}
    assert doubled == pytest.approx({d.id: d.metadata["fused_score"] for d in found}, abs=1e-6)


# --- candidates that a side did not return


class Telling(Listed):
    """Returns its best documents, and tells the relevance of all."""

    returned: int

    def _get_relevant_documents(self, query, *, run_manager):
        return super()._get_relevant_documents(query, run_manager=run_manager)[: self.returned]

    def relevance_of(self, query, ids):
        return {d.id: d.metadata["relevance_score"] for d in self.documents if d.id in ids}


class Counting(DeterministicFakeEmbedding):
    """Counts the queries it embeds."""

    asked: list[str] = Field(default_factory=list)

    def embed_query(self, text):
        self.asked.append(text)
        return super().embed_query(text)


LETTERS = "abcdef"
ONE = dict(zip(LETTERS, (0.9, 0.8, 0.3, 0.2, 0.1, -0.4), strict=True))
OTHER = dict(zip(LETTERS, (0.1, 0.2, 0.7, 0.9, 0.5, 0.4), strict=True))
ONE_FOUND, OTHER_FOUND = (("a", 0.9), ("b", 0.8)), (("d", 0.9), ("c", 0.7))


def telling(scores: dict[str, float], returned: int) -> Telling:
    ordered = sorted(scores.items(), key=lambda item: -item[1])
    return Telling(documents=listed(*ordered).documents, returned=returned)


def standardised(values: list[float]) -> list[float]:
    mean = sum(values) / len(values)
    deviation = (sum((value - mean) ** 2 for value in values) / len(values)) ** 0.5
    return [(value - mean) / deviation for value in values]


async def test_what_a_side_did_not_return_has_the_score_that_the_side_tells():
    hybrid = HybridRetriever(retrievers=[telling(ONE, 2), telling(OTHER, 2)], weights=[2, 1], depth=2, k=2)
    candidates = ["a", "b", "d", "c"]
    pairs = [[scores[name] for name in candidates] for scores in (ONE, OTHER)]
    expected = [2 * x + y for x, y in zip(*map(standardised, pairs), strict=True)]
    order = sorted(zip(candidates, expected, strict=True), key=lambda item: -item[1])[:2]
    for found in (hybrid.invoke("q"), await hybrid.ainvoke("q")):
        assert [(d.id, d.metadata["fused_score"]) for d in found] == [(n, pytest.approx(s)) for n, s in order]
        for d in found:
            assert d.metadata["relevance_score"] == pytest.approx((2 * ONE[d.id] + OTHER[d.id]) / 3)


def test_what_is_not_told_keeps_its_floor():
    def relevance(told: dict[str, float]) -> dict[str, float]:
        sides = [Side(documents=listed(*pairs).documents, weight=1, cut=True) for pairs in (ONE_FOUND, OTHER_FOUND)]
        fusion = Fusion(sides)
        assert [fusion.unseen(0), fusion.unseen(1)] == [["d", "c"], ["a", "b"]]
        found = fusion.ordered(unseen=[told, {"a": 0.1, "b": 0.2}])
        return {d.id: 2 * d.metadata["relevance_score"] - OTHER[d.id] for d in found}

    found, floor = dict(ONE_FOUND), 0.8 - 2 * 0.05  # two deviations below the last
    assert relevance({}) == pytest.approx({**found, "c": floor, "d": floor})
    assert relevance({"c": 0.2, "d": math.nan, "z": 9}) == pytest.approx({**found, "c": 0.2, "d": floor})


def test_how_deep_sides_are_asked():
    class Asked(Listed):
        depths: list[int] = Field(default_factory=list)

        def _get_relevant_documents(self, query, *, run_manager, k):
            self.depths.append(k)
            return []

    class Tells(Asked):
        def relevance_of(self, query, ids):
            return {}

    sides = [Asked(documents=[]), Tells(documents=[])]
    HybridRetriever(retrievers=sides).invoke("q")
    HybridRetriever(retrievers=sides, fusion="ranks").invoke("q")
    HybridRetriever(retrievers=sides, depth=50).invoke("q", k=60)
    HybridRetriever(retrievers=sides, depth=50).invoke("q", k=5)
    assert [side.depths for side in sides] == [[200, 200, 60, 50], [100, 200, 60, 50]]


def test_only_relevance_is_told_and_only_where_something_was_left_out():
    class Refusing(Telling):
        def relevance_of(self, query, ids):
            raise AssertionError(f"asked for {ids}")

    letters = [Refusing(documents=telling(scores, 6).documents, returned=n) for scores, n in ((ONE, 3), (OTHER, 2))]
    HybridRetriever(retrievers=letters, depth=5, k=2).invoke("q")  # they had no more
    HybridRetriever(retrievers=letters, depth=2, k=2, fusion="ranks").invoke("q")
    by_rank = Refusing(documents=listed(("a", None), ("b", None)).documents, returned=2)
    HybridRetriever(retrievers=[by_rank, telling(OTHER, 2)], depth=2, k=2).invoke("q")
    with pytest.raises(AssertionError, match="asked for"):
        HybridRetriever(retrievers=letters, depth=2, k=2).invoke("q")


@pytest.mark.parametrize("filter_", [None, {"n": {"$gte": 4}}, lambda metadata: metadata["n"] % 2 == 0])
async def test_depth_does_not_change_scores_of_words_and_vectors(filter_):
    words, embedding = bm25(), Counting(size=8)
    store = FaissStore(embedding)
    store.add_documents(DOCUMENTS)
    shallow = HybridRetriever(retrievers=[words, store], depth=3, k=3)
    mean = {
        d.id: d.metadata["relevance_score"] for d in HybridRetriever(retrievers=[words, store], k=12).invoke("zone 7")
    }
    embedding.asked.clear()
    found = shallow.invoke("zone 7", filter=filter_)
    assert embedding.asked == ["zone 7"]
    assert await shallow.ainvoke("zone 7", filter=filter_) == found
    assert embedding.asked == ["zone 7"] * 2
    assert len(found) == 3
    assert {d.id: d.metadata["relevance_score"] for d in found} == pytest.approx({d.id: mean[d.id] for d in found})
    if filter_ is not None:
        agrees = compile_filter(filter_)
        assert all(agrees(d.metadata) for d in found)


@pytest.mark.parametrize("metric", ["cosine", "inner_product", "l2"])
@pytest.mark.parametrize("index", [None, "SQ8", "IVF8,Flat", "IVF8,SQ8"])
def test_relevance_of_vectors_is_that_of_a_search_for_everything(metric, index):
    store = FaissStore(EMBEDDING, metric=metric, index=index)
    store.add_texts([f"text {n}" for n in range(600)], [{"n": n} for n in range(600)], ids=[str(n) for n in range(600)])
    store.delete(["5"])
    everything = {d.id: d.metadata["relevance_score"] for d in store.as_retriever().invoke("query", k=600)}
    assert len(everything) == 599
    wanted = [str(n) for n in range(0, 600, 7)]
    told = store.as_retriever().relevance_of("query", ["nowhere", "5", *wanted, wanted[0]])
    assert told == pytest.approx({id_: everything[id_] for id_ in wanted}, abs=1e-6)
    few = store.as_retriever(search_kwargs={"filter": {"n": {"$lt": 10}}}).relevance_of("query", wanted)
    assert few == pytest.approx({id_: everything[id_] for id_ in ("0", "7")}, abs=1e-6)
    assert store.as_retriever(search_type="mmr").relevance_of("query", wanted) == {}


def test_relevance_of_vectors_where_there_are_none_or_in_a_file():
    assert FaissStore(EMBEDDING).as_retriever().relevance_of("query", ["a"]) == {}
    assert faiss().as_retriever().relevance_of("query", ["a"]) == {}
    store = FaissStore(EMBEDDING, index="IVF4,SQ8,disk")
    store.add_texts([f"text {n}" for n in range(300)], ids=[str(n) for n in range(300)])
    if store.index_info.kind.endswith("disk"):
        assert store.score_documents("query", ["1"]) == {}


async def test_sync_and_async_agree_and_callbacks_see_every_step():
    seen = []

    class Handler(BaseCallbackHandler):
        def on_retriever_start(self, serialized, query, **kwargs):
            seen.append(query)

    hybrid = HybridRetriever(retrievers=[bm25(), faiss()])
    assert await hybrid.ainvoke("zone 3") == hybrid.invoke("zone 3", {"callbacks": [Handler()]})
    assert seen == ["zone 3"] * 3
    batches = await hybrid.abatch(["zone 1", "zone 2"])
    assert [found[0].metadata["n"] for found in batches] == [
        f[0].metadata["n"] for f in hybrid.batch(["zone 1", "zone 2"])
    ]


def test_retrievers_stack():
    hybrid = HybridRetriever(retrievers=[HybridRetriever(retrievers=[bm25()]), faiss()])
    stacked = RerankRetriever(retriever=hybrid, reranker=Overlap(), k=2)
    found = HistoryAwareRetriever(retriever=stacked, llm=FakeListChatModel(responses=["unused"])).invoke("zone 7")
    assert found[0].metadata["n"] == 7
    assert found[0].metadata["relevance_score"] == 0.2
    assert "fused_score" not in found[0].metadata


# --- reranking


async def test_a_cross_encoder_decides():
    reranked = RerankRetriever(retriever=listed(("a b", 0.9), ("b c d", 0.1)), reranker=Overlap())
    for found in (reranked.invoke("b c d"), await reranked.ainvoke("b c d")):
        assert [(d.id, d.metadata["relevance_score"]) for d in found] == [("b c d", 0.3), ("a b", 0.1)]
    assert RerankRetriever(retriever=listed(), reranker=Overlap()).invoke("x") == []


def test_langchains_cross_encoders_and_broken_ones():
    class Scoring:
        def score(self, pairs):
            return [len(p) for _, p in pairs]

    class Short:
        def predict(self, pairs):
            return [1.0]

    assert names(RerankRetriever(retriever=listed(("a", 1), ("bbb", 0)), reranker=Scoring()).invoke("x")) == [
        "bbb",
        "a",
    ]
    with pytest.raises(InvalidInputError, match="1 scores for 2 passages"):
        RerankRetriever(retriever=listed(("a", 1), ("bbb", 0)), reranker=Short()).invoke("x")
    with pytest.raises(ValueError, match="int is no reranker"):
        RerankRetriever(retriever=listed(), reranker=5)


async def test_a_chat_model_judges():
    judge = FakeListChatModel(responses=["Passage 1: 2\n[2]: 9.5\n3: 99"])
    reranked = RerankRetriever(retriever=listed(("a", 0.9), ("b", 0.5), ("c", 0.1)), reranker=judge)
    for found in (reranked.invoke("x"), await reranked.ainvoke("x")):
        assert [(d.id, d.metadata.get("relevance_score")) for d in found] == [("b", 0.95), ("a", 0.2), ("c", None)]


def test_a_judge_that_says_nothing_useful_leaves_the_order():
    judge = FakeListChatModel(responses=["They are all very good passages."])
    found = RerankRetriever(retriever=listed(("a", 0.9), ("b", 0.5)), reranker=judge).invoke("x")
    assert [(d.id, d.metadata["relevance_score"]) for d in found] == [("a", 0.9), ("b", 0.5)]


def test_a_judge_reads_ten_passages_at_a_time():
    judge = FakeListChatModel(responses=["1: 1", "2: 8"])
    many = listed(*((f"p{n}", 0.5) for n in range(12)))
    found = RerankRetriever(retriever=many, reranker=judge, k=2).invoke("x")
    assert len(found) == 2
    assert found[0].metadata["relevance_score"] == 0.8


# --- follow-ups

HISTORY = [
    HumanMessage("How much is standard shipping?"),
    AIMessage("Standard shipping costs 5 euros."),
]


class Echo(BaseRetriever):
    """Returns the query as a document."""

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content=query)]


def asked(answer: str, question: str, history=HISTORY) -> str:
    aware = HistoryAwareRetriever(retriever=Echo(), llm=FakeListChatModel(responses=[answer]))
    sync = aware.invoke({"question": question, "chat_history": history})[0].page_content
    assert asyncio.run(aware.ainvoke({"question": question, "chat_history": history}))[0].page_content == sync
    return sync


@pytest.mark.parametrize(
    "answer",
    [
        "How much is express shipping?",
        'Complete question: "How much is express shipping?"',
        "How much is express shipping?\nBecause...",
    ],
)
def test_a_follow_up_is_rewritten(answer):
    assert asked(answer, "And express?") == "How much is express shipping?"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   \n ",
        "Express shipping costs 12 euros.",
        "Combien coûte la livraison express ?",
        "Who wrote Hamlet?",
        "How much is standard shipping?",
        "How much is express shipping? " * 10,
    ],
)
def test_a_bad_rewriting_is_not_used(answer):
    assert asked(answer, "And express?") == "How much is standard shipping? And express?"


def test_a_follow_up_in_french():
    history = [HumanMessage("Combien coûte la livraison standard ?"), AIMessage("Elle coûte 5 euros.")]
    assert (
        asked("Combien coûte la livraison express ?", "Et en express ?", history)
        == "Combien coûte la livraison express ?"
    )
    english = asked("How much is express shipping?", "Et en express ?", history)
    assert english == "Combien coûte la livraison standard ? Et en express ?"


def test_without_a_conversation_no_model_is_asked():
    class Silent(FakeListChatModel):
        def _call(self, *args, **kwargs):
            raise AssertionError("asked")

    aware = HistoryAwareRetriever(retriever=Echo(), llm=Silent(responses=[""]))
    for question in ("x?", {"question": "x?"}, {"input": "x?", "chat_history": []}):
        assert aware.invoke(question)[0].page_content == "x?"
    assert aware.standalone("x?").reason == "There is no conversation before it."
    for bad in ("", {"question": " "}, {}, 5):
        with pytest.raises(InvalidInputError, match="question is empty"):
            aware.invoke(bad)


def test_a_conversation_without_a_question_before():
    assert asked("", "And express?", [SystemMessage("Be kind."), AIMessage("Hello!")]) == "And express?"


def test_the_reason_is_told():
    aware = HistoryAwareRetriever(retriever=Echo(), llm=FakeListChatModel(responses=["Hm."]))
    told = aware.standalone({"question": "And express?", "chat_history": HISTORY})
    assert told.reason.startswith("The model's rewriting is no question")


# --- neighbours

SOURCE = "# Shipping\n\nStandard is 5 euros.\n\n## Express\n\nIt takes a day.\n\nIt costs 12 euros.\n\n## Returns\n\nFourteen days."


def chunks() -> list[Document]:
    return split_documents([Document(page_content=SOURCE, metadata={"source": "s.md"})], max_chars=22)


def around(hit: str, **options) -> Document:
    everything = chunks()
    found = Listed(documents=[chunk for chunk in everything if hit in chunk.page_content])
    (passage,) = NeighbourRetriever(retriever=found, chunks=everything, **options).invoke("x")
    return passage


def assert_exact(passage: Document) -> None:
    start, end = passage.metadata["start"], passage.metadata["end"]
    assert len(passage.page_content) == end - start
    for line in filter(None, passage.page_content.split("\n")):
        at = start + passage.page_content.index(line)
        assert SOURCE[at : at + len(line)] == line


def test_a_hit_comes_with_what_stands_around_it():
    passage = around("takes a day")
    assert passage.page_content.split("\n")[0] == "Standard is 5 euros."
    assert passage.page_content.endswith("It costs 12 euros.")
    assert passage.metadata["heading"] == "Shipping > Express"
    assert_exact(passage)
    assert around("takes a day", before=0, after=0).page_content == "It takes a day."
    section = around("takes a day", section=True)
    assert section.page_content == "It takes a day.\n\nIt costs 12 euros."
    assert_exact(section)

    assert len(around("takes a day", before=9, after=9, max_chars=40).page_content) <= 40


@given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5), st.booleans(), st.integers(10, 200))
def test_every_offset_stays_that_of_the_source(at, before, after, section, max_chars):
    everything = chunks()
    hit = everything[at]
    options = {"before": before, "after": after, "section": section, "max_chars": max_chars}
    (passage,) = NeighbourRetriever(retriever=Listed(documents=[hit]), chunks=everything, **options).invoke("x")
    assert_exact(passage)
    assert hit.page_content in passage.page_content
    assert len(passage.page_content) <= max(max_chars, len(hit.page_content))


async def test_windows_that_overlap_become_one():
    everything = chunks()
    kept = BM25Retriever.from_documents(everything, language="en")
    expanded = NeighbourRetriever(retriever=kept, chunks=kept)
    for found in (expanded.invoke("takes costs"), await expanded.ainvoke("takes costs")):
        assert len(found) == 1
        assert_exact(found[0])
        assert found[0].metadata["relevance_score"] > 0


def test_a_filter_holds_for_neighbours_and_gaps_are_not_bridged():
    pieces = [
        Document(page_content=f"p{n}", metadata={"source": "s", "start": n * 10, "team": n % 2}) for n in range(4)
    ]
    far = Document(page_content="far", metadata={"source": "s", "start": 9000, "team": 1})
    expanded = NeighbourRetriever(retriever=Listed(documents=[pieces[1]]), chunks=[*pieces, far], before=9, after=9)
    (passage,) = expanded.invoke("x", filter={"team": 1})
    assert passage.page_content.split() == ["p1", "p3"]
    (passage,) = expanded.invoke("x")
    assert passage.page_content.split() == ["p0", "p1", "p2", "p3"]


def test_overlapping_chunks_are_not_repeated():
    text = "one two three four"
    pieces = [
        Document(page_content=text[a:b], metadata={"source": "s", "start": a}) for a, b in ((0, 7), (4, 13), (8, 18))
    ]
    (passage,) = NeighbourRetriever(retriever=Listed(documents=[pieces[1]]), chunks=lambda source: pieces).invoke("x")
    assert passage.page_content == text


# --- prompts of embedding models


@pytest.mark.parametrize(
    ("model", "own", "expected"),
    [
        ("intfloat/multilingual-e5-small", {}, Prompts(query="query: ", document="passage: ")),
        ("/data/models--intfloat--e5-base-v2/snapshots/1", {}, Prompts(query="query: ", document="passage: ")),
        ("BAAI/bge-small-en-v1.5", {}, Prompts(query="Represent this sentence for searching relevant passages: ")),
        ("BAAI/bge-m3", {}, Prompts()),
        ("sentence-transformers/all-MiniLM-L6-v2", {"query": "", "document": ""}, Prompts()),
        ("nomic-ai/nomic-embed-text-v1.5", {}, Prompts(query="search_query: ", document="search_document: ")),
        ("Snowflake/snowflake-arctic-embed-m-v2.0", {}, Prompts(query="query: ")),
        ("somebody/model", {"query": "Q: ", "document": "D: "}, Prompts(query="Q: ", document="D: ")),
    ],
)
def test_prompts_of_embedding_models(model, own, expected):
    assert find_prompts(model, own) == expected


class Client:
    """Stands for a loaded sentence-transformers model."""

    prompts: dict[str, str] = {}  # noqa: RUF012
    device = "cpu"


def fake_models(monkeypatch, make) -> None:
    import langchain_huggingface

    monkeypatch.setattr(langchain_huggingface, "HuggingFaceEmbeddings", make)


def test_an_embedding_model_is_configured_as_it_was_trained(monkeypatch):
    made = []

    class Fake:
        def __init__(self, **options):
            made.append(options)
            self._client = Client()

    fake_models(monkeypatch, Fake)
    loaded = load_embeddings("multilingual", device="cuda")
    assert made == [{"model_name": "intfloat/multilingual-e5-small", "model_kwargs": {"device": "cuda"}}]
    common = {"normalize_embeddings": True, "batch_size": 32}
    assert loaded.encode_kwargs == {**common, "prompt": "passage: "}
    assert loaded.query_encode_kwargs == {**common, "prompt": "query: "}
    own = load_embeddings("BAAI/bge-m3", query_prompt="Q: ", batch_size=4)
    assert own.query_encode_kwargs == {"normalize_embeddings": True, "batch_size": 4, "prompt": "Q: "}
    assert "prompt" not in load_embeddings("BAAI/bge-m3").encode_kwargs
    monkeypatch.setattr(Client, "device", "cuda:0")
    assert load_embeddings("BAAI/bge-m3").encode_kwargs["batch_size"] == 128


def test_a_model_that_cannot_be_loaded_is_explained(monkeypatch):
    def unreachable(**_):
        raise OSError("We couldn't connect to the hub.\nMore lines")

    fake_models(monkeypatch, unreachable)
    with pytest.raises(
        DownloadError, match=r"'intfloat/x' could not be loaded: We couldn't connect to the hub\. Check"
    ):
        load_embeddings("intfloat/x")
