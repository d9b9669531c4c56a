"""Behaviour that every chain relies on, checked for FaissStore and for Qdrant."""

import logging
import uuid
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.language_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, HumanMessage
from langchain_core.vectorstores import VectorStore
from langchain_qdrant import QdrantVectorStore
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from qdrant_client import QdrantClient, models

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.ingest import check_index, sync_documents
from langchain_gptoss.retrievers import (
    BM25Retriever,
    HistoryAwareRetriever,
    HybridRetriever,
    NeighbourRetriever,
    RerankRetriever,
)
from langchain_gptoss.retrievers.adapters import as_retriever
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import compile_filter
from langchain_gptoss.vectorstores.qdrant import (
    QdrantRetriever,
    is_qdrant,
    restore_document,
)
from tests.unit_tests.vectorstores.contract_helpers import (
    DOCUMENTS,
    FILTERS,
    IDS,
    KINDS,
    METADATAS,
    MODEL,
    QUERY,
    SIZE,
    TEXTS,
)
from tests.unit_tests.vectorstores.store_helpers import normalize


@pytest.fixture(params=KINDS)
def store(request, make_store) -> VectorStore:
    return make_store(request.param)


def simplify(documents: list[Document]) -> list[tuple[str, str, dict]]:
    """Return id, text and metadata of documents, with ids in one form."""
    return [
        (uuid.UUID(str(document.id)).hex, document.page_content, document.metadata)
        for document in map(restore_document, documents)
    ]


def get_texts(documents: list[Document]) -> list[str]:
    return [document.page_content for document in documents]


def search_by_brute_force(query: str, filter=None) -> list[tuple[str, float]]:
    agrees = compile_filter(filter or {})
    target = normalize(np.array(MODEL.embed_query(query)))
    scores = {
        text: float(normalize(np.array(MODEL.embed_query(text))) @ target)
        for text, metadata in zip(TEXTS, METADATAS, strict=True)
        if agrees(metadata)
    }
    return sorted(scores.items(), key=lambda item: -item[1])


def assert_results(found: list[tuple[str, float]], expected: list[tuple[str, float]]) -> None:
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)
    assert dict(found) == pytest.approx(dict(expected), abs=1e-5)


# The store itself


def test_documents_are_returned_unchanged(store):
    assert sorted(simplify(store.get_by_ids(IDS))) == sorted(simplify(DOCUMENTS))
    assert store.get_by_ids([uuid.uuid4().hex]) == []
    assert get_texts(store.get_by_ids(IDS[2:3])) == TEXTS[2:3]


def test_adding_an_id_again_replaces_its_document(store):
    given = store.add_documents([Document("Something else", metadata={"v": 2})], ids=IDS[:1])
    assert [uuid.UUID(id_).hex for id_ in given] == IDS[:1]
    assert simplify(store.get_by_ids(IDS[:1])) == [(IDS[0], "Something else", {"v": 2})]
    assert len(store.similarity_search(QUERY, k=50)) == len(TEXTS)
    assert TEXTS[0] not in get_texts(store.similarity_search(TEXTS[0], k=50))


def test_missing_ids_are_generated(store):
    ids = store.add_texts(["new one", "new two"], [{"n": 1}, {"n": 2}])
    assert len(set(ids)) == 2
    assert sorted(get_texts(store.get_by_ids(ids))) == ["new one", "new two"]


def test_deleted_documents_are_gone_and_unknown_ids_are_ignored(store):
    assert store.delete([*IDS[:2], uuid.uuid4().hex])
    assert store.get_by_ids(IDS[:2]) == []
    assert sorted(get_texts(store.similarity_search(QUERY, k=50))) == sorted(TEXTS[2:])


