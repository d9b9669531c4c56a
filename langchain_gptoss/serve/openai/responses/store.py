"""Stored responses: in memory with a limit, or in the SQLite file of the sessions.

Each response belongs to the user that asked for it. For every other user it does not exist.
"""

from __future__ import annotations

import json
import sqlite3
import time
from abc import ABC, abstractmethod
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from langchain_core.runnables import run_in_executor

from langchain_gptoss.chatbot import Sessions
from langchain_gptoss.errors import MissingDependencyError, StorageError

if TYPE_CHECKING:
    from langchain_gptoss.chatbot.checkpointers import SqliteSessions

MAX_RESPONSES_PER_USER = 1_000
MAX_MEMORY_BYTES = 64 * 1024 * 1024
MAX_UNUSED_S = 30 * 24 * 60 * 60
"""Seconds after which a response in a file is deleted if nobody has used it; OpenAI keeps responses as long."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS responses (
    user_id TEXT NOT NULL,
    response_id TEXT NOT NULL,
    used REAL NOT NULL,
    record TEXT NOT NULL,
    PRIMARY KEY (user_id, response_id)
);
CREATE INDEX IF NOT EXISTS responses_by_use ON responses (used);
"""
_SELECT = "SELECT record FROM responses WHERE user_id = ? AND response_id = ?"
_TOUCH = "UPDATE responses SET used = ? WHERE user_id = ? AND response_id = ?"
_DELETE = "DELETE FROM responses WHERE user_id = ? AND response_id = ?"
_PRUNE_BY_AGE = "DELETE FROM responses WHERE used < ?"
_PRUNE_BY_COUNT = """
DELETE FROM responses WHERE user_id = ? AND response_id IN (
    SELECT response_id FROM responses WHERE user_id = ? ORDER BY used DESC, rowid DESC LIMIT -1 OFFSET ?
)
"""


