"""Manifest of an index: one row per file, in SQLite beside the vectors.

A row is written before its vectors are. Vectors that a killed run left in the store therefore belong to a row, so that
the next run finds and replaces them.
"""

import json
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self, TypeVar

from langchain_gptoss._io import create_private_file
from langchain_gptoss.errors import IndexStoreError, StorageError

_FORMAT = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS files (
    source TEXT PRIMARY KEY, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, file_hash TEXT NOT NULL,
    recipe TEXT NOT NULL, state TEXT NOT NULL, chunk_ids TEXT NOT NULL, reason TEXT NOT NULL
);
"""
_COLUMNS = ("source", "size_bytes", "mtime_ns", "file_hash", "recipe", "state", "chunk_ids", "reason")

State = Literal["done", "pending", "skipped"]
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """Row of a file that is indexed, is being indexed, or cannot be indexed.

    Attributes:
        source: The file's name, as in the metadata of its chunks.
        size_bytes: Its size when it was read.
        mtime_ns: Time of its last change, in nanoseconds; -1 if the time does not prove that it is unchanged.
        file_hash: SHA-256 of its bytes as hex; "" before it is indexed for the first time.
        recipe: The settings with which it was read and split.
        state: "pending" from before its vectors change until they are saved.
        chunk_ids: The chunks that may be in the store; for a pending file, the old and the new ones.
        reason: The reason why it is skipped.
    """

    source: str
    size_bytes: int
    mtime_ns: int
    file_hash: str
    recipe: str
    state: State
    chunk_ids: tuple[str, ...] = ()
    reason: str = ""


def _parse_row(row: Sequence[Any]) -> Entry:
    values = dict(zip(_COLUMNS, row, strict=True))
    return Entry(**{**values, "chunk_ids": tuple(json.loads(values["chunk_ids"]))})


def _format_row(entry: Entry) -> tuple[Any, ...]:
    return tuple(json.dumps(entry.chunk_ids) if name == "chunk_ids" else getattr(entry, name) for name in _COLUMNS)


class Manifest:
    """Rows and settings of an index, for use from one thread; leaving the `with` block closes the file.

    Args:
        path: The file, which is created if it is missing.

    Raises:
        IndexStoreError: The file is damaged or has the format of a newer version.
        StorageError: The file cannot be opened or written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            create_private_file(path)
            self._connection = sqlite3.connect(path, isolation_level=None)
        except (OSError, sqlite3.Error) as error:
            raise StorageError(f"{path} cannot be opened ({error}).", hint="Check the folder's permissions.") from error
        try:
            self._run(lambda: self._connection.executescript(_SCHEMA))
            self._check_format()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def _check_format(self) -> None:
        version = self.get_setting("format")
        if version is None:
            self.save_setting("format", str(_FORMAT))
        elif version != str(_FORMAT):
            raise IndexStoreError(
                f"{self._path} has format {version} and this version reads format {_FORMAT}.",
                hint="Upgrade langchain-gptoss, or index into a new folder.",
            )

    def read_entries(self) -> dict[str, Entry]:
        """Return all rows by source."""
        rows = self._run(lambda: self._connection.execute("SELECT * FROM files ORDER BY source").fetchall())
        try:
            return {row[0]: _parse_row(row) for row in rows}
        except ValueError as error:
            raise self._create_damage_error(error) from error

    def put(self, entries: Iterable[Entry]) -> None:
        """Write rows, all or none."""
        rows = [_format_row(entry) for entry in entries]
        self._write("INSERT OR REPLACE INTO files VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)

    def remove(self, sources: Iterable[str]) -> None:
        """Delete rows, all or none."""
        self._write("DELETE FROM files WHERE source = ?", [(source,) for source in sources])

    def get_setting(self, name: str) -> str | None:
        """Return a setting of the whole index, or None."""
        query = "SELECT value FROM settings WHERE name = ?"
        row = self._run(lambda: self._connection.execute(query, (name,)).fetchone())
        return None if row is None else str(row[0])

    def save_setting(self, name: str, value: str) -> None:
        """Save a setting of the whole index; an unchanged one is not written."""
        if self.get_setting(name) != value:
            self._write("INSERT OR REPLACE INTO settings VALUES (?, ?)", [(name, value)])

    def _write(self, statement: str, rows: list[Any]) -> None:
        if not rows:
            return

        def run_transaction() -> None:
            with closing(self._connection.cursor()) as cursor:
                cursor.execute("BEGIN IMMEDIATE")
                try:
                    cursor.executemany(statement, rows)
                    cursor.execute("COMMIT")
                except BaseException:
                    if self._connection.in_transaction:
                        cursor.execute("ROLLBACK")
                    raise

        self._run(run_transaction)

    def _run(self, action: Callable[[], _T]) -> _T:
        """Run a database action and turn its errors into those of this package."""
        try:
            return action()
        except sqlite3.OperationalError as error:
            raise StorageError(
                f"{self._path} cannot be used ({error}).",
                hint="Free space on the disk and check the folder's permissions.",
            ) from error
        except sqlite3.DatabaseError as error:
            raise self._create_damage_error(error) from error

    def _create_damage_error(self, error: Exception) -> IndexStoreError:
        return IndexStoreError(
            f"{self._path} is damaged ({error}).", hint=f"Delete the folder {self._path.parent} and index again."
        )