@pytest.mark.parametrize("k", [1, 3, 50])
def test_search_returns_the_nearest_documents_with_their_cosine(store, k):
    found = [(document.page_content, score) for document, score in store.similarity_search_with_score(QUERY, k=k)]
    assert_results(found, search_by_brute_force(QUERY)[:k])
    assert get_texts(store.similarity_search(QUERY, k=k)) == [text for text, _ in found]
    by_vector = store.similarity_search_by_vector(MODEL.embed_query(QUERY), k=k)
    assert get_texts(by_vector) == [text for text, _ in found]


async def test_async_search_returns_the_nearest_documents(store):
    found = await store.asimilarity_search_with_score(QUERY, k=3)
    assert_results([(document.page_content, score) for document, score in found], search_by_brute_force(QUERY)[:3])


@pytest.mark.filterwarnings("ignore:Relevance scores must be between")  # 1.00000001 of Qdrant's
def test_relevance_is_between_0_and_1_and_higher_for_nearer_documents(store):
    scores = [score for _, score in store.similarity_search_with_relevance_scores(QUERY, k=50)]
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 + 1e-6 for score in scores)
    assert store.similarity_search_with_relevance_scores(TEXTS[1], k=1)[0][1] == pytest.approx(1)


def test_diverse_documents_are_near_the_query(store):
    store.add_texts([f"{TEXTS[1]} {word}" for word in ("a", "b", "c", "d")])
    found = get_texts(store.max_marginal_relevance_search(TEXTS[1], k=3, fetch_k=10))
    assert len(set(found)) == 3
    assert found[0] == TEXTS[1]
    assert set(found) <= set(get_texts(store.similarity_search(TEXTS[1], k=10)))


def test_langchain_qdrant_reverses_lambda_mult(make_store):
    """It passes LangChain's 1 ("only near") to Qdrant as a diversity of 1; see docs/scaling.md."""
    orders = {}
    for kind in KINDS[:2]:
        store = make_store(kind)
        store.add_texts([f"{TEXTS[1]} {word}" for word in ("a", "b", "c")])
        orders[kind] = [
            get_texts(store.max_marginal_relevance_search(TEXTS[1], k=3, fetch_k=9, lambda_mult=mult))
            for mult in (0.99, 0)
        ]
    near, diverse = orders["faiss"]
    assert sum(text.startswith(TEXTS[1]) for text in near) == 3
    assert sum(text.startswith(TEXTS[1]) for text in diverse) < 3
    assert [sum(text.startswith(TEXTS[1]) for text in found) == 3 for found in orders["qdrant memory"]] == [False, True]


def test_retriever_of_langchain(store):
    found = store.as_retriever(search_kwargs={"k": 2}).invoke(QUERY)
    assert get_texts(found) == [text for text, _ in search_by_brute_force(QUERY)[:2]]


# Retrievers over it


class CapitalsReranker:
    """Scores a passage by its capital letters."""

    def predict(self, pairs: list[tuple[str, str]]) -> list[float]:
        return [sum(letter.isupper() for letter in text) / len(text) for _, text in pairs]


def build_retrievers(store: VectorStore) -> dict[str, object]:
    chunks = BM25Retriever.from_documents(DOCUMENTS)
    rewriter = GenericFakeChatModel(messages=iter([AIMessage("How much does express delivery cost?")] * 9))
    return {
        "store": as_retriever(store),
        "hybrid": HybridRetriever(retrievers=[chunks, store], k=4),
        "ranks": HybridRetriever(retrievers=[chunks, store], k=4, fusion="ranks"),
        "reranked": RerankRetriever(retriever=store, reranker=CapitalsReranker(), k=4),
        "neighbours": NeighbourRetriever(retriever=store, chunks=chunks, k=3),
        "conversation": HistoryAwareRetriever(retriever=store, llm=rewriter, k=3),
        "stacked": RerankRetriever(
            retriever=HybridRetriever(retrievers=[chunks, store]), reranker=CapitalsReranker(), k=4
        ),
        "diverse": as_retriever(store.as_retriever(search_type="mmr", search_kwargs={"k": 2, "fetch_k": 6})),
        "sure": as_retriever(
            store.as_retriever(search_type="similarity_score_threshold", search_kwargs={"score_threshold": 0.3})
        ),
    }


