"""Import of folders that langchain-community's FAISS saved; their pickles are never run."""

import builtins
import functools
import os
import pickle
import pickletools
import shutil
import subprocess
import sys
import types
import warnings
from datetime import date
from decimal import Decimal
from pathlib import Path

import faiss
import numpy as np
import pytest
from langchain_core.documents import Document

from langchain_gptoss.errors import IndexStoreError, InvalidInputError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import community as community_import
from tests import ROOT
from tests.unit_tests.vectorstores.store_helpers import SIZE, WordEmbeddings

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it is no longer looked after
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

MODEL = WordEmbeddings("words")
TEXTS = ["The red fox runs.", "Un café très fort", "Blue whales swim far", "Foxes and whales", "A red café", "rien"]
METADATAS = [{"n": i, "where": {"page": i, "tags": ["a", None, 1.5, True]}, "Größe": "ü"} for i in range(len(TEXTS))]
IDS = [f"doc {i}" for i in range(len(TEXTS))]


def build_community_store(index=None, **options):
    if index is None:
        return FAISS.from_texts(TEXTS, MODEL, METADATAS, ids=IDS, **options)
    store = FAISS(MODEL, index, InMemoryDocstore(), {}, **options)
    store.add_texts(TEXTS, METADATAS, ids=IDS)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    build_community_store().save_local(str(tmp_path / "old"))
    return tmp_path / "old"


def read_files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def write_pickle(folder: Path, content: object, **options) -> Path:
    (folder / "index.pkl").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, **options))
    return folder


def test_imported_store_returns_the_same_documents_and_scores(folder):
    before, old = read_files(folder), build_community_store()
    store = FaissStore.from_community(folder, MODEL)
    assert store.index_info.metric == "l2"
    assert len(store) == len(TEXTS)
    assert store.get_by_ids(IDS) == [
        Document(id=i, page_content=t, metadata=m) for i, t, m in zip(IDS, TEXTS, METADATAS, strict=True)
    ]
    for query in ("red", "whales swim", "café fort"):
        theirs, ours = old.similarity_search_with_score(query, 6), store.similarity_search_with_score(query, 6)
        # Theirs is the squared distance.
        assert [score for _, score in ours] == pytest.approx([score**0.5 for _, score in theirs], abs=1e-5)
        assert {d.id: s for d, s in ours} == pytest.approx({d.id: s**0.5 for d, s in theirs}, abs=1e-5)
        assert store.similarity_search(query, filter={"where.page": 3})[0].id == "doc 3"
    assert read_files(folder) == before
    assert MODEL.embed_documents(TEXTS) == pytest.approx(
        np.concatenate([vectors for _, vectors in store.iterate_with_vectors()]), abs=0
    )


def test_imported_store_can_be_saved_and_loaded(folder, tmp_path):
    store = FaissStore.from_community(folder, MODEL)
    store.save(tmp_path / "new")
    again = FaissStore.load(tmp_path / "new", MODEL)
    assert again.similarity_search_with_score("red fox", 6) == store.similarity_search_with_score("red fox", 6)


@pytest.mark.parametrize("name", ["Données Größe 資料", "with space"])
def test_paths_may_have_any_alphabet(tmp_path, name):
    index = "индекс"
    build_community_store().save_local(str(tmp_path / "old"), index_name="i")
    (tmp_path / name).mkdir()
    for suffix in ("faiss", "pkl"):
        shutil.move(tmp_path / "old" / f"i.{suffix}", tmp_path / name / f"{index}.{suffix}")
    store = FaissStore.from_community(str(tmp_path / name), MODEL, index_name=index)
    assert len(store) == len(TEXTS)
    with pytest.raises(IndexStoreError, match=r"index\.faiss is not there"):
        FaissStore.from_community(tmp_path / name, MODEL)


def train_index(factory: str, metric: int = faiss.METRIC_L2) -> faiss.Index:
    index = faiss.index_factory(SIZE, factory, metric)
    index.train(np.random.default_rng(0).normal(size=(400, SIZE)).astype(np.float32))
    return index


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF4,Flat"])
def test_vectors_of_other_index_kinds_are_read(tmp_path, factory):
    build_community_store(train_index(factory)).save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    for i, text in enumerate(TEXTS):
        found, score = store.similarity_search_with_score(text, 1)[0]
        assert (found.id, score) == (IDS[i], pytest.approx(0, abs=1e-6))


