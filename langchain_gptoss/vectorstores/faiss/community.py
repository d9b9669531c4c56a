"""Import of folders that langchain-community's FAISS saved: `index.faiss` and `index.pkl`, without running the pickle.

A pickle is a program that can call any function of the machine that opens it. It is read in two steps:

1. Its opcodes are checked against an allow-list, without executing them. An `Unpickler` with an allow-list of classes
   is not enough: in CPython, a 9-byte pickle that memorizes one value under the number 2**32 - 1 makes it fill 64 GB of
   memory, and BYTEARRAY8 reserves any size that the file claims.
2. It is unpickled with an allow-list of classes: a docstore, a Document, dates. All of them become stand-ins of this
   module, which keep their state and have no behaviour. Nothing is imported.

The folder is only read.
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
from langchain_gptoss.vectorstores.similarity import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

MAX_PICKLE_BYTES = 4 * 2**30
MAX_METADATA_DEPTH = 100
# A pickle can repeat a list in two bytes, so its content can be much larger than the file when written as JSON. The
# number of items is limited to MIN_ITEM_LIMIT plus ITEMS_PER_BYTE for each byte of the file.
MIN_ITEM_LIMIT, ITEMS_PER_BYTE = 10_000_000, 20
CHARACTERS_PER_ITEM = 100  # so many characters count as one item more

# For other kinds, FAISS crashes the process or returns wrong numbers when asked for their vectors.
READABLE_KINDS = (
    "IndexFlat",
    "IndexFlatL2",
    "IndexFlatIP",
    "IndexScalarQuantizer",
    "IndexHNSWFlat",
    "IndexHNSWSQ",
    "IndexIVFFlat",
    "IndexIVFScalarQuantizer",
)

# Opcodes that pickle.dump writes in protocols 2 to 5 for texts, numbers, containers and objects. Not allowed are those
# that reach copyreg's registry (EXT) or the caller (PERSID, NEXT_BUFFER), or that allocate before reading (BYTEARRAY8).
ALLOWED_OPCODES = frozenset(
    """
    PROTO FRAME STOP MARK POP POP_MARK NONE NEWTRUE NEWFALSE BININT BININT1 BININT2 LONG1 LONG4 BINFLOAT
    SHORT_BINUNICODE BINUNICODE BINUNICODE8 SHORT_BINBYTES BINBYTES BINBYTES8
    EMPTY_LIST APPEND APPENDS LIST EMPTY_TUPLE TUPLE TUPLE1 TUPLE2 TUPLE3 EMPTY_DICT DICT SETITEM SETITEMS
    EMPTY_SET ADDITEMS FROZENSET MEMOIZE BINPUT LONG_BINPUT BINGET LONG_BINGET
    GLOBAL STACK_GLOBAL REDUCE NEWOBJ NEWOBJ_EX BUILD
    """.split()  # noqa: SIM905
)

_logger = logging.getLogger(__name__)


class _StandIn:
    """Object in place of one that the pickle names: keeps its state and has no behaviour."""

    __slots__ = ("state",)

    def __new__(cls, *_: Any, **__: Any) -> _StandIn:
        return object.__new__(cls)

    def __init__(self, *_: Any, **__: Any) -> None:
        self.state: Any = None

    # Without this method, the opcode BUILD on the class itself could set attributes of the class.
    def __setstate__(self, state: Any) -> None:
        self.state = state


class _Docstore(_StandIn):
    """Stand-in for an InMemoryDocstore."""


class _Document(_StandIn):
    """Stand-in for a Document."""


ALLOWED_CLASSES: dict[tuple[str, str], type[_StandIn]] = {
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
    # Common in metadata. They cannot be converted, but the error can name the document and the key that contain them.
    **{
        (module, name): type(f"{module}.{name}", (_StandIn,), {"__slots__": ()})
        for module, names in (
            ("datetime", ("date", "datetime", "time", "timedelta", "timezone")),
            ("decimal", ("Decimal",)),
            ("uuid", ("UUID",)),
        )
        for name in names
    },
}


@dataclass(frozen=True)
class CommunityFolder:
    """Content of a folder.

    Attributes:
        documents: The documents with the ids of the docstore, in the order of the vectors.
        vectors: One vector per document, of shape (documents, dimension).
        metric: How the index compares vectors.
    """

    documents: list[Document]
    vectors: Vectors
    metric: Metric


def read_community_folder(
    folder: Path, index_name: str, embedding: Embeddings, metric: Metric | None
) -> CommunityFolder:
    """Return the content of a folder that langchain-community's `FAISS.save_local` wrote.

    Args:
        folder: The folder.
        index_name: The name given to `save_local`.
        embedding: The embedding model; one text is embedded to check the dimension.
        metric: Replaces the metric of the index.

    Raises:
        IndexStoreError: A file is missing or damaged, the pickle names a class that is not allowed, the two files do
            not belong together, a vector cannot be read, or the embedding model makes vectors of another dimension.
        InvalidInputError: Metadata cannot be written as JSON.
    """
    index_path, pickle_path = folder / f"{index_name}.faiss", folder / f"{index_name}.pkl"
    for path in (index_path, pickle_path):
        if not path.is_file():
            raise IndexStoreError(
                f"{path} is not there. A folder of langchain-community's FAISS contains {index_name}.faiss and "
                f"{index_name}.pkl.",
                hint="Give the folder that save_local wrote, and its index_name if it had one.",
            )
    index = _read_index(index_path)
    vectors = _read_vectors(index, index_path)
    if index.d != (length := len(embedding.embed_query("dimension"))):
        raise IndexStoreError(
            f"{index_path} contains vectors of {index.d} dimensions, and the embedding model makes {length}.",
            hint="Give the embedding model that the folder was made with.",
        )
    documents = _read_documents(pickle_path, len(vectors))
    return CommunityFolder(documents, vectors, metric or _get_metric(index, index_path))


def _build_damage_error(path: Path, reason: str) -> IndexStoreError:
    return IndexStoreError(
        f"{path} cannot be read: {reason}.", hint="Save the store again with langchain-community, or restore it."
    )


def _read_index(path: Path) -> Any:
    faiss = require("faiss", extra="rag")
    try:
        # FAISS does not take paths in every alphabet on every system, so Python opens the file.
        with path.open("rb") as file:
            return faiss.read_index(faiss.PyCallbackIOReader(file.read))
    except (RuntimeError, MemoryError, OSError, ValueError) as error:
        raise _build_damage_error(path, f"it is not a FAISS index ({_shorten_error(error)})") from error


def _get_metric(index: Any, path: Path) -> Metric:
    faiss = require("faiss", extra="rag")
    metric_by_code: dict[int, Metric] = {faiss.METRIC_L2: "l2", faiss.METRIC_INNER_PRODUCT: "inner_product"}
    if index.metric_type not in metric_by_code:
        raise IndexStoreError(
            f"{path} compares by FAISS metric {index.metric_type}, which FaissStore does not support.",
            hint="Choose metric='cosine', 'inner_product' or 'l2'.",
        )
    return metric_by_code[index.metric_type]


def _read_vectors(index: Any, path: Path) -> Vectors:
    np = require("numpy", extra="rag")
    kind = type(index).__name__
    if kind not in READABLE_KINDS:
        raise IndexStoreError(
            f"{path} is an {kind}, from which the original vectors cannot be read. Readable are "
            f"{', '.join(READABLE_KINDS)}.",
            hint="Build the index again from the documents.",
        )
    try:
        if hasattr(index, "invlists"):
            if not np.array_equal(np.sort(_read_inverted_ids(index)), np.arange(index.ntotal)):
                raise IndexStoreError(
                    f"In {path}, documents were deleted from an index with inverted lists ({kind}). After that, "
                    "langchain-community does not know which vector belongs to which document.",
                    hint="Build the index again.",
                )
            index.make_direct_map()
        vectors: Vectors = index.reconstruct_n(0, index.ntotal)
    except (RuntimeError, MemoryError, AssertionError) as error:
        raise _build_damage_error(path, f"its vectors cannot be read ({_shorten_error(error)})") from error
    return vectors


def _read_inverted_ids(index: Any) -> Any:
    np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
    lists = index.invlists
    parts = [np.empty(0, dtype=np.int64)]
    for number in range(index.nlist):
        size = lists.list_size(number)
        if size:
            parts.append(faiss.rev_swig_ptr(lists.get_ids(number), size).copy())
    return np.concatenate(parts)


def _shorten_error(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[-1][:200] if lines else type(error).__name__


class _Unpickler(pickle.Unpickler):
    """Resolves the names of `ALLOWED_CLASSES` and no others."""

    def __init__(self, data: bytes, path: Path) -> None:
        super().__init__(io.BytesIO(data))
        self._path = path

    def find_class(self, module: str, name: str, /) -> Any:
        """Return the stand-in for a class, without importing anything."""
        stand_in = ALLOWED_CLASSES.get((module, name))
        if stand_in is None:
            raise IndexStoreError(
                f"{self._path} names {module}.{name}, which is neither a document nor a docstore of LangChain. Nothing "
                "of it was imported or run.",
                hint="If you made the file and its metadata contains such objects, convert them to strings or numbers "
                "with langchain-community and save it again; otherwise do not trust the file, and build the index "
                "again from the documents.",
            )
        return stand_in


def _unpickle(path: Path) -> tuple[Any, int]:
    """Return the content of a pickle, with stand-ins for all objects, and the size of the file in bytes."""
    try:
        size_bytes = path.stat().st_size
        if size_bytes > MAX_PICKLE_BYTES:
            raise _build_damage_error(path, f"it has {size_bytes:,} bytes, and the limit is {MAX_PICKLE_BYTES:,}")
        data = path.read_bytes()
        _check_opcodes(data, path)
        return _Unpickler(data, path).load(), size_bytes
    except IndexStoreError:
        raise
    except Exception as error:  # opcodes of a damaged pickle can raise anything
        raise _build_damage_error(path, f"it is not a complete pickle of a store ({_shorten_error(error)})") from error


def _check_opcodes(data: bytes, path: Path) -> None:
    """Reject opcodes that `pickle.dump` does not write for documents; see the module for the reason."""
    memo_size = 0
    for opcode, argument, _ in pickletools.genops(data):
        name = opcode.name
        if name not in ALLOWED_OPCODES:
            raise _build_damage_error(
                path, f"it uses the pickle opcode {name}, which langchain-community does not write"
            )
        if name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
            # The memo is an array that grows to the largest number, however few numbers are used.
            if name == "LONG_BINPUT" and (argument or 0) > memo_size:
                raise _build_damage_error(path, "its memo numbers have gaps, which langchain-community does not write")
            memo_size += 1


def _read_documents(path: Path, count: int) -> list[Document]:
    """Return the documents in the order of their vectors."""
    content, size_bytes = _unpickle(path)
    docstore, ids = content if isinstance(content, tuple) and len(content) == 2 else (None, None)
    state = docstore.state if isinstance(docstore, _Docstore) else None
    documents = state.get("_dict") if isinstance(state, dict) else None
    if not isinstance(documents, dict) or not isinstance(ids, dict):
        raise _build_damage_error(path, "it does not contain a docstore and the ids of the vectors")
    positions = {position for position in ids if type(position) is int}
    if len(ids) != count or positions != set(range(count)):
        raise IndexStoreError(
            f"The index contains {count:,} vectors and {path} the ids of {len(ids):,}, or their numbers differ. "
            "The two files do not belong together.",
            hint="Restore both from one save, or build the index again.",
        )
    ordered_ids = [ids[position] for position in range(count)]
    if not all(isinstance(id_, str) for id_ in ordered_ids) or len(set(ordered_ids)) < count:
        raise _build_damage_error(path, "its ids are not strings, or one id occurs twice")
    if len(documents) > count:
        _logger.warning("%s contains %d documents without a vector; they are skipped.", path, len(documents) - count)
    converter = _DocumentConverter(MIN_ITEM_LIMIT + ITEMS_PER_BYTE * size_bytes, path)
    return [converter.convert(id_, documents.get(id_)) for id_ in ordered_ids]


class _DocumentConverter:
    """Converts stand-ins into documents.

    Args:
        max_items: Number of items in all documents together, at most.
        path: The pickle file, for error messages.
    """

    def __init__(self, max_items: int, path: Path) -> None:
        self._items_left, self._path = max_items, path

    def convert(self, id_: str, stand_in: Any) -> Document:
        """Return a document.

        Raises:
            IndexStoreError: The object is not a text document.
            InvalidInputError: Its metadata cannot be written as JSON.
        """
        state = stand_in.state if isinstance(stand_in, _Document) else None
        fields = state.get("__dict__") if isinstance(state, dict) else None
        text = fields.get("page_content") if isinstance(fields, dict) else None
        if not isinstance(fields, dict) or not isinstance(text, str):
            raise IndexStoreError(
                f"The document {id_!r} is not in {self._path}, or it is not a text document.",
                hint="Build the index again.",
            )
        metadata = fields.get("metadata") or {}
        if not isinstance(metadata, dict):
            raise _build_damage_error(self._path, f"the metadata of document {id_!r} is not a dict")
        self._count_item(text)
        for key, value in metadata.items():
            problem = _find_key_problem(key) or self._find_problem(value, 1)
            if problem is not None:
                raise InvalidInputError(
                    f"The metadata of document {id_!r} cannot be written as JSON: {key!r} contains {problem}.",
                    hint="Convert it to strings or numbers with langchain-community and save the store again.",
                )
        return Document(id=id_, page_content=text, metadata=metadata)

    def _count_item(self, value: Any) -> None:
        self._items_left -= 1 + (len(value) // CHARACTERS_PER_ITEM if isinstance(value, str) else 0)
        if self._items_left < 0:
            raise _build_damage_error(self._path, "it repeats parts of itself until they fill the memory")

    def _find_problem(self, value: Any, depth: int) -> str | None:
        """Return the part of a value that JSON cannot represent, or None."""
        self._count_item(value)
        if depth > MAX_METADATA_DEPTH:
            return f"more than {MAX_METADATA_DEPTH} nested lists or dicts"
        if isinstance(value, Mapping):
            problems = (_find_key_problem(key) or self._find_problem(item, depth + 1) for key, item in value.items())
        elif isinstance(value, list | tuple):
            problems = (self._find_problem(item, depth + 1) for item in value)
        else:
            is_json = value is None or isinstance(value, str | int | float)
            return None if is_json else f"a {_get_type_name(value)}"
        return next((problem for problem in problems if problem is not None), None)


def _find_key_problem(key: Any) -> str | None:
    return None if isinstance(key, str) else f"a key that is not a string (a {_get_type_name(key)})"


def _get_type_name(value: Any) -> str:
    return type(value).__name__.lstrip("_")
