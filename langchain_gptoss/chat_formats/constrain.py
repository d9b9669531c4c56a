"""What an answer must spell, as a grammar in llguidance's Lark dialect (llguidance, docs/syntax.md).

The grammar covers the answer from its first token, so that a schema holds only where it belongs: a grammar that begins
at once would forbid the control tokens and with them the reasoning.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from langchain_gptoss.chat_formats.base import Constraint, Task, Tool

CALL_OPENING, CALL_CLOSING = "<tool_call>", "</tool_call>"
_FREE = "FREE: /(?s:.*)/\n"
# What may describe arguments without naming them in `properties`.
_SAYS_MORE = {"additionalProperties", "patternProperties", "$ref", "anyOf", "oneOf", "allOf"}


def harmony_constraint(task: Task, controls: Mapping[str, int]) -> Constraint | None:
    """Returns the grammar of an assistant turn in harmony, after `<|start|>assistant`."""
    endings = _harmony_endings(task)
    if not endings:
        return None
    token = {name.strip("<|>"): f"<[{token_id}]>" for name, token_id in controls.items()}
    rules = [f'start: (aside {token["start"]} "assistant")* ({" | ".join(endings)})']
    # Before an answer that has to be JSON no other text may stand; a call may have a preamble.
    channels = '"analysis"' if task.response_format and task.constrained else '("analysis" | "commentary")'
    aside = f"{token['channel']} {channels} {token['message']} FREE {token['end']}"
    rules.append(f"aside: {aside}")
    kind = f'(" "? {token["constrain"]} "json")?'
    for index, tool in enumerate(task.callable_tools):
        body = _json(arguments_schema(tool) if task.holds(tool) else {"type": "object"})
        # The recipient may stand on either side of the channel.
        recipient = json.dumps(f" to=functions.{tool.name}", ensure_ascii=False)
        before = f'{recipient} {token["channel"]} "commentary" {kind}'
        after = f'{token["channel"]} "commentary" {recipient} {kind}'
        rules.append(f"call{index}: ({before} | {after}) {token['message']} {body} {token['call']}")
    answer = _json(task.response_format.schema) if task.response_format and task.constrained else "FREE"
    rules.append(f'answer: {token["channel"]} "final" {kind} {token["message"]} {answer} {token["return"]}')
    return Constraint(lark="\n".join(rules) + "\n" + _FREE)


def _harmony_endings(task: Task) -> list[str]:
    """Returns the rules that may end the turn, or none where nothing is to be held."""
    calls = [f"call{index}" for index in range(len(task.callable_tools))]
    if task.must_call:
        return calls
    held = task.response_format is not None and task.constrained
    return [*calls, "answer"] if held or any(tool.strict for tool in task.callable_tools) else []


def template_constraint(task: Task) -> Constraint | None:
    """Returns the grammar of an answer in a format without tools of its own, which writes calls as JSON in marks."""
    tools = task.callable_tools
    answer = task.response_format if task.constrained else None
    if task.must_call:
        calls = {"anyOf": [call_schema(tool, held=task.holds(tool)) for tool in tools]}
        schema: Mapping[str, Any] = calls if len(tools) > 1 else calls["anyOf"][0]
        return Constraint(lark=f"start: {_json(schema)}\n", json_schema=closed(schema))
    if answer is not None and not tools:
        return Constraint(lark=f"start: {_json(answer.schema)}\n", json_schema=closed(answer.schema))
    if not tools:
        return None
    forms = " | ".join(_json(call_schema(tool, held=task.holds(tool))) for tool in tools)
    text = _json(answer.schema) if answer else "TEXT"
    calls_rule = "call+" if task.parallel else "call"
    rules = [f"start: {text} | {calls_rule}", f'call: "{CALL_OPENING}" /\\s*/ ({forms}) /\\s*/ "{CALL_CLOSING}" /\\s*/']
    if not answer:
        rules.append(f"TEXT: /(?s:.*)/ & ~/(?s:\\s*{CALL_OPENING}.*)/")
    return Constraint(lark="\n".join(rules) + "\n")


def call_schema(tool: Tool, *, held: bool) -> dict[str, Any]:
    """Returns the schema of one call written as JSON; `held` says whether its arguments follow the tool's schema."""
    arguments = _without_definitions(arguments_schema(tool)) if held else {"type": "object"}
    schema: dict[str, Any] = {
        "type": "object",
        "properties": {"name": {"const": tool.name}, "arguments": arguments},
        "required": ["name", "arguments"],
        "additionalProperties": False,
    }
    return schema


def arguments_schema(tool: Tool) -> Mapping[str, Any]:
    """Returns the schema of a tool's arguments; a tool that names none takes none."""
    if not tool.parameters.get("properties") and not _SAYS_MORE & tool.parameters.keys():
        return {"type": "object", "properties": {}, "additionalProperties": False}
    return tool.parameters


def _without_definitions(schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Returns a schema with its `$ref`s to its own definitions replaced, so that it can stand inside another."""
    whole: Mapping[str, Any] = inlined(schema, schema, ())
    return whole


def inlined(value: Any, root: Mapping[str, Any], open_references: Sequence[str]) -> Any:
    """Returns `value` with references to `root` replaced by what they name; a circle becomes "anything"."""
    if isinstance(value, list):
        return [inlined(item, root, open_references) for item in value]
    if not isinstance(value, Mapping):
        return value
    reference = value.get("$ref")
    if reference == "#":
        return {}
    if isinstance(reference, str) and reference.startswith("#/"):
        if reference in open_references:
            return {}
        target: Any = root
        for key in reference[2:].split("/"):
            target = target.get(key, {}) if isinstance(target, Mapping) else {}
        beside = {key: item for key, item in value.items() if key != "$ref"}
        return inlined({**target, **beside}, root, (*open_references, reference))
    # Below `properties` stand names, and one of them may be "definitions".
    return {
        key: {name: inlined(one, root, open_references) for name, one in item.items()}
        if key == "properties" and isinstance(item, Mapping)
        else inlined(item, root, open_references)
        for key, item in value.items()
        if key not in {"$defs", "definitions"}
    }


def _json(schema: Mapping[str, Any]) -> str:
    return f"%json {json.dumps(closed(schema), ensure_ascii=False)}"


def closed(schema: Any) -> Any:
    """Returns a schema whose objects hold only the properties that it names, unless it says otherwise.

    Parts that are joined by `allOf` each name some of the properties, so such a schema stays as it is.
    """
    return schema if _joins(schema) else _closed(schema)


def _joins(schema: Any) -> bool:
    if isinstance(schema, list):
        return any(_joins(item) for item in schema)
    if not isinstance(schema, Mapping):
        return False
    parts = schema.get("allOf")
    return (isinstance(parts, list) and len(parts) > 1) or any(_joins(item) for item in schema.values())


def _closed(schema: Any) -> Any:
    if isinstance(schema, list):
        return [_closed(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    # What follows these keys is data or names, not a schema.
    within = {
        key: value
        if key in {"default", "const", "enum", "examples"}
        else {name: _closed(item) for name, item in value.items()}
        if key in {"properties", "$defs", "definitions"} and isinstance(value, Mapping)
        else _closed(value)
        for key, value in schema.items()
    }
    open_ended = {"additionalProperties", "patternProperties", "allOf", "unevaluatedProperties"} & schema.keys()
    if schema.get("properties") and not open_ended:
        within["additionalProperties"] = False
    return within
