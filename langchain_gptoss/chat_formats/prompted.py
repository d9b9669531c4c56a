"""Tools and structured output for formats that have none of their own: by prompt, by grammar, and read back from JSON.

Calls stand as `<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, the marks that most open models know.
"""

import json
import re
from collections.abc import Collection, Sequence
from typing import Any

from tokenizers.decoders import DecodeStream

from langchain_gptoss.chat_formats.base import Delta, Mend, Parser, Task, Tool, text_deltas
from langchain_gptoss.chat_formats.constrain import CALL_CLOSING, CALL_OPENING
from langchain_gptoss.chat_formats.messages import Entry, Result, Said, Spoken

_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*')


def turns(entries: Sequence[Entry], task: Task) -> list[tuple[str, str]]:
    """Returns a conversation as roles (`"system"`, `"user"`, `"assistant"`) and texts.

    Reasoning is left out, and tool results speak as the user.
    """
    written = [turn for entry in entries for turn in _turn(entry)]
    if not (told := _told(task)):
        return written
    if written[0][0] == "system":
        return [("system", f"{written[0][1]}\n\n{told}"), *written[1:]]
    return [("system", told), *written]


def _turn(entry: Entry) -> list[tuple[str, str]]:
    if isinstance(entry, Spoken):
        return [(entry.role, entry.text)]
    if isinstance(entry, Result):
        return [("user", f"Result of {entry.name}: {entry.text}")]
    return [("assistant", _said(entry))]


def _said(entry: Said) -> str:
    calls = [
        f'{CALL_OPENING}{{"name": {json.dumps(call.name)}, "arguments": {call.arguments or "{}"}}}{CALL_CLOSING}'
        for call in entry.calls
    ]
    return "\n".join([*([entry.text] if entry.text or not calls else []), *calls])


def _told(task: Task) -> str:
    """Returns what the model is told about tools and about the form of its answer."""
    parts = []
    if tools := task.callable_tools:
        described = "\n".join(json.dumps(_described(tool), ensure_ascii=False) for tool in tools)
        form = '{"name": "<name>", "arguments": {<arguments>}}'
        if task.must_call:
            parts.append(f"You have these tools:\n{described}\nAnswer with one call and nothing else: {form}")
        else:
            parts.append(
                f"You have these tools:\n{described}\n"
                f"To call one, answer with {CALL_OPENING}{form}{CALL_CLOSING} and nothing else."
            )
    if (wanted := task.response_format) is not None:
        schema = json.dumps(wanted.schema, ensure_ascii=False)
        parts.append(f"Answer with JSON that follows this schema, and with nothing else:\n{schema}")
    return "\n\n".join(parts)


def _described(tool: Tool) -> dict[str, Any]:
    return {"name": tool.name, "description": tool.description, "parameters": dict(tool.parameters)}


class TokenizerParser(Parser):
    """Turns a Hugging Face tokenizer's ids into text and calls.

    Control tokens vanish, and split characters wait for their rest. Where tools are offered, text that may be a call
    waits until it is known to be one.
    """

    def __init__(self, tokenizer: Any, tools: Collection[str] = ()) -> None:
        """Takes a fast tokenizer and the names of the tools that were offered."""
        super().__init__()
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tools = frozenset(tools)
        self._held = ""
        self._began = False
        self._calls = 0

    def feed(self, token_id: int) -> list[Delta]:
        """See `Parser.feed`."""
        text = self._stream.step(self._backend, token_id)
        if not self._tools or not text:
            return text_deltas(text)
        self._held += text
        return self._ready()

    def flush(self) -> list[Delta]:
        """See `Parser.flush`: half a character at the very end is not text."""
        held, self._held = self._held, ""
        if self._bare(held) or held.lstrip().startswith(CALL_OPENING):
            return self._call(held.strip().removeprefix(CALL_OPENING), held)
        return text_deltas(held)

    def _ready(self) -> list[Delta]:
        deltas: list[Delta] = []
        while not self._bare(self._held):
            place = self._held.find(CALL_OPENING)
            if place < 0:
                keep = _beginning(self._held) if self._held.strip() else len(self._held)
                shown, self._held = self._held[: len(self._held) - keep], self._held[len(self._held) - keep :]
                self._began = self._began or bool(shown.strip())
                return deltas + text_deltas(shown)
            end = self._held.find(CALL_CLOSING, place)
            before, self._held = self._held[:place], self._held[place:]
            deltas += text_deltas(before if before.strip() else "")
            self._began = True
            if end < 0:
                return deltas
            whole, self._held = self._held[: end - place + len(CALL_CLOSING)], self._held[end - place :]
            self._held = self._held.removeprefix(CALL_CLOSING)
            deltas += self._call(whole[len(CALL_OPENING) : -len(CALL_CLOSING)], whole)
        return deltas

    def _bare(self, text: str) -> bool:
        """Returns whether an answer begins like a call without its marks."""
        return not self._began and text.lstrip().startswith("{")

    def _call(self, written: str, whole: str) -> list[Delta]:
        """Returns a call, or its text where it calls no tool that was offered."""
        name, arguments = _read_call(written)
        if name not in self._tools:
            if name or whole.lstrip().startswith(CALL_OPENING):
                self.mended.append(Mend(whole.strip(), "text: it calls no tool that was offered"))
            return text_deltas(whole)
        index, self._calls = self._calls, self._calls + 1
        return [Delta("tool_call", "", index, name), Delta("tool_call", arguments, index)]


def _read_call(written: str) -> tuple[str, str]:
    """Returns the name and the arguments of a call; arguments that are not JSON come as they stand."""
    try:
        value = json.loads(written)
    except ValueError:
        name, arguments = _NAME.search(written), _ARGUMENTS.search(written)
        return (name[1] if name else "", written[arguments.end() :].strip() if arguments else "")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return "", ""
    return value["name"], json.dumps(value.get("arguments") or {}, ensure_ascii=False)


def _beginning(text: str) -> int:
    """Returns the length of the longest end of `text` that begins a call."""
    longest = min(len(text), len(CALL_OPENING) - 1)
    return next((size for size in range(longest, 0, -1) if CALL_OPENING.startswith(text[-size:])), 0)
