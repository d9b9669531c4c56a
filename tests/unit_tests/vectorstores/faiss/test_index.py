"""The FAISS index of FaissStore: its kind, its results compared with brute force, growth, concurrent reads."""

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import core, index_kinds
from langchain_gptoss.vectorstores.faiss import index as index_module
from langchain_gptoss.vectorstores.faiss.index import VectorIndex
from langchain_gptoss.vectorstores.faiss.index_kinds import Kind, choose_kind
from langchain_gptoss.vectorstores.faiss.read_write_lock import ReadWriteLock
from tests.unit_tests.vectorstores.store_helpers import (
    EMBEDDING,
    METRICS,
    SIZE,
    WordEmbeddings,
    assert_same_results,
    compute_overlap,
    fill_store,
    search_by_brute_force,
)


@pytest.mark.parametrize(
    ("count", "requested", "expected", "reason"),
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
def test_kind_is_chosen_by_size_with_a_reason(count, requested, expected, reason):
    kind, full_reason = choose_kind(count, requested and Kind.parse(requested))
    assert str(kind) == expected
    assert reason in full_reason


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["Flat", "SQ8", "IVF16,Flat", "IVF16,SQ8"])
def test_every_kind_agrees_with_brute_force(kind, metric):
    store, vectors = fill_store(800, metric=metric, index=kind)
    assert store.index_info.kind == kind
    random = np.random.default_rng(1)
    for step in range(3):
        gone = [f"d{i}" for i in random.choice(800, 60, replace=False)]
        store.delete(gone)
        vectors = {id_: vector for id_, vector in vectors.items() if id_ not in gone}
        changed = [*sorted(vectors)[step::9], f"new{step}"]
        fresh = random.normal(size=(len(changed), SIZE))
        store.add_with_vectors([Document(id=i, page_content=i, metadata={"group": int(i[-1])}) for i in changed], fresh)
        vectors |= dict(zip(changed, fresh, strict=True))
    groups = {d.id: d.metadata["group"] for d in store.get_by_ids(list(vectors))}
    inside = {id_: vector for id_, vector in vectors.items() if groups[id_] in (1, 2)}
    assert len(store) == len(vectors)
    for text in "abcd":
        query = EMBEDDING.embed_query(text)
        for filter, candidates in ((None, vectors), ({"group": {"$in": [1, 2]}}, inside)):
            found = store.similarity_search_with_score(text, 20, filter=filter)
            expected = search_by_brute_force(candidates, query, 20, metric)
            scores = [score for _, score in found]
            assert scores == sorted(scores, reverse=metric != "l2")
            if kind.endswith("Flat"):
                assert_same_results(found, expected)
            else:
                assert compute_overlap(found, expected) >= 0.85
                assert scores == pytest.approx([score for _, score in expected], abs=0.1, rel=0.05)
    assert len(store.similarity_search("a", 5000)) == len(vectors)
    assert len(store.similarity_search("a", 5000, filter={"group": {"$in": [1, 2]}})) == len(inside)
    assert len(store.max_marginal_relevance_search("a", 5, filter={"group": 1})) == 5


@pytest.fixture
def small_limits(monkeypatch):
    monkeypatch.setattr(index_kinds, "MAX_EXACT_VECTORS", 20)
    monkeypatch.setattr(index_kinds, "MAX_SCANNED_VECTORS", 600)
    monkeypatch.setattr(index_kinds, "MIN_TRAINING_VECTORS_SQ8", 100)
    monkeypatch.setattr(index_kinds, "MIN_TRAINING_VECTORS_PER_LIST", 4)
    monkeypatch.setattr(index_module, "MIN_DISTANCES", 700)


@pytest.mark.filterwarnings("ignore")
def test_growing_store_changes_its_kind_and_shrinking_store_keeps_it(small_limits):
    random = np.random.default_rng(0)
    store, vectors, seen = FaissStore(EMBEDDING), {}, []
    for start in range(0, 2800, 100):
        fresh = random.normal(size=(100, SIZE))
        ids = [f"d{i}" for i in range(start, start + 100)]
        documents = [Document(id=i, page_content=i, metadata={"even": int(i[1:]) % 2 == 0}) for i in ids]
        store.add_with_vectors(documents, fresh)
        vectors |= dict(zip(ids, fresh, strict=True))
        info = store.index_info
        seen.append((info.kind, info.trained_on))
        assert info.count == start + 100
        assert info.trained_on == 0 or info.count <= 4 * info.trained_on
        query = EMBEDDING.embed_query("q")
        found = store.similarity_search_with_score("q", 10)
        assert compute_overlap(found, search_by_brute_force(vectors, query, 10)) >= 0.7
    assert list(dict.fromkeys(seen)) == [("SQ8", 100), ("SQ8", 500), ("IVF128,SQ8", 700)]
    assert "reads the nearest lists" in store.index_info.why or "kept until" in store.index_info.why
    store.delete([f"d{i}" for i in range(50, 2800)])
    assert store.index_info.kind == "IVF128,SQ8"
    assert "kept until it has grown" in store.index_info.why
    rest = {id_: vectors[id_] for id_ in list(vectors)[:50]}
    assert compute_overlap(store.similarity_search_with_score("q", 10), search_by_brute_force(rest, query, 10)) >= 0.8
    assert len(store.similarity_search("q", 99, filter={"even": True})) == 25


