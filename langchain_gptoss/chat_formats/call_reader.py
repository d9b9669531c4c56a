"""The tool calls of one answer while they arrive: which of them can be made, and their arguments as JSON.

Models write JSON with raw line breaks inside strings, between code fences, or as a JSON string that holds the object.
Such arguments are repaired as they stream, so that the pieces of a call add up to valid JSON. Other text that is not
JSON stays as it is, and makes the call invalid.
"""

import json
import re
from collections.abc import Callable, Collection, Mapping
from typing import Literal

from langchain_gptoss.chat_formats.base import Delta, Parser

# White space, or a code fence before the object: "```json\n".
_OPENING = re.compile(r"\s*(?:```\w*|`{1,2})?\s*")
_FENCE = "```"


class ArgumentsReader:
    """Arguments of one call; the results of `feed` and `close` add up to the repaired text.

    Attributes:
        repairs: Descriptions of what was repaired, each once.
    """

    def __init__(self) -> None:
        self.repairs: list[str] = []
        self._state: Literal["opening", "object", "closing", "encoded", "raw"] = "opening"
        self._pending = ""
        self._depth = 0
        self._is_in_string = False
        self._is_escaped = False

    def feed(self, text: str) -> str:
        """Return the part of the repaired arguments that this text completes."""
        if self._state == "raw":
            return text
        if self._state in {"closing", "encoded"}:
            self._pending += text
            return ""
        if self._state == "object":
            return self._read_object(text)
        return self._read_opening(text)

    def close(self) -> str:
        """Return the rest of the arguments at their end."""
        pending, self._pending = self._pending, ""
        if self._state == "closing" and pending.strip() == _FENCE:
            self._note("a code fence around the arguments")
            return ""
        return self._decode_string(pending) if self._state == "encoded" else pending

    def _read_opening(self, text: str) -> str:
        text, self._pending = self._pending + text, ""
        opening = _OPENING.match(text)
        before, rest = _split(text, opening.end() if opening else 0)
        if not rest:
            self._pending = text
            return ""
        if rest.startswith("{") and (not before.strip() or _FENCE in before):
            self._state = "object"
            if before.strip():
                self._note("a code fence around the arguments")
                before = ""
            return before + self._read_object(rest)
        if rest.startswith('"') and not before.strip():
            self._state, self._pending = "encoded", text
            return ""
        self._state = "raw"
        return text

    def _read_object(self, text: str) -> str:
        """Return JSON with raw control characters in strings escaped; hold back what follows the object."""
        parts: list[str] = []
        for position, character in enumerate(text):
            if not self._is_in_string:
                parts.append(character)
                self._is_in_string = character == '"'
                self._depth += (character in "{[") - (character in "}]")
                if self._depth <= 0:
                    self._state, self._pending = "closing", text[position + 1 :]
                    break
            elif character < " ":
                self._note("a raw control character in a string of the arguments")
                # After a backslash the character itself is escaped: "\" and a line break become "\n".
                parts.append(json.dumps(character)[2 if self._is_escaped else 1 : -1])
                self._is_escaped = False
            else:
                parts.append(character)
                self._is_in_string = character != '"' or self._is_escaped
                self._is_escaped = character == "\\" and not self._is_escaped
        return "".join(parts)

    def _decode_string(self, text: str) -> str:
        """Return the object inside a JSON string; return other text unchanged."""
        try:
            decoded = json.loads(text, strict=False)
            is_object = isinstance(json.loads(decoded, strict=False), dict)
        except (ValueError, TypeError, RecursionError):
            return text
        if not is_object:
            return text
        self._note("the arguments as a string of JSON")
        inner = ArgumentsReader()
        return inner.feed(decoded) + inner.close()

    def _note(self, repair: str) -> None:
        if repair not in self.repairs:
            self.repairs.append(repair)


