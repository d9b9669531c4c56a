"""Inverted lists in a file, compared with a store in memory and with brute force, and the choice between the two."""

import errno
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import faiss
import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import disk_lists, index_factory, index_kinds
from langchain_gptoss.vectorstores.faiss import index as index_module
from langchain_gptoss.vectorstores.faiss.disk_lists import DiskIndex, choose_scratch_folder
from langchain_gptoss.vectorstores.faiss.index_kinds import Kind
from tests import ROOT
from tests.unit_tests.vectorstores.store_helpers import (
    EMBEDDING,
    METRICS,
    SIZE,
    assert_same_results,
    compute_overlap,
    fill_store,
    search_by_brute_force,
)

pytestmark = pytest.mark.skipif(not index_kinds.can_map_lists(), reason="FAISS cannot map files on this system")

FILTERS = (None, {"group": {"$in": [1, 2]}}, {"group": 3})


@pytest.fixture
def small_memory_limit(monkeypatch):
    """Allow hardly any vectors in memory beside the file."""
    monkeypatch.setattr(disk_lists, "MIN_ADDED_BYTES", 40 * (SIZE + 8))
    monkeypatch.setattr(disk_lists, "ADDED_MEMORY_SHARE", 0)


@pytest.fixture
def small_machine(monkeypatch):
    """Lower the limits, so that some thousand vectors are a large store; return a function that sets the free memory."""
    limits = {
        "MAX_EXACT_VECTORS": 100,
        "MAX_SCANNED_VECTORS": 1000,
        "MIN_TRAINING_VECTORS_SQ8": 100,
        "MIN_TRAINING_VECTORS_PER_LIST": 40,
        "MIN_DISK_BYTES": 1000,
    }
    for name, value in limits.items():
        monkeypatch.setattr(index_kinds, name, value)
    monkeypatch.setattr(index_module, "MEMORY_CHECK_INTERVAL", 100)

    def set_free_memory(size_bytes: int) -> None:
        monkeypatch.setattr(index_kinds.operating_system, "read_memory", lambda: (2 * size_bytes, size_bytes))

    return set_free_memory


def get_index(store: FaissStore):
    return store._core._index


def get_file_lists(store: FaissStore):
    """Return the inverted lists in the file."""
    return faiss.downcast_InvertedLists(get_index(store)._base._index.invlists)


def change_stores(stores: list[FaissStore], vectors: dict, step: int) -> dict:
    """Delete, replace and add the same documents in several stores, and return the vectors afterwards."""
    random = np.random.default_rng(step)
    gone = [f"d{i}" for i in random.choice(800, 60, replace=False)]
    vectors = {id_: vector for id_, vector in vectors.items() if id_ not in gone}
    changed = [*sorted(vectors)[step::9], f"new{step}"]
    fresh = random.normal(size=(len(changed), SIZE))
    documents = [Document(id=i, page_content=f"{i} {step}", metadata={"group": int(i[-1])}) for i in changed]
    for store in stores:
        store.delete(gone)
        store.add_with_vectors(documents, fresh)
    return vectors | dict(zip(changed, fresh, strict=True))


def assert_same_searches(store: FaissStore, other: FaissStore) -> None:
    assert len(store) == len(other)
    for text in "ab":
        for filter in FILTERS:
            found = other.similarity_search_with_score(text, 20, filter=filter)
            assert_same_results(
                store.similarity_search_with_score(text, 20, filter=filter), [(d.id, s) for d, s in found]
            )
            diverse = [s.max_marginal_relevance_search(text, 5, 30, filter=filter) for s in (store, other)]
            assert diverse[0] == diverse[1]
    assert len(store.similarity_search("a", 5000)) == len(store)
    ids = [f"d{i}" for i in range(0, 800, 8)]
    assert store.get_by_ids(ids) == other.get_by_ids(ids)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("codec", ["SQ8", "Flat"])
def test_lists_in_a_file_and_in_memory_return_the_same(tmp_path, codec, metric, small_memory_limit):
    kind = f"IVF16,{codec},disk"
    store, vectors = fill_store(800, metric=metric, index=kind)
    memory, _ = fill_store(800, metric=metric, index=kind.removesuffix(",disk"))
    assert store.index_info.kind == kind
    assert store.index_info.why == "asked for; the lists stay in a file"
    for step in range(4):
        assert_same_searches(store, memory)
        if codec == "Flat":
            found = store.similarity_search_with_score("q", 20)
            assert_same_results(found, search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 20, metric))
        vectors = change_stores([store, memory], vectors, step)
        store.save(tmp_path / "i")
        if step % 2:
            store = FaissStore.load(tmp_path / "i", EMBEDDING)
            assert store.index_info.kind == kind
            assert get_index(store).added_count == 0
    assert isinstance(get_file_lists(store), faiss.OnDiskInvertedLists)
    assert get_file_lists(store).read_only
    assert_same_searches(store, memory)
    assert_same_searches(FaissStore.load(tmp_path / "i", EMBEDDING, index=f"IVF16,{codec}"), memory)


