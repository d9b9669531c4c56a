"""FaissStore as a LangChain VectorStore: the standard suite, results compared with brute force, and invalid input."""

import math
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from langchain_gptoss.errors import GptOssForkError, InvalidInputError
from langchain_gptoss.vectorstores import FaissRetriever, FaissStore
from tests.unit_tests.forked import call_forked, needs_fork
from tests.unit_tests.vectorstores.store_helpers import (
    EMBEDDING,
    METRICS,
    SIZE,
    WordEmbeddings,
    assert_same_results,
    fill_store,
    search_by_brute_force,
)


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return FaissStore(self.get_embeddings())


class TestStandardL2(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return FaissStore(self.get_embeddings(), metric="l2", index="SQ8")


@pytest.mark.parametrize("metric", METRICS)
def test_search_equals_brute_force_after_deletes_and_upserts(metric):
    store, vectors = fill_store(300, metric=metric)
    random = np.random.default_rng(1)
    for step in range(5):
        gone = [f"d{i}" for i in random.choice(300, 20, replace=False)]
        store.delete(gone)
        vectors = {id_: vector for id_, vector in vectors.items() if id_ not in gone}
        changed = [*sorted(vectors)[step::9], f"new{step}"]
        fresh = random.normal(size=(len(changed), SIZE))
        store.add_with_vectors([Document(id=i, page_content=i, metadata={"group": int(i[-1])}) for i in changed], fresh)
        vectors |= dict(zip(changed, fresh, strict=True))
        assert len(store) == len(vectors) == store.index_info.count
        groups = {d.id: d.metadata["group"] for d in store.get_by_ids(list(vectors))}
        inside = {id_: vector for id_, vector in vectors.items() if groups[id_] >= 4}
        for text in ("a", "b", "c"):
            query = EMBEDDING.embed_query(text)
            assert_same_results(
                store.similarity_search_with_score(text, 12), search_by_brute_force(vectors, query, 12, metric)
            )
            found = store.similarity_search_with_score(text, 12, filter={"group": {"$gte": 4}})
            assert_same_results(found, search_by_brute_force(inside, query, 12, metric))


@pytest.mark.parametrize("metric", METRICS)
def test_relevance_is_between_0_and_1_and_decreases_with_rank(metric):
    store, _ = fill_store(200, metric=metric)
    query = np.array(EMBEDDING.embed_query("q"))
    extremes = [query * 1e6, query * -1e6, query, query * 0]
    store.add_with_vectors([Document(id=f"x{i}", page_content="x") for i in range(4)], extremes)
    found = store.similarity_search_with_relevance_scores("q", 500)
    relevance = [score for _, score in found]
    assert len(found) == 204
    assert relevance == sorted(relevance, reverse=True)
    assert all(0 <= score <= 1 for score in relevance)
    assert found[0][0].id in {"x0", "x2"}
    if metric == "l2":
        assert found[0] == (found[0][0], pytest.approx(1))
    retriever = store.as_retriever(search_kwargs={"k": 9})
    if metric != "cosine":
        assert [d.metadata["relevance_score"] for d in retriever.invoke("q")] == relevance[:9]
    threshold = {"k": 500, "score_threshold": relevance[20]}
    near = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=threshold).invoke("q")
    assert [d.id for d in near] == [d.id for (d, score) in found if score >= relevance[20]]


@pytest.mark.parametrize("as_callable", [False, True])
def test_filter_is_applied_before_the_search(as_callable):
    store, vectors = fill_store(200)
    inside = {id_: vector for id_, vector in vectors.items() if int(id_[1:]) % 7 == 3}
    where = (lambda metadata: metadata["group"] == 3) if as_callable else {"group": 3}
    found = store.similarity_search_with_score("query", 10, filter=where)
    assert_same_results(found, search_by_brute_force(inside, EMBEDDING.embed_query("query"), 10))
    assert len(store.similarity_search("query", 1000, filter=where)) == len(inside)


