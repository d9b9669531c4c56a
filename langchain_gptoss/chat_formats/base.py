"""The interface of chat formats: messages to token ids, and token ids to text, reasoning and tool calls.

A chat format knows nothing about devices or engines. Rendering and parsing are pure functions of their input, and a
parser accepts any model output without an error.
"""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.messages import TextTurn, Turn, read_known_parts, read_messages

ReasoningEffort = Literal["low", "medium", "high"]
DEFAULT_EFFORT: ReasoningEffort = "medium"


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of model output.

    Attributes:
        kind: Part of the answer, of the reasoning, or of the arguments of a tool call.
        text: The piece.
        call_index: Position of the tool call in the answer, from 0.
        name: Name of the tool, on the first piece of a call.
        is_separator: True for the blank line between two messages of one kind, which the model did not write.
    """

    kind: Literal["text", "reasoning", "tool_call"]
    text: str
    call_index: int = 0
    name: str | None = None
    is_separator: bool = False


@dataclass(frozen=True, slots=True)
class Repair:
    """One place where the model broke the format, and the reading that the parser chose.

    Attributes:
        found: The malformed output, quoted or described.
        interpretation: The reading of it.
    """

    found: str
    interpretation: str


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool that the model may call.

    Attributes:
        name: Unique among the tools of one prompt.
        description: Shown to the model.
        parameters: JSON schema of the arguments, an object.
        strict: True enforces the schema during generation, False does not, None does if the call is required.
    """

    name: str
    description: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    strict: bool | None = None


@dataclass(frozen=True, kw_only=True)
class ResponseFormat:
    """The form of a JSON answer.

    Attributes:
        name: Name of the schema, shown to the model.
        schema: JSON schema of the whole answer.
        description: Description of the schema, shown to the model.
    """

    name: str
    schema: Mapping[str, Any]
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class PromptOptions:
    """The content of a prompt besides its messages.

    Attributes:
        reasoning_effort: Used by models that reason; ignored by all others.
        tools: Tools with distinct names.
        tool_choice: `"auto"` leaves the choice to the model, `"none"` forbids calls, `"any"` requires a call, and the
            name of a tool requires a call of that tool.
        allowed_tools: Names of the tools that `"auto"` and `"any"` may call; empty for all of them. The prompt shows
            all tools, so that its cached beginning stays valid when the choice changes.
        response_format: Schema of the answer; None for free text.
        parallel_tool_calls: True allows several calls in one answer.
        enforces_response_format: True enforces `response_format` during generation.
    """

    reasoning_effort: ReasoningEffort | None = None
    tools: tuple[Tool, ...] = ()
    tool_choice: str = "auto"
    allowed_tools: tuple[str, ...] = ()
    response_format: ResponseFormat | None = None
    parallel_tool_calls: bool = True
    enforces_response_format: bool = True

    @property
    def callable_tools(self) -> tuple[Tool, ...]:
        """The tools that the answer may call."""
        if self.tool_choice in {"auto", "any"}:
            return tuple(tool for tool in self.tools if not self.allowed_tools or tool.name in self.allowed_tools)
        return tuple(tool for tool in self.tools if tool.name == self.tool_choice)

    @property
    def must_call(self) -> bool:
        """True if the answer must be a tool call."""
        return self.tool_choice not in {"auto", "none"}

    @property
    def enforced_schema(self) -> Mapping[str, Any] | None:
        """The JSON schema that the answer is forced to follow; None for an answer in free form."""
        return self.response_format.schema if self.response_format and self.enforces_response_format else None

    def enforces_arguments(self, tool: Tool) -> bool:
        """Return True if calls of this tool are forced to follow its schema during generation."""
        return self.must_call if tool.strict is None else tool.strict


DEFAULT_OPTIONS = PromptOptions()


@dataclass(frozen=True, kw_only=True)
class AnswerGrammar:
    """The grammar that the tokens of an answer must follow; `engine.Grammar` has the same fields.

    Attributes:
        lark: Grammar of the answer from its first token, in llguidance's Lark dialect.
        json_schema: A schema whose values are answers that follow the grammar, if there is one; else None. It is for
            servers that accept schemas only.
    """

    lark: str
    json_schema: Mapping[str, Any] | None = None