def test_metric_comes_from_the_index_or_the_argument(tmp_path):
    build_community_store(train_index("Flat", faiss.METRIC_INNER_PRODUCT)).save_local(str(tmp_path / "product"))
    product = FaissStore.from_community(tmp_path / "product", MODEL)
    assert product.index_info.metric == "inner_product"
    assert product.similarity_search_with_score(TEXTS[0], 1)[0][1] == pytest.approx(
        np.dot(*[MODEL.embed_query(TEXTS[0])] * 2)
    )
    old = build_community_store(normalize_L2=True)
    old.save_local(str(tmp_path / "unit"))
    unit = FaissStore.from_community(tmp_path / "unit", MODEL, metric="cosine", index="Flat")
    for document, squared in old.similarity_search_with_score("red whales", 6):
        ours = {found.id: score for found, score in unit.similarity_search_with_score("red whales", 6)}
        assert ours[document.id] == pytest.approx(1 - squared / 2, abs=1e-5)
    build_community_store(train_index("Flat", faiss.METRIC_L1)).save_local(str(tmp_path / "l1"))
    with pytest.raises(IndexStoreError, match="Choose metric="):
        FaissStore.from_community(tmp_path / "l1", MODEL)
    assert FaissStore.from_community(tmp_path / "l1", MODEL, metric="l2").index_info.metric == "l2"
    with pytest.raises(InvalidInputError, match="metric is 'L2'"):
        FaissStore.from_community(tmp_path / "unit", MODEL, metric="L2")


def test_deleted_documents_are_not_imported(tmp_path):
    old = build_community_store()
    old.delete([IDS[0], IDS[3]])
    old.add_texts(["later red"], ids=["late"])
    old.save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    kept = [IDS[1], IDS[2], IDS[4], IDS[5], "late"]
    assert [d.id for d in store.get_by_ids([*IDS, "late"])] == kept
    for id_, text in zip(kept, [TEXTS[1], TEXTS[2], TEXTS[4], TEXTS[5], "later red"], strict=True):
        assert store.similarity_search(text, 1)[0].id == id_


def test_indexes_without_a_safe_mapping_are_rejected(tmp_path):
    inverted = build_community_store(train_index("IVF4,Flat"))
    inverted.delete([IDS[0]])
    inverted.save_local(str(tmp_path / "ivf"))
    with pytest.raises(IndexStoreError, match="which vector belongs to which document"):
        FaissStore.from_community(tmp_path / "ivf", MODEL)
    build_community_store(train_index("LSH")).save_local(str(tmp_path / "lsh"))
    with pytest.raises(IndexStoreError, match="is an IndexLSH"):
        FaissStore.from_community(tmp_path / "lsh", MODEL)


def test_empty_store_can_be_imported(tmp_path):
    old = build_community_store()
    old.delete(IDS)
    old.save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    assert (len(store), store.similarity_search("red")) == (0, [])
    with pytest.raises(IndexStoreError, match="8 dimensions, and the embedding model makes 5"):
        FaissStore.from_community(tmp_path, WordEmbeddings("other", 5))


def test_missing_and_truncated_files_are_rejected(folder):
    files = read_files(folder)
    for name, length in (("index.pkl", 0), ("index.pkl", 200), ("index.pkl", -1), ("index.faiss", 0)):
        (folder / name).write_bytes(files[name][:length])
        with pytest.raises(IndexStoreError, match="cannot be read"):
            FaissStore.from_community(folder, MODEL)
        (folder / name).write_bytes(files[name])
    for length in (40, len(files["index.faiss"]) - 10):
        (folder / "index.faiss").write_bytes(files["index.faiss"][:length])
        with pytest.raises(IndexStoreError, match="it is not a FAISS index"):
            FaissStore.from_community(folder, MODEL)
    (folder / "index.faiss").write_bytes(files["index.faiss"])
    (folder / "index.pkl").unlink()
    with pytest.raises(IndexStoreError, match=r"index\.pkl is not there"):
        FaissStore.from_community(folder, MODEL)


