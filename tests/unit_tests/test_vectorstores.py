"""FaissStore: LangChain's standard suite, brute force as the judge, and saved stores that were tampered with."""

import errno
import hashlib
import json
import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings
from langchain_core.indexing import InMemoryRecordManager, index
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from langchain_tests.integration_tests import VectorStoreIntegrationTests

from langchain_gptoss import _faiss_files
from langchain_gptoss.errors import IndexStoreError, InvalidInputError, StorageError
from langchain_gptoss.vectorstores import FaissRetriever, FaissStore

SIZE = 8
EMBEDDING = DeterministicFakeEmbedding(size=SIZE)
FILES = ("index.faiss", "documents.jsonl", "manifest.json")


class Named(Embeddings):
    """Words hashed into a few dimensions, under a model name."""

    def __init__(self, model_name: str, size: int = SIZE) -> None:
        self.model_name, self.size = model_name, size

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * self.size
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % self.size] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


class TestStandard(VectorStoreIntegrationTests):
    @pytest.fixture
    def vectorstore(self):
        return FaissStore(self.get_embeddings())


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def filled(count: int, *, seed: int = 0) -> tuple[FaissStore, dict[str, np.ndarray]]:
    vectors = np.random.default_rng(seed).normal(size=(count, SIZE))
    store = FaissStore(EMBEDDING)
    documents = [Document(id=f"d{i}", page_content=f"text {i}", metadata={"group": i % 7}) for i in range(count)]
    store.add_embedded(documents, vectors)
    return store, {document.id: vector for document, vector in zip(documents, vectors, strict=True)}


def brute_force(vectors: dict[str, np.ndarray], query: list[float], k: int) -> list[tuple[str, float]]:
    target = unit(np.array(query))
    scores = {id_: float(unit(vector) @ target) for id_, vector in vectors.items()}
    return sorted(scores.items(), key=lambda item: -item[1])[:k]


def assert_same(found: list[tuple[Document, float]], expected: list[tuple[str, float]]) -> None:
    assert [document.id for document, _ in found] == [id_ for id_, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-5)


def test_search_equals_brute_force_after_deletes_and_upserts():
    store, vectors = filled(300)
    random = np.random.default_rng(1)
    for step in range(5):
        gone = [f"d{i}" for i in random.choice(300, 20, replace=False)]
        store.delete(gone)
        vectors = {id_: vector for id_, vector in vectors.items() if id_ not in gone}
        changed = [*sorted(vectors)[step::9], f"new{step}"]
        fresh = random.normal(size=(len(changed), SIZE))
        store.add_embedded([Document(id=i, page_content=i, metadata={"group": int(i[-1])}) for i in changed], fresh)
        vectors |= dict(zip(changed, fresh, strict=True))
        assert len(store) == len(vectors)
        for query in ("a", "b", "c"):
            assert_same(
                store.similarity_search_with_score(query, 12),
                brute_force(vectors, EMBEDDING.embed_query(query), 12),
            )


@pytest.mark.parametrize("as_callable", [False, True])
def test_filter_comes_before_the_search(as_callable):
    store, vectors = filled(200)
    inside = {id_: vector for id_, vector in vectors.items() if int(id_[1:]) % 7 == 3}
    where = (lambda metadata: metadata["group"] == 3) if as_callable else {"group": 3}
    found = store.similarity_search_with_score("query", 10, filter=where)
    assert_same(found, brute_force(inside, EMBEDDING.embed_query("query"), 10))
    assert len(store.similarity_search("query", 1000, filter=where)) == len(inside)


def test_filter_on_missing_keys_and_none():
    store = FaissStore.from_texts(["a", "b"], EMBEDDING, [{"x": None}, {}])
    assert [d.page_content for d in store.similarity_search("a", filter={"x": None})] == ["a"]
    assert store.similarity_search("a", filter={"nowhere": 1}) == []
    assert len(store.similarity_search("a", filter={})) == 2


