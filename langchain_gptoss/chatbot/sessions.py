"""Remembered conversations, saved by a LangGraph checkpointer and separated by user and session.

A user's sessions can be listed, exported and deleted. The names of user and session are quoted before they form
LangGraph's thread id, so that no name can address another user's conversation.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias
from urllib.parse import quote

from langchain_core.messages import BaseMessage, messages_to_dict
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._flow import Flow, arun_flow, call, run_flow
from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError, SessionBusyError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    Checkpointer: TypeAlias = BaseCheckpointSaver[Any]

_USER_KEY, _SESSION_KEY = "gptoss_user", "gptoss_session"
_MAX_NAME_CHARS = 200
_MAX_TITLE_CHARS = 80


@dataclass(frozen=True, kw_only=True)
class SessionSummary:
    """One remembered conversation.

    Attributes:
        session_id: The name of the session, chosen by the user.
        messages: Number of messages.
        updated: Time of the last change, ISO 8601.
        title: The beginning of the first question.
    """

    session_id: str
    messages: int
    updated: str
    title: str


Summaries: TypeAlias = list[SessionSummary]  # `Sessions.list` hides the builtin within the class
Messages: TypeAlias = list[BaseMessage]


class Sessions:
    """The conversations that a checkpointer remembers.

    Args:
        checkpointer: A LangGraph checkpointer, such as `open_checkpointer` returns.
    """

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer
        self._busy_threads: set[str] = set()
        self._lock = threading.Lock()

    def close(self) -> None:
        """Close the checkpointer's file or database, if it has one."""
        if close := getattr(self.checkpointer, "close", None):
            close()

    def get_config(self, user_id: str, session_id: str) -> RunnableConfig:
        """Return the configuration under which LangGraph finds a conversation.

        Raises:
            InvalidInputError: A name is empty, too long, or has control characters.
        """
        _check_name("user_id", user_id)
        _check_name("session_id", session_id)
        return {
            "configurable": {"thread_id": _build_thread_id(user_id, session_id)},
            "metadata": {_USER_KEY: user_id, _SESSION_KEY: session_id},
        }

    @contextmanager
    def reserve(self, config: RunnableConfig) -> Iterator[None]:
        """Reserve a conversation for one question at a time: of two answers at once, one would be lost.

        Raises:
            SessionBusyError: The session is still answering its last question.
        """
        thread_id = config["configurable"]["thread_id"]
        with self._lock:
            if thread_id in self._busy_threads:
                raise SessionBusyError(
                    "This session is still answering its last question.",
                    hint="Wait for the answer, or use another session_id.",
                )
            self._busy_threads.add(thread_id)
        try:
            yield
        finally:
            with self._lock:
                self._busy_threads.discard(thread_id)

    def list(self, user_id: str) -> Summaries:
        """Return the sessions of a user, the latest first.

        Raises:
            InvalidInputError: `user_id` is not a valid name.
        """
        return run_flow(self._list(user_id))

    async def alist(self, user_id: str) -> Summaries:
        """Async version of `list`."""
        return await arun_flow(self._list(user_id))

    def get_messages(self, user_id: str, session_id: str) -> Messages:
        """Return the messages of a conversation; an unknown conversation has none."""
        return run_flow(self._load_messages(user_id, session_id))

    async def aget_messages(self, user_id: str, session_id: str) -> Messages:
        """Async version of `get_messages`."""
        return await arun_flow(self._load_messages(user_id, session_id))

    def export(self, user_id: str, session_id: str) -> dict[str, Any]:
        """Return a conversation as values for JSON.

        Raises:
            InvalidInputError: The conversation does not exist.
        """
        return run_flow(self._export(user_id, session_id))

    async def aexport(self, user_id: str, session_id: str) -> dict[str, Any]:
        """Async version of `export`."""
        return await arun_flow(self._export(user_id, session_id))

    def delete(self, user_id: str, session_id: str) -> None:
        """Delete a conversation. Deleting an unknown one is no error.

        Raises:
            SessionBusyError: The session is still answering its last question.
        """
        run_flow(self._delete(user_id, session_id))

    async def adelete(self, user_id: str, session_id: str) -> None:
        """Async version of `delete`."""
        await arun_flow(self._delete(user_id, session_id))

    def _list(self, user_id: str) -> Flow[Summaries]:
        _check_name("user_id", user_id)
        saver, metadata = self.checkpointer, {_USER_KEY: user_id}
        checkpoints = yield from call(
            lambda: [*saver.list(None, filter=metadata)], lambda: _collect(saver.alist(None, filter=metadata))
        )
        return _summarize(_select_latest(checkpoints))

    def _load_messages(self, user_id: str, session_id: str) -> Flow[Messages]:
        checkpoint = yield from self._load_checkpoint(user_id, session_id)
        return _extract_messages(checkpoint)

    def _export(self, user_id: str, session_id: str) -> Flow[dict[str, Any]]:
        checkpoint = yield from self._load_checkpoint(user_id, session_id)
        messages = _extract_messages(checkpoint)
        if checkpoint is None or not messages:
            raise InvalidInputError(
                f"There is no session {session_id!r}.", hint="List the sessions to see which ones exist."
            )
        return {
            "session_id": session_id,
            "updated": checkpoint.checkpoint["ts"],
            "summary": checkpoint.checkpoint["channel_values"].get("summary", ""),
            "messages": messages_to_dict(messages),
        }

    def _delete(self, user_id: str, session_id: str) -> Flow[None]:
        config, saver = self.get_config(user_id, session_id), self.checkpointer
        thread_id = config["configurable"]["thread_id"]
        with self.reserve(config):
            yield from call(lambda: saver.delete_thread(thread_id), lambda: saver.adelete_thread(thread_id))

    def _load_checkpoint(self, user_id: str, session_id: str) -> Flow[CheckpointTuple | None]:
        config, saver = self.get_config(user_id, session_id), self.checkpointer
        checkpoint = yield from call(lambda: saver.get_tuple(config), lambda: saver.aget_tuple(config))
        return checkpoint


