"""LangGraph's checkpointers for SQLite (one server) and PostgreSQL (several servers)."""

import asyncio
import sqlite3
import weakref
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from langchain_core.runnables import RunnableConfig, run_in_executor

from langchain_gptoss._io import create_private_file, create_private_folder
from langchain_gptoss._optional import require
from langchain_gptoss.errors import StorageError
from langchain_gptoss.models.download.cache_directory import data_directory

require("langgraph.checkpoint.sqlite", extra="serve")

from langgraph.checkpoint.base import (  # noqa: E402 (checked above)
    BaseCheckpointSaver,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
)
from langgraph.checkpoint.sqlite import SqliteSaver  # noqa: E402

from langchain_gptoss.chatbot.session_serializer import SessionSerializer, check_conversation  # noqa: E402

_CONNECT_TIMEOUT_S = 10
# Errors of checkpoints that are not as they were written.
_DAMAGE = (ValueError, TypeError, KeyError, AttributeError, IndexError, RecursionError, sqlite3.DatabaseError)


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

    location = ""

    def get_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """Return the state of a conversation.

        Raises:
            StorageError: It is damaged, or holds something that a chatbot does not save.
        """
        with self._translate_damage():
            found = super().get_tuple(config)
            return None if found is None else check_conversation(found)

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """Yield states; see `get_tuple` for the errors."""
        with self._translate_damage():
            for found in super().list(config, filter=filter, before=before, limit=limit):
                yield check_conversation(found)

    @contextmanager
    def _translate_damage(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:  # a closed connection
            raise
        except _DAMAGE as error:
            raise StorageError(
                f"The sessions in {self.location} are damaged ({error}).",
                hint="Restore a copy, or move the file away to begin anew.",
            ) from error

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
    """Return a checkpointer over a file, which is created if it is missing, for its owner alone.

    Raises:
        StorageError: The file cannot be opened, or is not a SQLite database.
    """
    connection = None
    try:
        create_private_folder(path.parent, restrict=path.parent == data_directory())
        create_private_file(path)  # SQLite gives its other files the same mode
        connection = sqlite3.connect(path, check_same_thread=False, timeout=_CONNECT_TIMEOUT_S)
        connection.execute("PRAGMA trusted_schema = OFF")  # a file of somebody else's may hold triggers and views
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # with WAL: a power cut may lose the last exchange
        saver = SqliteSessions(connection, serde=SessionSerializer())
        saver.location = str(path)
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
        saver: Any = saver_class(pool, serde=SessionSerializer())
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
