"""Conversations in SQLite, for one server, and in PostgreSQL, for several: LangGraph's checkpointers, opened."""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Sequence
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig, run_in_executor

from langchain_gptoss._optional import require
from langchain_gptoss.errors import StorageError

require("langgraph.checkpoint.sqlite", extra="serve")

from langgraph.checkpoint.base import (  # noqa: E402 (checked above)
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: E402

_CONNECT_SECONDS = 10


class _AsyncThroughThreads(BaseCheckpointSaver[Any]):
    """Async methods over the sync ones. LangGraph's own async savers belong to one event loop; these to none."""

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Returns what `get_tuple` does."""
        return await run_in_executor(None, self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Yields what `list` does."""
        for each in await run_in_executor(
            None, lambda: list(self.list(config, filter=filter, before=before, limit=limit))
        ):
            yield each

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
    ) -> RunnableConfig:
        """Writes a state as `put`, to its end even where the caller is cancelled."""
        return await asyncio.shield(run_in_executor(None, self.put, config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Writes as `put_writes`."""
        await run_in_executor(None, self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Deletes as `delete_thread`."""
        await run_in_executor(None, self.delete_thread, thread_id)


class SqliteSessions(_AsyncThroughThreads, SqliteSaver):
    """LangGraph's SQLite checkpointer, which keeps only the latest state of each conversation.

    Earlier states are of no use to a chatbot, and each holds the whole conversation anew.
    """

    def put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
    ) -> RunnableConfig:
        """Writes a state and forgets the ones before it."""
        written = super().put(config, checkpoint, metadata, new_versions)
        thread, latest = written["configurable"]["thread_id"], written["configurable"]["checkpoint_id"]
        with self.cursor() as cursor:
            cursor.execute("DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?", (thread, latest))
            cursor.execute("DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < ?", (thread, latest))
        return written


def open_sqlite(path: Path) -> BaseCheckpointSaver[Any]:
    """Returns a checkpointer over a file, which is made where it is missing.

    Raises:
        StorageError: It cannot be opened, or is no SQLite database.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a crash of the machine may lose the last turn
        saver = SqliteSessions(connection)
        saver.setup()
    except (OSError, sqlite3.Error) as error:
        raise StorageError(
            f"The sessions in {path} cannot be opened ({error}). Check the path and its permissions, or name another "
            "file."
        ) from error
    return saver


def open_postgres(address: str) -> BaseCheckpointSaver[Any]:
    """Returns a checkpointer over a PostgreSQL database, whose tables are made where they are missing.

    Raises:
        StorageError: The database cannot be reached.
        MissingDependencyError: The extra `postgres` is not installed.
    """
    postgres = require("langgraph.checkpoint.postgres", extra="postgres")
    pool = require("psycopg_pool", extra="postgres")
    psycopg = require("psycopg", extra="postgres")

    class PostgresSessions(_AsyncThroughThreads, postgres.PostgresSaver):  # type: ignore[misc, name-defined]
        """LangGraph's PostgreSQL checkpointer, for callers in any event loop."""

    try:
        psycopg.connect(address, connect_timeout=_CONNECT_SECONDS).close()  # a pool would go on trying in silence
        connections = pool.ConnectionPool(
            address,
            min_size=1,
            max_size=8,
            open=True,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": psycopg.rows.dict_row},
        )
        connections.wait(timeout=_CONNECT_SECONDS)
        opened: Any = PostgresSessions  # mypy does not see PostgresSaver behind `require`
        saver: BaseCheckpointSaver[Any] = opened(connections)
        opened.setup(saver)
    except (psycopg.Error, pool.PoolTimeout) as error:
        raise StorageError(
            f"The sessions' database cannot be reached ({error}). Check the address, the password and whether it runs."
        ) from error
    return saver