def test_filter_for_none_does_not_match_missing_keys():
    store = FaissStore.from_texts(["a", "b"], EMBEDDING, [{"x": None}, {}])
    assert [d.page_content for d in store.similarity_search("a", filter={"x": None})] == ["a"]
    assert store.similarity_search("a", filter={"nowhere": 1}) == []
    assert len(store.similarity_search("a", filter={})) == 2


def test_filter_cannot_write_and_must_be_a_dict_or_function():
    store, _ = fill_store(3)
    with pytest.raises(AttributeError, match="mappingproxy"):
        store.similarity_search("a", filter=lambda metadata: metadata.update(group=9))
    with pytest.raises(InvalidInputError, match="filter is a list"):
        store.similarity_search("a", filter=[("group", 1)])
    with pytest.raises(InvalidInputError, match="'fitler'"):
        store.similarity_search("a", fitler={"group": 1})


def test_scores_are_cosines_for_vectors_of_any_length():
    store = FaissStore(EMBEDDING)
    base = np.array(EMBEDDING.embed_query("q"))
    store.add_with_vectors(
        [Document(id=name, page_content=name) for name in ("same", "opposite", "zero")],
        [base * 1e6, base * -1e-6, base * 0],
    )
    found = {document.id: score for document, score in store.similarity_search_with_score("q", 9)}
    assert found == {"same": pytest.approx(1), "zero": 0, "opposite": pytest.approx(-1)}
    assert all(-1 <= score <= 1 for score in found.values())
    relevance = {document.id: score for document, score in store.similarity_search_with_relevance_scores("q", 9)}
    assert relevance == {"same": pytest.approx(1), "zero": 0, "opposite": 0}


def test_score_is_never_above_one():
    store, vectors = fill_store(100)
    for vector in vectors.values():
        assert store._search(list(vector), 1, None)[0][1] <= 1.0


def test_max_marginal_relevance_agrees_with_langchain():
    store, vectors = fill_store(60)
    query = EMBEDDING.embed_query("q")
    nearest = [id_ for id_, _ in search_by_brute_force(vectors, query, 20)]
    for weight in (0.0, 0.3, 0.7, 1.0):
        rows = maximal_marginal_relevance(np.array(query), [vectors[id_] for id_ in nearest], weight, k=6)
        found = store.max_marginal_relevance_search("q", 6, 20, weight)
        assert [document.id for document in found] == [nearest[row] for row in rows]
    assert {d.metadata["group"] for d in store.max_marginal_relevance_search("q", 3, filter={"group": 2})} == {2}
    assert FaissStore(EMBEDDING).max_marginal_relevance_search("q") == []
    with pytest.raises(InvalidInputError, match="lambda_mult"):
        store.max_marginal_relevance_search("q", lambda_mult=1.5)


def test_returned_and_added_documents_are_copies():
    given = Document(id="a", page_content="text", metadata={"tags": ["x"]})
    store = FaissStore.from_documents([given], EMBEDDING)
    given.metadata["tags"].append("given")
    for document in (
        *store.similarity_search("text"),
        *store.get_by_ids(["a"]),
        *store.max_marginal_relevance_search("text"),
    ):
        document.metadata["tags"].append("returned")
        document.metadata["new"] = 1
    assert store.get_by_ids(["a"]) == [Document(id="a", page_content="text", metadata={"tags": ["x"]})]


@pytest.mark.parametrize("metric", METRICS)
def test_given_documents_are_scored_like_search_results(metric):
    store, _ = fill_store(60, metric=metric)
    scores = {document.id: score for document, score in store.similarity_search_with_score("q", 60)}
    assert store.score_documents("q", ["d3", "unknown", "d59"]) == {id_: scores[id_] for id_ in ("d3", "d59")}
    assert store.score_documents("q", ["d3", "d4"], filter={"group": 3}) == {"d3": scores["d3"]}
    assert FaissStore(EMBEDDING).score_documents("q", ["d3"]) == {}


