"""What passes through the graph while one question is answered, and what LangGraph keeps of it between questions."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage, SystemMessage, convert_to_messages
from langchain_core.messages.ai import UsageMetadata
from langchain_core.runnables import RunnableConfig
from langgraph.channels import UntrackedValue
from langgraph.config import get_stream_writer
from langgraph.runtime import get_runtime
from typing_extensions import TypedDict

from langchain_gptoss.chatbot.grounding.answer_stream import Draft
from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.guard import clean_question
from langchain_gptoss.chatbot.localization import Voice
from langchain_gptoss.chatbot.sessions import ANONYMOUS
from langchain_gptoss.chatbot.types import ChatbotChunk, ChatbotInput
from langchain_gptoss.errors import InvalidInputError


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One question on its way to an answer; every step returns a new one.

    Attributes:
        asked: The question, as it was asked.
        history: The conversation before it.
        questions: What is searched for, with weights: the question, and one that it follows.
        standalone: The question, complete by itself.
        voice: What the chatbot says by itself, in the question's language.
        documents: What the retriever found.
        found: The passages among it, as they stand in the documents.
        passages: The same as the model may be shown, without instructions; empty where it is not asked.
        draft: The answer in the making; None where none is attempted.
        reason: Why it answers or declines.
        held: What of the answer waits for a check of the whole.
        fixed: What is said in place of an answer where the question is refused.
        reasoning: What the model thought.
        usage: Tokens read and written.
        finish_reason: Why the model stopped, where it says.
        findings: What the guards noticed, for the record.
    """

    asked: str
    voice: Voice
    history: Sequence[BaseMessage] = ()
    questions: Sequence[tuple[str, float]] = ()
    standalone: str = ""
    documents: Sequence[Document] = ()
    found: Sequence[Passage] = ()
    passages: Sequence[Passage] = ()
    draft: Draft | None = None
    reason: str = ""
    held: str = ""
    fixed: str = ""
    reasoning: str = ""
    usage: UsageMetadata | None = None
    finish_reason: str = ""
    findings: Sequence[str] = ()


class State(TypedDict, total=False):
    """The graph's channels. Only the conversation is kept by a checkpointer; a turn, with its passages, never is."""

    messages: list[BaseMessage]
    summary: str
    turn: Annotated[Turn, UntrackedValue]


@dataclass(kw_only=True)
class Run:
    """Who asks, and how the pieces of the answer get to them: LangGraph's context of one run.

    Attributes:
        user_id: The caller.
        session_id: Their conversation, or None.
        labels: What they may see.
        emit: Takes the pieces; None hands them to LangGraph's own stream.
        stopped: Set when nobody listens any more.
        timings: Seconds spent, by step.
        answer: What was shown of the answer so far.
    """

    user_id: str = ANONYMOUS
    session_id: str | None = None
    labels: tuple[str, ...] = ()
    emit: Callable[[ChatbotChunk], None] | None = None
    stopped: threading.Event = field(default_factory=threading.Event)
    timings: dict[str, float] = field(default_factory=dict)
    answer: str = ""


class Stopped(Exception):  # noqa: N818 (no error: the listener has left)
    """Nobody listens to the answer any more."""


def current_run() -> Run:
    """Returns the context of the run that a step belongs to."""
    return get_runtime(Run).context


def emit(**values: Any) -> None:
    """Gives a piece of the output to whoever listens.

    Raises:
        Stopped: Nobody does.
    """
    run = current_run()
    if run.stopped.is_set():
        raise Stopped
    run.answer += values.get("answer", "")
    (run.emit or get_stream_writer())(ChatbotChunk(**values))


def read_input(value: Any) -> tuple[str, list[BaseMessage], str | None]:
    """Returns the question, the conversation before it, and the session.

    Raises:
        InvalidInputError: There is no question, or another field that cannot be used.
    """
    if isinstance(value, ChatbotInput):
        return _question(value.question), list(value.chat_history), value.session_id
    value = {"question": value} if isinstance(value, str) else value
    if not isinstance(value, dict):
        return _question(None), [], None
    if unknown := value.keys() - ChatbotInput.model_fields:
        names = ", ".join(sorted(map(repr, unknown)))
        raise InvalidInputError(f"The input holds {names}; known are {', '.join(ChatbotInput.model_fields)}.")
    session_id = value.get("session_id")
    if session_id is not None and not isinstance(session_id, str):
        raise InvalidInputError(f"session_id is {session_id!r}; it must be a text.")
    try:
        history = convert_to_messages(value.get("chat_history") or [])
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InvalidInputError(
            f"chat_history cannot be read ({str(error).splitlines()[0]}). Pass LangChain messages, or pairs such as "
            '("human", "...").'
        ) from error
    return _question(value.get("question")), history, session_id


def _question(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidInputError('The question is empty. Pass it as {"question": "..."}.')
    return clean_question(value)


def new_run(config: RunnableConfig, session_id: str | None, emit: Callable[[ChatbotChunk], None] | None) -> Run:
    """Returns the context of a run, with the caller that `config["configurable"]` names.

    Raises:
        InvalidInputError: The caller cannot be read.
    """
    given = config.get("configurable") or {}
    user_id, labels = given.get("user_id", ANONYMOUS), given.get("access_labels", ())
    if isinstance(labels, str) or not all(isinstance(label, str) for label in labels):
        raise InvalidInputError(f"access_labels is {labels!r}; it must be a list of texts.")
    return Run(user_id=user_id, session_id=session_id, labels=tuple(labels), emit=emit)


def with_summary(summary: str, messages: Sequence[BaseMessage]) -> list[BaseMessage]:
    """Returns a conversation whose beginning is a summary."""
    return [SystemMessage(summary), *messages] if summary else list(messages)
