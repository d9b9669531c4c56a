"""The index inside FaissStore: which kind, brute force as the judge for each, growth, and readers beside writers."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import core as _faiss_core
from langchain_gptoss.vectorstores.faiss import index as _faiss_index
from langchain_gptoss.vectorstores.faiss.index import Kind, VectorIndex, wanted_kind
from langchain_gptoss.vectorstores.faiss.read_write_lock import ReadWriteLock
from tests.unit_tests.vectorstores.store_helpers import (
    EMBEDDING,
    METRICS,
    SIZE,
    Named,
    assert_same,
    brute_force,
    filled,
    overlap,
)


@pytest.mark.parametrize(
    ("count", "asked", "expected", "why"),
    [
        (0, None, "Flat", "searched exactly"),
        (20_000, None, "Flat", "up to 20,000 vectors are searched exactly"),
        (20_001, None, "SQ8", "8 bits per number"),
        (65_536, None, "SQ8", "8 bits per number"),
        (65_537, None, "IVF1024,SQ8", "reads the nearest lists"),
        (262_144, None, "IVF2048,SQ8", "reads the nearest lists"),
        (1_000_000, None, "IVF4096,SQ8", "reads the nearest lists"),
        (1_000_000, "Flat", "Flat", "asked for"),
        (5, "SQ8", "Flat", "SQ8 needs 256 vectors to be trained"),
        (256, "SQ8", "SQ8", "asked for"),
        (100_000, "IVF4096,SQ8", "SQ8", "IVF4096,SQ8 needs 163,840 vectors"),
        (163_840, "IVF4096,SQ8", "IVF4096,SQ8", "asked for"),
        (320, "IVF8,Flat", "IVF8,Flat", "asked for"),
    ],
)
def test_the_size_decides_and_says_why(count, asked, expected, why):
    kind, reason = wanted_kind(count, asked and Kind.parse(asked))
    assert str(kind) == expected
    assert why in reason


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["Flat", "SQ8", "IVF16,Flat", "IVF16,SQ8"])
def test_every_kind_finds_what_brute_force_finds(kind, metric):
    store, vectors = filled(800, metric=metric, index=kind)
    assert store.index_info.kind == kind
    random = np.random.default_rng(1)
    for step in range(3):
        gone = [f"d{i}" for i in random.choice(800, 60, replace=False)]
        store.delete(gone)
        vectors = {id_: vector for id_, vector in vectors.items() if id_ not in gone}
        changed = [*sorted(vectors)[step::9], f"new{step}"]
        fresh = random.normal(size=(len(changed), SIZE))
        store.add_embedded([Document(id=i, page_content=i, metadata={"group": int(i[-1])}) for i in changed], fresh)
        vectors |= dict(zip(changed, fresh, strict=True))
    groups = {d.id: d.metadata["group"] for d in store.get_by_ids(list(vectors))}
    inside = {id_: vector for id_, vector in vectors.items() if groups[id_] in (1, 2)}
    assert len(store) == len(vectors)
    for text in "abcdefgh":
        query = EMBEDDING.embed_query(text)
        for filter, candidates in ((None, vectors), ({"group": {"$in": [1, 2]}}, inside)):
            found = store.similarity_search_with_score(text, 20, filter=filter)
            expected = brute_force(candidates, query, 20, metric)
            scores = [score for _, score in found]
            assert scores == sorted(scores, reverse=metric != "l2")
            if kind.endswith("Flat"):
                assert_same(found, expected)
            else:
                assert overlap(found, expected) >= 0.85
                assert scores == pytest.approx([score for _, score in expected], abs=0.1, rel=0.05)
    assert len(store.similarity_search("a", 5000)) == len(vectors)
    assert len(store.similarity_search("a", 5000, filter={"group": {"$in": [1, 2]}})) == len(inside)
    assert len(store.max_marginal_relevance_search("a", 5, filter={"group": 1})) == 5


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(_faiss_index, "EXACT_UP_TO", 100)
    monkeypatch.setattr(_faiss_index, "SCAN_UP_TO", 3000)
    monkeypatch.setattr(_faiss_index, "_TO_LEARN_SQ8", 100)
    monkeypatch.setattr(_faiss_index, "_PER_LIST", 4)
    monkeypatch.setattr(_faiss_index, "_DISTANCES", 700)


@pytest.mark.filterwarnings("ignore")
def test_a_store_grows_through_the_kinds_and_shrinks_through_none(small_limits):
    random = np.random.default_rng(0)
    store, vectors, seen = FaissStore(EMBEDDING), {}, []
    for start in range(0, 14_000, 500):
        fresh = random.normal(size=(500, SIZE))
        ids = [f"d{i}" for i in range(start, start + 500)]
        documents = [Document(id=i, page_content=i, metadata={"even": int(i[1:]) % 2 == 0}) for i in ids]
        store.add_embedded(documents, fresh)
        vectors |= dict(zip(ids, fresh, strict=True))
        info = store.index_info
        seen.append((info.kind, info.trained_on))
        assert info.count == start + 500
        assert info.trained_on == 0 or info.count <= 4 * info.trained_on
        query = EMBEDDING.embed_query("q")
        found = store.similarity_search_with_score("q", 10)
        assert overlap(found, brute_force(vectors, query, 10)) >= 0.7
    assert list(dict.fromkeys(seen)) == [("SQ8", 500), ("SQ8", 2500), ("IVF256,SQ8", 3500)]
    assert "reads the nearest lists" in store.index_info.why or "kept until" in store.index_info.why
    store.delete([f"d{i}" for i in range(50, 14_000)])
    assert store.index_info.kind == "IVF256,SQ8"
    assert "kept until it has grown" in store.index_info.why
    rest = {id_: vectors[id_] for id_ in list(vectors)[:50]}
    assert overlap(store.similarity_search_with_score("q", 10), brute_force(rest, query, 10)) >= 0.8
    assert len(store.similarity_search("q", 99, filter={"even": True})) == 25


def test_few_matches_are_found_even_in_the_last_list(small_limits):
    store, _ = filled(2000, index="IVF64,SQ8")
    store.add_texts([f"rare {i}" for i in range(5)], [{"rare": True}] * 5)
    assert len(store.similarity_search("q", 5, filter={"rare": True})) == 5
    assert len(store.similarity_search("q", 2005)) == 2005


def test_vectors_survive_a_change_of_kind(tmp_path):
    store, vectors = filled(600, index="IVF8,SQ8", metric="l2")
    store.save(tmp_path / "i")
    for kind in ("Flat", "SQ8", "IVF4,Flat", "IVF8,SQ8"):
        loaded = FaissStore.load(tmp_path / "i", EMBEDDING, index=kind)
        loaded.add_texts(["x"], ids=["x"])
        assert loaded.index_info.kind == kind
        found = [hit for hit in loaded.similarity_search_with_score("q", 20) if hit[0].id != "x"]
        expected = brute_force(vectors, EMBEDDING.embed_query("q"), 19, "l2")
        assert overlap(found, expected) >= 0.85


def test_a_batch_becomes_visible_in_pieces_and_never_twice(monkeypatch):
    monkeypatch.setattr(_faiss_core, "_PIECE", 10)
    store, _ = filled(200)
    ids = [f"d{i}" for i in range(200)]
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            found = [document.id for document in store.similarity_search("q", 500)]
            seen.append((len(found), len(set(found))))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for turn in range(5):
            store.add_embedded(
                [Document(id=i, page_content=f"turn {turn}") for i in ids],
                np.random.default_rng(turn).normal(size=(200, SIZE)),
            )
        done.set()
        for reader in readers:
            reader.result()
    assert set(seen) == {(200, 200)}
    assert {d.page_content for d in store.similarity_search("q", 500)} == {"turn 4"}


@pytest.mark.parametrize("slow", ["lists_of", "grown", "write"])
def test_readers_do_not_wait_for_a_long_write(slow, monkeypatch, tmp_path):
    store, _ = filled(300, index="SQ8")
    usual, began, release = getattr(VectorIndex, slow), threading.Event(), threading.Event()

    def waiting(self, *arguments):
        began.set()
        assert release.wait(30)
        return usual(self, *arguments)

    monkeypatch.setattr(VectorIndex, slow, waiting)
    with ThreadPoolExecutor(2) as pool:
        if slow == "write":
            write = pool.submit(store.save, tmp_path / "i")
        else:
            documents = [Document(page_content="new")] * 1000
            write = pool.submit(store.add_embedded, documents, np.random.default_rng(5).normal(size=(1000, SIZE)))
        assert began.wait(30)
        other = pool.submit(store.similarity_search, "q", 400)
        assert len(other.result(timeout=30)) == 300
        assert len(store.similarity_search("q", 400, filter={"group": 1})) == 43
        assert len(store.get_by_ids(["d1"])) == 1
        release.set()
        write.result(timeout=30)


def test_a_write_that_fails_leaves_the_store_as_it_was(monkeypatch):
    store, _ = filled(300)
    before = store.similarity_search_with_score("q", 400)

    def failing(*_):
        raise MemoryError("no more memory")

    monkeypatch.setattr(VectorIndex, "lists_of", failing)
    with pytest.raises(MemoryError, match="no more memory"):
        store.add_texts(["a", "b"], ids=["d1", "new"])
    monkeypatch.undo()
    assert store.similarity_search_with_score("q", 400) == before
    assert store.get_by_ids(["new"]) == []
    assert store.add_texts(["a"], [{"group": 1}], ids=["new"]) == ["new"]
    assert len(store.similarity_search("q", 400, filter={"group": 1})) == 44


class Slow(Named):
    """Takes its time in the thread that calls it."""

    def embed_query(self, text):
        time.sleep(0.3)
        return super().embed_query(text)


async def test_async_search_does_not_block_the_loop():
    store = FaissStore.from_texts(["a", "b"], Slow("slow"))
    longest, began = 0.0, time.perf_counter()
    task = asyncio.gather(*(store.asimilarity_search("a") for _ in range(4)), store.aadd_texts(["c", "d"]))
    while not task.done():
        await asyncio.sleep(0.001)
        longest, began = max(longest, time.perf_counter() - began), time.perf_counter()
    await task
    assert longest < 0.2
    assert len(store) == 4


def test_the_lock_lets_readers_share_and_writers_not():
    lock, inside, most = ReadWriteLock(), [], []

    def read(_: int) -> None:
        with lock.reading():
            inside.append("r")
            time.sleep(0.005)
            most.append(len(inside))
            assert "w" not in inside
            inside.pop()

    def write(_: int) -> None:
        with lock.writing():
            assert inside == []
            inside.append("w")
            time.sleep(0.002)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(write if turn % 5 == 0 else read, turn) for turn in range(60)]
        for job in jobs:
            job.result(timeout=30)
    assert max(most) > 1