def test_last_document_with_an_id_is_kept():
    store = FaissStore(EMBEDDING)
    documents = [Document(id=id_, page_content=f"{id_}{n}") for n, id_ in enumerate("abac")]
    assert store.add_with_vectors(documents, np.eye(SIZE)[:4]) == ["a", "b", "a", "c"]
    assert len(store) == 3
    for axis, expected in ((1, "b1"), (2, "a2"), (3, "c3")):
        assert store.similarity_search_by_vector(np.eye(SIZE)[axis].tolist(), 1)[0].page_content == expected


def test_documents_are_replaced_and_deleted_by_id():
    store = FaissStore(EMBEDDING)
    assert store.add_texts(["old", "new"], ids=["a", "a"]) == ["a", "a"]
    assert [d.page_content for d in store.get_by_ids(["a", "none"])] == ["new"]
    made = store.add_documents([Document(page_content="x"), Document(id="b", page_content="y")])
    assert made[1] == "b"
    assert len(store.get_by_ids(made)) == 2
    assert store.delete(["b", "nowhere"]) is True
    assert len(store) == 2
    assert store.delete() is True
    assert len(store) == 0
    assert store
    assert store.similarity_search("x") == []
    assert store.add_texts([]) == []
    store.add_with_vectors([Document(page_content="x")], [[1.0, 2.0, 3.0]])  # emptied, it may take another dimension


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.similarity_search("a", k=0), "k is 0"),
        (lambda s: s.similarity_search_by_vector([1.0] * SIZE, k=-1), "k is -1"),
        (lambda s: s.max_marginal_relevance_search("a", k=0), "k is 0"),
        (lambda s: s.similarity_search_by_vector([math.nan] * SIZE), "NaN"),
        (lambda s: s.similarity_search_by_vector([1e300] * SIZE), "infinity"),
        (lambda s: s.similarity_search_by_vector([1.0] * 5), "5 dimensions, and the store's have 8"),
        (lambda s: s.similarity_search_by_vector([]), "not lists of numbers"),
        (lambda s: s.add_texts(["a", "b"], [{}]), "2 texts and 1 metadatas"),
        (lambda s: s.add_texts(["a", "b"], ids=["1"]), "2 texts and 1 ids"),
        (lambda s: s.add_texts(["a"], []), "1 texts and 0 metadatas"),
        (lambda s: s.add_with_vectors([Document(page_content="a")], []), "1 texts and 0 vectors"),
        (lambda s: s.add_with_vectors([Document(page_content="a")], [[math.inf] * SIZE]), "infinity"),
        (lambda s: s.add_with_vectors([Document(page_content="a")], [[1.0] * 3]), "3 dimensions"),
        (
            lambda s: s.add_with_vectors([Document(page_content="a")] * 2, [[1.0], [1.0, 2.0]]),
            "all have one length",
        ),
        (lambda s: s.add_with_vectors([Document(page_content="a")], [["x"] * SIZE]), "not lists of numbers"),
    ],
)
def test_invalid_input_is_rejected_and_changes_nothing(call, message):
    store, _ = fill_store(4)
    before = store.similarity_search_with_score("a", 9)
    with pytest.raises(InvalidInputError, match=message):
        call(store)
    assert store.similarity_search_with_score("a", 9) == before


def test_retriever_adds_the_cosine_to_the_metadata():
    store, _ = fill_store(30)
    retriever = store.as_retriever(search_kwargs={"k": 5, "filter": {"group": 1}})
    assert isinstance(retriever, FaissRetriever)
    assert retriever.tags == ["FaissStore", "DeterministicFakeEmbedding"]
    expected = store.similarity_search_with_score("q", 5, filter={"group": 1})
    assert [(d.id, d.metadata["relevance_score"]) for d in retriever.invoke("q")] == [(d.id, s) for d, s in expected]
    assert len(retriever.invoke("q", k=2)) == 2
    assert all("relevance_score" not in d.metadata for d in store.similarity_search("q", 30))
    mmr = store.as_retriever(search_type="mmr", search_kwargs={"k": 3}).invoke("q")
    assert mmr == store.max_marginal_relevance_search("q", 3)