def test_vectors_in_memory_beside_the_file_are_searched_and_limited(small_memory_limit):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    for turn in range(50):
        store.add_with_vectors(
            [Document(page_content=str(turn), metadata={"turn": turn}) for _ in range(10)],
            np.random.default_rng(turn).normal(size=(10, SIZE)),
        )
        assert len(store.similarity_search("q", 20, filter={"turn": turn})) == 10
        if turn:
            assert get_index(store).added_count <= 50
    assert len(store) == 1300
    assert get_index(store).file_count > 1200
    store.delete([document.id for document in store.similarity_search("q", 1000)])
    assert len(store.similarity_search("q", 1300)) == 300
    store.add_texts(["x"])
    assert get_index(store).file_count == 300  # most vectors of the file were deleted
    assert len(store.similarity_search("q", 1300)) == 301
    store.delete()
    assert store.similarity_search("q") == []


def test_saved_file_does_not_depend_on_where_the_lists_were(tmp_path):
    for name, kind in (("memory", "IVF16,SQ8"), ("disk", "IVF16,SQ8,disk")):
        fill_store(800, index=kind)[0].save(tmp_path / name)
    loaded = FaissStore.load(tmp_path / "disk", EMBEDDING)
    loaded.add_texts(["x"], ids=["x"])
    loaded.delete(["x"])
    loaded.save(tmp_path / "again")
    files = [next((tmp_path / name).glob("*.faiss")) for name in ("memory", "disk", "again")]
    assert len({path.name for path in files}) == 1
    assert [hashlib.sha256(path.read_bytes()).hexdigest()[:16] == path.stem[-16:] for path in files] == [True] * 3
    for name in ("memory", "disk"):
        assert json.loads((tmp_path / name / "manifest.json").read_text())["index"]["kind"] == "IVF16,SQ8"


@pytest.mark.parametrize("free", [0, 40_000, 10_000_000])
def test_free_memory_decides_where_the_lists_are(tmp_path, free, small_machine):
    small_machine(10_000_000)
    store, _ = fill_store(2000)
    info = store.index_info
    assert info.kind == "IVF32,SQ8"
    store.save(tmp_path / "i")
    small_machine(free)  # the lists take 32,000 bytes; 0 free bytes means that the system reports none
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    if free == 40_000:
        assert loaded.index_info.kind == "IVF32,SQ8,disk"
        assert loaded.index_info.why.endswith("are more than half of the memory that was free")
    else:
        assert loaded.index_info == info
    assert_same_searches(loaded, store)
    asked = FaissStore.load(tmp_path / "i", EMBEDDING, index="IVF32,SQ8,disk" if free else "IVF32,SQ8")
    assert asked.index_info.kind == ("IVF32,SQ8,disk" if free else "IVF32,SQ8")
    assert_same_searches(asked, store)


@pytest.mark.filterwarnings("ignore")
def test_growing_store_moves_to_a_file_and_stays_there(monkeypatch, small_machine, small_memory_limit):
    random = np.random.default_rng(0)
    store, vectors, seen = FaissStore(EMBEDDING), {}, []
    for name, value in (("MIN_TRAINING_VECTORS_PER_LIST", 10), ("MAX_SCANNED_VECTORS", 250)):
        monkeypatch.setattr(index_kinds, name, value)
    for start in range(0, 3000, 125):
        small_machine(100_000_000 if start < 625 or start > 1500 else 12_500)
        ids, fresh = [f"d{i}" for i in range(start, start + 125)], random.normal(size=(125, SIZE))
        store.add_with_vectors([Document(id=i, page_content=i, metadata={"group": int(i[1:]) % 7}) for i in ids], fresh)
        vectors |= dict(zip(ids, fresh, strict=True))
        seen.append((store.index_info.kind, store.index_info.trained_on))
        expected = search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 10)
        assert compute_overlap(store.similarity_search_with_score("q", 10), expected) >= 0.7
    kinds = list(dict.fromkeys(seen))
    assert [kind for kind, _ in kinds] == ["SQ8", "IVF32,SQ8", "IVF32,SQ8,disk", "IVF128,SQ8,disk"]
    assert kinds[1][1] == kinds[2][1]  # the lists were moved, not made again
    assert len(store.similarity_search("q", 20_000)) == 3000
    assert len(store.similarity_search("q", 20_000, filter={"group": 6})) == 428
    assert kinds[3][1] > 4 * kinds[2][1]