def test_filter_cannot_write_and_must_be_a_filter():
    store, _ = filled(3)
    with pytest.raises(AttributeError, match="mappingproxy"):
        store.similarity_search("a", filter=lambda metadata: metadata.update(group=9))
    with pytest.raises(InvalidInputError, match="filter is a list"):
        store.similarity_search("a", filter=[("group", 1)])
    with pytest.raises(InvalidInputError, match="'fitler'"):
        store.similarity_search("a", fitler={"group": 1})


def test_scores_are_cosines_whatever_the_length():
    store = FaissStore(EMBEDDING)
    base = np.array(EMBEDDING.embed_query("q"))
    store.add_embedded(
        [Document(id=name, page_content=name) for name in ("same", "opposite", "zero")],
        [base * 1e6, base * -1e-6, base * 0],
    )
    found = {document.id: score for document, score in store.similarity_search_with_score("q", 9)}
    assert found == {"same": pytest.approx(1), "zero": 0, "opposite": pytest.approx(-1)}
    assert all(-1 <= score <= 1 for score in found.values())
    relevance = {document.id: score for document, score in store.similarity_search_with_relevance_scores("q", 9)}
    assert relevance == {"same": pytest.approx(1), "zero": 0, "opposite": 0}


def test_relevance_never_passes_one():
    store, vectors = filled(100)
    for vector in vectors.values():
        assert store._search(list(vector), 1, None)[0][1] <= 1.0


def test_max_marginal_relevance_equals_langchains():
    store, vectors = filled(60)
    query = EMBEDDING.embed_query("q")
    nearest = [id_ for id_, _ in brute_force(vectors, query, 20)]
    for weight in (0.0, 0.3, 0.7, 1.0):
        rows = maximal_marginal_relevance(np.array(query), [vectors[id_] for id_ in nearest], weight, k=6)
        found = store.max_marginal_relevance_search("q", 6, 20, weight)
        assert [document.id for document in found] == [nearest[row] for row in rows]
    assert {d.metadata["group"] for d in store.max_marginal_relevance_search("q", 3, filter={"group": 2})} == {2}
    assert FaissStore(EMBEDDING).max_marginal_relevance_search("q") == []
    with pytest.raises(InvalidInputError, match="lambda_mult"):
        store.max_marginal_relevance_search("q", lambda_mult=1.5)


def test_returned_and_given_documents_are_copies():
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


def test_of_one_id_given_twice_the_last_text_and_vector_are_kept():
    store = FaissStore(EMBEDDING)
    documents = [Document(id=id_, page_content=f"{id_}{n}") for n, id_ in enumerate("abac")]
    assert store.add_embedded(documents, np.eye(SIZE)[:4]) == ["a", "b", "a", "c"]
    assert len(store) == 3
    for axis, expected in ((1, "b1"), (2, "a2"), (3, "c3")):
        assert store.similarity_search_by_vector(np.eye(SIZE)[axis].tolist(), 1)[0].page_content == expected


def test_ids():
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
    store.add_embedded([Document(page_content="x")], [[1.0, 2.0, 3.0]])  # emptied, it may take another dimension


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda s: s.similarity_search("a", k=0), "k is 0"),
        (lambda s: s.similarity_search_by_vector([1.0] * SIZE, k=-1), "k is -1"),
        (lambda s: s.max_marginal_relevance_search("a", k=0), "k is 0"),
        (lambda s: s.similarity_search_by_vector([math.nan] * SIZE), "NaN"),
        (lambda s: s.similarity_search_by_vector([1e300] * SIZE), "infinity"),
        (lambda s: s.similarity_search_by_vector([1.0] * 5), "5 dimensions and the store's have 8"),
        (lambda s: s.similarity_search_by_vector([]), "lists of numbers"),
        (lambda s: s.add_texts(["a", "b"], [{}]), "2 texts and 1 metadatas"),
        (lambda s: s.add_texts(["a", "b"], ids=["1"]), "2 texts and 1 ids"),
        (lambda s: s.add_texts(["a"], []), "1 texts and 0 metadatas"),
        (lambda s: s.add_embedded([Document(page_content="a")], []), "1 texts and 0 vectors"),
        (lambda s: s.add_embedded([Document(page_content="a")], [[math.inf] * SIZE]), "infinity"),
        (lambda s: s.add_embedded([Document(page_content="a")], [[1.0] * 3]), "3 dimensions"),
        (
            lambda s: s.add_embedded([Document(page_content="a")] * 2, [[1.0], [1.0, 2.0]]),
            "all of one length",
        ),
        (lambda s: s.add_embedded([Document(page_content="a")], [["x"] * SIZE]), "lists of numbers"),
    ],
)
def test_what_cannot_work_is_refused_and_changes_nothing(call, message):
    store, _ = filled(4)
    before = store.similarity_search_with_score("a", 9)
    with pytest.raises(InvalidInputError, match=message):
        call(store)
    assert store.similarity_search_with_score("a", 9) == before


