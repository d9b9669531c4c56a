"""Reads the FAISS folder of langchain-community, `index.faiss` and `index.pkl`, without running what the pickle names.

A pickle is a program that may call any function of the machine that opens it. Here it is read in two steps: its
instructions are looked through first, and only those of a plain save are let by; then it is unpickled with the few
names it may use, a docstore, a Document and dates, all of which become stand-ins of this module that keep what they
are given and do nothing. Nothing is imported for it. The folder is only read.
"""

from __future__ import annotations

import io
import logging
import pickle
import pickletools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss.errors import IndexStoreError, InvalidInputError
from langchain_gptoss.vectorstores.faiss.index import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MAX_PICKLE_BYTES = 4 * 2**30
_MAX_DEPTH = 100
# A pickle can say "the same list again" in two bytes, and so grow without bound when it is written out.
_FREE_ITEMS, _ITEMS_PER_BYTE, _CHARACTERS_PER_ITEM = 10_000_000, 20, 100

# FAISS crashes the process, or invents numbers, when others are asked for their vectors.
_KINDS = (
    "IndexFlat",
    "IndexFlatL2",
    "IndexFlatIP",
    "IndexScalarQuantizer",
    "IndexHNSWFlat",
    "IndexHNSWSQ",
    "IndexIVFFlat",
    "IndexIVFScalarQuantizer",
)