def test_first_vectors_of_a_large_store_go_to_a_file(small_machine):
    small_machine(50_000)
    store, vectors = fill_store(3000)
    assert store.index_info.kind == "IVF64,SQ8,disk"
    assert (
        compute_overlap(
            store.similarity_search_with_score("q", 10), search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 10)
        )
        > 0.7
    )


@pytest.mark.parametrize("name", ["資料 é ß #%?&'", "nested/deeper/store"])
def test_mapped_file_may_have_any_name_and_be_deleted(tmp_path, name):
    store, vectors = fill_store(800, index="IVF16,Flat,disk")
    store.save(tmp_path / name)
    loaded = FaissStore.load(tmp_path / name, EMBEDDING)
    assert isinstance(get_file_lists(loaded), faiss.OnDiskInvertedLists)
    fill_store(5)[0].save(tmp_path / name)  # as another process would
    assert len(list((tmp_path / name).glob("*.faiss"))) == 1
    expected = search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 20)
    assert_same_results(loaded.similarity_search_with_score("q", 20), expected)
    loaded.add_texts(["x"], ids=["x"])
    loaded.save(tmp_path / name)
    assert len(FaissStore.load(tmp_path / name, EMBEDDING)) == 801


def test_file_is_verified_before_it_is_mapped(tmp_path, monkeypatch):
    fill_store(800, index="IVF16,SQ8,disk")[0].save(tmp_path / "i")
    path = next((tmp_path / "i").glob("*.faiss"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    monkeypatch.setattr(index_factory, "map_index", lambda *_: pytest.fail("was mapped"))
    with pytest.raises(IndexStoreError, match=r"faiss is not what was saved.*SHA-256 differs"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


@pytest.mark.parametrize("harm", ["truncated", "cut down", "a key twice", "nonsense", "another kind"])
def test_invalid_file_with_a_correct_hash_is_rejected(tmp_path, harm):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    store.save(tmp_path / "i")
    path = next((tmp_path / "i").glob("*.faiss"))
    usual = path.read_bytes()
    other = faiss.serialize_index(faiss.index_factory(SIZE, "IVF16,Flat")).tobytes()
    data = {
        "truncated": usual[:-8],
        "cut down": usual[:-8000],
        "a key twice": usual[:-8] + usual[-16:-8],
        "nonsense": b"IwSq" + b"\xff" * 64,
        "another kind": other,
    }[harm]
    digest = hashlib.sha256(data).hexdigest()
    path.unlink()
    name = f"index-{digest[:16]}.faiss"
    (tmp_path / "i" / name).write_bytes(data)
    manifest = json.loads((tmp_path / "i" / "manifest.json").read_text())
    manifest["parts"]["index"] = {"file": name, "bytes": len(data), "sha256": digest}
    (tmp_path / "i" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(IndexStoreError, match="damaged"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


def test_lists_are_in_memory_with_a_reason_if_files_cannot_be_mapped(tmp_path, monkeypatch):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    store.save(tmp_path / "i")

    def refuse(*_):
        raise RuntimeError("mmap failed: no such device")

    monkeypatch.setattr(index_factory, "map_index", refuse)
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    assert loaded.index_info.kind == "IVF16,SQ8"
    assert "the lists are in memory: index-" in loaded.index_info.why
    assert "no such device" in loaded.index_info.why
    assert_same_searches(loaded, store)
    monkeypatch.undo()
    for module in (index_module, index_factory):
        monkeypatch.setattr(module, "can_map_lists", lambda: False)
    for there in (FaissStore.load(tmp_path / "i", EMBEDDING), fill_store(800, index="IVF16,SQ8,disk")[0]):
        assert there.index_info.kind == "IVF16,SQ8"
        assert (
            there.index_info.why
            == "asked for; the lists are in memory: FAISS cannot leave them in a file on this system"
        )
        there.add_texts(["x"], ids=["x"])
        there.delete(["x"])
        assert_same_searches(there, store)


def test_full_disk_leaves_the_store_unchanged(monkeypatch, small_memory_limit):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    before = store.similarity_search_with_score("q", 900)

    def fail(**_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(disk_lists.tempfile, "TemporaryFile", fail)
    with pytest.raises(StorageError, match=r"temporary file in .*No space left.*SQLITE_TMPDIR"):
        store.add_texts(["x"] * 50, ids=["new", *["d1"] * 49])
    assert store.similarity_search_with_score("q", 900) == before
    monkeypatch.undo()
    store.add_texts(["x"], ids=["new"])
    assert len(store.similarity_search("q", 900)) == 801


def test_temporary_files_are_nameless_and_in_the_folder_of_sqlite(tmp_path, monkeypatch, small_memory_limit):
    for name in ("sqlite", "usual"):
        (tmp_path / name).mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "usual"))
    assert choose_scratch_folder() == str(tmp_path / "usual")
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "sqlite"))
    assert choose_scratch_folder() == str(tmp_path / "sqlite")
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    store.add_texts(["x"])
    assert get_index(store).file_count == 800
    assert list(tmp_path.rglob("*")) == [tmp_path / "sqlite", tmp_path / "usual"]  # so nothing is left by a crash
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path / "missing"))
    assert choose_scratch_folder() == str(tmp_path / "usual")


