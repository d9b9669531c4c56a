"""The grammar of an answer, in llguidance's Lark dialect (llguidance, docs/syntax.md).

A grammar covers the whole answer from its first token, so that a schema applies to the body of the answer or call
only. A schema applied from the first token would forbid the control tokens, and with them the reasoning.
"""

import json
from collections.abc import Mapping
from typing import Any

from langchain_gptoss.chat_formats.base import AnswerGrammar, PromptOptions, Tool
from langchain_gptoss.chat_formats.json_schema import forbid_unnamed_properties, inline_references

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
_FREE_TEXT = "FREE: /(?s:.*)/\n"
# Keys that can describe arguments without `properties`.
_KEYS_WITH_ARGUMENTS = {"additionalProperties", "patternProperties", "$ref", "anyOf", "oneOf", "allOf"}


def build_harmony_grammar(options: PromptOptions, control_ids: Mapping[str, int]) -> AnswerGrammar | None:
    """Return the grammar of an assistant turn in harmony, after `<|start|>assistant`; None for a free answer."""
    endings = _list_harmony_endings(options)
    if not endings:
        return None
    token = {name.strip("<|>"): f"<[{token_id}]>" for name, token_id in control_ids.items()}
    rules = [f'start: (aside {token["start"]} "assistant")* ({" | ".join(endings)})']
    # A JSON answer allows no other text before it; a call may have a preamble.
    schema = options.enforced_schema
    channels = '("analysis" | "commentary")' if schema is None else '"analysis"'
    aside = f"{token['channel']} {channels} {token['message']} FREE {token['end']}"
    rules.append(f"aside: {aside}")
    content_type = f'(" "? {token["constrain"]} "json")?'
    for index, tool in enumerate(options.callable_tools):
        arguments = build_arguments_schema(tool) if options.enforces_arguments(tool) else {"type": "object"}
        # The recipient may come before or after the channel.
        recipient = json.dumps(f" to=functions.{tool.name}", ensure_ascii=False)
        before = f'{recipient} {token["channel"]} "commentary" {content_type}'
        after = f'{token["channel"]} "commentary" {recipient} {content_type}'
        rules.append(
            f"call{index}: ({before} | {after}) {token['message']} {_write_json_rule(arguments)} {token['call']}"
        )
    answer = "FREE" if schema is None else _write_json_rule(schema)
    rules.append(f'answer: {token["channel"]} "final" {content_type} {token["message"]} {answer} {token["return"]}')
    return AnswerGrammar(lark="\n".join(rules) + "\n" + _FREE_TEXT)


def _list_harmony_endings(options: PromptOptions) -> list[str]:
    """Return the rules that may end the turn; an empty list if the answer needs no grammar."""
    calls = [f"call{index}" for index in range(len(options.callable_tools))]
    if options.must_call:
        return calls
    needs_grammar = options.enforced_schema is not None or any(tool.strict for tool in options.callable_tools)
    return [*calls, "answer"] if needs_grammar else []


def build_tagged_grammar(options: PromptOptions) -> AnswerGrammar | None:
    """Return the grammar of an answer in which calls are JSON between tags; None for a free answer.

    Chat formats without tool calls of their own use this grammar.
    """
    tools, schema = options.callable_tools, options.enforced_schema
    if options.must_call:
        calls = [build_call_schema(tool, enforce=options.enforces_arguments(tool)) for tool in tools]
        return _build_json_grammar({"anyOf": calls} if len(calls) > 1 else calls[0])
    if not tools:
        return None if schema is None else _build_json_grammar(schema)
    bodies = " | ".join(
        _write_json_rule(build_call_schema(tool, enforce=options.enforces_arguments(tool))) for tool in tools
    )
    text = "TEXT" if schema is None else _write_json_rule(schema)
    calls_rule = "call+" if options.parallel_tool_calls else "call"
    rules = [f"start: {text} | {calls_rule}", f'call: "{CALL_START}" /\\s*/ ({bodies}) /\\s*/ "{CALL_END}" /\\s*/']
    if schema is None:
        rules.append(f"TEXT: /(?s:.*)/ & ~/(?s:\\s*{CALL_START}.*)/")
    return AnswerGrammar(lark="\n".join(rules) + "\n")


def _build_json_grammar(schema: Mapping[str, Any]) -> AnswerGrammar:
    return AnswerGrammar(lark=f"start: {_write_json_rule(schema)}\n", json_schema=forbid_unnamed_properties(schema))


def build_call_schema(tool: Tool, *, enforce: bool) -> dict[str, Any]:
    """Return the schema of one call written as JSON; `enforce` restricts its arguments to the schema of the tool."""
    arguments = inline_references(build_arguments_schema(tool)) if enforce else {"type": "object"}
    return {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def build_arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """Return the schema of a tool's arguments; a tool that declares no arguments accepts none."""
    if not tool.parameters.get("properties") and not _KEYS_WITH_ARGUMENTS & tool.parameters.keys():
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return tool.parameters


def _write_json_rule(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps(forbid_unnamed_properties(schema), ensure_ascii=False)}"
