"""The core of a `FaissStore`: vectors, documents and filters under shared keys, safe to use from many threads.

Each document gets a key that is never used again; a changed document gets a new one. A writer holds `_write_lock` from
beginning to end. It locks readers out only while the FAISS index itself changes: storing texts, finding inverted lists,
training and saving run beside searches. A large batch becomes visible piece by piece. Of each document a reader sees
either the old version or the new one.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss._process import ForkGuard
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.faiss.documents import DocumentTable, Row
from langchain_gptoss.vectorstores.faiss.filter_index import AllowedKeys, FilterIndex
from langchain_gptoss.vectorstores.faiss.index import VectorIndex
from langchain_gptoss.vectorstores.faiss.index_factory import convert_index, create_index, read_index
from langchain_gptoss.vectorstores.faiss.index_kinds import IndexInfo, Kind, describe_empty_index
from langchain_gptoss.vectorstores.faiss.persistence import (
    DOCUMENTS,
    INDEX,
    PartWriter,
    SavedStore,
    build_damage_error,
    check_dimension,
    get_model_name,
    is_saved_as,
    open_store,
    save_store,
)
from langchain_gptoss.vectorstores.faiss.read_write_lock import ReadWriteLock
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.similarity import METRICS, Metric

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

PIECE_VECTORS = 4096
_THREADS = ForkGuard(at_first_use=True)  # those of FAISS, which all stores share
_THREADS_SUBJECT = "FAISS"
READ_VECTORS = 16_384  # vectors read together; each time is one pass over the inverted lists


class StoreCore:
    """Documents and vectors by key.

    Args:
        metric: How vectors are compared.
        index: The kind of FAISS index; None chooses by size.

    Raises:
        InvalidInputError: The metric or the kind is unknown.
    """

    def __init__(self, metric: Metric, index: str | None) -> None:
        if metric not in METRICS:
            raise InvalidInputError(f"metric is {metric!r}.", hint=f"Use {', '.join(map(repr, METRICS))}.")
        self.metric: Metric = metric
        self.requested_kind = None if index is None else Kind.parse(index)
        self._write_lock = threading.RLock()
        self._lock = ReadWriteLock()
        self._documents = DocumentTable()
        self._filters = FilterIndex(self._documents.iterate_metadata)
        self._index: VectorIndex | None = None
        self._live: Any = None  # mask of the keys that are not deleted; None before the first vectors
        self._next_key = 0  # the key after the last one that readers may see
        self._count = 0
        self._version = 0
        self._last_save: tuple[Path, int, bytes] | None = None  # folder, version, manifest

    def __len__(self) -> int:
        return self._count

    @property
    def info(self) -> IndexInfo:
        """The FAISS index, and the reason for it."""
        with self._lock.lock_reading():
            if self._index is None:
                return describe_empty_index(self.metric, self.requested_kind)
            return self._index.describe(self.requested_kind)

    def check_dimension(self, vectors: Vectors) -> None:
        """Reject vectors of another dimension than the store's.

        Raises:
            InvalidInputError: The dimensions differ.
        """
        index = self._index
        if index is not None and vectors.shape[1] != index.dimension:
            raise InvalidInputError(
                f"The vector has {vectors.shape[1]} dimensions, and the store's have {index.dimension}.",
                hint="Use the embedding model that the store was made with.",
            )

    def add(
        self, ids: Sequence[str], rows: Sequence[Row], vectors: Vectors, *, possibly_known_ids: Sequence[str]
    ) -> None:
        """Add documents, in place of those with the same ids.

        Args:
            ids: The ids, all different.
            rows: One row per id.
            vectors: One validated vector per id.
            possibly_known_ids: Those of the ids that may be in the store already.

        Raises:
            GptOssForkError: This process was forked after FAISS was used.
        """
        _THREADS.check(_THREADS_SUBJECT)
        np = require("numpy", extra="rag")
        with self._write_lock:
            self.check_dimension(vectors)
            old_keys = self._documents.find_keys(possibly_known_ids) if possibly_known_ids else {}
            try:
                self._documents.insert(self._next_key, rows)
                self._prepare_index(vectors)
                for start in range(0, len(rows), PIECE_VECTORS):
                    piece = slice(start, start + PIECE_VECTORS)
                    replaced = [key for id_ in ids[piece] for key in old_keys.get(id_, ())] if old_keys else []
                    self._publish(vectors[piece], np.array(replaced, dtype=np.int64))
            except BaseException:
                self._documents.delete_from(self._next_key)
                raise

    def _prepare_index(self, new_vectors: Vectors) -> None:
        """Create the first index, or convert it for a store that grows. Readers use the old one meanwhile."""
        count = self._count + len(new_vectors)
        if self._index is None:
            index = create_index(self.requested_kind, self.metric, new_vectors)
        elif (kind := self._index.choose_successor(count, self.requested_kind)) is not None:
            index = convert_index(self._index, kind, new_vectors)
        else:
            return
        with self._lock.lock_writing():
            self._index = index

    def _publish(self, vectors: Vectors, replaced_keys: Any) -> None:
        """Add vectors under the next keys and remove the replaced ones, in one step for readers."""
        np = require("numpy", extra="rag")
        index = self._index
        assert index is not None
        stop = self._next_key + len(vectors)
        keys = np.arange(self._next_key, stop, dtype=np.int64)
        lists = index.assign_lists(vectors)
        if self._live is None or stop > len(self._live):
            live = np.zeros(max(stop, 1024, stop * 3 // 2), dtype=np.bool_)
            live[: self._next_key] = False if self._live is None else self._live[: self._next_key]
        else:
            live = self._live
        with self._lock.lock_writing():
            index.add(vectors, keys, lists)
            self._live = live
            live[keys] = True
            self._next_key = stop
            self._count += len(keys)
            self._remove(replaced_keys)

    def _remove(self, keys: Any) -> None:
        """Remove keys. The caller locks readers out."""
        if len(keys):
            assert self._index is not None
            self._index.remove(keys)
            self._live[keys] = False
            self._count -= len(keys)
            self._documents.delete(keys.tolist())
        self._version += 1

    def delete(self, ids: Sequence[str] | None) -> None:
        """Delete documents by id. None deletes all, and the next vectors may have another dimension."""
        np = require("numpy", extra="rag")
        with self._write_lock:
            if ids is None:
                self._delete_all()
                return
            keys_by_id = self._documents.find_keys(list(dict.fromkeys(ids)))
            keys = [key for id_keys in keys_by_id.values() for key in id_keys]
            for start in range(0, len(keys), PIECE_VECTORS):
                piece = np.array(keys[start : start + PIECE_VECTORS], dtype=np.int64)
                with self._lock.lock_writing():
                    self._remove(piece)

    def _delete_all(self) -> None:
        with self._lock.lock_writing():
            self._index, self._count = None, 0
            self._version += 1
            if self._live is not None:
                self._live[:] = False
            self._documents.delete_from(0)

    def get_by_ids(self, ids: Sequence[str]) -> list[Document]:
        """Return documents in the order of the ids; unknown ids are left out."""
        with self._lock.lock_reading():
            keys = self._find_live_keys(ids)
            documents = self._documents.load_documents(list(keys.values()))
        return [documents[keys[id_]].model_copy(deep=True) for id_ in ids if id_ in keys]

    def _find_live_keys(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the key of each id that is in the store. The caller locks writers out."""
        return {
            id_: key
            for id_, keys in self._documents.find_keys(list(dict.fromkeys(ids))).items()
            for key in keys
            if key < self._next_key and self._live[key]
        }

    def search(
        self,
        query: Vectors,
        k: int,
        filter: Filter | None,
        select: Callable[[Vectors], Sequence[int]] | None = None,
    ) -> list[tuple[Document, float]]:
        """Return documents and FAISS's scores, nearest first.

        Args:
            query: The validated query, of shape (1, dimension).
            k: Number of results, at most.
            filter: The documents that may be returned.
            select: Takes the vectors of the results, of shape (results, dimension), and returns the rows to keep, in
                the order in which they are returned.

        Raises:
            GptOssForkError: This process was forked after FAISS was used.
        """
        _THREADS.check(_THREADS_SUBJECT)
        with self._lock_reading(filter) as allowed:
            index = self._index
            self.check_dimension(query)
            if index is None:
                return []
            keys, scores = index.search(query, k, allowed)
            rows = range(len(keys)) if select is None or not keys else select(index.get_vectors(keys, query))
            documents = self._documents.load_documents([keys[row] for row in rows])
            return [(documents[keys[row]], scores[row]) for row in rows]

    def score_documents(self, query: Vectors, ids: Sequence[str], filter: Filter | None) -> dict[str, float]:
        """Return FAISS's scores by id. Returns none if the lists are in a file, which would be read completely.

        Args:
            query: The validated query, of shape (1, dimension).
            ids: Ids of documents; unknown and filtered ones are left out.
            filter: The documents that may be returned.

        Raises:
            GptOssForkError: This process was forked after FAISS was used.
        """
        _THREADS.check(_THREADS_SUBJECT)
        with self._lock_reading(filter) as allowed:
            index = self._index
            self.check_dimension(query)
            if index is None or index.kind.disk:
                return {}
            id_by_key = {key: id_ for id_, key in self._find_live_keys(ids).items()}
            keys, scores = index.search(query, len(id_by_key), _intersect(list(id_by_key), self._next_key, allowed))
            return {id_by_key[key]: score for key, score in zip(keys, scores, strict=True)}

    @contextmanager
    def _lock_reading(self, filter: Filter | None) -> Iterator[AllowedKeys | None]:
        """Lock writers out during the block, and yield the keys that match a filter; None means all."""
        bound = None if filter is None else self._filters.bind(filter)
        while True:
            if bound is not None:
                bound.prepare(self._next_key)
            with self._lock.lock_reading():
                if bound is not None and not bound.is_ready(self._next_key):
                    continue  # documents were added since `prepare`, and user code must not run under the lock
                allowed = None
                if bound is not None and self._live is not None:
                    allowed = bound.find_allowed_keys(self._live[: self._next_key], self._version)
                yield allowed
                return

    def iterate_metadata(self) -> Iterator[dict[str, Any]]:
        """Yield the metadata of the present documents."""
        with self._lock.lock_reading():
            stop, live = self._next_key, self._live
        for key, metadata in self._documents.iterate_metadata(0, stop):
            if live is not None and live[key]:
                yield metadata

    def iterate_with_vectors(self, batch_size: int) -> Iterator[tuple[list[Document], Vectors]]:
        """Yield the present documents with their vectors; those deleted before their batch are left out."""
        np = require("numpy", extra="rag")
        with self._lock.lock_reading():
            keys = np.flatnonzero(self._live[: self._next_key]) if self._live is not None else []
        for start in range(0, len(keys), READ_VECTORS):
            piece = keys[start : start + READ_VECTORS]
            with self._lock.lock_reading():
                live_keys = piece[self._live[piece]]
                if self._index is None or not len(live_keys):
                    continue
                origin = np.zeros((1, self._index.dimension), dtype=np.float32)
                vectors = self._index.get_vectors(live_keys.tolist(), origin)
                documents = self._documents.load_documents(live_keys.tolist())
            for offset in range(0, len(live_keys), batch_size):
                batch = slice(offset, offset + batch_size)
                yield [documents[key] for key in live_keys[batch].tolist()], vectors[batch]

    def save(self, folder: Path, embedding: Embeddings) -> None:
        """Save everything; see `persistence.save_store`. Writes nothing if nothing changed since the last save."""
        with self._write_lock:
            if self._last_save is not None:
                last_folder, last_version, manifest_bytes = self._last_save
                is_unchanged = (last_folder, last_version) == (folder, self._version)
                if is_unchanged and is_saved_as(folder, manifest_bytes):
                    return
            index = self._index
            writers: dict[str, PartWriter] = {
                INDEX: _write_empty_file if index is None else index.write,
                DOCUMENTS: self._documents.write,
            }
            manifest = {
                "metric": self.metric,
                "dimension": None if index is None else index.dimension,
                "count": self._count,
                "next_key": self._next_key,
                "embedding_model": get_model_name(embedding),
                "index": {
                    "kind": None if index is None else str(index.kind.in_memory),  # the file format is the same
                    "asked": None if self.requested_kind is None else str(self.requested_kind),
                    "trained_on": 0 if index is None else index.trained_on,
                },
            }
            self._last_save = folder, self._version, save_store(folder, writers, manifest)

    def restore(self, saved: SavedStore) -> None:
        """Fill an empty core with a saved store.

        Raises:
            ValueError: The parts do not belong together, or one of them is not what the manifest describes.
            RuntimeError: The index file contains no index.
        """
        np = require("numpy", extra="rag")
        manifest = saved.manifest
        self._documents.read(saved.paths[DOCUMENTS])
        keys = self._documents.list_keys()
        index_keys = keys[:0]
        if manifest["dimension"] is not None:
            kind, trained_on = Kind.parse(manifest["index"]["kind"]), int(manifest["index"]["trained_on"])
            self._index = read_index(saved.paths[INDEX], kind, self.metric, trained_on, self.requested_kind)
            index_keys = np.sort(self._index.get_keys())
            if self._index.dimension != manifest["dimension"]:
                raise ValueError("its index is not the one its manifest describes")
        if not np.array_equal(keys, index_keys) or len(keys) != manifest["count"] or (len(keys) and keys[0] < 0):
            raise ValueError("its index and its documents do not belong together")
        self._next_key = max(int(manifest.get("next_key", 0)), int(keys[-1]) + 1 if len(keys) else 0)
        self._live = np.zeros(max(self._next_key, 1024), dtype=np.bool_)
        self._live[keys] = True
        self._count = len(keys)


