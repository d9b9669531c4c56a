"""Messages and tool calls between OpenAI's API and LangChain."""

from __future__ import annotations

import json
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, convert_to_messages

from langchain_gptoss.serve.error_responses import RequestRefused

_ROLES = ("system", "developer", "user", "assistant", "tool")
_FINISH_REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}


def convert_message(number: int, message: dict[str, Any]) -> BaseMessage:
    """Return a message of a request as LangChain's message.

    Raises:
        RequestRefused: The message is invalid.
    """
    place = f"messages.{number}"
    if message.get("role") not in _ROLES:
        roles = ", ".join(_ROLES)
        raise RequestRefused(400, f"{place}.role is {message.get('role')!r}; it must be one of {roles}.", param=place)
    try:
        return convert_to_messages([{"content": None, **message}])[0]
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise RequestRefused(400, f"{place} cannot be read ({str(error).splitlines()[0]}).", param=place) from error


def get_finish_reason(message: BaseMessage | None) -> str:
    """Return OpenAI's finish reason of an answer."""
    if isinstance(message, AIMessage) and message.tool_calls:
        return "tool_calls"
    reason = message.response_metadata.get("finish_reason") if message is not None else None
    return _FINISH_REASONS.get(str(reason), "stop")


def convert_tool_call(index: int, call: Any) -> dict[str, Any]:
    """Return a tool call in OpenAI's form.

    Args:
        index: Position among the calls of the answer.
        call: LangChain's tool call.
    """
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id") or f"call_{index}", "type": "function", "function": function}


def convert_call_chunk(chunk: Any, numbers: dict[Any, int]) -> dict[str, Any]:
    """Return a chunk of a tool call in OpenAI's form.

    Args:
        chunk: LangChain's chunk; its index counts content blocks of every kind.
        numbers: OpenAI's indices, which count calls from 0, by LangChain's; extended here.
    """
    number = numbers.setdefault(chunk.get("index"), len(numbers))
    call: dict[str, Any] = {"index": number, "function": {"arguments": chunk.get("args") or ""}}
    if chunk.get("name"):
        call |= {"id": chunk.get("id") or f"call_{number}", "type": "function"}
        call["function"]["name"] = chunk["name"]
    return call