def unpickle_parts(folder: Path):
    """Return the docstore and the ids of a folder that this test has made."""
    return pickle.loads((folder / "index.pkl").read_bytes())


def test_ids_and_vectors_must_belong_together(folder):
    docstore, ids = unpickle_parts(folder)
    for wrong in ({**ids, 6: "more"}, {i: ids[i] for i in range(5)}, {i + 1: id_ for i, id_ in ids.items()}):
        with pytest.raises(IndexStoreError, match="do not belong together"):
            FaissStore.from_community(write_pickle(folder, (docstore, wrong)), MODEL)
    for wrong in ({**ids, 5: ids[0]}, {**ids, 5: 17}):
        with pytest.raises(IndexStoreError, match="its ids are not strings, or one id occurs twice"):
            FaissStore.from_community(write_pickle(folder, (docstore, wrong)), MODEL)
    with pytest.raises(IndexStoreError, match="'gone' is not in"):
        FaissStore.from_community(write_pickle(folder, (docstore, {**ids, 5: "gone"})), MODEL)
    for wrong in ([docstore, ids], (ids, docstore), (docstore,), "text", (docstore, ids, 1)):
        with pytest.raises(IndexStoreError, match="does not contain a docstore"):
            FaissStore.from_community(write_pickle(folder, wrong), MODEL)


def test_documents_without_a_vector_are_skipped_with_a_warning(folder, caplog):
    docstore, ids = unpickle_parts(folder)
    docstore.add({"extra": Document("nobody points at me")})
    assert len(FaissStore.from_community(write_pickle(folder, (docstore, ids)), MODEL)) == len(TEXTS)
    assert "contains 1 documents without a vector" in caplog.text


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        (date(2024, 5, 31), r"'bad' contains a datetime\.date"),
        ({"deep": [Decimal(1)]}, r"'bad' contains a decimal\.Decimal"),
        ({1, 2}, "'bad' contains a set"),
        (b"bytes", "'bad' contains a bytes"),
        ({3: 4}, "'bad' contains a key that is not a string"),
    ],
)
def test_error_names_metadata_that_is_not_json(folder, value, problem):
    docstore, ids = unpickle_parts(folder)
    docstore._dict["doc 2"].metadata["bad"] = value
    with pytest.raises(InvalidInputError, match=f"document 'doc 2' cannot be written as JSON: {problem}"):
        FaissStore.from_community(write_pickle(folder, (docstore, ids)), MODEL)


def test_error_names_unknown_classes_in_metadata(folder):
    docstore, ids = unpickle_parts(folder)
    docstore._dict["doc 2"].metadata["bad"] = np.float32(1)
    with pytest.raises(IndexStoreError, match=r"names numpy\S+\.scalar, which is neither"):
        FaissStore.from_community(write_pickle(folder, (docstore, ids)), MODEL)


# Formats of older LangChain versions: pydantic 1 objects, under former names


class _Version1:
    """Pickles an object like pydantic 1."""

    def __getstate__(self):
        fields = dict(self.__dict__)
        return {"__dict__": fields, "__fields_set__": sorted(fields), "__private_attribute_values__": {}}


@pytest.mark.parametrize(
    ("docstores", "documents"),
    [
        ("langchain.docstore.in_memory", "langchain.schema"),
        ("langchain.docstore.in_memory", "langchain.docstore.document"),
        ("langchain_community.docstore.in_memory", "langchain_core.documents.base"),
        ("langchain.docstore.in_memory", "langchain.schema.document"),
    ],
)
@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_formats_of_older_versions_are_read(folder, monkeypatch, docstores, documents, protocol):
    made = {}
    for module, name in ((docstores, "InMemoryDocstore"), (documents, "Document")):
        made[name] = type(name, (_Version1,) if name == "Document" else (), {"__module__": module})
        place = types.ModuleType(module)
        setattr(place, name, made[name])
        monkeypatch.setitem(sys.modules, module, place)
    docstore = made["InMemoryDocstore"]()
    docstore._dict = {}
    for id_, text in zip(IDS, TEXTS, strict=True):
        document = made["Document"]()
        document.page_content, document.metadata, document.lookup_index = text, {"a": 1}, 0
        docstore._dict[id_] = document
    write_pickle(folder, (docstore, dict(enumerate(IDS))), protocol=protocol)
    monkeypatch.undo()
    store = FaissStore.from_community(folder, MODEL)
    assert store.get_by_ids(IDS[:1]) == [Document(id=IDS[0], page_content=TEXTS[0], metadata={"a": 1})]