NAMES = list(build_retrievers(FaissStore(MODEL)))
FOLLOW_UP = {
    "question": "And how much does express cost?",
    "chat_history": [HumanMessage("How much does delivery cost?"), AIMessage("4.90 euros.")],
}


def assert_same_documents(ours: list[Document], theirs: list[Document], *, ordered: bool = True) -> None:
    one, other = simplify(ours), simplify(theirs)
    if not ordered:  # equally near ones come in any order
        one, other = sorted(one, key=lambda found: found[0]), sorted(other, key=lambda found: found[0])
    assert [found[:2] for found in one] == [found[:2] for found in other]
    for (_, _, metadata), (_, _, expected) in zip(one, other, strict=True):
        scores = {name: metadata.pop(name, None) for name in ("relevance_score", "fused_score")}
        expected_scores = {name: expected.pop(name, None) for name in scores}
        assert scores == {n: v if v is None else pytest.approx(v, abs=1e-4) for n, v in expected_scores.items()}
        assert metadata == expected


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("number", [None, *range(len(FILTERS))])
async def test_retrievers_return_the_same_on_every_store(make_store, name, number):
    options = {} if number is None else {"filter": FILTERS[number]}
    if name != "diverse":
        options["k"] = 5
    given = FOLLOW_UP if name == "conversation" else QUERY
    results = []
    for kind in KINDS[:2]:
        retriever = build_retrievers(make_store(kind))[name]
        results.append(retriever.invoke(given, **options))
        assert_same_documents(results[-1], await retriever.ainvoke(given, **options))
    assert_same_documents(*results)
    if number is not None:
        agrees = compile_filter(FILTERS[number])
        assert all(agrees(document.metadata) for document in results[0])
    if name in ("store", "hybrid", "sure") and number is None:
        assert all("relevance_score" in document.metadata for document in results[1])


def test_relevance_is_the_same_on_every_store(store):
    found = as_retriever(store).invoke(QUERY, k=6)
    assert_results([(d.page_content, d.metadata["relevance_score"]) for d in found], search_by_brute_force(QUERY))
    assert not any(name.startswith("_") for document in found for name in document.metadata)


def test_filters_of_qdrant_are_passed_on(make_store):
    store = make_store("qdrant memory")
    own = models.Filter(must=[models.FieldCondition(key="metadata.lang", match=models.MatchValue(value="fr"))])
    assert len(as_retriever(store).invoke(QUERY, filter=own)) == 2
    by_default = as_retriever(store.as_retriever(search_kwargs={"filter": {"lang": "fr"}, "k": 9}))
    assert isinstance(by_default, QdrantRetriever)
    assert len(by_default.invoke(QUERY)) == 2
    assert not is_qdrant(FaissStore(MODEL))


@pytest.mark.parametrize(
    ("distance", "metric"),
    [(models.Distance.DOT, "inner_product"), (models.Distance.EUCLID, "l2"), (models.Distance.COSINE, "cosine")],
)
def test_relevance_for_other_distances_is_the_same_in_qdrant(distance, metric):
    client = QdrantClient(":memory:")
    client.create_collection("d", vectors_config=models.VectorParams(size=SIZE, distance=distance))
    theirs = QdrantVectorStore(client, "d", MODEL, distance=distance, metadata_payload_key="about it")
    theirs.add_documents(DOCUMENTS, ids=IDS)
    ours = FaissStore(MODEL, metric=metric)
    ours.add_documents(DOCUMENTS)
    for filter in (None, {"lang": "fr"}):
        options = {} if filter is None else {"filter": filter}
        assert_same_documents(
            as_retriever(ours).invoke("free pickup in stores", k=6, **options),
            as_retriever(theirs).invoke("free pickup in stores", k=6, **options),
            ordered=False,
        )
    client.close()