def _intersect(keys: list[int], stop: int, allowed: AllowedKeys | None) -> AllowedKeys:
    """Return those of some keys that are allowed; None allows all."""
    np = require("numpy", extra="rag")
    mask = np.zeros(stop, dtype=np.bool_)
    mask[keys] = True
    bits = np.packbits(mask, bitorder="little")
    if allowed is None:
        return AllowedKeys(bits=bits, count=len(keys))
    bits &= allowed.bits
    return AllowedKeys(bits=bits, count=int(np.count_nonzero(np.unpackbits(bits))))


def _write_empty_file(path: Path) -> None:
    path.touch(exist_ok=False)


def load_core(folder: Path, embedding: Embeddings, index: str | None) -> StoreCore:
    """Return a saved store.

    Args:
        folder: An absolute path.
        embedding: The embedding model that the store was made with.
        index: The kind of FAISS index to change to when documents are added; None keeps the saved choice.

    Raises:
        IndexStoreError: The store is missing, damaged, newer, locked, or made with another embedding model.
        InvalidInputError: The kind is unknown.
    """
    requested = None if index is None else str(Kind.parse(index))
    with open_store(folder, embedding) as saved:
        try:
            core = StoreCore(saved.manifest["metric"], requested or saved.manifest["index"]["asked"])
            core.restore(saved)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise build_damage_error(folder, str(error)) from error
    check_dimension(folder, saved.manifest, embedding)
    return core
