"""The grammar of an answer, in llguidance's Lark dialect (llguidance, docs/syntax.md).

A grammar covers the whole answer from its first token, so that a schema applies to the body of the answer or call
only. A schema applied from the first token would forbid the control tokens, and with them the reasoning.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from langchain_gptoss.chat_formats.base import AnswerGrammar, PromptOptions, Tool
from langchain_gptoss.chat_formats.schema_relaxation import relax_schema

CALL_START, CALL_END = "<tool_call>", "</tool_call>"
_FREE_TEXT = "FREE: /(?s:.*)/\n"
# Keys that can describe arguments without `properties`.
_KEYS_WITH_ARGUMENTS = {"additionalProperties", "patternProperties", "$ref", "anyOf", "oneOf", "allOf"}


def build_harmony_grammar(options: PromptOptions, control_ids: Mapping[str, int]) -> AnswerGrammar | None:
    """Return the grammar of an assistant turn in harmony, after `<|start|>assistant`; None for a free answer.

    A call that ends with `<|end|>` is followed by another message of the turn, and `<|call|>` ends the turn, as all
    servers of these models have it: after `<|call|>` a model expects the result of the tool, and would make it up.
    """
    if not _needs_harmony_grammar(options):
        return None
    token = {name.strip("<|>"): f"<[{token_id}]>" for name, token_id in control_ids.items()}
    schema = options.enforced_schema
    # A JSON answer allows no other text before it; a call may have a preamble.
    channels = '("analysis" | "commentary")' if schema is None else '"analysis"'
    content_type = f'(" "? {token["constrain"]} "json" | " json")?'
    answer = "FREE" if schema is None else _write_json_rule(schema)
    rules = [
        *_write_turn_rules(options, token),
        f'next: {token["start"]} "assistant"',
        f"aside: {token['channel']} {channels} {token['message']} FREE {token['end']}",
        f'answer: {token["channel"]} "final" {content_type} {token["message"]} {answer} {token["return"]}',
        *_write_call_rules(options, token),
    ]
    return AnswerGrammar(lark="\n".join(rules) + "\n" + _FREE_TEXT)


def _needs_harmony_grammar(options: PromptOptions) -> bool:
    tools = options.callable_tools
    if options.must_call:
        return bool(tools)
    is_limited = bool(options.allowed_tools) and len(tools) < len(options.tools)
    return options.enforced_schema is not None or is_limited or any(tool.strict for tool in tools)


def _write_turn_rules(options: PromptOptions, token: Mapping[str, str]) -> list[str]:
    """Return the rules for the order of the messages of a turn."""
    if not options.callable_tools:
        return ["start: (aside next)* answer"]
    last_call = f"call {token['call']}"
    if not options.parallel_tool_calls:
        return [f"start: (aside next)* ({last_call}{'' if options.must_call else ' | answer'})"]
    earlier_call = f"call {token['end']}"
    rest = f"(aside next | {earlier_call} next)* ({last_call} | answer)"
    if not options.must_call:
        return [f"start: {rest}"]
    # After the required call the turn may also end with an answer. Otherwise, a model that ends its only call with
    # `<|end|>` would have to make another one.
    return [f"start: (aside next)* ({last_call} | {earlier_call} next rest)", f"rest: {rest}"]


def _write_call_rules(options: PromptOptions, token: Mapping[str, str]) -> list[str]:
    """Return the rules of calls without the token that ends them, in all the forms that models write."""
    tools = options.callable_tools
    if not tools:
        return []
    channel = f'{token["channel"]} ("commentary" | "analysis")'
    content_type = f'(" "? {token["constrain"]} ("json" | "code") | " json" | " code")?'
    rules = [
        f"call: {' | '.join(f'call{index}' for index in range(len(tools)))}",
        f"call_channel: {channel}",
        f"call_type: {content_type} {token['message']}",
    ]
    for index, tool in enumerate(tools):
        arguments = build_arguments_schema(tool) if options.enforces_arguments(tool) else {"type": "object"}
        # The recipient may come before or after the channel.
        recipient = json.dumps(f" to=functions.{tool.name}", ensure_ascii=False)
        header = f"({recipient} call_channel | call_channel {recipient}) call_type"
        rules.append(f"call{index}: {header} {_write_json_rule(arguments)}")
    return rules


def build_tagged_grammar(options: PromptOptions) -> AnswerGrammar | None:
    """Return the grammar of an answer in which calls are JSON between tags; None for a free answer.

    Chat formats without tool calls of their own use this grammar. A required call is one
    object without tags: small models that may go on repeat their call until the token limit.
    """
    tools, schema = options.callable_tools, options.enforced_schema
    if not tools:
        return None if schema is None else _build_json_grammar(schema)
    calls = [build_call_schema(tool, enforce=options.enforces_arguments(tool)) for tool in tools]
    if options.must_call:
        return _build_json_grammar({"anyOf": calls} if len(calls) > 1 else calls[0])
    if schema is not None:
        start = f"start: {_write_json_rule(schema)} | {'call+' if options.parallel_tool_calls else 'call'}"
        return AnswerGrammar(lark=f"{start}\n{_write_tagged_call_rules(calls)}\n")
    # The matcher reads as far as a rule goes, so the text before a call must be one rule with the tag.
    start = f"start: TEXT | before call_body {'call*' if options.parallel_tool_calls else ''}"
    text_rules = f"before[lazy]: /(?s:.*){CALL_START}/\nTEXT: /(?s:.*)/ & ~/(?s:.*{CALL_START}.*)/"
    return AnswerGrammar(lark=f"{start}\n{text_rules}\n{_write_tagged_call_rules(calls)}\n")


def _write_tagged_call_rules(calls: Sequence[Mapping[str, Any]]) -> str:
    bodies = " | ".join(_write_json_rule(call) for call in calls)
    return f'call: "{CALL_START}" call_body\ncall_body: /\\s*/ ({bodies}) /\\s*/ "{CALL_END}" /\\s*/'


def _build_json_grammar(schema: Mapping[str, Any]) -> AnswerGrammar:
    relaxed = relax_schema(schema).schema
    return AnswerGrammar(lark=f"start: {_write_json_rule(relaxed)}\n", json_schema=relaxed)


def build_call_schema(tool: Tool, *, enforce: bool) -> dict[str, Any]:
    """Return the schema of one call written as JSON; `enforce` restricts its arguments to the schema of the tool."""
    arguments = dict(build_arguments_schema(tool)) if enforce else {"type": "object"}
    # References in the arguments begin at the schema with this identifier.
    identifier = {"$id": f"tool:{quote(tool.name)}", "$defs": arguments.pop("$defs")} if "$defs" in arguments else {}
    return {
        **identifier,
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }


def build_arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """Return the schema that a grammar enforces for a tool's arguments.

    A tool that declares no arguments accepts none. Keywords that a grammar cannot enforce are left out, with a warning;
    of a schema that contradicts itself only the object remains, so that the other tools can be called.
    """
    parameters = tool.parameters
    names_nothing = not parameters.get("properties") and not _KEYS_WITH_ARGUMENTS & parameters.keys()
    if names_nothing and ("properties" in parameters or not parameters):
        return {"type": "object", "properties": {}, "additionalProperties": False}
    relaxed = relax_schema(parameters, name=tool.name)
    arguments = {**relaxed.schema, "type": "object"}
    return arguments if relaxed.is_satisfiable and relax_schema(arguments).is_satisfiable else {"type": "object"}


def _write_json_rule(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps(relax_schema(schema).schema, ensure_ascii=False)}"