# Indexing into it


@pytest.fixture
def docs(tmp_path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.md").write_text(f"# Delivery\n\n{TEXTS[0]}\n\n## Fast\n\n{TEXTS[1]}\n", encoding="utf-8")
    (folder / "b.md").write_text(f"# Perte\n\n{TEXTS[3]}\n", encoding="utf-8")
    return folder


def ignore_progress(_: object) -> None:
    """Ignore progress reports."""


@pytest.mark.parametrize("kind", KINDS)
def test_sync_updates_every_store(make_store, kind, docs, tmp_path, caplog):
    store, rows = make_store(kind, []), tmp_path / "rows.sqlite"
    caplog.set_level(logging.WARNING)

    def run():
        return sync_documents(docs, store, manifest=rows, on_progress=ignore_progress)

    def list_indexed() -> list[tuple[str, str]]:
        found = as_retriever(store).invoke(QUERY, k=50)
        return sorted((document.metadata["source"], document.page_content) for document in found)

    assert run().added == ("a.md", "b.md")
    assert [source for source, _ in list_indexed()] == ["a.md", "a.md", "b.md"]
    first = as_retriever(store).invoke("Fast", k=1)[0]
    assert TEXTS[1] in first.page_content  # the heading was embedded with it
    assert first.metadata["relevance_score"] > 0.2
    assert {"source", "start", "end", "heading", "title", "content_hash"} <= set(first.metadata)
    assert run().unchanged == ("a.md", "b.md")
    assert check_index(store, docs, manifest=rows).is_consistent
    (docs / "a.md").write_text(f"# Delivery\n\n{TEXTS[2]}\n", encoding="utf-8")
    (docs / "b.md").unlink()
    report = run()
    assert (report.changed, report.removed) == (("a.md",), ("b.md",))
    assert len(list_indexed()) == 1
    assert TEXTS[2] in list_indexed()[0][1]
    only = as_retriever(store).invoke(QUERY, k=1)[0]
    store.delete([only.id])
    assert len(check_index(store, docs, manifest=rows).differences) == 1
    assert check_index(store, docs, manifest=rows, repair=True, on_progress=ignore_progress).is_repaired
    assert len(list_indexed()) == 1
    assert not caplog.messages


# Moving to it


def test_documents_move_to_qdrant_without_embedding_again(make_store):
    ours, theirs = make_store("faiss"), make_store("qdrant memory", [])
    for documents, vectors in ours.iterate_with_vectors(batch_size=4):
        points = [
            models.PointStruct(
                id=document.id,
                vector=vector.tolist(),
                payload={"page_content": document.page_content, "metadata": document.metadata},
            )
            for document, vector in zip(documents, vectors, strict=True)
        ]
        theirs.client.upsert("c", points)
    for filter in FILTERS:
        assert_same_documents(
            as_retriever(ours).invoke(QUERY, k=6, filter=filter), as_retriever(theirs).invoke(QUERY, k=6, filter=filter)
        )


# A chatbot over it


def build_scripted_model(*answers: str) -> ChatGptOss:
    encoding = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
    ids = [encoding.encode(f"<|channel|>final<|message|>{a}<|return|>", allowed_special="all") for a in answers]
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine(ids))


def test_chatbot_answers_on_every_store(store):
    chunks = BM25Retriever.from_documents(DOCUMENTS)
    bot = create_chatbot(
        build_scripted_model("Express delivery costs 12.90 euros [1]."),
        HybridRetriever(retrievers=[chunks, store], k=4),
    )
    answer = bot.invoke({"question": QUERY})
    assert "12.90 euros" in answer["answer"]


def test_chatbot_abstains_on_every_store(store):
    bot = create_chatbot(build_scripted_model("Express delivery costs 12.90 euros [1]."), as_retriever(store))
    assert "12.90" not in bot.invoke({"question": "Who won the football world cup in 1998?"})["answer"]
