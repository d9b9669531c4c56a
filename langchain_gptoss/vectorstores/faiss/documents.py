"""The documents of a `FaissStore` in SQLite: texts stay on disk, and only those of the results are read.

There is one table, `documents(key, id, metadata, text)`. The key is the number of the document in the FAISS index and
is never used again. Metadata is JSON. The database is a temporary file of this process, which SQLite keeps in memory
while it is small; a saved store is a copy of it. Text that is not valid Unicode (lone surrogates) is stored as bytes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sqlite3
import threading
import weakref
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError, StorageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Keys = NDArray[np.int64]

Row = tuple[str | bytes, str, str | bytes]
"""Id, metadata as JSON, text."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS documents (
    key INTEGER PRIMARY KEY, id TEXT NOT NULL, metadata TEXT NOT NULL, text TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS documents_by_id ON documents (id);
"""
CACHE_SIZE_KIB = 32_768
MAX_QUERY_VALUES = 500
BATCH_ROWS = 4096
BACKUP_PAGES = 4096


def make_row(id_: str, text: str, metadata: Mapping[str, Any]) -> Row:
    """Return a document as it is stored.

    Raises:
        InvalidInputError: The metadata cannot be written as JSON.
    """
    try:
        metadata_json = json.dumps(metadata, ensure_ascii=False)
        if isinstance(_encode(metadata_json), bytes):
            metadata_json = json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The metadata of document {id_!r} cannot be written as JSON ({error}).",
            hint="Use strings, numbers, true and false, lists and dicts.",
        ) from error
    return _encode(id_), metadata_json, _encode(text)


def _encode(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _decode(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


class DocumentTable:
    """Documents by key.

    Thread-safe: each statement is short and holds a lock. The database is closed when the object is garbage-collected.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        weakref.finalize(self, self._database.close)
        # The database does not outlive the process, so it does not have to survive a crash.
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", f"cache_size = -{CACHE_SIZE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)

    def insert(self, first_key: int, rows: Iterable[Row]) -> int:
        """Insert rows under consecutive keys, in batches, so that other threads can read between them.

        Returns:
            The key after the last one.

        Raises:
            StorageError: The disk for temporary files is full.
        """
        rows, key = iter(rows), first_key
        while batch := list(islice(rows, BATCH_ROWS)):
            with self._begin() as database:
                numbered = ((number, *row) for number, row in enumerate(batch, key))
                database.executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", numbered)
            key += len(batch)
        return key

    @contextlib.contextmanager
    def _begin(self) -> Iterator[sqlite3.Connection]:
        """Run the block in a transaction."""
        try:
            with self._lock:
                self._database.execute("BEGIN")
                try:
                    yield self._database
                    self._database.execute("COMMIT")
                except BaseException:
                    if self._database.in_transaction:
                        self._database.execute("ROLLBACK")
                    raise
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"The documents cannot be written to a temporary file ({error}).",
                hint="Free some space, or set the environment variable SQLITE_TMPDIR to a folder with more.",
            ) from error

    def delete(self, keys: Iterable[int]) -> None:
        """Delete rows by key."""
        with self._begin() as database:
            database.executemany("DELETE FROM documents WHERE key = ?", ((key,) for key in keys))

    def delete_from(self, key: int) -> None:
        """Delete all rows whose key is not below `key`."""
        with self._begin() as database:
            database.execute("DELETE FROM documents WHERE key >= ?", (key,))

    def find_keys(self, ids: Sequence[str]) -> dict[str, list[int]]:
        """Return the keys of each id; unknown ids are left out."""
        keys_by_id: dict[str, list[int]] = {}
        for id_, key in self._select("id, key", "id", [_encode(id_) for id_ in ids]):
            keys_by_id.setdefault(_decode(id_), []).append(key)
        return keys_by_id

    def load_documents(self, keys: Sequence[int]) -> dict[int, Document]:
        """Return documents by key; unknown keys are left out."""
        rows = self._select("key, id, metadata, text", "key", keys)
        return {
            key: Document(id=_decode(id_), page_content=_decode(text), metadata=json.loads(metadata))
            for key, id_, metadata, text in rows
        }

    def _select(self, selected: str, column: str, values: Sequence[Any]) -> Iterator[tuple[Any, ...]]:
        """Yield the selected columns of the rows in which a column has one of some values."""
        for start in range(0, len(values), MAX_QUERY_VALUES):
            batch = values[start : start + MAX_QUERY_VALUES]
            marks = ", ".join("?" * len(batch))
            with self._lock:
                rows = self._database.execute(
                    f"SELECT {selected} FROM documents WHERE {column} IN ({marks})", batch
                ).fetchall()
            yield from rows

    def iterate_metadata(self, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yield key and metadata of the documents with keys from `start` up to, not including, `stop`."""
        statement = "SELECT key, metadata FROM documents WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        while start < stop:
            with self._lock:
                rows = self._database.execute(statement, (start, stop, BATCH_ROWS)).fetchall()
            for key, metadata in rows:
                yield key, json.loads(metadata)
            start = rows[-1][0] + 1 if len(rows) == BATCH_ROWS else stop

    def list_keys(self) -> Keys:
        """Return all keys in ascending order."""
        np = require("numpy", extra="rag")
        with self._lock:
            rows = self._database.execute("SELECT key FROM documents ORDER BY key")
            keys: Keys = np.fromiter((key for (key,) in rows), dtype=np.int64)
        return keys

    def write(self, path: Path) -> None:
        """Copy the documents into a new database file. Other threads can read between its steps.

        Args:
            path: An absolute path at which no file exists.

        Raises:
            OSError: The disk is full or the path cannot be written.
        """
        path.touch(exist_ok=False)
        try:
            with contextlib.closing(_open_file(path, "rw")) as copy:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")  # the caller syncs the file
                self._database.backup(copy, pages=BACKUP_PAGES)
        except sqlite3.Error as error:
            is_full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if is_full else errno.EIO, f"SQLite: {error}", str(path)) from error

    def read(self, path: Path) -> None:
        """Replace the documents by those in a database file whose SHA-256 was verified.

        Raises:
            ValueError: The file is not a database of documents.
        """
        try:
            with contextlib.closing(_open_file(path, "ro")) as saved:
                saved.execute("SELECT key, id, metadata, text FROM documents LIMIT 1").fetchall()
                saved.backup(self._database)
        except sqlite3.Error as error:
            raise ValueError(f"its documents cannot be read ({error})") from error


def _open_file(path: Path, mode: str) -> sqlite3.Connection:
    # A saved file never changes, so SQLite needs no locks; read-only places do not allow any.
    options = "&immutable=1" if mode == "ro" else ""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}{options}", uri=True)
