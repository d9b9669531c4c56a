"""Inverted lists that stay in a file, for a `FaissStore` whose vectors take too much memory.

The file is the saved one, or a nameless file in the folder for temporary files. FAISS maps it and never writes to it.
Added vectors are kept in memory beside it, in an index with the same training; deleted ones are left out of searches.
When either become too many, file and memory are written together into another nameless file, list by list. So a
change never touches what a search reads, and a crash leaves nothing behind.

A saved store has the same format wherever its lists were: the one in which FAISS writes inverted lists from memory.
"""

from __future__ import annotations

import os
import struct
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from langchain_gptoss._optional import require
from langchain_gptoss.errors import StorageError
from langchain_gptoss.models.planning import operating_system
from langchain_gptoss.vectorstores.faiss.filter_index import AllowedKeys
from langchain_gptoss.vectorstores.faiss.index import VectorIndex
from langchain_gptoss.vectorstores.faiss.index_kinds import Kind
from langchain_gptoss.vectorstores.similarity import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.int64]
    Mask = NDArray[np.bool_]
    Bits = NDArray[np.uint8]

KeySelector = Callable[["VectorIndex", "Keys"], "Mask | None"]
"""Returns a mask of the keys in a list of an index that are written; None means all."""

# Vectors kept in memory beside the file take at most the larger of these two.
MIN_ADDED_BYTES = 2**26
ADDED_MEMORY_SHARE = 1 / 8  # of the free memory


def map_index(file: IO[bytes], kind: Kind, metric: Metric, trained_on: int) -> VectorIndex:
    """Return the index in an open file, with its lists left in the file. The file may be closed and deleted then.

    Raises:
        ValueError: The file contains another kind of index, or is shorter than its index says.
        RuntimeError: The file contains no index, or cannot be mapped.
    """
    faiss = require("faiss", extra="rag")
    file.seek(0)
    index = faiss.read_index(f"/dev/fd/{file.fileno()}", faiss.IO_FLAG_MMAP)
    mapped = VectorIndex.validate(index, kind, metric, trained_on)
    lists = faiss.downcast_InvertedLists(index.invlists)
    _check_sizes(lists, index)
    # Otherwise every search starts threads that read all of its lists first.
    lists.prefetch_nthread = 0
    return mapped


def _check_sizes(lists: Any, index: Any) -> None:
    """Reject a file that is shorter than its index says: reading past its end would kill the process.

    Raises:
        ValueError: The file is too short.
    """
    entry_bytes = index.code_size + 8
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    last = lists.lists.at(index.nlist - 1)
    fits = last.offset + sizes[-1] * entry_bytes <= lists.totsize and max(sizes) * entry_bytes <= lists.totsize
    if not fits or sum(sizes) != index.ntotal or lists.code_size != index.code_size or lists.nlist != index.nlist:
        raise ValueError("its lists are not as long as its index says")


def copy_empty(index: VectorIndex) -> VectorIndex:
    """Return an index in memory with the training of another index and without its vectors."""
    faiss = require("faiss", extra="rag")
    old = index._index
    quantizer = faiss.clone_index(old.quantizer)
    if index.kind.codec == "SQ8":
        new = faiss.IndexIVFScalarQuantizer(quantizer, old.d, old.nlist, old.sq.qtype, old.metric_type, old.by_residual)
        faiss.copy_array_to_vector(faiss.vector_to_array(old.sq.trained), new.sq.trained)
        new.sq.rangestat_arg = old.sq.rangestat_arg
    else:
        new = faiss.IndexIVFFlat(quantizer, old.d, old.nlist, old.metric_type)
    quantizer.this.disown()
    new.own_fields, new.is_trained = True, True
    return VectorIndex(new, index.kind.in_memory, index.metric, index.trained_on)


