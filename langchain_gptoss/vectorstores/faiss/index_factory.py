"""Creates, converts and reads the index of a `FaissStore`, with its lists in memory or in a file."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_gptoss._optional import require
from langchain_gptoss.vectorstores.faiss.disk_lists import DiskIndex, copy_empty, map_index
from langchain_gptoss.vectorstores.faiss.index import VectorIndex
from langchain_gptoss.vectorstores.faiss.index_kinds import Kind, can_map_lists, choose_kind, is_too_large_for_memory
from langchain_gptoss.vectorstores.similarity import Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]


def create_index(requested: Kind | None, metric: Metric, vectors: Vectors) -> VectorIndex:
    """Return an index without vectors, trained on the first vectors of a store.

    Args:
        requested: The kind that the user asked for; None chooses by size and free memory.
        metric: How vectors are compared.
        vectors: The first vectors, of shape (count, dimension).
    """
    kind, _ = choose_kind(len(vectors), requested)
    if requested is not None:
        on_disk = kind.disk
    else:
        on_disk = is_too_large_for_memory(kind.compute_size(len(vectors), vectors.shape[1]))
    np = require("numpy", extra="rag")
    sample = vectors
    if len(vectors) > (size := kind.max_training_vectors):
        sample = vectors[np.sort(np.random.default_rng(0).choice(len(vectors), size, replace=False))]
    index = VectorIndex.train(kind.in_memory, metric, np.ascontiguousarray(sample), len(vectors))
    return DiskIndex.copy_from(index) if kind.lists and on_disk and can_map_lists() else index


def convert_index(index: VectorIndex, kind: Kind, new_vectors: Vectors) -> VectorIndex:
    """Return an index of another kind with the same vectors; the old index is unchanged.

    Args:
        index: The old index.
        kind: The new kind.
        new_vectors: The vectors that will be added next. The index is trained on them too.
    """
    count = len(index) + len(new_vectors)
    if kind.disk and kind.in_memory == index.kind.in_memory and not index.is_outgrown(count):
        return DiskIndex.copy_from(index)
    converted = VectorIndex.train(kind.in_memory, index.metric, _draw_sample(index, kind, new_vectors), count)
    if kind.disk:
        converted = DiskIndex.copy_from(converted)
    for keys, vectors in index.iterate_chunks():
        converted = converted.make_room()
        converted.add(vectors, keys)
    return converted


def _draw_sample(index: VectorIndex, kind: Kind, new_vectors: Vectors) -> Vectors:
    """Return random vectors of an index and of the vectors to come, in proportion to their numbers."""
    np = require("numpy", extra="rag")
    random = np.random.default_rng(0)
    share = min(1.0, kind.max_training_vectors / (len(index) + len(new_vectors)))
    old_count, new_count = math.ceil(len(index) * share), math.ceil(len(new_vectors) * share)
    sample: Vectors = np.empty((old_count + new_count, index.dimension), dtype=np.float32)
    index.fill_sample(sample[:old_count], random)
    sample[old_count:] = new_vectors[random.choice(len(new_vectors), new_count, replace=False)]
    return sample


def read_index(path: Path, kind: Kind, metric: Metric, trained_on: int, requested: Kind | None) -> VectorIndex:
    """Return the index in a file whose SHA-256 was verified.

    Args:
        path: The file.
        kind: The kind of index in the file.
        metric: How vectors are compared.
        trained_on: Number of vectors in the store when the index was trained.
        requested: The kind that the user asked for. None leaves the lists in the file if they are large for the free
            memory.

    Raises:
        ValueError: The file contains another kind of index.
        RuntimeError: The file contains no index.
    """
    kind, not_mapped_reason = kind.in_memory, ""
    on_disk = requested.disk if requested is not None else is_too_large_for_memory(path.stat().st_size)
    if kind.lists and on_disk and can_map_lists():
        try:
            with path.open("rb") as file:
                base = map_index(file, kind, metric, trained_on)
            return DiskIndex(copy_empty(base), base)
        except RuntimeError as error:  # for example a network drive that does not support mmap
            not_mapped_reason = f"{path.name} cannot be mapped ({error})"
    index = VectorIndex.read(path, kind, metric, trained_on)
    index.not_mapped_reason = not_mapped_reason
    return index
