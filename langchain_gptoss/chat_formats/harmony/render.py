"""Writes conversations in harmony, as in the openai/harmony guide; the ids are those of the reference renderer."""

import json
from collections.abc import Iterator, Sequence
from datetime import date

from langchain_core.messages import BaseMessage

from langchain_gptoss.chat_formats.base import Task
from langchain_gptoss.chat_formats.harmony.codec import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, START, Codec
from langchain_gptoss.chat_formats.harmony.typescript import namespace
from langchain_gptoss.chat_formats.messages import Entry, Result, Said, Spoken, read
from langchain_gptoss.errors import InvalidInputError

KNOWLEDGE_CUTOFF = "2024-06"
_EFFORTS = ("low", "medium", "high")
_IDENTITY = "You are ChatGPT, a large language model trained by OpenAI."
_CHANNELS = "# Valid channels: analysis, commentary, final. Channel must be included for every message."
_CALLS = "\nCalls to these tools must go to the commentary channel: 'functions'."


def rendered(messages: Sequence[BaseMessage], task: Task, codec: Codec) -> list[int]:
    """Returns a prompt's ids; see `ChatFormat.render`."""
    entries = read(messages)
    ids = _message(codec, "system", _system(task))
    if developer := _developer(entries, task):
        ids += _message(codec, "developer", developer)
    for entry in entries:
        ids += _turn(entry, codec)
    return [*ids, codec.controls[START], *codec.encode("assistant")]


def _system(task: Task) -> str:
    effort = task.reasoning_effort or "medium"
    if effort not in _EFFORTS:
        raise InvalidInputError(f"reasoning_effort is {effort!r}; it must be one of {', '.join(_EFFORTS)}.")
    return (
        f"{_IDENTITY}\nKnowledge cutoff: {KNOWLEDGE_CUTOFF}\nCurrent date: {date.today().isoformat()}\n\n"
        f"Reasoning: {effort}\n\n{_CHANNELS}{_CALLS if task.tools else ''}"
    )


def _developer(entries: Sequence[Entry], task: Task) -> str:
    instructions = [entry.text for entry in entries if isinstance(entry, Spoken) and entry.role == "system"]
    if task.must_call and task.tools:
        wanted = " or ".join(f"functions.{tool.name}" for tool in task.callable_tools)
        instructions.append(f"Answer this message with a call to {wanted}.")
    if task.tool_choice == "none" and task.tools:
        instructions.append("Answer this message without calling a function.")
    sections = ["# Instructions\n\n" + "\n\n".join(instructions)] if any(instructions) else []
    if task.tools:
        sections.append(namespace(task.tools))
    if (wanted_format := task.response_format) is not None:
        schema = json.dumps(wanted_format.schema, ensure_ascii=False, separators=(",", ":"))
        description = "".join(f"// {line}\n" for line in wanted_format.description.splitlines())
        sections.append(f"# Response Formats\n\n## {wanted_format.name}\n\n{description}{schema}")
    return "\n\n".join(sections)


def _turn(entry: Entry, codec: Codec) -> Iterator[int]:
    if isinstance(entry, Spoken):
        if entry.role == "user":
            yield from _message(codec, "user", entry.text)
    elif isinstance(entry, Result):
        yield from _message(codec, f"functions.{entry.name}", entry.text, header="commentary to=assistant")
    else:
        yield from _said(entry, codec)


def _said(entry: Said, codec: Codec) -> Iterator[int]:
    if entry.reasoning:
        yield from _message(codec, "assistant", entry.reasoning, header="analysis")
    if entry.text or not entry.calls:
        yield from _message(codec, "assistant", entry.text, header="commentary" if entry.calls else "final")
    for call in entry.calls:
        header = f"commentary to=functions.{call.name} "
        yield from _message(codec, "assistant", call.arguments, header=header, constrain="json", end=CALL)


def _message(codec: Codec, role: str, text: str, *, header: str = "", constrain: str = "", end: str = END) -> list[int]:
    ids = [codec.controls[START], *codec.encode(role)]
    if header:
        ids += [codec.controls[CHANNEL], *codec.encode(header)]
    if constrain:
        ids += [codec.controls[CONSTRAIN], *codec.encode(constrain)]
    return [*ids, codec.controls[MESSAGE], *codec.encode(text), codec.controls[end]]
