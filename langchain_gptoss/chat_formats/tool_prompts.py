"""Tools and structured output in plain prompts, for chat formats that have no notation for them.

The prompt describes the tools. A call is written as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the
tags that most open models know.
"""

import json
from collections.abc import Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.messages import AssistantTurn, TextTurn, ToolResultTurn, Turn
from langchain_gptoss.chat_formats.tool_notation import CALL_END, CALL_START


def write_turns(turns: Sequence[Turn], options: PromptOptions) -> list[tuple[str, str]]:
    """Return a conversation as pairs of role (`"system"`, `"user"`, `"assistant"`) and text.

    Reasoning is left out, and tool results become messages of the user.
    """
    pairs = [_write_turn(turn) for turn in turns]
    if not (instructions := _write_instructions(options)):
        return pairs
    if pairs and pairs[0][0] == "system":
        return [("system", f"{pairs[0][1]}\n\n{instructions}"), *pairs[1:]]
    return [("system", instructions), *pairs]


def _write_turn(turn: Turn) -> tuple[str, str]:
    if isinstance(turn, TextTurn):
        return turn.role, turn.text
    if isinstance(turn, ToolResultTurn):
        return "user", f"Result of {turn.name}: {turn.text}"
    return "assistant", _write_assistant_turn(turn)


def _write_assistant_turn(turn: AssistantTurn) -> str:
    calls = [
        f'{CALL_START}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}{CALL_END}'
        for call in turn.calls
    ]
    return "\n".join([*([turn.text] if turn.text or not calls else []), *calls])


def _write_instructions(options: PromptOptions) -> str:
    """Return the instructions about tools and about the form of the answer."""
    parts = []
    if options.callable_tools:
        tools = options.tools if options.allowed_tools else options.callable_tools
        descriptions = "\n".join(json.dumps(_describe_tool(tool), ensure_ascii=False) for tool in tools)
        call = '{"name": "<name>", "arguments": {<arguments>}}'
        if options.must_call:
            parts.append(f"You have these tools:\n{descriptions}\nAnswer with one call and nothing else: {call}")
        else:
            parts.append(
                f"You have these tools:\n{descriptions}\n"
                f"To call one, answer with {CALL_START}{call}{CALL_END} and nothing else."
            )
    parts += [write_allowed_tools(options), write_response_format(options)]
    return "\n\n".join(part for part in parts if part)


def write_allowed_tools(options: PromptOptions) -> str:
    """Return the instruction that limits the calls to some of the tools; empty if there is no limit."""
    if not options.allowed_tools or not options.callable_tools:
        return ""
    return f"Call only {' or '.join(tool.name for tool in options.callable_tools)} this time."


def write_response_format(options: PromptOptions) -> str:
    """Return the instruction about the form of a JSON answer; empty for an answer in free form."""
    if options.response_format is None:
        return ""
    schema = json.dumps(options.response_format.schema, ensure_ascii=False)
    return f"Answer with JSON that follows this schema, and with nothing else:\n{schema}"


def _describe_tool(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}