# What pickle.dump writes, in protocols 2 to 5, for texts, numbers, containers and objects; nothing that reaches
# copyreg's registry (EXT), the caller (PERSID, NEXT_BUFFER) or allocates what the file does not hold (BYTEARRAY8).
_INSTRUCTIONS = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
    SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8
    EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS
    EMPTY_SET ADDITEMS FROZENSET MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET
    GLOBAL STACK_GLOBAL REDUCE NEWOBJ NEWOBJ_EX BUILD
    """.split()  # noqa: SIM905
)

_logger = logging.getLogger(__name__)


class _Inert:
    """Takes whatever a pickle gives it and does nothing with it."""

    __slots__ = ("state",)

    def __new__(cls, *_: Any, **__: Any) -> _Inert:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    # Without it, a BUILD on the class itself could set attributes of the class.
    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Docstore(_Inert):
    """In place of an InMemoryDocstore."""


class _Document(_Inert):
    """In place of a Document."""


_KNOWN: dict[tuple[str, str], type[_Inert]] = {
    **{
        (module, "InMemoryDocstore"): _Docstore
        for module in (
            "langchain_community.docstore.in_memory",
            "langchain.docstore.in_memory",
            "langchain_classic.docstore.in_memory",
        )
    },
    **{
        (module, "Document"): _Document
        for module in (
            "langchain_core.documents.base",
            "langchain_core.documents",
            "langchain.schema.document",
            "langchain.schema",
            "langchain.docstore.document",
        )
    },
    # Common in metadata. They become nothing, but which document and which key hold them can then be said.
    **{
        (module, name): type(f"{module}.{name}", (_Inert,), {"__slots__": ()})
        for module, names in (
            ("datetime", ("date", "datetime", "time", "timedelta", "timezone")),
            ("decimal", ("Decimal",)),
            ("uuid", ("UUID",)),
        )
        for name in names
    },
}


@dataclass(frozen=True)
class CommunityStore:
    """What a folder holds.

    Attributes:
        documents: The documents under the ids of the docstore, in the order of the vectors.
        vectors: One row each.
        metric: What the index compares.
    """

    documents: list[Document]
    vectors: Vectors
    metric: Metric


def read_community(folder: Path, index_name: str, embedding: Embeddings, metric: Metric | None) -> CommunityStore:
    """Returns what langchain-community's `FAISS.save_local` wrote.

    Args:
        folder: The folder.
        index_name: As in `save_local`.
        embedding: The embedding model; one text is embedded to check the dimension.
        metric: What to compare in place of what the index says.

    Raises:
        IndexStoreError: A file is missing, damaged or names what it should not, the two do not belong together, a
            vector cannot be read back, or the embedding model makes vectors of another dimension.
        InvalidInputError: Metadata is not JSON.
    """
    index, pickled = folder / f"{index_name}.faiss", folder / f"{index_name}.pkl"
    for path in (index, pickled):
        if not path.is_file():
            raise IndexStoreError(
                f"{path} is not there. A folder of langchain-community's FAISS holds {index_name}.faiss and "
                f"{index_name}.pkl; give the folder that save_local wrote, and index_name= if it had one."
            )
    opened = _index(index)
    vectors = _vectors(opened, index)
    if opened.d != (length := len(embedding.embed_query("dimension"))):
        raise IndexStoreError(
            f"{index} holds vectors of {opened.d} dimensions and the embedding model makes {length}. "
            "Give the embedding model that the folder was made with."
        )
    documents = _documents(pickled, len(vectors))
    return CommunityStore(documents, vectors, metric or _metric(opened, index))


def _damaged(path: Path, why: str) -> IndexStoreError:
    return IndexStoreError(
        f"{path} cannot be read: {why}. Save the store again with langchain-community, or restore it."
    )


def _index(path: Path) -> Any:
    faiss = require("faiss", extra="rag")
    try:
        # Through Python's own file: FAISS takes no path in another alphabet on every system.
        with path.open("rb") as file:
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))
    except (RuntimeError, MemoryError, OSError, ValueError) as error:
        raise _damaged(path, f"it is no FAISS index ({_short(error)})") from error


def _metric(index: Any, path: Path) -> Metric:
    faiss = require("faiss", extra="rag")
    known: dict[int, Metric] = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "inner_product"}
    if index.metric_type not in known:
        raise IndexStoreError(
            f"{path} compares by FAISS metric {index.metric_type}, which FaissStore does not know. "
            "Choose metric='cosine', 'inner_product' or 'l2'."
        )
    return known[index.metric_type]


def _vectors(index: Any, path: Path) -> Vectors:
    np = require("numpy", extra="rag")
    kind = type(index).__name__
    if kind not in _KINDS:
        raise IndexStoreError(
            f"{path} is an {kind}, and the vectors cannot be read back from it as they were. Readable are "
            f"{', '.join(_KINDS)}. Build the index again from the documents."
        )
    try:
        if hasattr(index, "invlists"):
            if not np.array_equal(np.sort(_inverted_ids(index)), np.arange(index.ntotal)):
                raise IndexStoreError(
                    f"In {path}, documents were deleted from an index with inverted lists ({kind}). "
                    "langchain-community then no longer knows which vector is whose. Build the index again."
                )
            index.make_direct_map()
        vectors: Vectors = index.reconstruct_n(0, index.ntotal)
    except (RuntimeError, MemoryError, AssertionError) as error:
        raise _damaged(path, f"its vectors cannot be read back ({_short(error)})") from error
    return vectors


def _inverted_ids(index: Any) -> Any:
    np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
    lists = index.invlists
    parts = [np.empty(0, dtype=np.int64)]
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            parts.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
    return np.concatenate(parts)


def _short(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__


class _Unpickler(pickle.Unpickler):
    """Knows the names of `_KNOWN` and no other."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path

    def find_class(self, module: str, name: str, /) -> Any:
        """Returns a stand-in; nothing is imported."""
        known = _KNOWN.get((module, name))
        if known is None:
            raise IndexStoreError(
                f"{self._path} names {module}.{name}, which is neither a document nor a docstore of LangChain. Nothing "
                "of it was imported or run. If you made the file and its metadata holds such objects, turn them into "
                "text or numbers with langchain-community and save it again; otherwise do not trust the file, and "
                "build the index again from the documents."
            )
        return known


def _unpickled(path: Path) -> tuple[Any, int]:
    """Returns what a pickle holds, with stand-ins for all objects, and its size."""
    try:
        size = path.stat().st_size
        if size > MAX_PICKLE_BYTES:
            raise _damaged(path, f"it has {size:,} bytes, and {MAX_PICKLE_BYTES:,} are read at most")
        data = path.read_bytes()
        _check_instructions(data, path)
        return _Unpickler(data, path).load(), size
    except IndexStoreError:
        raise
    except Exception as error:  # a broken pickle raises whatever its instructions run into
        raise _damaged(path, f"it is no pickle of a store, or not all of one ({_short(error)})") from error


