"""Inverted lists that stay in a file, for a `FaissStore` whose vectors would take too much memory.

The file is the one that was saved, or a nameless one in the folder for temporary files; FAISS maps it and never writes
to it. What is added lies in memory beside it, in an index that has learned the same; what is deleted is left out of
searches. When either has become too much, file and memory are written together into another nameless file, list by
list. So changes never touch what a reader reads, and a crash leaves nothing behind.

A saved store looks the same wherever its lists were: as FAISS writes inverted lists from memory.
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
from langchain_gptoss.models.planning import operating_system as machine
from langchain_gptoss.vectorstores.faiss.index import Kind, Metric, VectorIndex, can_map, is_too_large
from langchain_gptoss.vectorstores.filters import Allowed

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.int64]
    Flags = NDArray[np.bool_]
    Bits = NDArray[np.uint8]

Kept = Callable[["VectorIndex", "Keys"], "Flags | None"]
"""Returns which of the keys in a list of an index are to be written; None means all."""

_FRESH_BYTES = 2**26  # in memory beside the file: at least so much,
_FRESH_SHARE = 1 / 8  # or this part of the memory that is free


def read_index(path: Path, kind: Kind, metric: Metric, trained_on: int, asked: Kind | None) -> VectorIndex:
    """Returns the index in a file whose SHA-256 has been checked, with its lists in memory or left in the file.

    Args:
        path: The file.
        kind: The kind of index it holds.
        metric: What is compared.
        trained_on: How many vectors the store held when it was trained.
        asked: What the user asked for; None leaves it to the file's size and the memory that is free.

    Raises:
        ValueError: The file holds another kind of index.
        RuntimeError: It holds none.
    """
    kind, not_mapped = kind.in_memory, ""
    if kind.lists and (asked.disk if asked is not None else is_too_large(path.stat().st_size)) and can_map():
        try:
            with path.open("rb") as file:
                base = _mapped(file, kind, metric, trained_on)
            return DiskIndex(_empty_like(base), base)
        except RuntimeError as error:  # such as a network drive that maps nothing
            not_mapped = f"{path.name} cannot be mapped ({error})"
    index = VectorIndex.read(path, kind, metric, trained_on)
    index.not_mapped = not_mapped
    return index


def _mapped(file: IO[bytes], kind: Kind, metric: Metric, trained_on: int) -> VectorIndex:
    """Returns the index in an open file, with its lists left there; the file may be closed and lose its name."""
    faiss = require("faiss", extra="rag")
    file.seek(0)
    index = faiss.read_index(f"/dev/fd/{file.fileno()}", faiss.IO_FLAG_MMAP)
    mapped = VectorIndex.checked(index, kind, metric, trained_on)
    lists = faiss.downcast_InvertedLists(index.invlists)
    _check_sizes(lists, index)
    # Otherwise every search starts threads that read all of its lists before they are searched.
    lists.prefetch_nthread = 0
    return mapped


def _check_sizes(lists: Any, index: Any) -> None:
    """Refuses a file that is shorter than it says, since to read past its end ends the process.

    Raises:
        ValueError: It is.
    """
    entry = index.code_size + 8
    sizes = [lists.list_size(number) for number in range(index.nlist)]
    last = lists.lists.at(index.nlist - 1)
    within = last.offset + sizes[-1] * entry <= lists.totsize and max(sizes) * entry <= lists.totsize
    if not within or sum(sizes) != index.ntotal or lists.code_size != index.code_size or lists.nlist != index.nlist:
        raise ValueError("its lists are not as long as its index says")


def _empty_like(index: VectorIndex) -> VectorIndex:
    """Returns an empty index in memory that has learned what another has."""
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
    """Inverted lists in a file, and beside them, in memory, what has changed since.

    Args:
        fresh: Lists in memory.
        base: Lists in a file, by the same quantizer; None if there are none yet.
    """

    def __init__(self, fresh: VectorIndex, base: VectorIndex | None = None) -> None:
        super().__init__(fresh._index, replace(fresh.kind, disk=True), fresh.metric, fresh.trained_on)
        self._fresh, self._base = fresh, base
        self._bits = _bits([] if base is None else [base._list_keys(number) for number in range(base.kind.lists)])
        self._in_file = 0 if base is None else len(base)  # without what has been deleted
        self._limit = max(_FRESH_BYTES, int(machine.read_memory()[1] * _FRESH_SHARE))

    @classmethod
    def of(cls, index: VectorIndex) -> DiskIndex:
        """Returns an index with the same vectors, all of them in a file; the other stays as it is.

        Raises:
            StorageError: The disk for temporary files is full, or maps nothing.
        """
        fresh = _empty_like(index)
        return cls(fresh, _in_nameless_file(index, fresh)) if len(index) else cls(fresh)

    def __len__(self) -> int:
        return self._in_file + len(self._fresh)

    def successor(self, count: int, asked: Kind | None) -> Kind | None:
        """Returns the kind to change to, as for every index; the same kind if there is too much beside the file."""
        return super().successor(count, asked) or (self.kind if self._is_full() else None)

    def _is_full(self) -> bool:
        gone = 0 if self._base is None else len(self._base) - self._in_file
        return gone > self._in_file or self.kind.size(len(self._fresh), self.dimension) > self._limit

    def with_room(self) -> VectorIndex:
        """Returns the index to add more vectors to: this one, or one that holds little in memory."""
        return DiskIndex.of(self) if self._is_full() else self

    def remove(self, keys: Keys) -> None:
        """Removes vectors by key."""
        np = require("numpy", extra="rag")
        there = self._are_in_file(keys)
        gone = keys[there]
        np.bitwise_and.at(self._bits, gone >> 3, ~(1 << (gone & 7)).astype(np.uint8))
        self._in_file -= len(gone)
        if not there.all():
            self._fresh.remove(keys[~there])

    def _are_in_file(self, keys: Keys) -> Flags:
        np = require("numpy", extra="rag")
        within = keys < 8 * len(self._bits)
        there: Flags = np.zeros(len(keys), dtype=np.bool_)
        there[within] = self._bits[keys[within] >> 3] >> (keys[within] & 7) & 1
        return there

    def _found(self, query: Vectors, k: int, allowed: Allowed | None, probes: int) -> tuple[Any, Any]:
        np = require("numpy", extra="rag")
        found = [self._fresh._found(query, k, allowed, probes)] if len(self._fresh) else []
        if self._base is not None and self._in_file:
            if allowed is None and self._in_file < len(self._base):
                allowed = Allowed(self._bits, self._in_file)
            found.append(self._base._found(query, k, allowed, probes))
        scores, keys = (np.concatenate(parts) for parts in zip(*found, strict=True))
        order = np.argsort(scores if self.metric == "l2" else -scores, kind="stable")
        order = np.concatenate([order[keys[order] >= 0], order[keys[order] < 0]])[:k]
        return scores[order], keys[order]

    def vectors_of(self, keys: list[int], query: Vectors) -> Vectors:
        """Returns vectors by key, as for every index."""
        np = require("numpy", extra="rag")
        wanted = np.array(keys, dtype=np.int64)
        there = self._are_in_file(wanted)
        vectors: Vectors = np.empty((len(keys), self.dimension), dtype=np.float32)
        for index, chosen in ((self._base, there), (self._fresh, ~there)):
            if index is not None and chosen.any():
                vectors[chosen] = index.vectors_of(wanted[chosen].tolist(), query)
        return vectors

    def keys(self) -> Keys:
        """Returns all keys, in no order."""
        np = require("numpy", extra="rag")
        in_file = np.flatnonzero(np.unpackbits(self._bits, bitorder="little"))
        keys: Keys = np.concatenate([in_file, self._fresh.keys()])
        return keys

    def chunks(self) -> Iterator[tuple[Keys, Vectors]]:
        """Yields all keys and vectors, in no order."""
        for keys, vectors in self._base.chunks() if self._base is not None else ():
            there = self._are_in_file(keys)
            if there.any():
                yield keys[there], vectors[there]
        yield from self._fresh.chunks()

    def _sample_into(self, sampled: Vectors, random: np.random.Generator) -> None:
        fresh = -(-len(sampled) * len(self._fresh) // max(1, len(self)))
        self._fresh._sample_into(sampled[:fresh], random)
        if self._base is not None:
            self._base._sample_into(sampled[fresh:], random)  # among them what is deleted: it was alike

    def write(self, path: Path) -> None:
        """Writes the index as if its lists were in memory, without having them there."""
        with path.open("wb") as file:
            self.write_to(file)

    def write_to(self, file: IO[bytes]) -> None:
        """Writes the index into an open file."""
        parts = [part for part in (self._base, self._fresh) if part is not None]
        _write_lists(file, parts, _empty_like(self._fresh), self._kept)

    def _kept(self, part: VectorIndex, keys: Keys) -> Flags | None:
        """Returns which of the keys in a list are still there; None means all."""
        if part is self._fresh or self._base is None or self._in_file == len(self._base):
            return None
        return self._are_in_file(keys)

    def _why_there(self, asked: Kind | None) -> str:
        if asked is not None and asked.disk:
            return "; the lists stay in a file"
        size = self.kind.size(len(self), self.dimension) / 1e9
        return f"; the lists stay in a file: {size:.1f} GB would have been more than half of the memory that was free"


def _bits(lists_of_keys: Sequence[Keys]) -> Bits:
    """Returns one bit per key, as `Allowed` has them.

    Raises:
        ValueError: A key is there twice, or is none.
    """
    np = require("numpy", extra="rag")
    stop = max((int(keys.max()) + 1 for keys in lists_of_keys if len(keys)), default=0)
    there = np.zeros(stop, dtype=np.bool_)
    for keys in lists_of_keys:
        if len(keys) and (keys.min() < 0 or there[keys].any()):
            raise ValueError("a key in its index is there twice, or is none")
        there[keys] = True
    bits: Bits = np.packbits(there, bitorder="little")
    return bits


def _in_nameless_file(index: VectorIndex, empty: VectorIndex) -> VectorIndex:
    """Returns an index with the same vectors, its lists in a file that is gone when nobody reads it any more."""
    folder = scratch_folder()
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            if isinstance(index, DiskIndex):
                index.write_to(file)
            else:
                _write_lists(file, [index], empty, lambda *_: None)
            file.flush()
            return _mapped(file, empty.kind, empty.metric, empty.trained_on)
    except (OSError, RuntimeError) as error:
        raise StorageError(
            f"The vectors could not be kept in a temporary file in {folder} ({error}). "
            "Free some space, or let the environment variable SQLITE_TMPDIR name a folder with more."
        ) from error


def scratch_folder() -> str:
    """Returns where temporary files go: where SQLite puts those of the documents, since /tmp may lie in memory."""
    named = (os.environ.get("SQLITE_TMPDIR"), os.environ.get("TMPDIR"), "/var/tmp")
    usable = (name for name in named if name and os.path.isdir(name) and os.access(name, os.W_OK | os.X_OK))
    return next(usable, tempfile.gettempdir())


def _write_lists(file: IO[bytes], parts: Sequence[VectorIndex], empty: VectorIndex, kept: Kept) -> None:
    """Writes several indexes of one quantizer as one, list by list, as FAISS's `write_index` writes inverted lists.

    Args:
        file: Where.
        parts: The indexes.
        empty: An index without vectors that has learned what they have.
        kept: What of them.
    """
    np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
    index, lists = empty._index, empty.kind.lists
    sizes = np.zeros(lists, dtype=np.uint64)
    for number in range(lists):
        for part in parts:
            keys = part._list_keys(number)
            there = kept(part, keys)
            sizes[number] += len(keys) if there is None else int(there.sum())
    # The lists come last in the file: index.cpp's "ilar", the number of lists, the bytes of a vector, "full" with the
    # size of each list or "sprs" with those that are not empty; then vectors and keys of each.
    index.ntotal = int(sizes.sum())
    head = faiss.serialize_index(index).tobytes()
    index.ntotal = 0
    start = b"ilar" + struct.pack("<QQ", lists, index.code_size)
    none = start + b"sprs" + struct.pack("<Q", 0)
    if not head.endswith(none):
        raise StorageError(
            f"FAISS {faiss.__version__} writes inverted lists in a way that is not known here, so that those in a file "
            "cannot be written. Install faiss-cpu 1.15, or load the store with its lists in memory "
            f"(index='IVF{lists},{empty.kind.codec}')."
        )
    file.write(head[: -len(none)] + start + b"full" + struct.pack("<Q", lists) + sizes.astype("<u8").tobytes())
    for number in range(lists):
        entries = [_entries(part, number, kept) for part in parts]
        file.writelines(codes for codes, _ in entries)
        file.writelines(keys for _, keys in entries)


def _entries(part: VectorIndex, number: int, kept: Kept) -> tuple[bytes, bytes]:
    """Returns the encoded vectors and the keys of a list."""
    faiss = require("faiss", extra="rag")
    keys = part._list_keys(number)
    if not len(keys):
        return b"", b""
    size = part._index.code_size
    codes = faiss.rev_swig_ptr(part._index.invlists.get_codes(number), len(keys) * size).reshape(len(keys), size)
    there = kept(part, keys)
    if there is not None:
        codes, keys = codes[there], keys[there]
    return codes.tobytes(), keys.tobytes()