def test_retriever_carries_the_cosine_and_the_store_does_not():
    store, _ = filled(30)
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
def test_retriever_returns_eight_unless_told_otherwise(options):
    store, _ = filled(30)
    assert len(store.as_retriever(**options).invoke("q")) == 8
    chosen = store.as_retriever(search_kwargs={"filter": {"group": 1}})
    assert chosen.search_kwargs == {"k": 8, "filter": {"group": 1}}


async def test_retriever_with_threshold_sync_and_async():
    store, _ = filled(50)
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


def test_langchains_indexing_api_keeps_the_store_in_step():
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


def test_threads_may_add_delete_and_search_at_once():
    store, _ = filled(50)

    def work(thread: int) -> None:
        for turn in range(20):
            ids = [f"t{thread}-{turn}-{i}" for i in range(5)]
            store.add_texts(ids, [{"thread": thread}] * 5, ids=ids)
            found = store.similarity_search(ids[0], 5, filter={"thread": thread})
            assert ids[0] in [document.id for document in found]
            store.delete(ids[:3])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    assert len(store) == 50 + 8 * 20 * 2
    assert store._index.ntotal == len(store)


@pytest.mark.parametrize("name", ["index", "資料 é ß", "nested/deeper/store"])
def test_save_and_load(tmp_path, name):
    store = FaissStore(EMBEDDING)
    texts = ["un\u2028deux\r\nthree", "日本語", "lone \ud800 surrogate"]
    metadatas = [{"é": [1, {"n": None}]}, {"page": 2}, {}]
    documents = [Document(id=i, page_content=t, metadata=m) for i, t, m in zip("abc", texts, metadatas, strict=True)]
    store.add_embedded(documents, np.eye(SIZE)[:3])
    store.delete(["b"])
    store.save(tmp_path / name)
    loaded = FaissStore.load(tmp_path / name, EMBEDDING)
    assert loaded.similarity_search_with_score("x", 9) == store.similarity_search_with_score("x", 9)
    assert loaded.get_by_ids(["a", "c"]) == store.get_by_ids(["a", "c"])
    loaded.add_texts(["more"], ids=["d"])
    assert len(loaded) == 3
    loaded.save(str(tmp_path / name))
    assert len(FaissStore.load(str(tmp_path / name), EMBEDDING)) == 3
    assert sorted(path.name for path in (tmp_path / name).iterdir()) == sorted(FILES)
    assert len(list((tmp_path / name).parent.iterdir())) == 2  # the store and its lock


def test_an_empty_store_can_be_saved(tmp_path):
    FaissStore(EMBEDDING).save(tmp_path / "i")
    loaded = FaissStore.load(tmp_path / "i", EMBEDDING)
    assert len(loaded) == 0
    assert loaded.add_texts(["a"], ids=["a"]) == ["a"]


