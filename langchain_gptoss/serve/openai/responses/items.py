"""Items of the Responses API, read as LangChain's messages.

An item is a message, a piece of reasoning, a function call, or the output of one. Items of one answer that follow each
other become one message as long as they are in the order in which a message is written: reasoning, text, calls.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, HumanMessage, InvalidToolCall, SystemMessage, ToolMessage
from langchain_core.messages.tool import ToolCall, invalid_tool_call, tool_call

from langchain_gptoss.serve.error_responses import RequestRefused

Item = dict[str, Any]

_TEXT_PARTS = {"input_text": "text", "output_text": "text", "text": "text", "refusal": "refusal"}
_USER_ROLES = ("user", "system", "developer")
_ITEM_TYPES = ("message", "reasoning", "function_call", "function_call_output", "item_reference")
_OWN_REASONING = "gptoss:"
_REASONING, _TEXT, _CALL = range(3)  # the order within a message


def normalize_input(value: Any, response_key: str) -> list[Item]:
    """Return the input of a request as items that have an id and a type.

    Args:
        value: A text, or a list of items.
        response_key: The part of the response's id that the ids of items without one get.

    Raises:
        RequestRefused: The input is empty, or an item is invalid or of an unknown type.
    """
    if isinstance(value, str):
        value = [{"role": "user", "content": value}]
    if not isinstance(value, list) or not value:
        raise RequestRefused(400, "input must be a text or a list of items that is not empty.", param="input")
    return [_normalize_item(item, f"input[{number}]", f"{response_key}i{number}") for number, item in enumerate(value)]


def _normalize_item(item: Any, place: str, key: str) -> Item:
    if not isinstance(item, dict):
        raise _refuse(place, "is not an object")
    kind = item.get("type") or ("message" if "role" in item else "item_reference" if "id" in item else None)
    if kind not in _ITEM_TYPES:
        raise _refuse(f"{place}.type", f"is {kind!r}; this server reads {', '.join(_ITEM_TYPES)}")
    checks = {"reasoning": _check_reasoning, "function_call": _check_call, "function_call_output": _check_call_output}
    if kind == "message":
        return _normalize_message(item, place, key)
    if kind in checks:
        checks[kind](item, place)
        prefix = {"reasoning": "rs", "function_call": "fc", "function_call_output": "fco"}[kind]
        return {**item, "type": kind, "id": item.get("id") or f"{prefix}_{key}", "status": _get_status(item)}
    _require_text(item, "id", place)
    return {"type": kind, "id": item["id"]}


def _normalize_message(item: Item, place: str, key: str) -> Item:
    role, content = item.get("role"), item.get("content")
    if role not in (*_USER_ROLES, "assistant"):
        roles = ", ".join((*_USER_ROLES, "assistant"))
        raise _refuse(f"{place}.role", f"is {role!r}; it must be one of {roles}")
    if isinstance(content, str):
        part = {"type": "input_text", "text": content}
        content = [part | {"type": "output_text", "annotations": []} if role == "assistant" else part]
    _check_parts(content, f"{place}.content")
    head = {"type": "message", "id": item.get("id") or f"msg_{key}", "role": role}
    return {**item, **head, "status": _get_status(item), "content": content}


def _get_status(item: Item) -> str:
    return str(item.get("status") or "completed")


def _check_parts(parts: Any, place: str) -> None:
    """Check that parts of a content are text.

    Raises:
        RequestRefused: The parts are not a list, or one of them is an image, a file, or not an object.
    """
    if not isinstance(parts, list):
        raise _refuse(place, "must be a text or a list of parts")
    for number, part in enumerate(parts):
        kind = part.get("type") if isinstance(part, dict) else None
        name = _TEXT_PARTS.get(str(kind))
        if name is None:
            raise _refuse(f"{place}[{number}]", f"is of type {kind!r}, and the models read text only")
        _require_text(part, name, f"{place}[{number}]")


def _check_reasoning(item: Item, place: str) -> None:
    for name in ("content", "summary"):
        parts = item.get(name) or []
        if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
            raise _refuse(f"{place}.{name}", "must be a list of parts")
        for number, part in enumerate(parts):
            _require_text(part, "text", f"{place}.{name}[{number}]")


def _check_call(item: Item, place: str) -> None:
    _require_text(item, "call_id", place)
    _require_text(item, "name", place)
    if not isinstance(item.get("arguments"), str | None):
        raise _refuse(f"{place}.arguments", "must be a text")


def _check_call_output(item: Item, place: str) -> None:
    _require_text(item, "call_id", place)
    if not isinstance(item.get("output"), str):
        _check_parts(item.get("output"), f"{place}.output")


def _require_text(item: Mapping[str, Any], name: str, place: str) -> None:
    if not isinstance(item.get(name), str):
        raise _refuse(f"{place}.{name}", f"is {item.get(name)!r}; it must be a text")


def _refuse(place: str, problem: str) -> RequestRefused:
    return RequestRefused(400, f"{place} {problem}.", param=place)


@dataclass(kw_only=True)
class _AssistantDraft:
    """Items of one message of the assistant, while they are collected."""

    reasoning: list[str] = field(default_factory=list)
    text: str = ""
    calls: list[ToolCall] = field(default_factory=list)
    broken_calls: list[InvalidToolCall] = field(default_factory=list)
    rank: int = _REASONING

    def can_take(self, rank: int) -> bool:
        """Return True if an item of this rank may follow within the same message."""
        return rank > self.rank or (rank == self.rank and rank != _TEXT)

    def build(self) -> AIMessage:
        """Return the message."""
        reasoning = "\n\n".join(text for text in self.reasoning if text)
        return AIMessage(
            content=self.text,
            additional_kwargs={"reasoning_content": reasoning} if reasoning else {},
            tool_calls=self.calls,
            invalid_tool_calls=self.broken_calls,
        )


def convert_items(items: Iterable[Item], instructions: str | None = None) -> list[BaseMessage]:
    """Return items as messages.

    Args:
        items: Normalized items, without references.
        instructions: The text of a message of the developer before them, or None.

    Raises:
        RequestRefused: The output of a function call has no call before it.
    """
    messages: list[BaseMessage] = [SystemMessage(instructions)] if instructions else []
    draft: _AssistantDraft | None = None
    call_ids: set[str] = set()

    def get_draft(rank: int) -> _AssistantDraft:
        nonlocal draft
        if draft is None or not draft.can_take(rank):
            close_draft()
            draft = _AssistantDraft()
        draft.rank = rank
        return draft

    def close_draft() -> None:
        nonlocal draft
        if draft is not None:
            messages.append(draft.build())
        draft = None

    for item in items:
        kind = item["type"]
        if kind == "reasoning":
            get_draft(_REASONING).reasoning.append(_read_reasoning(item))
        elif kind == "function_call":
            call_ids.add(item["call_id"])
            _add_call(get_draft(_CALL), item)
        elif kind == "message" and item["role"] == "assistant":
            get_draft(_TEXT).text = _read_parts(item["content"])
        else:
            close_draft()
            messages.append(_convert_output(item, call_ids) if "call_id" in item else _convert_message(item))
    close_draft()
    return messages


def _convert_message(item: Item) -> BaseMessage:
    text = _read_parts(item["content"])
    return HumanMessage(text) if item["role"] == "user" else SystemMessage(text)


def _convert_output(item: Item, call_ids: set[str]) -> ToolMessage:
    call_id, output = item["call_id"], item["output"]
    if call_id not in call_ids:
        message = f"No tool call found for function call output with call_id {call_id}."
        raise RequestRefused(400, message, param="input")
    return ToolMessage(output if isinstance(output, str) else _read_parts(output), tool_call_id=call_id)


def _add_call(draft: _AssistantDraft, item: Item) -> None:
    """Add a call; arguments that are not a JSON object stay as they are, so that the model sees what it wrote."""
    arguments = item.get("arguments") or "{}"
    try:
        values = json.loads(arguments)
    except (ValueError, RecursionError):
        values = None
    if isinstance(values, dict):
        draft.calls.append(tool_call(name=item["name"], args=values, id=item["call_id"]))
    else:
        broken = invalid_tool_call(name=item["name"], args=arguments, id=item["call_id"], error="not a JSON object")
        draft.broken_calls.append(broken)


def pack_reasoning(text: str) -> str:
    """Return reasoning as `encrypted_content`, for clients that send only this field of an item back.

    It is marked and not encrypted: the text also stands in the item.
    """
    return _OWN_REASONING + text


def _read_reasoning(item: Item) -> str:
    """Return the reasoning of an item, or its summary if there is nothing else."""
    packed = str(item.get("encrypted_content") or "")
    if packed.startswith(_OWN_REASONING):  # that of OpenAI's models cannot be read
        return packed.removeprefix(_OWN_REASONING)
    return "\n\n".join(part["text"] for part in item.get("content") or item.get("summary") or [])


def _read_parts(parts: Sequence[Mapping[str, Any]]) -> str:
    return "".join(part[_TEXT_PARTS[part["type"]]] for part in parts)