class DiskIndex(VectorIndex):
    """Inverted lists in a file, and in memory what changed since.

    Args:
        added: Index in memory for vectors that are not in the file.
        base: Index whose lists are in the file, with the same training; None without a file.
    """

    def __init__(self, added: VectorIndex, base: VectorIndex | None = None) -> None:
        super().__init__(added._index, replace(added.kind, disk=True), added.metric, added.trained_on)
        self._added, self._base = added, base
        # Keys in the file that are not deleted, and their number.
        self._live_bits = _pack_list_keys(
            [] if base is None else [base.get_list_keys(number) for number in range(base.kind.lists)]
        )
        self._live_count = 0 if base is None else len(base)
        free_bytes = operating_system.read_memory()[1]
        self._max_added_bytes = max(MIN_ADDED_BYTES, int(free_bytes * ADDED_MEMORY_SHARE))

    @classmethod
    def copy_from(cls, index: VectorIndex) -> DiskIndex:
        """Return an index with the same vectors, all of them in a file; the old index is unchanged.

        Raises:
            StorageError: The disk for temporary files is full, or its files cannot be mapped.
        """
        empty = copy_empty(index)
        return cls(empty, _write_nameless_file(index, empty)) if len(index) else cls(empty)

    def __len__(self) -> int:
        return self._live_count + len(self._added)

    @property
    def added_count(self) -> int:
        """Number of vectors in memory."""
        return len(self._added)

    @property
    def file_count(self) -> int:
        """Number of vectors in the file, deleted ones included."""
        return 0 if self._base is None else len(self._base)

    def choose_successor(self, count: int, requested: Kind | None) -> Kind | None:
        """Return the kind to change to; the same kind if too much has changed beside the file."""
        return super().choose_successor(count, requested) or (self.kind if self._is_full() else None)

    def _is_full(self) -> bool:
        added_bytes = self.kind.compute_size(len(self._added), self.dimension)
        return self.file_count > 2 * self._live_count or added_bytes > self._max_added_bytes

    def make_room(self) -> VectorIndex:
        """Return the index to add more vectors to: this one, or one that has all its vectors in a file."""
        return DiskIndex.copy_from(self) if self._is_full() else self

    def remove(self, keys: Keys) -> None:
        """Remove vectors by key."""
        np = require("numpy", extra="rag")
        is_in_file = self._find_in_file(keys)
        deleted = keys[is_in_file]
        np.bitwise_and.at(self._live_bits, deleted >> 3, ~(1 << (deleted & 7)).astype(np.uint8))
        self._live_count -= len(deleted)
        if not is_in_file.all():
            self._added.remove(keys[~is_in_file])

    def _find_in_file(self, keys: Keys) -> Mask:
        """Return a mask of the keys that are in the file and not deleted."""
        np = require("numpy", extra="rag")
        is_known = keys < 8 * len(self._live_bits)
        is_in_file: Mask = np.zeros(len(keys), dtype=np.bool_)
        is_in_file[is_known] = self._live_bits[keys[is_known] >> 3] >> (keys[is_known] & 7) & 1
        return is_in_file

    def search_lists(self, query: Vectors, k: int, allowed: AllowedKeys | None, probes: int) -> tuple[Any, Any]:
        """Return scores and keys from the nearest `probes` lists, in memory and in the file."""
        np = require("numpy", extra="rag")
        results = [self._added.search_lists(query, k, allowed, probes)] if len(self._added) else []
        if self._base is not None and self._live_count:
            if allowed is None and self._live_count < len(self._base):
                allowed = AllowedKeys(self._live_bits, self._live_count)
            results.append(self._base.search_lists(query, k, allowed, probes))
        scores, keys = (np.concatenate(parts) for parts in zip(*results, strict=True))
        order = np.argsort(scores if self.metric == "l2" else -scores, kind="stable")
        order = np.concatenate([order[keys[order] >= 0], order[keys[order] < 0]])[:k]
        return scores[order], keys[order]

    def get_vectors(self, keys: list[int], query: Vectors) -> Vectors:
        """Return vectors by key."""
        np = require("numpy", extra="rag")
        key_array = np.array(keys, dtype=np.int64)
        is_in_file = self._find_in_file(key_array)
        vectors: Vectors = np.empty((len(keys), self.dimension), dtype=np.float32)
        for index, rows in ((self._base, is_in_file), (self._added, ~is_in_file)):
            if index is not None and rows.any():
                vectors[rows] = index.get_vectors(key_array[rows].tolist(), query)
        return vectors

    def get_keys(self) -> Keys:
        """Return all keys, in no particular order."""
        np = require("numpy", extra="rag")
        file_keys = np.flatnonzero(np.unpackbits(self._live_bits, bitorder="little"))
        keys: Keys = np.concatenate([file_keys, self._added.get_keys()])
        return keys

    def iterate_chunks(self) -> Iterator[tuple[Keys, Vectors]]:
        """Yield all keys and vectors, in no particular order."""
        for keys, vectors in self._base.iterate_chunks() if self._base is not None else ():
            is_live = self._find_in_file(keys)
            if is_live.any():
                yield keys[is_live], vectors[is_live]
        yield from self._added.iterate_chunks()

    def fill_sample(self, sample: Vectors, random: np.random.Generator) -> None:
        """Fill an array with random vectors from memory and file."""
        added = -(-len(sample) * len(self._added) // max(1, len(self)))
        self._added.fill_sample(sample[:added], random)
        if self._base is not None:
            self._base.fill_sample(sample[added:], random)  # deleted vectors included: they train as well as others

    def write(self, path: Path) -> None:
        """Write the index as if its lists were in memory, without loading them."""
        with path.open("wb") as file:
            self.write_to(file)

    def write_to(self, file: IO[bytes]) -> None:
        """Write the index into an open file."""
        parts = [part for part in (self._base, self._added) if part is not None]
        _write_lists(file, parts, copy_empty(self._added), self._select_live)

    def _select_live(self, part: VectorIndex, keys: Keys) -> Mask | None:
        """Return a mask of the keys of a list that are not deleted; None means all."""
        if part is self._added or self.file_count == self._live_count:
            return None
        return self._find_in_file(keys)

    def _explain_placement(self, requested: Kind | None) -> str:
        if requested is not None and requested.disk:
            return "; the lists stay in a file"
        size_gb = self.kind.compute_size(len(self), self.dimension) / 1e9
        return f"; the lists stay in a file: {size_gb:.1f} GB are more than half of the memory that was free"


def _pack_list_keys(lists_of_keys: Sequence[Keys]) -> Bits:
    """Return one bit per key, as in `AllowedKeys`.

    Raises:
        ValueError: A key is negative or occurs twice.
    """
    np = require("numpy", extra="rag")
    stop = max((int(keys.max()) + 1 for keys in lists_of_keys if len(keys)), default=0)
    mask = np.zeros(stop, dtype=np.bool_)
    for keys in lists_of_keys:
        if len(keys) and (keys.min() < 0 or mask[keys].any()):
            raise ValueError("a key of its index is negative or occurs twice")
        mask[keys] = True
    bits: Bits = np.packbits(mask, bitorder="little")
    return bits


def _write_nameless_file(index: VectorIndex, empty: VectorIndex) -> VectorIndex:
    """Return an index with the same vectors and its lists in a file that vanishes with the index."""
    folder = choose_scratch_folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if isinstance(index, DiskIndex):
                index.write_to(file)
            else:
                _write_lists(file, [index], empty, lambda *_: None)
            file.flush()
            return map_index(file, empty.kind, empty.metric, empty.trained_on)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"The vectors cannot be written to a temporary file in {folder} ({error}).",
            hint="Free some space, or set the environment variable SQLITE_TMPDIR to a folder with more.",
        ) from error