def _check_instructions(data: bytes, path: Path) -> None:
    memorised = 0
    for instruction, argument, _ in pickletools.genops(data):
        name = instruction.name
        if name not in _INSTRUCTIONS:
            raise _damaged(path, f"it uses the pickle instruction {name}, which langchain-community does not write")
        if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            # The table of what is remembered grows to the largest number, however few there are.
            if name == "LONG_BINPUT" and (argument or 0) > memorised:
                raise _damaged(path, "its numbering of what it remembers has gaps, which langchain-community's has not")
            memorised += 1


def _documents(path: Path, count: int) -> list[Document]:
    """Returns the documents in the order of their vectors."""
    content, size = _unpickled(path)
    docstore, ids = content if isinstance(content, tuple) and len(content) == 2 else (None, None)
    stored = docstore.state.get("_dict") if isinstance(docstore, _Docstore) and _is_dict(docstore.state) else None
    if not isinstance(stored, dict) or not isinstance(ids, dict):
        raise _damaged(path, "it does not hold a docstore and the ids of the vectors")
    if len(ids) != count or set(map(_exact, ids)) != set(range(count)):
        raise IndexStoreError(
            f"The index holds {count:,} vectors and {path} the ids of {len(ids):,}, or they are not numbered alike. "
            "The two files do not belong together; restore both from one save, or build the index again."
        )
    ordered = [ids[place] for place in range(count)]
    if not all(isinstance(id_, str) for id_ in ordered) or len(set(ordered)) < count:
        raise _damaged(path, "its ids are not texts, or one stands for several vectors")
    if len(stored) > count:
        _logger.warning("%s holds %d documents without a vector; they are left out.", path, len(stored) - count)
    checked = _Checked(_FREE_ITEMS + _ITEMS_PER_BYTE * size, path)
    return [checked.document(id_, stored.get(id_)) for id_ in ordered]


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict)


def _exact(number: Any) -> Any:
    return number if type(number) is int else None


class _Checked:
    """Turns stand-ins into documents, up to a number of items in all."""

    def __init__(self, items: int, path: Path) -> None:
        self._items, self._path = items, path

    def document(self, id_: str, stored: Any) -> Document:
        """Returns a document.

        Raises:
            IndexStoreError: It is none.
            InvalidInputError: Its metadata is not JSON.
        """
        state = stored.state if isinstance(stored, _Document) else None
        fields = state.get("__dict__") if isinstance(state, dict) else None
        text = fields.get("page_content") if isinstance(fields, dict) else None
        if not isinstance(fields, dict) or not isinstance(text, str):
            raise IndexStoreError(
                f"The document {id_!r} is not in {self._path}, or it is no text document. Build the index again."
            )
        metadata = fields.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise _damaged(self._path, f"the metadata of document {id_!r} is no dict")
        self._spend(text)
        for key, value in metadata.items():
            what = _not_text(key) or self._fault(value, 1)
            if what is not None:
                raise InvalidInputError(
                    f"The metadata of document {id_!r} cannot be kept as JSON: {key!r} holds {what}. Turn it into text "
                    "or numbers with langchain-community and save the store again."
                )
        return Document(id=id_, page_content=text, metadata=metadata)

    def _spend(self, value: Any) -> None:
        self._items -= 1 + (len(value) // _CHARACTERS_PER_ITEM if isinstance(value, str) else 0)
        if self._items < 0:
            raise _damaged(self._path, "it repeats parts of itself until they fill the memory")

    def _fault(self, value: Any, depth: int) -> str | None:
        """Returns what in a value is not JSON, or None."""
        self._spend(value)
        if depth > _MAX_DEPTH:
            return f"more than {_MAX_DEPTH} lists or dicts within each other"
        if isinstance(value, Mapping):
            found = (_not_text(key) or self._fault(item, depth + 1) for key, item in value.items())
            return next((what for what in found if what is not None), None)
        if isinstance(value, list | tuple):
            return next((what for item in value if (what := self._fault(item, depth + 1)) is not None), None)
        return None if value is None or isinstance(value, str | int | float) else f"a {_name(value)}"


def _not_text(key: Any) -> str | None:
    return None if isinstance(key, str) else f"a key that is no text (a {_name(key)})"


def _name(value: Any) -> str:
    return type(value).__name__.lstrip("_")
