"""The FAISS index with the vectors of a `FaissStore`, addressed by key.

Nothing here is thread-safe: `core.py` decides which calls may run at the same time.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_gptoss._optional import require
from langchain_gptoss.vectorstores.faiss.filter_index import AllowedKeys
from langchain_gptoss.vectorstores.faiss.index_kinds import (
    MAX_GROWTH,
    IndexInfo,
    Kind,
    can_map_lists,
    choose_kind,
    is_too_large_for_memory,
)
from langchain_gptoss.vectorstores.similarity import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    Keys = NDArray[np.int64]

MEMORY_CHECK_INTERVAL = 16_384  # vectors added between two looks at the free memory
MIN_DISTANCES = 24_576  # distances that a search in inverted lists computes
CHUNK_VECTORS = 16_384


class VectorIndex:
    """A FAISS index of one kind.

    Args:
        index: The FAISS index.
        kind: Its kind.
        metric: How vectors are compared.
        trained_on: Number of vectors in the store when it was trained.
    """

    def __init__(self, index: Any, kind: Kind, metric: Metric, trained_on: int) -> None:
        self._index, self.kind, self.metric, self.trained_on = index, kind, metric, trained_on
        self.not_mapped_reason = ""
        """The reason why the lists were read into memory although they should stay in a file."""

    @classmethod
    def train(cls, kind: Kind, metric: Metric, sample: Vectors, count: int) -> Self:
        """Return a trained index without vectors.

        Args:
            kind: Its kind.
            metric: How vectors are compared; for "cosine" the vectors have length 1.
            sample: Vectors to train with, of shape (sample size, dimension).
            count: Number of vectors in the store.
        """
        faiss = require("faiss", extra="rag")
        code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        index = faiss.index_factory(sample.shape[1], str(kind), code)
        if kind.codec == "SQ8":
            # Later vectors may lie a little outside of the range of the sample.
            index.sq.rangestat_arg = 0.05
        if not index.is_trained:
            index.train(sample)
        if not kind.lists:
            index = faiss.IndexIDMap2(index)
        return cls(index, kind, metric, count if kind.min_training_vectors else 0)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self._index.d)

    def __len__(self) -> int:
        return int(self._index.ntotal)

    def choose_successor(self, count: int, requested: Kind | None) -> Kind | None:
        """Return the kind to change to before the store has `count` vectors, or None to keep this index.

        A store that shrinks keeps its kind, because a change cannot restore what 8 bits have lost.
        """
        kind = self._choose_kind(count, requested)
        is_outgrown = self.is_outgrown(count)
        if requested is None and kind.disk and self.kind.lists and not is_outgrown:
            kind = replace(self.kind, disk=True)
        if kind == self.kind:
            return kind if is_outgrown else None
        is_higher = kind.rank > self.kind.rank or (is_outgrown and kind.rank == self.kind.rank)
        is_requested = requested is not None and kind.in_memory == requested.in_memory
        return kind if is_higher or is_requested else None

    def is_outgrown(self, count: int) -> bool:
        """Return True if the index was trained on too few vectors for a store with `count` vectors."""
        return 0 < self.trained_on * MAX_GROWTH < count

    def _choose_kind(self, count: int, requested: Kind | None) -> Kind:
        kind, _ = choose_kind(count, requested)
        if requested is not None or not kind.lists:
            return replace(kind, disk=kind.disk and can_map_lists())
        is_check_due = count // MEMORY_CHECK_INTERVAL > len(self) // MEMORY_CHECK_INTERVAL
        if self.kind.disk or not is_check_due or not can_map_lists():
            return replace(kind, disk=self.kind.disk)
        size_bytes, own_bytes = kind.compute_size(count, self.dimension), kind.compute_size(len(self), self.dimension)
        return replace(kind, disk=is_too_large_for_memory(size_bytes, own_bytes))

    def assign_lists(self, vectors: Vectors) -> Keys | None:
        """Return the inverted list of each vector, or None without lists.

        This is the slow part of adding vectors. Searches may run at the same time.
        """
        if not self.kind.lists:
            return None
        faiss = require("faiss", extra="rag")
        lists: Keys = faiss.downcast_index(self._index.quantizer).assign(vectors, 1).reshape(-1)
        return lists

    def add(self, vectors: Vectors, keys: Keys, lists: Keys | None = None) -> None:
        """Add vectors.

        Args:
            vectors: The vectors, of shape (count, dimension).
            keys: One key per vector.
            lists: The result of `assign_lists`, if it is known.
        """
        if not self.kind.lists:
            self._index.add_with_ids(vectors, keys)
            return
        faiss = require("faiss", extra="rag")
        lists = self.assign_lists(vectors) if lists is None else lists
        pointer = faiss.swig_ptr
        self._index.add_core(len(vectors), pointer(vectors), pointer(keys), pointer(lists))

    def remove(self, keys: Keys) -> None:
        """Remove vectors by key."""
        self._index.remove_ids(keys)

    def search(self, query: Vectors, k: int, allowed: AllowedKeys | None) -> tuple[list[int], list[float]]:
        """Return the keys and scores of the nearest vectors, nearest first.

        Args:
            query: The query, of shape (1, dimension).
            k: Number of results, at most.
            allowed: The keys that may be returned; None allows all.
        """
        candidate_count = len(self) if allowed is None else allowed.count
        k = min(k, candidate_count)
        if k == 0:
            return [], []
        probes = self._choose_probes(k, candidate_count)
        scores, keys = self.search_lists(query, k, allowed, probes)
        if probes < self.kind.lists and (keys < 0).any():
            scores, keys = self.search_lists(query, k, allowed, self.kind.lists)
        is_result = keys >= 0
        return keys[is_result].tolist(), scores[is_result].tolist()

    def _choose_probes(self, k: int, candidate_count: int) -> int:
        """Return the number of lists to read, so that a filter does not lower the number of distances computed."""
        distances = max(MIN_DISTANCES, 64 * k)
        return max(1, min(self.kind.lists, math.ceil(self.kind.lists * distances / max(candidate_count, 1))))

    def search_lists(self, query: Vectors, k: int, allowed: AllowedKeys | None, probes: int) -> tuple[Any, Any]:
        """Return scores and keys from the nearest `probes` lists as FAISS does: key -1 where results are missing."""
        faiss = require("faiss", extra="rag")
        options: dict[str, Any] = {}
        if allowed is not None:
            options["sel"] = faiss.IDSelectorBitmap(allowed.bits)
        if self.kind.lists:
            params = faiss.SearchParametersIVF(nprobe=probes, **options)
        else:
            params = faiss.SearchParameters(**options)
        scores, keys = self._index.search(query, k, params=params)
        return scores[0], keys[0]

    def get_vectors(self, keys: list[int], query: Vectors) -> Vectors:
        """Return vectors by key; approximate if they are stored in 8 bits.

        Args:
            keys: Keys of vectors in the index.
            query: Lists near this vector are read first; the query with which the keys were found makes it fast.
        """
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        key_array = np.array(keys, dtype=np.int64)
        if not self.kind.lists:
            vectors: Vectors = self._index.reconstruct_batch(key_array)
            return vectors
        # An inverted file does not know which list holds a key.
        vectors = np.empty((len(keys), self.dimension), dtype=np.float32)
        row_by_key, missing = {key: row for row, key in enumerate(keys)}, len(keys)
        for number in faiss.downcast_index(self._index.quantizer).assign(query, self.kind.lists)[0].tolist():
            list_keys = self.get_list_keys(number)
            for offset in np.flatnonzero(np.isin(list_keys, key_array)).tolist():
                vectors[row_by_key[int(list_keys[offset])]] = self._decode_list(number, [offset])[0]
                missing -= 1
            if not missing:
                break
        return vectors

    def get_keys(self) -> Keys:
        """Return all keys, in no particular order."""
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        if not self.kind.lists:
            keys: Keys = faiss.vector_to_array(self._index.id_map)
            return keys
        parts = [self.get_list_keys(number) for number in range(self.kind.lists)]
        keys = np.concatenate([np.empty(0, dtype=np.int64), *parts])
        return keys  # noqa: RET504

    def get_list_keys(self, number: int) -> Keys:
        """Return the keys in one inverted list."""
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        inverted = self._index.invlists
        keys: Keys = np.empty(inverted.list_size(number), dtype=np.int64)
        if len(keys):
            faiss.memcpy(faiss.swig_ptr(keys), inverted.get_ids(number), keys.nbytes)
        return keys

    def iterate_chunks(self) -> Iterator[tuple[Keys, Vectors]]:
        """Yield all keys and vectors, in no particular order."""
        if not self.kind.lists:
            keys = self.get_keys()
            for start in range(0, len(keys), CHUNK_VECTORS):
                count = min(CHUNK_VECTORS, len(keys) - start)
                yield keys[start : start + count], self._index.index.reconstruct_n(start, count)
            return
        for number in range(self.kind.lists):
            keys = self.get_list_keys(number)
            if len(keys):
                yield keys, self._decode_list(number, range(len(keys)))

    def _decode_list(self, number: int, offsets: Any) -> Vectors:
        np, faiss = require("numpy", extra="rag"), require("faiss", extra="rag")
        vectors: Vectors = np.empty((len(offsets), self.dimension), dtype=np.float32)
        for row, offset in enumerate(offsets):
            self._index.reconstruct_from_offset(number, int(offset), faiss.swig_ptr(vectors[row]))
        return vectors

    def fill_sample(self, sample: Vectors, random: np.random.Generator) -> None:
        """Fill an array of shape (sample size, dimension) with random vectors of the index."""
        np = require("numpy", extra="rag")
        positions = np.sort(random.choice(len(self), len(sample), replace=False))
        if not self.kind.lists:
            for row, position in enumerate(positions):
                sample[row] = self._index.index.reconstruct(int(position))
            return
        sizes = [self._index.invlists.list_size(number) for number in range(self.kind.lists)]
        ends = np.cumsum(sizes)
        cuts = np.searchsorted(positions, ends)
        for number, (size, end) in enumerate(zip(sizes, ends, strict=True)):
            rows = slice(cuts[number - 1] if number else 0, cuts[number])
            sample[rows] = self._decode_list(number, positions[rows] - (end - size))

    def make_room(self) -> VectorIndex:
        """Return the index to add more vectors to: this one, or one with the same vectors that takes less memory."""
        return self

    def write(self, path: Path) -> None:
        """Write the index to a file."""
        faiss = require("faiss", extra="rag")
        # FAISS does not take paths in every alphabet on every system, so Python opens the file.
        with path.open("wb") as file:
            faiss.write_index(self._index, faiss.PyCallbackIOWriter(file.write))

    @classmethod
    def read(cls, path: Path, kind: Kind, metric: Metric, trained_on: int) -> Self:
        """Return the index in a file whose SHA-256 was verified.

        Raises:
            ValueError: The file contains another kind of index.
            RuntimeError: The file contains no index.
        """
        faiss = require("faiss", extra="rag")
        with path.open("rb") as file:
            index = faiss.read_index(faiss.PyCallbackIOReader(file.read))
        return cls.validate(index, kind, metric, trained_on)

    @classmethod
    def validate(cls, index: Any, kind: Kind, metric: Metric, trained_on: int) -> Self:
        """Return a FAISS index from a file as a `VectorIndex`.

        Raises:
            ValueError: The index is of another kind or metric.
        """
        faiss = require("faiss", extra="rag")
        code = faiss.METRIC_L2 if metric == "l2" else faiss.METRIC_INNER_PRODUCT
        inner = index if kind.lists else faiss.downcast_index(getattr(index, "index", None))
        expected = {
            (False, "Flat"): "IndexFlat",
            (False, "SQ8"): "IndexScalarQuantizer",
            (True, "Flat"): "IndexIVFFlat",
            (True, "SQ8"): "IndexIVFScalarQuantizer",
        }[kind.lists > 0, kind.codec]
        lists = getattr(index, "nlist", 0)
        if not type(inner).__name__.startswith(expected) or index.metric_type != code or lists != kind.lists:
            raise ValueError("its index is not the one its manifest describes")
        return cls(index, kind, metric, trained_on)

    def describe(self, requested: Kind | None) -> IndexInfo:
        """Return the kind of the index and the reason for it."""
        kind, reason = choose_kind(len(self), requested)
        if kind.in_memory != self.kind.in_memory:
            reason = f"chosen when the store had another size, and kept until it has grown {MAX_GROWTH} times"
        return IndexInfo(
            kind=str(self.kind),
            why=reason + self._explain_placement(requested),
            count=len(self),
            dimension=self.dimension,
            metric=self.metric,
            trained_on=self.trained_on,
        )

    def _explain_placement(self, requested: Kind | None) -> str:
        """Return why the lists are in memory or in a file, or an empty string if no reason is needed."""
        is_refused = requested is not None and requested.disk and self.kind.lists > 0 and not can_map_lists()
        reason = self.not_mapped_reason or ("FAISS cannot leave them in a file on this system" if is_refused else "")
        return f"; the lists are in memory: {reason}" if reason else ""