@pytest.mark.parametrize("options", [{}, {"search_kwargs": {}}, {"search_kwargs": None}, {"search_type": "mmr"}])
def test_retriever_returns_eight_documents_by_default(options):
    store, _ = fill_store(30)
    assert len(store.as_retriever(**options).invoke("q")) == 8
    chosen = store.as_retriever(search_kwargs={"filter": {"group": 1}})
    assert chosen.search_kwargs == {"k": 8, "filter": {"group": 1}}


async def test_retriever_with_threshold_drops_lower_scores():
    store, _ = fill_store(50)
    options = {"k": 50, "score_threshold": 0.3}
    retriever = store.as_retriever(search_type="similarity_score_threshold", search_kwargs=options)
    found = retriever.invoke("q")
    expected = [d.id for d, score in store.similarity_search_with_score("q", 50) if score >= 0.3]
    assert 0 < len(expected) < 50
    assert [d.id for d in found] == expected
    assert all(d.metadata["relevance_score"] >= 0.3 for d in found)
    assert await retriever.ainvoke("q") == found
    everything = store.as_retriever(search_kwargs={"k": 50})
    assert len(everything.invoke("q")) == len(await everything.ainvoke("q")) == 50
    assert min(d.metadata["relevance_score"] for d in everything.invoke("q")) < 0


def test_indexing_api_of_langchain_updates_the_store():
    store = FaissStore(EMBEDDING)
    records = InMemoryRecordManager("test")
    records.create_schema()
    documents = [Document(page_content=t, metadata={"source": "s"}) for t in ("one", "two", "three")]
    options = {"cleanup": "full", "source_id_key": "source", "key_encoder": "sha256"}
    assert index(documents, records, store, **options)["num_added"] == 3
    assert index(documents[:2], records, store, **options) == {
        "num_added": 0,
        "num_updated": 0,
        "num_skipped": 2,
        "num_deleted": 1,
    }
    assert {d.page_content for d in store.similarity_search("x", 9)} == {"one", "two"}


def test_threads_add_delete_and_search_concurrently():
    store, _ = fill_store(50)

    def change_and_search(thread: int) -> None:
        for turn in range(20):
            ids = [f"t{thread}-{turn}-{i}" for i in range(5)]
            store.add_texts(ids, [{"thread": thread}] * 5, ids=ids)
            found = store.similarity_search(ids[0], 5, filter={"thread": thread})
            assert ids[0] in [document.id for document in found]
            store.delete(ids[:3])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(change_and_search, range(8)))
    assert len(store) == 50 + 8 * 20 * 2
    assert store.index_info.count == len(store)


class BrokenEmbeddings(WordEmbeddings):
    """Fails, or returns invalid vectors."""

    def __init__(self, answer) -> None:
        super().__init__("broken")
        self.answer = answer

    def embed_documents(self, texts):
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer(texts)


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (ConnectionError("the model is gone"), ConnectionError, "the model is gone"),
        (lambda texts: None, InvalidInputError, "2 texts and no vectors"),
        (lambda texts: [[1.0] * SIZE], InvalidInputError, "2 texts and 1 vectors"),
        (lambda texts: [[1.0] * SIZE, None], InvalidInputError, "not lists of numbers"),
        (lambda texts: [[1.0] * SIZE, [math.nan] * SIZE], InvalidInputError, "NaN"),
        (lambda texts: [[1.0] * (SIZE + 1)] * 2, InvalidInputError, "9 dimensions, and the store's have 8"),
    ],
)
async def test_failing_embeddings_change_nothing(answer, error, message):
    store, _ = fill_store(4)
    store._embedding = BrokenEmbeddings(answer)
    with pytest.raises(error, match=message):
        store.add_texts(["a", "b"], ids=["d1", "new"])
    with pytest.raises(error, match=message):
        await store.aadd_texts(["a", "b"], ids=["d1", "new"])
    assert len(store) == 4
    assert [d.page_content for d in store.get_by_ids(["d1", "new"])] == ["text 1"]


