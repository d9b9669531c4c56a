"""Text, reasoning and tool calls of LangChain messages of any provider."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from langchain_core.messages import AIMessage, BaseMessage

from langchain_gptoss.errors import InvalidInputError

_TEXT_BLOCKS = {"text", "reasoning", "thinking", "tool_use", "tool_call", "tool_call_chunk", "tool_result"}
# Further blocks of other providers' AI messages: calls, tools that ran on the provider's side, and encrypted reasoning.
_IGNORED_BLOCKS = {
    "function_call", "invalid_tool_call", "input_json_delta", "redacted_thinking", "non_standard",
    "server_tool_call", "server_tool_call_chunk", "server_tool_result", "server_tool_use",
}  # fmt: skip
_CALL_BLOCKS = {"tool_use", "tool_call", "invalid_tool_call", "function_call"}
# Where integrations keep reasoning: OpenAI-compatible servers and LangChain; vLLM, Ollama and OpenAI's own messages;
# the chat template of the published models; OpenRouter.
_REASONING_NAMES = ("reasoning_content", "reasoning", "thinking", "reasoning_details")
_UNKNOWN_TOOL = "unknown"  # name of a call that the model left nameless


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


def read_text(message: BaseMessage) -> str:
    """Return the text of a message.

    Raises:
        InvalidInputError: The message holds an image, a file or other content that is not text.
    """
    for block in _list_blocks(message):
        kind = block.get("type")
        if isinstance(message, AIMessage) and (kind in _IGNORED_BLOCKS or kind == "refusal"):
            continue
        if kind not in _TEXT_BLOCKS:
            raise InvalidInputError(
                f"A {message.type} message holds a block of type {kind!r}, and gpt-oss models read text only.",
                hint="Remove the block.",
            )
    return read_known_text(message)


def read_known_text(message: BaseMessage) -> str:
    """Return the text of a message without its images, files and other content."""
    if isinstance(message.content, str):
        return message.content
    refusals = [block.get("refusal") for block in _list_blocks(message) if block.get("type") == "refusal"]
    return (str(message.text) if message.content else "") + "".join(text for text in refusals if isinstance(text, str))


def read_refusal(message: AIMessage) -> str:
    """Return the text of a refusal that stands beside the content, as in OpenAI's chat completions."""
    refusal = message.additional_kwargs.get("refusal")
    return refusal if isinstance(refusal, str) else ""


def read_reasoning(message: AIMessage) -> str:
    """Return the reasoning of a message under any of the names that integrations give it."""
    for name in _REASONING_NAMES:
        if text := _read_reasoning_value(message.additional_kwargs.get(name)):
            return text
    blocks = [block for block in _list_blocks(message) if block.get("type") in {"reasoning", "thinking"}]
    return _read_reasoning_value(blocks)


def _read_reasoning_value(value: Any) -> str:
    """Return the text of reasoning in any form: a text, a block, or a list of them."""
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        return "".join(_read_reasoning_value(part) for part in value)
    if not isinstance(value, Mapping):
        return ""
    for name in ("reasoning", "thinking", "text", "content"):
        if text := _read_reasoning_value(value.get(name)):
            return text
    return _read_summary(value)


def _read_summary(block: Mapping[str, Any]) -> str:
    """Return the summary of a reasoning block; OpenAI's models publish nothing else of their reasoning."""
    summary = block.get("summary")
    if isinstance(summary, str):  # the summary of a request's options is a word such as "auto"
        return summary if "type" in block else ""
    texts = [part.get("text") for part in summary if isinstance(part, dict)] if isinstance(summary, list) else []
    return "\n\n".join(str(text) for text in texts if text)


def read_calls(message: AIMessage) -> tuple[ToolCall, ...]:
    """Return the tool calls of a message, invalid calls included, as the model wrote them."""
    calls = [
        ToolCall(id=call["id"], name=call["name"], arguments=_write_arguments(call["args"]))
        for call in message.tool_calls
    ]
    calls += [
        ToolCall(id=call["id"], name=call["name"] or _UNKNOWN_TOOL, arguments=call["args"] or "")
        for call in message.invalid_tool_calls
        if call["name"] or call["args"]
    ]
    known_ids = {call.id for call in calls}
    # LangChain fills `tool_calls` from the other places, but not from all of them, and not if one call is broken.
    for other_calls in (_read_call_blocks(message), _read_openai_calls(message)):
        new_calls = [call for call in other_calls if call.id not in known_ids]
        calls += new_calls
        known_ids.update(call.id for call in new_calls)
    return tuple(calls)


def _read_call_blocks(message: AIMessage) -> Iterator[ToolCall]:
    for block in _list_blocks(message):
        if block.get("type") in _CALL_BLOCKS:
            values = [block[name] for name in ("input", "args", "arguments") if name in block]
            yield ToolCall(
                id=block.get("call_id") or block.get("id"),
                name=str(block.get("name") or _UNKNOWN_TOOL),
                arguments=_write_arguments(values[0] if values else None),
            )


def _read_openai_calls(message: AIMessage) -> Iterator[ToolCall]:
    calls = message.additional_kwargs.get("tool_calls")
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict) and function.get("name"):
            arguments = _write_arguments(function.get("arguments"))
            yield ToolCall(id=call.get("id"), name=str(function["name"]), arguments=arguments)


def _write_arguments(arguments: Any) -> str:
    if isinstance(arguments, str):  # JSON text, or what the model wrote instead
        return arguments
    return json.dumps(arguments or {}, ensure_ascii=False, separators=(",", ":"))


def _list_blocks(message: BaseMessage) -> list[dict[str, Any]]:
    """Return the blocks of a message; text between them is a block, too."""
    blocks = message.content if isinstance(message.content, list) else []
    return [block if isinstance(block, dict) else {"type": "text", "text": block} for block in blocks]
