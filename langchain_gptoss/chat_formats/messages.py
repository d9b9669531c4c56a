"""Reads LangChain messages: what they say, what they think, which tools they call, whatever shape their content has."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage, ChatMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.errors import InvalidInputError

_TEXT_BLOCKS = {"text", "reasoning", "thinking", "tool_use", "tool_call", "tool_call_chunk", "tool_result"}
# What other providers' models leave in an AI message besides: calls that stand in its tool_calls too, tools that ran
# on their side, and reasoning that only they can read.
_OTHERS_BLOCKS = {
    "function_call", "invalid_tool_call", "input_json_delta", "redacted_thinking", "non_standard",
    "server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use",
}  # fmt: skip
_ROLES = {"user": HumanMessage, "assistant": AIMessage, "system": SystemMessage, "developer": SystemMessage}


@dataclass(frozen=True, kw_only=True)
class Call:
    """A tool call of an earlier turn.

    Attributes:
        id: Names the call for its result.
        name: The tool.
        arguments: As JSON text; what the model wrote, where that was not JSON.
    """

    id: str | None
    name: str
    arguments: str


@dataclass(frozen=True, kw_only=True)
class Said:
    """What the assistant said in one message: thought first, spoken, then called.

    Attributes:
        reasoning: Empty where there was none, or where it is to be left out.
        text: The answer, or what stood before the calls.
        calls: The tool calls.
    """

    reasoning: str = ""
    text: str = ""
    calls: tuple[Call, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a tool returned.

    Attributes:
        name: The tool.
        text: Its result.
    """

    name: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What somebody else said.

    Attributes:
        role: `"system"` or `"user"`.
        text: The words.
    """

    role: str
    text: str


Entry = Spoken | Said | Result


def read(messages: Sequence[BaseMessage]) -> list[Entry]:
    """Returns a conversation in the terms of chat formats.

    Reasoning is kept inside a tool loop that goes on and left out once a later answer exists, as harmony wants it.

    Raises:
        InvalidInputError: There are no messages; one holds an image, a sound or a file; a tool result has no call.
    """
    if not messages:
        raise InvalidInputError("There are no messages; pass at least one, such as HumanMessage('Hello').")
    messages = [_by_role(message) for message in messages]
    answered = max((i for i, message in enumerate(messages) if _is_answer(message)), default=-1)
    entries: list[Entry] = []
    called: dict[str | None, str] = {}
    for index, message in enumerate(messages):
        for entry in _entries(message, called):
            if isinstance(entry, Said):
                called.update({call.id: call.name for call in entry.calls})
                if index <= answered:
                    entry = Said(text=entry.text, calls=entry.calls)
            entries.append(entry)
    return entries


def _by_role(message: BaseMessage) -> BaseMessage:
    """Returns a ChatMessage as the message of its role."""
    kind = _ROLES.get(message.role) if isinstance(message, ChatMessage) else None
    return kind(content=message.content) if kind else message


def _is_answer(message: BaseMessage) -> bool:
    return isinstance(message, AIMessage) and not _calls(message) and bool(text_of(message))


def _entries(message: BaseMessage, called: Mapping[str | None, str]) -> Iterator[Entry]:
    if isinstance(message, AIMessage):
        yield Said(reasoning=_reasoning(message), text=text_of(message), calls=_calls(message))
    elif isinstance(message, ToolMessage):
        yield _result(message.tool_call_id, text_of(message), called)
    elif isinstance(message, HumanMessage | SystemMessage):
        blocks = message.content if isinstance(message.content, list) else []
        results = [block for block in blocks if isinstance(block, dict) and block.get("type") == "tool_result"]
        for block in results:  # Anthropic's shape: results inside a human message
            yield _result(str(block.get("tool_use_id")), _result_text(block.get("content", "")), called)
        text = text_of(message)
        if text or not results:
            yield Spoken(role="system" if isinstance(message, SystemMessage) else "user", text=text)
    else:
        raise InvalidInputError(
            f"A {message.type} message cannot be written to the model; use system, human, AI and tool messages."
        )


def _result(call_id: str, text: str, called: Mapping[str | None, str]) -> Result:
    if call_id not in called:
        raise InvalidInputError(
            f"A tool result answers the call {call_id!r}, and no AI message before it makes that call. Keep the AI "
            "message with its tool_calls in the history, before the ToolMessage."
        )
    return Result(name=called[call_id], text=text)


def text_of(message: BaseMessage) -> str:
    """Returns a message's text.

    Raises:
        InvalidInputError: It holds an image, a file or anything else that is not text.
    """
    if isinstance(message.content, str):
        return message.content
    for block in message.content:
        kind = "text" if isinstance(block, str) else block.get("type")
        if isinstance(message, AIMessage) and (kind in _OTHERS_BLOCKS or kind == "refusal"):
            continue
        if kind not in _TEXT_BLOCKS:
            raise InvalidInputError(
                f"A {message.type} message holds a block of type {kind!r}; gpt-oss models read text only. Remove it."
            )
    return str(message.text) + "".join(
        str(block.get("refusal") or "")
        for block in message.content
        if isinstance(block, dict) and block.get("type") == "refusal"
    )


def _result_text(content: Any) -> str:
    if isinstance(content, str):
        return content
    return text_of(HumanMessage(content=content or ""))


def _reasoning(message: AIMessage) -> str:
    if text := message.additional_kwargs.get("reasoning_content"):
        return str(text)
    blocks = message.content if isinstance(message.content, list) else []
    return "".join(
        str(block.get("reasoning") or block.get("thinking") or _summary(block))
        for block in blocks
        if isinstance(block, dict) and block.get("type") in {"reasoning", "thinking"}
    )


def _summary(block: Mapping[str, Any]) -> str:
    """Returns the reasoning of OpenAI's models, of which they give summaries."""
    parts = block.get("summary")
    texts = [part.get("text") for part in parts if isinstance(part, dict)] if isinstance(parts, list) else []
    return "\n\n".join(str(text) for text in texts if text)


def _calls(message: AIMessage) -> tuple[Call, ...]:
    calls = [Call(id=call["id"], name=call["name"], arguments=_json(call["args"])) for call in message.tool_calls]
    calls += [
        Call(id=call["id"], name=call["name"], arguments=call["args"] or "")
        for call in message.invalid_tool_calls
        if call["name"]
    ]
    known = {call.id for call in calls}
    for block in message.content if isinstance(message.content, list) else []:
        if isinstance(block, dict) and block.get("type") == "tool_use" and block.get("id") not in known:
            calls.append(Call(id=block.get("id"), name=str(block.get("name")), arguments=_json(block.get("input"))))
    return tuple(calls)


def _json(arguments: Any) -> str:
    if isinstance(arguments, str):  # as it comes out of a stream of Anthropic's
        return arguments
    return json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))