def test_save_follows_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real", target_is_directory=True)
    filled(3)[0].save(tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert len(FaissStore.load(tmp_path / "real", EMBEDDING)) == 3


def test_save_never_replaces_a_folder_of_other_files(tmp_path):
    (tmp_path / "thesis.md").write_text("years of work")
    with pytest.raises(InvalidInputError, match=r"thesis\.md"):
        filled(3)[0].save(tmp_path)
    assert (tmp_path / "thesis.md").read_text() == "years of work"


@pytest.mark.parametrize("name", FILES[:2])
def test_altered_parts_are_refused_before_they_are_read(tmp_path, name, monkeypatch):
    filled(5)[0].save(tmp_path / "i")
    data = bytearray((tmp_path / "i" / name).read_bytes())
    data[len(data) // 2] ^= 1
    (tmp_path / "i" / name).write_bytes(data)
    monkeypatch.setattr(FaissStore, "_restore", lambda *_: pytest.fail("was opened"))
    with pytest.raises(IndexStoreError, match=rf"{name} is not what was saved.*Build the index again"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


@pytest.mark.parametrize("name", FILES[:2])
def test_missing_parts(tmp_path, name):
    filled(5)[0].save(tmp_path / "i")
    (tmp_path / "i" / name).unlink()
    with pytest.raises(IndexStoreError, match=f"{name} is missing"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


def test_missing_store_leaves_no_trace(tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for place in ("nowhere", "no/where", "file", "empty"):
        with pytest.raises(IndexStoreError, match="There is no saved index"):
            FaissStore.load(tmp_path / place, EMBEDDING)
    assert not (tmp_path / ".nowhere.lock").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2 .*Upgrade langchain-gptoss"),
        ({"metric": "l2"}, r"\(l2\)"),
        ({"sha256": {}}, "SHA-256 differs"),
        ({"sha256": [1]}, "not a manifest"),
        ({"count": 99}, "do not belong together"),
        ({"dimension": 5}, "5 dimensions and the embedding model makes 8"),
        ({"dimension": None}, "do not belong together"),
    ],
)
def test_manifest_that_does_not_fit(tmp_path, change, message):
    filled(5)[0].save(tmp_path / "i")
    path = tmp_path / "i" / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(IndexStoreError, match=message):
        FaissStore.load(tmp_path / "i", EMBEDDING)


@pytest.mark.parametrize("text", ["", "[]", "{}", "{", "\xff"])
def test_manifest_that_is_none(tmp_path, text):
    filled(5)[0].save(tmp_path / "i")
    (tmp_path / "i" / "manifest.json").write_text(text, encoding="latin-1")
    with pytest.raises(IndexStoreError, match="damaged"):
        FaissStore.load(tmp_path / "i", EMBEDDING)


def test_parts_that_hash_well_and_are_nonsense(tmp_path):
    filled(5)[0].save(tmp_path / "i")
    path = tmp_path / "i" / "manifest.json"
    manifest = json.loads(path.read_text())
    for name, data in (("index.faiss", b"nonsense"), ("documents.jsonl", b'{"key": 1}\n')):
        intact = (tmp_path / "i" / name).read_bytes()
        (tmp_path / "i" / name).write_bytes(data)
        path.write_text(
            json.dumps(manifest | {"sha256": manifest["sha256"] | {name: hashlib.sha256(data).hexdigest()}})
        )
        with pytest.raises(IndexStoreError, match="damaged"):
            FaissStore.load(tmp_path / "i", EMBEDDING)
        (tmp_path / "i" / name).write_bytes(intact)


def test_another_embedding_model_is_refused(tmp_path):
    FaissStore.from_texts(["a"], Named("one")).save(tmp_path / "i")
    assert len(FaissStore.load(tmp_path / "i", Named("one"))) == 1
    with pytest.raises(IndexStoreError, match="made with the embedding model one and two was given"):
        FaissStore.load(tmp_path / "i", Named("two"))
    with pytest.raises(IndexStoreError, match="8 dimensions and the embedding model makes 9"):
        FaissStore.load(tmp_path / "i", Named("one", size=9))


def test_metadata_that_is_not_json_is_named(tmp_path):
    store = FaissStore.from_texts(["a"], EMBEDDING, [{"when": {1, 2}}], ids=["doc-7"])
    with pytest.raises(InvalidInputError, match="'doc-7'"):
        store.save(tmp_path / "i")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES])
@pytest.mark.parametrize("name", FILES)
def test_a_failed_write_keeps_the_old_store(tmp_path, monkeypatch, name, number):
    filled(5)[0].save(tmp_path / "i")
    write = _faiss_files._write_durably

    def failing(path: Path, data: bytes) -> None:
        write(path, data)
        if path.name == name:
            raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(_faiss_files, "_write_durably", failing)
    with pytest.raises(StorageError, match="disk is full" if number == errno.ENOSPC else "Permission denied"):
        filled(9)[0].save(tmp_path / "i")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".i.lock", "i"]
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


