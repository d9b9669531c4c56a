"""Prompts in harmony, as in the openai/harmony guide; the token ids equal those of the reference renderer."""

import json
from collections.abc import Iterator, Sequence
from datetime import date

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import PromptOptions
from langchain_gptoss.chat_formats.harmony.codec import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, START, Codec
from langchain_gptoss.chat_formats.harmony.typescript import write_namespace
from langchain_gptoss.chat_formats.messages import AssistantTurn, TextTurn, ToolResultTurn, Turn, read_messages
from langchain_gptoss.errors import InvalidInputError

KNOWLEDGE_CUTOFF = "2024-06"
_EFFORTS = ("low", "medium", "high")
_IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
_CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
_CALLS = "\nCalls to these tools must go to the commentary channel: 'functions'."


def render_prompt(messages: Sequence[BaseMessage], options: PromptOptions, codec: Codec) -> list[int]:
    """Return the token ids of a prompt; see `ChatFormat.render`."""
    turns = read_messages(messages)
    ids = _encode_message(codec, "system", _write_system_message(options))
    if developer_message := _write_developer_message(turns, options):
        ids += _encode_message(codec, "developer", developer_message)
    for turn in turns:
        ids += _encode_turn(turn, codec)
    return [*ids, codec.control_ids[START], *codec.encode("assistant")]


def _write_system_message(options: PromptOptions) -> str:
    effort = options.reasoning_effort or "medium"
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


def _encode_turn(turn: Turn, codec: Codec) -> Iterator[int]:
    if isinstance(turn, TextTurn):
        if turn.role == "user":  # system messages are part of the developer message
            yield from _encode_message(codec, "user", turn.text)
    elif isinstance(turn, ToolResultTurn):
        yield from _encode_message(codec, f"functions.{turn.name}", turn.text, header="commentary to=assistant")
    else:
        yield from _encode_assistant_turn(turn, codec)


def _encode_assistant_turn(turn: AssistantTurn, codec: Codec) -> Iterator[int]:
    if turn.reasoning:
        yield from _encode_message(codec, "assistant", turn.reasoning, header="analysis")
    if turn.text or not turn.calls:
        yield from _encode_message(codec, "assistant", turn.text, header="commentary" if turn.calls else "final")
    for call in turn.calls:
        header = f"commentary to=functions.{call.name} "
        yield from _encode_message(codec, "assistant", call.arguments, header=header, content_type="json", end=CALL)


def _encode_message(
    codec: Codec, role: str, text: str, *, header: str = "", content_type: str = "", end: str = END
) -> list[int]:
    ids = [codec.control_ids[START], *codec.encode(role)]
    if header:
        ids += [codec.control_ids[CHANNEL], *codec.encode(header)]
    if content_type:
        ids += [codec.control_ids[CONSTRAIN], *codec.encode(content_type)]
    return [*ids, codec.control_ids[MESSAGE], *codec.encode(text), codec.control_ids[end]]
