"""Messages of a request as LangChain's messages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Literal

from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    HumanMessage,
    InvalidToolCall,
    SystemMessage,
    ToolCall,
    ToolMessage,
)
from langchain_core.messages.tool import invalid_tool_call, tool_call

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.requests import Array, Integer, RequestPart

_TEXT_PARTS = ("text", "input_text", "output_text")


class ContentPart(RequestPart):
    """A part of a message's content."""

    type: str
    text: str | None = None
    refusal: str | None = None


class FunctionCall(RequestPart):
    """The function that an earlier answer called."""

    name: str
    arguments: str | dict[str, Any] = ""


class SentToolCall(RequestPart):
    """A tool call of an earlier answer."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall
    index: Integer | None = None


class SentMessage(RequestPart):
    """A message of a request. The fields below `function_call` are those of answers that a client sends back."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | Array[ContentPart] | None = None
    name: str | None = None
    tool_calls: Array[SentToolCall] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    function_call: FunctionCall | None = None
    annotations: Any = None
    audio: Any = None
    sources: Any = None
    citations: Any = None
    unsupported: Any = None
    abstained: Any = None
    reason: Any = None
    disclaimer: Any = None
    metadata: Any = None


def convert_messages(messages: Sequence[SentMessage]) -> list[BaseMessage]:
    """Return the messages of a request as LangChain's messages.

    A call whose arguments are not a JSON object becomes an invalid call, which the model sees as it was written.

    Raises:
        RequestRefused: A message has content that is not text, or a tool's result belongs to no call.
    """
    reader = _MessageReader()
    return [reader.convert(f"messages[{number}]", message) for number, message in enumerate(messages)]


class _MessageReader:
    """Reads the messages of one conversation in order, and remembers its calls."""

    def __init__(self) -> None:
        self._call_ids: set[str] = set()
        self._function_ids: dict[str, str] = {}

    def convert(self, place: str, message: SentMessage) -> BaseMessage:
        """Return a message as LangChain's message."""
        content: Any = _read_content(place, message)
        if message.role == "assistant":
            return self._convert_answer(message, content)
        if message.role in ("tool", "function"):
            find_id = self._find_call_id if message.role == "tool" else self._find_function_id
            return ToolMessage(content, tool_call_id=find_id(place, message), name=message.name)
        if message.content is None:
            raise _refuse_missing(f"{place}.content")
        if message.role == "user":
            return HumanMessage(content, name=message.name)
        # LangChain's mark of a developer message
        role = {"__openai_role__": "developer"} if message.role == "developer" else {}
        return SystemMessage(content, name=message.name, additional_kwargs=role)

    def _convert_answer(self, message: SentMessage, content: Any) -> AIMessage:
        sent_calls = [(call.id, call.function) for call in message.tool_calls or []]
        if message.function_call is not None:
            # OpenAI's older form has no ids.
            call_id = f"function_call_{len(self._call_ids)}"
            self._function_ids[message.function_call.name] = call_id
            sent_calls.append((call_id, message.function_call))
        self._call_ids.update(call_id for call_id, _ in sent_calls)
        calls = [_convert_call(call_id, function) for call_id, function in sent_calls]
        reasoning = message.reasoning_content or message.reasoning
        return AIMessage(
            content or message.refusal or "",
            name=message.name,
            tool_calls=[call for call in calls if call["type"] == "tool_call"],
            invalid_tool_calls=[call for call in calls if call["type"] == "invalid_tool_call"],
            additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
        )

    def _find_call_id(self, place: str, message: SentMessage) -> str:
        if message.tool_call_id is None:
            raise _refuse_missing(f"{place}.tool_call_id")
        if message.tool_call_id not in self._call_ids:
            raise RequestRefused(
                400,
                f"Invalid '{place}.tool_call_id': no assistant message before it has a call with the id "
                f"{message.tool_call_id!r}. Keep that message with its tool_calls in the conversation.",
                param=f"{place}.tool_call_id",
                code="invalid_value",
            )
        return message.tool_call_id

    def _find_function_id(self, place: str, message: SentMessage) -> str:
        if message.name is None:
            raise _refuse_missing(f"{place}.name")
        if message.name not in self._function_ids:
            raise RequestRefused(
                400,
                f"Invalid '{place}.name': no assistant message before it has a function_call of {message.name!r}.",
                param=f"{place}.name",
                code="invalid_value",
            )
        return self._function_ids[message.name]


def _convert_call(call_id: str, function: FunctionCall) -> ToolCall | InvalidToolCall:
    arguments = function.arguments
    try:
        value = arguments if isinstance(arguments, dict) else json.loads(arguments.strip() or "{}", strict=False)
        json.dumps(value, ensure_ascii=False).encode()  # fails on a lone surrogate, which no prompt can contain
    except (ValueError, RecursionError):
        value = None
    if isinstance(value, dict):
        return tool_call(name=function.name, args=value, id=call_id)
    return invalid_tool_call(
        name=function.name, args=str(arguments), id=call_id, error="The arguments are not a JSON object."
    )


def _read_content(place: str, message: SentMessage) -> str | list[dict[str, Any]]:
    """Return a text, or LangChain's blocks of several text parts.

    Raises:
        RequestRefused: A part is not text.
    """
    if message.content is None or isinstance(message.content, str):
        return message.content or ""
    blocks = [_read_part(f"{place}.content[{number}]", part) for number, part in enumerate(message.content)]
    if len(blocks) == 1 and blocks[0]["type"] == "text":
        return str(blocks[0]["text"])
    return blocks


def _read_part(place: str, part: ContentPart) -> dict[str, Any]:
    if part.type == "refusal":
        return {"type": "text", "text": part.refusal or ""}
    if part.type not in _TEXT_PARTS:
        raise RequestRefused(
            400,
            f"Invalid '{place}': the model reads text only, and this part is of the type {part.type!r}. "
            "Send parts of the type 'text'.",
            param=f"{place}.type",
            code="invalid_value",
        )
    if part.text is None:
        raise _refuse_missing(f"{place}.text")
    return {"type": "text", "text": part.text}


def _refuse_missing(field: str) -> RequestRefused:
    return RequestRefused(
        400, f"Missing required parameter: '{field}'.", param=field, code="missing_required_parameter"
    )
