"""Folders that langchain-community's FAISS saved: read as they are, and never run."""

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
from langchain_gptoss.vectorstores.faiss import community as _faiss_community
from tests import ROOT
from tests.unit_tests.vectorstores.store_helpers import SIZE, Named

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that it is no longer looked after
    from langchain_community.docstore.in_memory import InMemoryDocstore
    from langchain_community.vectorstores import FAISS

MODEL = Named("words")
TEXTS = ["The red fox runs.", "Un café très fort", "Blue whales swim far", "Foxes and whales", "A red café", "rien"]
METADATAS = [{"n": i, "where": {"page": i, "tags": ["a", None, 1.5, True]}, "Größe": "ü"} for i in range(len(TEXTS))]
IDS = [f"doc {i}" for i in range(len(TEXTS))]


def community(index=None, **options):
    if index is None:
        return FAISS.from_texts(TEXTS, MODEL, METADATAS, ids=IDS, **options)
    store = FAISS(MODEL, index, InMemoryDocstore(), {}, **options)
    store.add_texts(TEXTS, METADATAS, ids=IDS)
    return store


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    community().save_local(str(tmp_path / "old"))
    return tmp_path / "old"


def pictured(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def with_pickle(folder: Path, content: object, **options) -> Path:
    (folder / "index.pkl").write_bytes(content if isinstance(content, bytes) else pickle.dumps(content, **options))
    return folder


def test_the_same_documents_are_found_in_the_same_order(folder):
    before, old = pictured(folder), community()
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
    assert pictured(folder) == before
    assert MODEL.embed_documents(TEXTS) == pytest.approx(
        np.concatenate([vectors for _, vectors in store.embedded()]), abs=0
    )


def test_a_moved_store_is_saved_and_loaded_in_its_own_form(folder, tmp_path):
    store = FaissStore.from_community(folder, MODEL)
    store.save(tmp_path / "new")
    again = FaissStore.load(tmp_path / "new", MODEL)
    assert again.similarity_search_with_score("red fox", 6) == store.similarity_search_with_score("red fox", 6)


@pytest.mark.parametrize("name", ["Données Größe 資料", "with space"])
def test_paths_in_any_alphabet(tmp_path, name):
    index = "индекс"
    community().save_local(str(tmp_path / "old"), index_name="i")
    (tmp_path / name).mkdir()
    for suffix in ("faiss", "pkl"):
        shutil.move(tmp_path / "old" / f"i.{suffix}", tmp_path / name / f"{index}.{suffix}")
    store = FaissStore.from_community(str(tmp_path / name), MODEL, index_name=index)
    assert len(store) == len(TEXTS)
    with pytest.raises(IndexStoreError, match=r"index\.faiss is not there"):
        FaissStore.from_community(tmp_path / name, MODEL)


def trained(factory: str, metric: int = faiss.METRIC_L2) -> faiss.Index:
    index = faiss.index_factory(SIZE, factory, metric)
    index.train(np.random.default_rng(0).normal(size=(400, SIZE)).astype(np.float32))
    return index


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF4,Flat"])
def test_other_indexes_give_their_vectors_back(tmp_path, factory):
    community(trained(factory)).save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    for i, text in enumerate(TEXTS):
        found, score = store.similarity_search_with_score(text, 1)[0]
        assert (found.id, score) == (IDS[i], pytest.approx(0, abs=1e-6))


def test_metrics(tmp_path):
    community(trained("Flat", faiss.METRIC_INNER_PRODUCT)).save_local(str(tmp_path / "product"))
    product = FaissStore.from_community(tmp_path / "product", MODEL)
    assert product.index_info.metric == "inner_product"
    assert product.similarity_search_with_score(TEXTS[0], 1)[0][1] == pytest.approx(
        np.dot(*[MODEL.embed_query(TEXTS[0])] * 2)
    )
    old = community(normalize_L2=True)
    old.save_local(str(tmp_path / "unit"))
    unit = FaissStore.from_community(tmp_path / "unit", MODEL, metric="cosine", index="Flat")
    for document, squared in old.similarity_search_with_score("red whales", 6):
        ours = {found.id: score for found, score in unit.similarity_search_with_score("red whales", 6)}
        assert ours[document.id] == pytest.approx(1 - squared / 2, abs=1e-5)
    community(trained("Flat", faiss.METRIC_L1)).save_local(str(tmp_path / "l1"))
    with pytest.raises(IndexStoreError, match="Choose metric="):
        FaissStore.from_community(tmp_path / "l1", MODEL)
    assert FaissStore.from_community(tmp_path / "l1", MODEL, metric="l2").index_info.metric == "l2"
    with pytest.raises(InvalidInputError, match="metric is 'L2'"):
        FaissStore.from_community(tmp_path / "unit", MODEL, metric="L2")


def test_deleted_documents_do_not_come_back(tmp_path):
    old = community()
    old.delete([IDS[0], IDS[3]])
    old.add_texts(["later red"], ids=["late"])
    old.save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    kept = [IDS[1], IDS[2], IDS[4], IDS[5], "late"]
    assert [d.id for d in store.get_by_ids([*IDS, "late"])] == kept
    for id_, text in zip(kept, [TEXTS[1], TEXTS[2], TEXTS[4], TEXTS[5], "later red"], strict=True):
        assert store.similarity_search(text, 1)[0].id == id_


def test_what_cannot_be_trusted_to_belong_together_is_refused(tmp_path):
    inverted = community(trained("IVF4,Flat"))
    inverted.delete([IDS[0]])
    inverted.save_local(str(tmp_path / "ivf"))
    with pytest.raises(IndexStoreError, match="which vector is whose"):
        FaissStore.from_community(tmp_path / "ivf", MODEL)
    community(trained("LSH")).save_local(str(tmp_path / "lsh"))
    with pytest.raises(IndexStoreError, match="is an IndexLSH"):
        FaissStore.from_community(tmp_path / "lsh", MODEL)


def test_an_empty_store(tmp_path):
    old = community()
    old.delete(IDS)
    old.save_local(str(tmp_path))
    store = FaissStore.from_community(tmp_path, MODEL)
    assert (len(store), store.similarity_search("red")) == (0, [])
    with pytest.raises(IndexStoreError, match="8 dimensions and the embedding model makes 5"):
        FaissStore.from_community(tmp_path, Named("other", 5))


def test_missing_and_truncated_files(folder):
    files = pictured(folder)
    for name, length in (("index.pkl", 0), ("index.pkl", 200), ("index.pkl", -1), ("index.faiss", 0)):
        (folder / name).write_bytes(files[name][:length])
        with pytest.raises(IndexStoreError, match="cannot be read"):
            FaissStore.from_community(folder, MODEL)
        (folder / name).write_bytes(files[name])
    for length in (40, len(files["index.faiss"]) - 10):
        (folder / "index.faiss").write_bytes(files["index.faiss"][:length])
        with pytest.raises(IndexStoreError, match="it is no FAISS index"):
            FaissStore.from_community(folder, MODEL)
    (folder / "index.faiss").write_bytes(files["index.faiss"])
    (folder / "index.pkl").unlink()
    with pytest.raises(IndexStoreError, match=r"index\.pkl is not there"):
        FaissStore.from_community(folder, MODEL)


def parts(folder: Path):
    """Returns the docstore and the ids of a folder that this test made itself."""
    return pickle.loads((folder / "index.pkl").read_bytes())


def test_counts_and_numbers_have_to_agree(folder):
    docstore, ids = parts(folder)
    for wrong in ({**ids, 6: "more"}, {i: ids[i] for i in range(5)}, {i + 1: id_ for i, id_ in ids.items()}):
        with pytest.raises(IndexStoreError, match="do not belong together"):
            FaissStore.from_community(with_pickle(folder, (docstore, wrong)), MODEL)
    for wrong in ({**ids, 5: ids[0]}, {**ids, 5: 17}):
        with pytest.raises(IndexStoreError, match="its ids are not texts, or one stands for several"):
            FaissStore.from_community(with_pickle(folder, (docstore, wrong)), MODEL)
    with pytest.raises(IndexStoreError, match="'gone' is not in"):
        FaissStore.from_community(with_pickle(folder, (docstore, {**ids, 5: "gone"})), MODEL)
    for wrong in ([docstore, ids], (ids, docstore), (docstore,), "text", (docstore, ids, 1)):
        with pytest.raises(IndexStoreError, match="does not hold a docstore"):
            FaissStore.from_community(with_pickle(folder, wrong), MODEL)


def test_documents_without_a_vector_are_left_out_and_said(folder, caplog):
    docstore, ids = parts(folder)
    docstore.add({"extra": Document("nobody points at me")})
    assert len(FaissStore.from_community(with_pickle(folder, (docstore, ids)), MODEL)) == len(TEXTS)
    assert "holds 1 documents without a vector" in caplog.text


@pytest.mark.parametrize(
    ("value", "what"),
    [
        (date(2024, 5, 31), r"'bad' holds a datetime\.date"),
        ({"deep": [Decimal(1)]}, r"'bad' holds a decimal\.Decimal"),
        ({1, 2}, "'bad' holds a set"),
        (b"bytes", "'bad' holds a bytes"),
        ({3: 4}, "'bad' holds a key that is no text"),
    ],
)
def test_metadata_that_is_not_json_is_named(folder, value, what):
    docstore, ids = parts(folder)
    docstore._dict["doc 2"].metadata["bad"] = value
    with pytest.raises(InvalidInputError, match=f"document 'doc 2' cannot be kept as JSON: {what}"):
        FaissStore.from_community(with_pickle(folder, (docstore, ids)), MODEL)


def test_objects_in_metadata_that_are_not_known_are_named(folder):
    docstore, ids = parts(folder)
    docstore._dict["doc 2"].metadata["bad"] = np.float32(1)
    with pytest.raises(IndexStoreError, match=r"names numpy\S+\.scalar, which is neither"):
        FaissStore.from_community(with_pickle(folder, (docstore, ids)), MODEL)


# What langchain wrote before: pydantic 1 objects, under names that are gone


class _Version1:
    """Pickles an object as pydantic 1 did."""

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
def test_older_forms(folder, monkeypatch, docstores, documents, protocol):
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
    with_pickle(folder, (docstore, dict(enumerate(IDS))), protocol=protocol)
    monkeypatch.undo()
    store = FaissStore.from_community(folder, MODEL)
    assert store.get_by_ids(IDS[:1]) == [Document(id=IDS[0], page_content=TEXTS[0], metadata={"a": 1})]


# Pickles that want to do something


class Call:
    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def evil(mark: Path):
    """Yields what is first named, and an object that names it to leave a mark when it is unpickled."""
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


def test_the_evil_pickles_are_evil(tmp_path):
    for number, (_, made) in enumerate(evil(tmp_path / "mark")):
        if number < 3:
            pickle.loads(pickle.dumps(made))
            assert (tmp_path / "mark").exists()
            (tmp_path / "mark").unlink()


NAMED = [f"names {name}, which is neither" for name, _ in evil(Path("mark"))]


@pytest.mark.parametrize("number", range(9))
@pytest.mark.parametrize("where", ["instead", "docstore", "metadata", "id", "state"])
def test_nothing_is_run(folder, tmp_path, number, where):
    _, made = list(evil(tmp_path / "mark"))[number]
    docstore, ids = parts(folder)
    if where == "metadata":
        docstore._dict["doc 1"].metadata["x"] = {"y": [made]}
    elif where == "id":
        ids[5] = made
    elif where == "state":
        docstore.more = made
    content = {"instead": made, "docstore": (made, ids)}.get(where, (docstore, ids))
    with pytest.raises(IndexStoreError, match=NAMED[number]) as caught:
        FaissStore.from_community(with_pickle(folder, content), MODEL)
    assert "do not trust the file" in str(caught.value)
    assert not (tmp_path / "mark").exists()


def assembled(*instructions: bytes) -> bytes:
    return b"\x80\x04" + b"".join(instructions) + b"."


def text(value: str) -> bytes:
    return pickle.SHORT_BINUNICODE + bytes([len(value.encode())]) + value.encode()


STAND_IN = b"clangchain_core.documents.base\nDocument\n"


@pytest.mark.parametrize(
    "data",
    [
        b"cposix\nsystem\n(S'true'\ntR.",  # protocol 0
        b"(S'true'\niposix\nsystem\n.",  # INST
        assembled(pickle.EXT1 + b"\x01"),
        assembled(text("id"), pickle.BINPERSID),
        assembled(pickle.BYTEARRAY8 + (2**60).to_bytes(8, "little")),
        assembled(pickle.BINBYTES8 + (2**60).to_bytes(8, "little")),
        assembled(pickle.NONE, pickle.LONG_BINPUT + (2**32 - 1).to_bytes(4, "little")),
        assembled(pickle.BINGET + b"\x07"),
        assembled(pickle.EMPTY_LIST, pickle.NONE, pickle.BUILD),
        assembled(STAND_IN, pickle.NONE, pickle.REDUCE),
        # A BUILD on the stand-in's class, which must not change it.
        assembled(
            STAND_IN,
            pickle.NONE,
            pickle.EMPTY_DICT,
            text("broken"),
            pickle.NEWTRUE,
            pickle.SETITEM,
            pickle.TUPLE2,
            b"b",
        ),
        assembled(STAND_IN, pickle.EMPTY_DICT, text("broken"), pickle.NEWTRUE, pickle.SETITEM, pickle.BUILD),
        assembled(STAND_IN, pickle.EMPTY_TUPLE, pickle.NEWOBJ, text("x"), pickle.NONE, pickle.SETITEM),
        assembled(text("os.path"), text("join"), pickle.STACK_GLOBAL),
        assembled(text("langchain_core.documents.base"), text("Document.__init__"), pickle.STACK_GLOBAL),
        b"no pickle",
    ],
)
def test_instructions_that_no_save_needs(folder, data):
    before = {name: dict(vars(kind)) for name, kind in _faiss_community._KNOWN.items()}
    with pytest.raises(IndexStoreError):
        FaissStore.from_community(with_pickle(folder, data), MODEL)
    assert {name: dict(vars(kind)) for name, kind in _faiss_community._KNOWN.items()} == before


@pytest.mark.parametrize("name", ["EXT1", "EXT4", "BINPERSID", "BYTEARRAY8", "NEXT_BUFFER", "DUP", "INST"])
def test_an_instruction_is_refused_before_anything_is_unpickled(folder, monkeypatch, name):
    instruction = next(known for known in pickletools.opcodes if known.name == name)
    arguments = {"EXT1": b"\1", "EXT4": b"\1\0\0\0", "BYTEARRAY8": bytes(8), "INST": b"os\nsystem\n"}
    data = assembled(pickle.NONE, instruction.code.encode("latin-1") + arguments.get(name, b""))
    monkeypatch.setattr(_faiss_community, "_Unpickler", lambda *_: pytest.fail("it was unpickled"))
    with pytest.raises(IndexStoreError, match=f"it uses the pickle instruction {name},"):
        FaissStore.from_community(with_pickle(folder, data), MODEL)


def test_a_table_that_would_fill_the_memory_is_refused_before_it_is_made(folder, monkeypatch):
    monkeypatch.setattr(_faiss_community, "_Unpickler", lambda *_: pytest.fail("it was unpickled"))
    data = assembled(pickle.NONE, pickle.LONG_BINPUT + (2**32 - 1).to_bytes(4, "little"))
    with pytest.raises(IndexStoreError, match="its numbering of what it remembers has gaps"):
        FaissStore.from_community(with_pickle(folder, data), MODEL)


def test_a_pickle_that_repeats_itself_without_end(folder):
    docstore, ids = parts(folder)
    bomb: list = ["x"]
    for _ in range(40):
        bomb = [bomb, bomb]
    docstore._dict["doc 3"].metadata["bomb"] = bomb
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_faiss_community, "_FREE_ITEMS", 10_000)
        with pytest.raises(IndexStoreError, match="repeats parts of itself"):
            FaissStore.from_community(with_pickle(folder, (docstore, ids)), MODEL)
    endless: list = []
    endless.append(endless)
    docstore._dict["doc 3"].metadata["bomb"] = endless
    with pytest.raises(InvalidInputError, match="more than 100 lists or dicts within each other"):
        FaissStore.from_community(with_pickle(folder, (docstore, ids)), MODEL)


def test_a_file_that_is_too_large_is_not_read(folder, monkeypatch):
    monkeypatch.setattr(_faiss_community, "MAX_PICKLE_BYTES", 100)
    with pytest.raises(IndexStoreError, match="and 100 are read at most"):
        FaissStore.from_community(folder, MODEL)


def test_what_langchain_community_writes_is_what_is_let_by(folder):
    used = {instruction.name for instruction, _, _ in pickletools.genops((folder / "index.pkl").read_bytes())}
    assert used <= _faiss_community._INSTRUCTIONS


def test_langchain_community_is_not_imported(folder):
    code = (
        "import sys; sys.path.insert(0, sys.argv[2])\n"
        "from tests.unit_tests.vectorstores.store_helpers import Named\nfrom langchain_gptoss.vectorstores import FaissStore\n"
        "print(len(FaissStore.from_community(sys.argv[1], Named('w'))), 'langchain_community' in sys.modules)"
    )
    arguments = [sys.executable, "-c", code, str(folder), str(ROOT)]
    assert subprocess.run(arguments, capture_output=True, text=True, check=True).stdout.split() == ["6", "False"]