@pytest.mark.parametrize("value", [{1, 2}, b"bytes", object()])
def test_error_names_the_document_whose_metadata_is_not_json(value):
    store, _ = fill_store(3)
    with pytest.raises(InvalidInputError, match="'doc-7'"):
        store.add_texts(["a", "b"], [{}, {"when": value}], ids=["d1", "doc-7"])
    assert [d.page_content for d in store.get_by_ids(["d1", "doc-7"])] == ["text 1"]


@pytest.mark.parametrize("options", [{"metric": "dot"}, {"index": "HNSW32"}, {"index": "IVF0,SQ8"}, {"index": ""}])
def test_unknown_metrics_and_kinds_are_rejected(options):
    with pytest.raises(InvalidInputError, match="Use "):
        FaissStore(EMBEDDING, **options)


def test_ids_and_texts_may_be_any_string():
    texts = ["", "NUL \0 inside", "lone \ud800", "日本語", "a'b\"c;--", "x" * 100_000]
    metadatas = [{"é": text, "n": [None, True, 1.5, {"a": []}]} for text in texts]
    store = FaissStore(EMBEDDING)
    ids = store.add_with_vectors(
        [Document(id=f"{t[:9]}!", page_content=t, metadata=m) for t, m in zip(texts, metadatas, strict=True)],
        np.eye(SIZE)[: len(texts)],
    )
    assert [(d.page_content, d.metadata) for d in store.get_by_ids(ids)] == list(zip(texts, metadatas, strict=True))
    assert store.similarity_search("q", filter={"é": "lone \ud800"})[0].page_content == "lone \ud800"
    store.delete(ids[1:3])
    assert len(store) == 4


class AsyncOnlyEmbeddings(WordEmbeddings):
    """Fails if it is called in a thread instead of the event loop."""

    def embed_query(self, text):
        raise AssertionError("called in a thread")

    embed_documents = embed_query

    async def aembed_query(self, text):
        return WordEmbeddings.embed_query(self, text)

    async def aembed_documents(self, texts):
        return [WordEmbeddings.embed_query(self, text) for text in texts]


async def test_async_methods_await_the_embedding_model():
    store = await FaissStore.afrom_texts(
        ["red fox", "blue sky"], AsyncOnlyEmbeddings("a"), [{"n": 1}, {"n": 2}], ids=["a", "b"]
    )
    assert (await store.asimilarity_search("red fox", 1))[0].id == "a"
    assert (await store.asimilarity_search("red fox", 1, filter={"n": 2}))[0].id == "b"
    assert (await store.amax_marginal_relevance_search("red fox", 1))[0].id == "a"
    assert (await store.asimilarity_search_by_vector([1.0] * SIZE, 2)) != []
    assert len(await store.amax_marginal_relevance_search_by_vector([1.0] * SIZE, 2)) == 2
    found = await store.asimilarity_search_with_relevance_scores("red fox", 1)
    assert found[0][1] == pytest.approx(1)
    assert (await store.as_retriever(search_kwargs={"k": 1}).ainvoke("blue sky"))[0].id == "b"
    assert (await store.aget_by_ids(["a"]))[0].page_content == "red fox"
    assert await store.adelete(["a"]) is True
    with pytest.raises(InvalidInputError, match="k is 0"):
        await store.asimilarity_search("x", 0)
    assert len(store) == 1


def test_importing_loads_neither_faiss_nor_numpy():
    code = "import sys, langchain_gptoss.vectorstores, langchain_gptoss.ingest\nprint(sorted({'faiss', 'numpy', 'torch', 'pypdfium2', 'lxml'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]"


@needs_fork
def test_a_process_that_was_forked_after_use_is_refused_at_once():
    store, _ = fill_store(300)
    documents = [Document(page_content="a b")]
    for use in (lambda: store.similarity_search("a"), lambda: store.add_documents(documents)):
        assert isinstance(call_forked(use), GptOssForkError)
    core = store._core
    with core._lock.lock_writing():  # as if another thread were adding documents during the fork
        assert isinstance(call_forked(lambda: store.similarity_search("a")), GptOssForkError)
    assert len(store.similarity_search("a", k=3)) == 3
