"""Conversations that are remembered: kept by a LangGraph checkpointer, apart by user and session.

A user's sessions can be listed, exported and deleted. The names of user and session are quoted before they are joined
to LangGraph's thread, so that no choice of names leads into somebody else's conversation.
"""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from langchain_core.messages import BaseMessage, messages_to_dict
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError, SessionBusyError

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple

    Checkpointer = BaseCheckpointSaver[Any]

ANONYMOUS = "anonymous"
_USER, _SESSION = "gptoss_user", "gptoss_session"
_LONGEST = 200


@dataclass(frozen=True, kw_only=True)
class SessionSummary:
    """One remembered conversation.

    Attributes:
        session_id: Its name, chosen by the user.
        messages: How many messages it holds.
        updated: When it last changed, ISO 8601.
        title: The beginning of its first question.
    """

    session_id: str
    messages: int
    updated: str
    title: str


class Sessions:
    """The conversations that a checkpointer remembers.

    Args:
        checkpointer: Where they are kept: a LangGraph checkpointer, such as `open_checkpointer` returns.
    """

    def __init__(self, checkpointer: Checkpointer) -> None:
        self.checkpointer = checkpointer
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def config(self, user_id: str, session_id: str) -> RunnableConfig:
        """Returns the configuration under which LangGraph finds a conversation.

        Raises:
            InvalidInputError: A name is empty, too long, or holds control characters.
        """
        user_id, session_id = _checked("user_id", user_id), _checked("session_id", session_id)
        return {
            "configurable": {"thread_id": _thread(user_id, session_id)},
            "metadata": {_USER: user_id, _SESSION: session_id},
        }

    @contextmanager
    def in_use(self, config: RunnableConfig) -> Iterator[None]:
        """Keeps a second question out of a conversation until the first is answered: one of them would be forgotten.

        Raises:
            SessionBusyError: A question is being answered there.
        """
        thread = config["configurable"]["thread_id"]
        with self._lock:
            if thread in self._busy:
                raise SessionBusyError(
                    "This session is still answering its last question. Wait for the answer, or use another session_id."
                )
            self._busy.add(thread)
        try:
            yield
        finally:
            with self._lock:
                self._busy.discard(thread)

    def of(self, user_id: str) -> list[SessionSummary]:
        """Returns a user's conversations, the latest first."""
        found = self.checkpointer.list(None, filter={_USER: _checked("user_id", user_id)})
        return _summaries(_latest(list(found)))

    async def aof(self, user_id: str) -> list[SessionSummary]:
        """Returns what `of` does."""
        found: AsyncIterator[CheckpointTuple] = self.checkpointer.alist(
            None, filter={_USER: _checked("user_id", user_id)}
        )
        return _summaries(_latest([each async for each in found]))

    def messages(self, user_id: str, session_id: str) -> list[BaseMessage]:
        """Returns the messages of a conversation; none where there is no such conversation."""
        return _messages(self.checkpointer.get_tuple(self.config(user_id, session_id)))

    async def amessages(self, user_id: str, session_id: str) -> list[BaseMessage]:
        """Returns what `messages` does."""
        return _messages(await self.checkpointer.aget_tuple(self.config(user_id, session_id)))

    def export(self, user_id: str, session_id: str) -> dict[str, Any]:
        """Returns a conversation as JSON can hold it.

        Raises:
            InvalidInputError: There is no such conversation.
        """
        return _exported(session_id, self.checkpointer.get_tuple(self.config(user_id, session_id)))

    async def aexport(self, user_id: str, session_id: str) -> dict[str, Any]:
        """Returns what `export` does."""
        return _exported(session_id, await self.checkpointer.aget_tuple(self.config(user_id, session_id)))

    def delete(self, user_id: str, session_id: str) -> None:
        """Forgets a conversation, with everything that was kept of it; one that is not there is no error.

        Raises:
            SessionBusyError: A question is being answered there.
        """
        config = self.config(user_id, session_id)
        with self.in_use(config):
            self.checkpointer.delete_thread(config["configurable"]["thread_id"])

    async def adelete(self, user_id: str, session_id: str) -> None:
        """Forgets a conversation as `delete` does."""
        config = self.config(user_id, session_id)
        with self.in_use(config):
            await self.checkpointer.adelete_thread(config["configurable"]["thread_id"])


def open_checkpointer(where: str | Path = ":memory:") -> Checkpointer:
    """Returns a place for conversations.

    Args:
        where: `":memory:"` (gone with the process), a file for SQLite, or a `postgresql://` address, which needs the
            extra `postgres`.

    Raises:
        StorageError: The file cannot be opened, or the database cannot be reached.
        MissingDependencyError: What it needs is not installed.
    """
    if str(where) == ":memory:":
        memory = require("langgraph.checkpoint.memory", extra="rag")
        saver: Checkpointer = memory.InMemorySaver()
        return saver
    from langchain_gptoss.chatbot.checkpointers import open_postgres, open_sqlite

    if str(where).startswith(("postgresql://", "postgres://")):
        return open_postgres(str(where))
    return open_sqlite(Path(where))


def _checked(name: str, value: Any) -> str:
    if not isinstance(value, str) or not value.strip() or len(value) > _LONGEST or not value.isprintable():
        raise InvalidInputError(
            f"{name} is {str(value)[:40]!r}; it must be 1 to {_LONGEST} characters, none of them a control character."
        )
    return value


def _thread(user_id: str, session_id: str) -> str:
    return f"{quote(user_id, safe='')}/{quote(session_id, safe='')}"


def _latest(found: list[CheckpointTuple]) -> list[CheckpointTuple]:
    """Returns the latest state of each conversation."""
    latest: dict[str, CheckpointTuple] = {}
    for each in found:
        thread = each.config["configurable"]["thread_id"]
        if thread not in latest or each.checkpoint["id"] > latest[thread].checkpoint["id"]:
            latest[thread] = each
    return sorted(latest.values(), key=lambda each: each.checkpoint["ts"], reverse=True)


def _messages(found: CheckpointTuple | None) -> list[BaseMessage]:
    return [] if found is None else list(found.checkpoint["channel_values"].get("messages", []))


def _summaries(found: list[CheckpointTuple]) -> list[SessionSummary]:
    return [
        SessionSummary(
            session_id=str(_metadata(each)[_SESSION]),
            messages=len(messages),
            updated=each.checkpoint["ts"],
            title=str(messages[0].text)[:80],
        )
        for each in found
        # A session whose first answer failed is none.
        if (messages := _messages(each))
    ]


def _metadata(found: CheckpointTuple) -> Mapping[str, Any]:
    return found.metadata


def _exported(session_id: str, found: CheckpointTuple | None) -> dict[str, Any]:
    if found is None or not _messages(found):
        raise InvalidInputError(f"There is no session {session_id!r}. List the sessions to see which there are.")
    values = found.checkpoint["channel_values"]
    return {
        "session_id": session_id,
        "updated": found.checkpoint["ts"],
        "summary": values.get("summary", ""),
        "messages": messages_to_dict(_messages(found)),
    }
