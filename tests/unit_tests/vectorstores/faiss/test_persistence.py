"""Saved FaissStores: round trips, newer formats, altered files, full disks, and kills at every step."""

import errno
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from langchain_core.documents import Document

from langchain_gptoss import _io
from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import core, persistence
from tests import ROOT, scale
from tests.unit_tests.vectorstores.store_helpers import (
    EMBEDDING,
    METRICS,
    SIZE,
    WordEmbeddings,
    fill_store,
)

ROLES = ("index", "documents")


def list_names(folder: Path) -> list[str]:
    return sorted(re.sub(r"-[0-9a-f]{16}", "", path.name) for path in folder.iterdir())


def find_part(folder: Path, role: str) -> Path:
    manifest = json.loads((folder / "manifest.json").read_text())
    return folder / manifest["parts"][role]["file"]


def assert_intact(folder: Path) -> None:
    assert list_names(folder) == ["documents.sqlite", "index.faiss", "manifest.json"]
    assert [path.name for path in folder.parent.iterdir() if path != folder] == [f".{folder.name}.lock"]


@pytest.mark.parametrize("name", ["index", "資料 é ß #%?&'", "nested/deeper/store"])
def test_loaded_store_returns_the_same_results(tmp_path, name):
    store = FaissStore(EMBEDDING)
    texts = ["un\u2028deux\r\nthree", "日本語", "lone \ud800 surrogate"]
    metadatas = [{"é": [1, {"n": None}]}, {"page": 2}, {}]
    documents = [Document(id=i, page_content=t, metadata=m) for i, t, m in zip("abc", texts, metadatas, strict=True)]
    store.add_with_vectors(documents, np.eye(SIZE)[:3])
    store.delete(["b"])
    store.save(tmp_path / name)
    loaded = FaissStore.load(tmp_path / name, EMBEDDING)
    assert loaded.similarity_search_with_score("x", 9) == store.similarity_search_with_score("x", 9)
    assert loaded.get_by_ids(["a", "c"]) == store.get_by_ids(["a", "c"])
    assert loaded.similarity_search("x", filter={"é": {"$exists": True}})[0].id == "a"
    loaded.add_texts(["more", "again"], ids=["d", "a"])
    assert len(loaded) == 3
    assert len(FaissStore.load(tmp_path / name, EMBEDDING)) == 2
    loaded.save(str(tmp_path / name))
    assert [d.page_content for d in FaissStore.load(str(tmp_path / name), EMBEDDING).get_by_ids("ad")] == [
        "again",
        "more",
    ]
    assert_intact(tmp_path / name)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["Flat", "SQ8", "IVF8,SQ8", "IVF8,Flat"])
def test_every_kind_is_restored(tmp_path, kind, metric):
    store, _ = fill_store(400, metric=metric, index=kind)
    store.delete([f"d{i}" for i in range(0, 400, 3)])
    store.save(tmp_path / "i")
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    assert loaded.index_info == store.index_info
    assert loaded.index_info.kind == kind
    for filter in (None, {"group": {"$in": [1, 2]}}):
        found = store.similarity_search_with_score("q", 20, filter=filter)
        assert loaded.similarity_search_with_score("q", 20, filter=filter) == found
    loaded.add_texts(["x"], ids=["d1"])
    assert loaded.get_by_ids(["d1"])[0].page_content == "x"


def test_empty_store_can_be_saved(tmp_path):
    FaissStore(EMBEDDING).save(tmp_path / "i")
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    assert len(loaded) == 0
    assert loaded.similarity_search("x", filter={"a": 1}) == []
    assert loaded.add_texts(["a"], ids=["a"]) == ["a"]


def test_unchanged_store_is_not_written_again(tmp_path, monkeypatch):
    store, _ = fill_store(5)
    store.save(tmp_path / "i")
    monkeypatch.setattr(core, "save_store", lambda *_: pytest.fail("was written again"))
    store.save(tmp_path / "i")
    monkeypatch.undo()
    store.save(tmp_path / "copy")
    find_part(tmp_path / "copy", "index").unlink()
    store.save(tmp_path / "copy")
    store.delete(["d1"])
    store.save(tmp_path / "copy")
    assert len(FaissStore.load(tmp_path / "copy", EMBEDDING)) == 4
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


def test_save_follows_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    fill_store(3)[0].save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(FaissStore.load(tmp_path / "real", EMBEDDING)) == 3