@dataclass(frozen=True, kw_only=True)
class StoredResponse:
    """A response with the input that it answers.

    Attributes:
        response: The response in the form of OpenAI's API.
        input_items: The items of its request, without those of earlier responses.
    """

    response: dict[str, Any]
    input_items: list[dict[str, Any]]

    @property
    def response_id(self) -> str:
        """The id of the response."""
        return str(self.response["id"])

    def to_json(self) -> str:
        """Return both as JSON."""
        return json.dumps({"response": self.response, "input": self.input_items}, ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> StoredResponse:
        """Return the response in a JSON text."""
        record = json.loads(text)
        return cls(response=record["response"], input_items=record["input"])


class ResponseStore(ABC):
    """Responses by user and id."""

    @abstractmethod
    async def save(self, user_id: str, stored: StoredResponse) -> None:
        """Save a response; the responses that were not used for the longest time may be deleted."""

    @abstractmethod
    async def load(self, user_id: str, response_id: str) -> StoredResponse | None:
        """Return a response of a user, or None if this user has no such response."""

    @abstractmethod
    async def delete(self, user_id: str, response_id: str) -> bool:
        """Delete a response of a user, and return False if this user has no such response."""


class MemoryResponseStore(ResponseStore):
    """Responses that are lost when the process ends.

    Args:
        max_bytes: Size of all responses together.
        max_per_user: Number of responses of one user.
    """

    def __init__(self, *, max_bytes: int = MAX_MEMORY_BYTES, max_per_user: int = MAX_RESPONSES_PER_USER) -> None:
        self._max_bytes, self._max_per_user = max_bytes, max_per_user
        self._records: OrderedDict[tuple[str, str], bytes] = OrderedDict()
        self._ids_by_user: dict[str, OrderedDict[str, None]] = {}
        self._size_bytes = 0

    async def save(self, user_id: str, stored: StoredResponse) -> None:
        """Save a response; the responses that were not used for the longest time are deleted above a limit."""
        self._remove(user_id, stored.response_id)
        record = stored.to_json().encode()
        self._records[user_id, stored.response_id] = record
        self._ids_by_user.setdefault(user_id, OrderedDict())[stored.response_id] = None
        self._size_bytes += len(record)
        if len(self._ids_by_user[user_id]) > self._max_per_user:
            self._remove(user_id, next(iter(self._ids_by_user[user_id])))
        while self._size_bytes > self._max_bytes:
            self._remove(*next(iter(self._records)))

    async def load(self, user_id: str, response_id: str) -> StoredResponse | None:
        """Return a response of a user, or None if this user has no such response."""
        record = self._records.get((user_id, response_id))
        if record is None:
            return None
        self._records.move_to_end((user_id, response_id))
        self._ids_by_user[user_id].move_to_end(response_id)
        return StoredResponse.from_json(record.decode())

    async def delete(self, user_id: str, response_id: str) -> bool:
        """Delete a response of a user, and return False if this user has no such response."""
        return self._remove(user_id, response_id)

    def _remove(self, user_id: str, response_id: str) -> bool:
        record = self._records.pop((user_id, response_id), None)
        if record is None:
            return False
        self._size_bytes -= len(record)
        self._ids_by_user[user_id].pop(response_id)
        if not self._ids_by_user[user_id]:
            del self._ids_by_user[user_id]
        return True


class SqliteResponseStore(ResponseStore):
    """Responses in the file of the sessions, in a table of their own.

    Args:
        saver: The checkpointer whose database and lock are used.
        max_per_user: Number of responses of one user.

    Raises:
        StorageError: The table cannot be created.
    """

    def __init__(self, saver: SqliteSessions, *, max_per_user: int = MAX_RESPONSES_PER_USER) -> None:
        self._saver, self._max_per_user = saver, max_per_user
        try:
            with saver.lock:
                saver.conn.executescript(_SCHEMA)
        except sqlite3.Error as error:
            raise _build_storage_error(error) from error

    async def save(self, user_id: str, stored: StoredResponse) -> None:
        """Save a response; responses above the limit, and those unused for 30 days, are deleted."""
        now = time.time()
        await self._execute(
            (
                "INSERT OR REPLACE INTO responses VALUES (?, ?, ?, ?)",
                (user_id, stored.response_id, now, stored.to_json()),
            ),
            (_PRUNE_BY_AGE, (now - MAX_UNUSED_S,)),
            (_PRUNE_BY_COUNT, (user_id, user_id, self._max_per_user)),
        )

    async def load(self, user_id: str, response_id: str) -> StoredResponse | None:
        """Return a response of a user, or None if this user has no such response."""
        touch = (_TOUCH, (time.time(), user_id, response_id))
        rows, _ = await self._execute((_SELECT, (user_id, response_id)), touch)
        return StoredResponse.from_json(rows[0][0]) if rows else None

    async def delete(self, user_id: str, response_id: str) -> bool:
        """Delete a response of a user, and return False if this user has no such response."""
        _, count = await self._execute((_DELETE, (user_id, response_id)))
        return count > 0

    async def _execute(self, *statements: tuple[str, tuple[Any, ...]]) -> tuple[list[tuple[Any, ...]], int]:
        """Run statements in one transaction.

        Returns:
            The rows of the first statement, and the number of rows that it changed.

        Raises:
            StorageError: The database does not work.
        """

        def run() -> tuple[list[tuple[Any, ...]], int]:
            first, *others = statements
            with self._saver.cursor() as cursor:
                result = cursor.execute(*first).fetchall(), cursor.rowcount
                for statement in others:
                    cursor.execute(*statement)
            return result

        try:
            return await run_in_executor(None, run)
        except sqlite3.Error as error:
            raise _build_storage_error(error) from error


def open_response_store(sessions: Sessions | None) -> ResponseStore:
    """Return the store of a server: the SQLite file of its sessions, or memory.

    Args:
        sessions: The sessions of the server's chatbot, or None.
    """
    try:
        from langchain_gptoss.chatbot.checkpointers import SqliteSessions
    except MissingDependencyError:
        return MemoryResponseStore()
    if sessions is not None and isinstance(sessions.checkpointer, SqliteSessions):
        return SqliteResponseStore(sessions.checkpointer)
    return MemoryResponseStore()


def _build_storage_error(error: sqlite3.Error) -> StorageError:
    return StorageError(
        f"The stored responses cannot be read or written ({error}).",
        hint="Check the file of the sessions and the free space on its disk.",
    )
