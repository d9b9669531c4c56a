"""What is behind a `FaissStore`: vectors, documents and filters under one set of keys, safe to use from many threads.

A document gets a key that is never used again; a changed document gets a new one. Who writes holds `_writing` from
beginning to end, and the lock against readers only while the FAISS index itself changes: embedding, storing texts,
finding inverted lists, training and saving go on beside the readers. A large batch becomes visible piece by piece; of
each document a reader sees the old version or the new one, and never both.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores.faiss.disk_lists import read_index
from langchain_gptoss.vectorstores.faiss.documents import Records, Row, row_of
from langchain_gptoss.vectorstores.faiss.index import (
    METRICS,
    IndexInfo,
    Kind,
    Metric,
    VectorIndex,
    empty_info,
    first_index,
)
from langchain_gptoss.vectorstores.faiss.persistence import (
    DOCUMENTS,
    INDEX,
    Saved,
    Writer,
    check_dimension,
    damaged,
    is_saved_as,
    model_name,
    opened_folder,
    save_folder,
)
from langchain_gptoss.vectorstores.faiss.read_write_lock import ReadWriteLock
from langchain_gptoss.vectorstores.filters import Allowed, Filter, FilterIndex

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]

_PIECE = 4096
_READ = 16_384  # vectors that are looked up together; one pass over the inverted lists each time


class Core:
    """Documents and vectors by key.

    Args:
        metric: What is compared.
        index: The kind of FAISS index; None leaves it to the size.

    Raises:
        InvalidInputError: The metric or the kind is unknown.
    """

    def __init__(self, metric: Metric, index: str | None) -> None:
        if metric not in METRICS:
            raise InvalidInputError(f"metric is {metric!r}. Known are {', '.join(map(repr, METRICS))}.")
        self.metric: Metric = metric
        self.asked = None if index is None else Kind.parse(index)
        self._writing = threading.RLock()
        self._lock = ReadWriteLock()
        self._records = Records()
        self._filters = FilterIndex(self._records.metadata)
        self._index: VectorIndex | None = None
        self._live: Any = None  # which keys are there; from the first vectors on
        self._stop = 0  # the key after the last that readers may see
        self._count = 0
        self._version = 0
        self._saved: tuple[Path, int, bytes] | None = None

    def __len__(self) -> int:
        return self._count

    @property
    def info(self) -> IndexInfo:
        """What the store searches with, and why."""
        with self._lock.reading():
            if self._index is None:
                return empty_info(self.metric, self.asked)
            return self._index.info(self.asked)

    def check_dimension(self, vectors: Vectors) -> None:
        """Refuses vectors of another dimension.

        Raises:
            InvalidInputError: They are.
        """
        index = self._index
        if index is not None and vectors.shape[1] != index.dimension:
            raise InvalidInputError(
                f"The vector has {vectors.shape[1]} dimensions and the store's have {index.dimension}. "
                "Use the embedding model that the store was made with."
            )

    def add(self, ids: Sequence[str], rows: Sequence[Row], vectors: Vectors, *, known: Sequence[str]) -> None:
        """Adds documents, in place of those with the same ids.

        Args:
            ids: Their ids, all different.
            rows: The documents as they are stored.
            vectors: One row each, checked.
            known: Those of the ids that may be there already.
        """
        np = require("numpy", extra="rag")
        with self._writing:
            self.check_dimension(vectors)
            replaced = self._records.keys_of(known) if known else {}
            first = self._stop
            try:
                self._records.insert(first, rows)
                self._choose_index(vectors)
                for start in range(0, len(rows), _PIECE):
                    piece = slice(start, start + _PIECE)
                    old = [key for id_ in ids[piece] for key in replaced.get(id_, ())] if replaced else []
                    self._publish(vectors[piece], np.array(old, dtype=np.int64))
            except BaseException:
                self._records.delete_from(self._stop)
                raise

    def _choose_index(self, coming: Vectors) -> None:
        """Makes the first index, or a better one for a store that grows. Readers use the old one meanwhile."""
        count = self._count + len(coming)
        if self._index is None:
            fresh = first_index(self.asked, self.metric, coming)
        elif (kind := self._index.successor(count, self.asked)) is not None:
            fresh = self._index.grown(kind, coming)
        else:
            return
        with self._lock.writing():
            self._index = fresh

    def _publish(self, vectors: Vectors, old: Any) -> None:
        np = require("numpy", extra="rag")
        index = self._index
        assert index is not None
        stop = self._stop + len(vectors)
        keys = np.arange(self._stop, stop, dtype=np.int64)
        lists = index.lists_of(vectors)
        if self._live is None or stop > len(self._live):
            live = np.zeros(max(stop, 1024, stop * 3 // 2), dtype=np.bool_)
            live[: self._stop] = False if self._live is None else self._live[: self._stop]
        else:
            live = self._live
        with self._lock.writing():
            index.add(vectors, keys, lists)
            self._live = live
            live[keys] = True
            self._stop = stop
            self._count += len(keys)
            self._remove(old)

    def _remove(self, keys: Any) -> None:
        """Removes keys. The caller keeps readers out."""
        if len(keys):
            assert self._index is not None
            self._index.remove(keys)
            self._live[keys] = False
            self._count -= len(keys)
            self._records.delete(keys.tolist())
        self._version += 1

    def delete(self, ids: Sequence[str] | None) -> None:
        """Deletes documents by id; None deletes everything, and the next vectors may have another dimension."""
        np = require("numpy", extra="rag")
        with self._writing:
            if ids is not None:
                keys = [key for found in self._records.keys_of(list(dict.fromkeys(ids))).values() for key in found]
                for start in range(0, len(keys), _PIECE):
                    piece = np.array(keys[start : start + _PIECE], dtype=np.int64)
                    with self._lock.writing():
                        self._remove(piece)
                return
            with self._lock.writing():
                self._index, self._count = None, 0
                self._version += 1
                if self._live is not None:
                    self._live[:] = False
                self._records.delete_from(0)

    def by_ids(self, ids: Sequence[str]) -> list[Document]:
        """Returns documents in the order of the ids; an id that is not there is left out."""
        with self._lock.reading():
            keys = self._keys_of(ids)
            documents = self._records.documents(list(keys.values()))
        return [documents[keys[id_]].model_copy(deep=True) for id_ in ids if id_ in keys]

    def _keys_of(self, ids: Sequence[str]) -> dict[str, int]:
        """Returns the keys of those ids that are there. The caller keeps writers out."""
        return {
            id_: key
            for id_, found in self._records.keys_of(list(dict.fromkeys(ids))).items()
            for key in found
            if key < self._stop and self._live[key]
        }

    def search(
        self,
        query: Vectors,
        k: int,
        filter: Filter | None,
        choose: Callable[[Vectors], Sequence[int]] | None = None,
    ) -> list[tuple[Document, float]]:
        """Returns documents and FAISS's scores, nearest first.

        Args:
            query: One row, checked.
            k: How many.
            filter: Which documents may be found.
            choose: Is given the vectors that were found and returns the rows to keep, in the order to return them.
        """
        with self._reading(filter) as allowed:
            index = self._index
            self.check_dimension(query)
            if index is None:
                return []
            keys, scores = index.search(query, k, allowed)
            rows = range(len(keys)) if choose is None or not keys else choose(index.vectors_of(keys, query))
            documents = self._records.documents([keys[row] for row in rows])
            return [(documents[keys[row]], scores[row]) for row in rows]

    def scores_of(self, query: Vectors, ids: Sequence[str], filter: Filter | None) -> dict[str, float]:
        """Returns FAISS's scores by id; all ids are left out where scores would take reading a whole file.

        Args:
            query: One row, checked.
            ids: Those that are not there or that the filter refuses are left out.
            filter: Which documents may be found.
        """
        with self._reading(filter) as allowed:
            index = self._index
            self.check_dimension(query)
            if index is None or index.kind.disk:
                return {}
            id_of = {key: id_ for id_, key in self._keys_of(ids).items()}
            found = index.search(query, len(id_of), _among(list(id_of), self._stop, allowed))
            return {id_of[key]: score for key, score in zip(*found, strict=True)}

    @contextmanager
    def _reading(self, filter: Filter | None) -> Iterator[Allowed | None]:
        """Keeps writers out, and gives the keys that a filter lets by; None means all."""
        selection = None if filter is None else self._filters.selection(filter)
        while True:
            if selection is not None:
                selection.prepare(self._stop)
            with self._lock.reading():
                if selection is not None and not selection.ready(self._stop):
                    continue  # a function as a filter has not been asked about what has just come
                allowed = None
                if selection is not None and self._live is not None:
                    allowed = selection.allowed(self._live[: self._stop], self._version)
                yield allowed
                return

    def embedded(self, batch_size: int) -> Iterator[tuple[list[Document], Vectors]]:
        """Yields the documents that are there now with their vectors, those that are still there when they come."""
        np = require("numpy", extra="rag")
        with self._lock.reading():
            keys = np.flatnonzero(self._live[: self._stop]) if self._live is not None else []
        for start in range(0, len(keys), _READ):
            piece = keys[start : start + _READ]
            with self._lock.reading():
                there = piece[self._live[piece]]
                if self._index is None or not len(there):
                    continue
                nowhere = np.zeros((1, self._index.dimension), dtype=np.float32)
                vectors = self._index.vectors_of(there.tolist(), nowhere)
                documents = self._records.documents(there.tolist())
            for at in range(0, len(there), batch_size):
                batch = slice(at, at + batch_size)
                yield [documents[key] for key in there[batch].tolist()], vectors[batch]

    def save(self, folder: Path, embedding: Embeddings) -> None:
        """Saves everything, or leaves what is there; see `_faiss_files.save_folder`."""
        with self._writing:
            if self._saved and self._saved[:2] == (folder, self._version) and is_saved_as(folder, self._saved[2]):
                return
            index = self._index
            writers: dict[str, Writer] = {
                INDEX: _write_nothing if index is None else index.write,
                DOCUMENTS: self._records.write,
            }
            manifest = {
                "metric": self.metric,
                "dimension": None if index is None else index.dimension,
                "count": self._count,
                "next_key": self._stop,
                "embedding_model": model_name(embedding),
                "index": {
                    "kind": None if index is None else str(index.kind.in_memory),  # the file is the same
                    "asked": None if self.asked is None else str(self.asked),
                    "trained_on": 0 if index is None else index.trained_on,
                },
            }
            self._saved = folder, self._version, save_folder(folder, writers, manifest)


def _among(keys: list[int], stop: int, allowed: Allowed | None) -> Allowed:
    """Returns those of some keys that are allowed; None allows all."""
    np = require("numpy", extra="rag")
    mask = np.zeros(stop, dtype=np.bool_)
    mask[keys] = True
    bits = np.packbits(mask, bitorder="little")
    if allowed is None:
        return Allowed(bits=bits, count=len(keys))
    bits &= allowed.bits
    return Allowed(bits=bits, count=int(np.count_nonzero(np.unpackbits(bits))))


def _write_nothing(path: Path) -> None:
    path.touch(exist_ok=False)


def load_core(folder: Path, embedding: Embeddings, index: str | None) -> Core:
    """Returns a saved store.

    Args:
        folder: Where it was saved; an absolute path.
        embedding: The embedding model it was made with.
        index: The kind of FAISS index to change to when documents are added next; None goes on as it was.

    Raises:
        IndexStoreError: It is missing, damaged, newer, locked, or made with another embedding model.
        InvalidInputError: The kind is unknown.
    """
    asked = None if index is None else str(Kind.parse(index))
    with opened_folder(folder, embedding) as saved:
        try:
            core = Core(saved.manifest["metric"], asked or saved.manifest["index"]["asked"])
            _restore(core, saved)
        except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
            raise damaged(folder, str(error)) from error
    check_dimension(folder, saved.manifest, embedding)
    return core


def _restore(core: Core, saved: Saved) -> None:
    np = require("numpy", extra="rag")
    manifest = saved.manifest
    if manifest["format"] == 1:
        _read_lines(core._records, saved.paths[DOCUMENTS])
    else:
        core._records.read(saved.paths[DOCUMENTS])
    keys = core._records.keys()
    in_index = keys[:0]
    if manifest["dimension"] is not None:
        about = manifest["index"]
        kind = Kind.parse(about["kind"])
        index = read_index(saved.paths[INDEX], kind, core.metric, int(about["trained_on"]), core.asked)
        in_index = np.sort(index.keys())
        if index.dimension != manifest["dimension"]:
            raise ValueError("its index is not the one its manifest describes")
        core._index = index
    if not np.array_equal(keys, in_index) or len(keys) != manifest["count"] or (len(keys) and keys[0] < 0):
        raise ValueError("its index and its documents do not belong together")
    core._stop = max(int(manifest.get("next_key", 0)), int(keys[-1]) + 1 if len(keys) else 0)
    core._live = np.zeros(max(core._stop, 1024), dtype=np.bool_)
    core._live[keys] = True
    core._count = len(keys)


def _read_lines(records: Records, path: Path) -> None:
    """Reads the documents of format 1: one JSON object per line."""
    rows: dict[int, Row] = {}
    with path.open("rb") as file:
        for line in file:
            row: Mapping[str, Any] = json.loads(line.decode("utf-8", "surrogatepass"))
            rows[int(row["key"])] = row_of(row["id"], row["page_content"], row["metadata"])
    for key, stored in rows.items():
        records.insert(key, [stored])