def choose_scratch_folder() -> str:
    """Return the folder for temporary files.

    It is the one that SQLite uses for the documents, because /tmp may be in memory.
    """
    candidates = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp")
    usable = (path for path in candidates if path and os.path.isdir(path) and os.access(path, os.W_OK | os.X_OK))
    return next(usable, tempfile.gettempdir())


def _write_lists(file: IO[bytes], parts: Sequence[VectorIndex], empty: VectorIndex, select: KeySelector) -> None:
    """Write several indexes with one training as one index, list by list, in the format of FAISS's `write_index`.

    Args:
        file: The file to write to.
        parts: The indexes.
        empty: An index without vectors that has the same training.
        select: Selects the keys of each list to write.
    """
    np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
    index, lists = empty._index, empty.kind.lists
    sizes = np.zeros(lists, dtype=np.uint64)
    for number in range(lists):
        for part in parts:
            keys = part.get_list_keys(number)
            mask = select(part, keys)
            sizes[number] += len(keys) if mask is None else int(mask.sum())
    # The lists come last in the file (faiss/impl/index_write.cpp): "ilar", the number of lists, the bytes of a vector,
    # "full" with the size of each list or "sprs" with those that are not empty; then vectors and keys of each list.
    index.ntotal = int(sizes.sum())
    head = faiss.serialize_index(index).tobytes()
    index.ntotal = 0
    start = b"ilar" + struct.pack("<QQ", lists, index.code_size)
    no_lists = start + b"sprs" + struct.pack("<Q", 0)
    if not head.endswith(no_lists):
        raise StorageError(
            f"FAISS {faiss.__version__} writes inverted lists in an unknown format, so lists in a file cannot be "
            "saved.",
            hint="Install faiss-cpu 1.15, or load the store with its lists in memory "
            f"(index='IVF{lists},{empty.kind.codec}').",
        )
    file.write(head[: -len(no_lists)] + start + b"full" + struct.pack("<Q", lists) + sizes.astype("<u8").tobytes())
    for number in range(lists):
        entries = [_read_entries(part, number, select) for part in parts]
        file.writelines(codes for codes, _ in entries)
        file.writelines(keys for _, keys in entries)


def _read_entries(part: VectorIndex, number: int, select: KeySelector) -> tuple[bytes, bytes]:
    """Return the encoded vectors and the keys of one list."""
    faiss = require("faiss", extra="rag")
    keys = part.get_list_keys(number)
    if not len(keys):
        return b"", b""
    size = part._index.code_size
    codes = faiss.rev_swig_ptr(part._index.invlists.get_codes(number), len(keys) * size).reshape(len(keys), size)
    mask = select(part, keys)
    if mask is not None:
        codes, keys = codes[mask], keys[mask]
    return codes.tobytes(), keys.tobytes()
