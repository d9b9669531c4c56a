"""Conversations as chat formats write them: turns of the user, the assistant and the tools."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.chat_formats.message_parts import (
    ToolCall,
    read_calls,
    read_known_text,
    read_reasoning,
    read_refusal,
    read_text,
)
from langchain_gptoss.errors import InvalidInputError

_MESSAGE_CLASSES = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
}


@dataclass(frozen=True, kw_only=True)
class AssistantTurn:
    """One message of the assistant: reasoning first, then text, then calls.

    Attributes:
        reasoning: Empty if there was none or if it is left out.
        text: The answer, or the preamble of the calls.
        calls: The tool calls.
        is_preamble: True for a text that announces calls, which may be in a message after this one.
    """

    reasoning: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()
    is_preamble: bool = False


@dataclass(frozen=True, kw_only=True)
class ToolResultTurn:
    """The result of a tool call.

    Attributes:
        name: Name of the tool.
        text: The result.
        call_id: Id of the call; empty if it is unknown.
    """

    name: str
    text: str
    call_id: str = field(default="", compare=False)


@dataclass(frozen=True, kw_only=True)
class TextTurn:
    """A message of the user or the system.

    Attributes:
        role: `"system"` or `"user"`.
        text: The text.
    """

    role: Literal["system", "user"]
    text: str


Turn = TextTurn | AssistantTurn | ToolResultTurn


def read_messages(messages: Sequence[BaseMessage]) -> list[Turn]:
    """Return a conversation as turns.

    Reasoning is kept inside an unfinished tool loop and left out before the last answer, as the harmony guide asks.

    Raises:
        InvalidInputError: There are no messages, a message holds an image, a sound or a file, or a tool result has no
            call.
    """
    if not messages:
        raise InvalidInputError("There are no messages.", hint="Pass at least one, such as HumanMessage('Hello').")
    return _TurnReader(is_strict=True).read(messages)


def read_known_parts(messages: Sequence[BaseMessage]) -> list[Turn]:
    """Return the turns of a conversation that may be incomplete, such as one that is being trimmed.

    Raises nothing: a tool result without its call keeps its place, a message of an unknown role counts as the user's,
    and content other than text is left out.
    """
    return _TurnReader(is_strict=False).read(messages[::-1] if _is_reversed(messages) else messages)


def _is_reversed(messages: Sequence[BaseMessage]) -> bool:
    """Return True if a tool result stands before its call; `trim_messages` counts from the end backwards."""
    call_ids = {call["id"] for message in messages if isinstance(message, AIMessage) for call in message.tool_calls}
    for message in messages:
        if isinstance(message, ToolMessage) and message.tool_call_id in call_ids:
            return True
        if isinstance(message, AIMessage) and message.tool_calls:
            return False
    return False


class _TurnReader:
    """Reader of the turns of one conversation."""

    def __init__(self, *, is_strict: bool) -> None:
        """Start without turns; a strict reader raises on what cannot be written to a model."""
        self._is_strict = is_strict
        self._read_text = read_text if is_strict else read_known_text
        self._tool_names: dict[str | None, str] = {}

    def read(self, messages: Sequence[BaseMessage]) -> list[Turn]:
        """Return the turns of the conversation."""
        turns = [turn for message in messages for turn in self._read_message(_convert_chat_message(message))]
        return _drop_earlier_reasoning(_mark_preambles(turns))

    def _read_message(self, message: BaseMessage) -> Iterator[Turn]:
        if isinstance(message, AIMessage):
            calls = read_calls(message)
            self._tool_names.update({call.id: call.name for call in calls})
            text = _drop_blank(self._read_text(message)) or _drop_blank(read_refusal(message))
            yield AssistantTurn(reasoning=_drop_blank(read_reasoning(message)), text=text, calls=calls)
        elif isinstance(message, ToolMessage):
            yield self._build_result(message.tool_call_id, self._read_text(message), message.name)
        elif isinstance(message, HumanMessage | SystemMessage) or not self._is_strict:
            yield from self._read_input(message)
        else:
            raise InvalidInputError(
                f"A {message.type} message cannot be written to the model.",
                hint="Use system, human, AI and tool messages.",
            )

    def _read_input(self, message: BaseMessage) -> Iterator[Turn]:
        blocks = message.content if isinstance(message.content, list) else []
        results = [block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_result"]
        for block in results:  # Anthropic's form: results inside a human message
            text = self._read_text(HumanMessage(content=_clean_content(block.get("content"))))
            yield self._build_result(str(block.get("tool_use_id")), text)
        text = self._read_text(message)
        if text or not results:
            yield TextTurn(role="system" if isinstance(message, SystemMessage) else "user", text=text)

    def _build_result(self, call_id: str, text: str, name: str | None = None) -> ToolResultTurn:
        if self._is_strict and call_id not in self._tool_names:
            raise InvalidInputError(
                f"A tool result answers the call {call_id!r}, and no AI message before it makes that call.",
                hint="Keep the AI message with its tool_calls in the history, before the ToolMessage.",
            )
        return ToolResultTurn(name=self._tool_names.get(call_id) or name or "unknown", text=text, call_id=call_id)


def _clean_content(content: Any) -> str | list[str | dict[Any, Any]]:
    """Return content of a tool result as LangChain accepts it in a message."""
    if isinstance(content, list):
        return [part if isinstance(part, str | dict) else str(part) for part in content if part is not None]
    return "" if content is None else str(content)


def _drop_blank(text: str) -> str:
    """Return a text, or an empty one for white space alone, from which the model would learn to answer nothing."""
    return text if text.strip() else ""


def _convert_chat_message(message: BaseMessage) -> BaseMessage:
    """Return a ChatMessage as the message class of its role; return other messages unchanged."""
    message_class = _MESSAGE_CLASSES.get(message.role) if isinstance(message, ChatMessage) else None
    if message_class is None:
        return message
    converted: BaseMessage = message_class(content=message.content, additional_kwargs=message.additional_kwargs)
    return converted


def _mark_preambles(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with the texts marked that announce calls.

    The calls are in the same message, or in a message of the assistant that follows directly: clients of the Responses
    API keep a text and the calls after it apart.
    """
    marked: list[Turn] = []
    announces_calls = False
    for turn in reversed(turns):
        announces_calls = isinstance(turn, AssistantTurn) and (announces_calls or bool(turn.calls))
        marked.append(replace(turn, is_preamble=True) if announces_calls and isinstance(turn, AssistantTurn) else turn)
    return marked[::-1]


def _drop_earlier_reasoning(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns without the reasoning up to the last answer."""
    last_answer = max((index for index, turn in enumerate(turns) if _is_answer(turn)), default=-1)
    return [
        replace(turn, reasoning="") if index <= last_answer and isinstance(turn, AssistantTurn) else turn
        for index, turn in enumerate(turns)
    ]


def _is_answer(turn: Turn) -> bool:
    return isinstance(turn, AssistantTurn) and bool(turn.text) and not turn.is_preamble
