"""Conversations with tools in the form that chat templates read."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.message_parts import ToolCall
from langchain_gptoss.chat_formats.messages import AssistantTurn, TextTurn, ToolResultTurn, Turn
from langchain_gptoss.chat_formats.tool_notation import build_result_message, build_template_call
from langchain_gptoss.chat_formats.tool_prompts import write_allowed_tools, write_response_format


@dataclass(frozen=True, kw_only=True)
class TemplatePrompt:
    """The arguments of a chat template.

    Attributes:
        messages: Messages with a role and content, and calls or the id of a call where there are any.
        tools: Tools in the form of OpenAI's API.
    """

    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]]


def write_template_prompt(
    turns: Sequence[Turn], options: PromptOptions, *, allows_several_calls: bool
) -> TemplatePrompt:
    """Return a conversation for a chat template with tools; reasoning is left out.

    Args:
        turns: The conversation.
        options: The rest of the prompt.
        allows_several_calls: False writes the calls of one answer as several answers, each with its result.
    """
    writer = _MessageWriter()
    for turn in turns if allows_several_calls else _separate_calls(turns):
        writer.add(turn)
    tools = options.tools if options.callable_tools and options.allowed_tools else options.callable_tools
    parts = [write_allowed_tools(options), write_response_format(options)]
    messages = _add_instructions(writer.messages, "\n\n".join(part for part in parts if part))
    return TemplatePrompt(messages=messages, tools=[_describe_tool(tool) for tool in tools])


class _MessageWriter:
    """Writer of messages that numbers the calls and matches results with them."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self._numbers: dict[str, int] = {}
        self._count = 0

    def add(self, turn: Turn) -> None:
        """Write one turn."""
        if isinstance(turn, TextTurn):
            self.messages.append({"role": turn.role, "content": turn.text})
        elif isinstance(turn, ToolResultTurn):
            self.messages.append(build_result_message(turn.name, turn.text, self._numbers.get(turn.call_id, 0)))
        else:
            calls = [self._write_call(call) for call in turn.calls]
            self.messages.append({"role": "assistant", "content": turn.text} | ({"tool_calls": calls} if calls else {}))

    def _write_call(self, call: ToolCall) -> dict[str, Any]:
        self._count += 1
        self._numbers[call.id or ""] = self._count
        return build_template_call(call.name, _read_arguments(call.arguments), self._count)


def _read_arguments(arguments: str) -> Any:
    """Return the arguments as an object; what is no JSON stays the text that the model wrote."""
    try:
        return json.loads(arguments or "{}", strict=False)
    except (ValueError, RecursionError):
        return arguments


def _separate_calls(turns: Sequence[Turn]) -> list[Turn]:
    """Return the turns with one call in each answer, followed by its result if there is one."""
    results = {turn.call_id: turn for turn in turns if isinstance(turn, ToolResultTurn)}
    separated: list[Turn] = []
    moved: set[str] = set()
    for turn in turns:
        if isinstance(turn, AssistantTurn) and len(turn.calls) > 1:
            for index, call in enumerate(turn.calls):
                separated.append(AssistantTurn(text="" if index else turn.text, calls=(call,)))
                if (result := results.get(call.id or "")) is not None:
                    separated.append(result)
                    moved.add(result.call_id)
        elif not isinstance(turn, ToolResultTurn) or turn.call_id not in moved:
            separated.append(turn)
    return separated


def _add_instructions(messages: list[dict[str, Any]], instructions: str) -> list[dict[str, Any]]:
    if not instructions:
        return messages
    if messages and messages[0]["role"] == "system":
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{instructions}"}, *messages[1:]]
    return [{"role": "system", "content": instructions}, *messages]


def _describe_tool(tool: Tool) -> dict[str, Any]:
    function = {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
    return {"type": "function", "function": function}
