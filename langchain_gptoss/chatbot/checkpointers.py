"""LangGraph's checkpointers for SQLite (one server) and PostgreSQL (several servers)."""

import asyncio
import sqlite3
import weakref
from collections.abc import AsyncIterator, Callable, Sequence
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

_CONNECT_TIMEOUT_S = 10


class _ThreadedSaver(BaseCheckpointSaver[Any]):
    """Async methods that run the sync ones in threads, and an explicit end.

    LangGraph's own async savers belong to one event loop; these work in every loop.
    """

    _finalizer: weakref.finalize  # type: ignore[type-arg]

    def close_with(self, close: Callable[[], object]) -> None:
        """Set the function that closes the database: in `close`, when the saver is collected, or at exit."""
        self._finalizer = weakref.finalize(self, close)

    def close(self) -> None:
        """Close the database. It can be called more than once."""
        self._finalizer()

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Async version of `get_tuple`."""
        return await run_in_executor(None, self.get_tuple, config)

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Async version of `list`."""
        for checkpoint in await run_in_executor(
            None, lambda: list(self.list(config, filter=filter, before=before, limit=limit))
        ):
            yield checkpoint

    async def aput(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
    ) -> RunnableConfig:
        """Async version of `put`. It writes to the end even if the caller is cancelled."""
        return await asyncio.shield(run_in_executor(None, self.put, config, checkpoint, metadata, new_versions))

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Async version of `put_writes`."""
        await run_in_executor(None, self.put_writes, config, writes, task_id, task_path)

    async def adelete_thread(self, thread_id: str) -> None:
        """Async version of `delete_thread`."""
        await run_in_executor(None, self.delete_thread, thread_id)


class SqliteSessions(_ThreadedSaver, SqliteSaver):
    """LangGraph's SQLite checkpointer, which keeps only the latest state of each conversation.

    A chatbot needs no earlier states, and each of them holds the whole conversation again.
    """

    def put(
        self, config: RunnableConfig, checkpoint: Checkpoint, metadata: CheckpointMetadata, new_versions: Any
    ) -> RunnableConfig:
        """Save a state and delete the earlier ones."""
        saved = super().put(config, checkpoint, metadata, new_versions)
        thread_id, latest = saved["configurable"]["thread_id"], saved["configurable"]["checkpoint_id"]
        with self.cursor() as cursor:
            cursor.execute("DELETE FROM checkpoints WHERE thread_id = ? AND checkpoint_id < ?", (thread_id, latest))
            cursor.execute("DELETE FROM writes WHERE thread_id = ? AND checkpoint_id < ?", (thread_id, latest))
        return saved


def open_sqlite(path: Path) -> SqliteSessions:
    """Return a checkpointer over a file, which is created if it is missing.

    Raises:
        StorageError: The file cannot be opened, or is not a SQLite database.
    """
    connection = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(path, check_same_thread=False, timeout=_CONNECT_TIMEOUT_S)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may lose the last exchange
        saver = SqliteSessions(connection)
        saver.setup()
    except (OSError, sqlite3.Error) as error:
        if connection is not None:
            connection.close()
        raise StorageError(
            f"The sessions in {path} cannot be opened ({error}).",
            hint="Check the path and its permissions, or name another file.",
        ) from error
    saver.close_with(connection.close)
    return saver


def open_postgres(address: str) -> BaseCheckpointSaver[Any]:
    """Return a checkpointer over a PostgreSQL database, whose tables are created if they are missing.

    Raises:
        StorageError: The database cannot be reached.
        MissingDependencyError: The extra `postgres` is not installed.
    """
    postgres = require("langgraph.checkpoint.postgres", extra="postgres")
    psycopg_pool = require("psycopg_pool", extra="postgres")
    psycopg = require("psycopg", extra="postgres")

    class PostgresSessions(_ThreadedSaver, postgres.PostgresSaver):  # type: ignore[misc, name-defined]
        """LangGraph's PostgreSQL checkpointer for callers in any event loop."""

    pool = None
    try:
        # A pool would retry a wrong address in the background without an error.
        psycopg.connect(address, connect_timeout=_CONNECT_TIMEOUT_S).close()
        pool = psycopg_pool.ConnectionPool(
            address,
            min_size=1,
            max_size=8,
            open=True,
            kwargs={"autocommit": True, "prepare_threshold": 0, "row_factory": psycopg.rows.dict_row},
        )
        pool.wait(timeout=_CONNECT_TIMEOUT_S)
        saver_class: Any = PostgresSessions  # mypy does not see PostgresSaver behind `require`
        saver: Any = saver_class(pool)
        saver.setup()
    except (psycopg.Error, psycopg_pool.PoolTimeout) as error:
        if pool is not None:
            pool.close()
        raise StorageError(
            f"The database of the sessions cannot be reached ({error}).",
            hint="Check the address, the password, and that the server runs.",
        ) from error
    saver.close_with(pool.close)
    opened: BaseCheckpointSaver[Any] = saver
    return opened
