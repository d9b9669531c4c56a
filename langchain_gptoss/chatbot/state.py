"""State of one answer, which the steps receive and return, and the writer of its output."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Annotated

from langchain_core.documents import Document
from langchain_core.messages import BaseMessage
from langchain_core.messages.ai import UsageMetadata
from langgraph.channels import UntrackedValue
from typing_extensions import TypedDict

from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.chatbot.guard import Verdict
from langchain_gptoss.chatbot.localization import LocalizedTexts
from langchain_gptoss.chatbot.types import ChatbotChunk, MessageKind
from langchain_gptoss.vectorstores.query_cache import QueryVectors


@dataclass(frozen=True, kw_only=True)
class AnswerState:
    """State of one answer. Every step returns a new state.

    Attributes:
        question: The question of the user.
        texts: The chatbot's own texts in the language of the question.
        kind: What the message is.
        topic: The document to summarize, as the user calls it.
        history: The conversation before the question.
        queries: Texts to rank sentences by, with weights: the question, and the question that it follows.
        standalone_question: The question, completed from the conversation.
        query_vectors: Vectors of the texts to search for, which the sentences are ranked by too.
        documents: The documents that the retriever returned.
        sources: The passages of these documents, with their original text.
        passages: The same passages with prompt injections blanked; empty if the model is not asked.
        answer_stream: Checks and cites the model's text; None if no answer is attempted.
        answer: The text that was sent to the caller so far.
        withheld: The text that waits until the whole answer is checked.
        refusal: The text to send instead of an answer if a policy refuses; else empty.
        reason: The reason why the chatbot answers or declines.
        reasoning: The model's reasoning.
        usage: Tokens read and written by the model.
        finish_reason: The reason why the model stopped, if it reports one.
        findings: Findings of the guard, for the audit log.
        timings: Seconds spent, by step.
    """

    question: str
    texts: LocalizedTexts
    kind: MessageKind = "question"
    topic: str = ""
    history: Sequence[BaseMessage] = ()
    queries: Sequence[tuple[str, float]] = ()
    standalone_question: str = ""
    query_vectors: QueryVectors = field(default_factory=QueryVectors)
    documents: Sequence[Document] = ()
    sources: Sequence[Passage] = ()
    passages: Sequence[Passage] = ()
    answer_stream: AnswerStream | None = None
    answer: str = ""
    withheld: str = ""
    refusal: str = ""
    reason: str = ""
    reasoning: str = ""
    usage: UsageMetadata | None = None
    finish_reason: str = ""
    findings: Sequence[str] = ()
    timings: Mapping[str, float] = field(default_factory=dict)

    def refuse(self, subject: str, verdict: Verdict) -> AnswerState:
        """Return a state that ends with the refusal of a policy.

        Args:
            subject: "question" or "answer".
            verdict: The verdict of the policy.
        """
        return replace(
            self,
            standalone_question=self.standalone_question or self.question,
            refusal=verdict.message or self.texts.refuse,
            reason=f"Declined: the domain's policy refuses the {subject} ({verdict.category}).",
            findings=[*self.findings, f"{subject} refused ({verdict.category}): {verdict.why}"],
        )


class GraphState(TypedDict, total=False):
    """The graph's channels; a step returns those that it changes.

    A checkpointer saves the conversation only. `answer_state`, with its passages, is never saved.
    """

    messages: list[BaseMessage]
    summary: str
    answer_state: Annotated[AnswerState, UntrackedValue]


class Abandoned(Exception):  # noqa: N818 (not an error: the caller has left)
    """The caller has stopped reading the answer."""


@dataclass(frozen=True, kw_only=True)
class AnswerWriter:
    """Sends chunks of the output to the caller.

    Attributes:
        send: Receives the chunks.
        abandoned: Set when the caller has stopped reading.
    """

    send: Callable[[ChatbotChunk], None]
    abandoned: threading.Event

    def write(self, chunk: ChatbotChunk) -> None:
        """Send a chunk.

        Raises:
            Abandoned: The caller has stopped reading.
        """
        self.raise_if_abandoned()
        self.send(chunk)

    def raise_if_abandoned(self) -> None:
        """Raise `Abandoned` if the caller has stopped reading."""
        if self.abandoned.is_set():
            raise Abandoned