def test_save_rejects_a_folder_with_other_files(tmp_path):
    (tmp_path / "thesis.md").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"thesis\.md"):
        fill_store(3)[0].save(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.md"]


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("harm", ["altered", "truncated", "longer", "empty"])
def test_altered_parts_are_rejected_before_they_are_read(tmp_path, role, harm, monkeypatch):
    fill_store(5)[0].save(tmp_path / "i")
    path = find_part(tmp_path / "i", role)
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    intact = path.read_bytes()
    path.write_bytes({"altered": data, "truncated": intact[:-1], "longer": intact + b"x", "empty": b""}[harm])
    monkeypatch.setattr(core.StoreCore, "restore", lambda *_: pytest.fail("was opened"))
    with pytest.raises(IndexStoreError, match=rf"{path.name} is not what was saved.*Build the index again"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


@pytest.mark.parametrize("role", ROLES)
def test_missing_part_is_named(tmp_path, role):
    fill_store(5)[0].save(tmp_path / "i")
    path = find_part(tmp_path / "i", role)
    path.unlink()
    with pytest.raises(IndexStoreError, match=f"{path.name} is missing"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


def test_loading_a_missing_store_creates_no_files(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "no/where", "file", "empty"):
        with pytest.raises(IndexStoreError, match="There is no saved index"):
            FaissStore.load(tmp_path / place, EMBEDDING)
    assert not (tmp_path / ".nowhere.lock").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2, .*Upgrade langchain-gptoss"),
        ({"format": "1"}, "not a manifest"),
        ({"metric": "dot"}, "metric is 'dot'"),
        ({"metric": "l2"}, "not the one its manifest describes"),
        ({"parts": {}}, "not a manifest"),
        ({"parts": [1]}, "not a manifest"),
        ({"parts": {"index": {"file": "/etc/passwd", "sha256": "0" * 64}}}, "not a manifest"),
        ({"index": {"kind": "SQ8", "asked": None, "trained_on": 5}}, "not the one its manifest describes"),
        ({"index": {"kind": "IVF8,SQ8", "asked": None, "trained_on": 5}}, "not the one its manifest describes"),
        ({"index": {"kind": "HNSW", "asked": None, "trained_on": 5}}, "index is 'HNSW'"),
        ({"index": None}, "damaged"),
        ({"count": 99}, "do not belong together"),
        ({"dimension": 5}, "not the one its manifest describes"),
        ({"dimension": None}, "do not belong together"),
    ],
)
def test_manifest_that_does_not_match_the_parts_is_rejected(tmp_path, change, message):
    fill_store(5)[0].save(tmp_path / "i")
    path = tmp_path / "i" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IndexStoreError, match=message):
        FaissStore.load(tmp_path / "i", EMBEDDING)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "\xff", "[" * 100_000])
