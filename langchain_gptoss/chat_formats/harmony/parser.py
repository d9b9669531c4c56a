"""The streaming parser of harmony, which accepts any sequence of tokens.

The reference parser raises on a malformed header, and servers built on it fail in one turn of twenty-five. This parser
reads malformed output as far as possible, records each repair, and loses no text. Its output holds no control tokens.
"""

import codecs
from collections.abc import Collection
from typing import Literal

from langchain_gptoss.chat_formats.base import Delta, Parser, Repair
from langchain_gptoss.chat_formats.harmony.codec import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, RETURN, START, Codec
from langchain_gptoss.chat_formats.harmony.header import can_begin_header, parse_header

_MESSAGE_ENDS = frozenset({END, RETURN, CALL})


class HarmonyParser(Parser):
    """Parser of one assistant turn.

    The parser is between messages ("gap"), inside a header, or inside a body. It begins between messages, because the
    prompt ends with `<|start|>assistant`.
    """

    def __init__(self, codec: Codec, tools: Collection[str] = ()) -> None:
        """Create a parser of one answer.

        Args:
            codec: The vocabulary.
            tools: Names of the offered tools.
        """
        super().__init__()
        self._codec = codec
        self._tools = frozenset(tools)
        self._state: Literal["gap", "header", "body"] = "gap"
        self._is_first_message = True
        self._pending = ""  # the header so far, or text that may become one
        self._kind: Literal["text", "reasoning", "tool_call"] = "text"
        self._tool: str | None = None
        self._call_count = 0
        self._has_arguments = False  # of the call in progress
        self._has_output = {"text": False, "reasoning": False}
        self._needs_separator = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> list[Delta]:
        """Implement `Parser.feed`."""
        token_bytes = self._codec.decode_token(token_id)
        if token_bytes is not None:
            text = self._utf8.decode(token_bytes)
            return self._read_text(text) if text else []
        self._utf8.reset()  # drops an incomplete character
        name = self._codec.control_names.get(token_id)
        if name in _MESSAGE_ENDS:
            return self._end_message()
        if name == START:
            return self._read_start()
        if name == MESSAGE:
            return self._begin_body()
        if name in {CHANNEL, CONSTRAIN}:
            return self._read_header_token(str(name))
        if name is None:
            self._record_repair(f"the unknown token {token_id}", "nothing")
        return []

    def flush(self) -> list[Delta]:
        """Implement `Parser.flush`."""
        self._utf8.reset()
        return self._end_message()

    def _read_text(self, text: str) -> list[Delta]:
        if self._state == "body":
            return self._emit_text(text)
        self._pending += text
        if self._state == "header" or (CHANNEL not in self._pending and can_begin_header(self._pending)):
            return []
        # Text where a header is expected.
        pending, self._pending = self._pending, ""
        self._record_repair("text without a header", "part of the answer")
        self._open_body("text", None)
        return self._emit_text(pending)

    def _read_start(self) -> list[Delta]:
        if self._state == "header" or (self._state == "gap" and self._pending):
            deltas = self._end_incomplete_header(before_start=True)
        else:
            if self._state == "body":
                self._record_repair(f"{START} inside a message", "its end")
            elif self._is_first_message:
                self._record_repair(f"{START} at the beginning", "nothing")
            deltas = self._close_message()
        self._state, self._pending, self._is_first_message = "header", "", False
        return deltas

    def _read_header_token(self, name: str) -> list[Delta]:
        if self._state != "body":
            if not self._is_first_message and self._state == "gap":
                self._record_repair(f"{name} without {START}", "the beginning of a message")
            self._state = "header"
            self._pending += name
            return []
        if name == CONSTRAIN:
            self._record_repair(f"{CONSTRAIN} inside a message", "nothing")
            return []
        self._record_repair(f"{CHANNEL} inside a message", "the beginning of another")
        deltas = self._close_message()
        self._state, self._pending = "header", CHANNEL
        return deltas

    def _begin_body(self) -> list[Delta]:
        if self._state == "body":
            self._record_repair(f"{MESSAGE} inside a message", "nothing")
            return []
        header = parse_header(self._pending, self._tools)
        if not header.is_well_formed:
            self._record_repair(self._pending or f"{MESSAGE} without a header", header.interpretation)
        self._pending = ""
        if header.tool:
            self._open_body("tool_call", header.tool)
            return [Delta("tool_call", "", self._call_count - 1, header.tool)]
        self._open_body("reasoning" if header.channel == "analysis" else "text", None)
        return []

    def _open_body(self, kind: Literal["text", "reasoning", "tool_call"], tool: str | None) -> None:
        self._state, self._is_first_message, self._kind, self._tool = "body", False, kind, tool
        self._has_arguments = False
        self._call_count += kind == "tool_call"
        self._needs_separator = self._has_output.get(kind, False)

    def _emit_text(self, text: str) -> list[Delta]:
        if self._kind == "tool_call":
            self._has_arguments = self._has_arguments or bool(text.strip())
            return [Delta("tool_call", text, self._call_count - 1)]
        self._has_output[self._kind] = True
        # Two messages of one kind, such as a preamble and the answer, become two paragraphs.
        deltas = [Delta(self._kind, "\n\n", is_separator=True)] if self._needs_separator else []
        self._needs_separator = False
        return [*deltas, Delta(self._kind, text)]

    def _end_message(self) -> list[Delta]:
        return self._close_message() if self._state == "body" else self._end_incomplete_header(before_start=False)

    def _close_message(self) -> list[Delta]:
        """End the message in progress; a call without arguments gets an empty object."""
        deltas = []
        if self._state == "body" and self._kind == "tool_call" and not self._has_arguments:
            self._record_repair(f"a call of {self._tool} without arguments", "no arguments")
            deltas = [Delta("tool_call", "{}", self._call_count - 1)]
        self._state, self._is_first_message = "gap", False
        return deltas

    def _end_incomplete_header(self, *, before_start: bool) -> list[Delta]:
        """End a header without `<|message|>`, and return the text in it that belongs to no header.

        `before_start` is True if a `<|start|>` ended the header.
        """
        pending, self._pending = self._pending, ""
        state, self._state, self._is_first_message = self._state, "gap", False
        if not pending.strip():
            return []
        is_recipient = pending.strip().startswith("to=") or " to=".startswith(pending)
        if state == "gap" and not before_start and not is_recipient:
            self._record_repair("text without a header", "part of the answer")
            return self._emit_message("text", pending)
        header = parse_header(pending, self._tools)
        if not header.rest and before_start and pending.strip() == "assistant":
            self._record_repair(f"{START} twice", "once")
            return []
        if not header.rest:
            self._record_repair(pending, "a header that was cut off")
            return []
        words = pending[: len(pending) - len(header.rest)]
        self._record_repair(f"{words} without {MESSAGE}", header.interpretation)
        return self._emit_message("reasoning" if header.channel == "analysis" else "text", header.rest)

    def _emit_message(self, kind: Literal["text", "reasoning"], text: str) -> list[Delta]:
        """Return a text as a complete message."""
        self._open_body(kind, None)
        deltas = self._emit_text(text)
        self._state = "gap"
        return deltas

    def _record_repair(self, found: str, interpretation: str) -> None:
        self.repairs.append(Repair(found, interpretation))