def test_a_failed_swap_puts_the_old_store_back(tmp_path, monkeypatch):
    filled(5)[0].save(tmp_path / "i")
    replace = os.replace

    def failing(source: Path, target: Path) -> None:
        if source.name == ".i.new":
            raise OSError(errno.EBUSY, "busy")
        replace(source, target)

    monkeypatch.setattr(os, "replace", failing)
    with pytest.raises(StorageError, match="busy"):
        filled(9)[0].save(tmp_path / "i")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".i.lock", "i"]
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


CRASH = """
import os, sys
from pathlib import Path
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_gptoss import _faiss_files, vectorstores

store = vectorstores.FaissStore(DeterministicFakeEmbedding(size=8))
store.add_embedded([Document(page_content="new")] * 9, [[1.0] * 8] * 9)
files = store._serialised()

def save_and_crash(step, folder):
    calls = iter(range(1, 100))
    def crashing(function):
        return lambda *args, **kwargs: os._exit(9) if next(calls) == step else function(*args, **kwargs)
    os.fsync, os.replace = crashing(os.fsync), crashing(os.replace)
    _faiss_files.shutil.rmtree = crashing(_faiss_files.shutil.rmtree)
    _faiss_files.save_files(folder, files)
    os._exit(0)

for step, folder in enumerate(sys.argv[1:], 1):
    child = os.fork()
    if not child:
        save_and_crash(step, Path(folder))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), end=" ")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_crash_at_any_step_leaves_the_old_store_or_the_new_one(tmp_path):
    places = [tmp_path / str(step) / "i" for step in range(1, 11)]
    for place in places:
        filled(5)[0].save(place)
    command = [sys.executable, "-W", "ignore", "-c", CRASH, *map(str, places)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=120)
    # Three files and their folder are synced, two renames, the parent synced, two removals; the tenth never comes.
    assert done.stdout.split() == ["9"] * 9 + ["0"]
    assert [len(FaissStore.load(place, EMBEDDING)) for place in places] == [5] * 6 + [9] * 4
    for place in places:
        assert sorted(path.name for path in place.parent.iterdir()) == [".i.lock", "i"]


def test_a_read_only_place_can_be_loaded(tmp_path, monkeypatch):
    filled(5)[0].save(tmp_path / "i")

    def read_only(*_, **__):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(_faiss_files, "FileLock", read_only)
    assert len(FaissStore.load(tmp_path / "i", EMBEDDING)) == 5


def test_savers_and_loaders_do_not_disturb_each_other(tmp_path):
    stores = [filled(count)[0] for count in (3, 5, 8)]
    stores[0].save(tmp_path / "i")

    def work(turn: int) -> int:
        if turn % 2:
            stores[turn % 3].save(tmp_path / "i")
        return len(FaissStore.load(tmp_path / "i", EMBEDDING))

    with ThreadPoolExecutor(4) as pool:
        assert set(pool.map(work, range(24))) <= {3, 5, 8}


def test_importing_loads_neither_faiss_nor_numpy():
    code = "import sys, langchain_gptoss.vectorstores, langchain_gptoss.ingest\nprint(sorted({'faiss', 'numpy', 'torch', 'pypdfium2', 'markdownify'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "[]"
