"""The grammar of an answer, in llguidance's Lark dialect (llguidance, docs/syntax.md).

A grammar covers the whole answer from its first token, so that a schema applies to the body of the answer or call
only. A schema applied from the first token would forbid the control tokens, and with them the reasoning.
"""

import json
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from langchain_gptoss.chat_formats.base import AnswerGrammar, PromptOptions, Tool
from langchain_gptoss.chat_formats.schema_relaxation import relax_schema
from langchain_gptoss.chat_formats.tool_notation import PROMPT_NOTATION, ToolNotation

_FREE_TEXT = "FREE: /(?s:.*)/\n"
_NO_CONTROL_IDS: Mapping[str, int] = MappingProxyType({})
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


def build_tagged_grammar(
    options: PromptOptions,
    notation: ToolNotation = PROMPT_NOTATION,
    control_ids: Mapping[str, int] = _NO_CONTROL_IDS,
) -> AnswerGrammar | None:
    """Return the grammar of an answer in which calls are JSON between marks; None for a free answer.

    A required call is one call: small models that may go on repeat their call until the token limit. Our own prompt
    asks for it without marks.

    Args:
        options: The options of the prompt.
        notation: The notation of calls.
        control_ids: The ids of the notation's marks that are tokens without a text in llguidance.
    """
    tools, schema = options.callable_tools, options.enforced_schema
    if not tools:
        return None if schema is None else _build_json_grammar(schema)
    calls = [build_call_schema(tool, notation, enforce=options.enforces_arguments(tool)) for tool in tools]
    writer = _CallRuleWriter(notation, control_ids, allows_several=options.parallel_tool_calls)
    if options.must_call:
        grammar = _build_json_grammar({"anyOf": calls} if len(calls) > 1 else calls[0])
        if notation is PROMPT_NOTATION or not notation.opening:
            return grammar
        return AnswerGrammar(lark=writer.write_required(calls), json_schema=grammar.json_schema)
    if schema is not None:
        return AnswerGrammar(lark=writer.write_choice(_write_json_rule(schema), calls))
    return AnswerGrammar(lark=writer.write_free(calls))


class _CallRuleWriter:
    """Writer of the grammars of answers with calls in one notation."""

    def __init__(self, notation: ToolNotation, control_ids: Mapping[str, int], *, allows_several: bool) -> None:
        """Store the notation; `allows_several` permits several calls in one answer."""
        self._notation = notation
        self._control_ids = control_ids
        self._allows_several = allows_several and notation.separator is not None
        self._is_list = notation.start.rstrip().endswith("[")

    def write_required(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """Return the grammar of exactly one call, with the white space of the notation."""
        start, end = self._quote(self._notation.start.lstrip()), self._quote(self._notation.end.rstrip())
        return f"start: {start} body {end}\nbody: {_write_choice(calls)}\n"

    def write_choice(self, json_rule: str, calls: Sequence[Mapping[str, Any]]) -> str:
        """Return the grammar of a JSON answer or calls."""
        return f"start: {json_rule} | {'call+' if self._allows_several else 'call'}\n{self._write_call_rules(calls)}\n"

    def write_free(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """Return the grammar of a text with calls after it."""
        opening = self._notation.opening
        more = "call*" if self._allows_several else ""
        if not opening:  # JSON without marks
            return f"start: TEXT | call {more}\nTEXT: /\\s*([^{{\\s](?s:.*))?/\n{self._write_call_rules(calls)}\n"
        if opening in self._control_ids:
            return f"start: TEXT ({self._quote(opening)} call_body {more})?\nTEXT: /(?s:.*)/\n" + (
                f"{self._write_call_rules(calls)}\n"
            )
        # The matcher reads as far as a rule goes, so the text before a call must be one rule with the mark.
        mark = re.escape(opening).replace("/", "\\/")
        start = f"start: TEXT | before call_body {more}"
        text_rules = f"before[lazy]: /(?s:.*){mark}/\nTEXT: /(?s:.*)/ & ~/(?s:.*{mark}.*)/"
        return f"{start}\n{text_rules}\n{self._write_call_rules(calls)}\n"

    def _write_call_rules(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """Return the rules of one call, or of one list of calls, with its marks."""
        opening, closing = self._notation.opening, self._notation.closing
        bodies = f"({_write_choice(calls)})"
        if self._is_list:
            more = f"(/\\s*,\\s*/ {bodies})*" if self._allows_several else ""
            bodies = f'"[" /\\s*/ {bodies} {more} /\\s*/ "]"'
        end = f"{self._quote(closing)} /\\s*/" if closing else ""
        call = f"{self._quote(opening)} call_body" if opening else "call_body"
        return f"call: {call}\ncall_body: /\\s*/ {bodies} /\\s*/ {end}"

    def _quote(self, text: str) -> str:
        """Return a text as a part of a rule, with control tokens as ids."""
        if not self._control_ids:
            return json.dumps(text, ensure_ascii=False)
        pieces = re.split(f"({'|'.join(map(re.escape, self._control_ids))})", text)
        return " ".join(
            f"<[{self._control_ids[piece]}]>" if piece in self._control_ids else json.dumps(piece, ensure_ascii=False)
            for piece in pieces
            if piece
        )


def _write_choice(schemas: Sequence[Mapping[str, Any]]) -> str:
    return " | ".join(_write_json_rule(schema) for schema in schemas)


def _build_json_grammar(schema: Mapping[str, Any]) -> AnswerGrammar:
    relaxed = relax_schema(schema).schema
    return AnswerGrammar(lark=f"start: {_write_json_rule(relaxed)}\n", json_schema=relaxed)


def build_call_schema(tool: Tool, notation: ToolNotation = PROMPT_NOTATION, *, enforce: bool) -> dict[str, Any]:
    """Return the schema of one call written as JSON; `enforce` restricts its arguments to the schema of the tool."""
    arguments = dict(build_arguments_schema(tool)) if enforce else {"type": "object"}
    # References in the arguments begin at the schema with this identifier.
    identifier = {"$id": f"tool:{quote(tool.name)}", "$defs": arguments.pop("$defs")} if "$defs" in arguments else {}
    members = {"name": {"const": tool.name}, notation.arguments_key: arguments}
    properties = members if notation.has_name_first else dict(reversed(members.items()))
    return {
        **identifier,
        "type": "object",
        "properties": properties,
        "required": list(properties),
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