def test_few_matches_are_found_in_the_farthest_lists(small_limits):
    store, _ = fill_store(2000, index="IVF64,SQ8")
    store.add_texts([f"rare {i}" for i in range(5)], [{"rare": True}] * 5)
    assert len(store.similarity_search("q", 5, filter={"rare": True})) == 5
    assert len(store.similarity_search("q", 2005)) == 2005


def test_vectors_survive_a_change_of_kind(tmp_path):
    store, vectors = fill_store(600, index="IVF8,SQ8", metric="l2")
    store.save(tmp_path / "i")
    for kind in ("Flat", "SQ8", "IVF4,Flat", "IVF8,SQ8"):
        loaded = FaissStore.load(tmp_path / "i", EMBEDDING, index=kind)
        loaded.add_texts(["x"], ids=["x"])
        assert loaded.index_info.kind == kind
        found = [hit for hit in loaded.similarity_search_with_score("q", 20) if hit[0].id != "x"]
        expected = search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 19, "l2")
        assert compute_overlap(found, expected) >= 0.85


def test_replaced_batch_is_never_seen_twice_or_missing(monkeypatch):
    monkeypatch.setattr(core, "PIECE_VECTORS", 10)
    store, _ = fill_store(200)
    ids = [f"d{i}" for i in range(200)]
    seen, done = [], threading.Event()

    def read() -> None:
        while not done.is_set():
            found = [document.id for document in store.similarity_search("q", 500)]
            seen.append((len(found), len(set(found))))

    with ThreadPoolExecutor(3) as pool:
        readers = [pool.submit(read) for _ in range(3)]
        for turn in range(5):
            store.add_with_vectors(
                [Document(id=i, page_content=f"turn {turn}") for i in ids],
                np.random.default_rng(turn).normal(size=(200, SIZE)),
            )
        done.set()
        for reader in readers:
            reader.result()
    assert set(seen) == {(200, 200)}
    assert {d.page_content for d in store.similarity_search("q", 500)} == {"turn 4"}


@pytest.mark.parametrize("slow", ["assign_lists", "convert_index", "write"])
def test_readers_do_not_wait_for_a_long_write(slow, monkeypatch, tmp_path):
    store, _ = fill_store(300, index="SQ8")
    owner = core if slow == "convert_index" else VectorIndex
    original, began, release = getattr(owner, slow), threading.Event(), threading.Event()

    def wait_and_call(*arguments):
        began.set()
        assert release.wait(30)
        return original(*arguments)

    monkeypatch.setattr(owner, slow, wait_and_call)
    with ThreadPoolExecutor(2) as pool:
        if slow == "write":
            write = pool.submit(store.save, tmp_path / "i")
        else:
            documents = [Document(page_content="new")] * 1000
            write = pool.submit(store.add_with_vectors, documents, np.random.default_rng(5).normal(size=(1000, SIZE)))
        assert began.wait(30)
        other = pool.submit(store.similarity_search, "q", 400)
        assert len(other.result(timeout=30)) == 300
        assert len(store.similarity_search("q", 400, filter={"group": 1})) == 43
        assert len(store.get_by_ids(["d1"])) == 1
        release.set()
        write.result(timeout=30)


def test_failed_write_leaves_the_store_unchanged(monkeypatch):
    store, _ = fill_store(300)
    before = store.similarity_search_with_score("q", 400)

    def fail(*_):
        raise MemoryError("no more memory")

    monkeypatch.setattr(VectorIndex, "assign_lists", fail)
    with pytest.raises(MemoryError, match="no more memory"):
        store.add_texts(["a", "b"], ids=["d1", "new"])
    monkeypatch.undo()
    assert store.similarity_search_with_score("q", 400) == before
    assert store.get_by_ids(["new"]) == []
    assert store.add_texts(["a"], [{"group": 1}], ids=["new"]) == ["new"]
    assert len(store.similarity_search("q", 400, filter={"group": 1})) == 44


class WaitingEmbeddings(WordEmbeddings):
    """Blocks the thread that calls it until the event loop releases it."""

    def __init__(self) -> None:
        super().__init__("waiting")
        self.release = threading.Event()

    def embed_query(self, text):
        assert self.release.wait(30)
        return super().embed_query(text)


async def test_async_search_does_not_block_the_loop():
    model = WaitingEmbeddings()
    model.release.set()
    store = FaissStore.from_texts(["a", "b"], model)
    model.release.clear()
    task = asyncio.gather(*(store.asimilarity_search("a") for _ in range(4)), store.aadd_texts(["c", "d"]))
    for _ in range(5):
        await asyncio.sleep(0.01)
    model.release.set()  # by the event loop, which would be stuck if the searches blocked it
    await task
    assert len(store) == 4


def test_lock_is_shared_by_readers_and_exclusive_for_writers():
    lock, inside, together = ReadWriteLock(), [], threading.Barrier(2)

    def read(_: int) -> None:
        with lock.lock_reading():
            inside.append("r")
            time.sleep(0.005)
            assert "w" not in inside
            inside.pop()

    def read_together() -> None:
        with lock.lock_reading():
            together.wait(30)

    def write(_: int) -> None:
        with lock.lock_writing():
            assert inside == []
            inside.append("w")
            time.sleep(0.002)
            inside.pop()

    with ThreadPoolExecutor(8) as pool:
        jobs = [pool.submit(write if turn % 5 == 0 else read, turn) for turn in range(60)]
        for job in jobs:
            job.result(timeout=30)
        for job in [pool.submit(read_together) for _ in range(2)]:
            job.result(timeout=30)