# Hostile pickles


class Call:
    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def build_hostile_objects(mark: Path):
    """Yield the first name in the pickle, and an object that creates the file `mark` when it is unpickled."""
    command = f"touch '{mark}'"
    yield r"\w+\.system", Call(os.system, command)
    yield "builtins.eval", Call(eval, f"__import__('pathlib').Path({str(mark)!r}).touch()")
    yield "builtins.exec", Call(exec, f"__import__('pathlib').Path({str(mark)!r}).touch()")
    yield "builtins.getattr", Call(getattr, Call(__import__, "os"), "system")
    yield r"\w+\.open", Call(open, str(mark), "w")
    yield "functools.partial", Call(functools.partial(os.system, command))
    yield "builtins.print", Call(builtins.print, Call(os.system, command))
    yield "builtins.list", Call(list, Call(map, os.system, [command]))
    yield r"_pickle\.loads", Call(pickle.loads, pickle.dumps(Call(os.system, command)))


def test_hostile_objects_run_code_when_unpickled(tmp_path):
    for number, (_, made) in enumerate(build_hostile_objects(tmp_path / "mark")):
        if number < 3:
            pickle.loads(pickle.dumps(made))
            assert (tmp_path / "mark").exists()
            (tmp_path / "mark").unlink()


NAMED = [f"names {name}, which is neither" for name, _ in build_hostile_objects(Path("mark"))]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("where", ["instead", "docstore", "metadata", "id", "state"])
def test_no_code_of_a_hostile_pickle_is_run(folder, tmp_path, number, where):
    _, made = list(build_hostile_objects(tmp_path / "mark"))[number]
    docstore, ids = unpickle_parts(folder)
    if where == "metadata":
        docstore._dict["doc 1"].metadata["x"] = {"y": [made]}
    elif where == "id":
        ids[5] = made
    elif where == "state":
        docstore.more = made
    content = {"instead": made, "docstore": (made, ids)}.get(where, (docstore, ids))
    with pytest.raises(IndexStoreError, match=NAMED[number]) as caught:
        FaissStore.from_community(write_pickle(folder, content), MODEL)
    assert "do not trust the file" in str(caught.value)
    assert not (tmp_path / "mark").exists()


def assemble(*instructions: bytes) -> bytes:
    return b"\x80\x04" + b"".join(instructions) + b"."


def encode_text(value: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(value.encode())]) + value.encode()


STAND_IN = b"clangchain_core.documents.base\nDocument\n"