def test_damaged_manifest_is_rejected_and_replaced(tmp_path, text):
    fill_store(5)[0].save(tmp_path / "i")
    (tmp_path / "i" / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(IndexStoreError, match="damaged"):
        FaissStore.load(tmp_path / "i", EMBEDDING)
    fill_store(6)[0].save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 6
    assert_intact(tmp_path / "i")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("data", [b"nonsense", b"", b"IxMp" + b"\xff" * 64, b"SQLite format 3\0" + b"\xff" * 900])
def test_invalid_parts_with_a_correct_hash_are_rejected(tmp_path, role, data):
    fill_store(5)[0].save(tmp_path / "i")
    digest = hashlib.sha256(data).hexdigest()
    name = f"{role}-{digest[:16]}{persistence.SUFFIXES[role]}"
    (tmp_path / "i" / name).write_bytes(data)
    path = tmp_path / "i" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["parts"][role] = {"file": name, "bytes": len(data), "sha256": digest}
    path.write_text(json.dumps(manifest))
    with pytest.raises(IndexStoreError, match="damaged"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


def test_another_embedding_model_is_rejected(tmp_path):
    FaissStore.from_texts(["a"], WordEmbeddings("one")).save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", WordEmbeddings("one"))) == 1
    with pytest.raises(IndexStoreError, match="made with the embedding model one, and two was given"):
        FaissStore.load(tmp_path / "i", WordEmbeddings("two"))
    with pytest.raises(IndexStoreError, match="8 dimensions, and the embedding model makes 9"):
        FaissStore.load(tmp_path / "i", WordEmbeddings("one", size=9))


def test_store_locked_by_another_process_raises_an_error(tmp_path, monkeypatch):
    store, _ = fill_store(5)
    store.save(tmp_path / "i")
    store.delete(["d1"])
    monkeypatch.setattr(persistence, "LOCK_TIMEOUT_S", 0.1)
    code = "import sys, filelock\nwith filelock.FileLock(sys.argv[1]):\n    print('held', flush=True)\n    sys.stdin.read()"
    command = [sys.executable, "-c", code, str(tmp_path / ".i.lock")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as holder:
        assert holder.stdout.readline() == "held\n"
        with pytest.raises(IndexStoreError, match=r"locked by another process.*Wait"):
            store.save(tmp_path / "i")
        with pytest.raises(IndexStoreError, match=r"locked by another process.*Wait"):
            FaissStore.load(tmp_path / "i", EMBEDDING)
        holder.stdin.close()
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("name", ["index.faiss.new", "documents.sqlite.new", ".partial-manifest.json"])
def test_failed_write_keeps_the_old_store(tmp_path, monkeypatch, name, number):
    fill_store(5)[0].save(tmp_path / "i")
    original = _io.sync_to_disk

    def fail_or_sync(path: Path) -> None:
        if path.name.startswith(name):
            raise OSError(number, os.strerror(number), str(path))
        original(path)

    for module in (_io, persistence):
        monkeypatch.setattr(module, "sync_to_disk", fail_or_sync)
    store, _ = fill_store(9)
    with pytest.raises(StorageError, match="disk is full" if number == errno.ENOSPC else "Permission denied"):
        store.save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5
    monkeypatch.undo()
    store.save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 9
    assert_intact(tmp_path / "i")


def test_store_in_a_read_only_place_can_be_loaded(tmp_path, monkeypatch):
    fill_store(5)[0].save(tmp_path / "i")

    def fail(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(persistence, "lock_path", fail)
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


def test_savers_and_loaders_do_not_disturb_each_other(tmp_path):
    stores = [fill_store(count)[0] for count in (3, 5, 8)]
    stores[0].save(tmp_path / "i")

    def save_and_load(turn: int) -> int:
        if turn % 2:
            stores[turn % 3].save(tmp_path / "i")
        return len(FaissStore.load(tmp_path / "i", EMBEDDING))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(save_and_load, range(scale(240)))) <= {3, 5, 8}
    assert_intact(tmp_path / "i")


CRASH = """
import os, signal, sys
from pathlib import Path
from tests.unit_tests.vectorstores.store_helpers import fill_store

store, _ = fill_store(9, index="SQ8")

def save_and_crash(step, folder):
    calls = iter(range(1, 1000))
    def crash_at_step(function):
        def crash_or_call(*args, **kwargs):
            if next(calls) == step:
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*args, **kwargs)
        return crash_or_call
    for name in ("fsync", "replace", "mkdir", "unlink"):
        setattr(os, name, crash_at_step(getattr(os, name)))
    store.save(folder)
    os._exit(0)

for step, folder in enumerate(sys.argv[1:], 1):
    child = os.fork()
    if not child:
        save_and_crash(step, folder)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
"""


def run_python(code: str, *arguments: str) -> str:
    command = [sys.executable, "-W", "ignore", "-c", code, *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120, env=environment)
    return done.stdout


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("is_new", [False, True])
def test_kill_at_any_step_leaves_the_old_store_or_the_new_one(tmp_path, is_new):
    places = [tmp_path / str(step) / "i" for step in range(1, 17)]
    for place in places:
        if is_new:
            place.parent.mkdir()
        else:
            fill_store(5)[0].save(place)
    codes = run_python(CRASH, *map(str, places)).split()
    steps = codes.index("0")
    assert codes == ["-9"] * steps + ["0"] * (len(places) - steps)
    assert steps >= 9  # three files synced and renamed, the folders synced, two old parts removed
    counts = [len(FaissStore.load(place, EMBEDDING)) if place.exists() else 5 for place in places]
    assert counts == sorted(counts)
    assert set(counts) == {5, 9}
    for place in places:
        fill_store(7)[0].save(place)
        assert len(FaissStore.load(place, EMBEDDING)) == 7
        assert_intact(place)


SAVE_FOREVER = """
import sys
from tests.unit_tests.vectorstores.store_helpers import fill_store
stores = [fill_store(count)[0] for count in (5, 2000)]
while True:
    for store in stores:
        store.save(sys.argv[1])
        store.delete(["nothing"])
        store.add_texts(["x"], ids=["d0"])
        print(len(store), flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_kill_at_random_moments_loses_nothing(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", SAVE_FOREVER, str(tmp_path / "i")]
    for turn in range(scale(20, minimum=2)):
        with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as child:
            child.stdout.readline()
            time.sleep(0.013 * turn)
            child.kill()
        assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) in {5, 2000}
    with FileLock(tmp_path / ".i.lock", timeout=1):
        pass
    fill_store(7)[0].save(tmp_path / "i")
    assert_intact(tmp_path / "i")