def open_checkpointer(location: str | Path = ":memory:") -> Checkpointer:
    """Return a checkpointer for conversations. Close it with `Sessions.close`.

    Args:
        location: `":memory:"` (lost when the process ends), a file for SQLite, or a `postgresql://` address, which
            needs the extra `postgres`.

    Raises:
        StorageError: The file cannot be opened, or the database cannot be reached.
        MissingDependencyError: A package that the location needs is not installed.
    """
    if str(location) == ":memory:":
        memory = require("langgraph.checkpoint.memory", extra="rag")
        saver: Checkpointer = memory.InMemorySaver()
        return saver
    from langchain_gptoss.chatbot.checkpointers import open_postgres, open_sqlite

    if str(location).startswith(("postgresql://", "postgres://")):
        return open_postgres(str(location))
    return open_sqlite(Path(location))


def _check_name(argument: str, name: Any) -> None:
    if not isinstance(name, str) or not name.strip() or len(name) > _MAX_NAME_CHARS or not name.isprintable():
        raise InvalidInputError(
            f"{argument} is {str(name)[:40]!r}.", hint=f"Use 1 to {_MAX_NAME_CHARS} characters, no control characters."
        )


def _build_thread_id(user_id: str, session_id: str) -> str:
    return f"{quote(user_id, safe='')}/{quote(session_id, safe='')}"


async def _collect(checkpoints: AsyncIterator[CheckpointTuple]) -> list[CheckpointTuple]:
    return [checkpoint async for checkpoint in checkpoints]


def _select_latest(checkpoints: Sequence[CheckpointTuple]) -> list[CheckpointTuple]:
    """Return the latest checkpoint of each conversation, the latest conversation first."""
    latest: dict[str, CheckpointTuple] = {}
    for checkpoint in checkpoints:
        thread_id = checkpoint.config["configurable"]["thread_id"]
        if thread_id not in latest or checkpoint.checkpoint["id"] > latest[thread_id].checkpoint["id"]:
            latest[thread_id] = checkpoint
    return sorted(latest.values(), key=lambda checkpoint: checkpoint.checkpoint["ts"], reverse=True)


def _extract_messages(checkpoint: CheckpointTuple | None) -> list[BaseMessage]:
    return [] if checkpoint is None else list(checkpoint.checkpoint["channel_values"].get("messages", []))


def _summarize(checkpoints: Sequence[CheckpointTuple]) -> Summaries:
    """Return the summaries of the sessions; sessions without an answer are skipped."""
    return [
        SessionSummary(
            session_id=str(_get_metadata(checkpoint)[_SESSION_KEY]),
            messages=len(messages),
            updated=checkpoint.checkpoint["ts"],
            title=str(messages[0].text)[:_MAX_TITLE_CHARS],
        )
        for checkpoint in checkpoints
        if (messages := _extract_messages(checkpoint))
    ]


def _get_metadata(checkpoint: CheckpointTuple) -> Mapping[str, Any]:
    # LangGraph's type knows its own keys only.
    return checkpoint.metadata
