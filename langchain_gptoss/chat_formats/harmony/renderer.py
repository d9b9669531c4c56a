"""Prompts in harmony, as in the openai/harmony guide."""

import json
import re
from collections.abc import Collection, Iterator, Sequence
from datetime import date
from typing import get_args

from langchain_gptoss.chat_formats.base import DEFAULT_EFFORT, PromptOptions, ReasoningEffort
from langchain_gptoss.chat_formats.harmony.codec import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, START, Codec
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace
from langchain_gptoss.chat_formats.messages import AssistantTurn, TextTurn, ToolResultTurn, Turn
from langchain_gptoss.errors import InvalidInputError

KNOWLEDGE_CUTOFF = "2024-06"
_EFFORTS = get_args(ReasoningEffort)
_IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
_CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
# Tools that the models know from their training; OpenAI's rules for names of functions allow no dot.
_BUILT_IN_TOOLS = re.compile(r"python|(?:browser|container)\.\w+")
_CALLS = "\nCalls to these tools must go to the commentary channel: 'functions'."


def render_prompt(turns: Sequence[Turn], options: PromptOptions, codec: Codec) -> list[int]:
    """Return the token ids of a prompt; see `ChatFormat.render_turns`."""
    ids = _encode_message(codec, "system", _write_system_message(options))
    if developer_message := _write_developer_message(turns, options):
        ids += _encode_message(codec, "developer", developer_message)
    functions = {tool.name for tool in options.tools}
    for turn in turns:
        ids += _encode_turn(turn, functions, codec)
    return [*ids, codec.control_ids[START], *codec.encode("assistant")]


def _write_system_message(options: PromptOptions) -> str:
    effort = options.reasoning_effort or DEFAULT_EFFORT
    if effort not in _EFFORTS:
        raise InvalidInputError(f"reasoning_effort is {effort!r}; it must be one of {', '.join(_EFFORTS)}.")
    return (
        f"{_IDENTITY}\nKnowledge cutoff: {KNOWLEDGE_CUTOFF}\nCurrent date: {date.today().isoformat()}\n\n"
        f"Reasoning: {effort}\n\n{_CHANNELS}{_CALLS if options.tools else ''}"
    )


def _write_developer_message(turns: Sequence[Turn], options: PromptOptions) -> str:
    instructions = [turn.text for turn in turns if isinstance(turn, TextTurn) and turn.role == "system"]
    if options.must_call and options.tools:
        functions = " or ".join(f"functions.{tool.name}" for tool in options.callable_tools)
        instructions.append(f"Answer this message with a call to {functions}.")
    if options.tool_choice == "none" and options.tools:
        instructions.append("Answer this message without calling a function.")
    sections = ["# Instructions\n\n" + "\n\n".join(instructions)] if any(instructions) else []
    if options.tools:
        sections.append(write_namespace(options.tools))
    if (response_format := options.response_format) is not None:
        schema = json.dumps(response_format.schema, ensure_ascii=False, separators=(",", ":"))
        description = "".join(f"// {line}\n" for line in response_format.description.splitlines())
        sections.append(f"# Response Formats\n\n## {response_format.name}\n\n{description}{schema}")
    return "\n\n".join(sections)


def _encode_turn(turn: Turn, functions: Collection[str], codec: Codec) -> Iterator[int]:
    if isinstance(turn, TextTurn):
        if turn.role == "user":  # system messages are part of the developer message
            yield from _encode_message(codec, "user", turn.text)
    elif isinstance(turn, ToolResultTurn):
        author, channel = _find_address(turn.name, functions)
        yield from _encode_message(codec, f"{author} to=assistant", turn.text, header=channel)
    else:
        yield from _encode_assistant_turn(turn, functions, codec)


def _encode_assistant_turn(turn: AssistantTurn, functions: Collection[str], codec: Codec) -> Iterator[int]:
    """Yield the ids of the messages of a turn, which may be none: an empty message would teach empty answers."""
    if turn.reasoning:
        yield from _encode_message(codec, "assistant", turn.reasoning, header="analysis")
    if turn.text:
        yield from _encode_message(codec, "assistant", turn.text, header="commentary" if turn.is_preamble else "final")
    for call in turn.calls:
        recipient, channel = _find_address(call.name, functions)
        header, content_type = f"{channel} to={recipient} ", "json"
        if channel == "analysis":  # what the models write for their built-in tools; Python code is no JSON
            header, content_type = f"{header}code", ""
        yield from _encode_message(
            codec, "assistant", call.arguments, header=header, content_type=content_type, end=CALL
        )


def _find_address(name: str, functions: Collection[str]) -> tuple[str, str]:
    """Return the full name of a tool and the channel of its calls; results come back on the same channel."""
    if name not in functions and _BUILT_IN_TOOLS.fullmatch(name):
        return name, "analysis"
    return f"functions.{name}", "commentary"


def _encode_message(
    codec: Codec, role: str, text: str, *, header: str = "", content_type: str = "", end: str = END
) -> list[int]:
    ids = [codec.control_ids[START], *codec.encode(role)]
    if header:
        ids += [codec.control_ids[CHANNEL], *codec.encode(header)]
    if content_type:
        ids += [codec.control_ids[CONSTRAIN], *codec.encode(content_type)]
    return [*ids, codec.control_ids[MESSAGE], *codec.encode(text), codec.control_ids[end]]