@pytest.mark.parametrize(
    "data",
    [
        b"cposix\nsystem\n(S'true'\ntR.",  # protocol 0
        b"(S'true'\niposix\nsystem\n.",  # INST
        assemble(pickle.EXT1 + b"\x01"),
        assemble(encode_text("id"), pickle.BINPERSID),
        assemble(pickle.BYTEARRAY8 + (2**60).to_bytes(8, "little")),
        assemble(pickle.BINBYTES8 + (2**60).to_bytes(8, "little")),
        assemble(pickle.NONE, pickle.LONG_BINPUT + (2**32 - 1).to_bytes(4, "little")),
        assemble(pickle.BINGET + b"\x07"),
        assemble(pickle.EMPTY_LIST, pickle.NONE, pickle.BUILD),
        assemble(STAND_IN, pickle.NONE, pickle.REDUCE),
        # A BUILD on the stand-in's class, which must not change it.
        assemble(
            STAND_IN,
            pickle.NONE,
            pickle.EMPTY_DICT,
            encode_text("broken"),
            pickle.NEWTRUE,
            pickle.SETITEM,
            pickle.TUPLE2,
            b"b",
        ),
        assemble(STAND_IN, pickle.EMPTY_DICT, encode_text("broken"), pickle.NEWTRUE, pickle.SETITEM, pickle.BUILD),
        assemble(STAND_IN, pickle.EMPTY_TUPLE, pickle.NEWOBJ, encode_text("x"), pickle.NONE, pickle.SETITEM),
        assemble(encode_text("os.path"), encode_text("join"), pickle.STACK_GLOBAL),
        assemble(encode_text("langchain_core.documents.base"), encode_text("Document.__init__"), pickle.STACK_GLOBAL),
        b"no pickle",
    ],
)
def test_pickles_that_no_save_writes_are_rejected(folder, data):
    before = {name: dict(vars(kind)) for name, kind in community_import.ALLOWED_CLASSES.items()}
    with pytest.raises(IndexStoreError):
        FaissStore.from_community(write_pickle(folder, data), MODEL)
    assert {name: dict(vars(kind)) for name, kind in community_import.ALLOWED_CLASSES.items()} == before


@pytest.mark.parametrize("name", ["EXT1", "EXT4", "BINPERSID", "BYTEARRAY8", "NEXT_BUFFER", "DUP", "INST"])
def test_unknown_opcodes_are_rejected_before_unpickling(folder, monkeypatch, name):
    instruction = next(known for known in pickletools.opcodes if known.name == name)
    arguments = {"EXT1": b"\1", "EXT4": b"\1\0\0\0", "BYTEARRAY8": bytes(8), "INST": b"os\nsystem\n"}
    data = assemble(pickle.NONE, instruction.code.encode("latin-1") + arguments.get(name, b""))
    monkeypatch.setattr(community_import, "_Unpickler", lambda *_: pytest.fail("it was unpickled"))
    with pytest.raises(IndexStoreError, match=f"it uses the pickle opcode {name},"):
        FaissStore.from_community(write_pickle(folder, data), MODEL)


def test_memo_that_fills_the_memory_is_rejected_before_unpickling(folder, monkeypatch):
    monkeypatch.setattr(community_import, "_Unpickler", lambda *_: pytest.fail("it was unpickled"))
    data = assemble(pickle.NONE, pickle.LONG_BINPUT + (2**32 - 1).to_bytes(4, "little"))
    with pytest.raises(IndexStoreError, match="its memo numbers have gaps"):
        FaissStore.from_community(write_pickle(folder, data), MODEL)


def test_pickle_that_repeats_itself_is_rejected(folder):
    docstore, ids = unpickle_parts(folder)
    bomb: list = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    docstore._dict["doc 3"].metadata["bomb"] = bomb
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(community_import, "MIN_ITEM_LIMIT", 10_000)
        with pytest.raises(IndexStoreError, match="repeats parts of itself"):
            FaissStore.from_community(write_pickle(folder, (docstore, ids)), MODEL)
    endless: list = []
    endless.append(endless)
    docstore._dict["doc 3"].metadata["bomb"] = endless
    with pytest.raises(InvalidInputError, match="more than 100 nested lists or dicts"):
        FaissStore.from_community(write_pickle(folder, (docstore, ids)), MODEL)


def test_too_large_pickle_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(community_import, "MAX_PICKLE_BYTES", 100)
    with pytest.raises(IndexStoreError, match="and the limit is 100"):
        FaissStore.from_community(folder, MODEL)


def test_opcodes_of_langchain_community_are_allowed(folder):
    used = {instruction.name for instruction, _, _ in pickletools.genops((folder / "index.pkl").read_bytes())}
    assert used <= community_import.ALLOWED_OPCODES


def test_langchain_community_is_not_imported(folder):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings\nfrom langchain_gptoss.vectorstores import FaissStore\n"
        "print(len(FaissStore.from_community(sys.argv[1], WordEmbeddings('w'))), 'langchain_community' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, str(folder), str(ROOT)]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split() == ["6", "False"]
