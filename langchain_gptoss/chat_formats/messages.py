"""Conversations as chat formats write them: text, reasoning and tool calls of LangChain messages of any provider."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.errors import InvalidInputError

_TEXT_BLOCKS = {"text", "reasoning", "thinking", "tool_use", "tool_call", "tool_call_chunk", "tool_result"}
# Further blocks of other providers' AI messages: calls that are in `tool_calls` too, tools that ran on the provider's
# side, and encrypted reasoning.
_IGNORED_BLOCKS = {
    "function_call", "invalid_tool_call", "input_json_delta", "redacted_thinking", "non_standard",
    "server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use",
}  # fmt: skip
_MESSAGE_CLASSES = {
    "user": HumanMessage,
    "assistant": AIMessage,
    "system": SystemMessage,
    "developer": SystemMessage,
}


@dataclass(frozen=True, kw_only=True)
class ToolCall:
    """A tool call of an earlier turn.

    Attributes:
        id: Connects the call with its result.
        name: Name of the tool.
        arguments: JSON text, or the model's own text if that was not JSON.
    """

    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class AssistantTurn:
    """One message of the assistant: reasoning first, then text, then calls.

    Attributes:
        reasoning: Empty if there was none or if it is left out.
        text: The answer, or the preamble of the calls.
        calls: The tool calls.
    """

    reasoning: str = ""
    text: str = ""
    calls: tuple[ToolCall, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ToolResultTurn:
    """The result of a tool call.

    Attributes:
        name: Name of the tool.
        text: The result.
    """

    name: str
    text: str


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
    messages = [_convert_chat_message(message) for message in messages]
    last_answer = max((index for index, message in enumerate(messages) if _is_answer(message)), default=-1)
    turns: list[Turn] = []
    tool_names: dict[str | None, str] = {}
    for index, message in enumerate(messages):
        for turn in _read_message(message, tool_names):
            if isinstance(turn, AssistantTurn):
                tool_names.update({call.id: call.name for call in turn.calls})
                if index <= last_answer:
                    turn = AssistantTurn(text=turn.text, calls=turn.calls)
            turns.append(turn)
    return turns


def _convert_chat_message(message: BaseMessage) -> BaseMessage:
    """Return a ChatMessage as the message class of its role; return other messages unchanged."""
    message_class = _MESSAGE_CLASSES.get(message.role) if isinstance(message, ChatMessage) else None
    return message_class(content=message.content) if message_class else message


def _is_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage) and not _read_calls(message) and bool(read_text(message))


def _read_message(message: BaseMessage, tool_names: Mapping[str | None, str]) -> Iterator[Turn]:
    if isinstance(message, AIMessage):
        yield AssistantTurn(reasoning=_read_reasoning(message), text=read_text(message), calls=_read_calls(message))
    elif isinstance(message, ToolMessage):
        yield _build_result(message.tool_call_id, read_text(message), tool_names)
    elif isinstance(message, HumanMessage | SystemMessage):
        blocks = message.content if isinstance(message.content, list) else []
        results = [block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_result"]
        for block in results:  # Anthropic's form: results inside a human message
            yield _build_result(str(block.get("tool_use_id")), _read_result_text(block.get("content", "")), tool_names)
        text = read_text(message)
        if text or not results:
            yield TextTurn(role="system" if isinstance(message, SystemMessage) else "user", text=text)
    else:
        raise InvalidInputError(
            f"A {message.type} message cannot be written to the model.",
            hint="Use system, human, AI and tool messages.",
        )


def _build_result(call_id: str, text: str, tool_names: Mapping[str | None, str]) -> ToolResultTurn:
    if call_id not in tool_names:
        raise InvalidInputError(
            f"A tool result answers the call {call_id!r}, and no AI message before it makes that call.",
            hint="Keep the AI message with its tool_calls in the history, before the ToolMessage.",
        )
    return ToolResultTurn(name=tool_names[call_id], text=text)


def read_text(message: BaseMessage) -> str:
    """Return the text of a message.

    Raises:
        InvalidInputError: The message holds an image, a file or other content that is not text.
    """
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if isinstance(message, AIMessage) and (kind in _IGNORED_BLOCKS or kind == "refusal"):
            continue
        if kind not in _TEXT_BLOCKS:
            raise InvalidInputError(
                f"A {message.type} message holds a block of type {kind!r}, and gpt-oss models read text only.",
                hint="Remove the block.",
            )
    return str(message.text) + "".join(
        str(block.get("refusal") or "")
        for block in message.content
        if isinstance(block, dict) and block.get("type") == "refusal"
    )


def _read_result_text(content: Any) -> str:
    return read_text(HumanMessage(content=content or ""))


def _read_reasoning(message: AIMessage) -> str:
    if text := message.additional_kwargs.get("reasoning_content"):
        return str(text)
    blocks = message.content if isinstance(message.content, list) else []
    return "".join(
        str(block.get("reasoning") or block.get("thinking") or _read_summary(block))
        for block in blocks
        if isinstance(block, dict) and block.get("type") in {"reasoning", "thinking"}
    )


def _read_summary(block: Mapping[str, Any]) -> str:
    """Return the summary of a reasoning block; OpenAI's models publish nothing else of their reasoning."""
    parts = block.get("summary")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n\n".join(str(text) for text in texts if text)


def _read_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    calls = [
        ToolCall(id=call["id"], name=call["name"], arguments=_write_arguments(call["args"]))
        for call in message.tool_calls
    ]
    calls += [
        ToolCall(id=call["id"], name=call["name"], arguments=call["args"] or "")
        for call in message.invalid_tool_calls
        if call["name"]
    ]
    known_ids = {call.id for call in calls}
    for block in message.content if isinstance(message.content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_use" and block.get("id") not in known_ids:
            arguments = _write_arguments(block.get("input"))
            calls.append(ToolCall(id=block.get("id"), name=str(block.get("name")), arguments=arguments))
    return tuple(calls)


def _write_arguments(arguments: Any) -> str:
    if isinstance(arguments, str):  # a streamed message of Anthropic's holds JSON text
        return arguments
    return json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))