def test_searches_continue_while_the_file_is_rewritten(monkeypatch, small_memory_limit):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    original, began, release = DiskIndex.copy_from, threading.Event(), threading.Event()

    def wait_and_call(index):
        began.set()
        assert release.wait(30)
        return original(index)

    monkeypatch.setattr(DiskIndex, "copy_from", wait_and_call)
    with ThreadPoolExecutor(2) as pool:
        write = pool.submit(store.add_texts, ["new"], [{"group": 1}], ids=["d1"])
        assert began.wait(30)
        assert len(pool.submit(store.similarity_search, "q", 900).result(timeout=30)) == 800
        assert store.get_by_ids(["d1"])[0].page_content == "text 1"
        release.set()
        write.result(timeout=30)
    assert store.get_by_ids(["d1"])[0].page_content == "new"
    assert len(store.similarity_search("q", 900)) == 800


def test_replaced_documents_are_never_seen_twice_or_missing(small_memory_limit):
    store, _ = fill_store(400, index="IVF8,SQ8,disk")
    ids, seen, done = [f"d{i}" for i in range(400)], [], threading.Event()

    def read() -> None:
        while not done.is_set():
            found = [document.id for document in store.similarity_search("q", 500)]
            seen.append((len(found), len(set(found))))

    with ThreadPoolExecutor(2) as pool:
        readers = [pool.submit(read) for _ in range(2)]
        for turn in range(5):
            documents = [Document(id=i, page_content=f"turn {turn}") for i in ids]
            store.add_with_vectors(documents, np.random.default_rng(turn).normal(size=(400, SIZE)))
        done.set()
        for reader in readers:
            reader.result(timeout=30)
    assert set(seen) == {(400, 400)}


def test_name_of_a_kind_includes_where_its_lists_are():
    assert str(Kind.parse("IVF8,Flat,disk")) == "IVF8,Flat,disk"
    assert Kind.parse("IVF8,SQ8,disk").in_memory == Kind.parse("IVF8,SQ8")
    for text in ("Flat,disk", "SQ8,disk", "disk", "IVF8,SQ8,", "IVF8,disk", "IVF8,SQ8,disk,disk"):
        with pytest.raises(InvalidInputError, match="also with ',disk'"):
            FaissStore(EMBEDDING, index=text)


def test_few_vectors_are_in_memory_until_lists_can_be_trained(tmp_path: Path):
    store, vectors = fill_store(100, index="IVF8,Flat,disk")
    assert store.index_info.kind == "Flat"
    assert "IVF8,Flat,disk needs 320 vectors" in store.index_info.why
    store.save(tmp_path / "i")
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    more = np.random.default_rng(7).normal(size=(300, SIZE))
    loaded.add_with_vectors([Document(id=f"m{i}", page_content="m") for i in range(300)], more)
    vectors |= {f"m{i}": vector for i, vector in enumerate(more)}
    assert loaded.index_info.kind == "IVF8,Flat,disk"
    assert_same_results(
        loaded.similarity_search_with_score("q", 9), search_by_brute_force(vectors, EMBEDDING.embed_query("q"), 9)
    )


KILL_WHILE_WRITING = """
import os, signal, sys
from langchain_gptoss.vectorstores.faiss import disk_lists
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.vectorstores.store_helpers import EMBEDDING

store = FaissStore.load(sys.argv[1], EMBEDDING)
store.delete(["d1", "d2"])
store.add_texts(["new"], ids=["d3"])
original, left = disk_lists._read_entries, iter(range(20))

def kill_or_read(*arguments):
    if next(left) == 19:
        os.kill(os.getpid(), signal.SIGKILL)
    return original(*arguments)

disk_lists._read_entries = kill_or_read
store.save(sys.argv[1])
"""


def test_kill_while_the_lists_are_written_keeps_the_old_store(tmp_path):
    store, _ = fill_store(800, index="IVF16,SQ8,disk")
    store.save(tmp_path / "i")
    command = [sys.executable, "-W", "ignore", "-c", KILL_WHILE_WRITING, str(tmp_path / "i")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    assert subprocess.run(command, env=environment, timeout=120).returncode == -signal.SIGKILL
    assert [path.name for path in (tmp_path / "i").glob("*.new")] == ["index.faiss.new"]
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    assert_same_searches(loaded, store)
    loaded.delete(["d1"])
    loaded.save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 799
    assert len(list((tmp_path / "i").iterdir())) == 3
