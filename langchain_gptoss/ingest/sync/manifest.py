"""What is in an index: one row for each file, in SQLite beside the vectors.

A row is written before the vectors are: whatever a killed run left in a store stands under some row, so that the next
run finds it and nothing is left over.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from langchain_gptoss.errors import IndexStoreError, StorageError

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    source TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, file_hash TEXT NOT NULL,
    recipe TEXT NOT NULL, state TEXT NOT NULL, chunk_ids TEXT NOT NULL, reason TEXT NOT NULL
);
"""

State = Literal["done", "pending", "skipped"]
_T = TypeVar("_T")


@dataclass(frozen=True)
class Entry:
    """A file that was indexed, is being indexed, or cannot be.

    Attributes:
        source: Its name, as in the metadata of its passages.
        size: Its size in bytes when it was read.
        mtime_ns: When it was changed last, in nanoseconds; -1 where that is no proof.
        file_hash: SHA-256 of its bytes, hex; "" before it was indexed for the first time.
        recipe: How it was read and split.
        state: "pending" from before its vectors are touched until they are saved.
        chunk_ids: The passages that may be in the store; when it is pending, the old and the new ones.
        reason: Why it is skipped.
    """

    source: str
    size: int
    mtime_ns: int
    file_hash: str
    recipe: str
    state: State
    chunk_ids: tuple[str, ...] = ()
    reason: str = ""


def _entry(row: Sequence[Any]) -> Entry:
    source, size, mtime_ns, file_hash, recipe, state, chunk_ids, reason = row
    return Entry(source, size, mtime_ns, file_hash, recipe, state, tuple(json.loads(chunk_ids)), reason)


class Manifest:
    """The rows. To be used from one thread.

    Args:
        path: The file. It is made if it is not there.

    Raises:
        IndexStoreError: It is damaged or from a newer version.
        StorageError: It cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._db = sqlite3.connect(path, isolation_level=None)
        except sqlite3.Error as error:
            raise StorageError(f"{path} cannot be opened ({error}). Check the folder's permissions.") from error
        try:
            self._guarded(lambda: self._db.executescript(_SCHEMA))
            self._check_format()
        except BaseException:
            self._db.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._db.close()

    def _check_format(self) -> None:
        version = self.setting("format")
        if version is None:
            self.set("format", str(_FORMAT))
        elif version != str(_FORMAT):
            raise IndexStoreError(
                f"{self._path} has format {version} and this version reads format {_FORMAT}. "
                "Upgrade langchain-gptoss, or index into a new folder."
            )

    def entries(self) -> dict[str, Entry]:
        """Returns all rows by source."""
        rows = self._guarded(lambda: self._db.execute("SELECT * FROM files ORDER BY source").fetchall())
        try:
            return {row[0]: _entry(row) for row in rows}
        except ValueError as error:
            raise self._damaged(error) from error

    def put(self, entries: Iterable[Entry]) -> None:
        """Writes rows, all or none."""
        rows = [
            (e.source, e.size, e.mtime_ns, e.file_hash, e.recipe, e.state, json.dumps(e.chunk_ids), e.reason)
            for e in entries
        ]
        self._transaction("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def remove(self, sources: Iterable[str]) -> None:
        """Deletes rows, all or none."""
        self._transaction("DELETE FROM files WHERE source = ?", [(source,) for source in sources])

    def setting(self, name: str) -> str | None:
        """Returns something that holds for the whole index, or None."""
        row = self._guarded(lambda: self._db.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone())
        return None if row is None else str(row[0])

    def set(self, name: str, value: str) -> None:
        """Notes something that holds for the whole index."""
        self._transaction("INSERT OR REPLACE INTO settings VALUES (?, ?)", [(name, value)])

    def _transaction(self, statement: str, rows: list[Any]) -> None:
        if not rows:
            return

        def run() -> None:
            with closing(self._db.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    cursor.executemany(statement, rows)
                    cursor.execute("COMMIT")
                except BaseException:
                    if self._db.in_transaction:
                        cursor.execute("ROLLBACK")
                    raise

        self._guarded(run)

    def _guarded(self, action: Callable[[], _T]) -> _T:
        try:
            return action()
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self._path} cannot be used ({error}). Make room on the disk and check the folder's permissions."
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._damaged(error) from error

    def _damaged(self, error: Exception) -> IndexStoreError:
        return IndexStoreError(
            f"{self._path} is damaged ({error}). Delete the folder {self._path.parent} and index again."
        )