class Parser(ABC):
    """Streaming parser of one answer.

    Attributes:
        repairs: The malformed places so far, and their interpretation.
        has_ended: True after a place that ends the model's turn without a stop token; nothing follows any more.
    """

    def __init__(self) -> None:
        self.repairs: list[Repair] = []
        self.has_ended = False

    @property
    @abstractmethod
    def call_errors(self) -> Mapping[int, str]:
        """Reasons why calls cannot be made, by their position in the answer; complete after `flush`."""

    @property
    @abstractmethod
    def is_call_cut(self) -> bool:
        """True if the answer ended inside a call; valid after `flush`."""

    @abstractmethod
    def feed(self, token_id: int) -> list[Delta]:
        """Return the output that this token completes: often one delta, sometimes none."""

    @abstractmethod
    def flush(self, *, is_complete: bool = False) -> list[Delta]:
        """Return the output that was held back until the end of the answer; called once, last.

        Args:
            is_complete: True if the model ended its turn. Otherwise, a call that has no end of its own was cut off.
        """

    def _record_repair(self, found: str, interpretation: str) -> None:
        self.repairs.append(Repair(found, interpretation))


class ChatFormat(ABC):
    """The notation in which a family of checkpoints writes conversations.

    Attributes:
        has_reasoning: True if answers have a part for reasoning.
    """

    has_reasoning: ClassVar[bool] = False

    @property
    @abstractmethod
    def stop_ids(self) -> frozenset[int]:
        """Ids of the tokens that end the assistant's turn."""

    @property
    def answer_start_ids(self) -> tuple[int, ...]:
        """Ids of the tokens between a rendered prompt and the text of an answer without reasoning."""
        return ()

    def render(self, messages: Sequence[BaseMessage], options: PromptOptions = DEFAULT_OPTIONS) -> list[int]:
        """Return the token ids of a prompt, up to the start of the assistant's turn.

        Args:
            messages: One or more messages. Names of control tokens in their text are encoded as ordinary text.
            options: The rest of the prompt: tools, reasoning effort, response format.

        Raises:
            InvalidInputError: There are no messages, or this format cannot express one of them.
        """
        return self.render_turns(read_messages(messages), options)

    @abstractmethod
    def render_turns(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Return the token ids of a prompt with these turns; see `render`."""

    def count_tokens(self, messages: Sequence[BaseMessage], options: PromptOptions = DEFAULT_OPTIONS) -> int:
        """Return the length of a prompt in tokens, also for messages that `render` refuses.

        `trim_messages` counts parts of a conversation, which may begin with the result of a tool, and adds the length
        of the system message to that of the rest. So system messages alone count as what they add to a prompt.
        """
        turns = read_known_parts(messages)
        if all(isinstance(turn, TextTurn) and turn.role == "system" for turn in turns):
            question = TextTurn(role="user", text="")
            return self._count([*turns, question], options) - self._count([question], DEFAULT_OPTIONS)
        return self._count(turns, options)

    def count_shared_tokens(
        self, prompt_ids: Sequence[int], messages: Sequence[BaseMessage], options: PromptOptions = DEFAULT_OPTIONS
    ) -> int:
        """Return the length of the beginning of a prompt that other conversations with these instructions have too.

        It covers the first message, if that is a system message, and what the format writes before it. Later system
        messages may be about one conversation, such as a summary of it.

        Args:
            prompt_ids: The rendered prompt.
            messages: Its messages.
            options: The options with which it was rendered.
        """
        turns = [turn for turn in read_known_parts(messages[:1]) if isinstance(turn, TextTurn)]
        instructions = [turn for turn in turns if turn.role == "system"]
        other_ids = self._render_beginning([*instructions, TextTurn(role="user", text="")], options)
        pairs = enumerate(zip(prompt_ids, other_ids, strict=False))
        return next((index for index, (one, other) in pairs if one != other), min(len(prompt_ids), len(other_ids)))

    def _render_beginning(self, turns: Sequence[Turn], options: PromptOptions) -> list[int]:
        """Return the token ids of a prompt for comparison; empty if the format cannot write these turns."""
        return self.render_turns(turns, options)

    def _count(self, turns: Sequence[Turn], options: PromptOptions) -> int:
        return len(self.render_turns(turns, options))

    @abstractmethod
    def parser(self, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> Parser:
        """Return a new parser for one answer.

        Args:
            tools: Names of the tools that the answer may call; other calls are invalid.
            offered_tools: Names of all tools in the prompt, for the reason of an invalid call.
        """

    @abstractmethod
    def build_text_parser(self) -> Parser:
        """Return a new parser that reads no messages in the output: all of it is text."""

    @abstractmethod
    def build_grammar(self, options: PromptOptions) -> AnswerGrammar | None:
        """Return the grammar of the answer to a prompt with these options; None for an answer in free form."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Return the token ids of plain text, without control tokens."""

    @abstractmethod
    def decode_token(self, token_id: int) -> bytes:
        """Return the bytes of one token, for reports of log-probabilities; a control token gives its name."""


def build_text_deltas(text: str | None) -> list[Delta]:
    """Return the text as one delta, or an empty list for an empty text."""
    return [Delta("text", text)] if text else []
