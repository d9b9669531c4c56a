"""The documents of a `FaissStore`, in SQLite: texts stay on disk, and only the few that are found are read.

One table, `documents(key, id, metadata, text)`. The key is the document's number in the FAISS index; it is never used
again. Metadata is JSON. The database is a temporary file of this process, which SQLite keeps in memory while it is
small; a saved store is a copy of it. Text that is not valid Unicode (lone surrogates) is kept as bytes.
"""

from __future__ import annotations

import contextlib
import errno
import json
import sqlite3
import threading
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
_CACHE_KIB = 32_768
_AT_ONCE = 500
_ROWS_AT_ONCE = 4096
_PAGES_AT_ONCE = 4096


def row_of(id_: str, text: str, metadata: Mapping[str, Any]) -> Row:
    """Returns a document as it is stored.

    Raises:
        InvalidInputError: The metadata is not JSON.
    """
    try:
        written = json.dumps(metadata, ensure_ascii=False)
        if isinstance(_storable(written), bytes):
            written = json.dumps(metadata)
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidInputError(
            f"The metadata of document {id_!r} cannot be kept as JSON ({error}). "
            "Keep to text, numbers, true and false, lists and dicts."
        ) from error
    return _storable(id_), written, _storable(text)


def _storable(text: str) -> str | bytes:
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")
    return text


def _text(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.decode("utf-8", "surrogatepass")


class Records:
    """Documents by key. May be used from several threads at once: each statement is short and holds a lock."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect("", check_same_thread=False, isolation_level=None)
        # Nothing here outlives the process, so nothing has to survive a crash.
        for pragma in ("journal_mode = MEMORY", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self._database.execute(f"PRAGMA {pragma}")
        self._database.executescript(_SCHEMA)

    def insert(self, first_key: int, rows: Iterable[Row]) -> int:
        """Inserts rows under consecutive keys, in pieces, so that readers come in between.

        Returns:
            The key after the last.

        Raises:
            StorageError: The disk for temporary files is full.
        """
        rows, key = iter(rows), first_key
        while piece := list(islice(rows, _ROWS_AT_ONCE)):
            with self._transaction() as database:
                numbered = ((number, *row) for number, row in enumerate(piece, key))
                database.executemany("INSERT INTO documents VALUES (?, ?, ?, ?)", numbered)
            key += len(piece)
        return key

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
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
                f"The documents could not be kept in a temporary file ({error}). "
                "Free some space, or let the environment variable SQLITE_TMPDIR name a folder with more."
            ) from error

    def delete(self, keys: Iterable[int]) -> None:
        """Deletes rows by key."""
        with self._transaction() as database:
            database.executemany("DELETE FROM documents WHERE key = ?", ((key,) for key in keys))

    def delete_from(self, key: int) -> None:
        """Deletes the rows from a key on."""
        with self._transaction() as database:
            database.execute("DELETE FROM documents WHERE key >= ?", (key,))

    def keys_of(self, ids: Sequence[str]) -> dict[str, list[int]]:
        """Returns the keys under each of some ids; an id without any is left out."""
        found: dict[str, list[int]] = {}
        for id_, key in self._among("id", [_storable(id_) for id_ in ids], "id, key"):
            found.setdefault(_text(id_), []).append(key)
        return found

    def documents(self, keys: Sequence[int]) -> dict[int, Document]:
        """Returns documents by key."""
        rows = self._among("key", keys, "key, id, metadata, text")
        return {
            key: Document(id=_text(id_), page_content=_text(text), metadata=json.loads(metadata))
            for key, id_, metadata, text in rows
        }

    def _among(self, column: str, values: Sequence[Any], selected: str) -> Iterator[tuple[Any, ...]]:
        for start in range(0, len(values), _AT_ONCE):
            piece = values[start : start + _AT_ONCE]
            marks = ", ".join("?" * len(piece))
            with self._lock:
                rows = self._database.execute(
                    f"SELECT {selected} FROM documents WHERE {column} IN ({marks})", piece
                ).fetchall()
            yield from rows

    def metadata(self, start: int, stop: int) -> Iterator[tuple[int, dict[str, Any]]]:
        """Yields key and metadata of the documents with keys from `start` up to `stop`."""
        statement = "SELECT key, metadata FROM documents WHERE key >= ? AND key < ? ORDER BY key LIMIT ?"
        while start < stop:
            with self._lock:
                rows = self._database.execute(statement, (start, stop, _ROWS_AT_ONCE)).fetchall()
            for key, metadata in rows:
                yield key, json.loads(metadata)
            start = rows[-1][0] + 1 if len(rows) == _ROWS_AT_ONCE else stop

    def keys(self) -> Keys:
        """Returns all keys, in order."""
        np = require("numpy", extra="rag")
        with self._lock:
            rows = self._database.execute("SELECT key FROM documents ORDER BY key")
            keys: Keys = np.fromiter((key for (key,) in rows), dtype=np.int64)
        return keys

    def write(self, path: Path) -> None:
        """Copies the documents into a database at a path where nothing is yet. Readers may come in between.

        Args:
            path: An absolute path.

        Raises:
            OSError: The disk is full or the path cannot be written.
        """
        path.touch(exist_ok=False)
        try:
            with contextlib.closing(_opened(path, "rw")) as copy:
                copy.execute("PRAGMA journal_mode = OFF")
                copy.execute("PRAGMA synchronous = OFF")  # the caller syncs the file
                self._database.backup(copy, pages=_PAGES_AT_ONCE)
        except sqlite3.Error as error:
            full = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_FULL
            raise OSError(errno.ENOSPC if full else errno.EIO, f"SQLite: {error}", str(path)) from error

    def read(self, path: Path) -> None:
        """Takes over the documents of a database whose SHA-256 has been checked.

        Raises:
            ValueError: It is not a database, or another.
        """
        try:
            with contextlib.closing(_opened(path, "ro")) as saved:
                saved.execute("SELECT key, id, metadata, text FROM documents LIMIT 1").fetchall()
                saved.backup(self._database)
        except sqlite3.Error as error:
            raise ValueError(f"its documents cannot be read ({error})") from error


def _opened(path: Path, mode: str) -> sqlite3.Connection:
    # A saved file never changes: SQLite needs no locks, and read-only places allow none.
    fixed = "&immutable=1" if mode == "ro" else ""
    return sqlite3.connect(f"{path.as_uri()}?mode={mode}{fixed}", uri=True)
