"""The chat-format contract: messages become token ids, and token ids become text and reasoning.

A chat format knows nothing of devices or engines. Rendering and parsing are pure; a parser never raises on what a
model wrote.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, SystemMessage

from langchain_gptoss.errors import InvalidInputError

ReasoningEffort = Literal["low", "medium", "high"]


@dataclass(frozen=True)
class Delta:
    """A piece of what the model wrote: part of its reasoning, or part of its answer."""

    kind: Literal["text", "reasoning"]
    text: str


class Parser(ABC):
    """Reads one answer, token by token."""

    @abstractmethod
    def feed(self, token_id: int) -> list[Delta]:
        """Returns what this token completes; often one delta, sometimes none."""

    @abstractmethod
    def flush(self) -> list[Delta]:
        """Returns what was held back when the answer ended; call it once, last."""


class ChatFormat(ABC):
    """How one family of checkpoints writes conversations."""

    @property
    @abstractmethod
    def stop_ids(self) -> frozenset[int]:
        """Tokens that end the assistant's turn."""

    @abstractmethod
    def render(self, messages: Sequence[BaseMessage], *, reasoning_effort: ReasoningEffort | None = None) -> list[int]:
        """Returns the prompt's token ids, up to where the assistant's turn begins.

        Args:
            messages: At least one. Their text is always text: what looks like a control token in it stays text.
            reasoning_effort: For models that reason; the others ignore it.

        Raises:
            InvalidInputError: No messages, or a message that this format cannot write.
        """

    @abstractmethod
    def parser(self) -> Parser:
        """Returns a parser for one answer."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the token ids of plain text, without control tokens."""


def text_of(message: BaseMessage) -> str:
    """Returns a message's text.

    Raises:
        InvalidInputError: It holds an image, a file or anything else that is not text.
    """
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if kind not in {"text", "reasoning", "thinking"}:
            raise InvalidInputError(
                f"A {message.type} message holds a block of type {kind!r}; gpt-oss models read text only. Remove it."
            )
    return str(message.text)


def role_of(message: BaseMessage) -> Literal["system", "human", "ai"]:
    """Returns who speaks; a message that was added up from streamed chunks speaks like any other."""
    if isinstance(message, SystemMessage):
        return "system"
    return "human" if isinstance(message, HumanMessage) else "ai"


def checked(messages: Sequence[BaseMessage]) -> Sequence[BaseMessage]:
    """Returns the messages if they can be written.

    Raises:
        InvalidInputError: There are none, or one is neither a system, a human nor an AI message.
    """
    if not messages:
        raise InvalidInputError("There are no messages; pass at least one, such as HumanMessage('Hello').")
    for message in messages:
        if not isinstance(message, SystemMessage | HumanMessage | AIMessage):
            raise InvalidInputError(
                f"A {message.type} message cannot be written to the model yet; use system, human and AI messages."
            )
    return messages


def text_deltas(text: str | None) -> list[Delta]:
    """Returns the text as one delta, or none when there is nothing in it."""
    return [Delta("text", text)] if text else []
