"""The chat-format contract: messages become token ids, and token ids become text, reasoning and tool calls.

A chat format knows nothing of devices or engines. Rendering and parsing are pure; a parser never raises on what a
model wrote.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_core.messages import BaseMessage

ReasoningEffort = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of what the model wrote.

    Attributes:
        kind: Part of the answer, of the reasoning, or of a tool call's arguments.
        text: The piece.
        call: Which tool call of the answer it belongs to, from 0.
        name: The tool's name, on the first piece of a call.
        joint: Whether the model did not write it: it keeps two messages of one kind apart.
    """

    kind: Literal["text", "reasoning", "tool_call"]
    text: str
    call: int = 0
    name: str | None = None
    joint: bool = False


@dataclass(frozen=True, slots=True)
class Mend:
    """Something the model wrote against the format, and how it was read.

    Attributes:
        found: What stood there, in words or as written.
        assumed: What it was taken for.
    """

    found: str
    assumed: str


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool the model may call.

    Attributes:
        name: Unique among the tools of a call.
        description: What it does, for the model.
        parameters: JSON schema of its arguments, an object.
        strict: Whether the arguments are held to the schema while they are written; None: if the call is demanded.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ResponseFormat:
    """What the answer has to be.

    Attributes:
        name: Of the schema, for the model.
        schema: JSON schema of the whole answer.
        description: Of the schema, for the model.
    """

    name: str
    schema: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Task:
    """What a prompt says besides its messages.

    Attributes:
        reasoning_effort: For models that reason; the others ignore it.
        tools: The tools that are offered; their names differ.
        tool_choice: `"auto"` leaves the model free, `"none"` forbids calls, `"any"` demands one, and a tool's name
            demands a call of that tool.
        response_format: What the answer has to be, where it is to be JSON.
        parallel: Whether one answer may hold several calls.
        constrained: Whether the answer is held to `response_format` while it is written.
    """

    reasoning_effort: ReasoningEffort | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    response_format: ResponseFormat | None = None
    parallel: bool = True
    constrained: bool = True

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that the answer may call."""
        if self.tool_choice in {"auto", "any"}:
            return self.tools
        return tuple(tool for tool in self.tools if tool.name == self.tool_choice)

    @property
    def must_call(self) -> bool:
        """Whether the answer has to be a tool call."""
        return self.tool_choice not in {"auto", "none"}

    def holds(self, tool: Tool) -> bool:
        """Returns whether a call of this tool is held to its schema while it is written."""
        return self.must_call if tool.strict is None else tool.strict


FREE = Task()


@dataclass(frozen=True, kw_only=True)
class Constraint:
    """What the answer's tokens must spell; see `engine.Grammar`, which has the same fields."""

    lark: str
    json_schema: Mapping[str, Any] | None = None


class Parser(ABC):
    """Reads one answer, token by token.

    Attributes:
        mended: What was read against the letter of the format, so far.
    """

    def __init__(self) -> None:
        self.mended: list[Mend] = []

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
    def render(self, messages: Sequence[BaseMessage], task: Task = FREE) -> list[int]:
        """Returns the prompt's token ids, up to where the assistant's turn begins.

        Args:
            messages: At least one. Their text is always text: what looks like a control token in it stays text.
            task: What the prompt says besides.

        Raises:
            InvalidInputError: No messages, or a message that this format cannot write.
        """

    @abstractmethod
    def parser(self, tools: Collection[str] = ()) -> Parser:
        """Returns a parser for one answer, which reads calls of these tools and of no others."""

    @abstractmethod
    def constraint(self, task: Task) -> Constraint | None:
        """Returns what the answer's tokens must spell for this task; None where the model is free."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Returns the token ids of plain text, without control tokens."""

    @abstractmethod
    def token_bytes(self, token_id: int) -> bytes:
        """Returns what a token spells, for reports of log-probabilities; a control token spells its name."""


def text_deltas(text: str | None) -> list[Delta]:
    """Returns the text as one delta, or none when there is nothing in it."""
    return [Delta("text", text)] if text else []