class CallReader:
    """The tool calls of one answer, one after another.

    Attributes:
        errors: Reasons why calls cannot be made, by the position of the call in the answer.
        is_cut: True if the last call was not ended by the model.
    """

    def __init__(
        self, tools: Collection[str], offered_tools: Collection[str], record_repair: Callable[[str, str], None]
    ) -> None:
        """Create a reader of one answer.

        Args:
            tools: Names of the tools that the answer may call.
            offered_tools: Names of all tools in the prompt.
            record_repair: Called with the malformed output and its interpretation.
        """
        self.errors: dict[int, str] = {}
        self.is_cut = False
        self._tools = frozenset(tools)
        self._offered_tools = frozenset(offered_tools) | self._tools
        self._record_repair = record_repair
        self._count = 0
        self._name = ""
        self._arguments = ""
        self._reader: ArgumentsReader | None = None  # None for a call that cannot be made: its text is not repaired

    @property
    def has_arguments(self) -> bool:
        """True if the call in progress has arguments."""
        return bool(self._arguments.strip())

    def begin(self, name: str) -> list[Delta]:
        """Begin a call of the tool with this name."""
        self._count += 1
        self._name, self._arguments = name, ""
        self._reader = ArgumentsReader() if name in self._tools else None
        if self._reader is None:
            self.errors[self._count - 1] = self._explain_refusal(name)
        return [Delta("tool_call", "", self._count - 1, name)]

    def feed(self, text: str) -> list[Delta]:
        """Return the next piece of the arguments."""
        text = self._reader.feed(text) if self._reader else text
        self._arguments += text
        return [Delta("tool_call", text, self._count - 1)] if text else []

    def end(self, *, is_complete: bool) -> list[Delta]:
        """Return the rest of the arguments, and check the call.

        Args:
            is_complete: True if the model ended the call; False if it was cut off.
        """
        self.is_cut = not is_complete
        rest = self._reader.close() if self._reader else ""
        if self._reader and is_complete and not (self._arguments + rest).strip():
            self._record_repair(f"a call of {self._name} without arguments", "no arguments")
            rest += "{}"
        self._arguments += rest
        if self._reader:
            for repair in self._reader.repairs:
                self._record_repair(f"{repair} of {self._name}", "valid JSON")
            if error := _check_arguments(self._arguments, is_complete=is_complete):
                self.errors[self._count - 1] = error
        return [Delta("tool_call", rest, self._count - 1)] if rest else []

    def _explain_refusal(self, name: str) -> str:
        if name in self._offered_tools:
            return f"The tool {name!r} may not be called in this answer, because tool_choice excludes it."
        if not self._offered_tools:
            return f"There is no tool {name!r}: no tools are offered."
        names = ", ".join(sorted(self._offered_tools))
        return f"There is no tool {name!r}. The offered tools are: {names}."


class CallingParser(Parser):
    """Base class of parsers whose answers may hold tool calls."""

    def __init__(self, tools: Collection[str], offered_tools: Collection[str]) -> None:
        """Create a parser of one answer; the arguments are those of `CallReader`."""
        super().__init__()
        self._calls = CallReader(tools, offered_tools, self._record_repair)

    @property
    def call_errors(self) -> Mapping[int, str]:
        """Implement `Parser.call_errors`."""
        return self._calls.errors

    @property
    def is_call_cut(self) -> bool:
        """Implement `Parser.is_call_cut`."""
        return self._calls.is_cut


def _check_arguments(arguments: str, *, is_complete: bool) -> str | None:
    """Return the reason why a call with these arguments cannot be made; None if it can."""
    if not is_complete:
        return "The call was cut off before the model ended it; max_tokens may be too small."
    try:
        value = json.loads(arguments)
    except (ValueError, RecursionError) as error:
        return f"The arguments are not a JSON object: {error}."
    return None if isinstance(value, dict) else "The arguments are JSON, but not an object."


def _split(text: str, position: int) -> tuple[str, str]:
    return text[:position], text[position:]
