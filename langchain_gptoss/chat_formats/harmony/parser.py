"""The streaming parser of harmony, which accepts any sequence of tokens.

The reference parser raises on a malformed header, and servers built on it fail in one turn of twenty-five. This parser
reads malformed output as far as possible, records each repair, and loses no text. Its output holds no control tokens
and no words of headers. A message of another role, which only the model can have made up, ends the turn.
"""

import codecs
from collections.abc import Collection
from typing import Literal

from langchain_gptoss.chat_formats.base import Delta
from langchain_gptoss.chat_formats.call_reader import CallingParser
from langchain_gptoss.chat_formats.harmony.codec import (
    CALL,
    CHANNEL,
    CONSTRAIN,
    END,
    END_OF_TEXT,
    MESSAGE,
    RETURN,
    START,
    Codec,
)
from langchain_gptoss.chat_formats.harmony.header import (
    Header,
    can_begin_header,
    is_header_text,
    parse_header,
    split_bare_header,
)
from langchain_gptoss.chat_formats.stop_filter import measure_overlap

_MESSAGE_ENDS = frozenset({END, RETURN, CALL})
# Between two messages whose control tokens were lost.
_BARE_MARKERS = ("assistantfinal", "assistantcommentary", "assistantanalysis")
_ARGUMENTS_BEGIN = ("{", "`", '"')


class HarmonyParser(CallingParser):
    """Parser of one assistant turn.

    The parser is between messages ("gap"), inside a header, or inside a body. It begins between messages, because the
    prompt ends with `<|start|>assistant`.
    """

    def __init__(self, codec: Codec, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> None:
        """Create a parser of one answer.

        Args:
            codec: The vocabulary.
            tools: Names of the tools that the answer may call.
            offered_tools: Names of all tools in the prompt.
        """
        super().__init__(tools, offered_tools)
        self._codec = codec
        self._names = frozenset(tools) | frozenset(offered_tools)
        self._state: Literal["gap", "header", "body"] = "gap"
        self._is_first_message = True
        self._pending = ""  # the header so far, text that may become one, or text of a bare body
        self._kind: Literal["text", "reasoning", "tool_call"] = "text"
        self._undecided: Header | None = (
            None  # a header that contradicts itself: the first character of the body decides
        )
        self._is_bare = False  # of a body whose control tokens were lost
        self._has_output = {"text": False, "reasoning": False}
        self._needs_separator = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> list[Delta]:
        """Implement `Parser.feed`."""
        if self.has_ended:
            return []
        token_bytes = self._codec.decode_token(token_id)
        if token_bytes is not None:
            text = self._utf8.decode(token_bytes)
            return self._read_text(text) if text else []
        self._utf8.reset()  # drops an incomplete character
        name = self._codec.control_names.get(token_id)
        if name in _MESSAGE_ENDS or (name == END_OF_TEXT and self._is_in_call):
            return self._end_message(name, is_complete=True)
        if name == START:
            return self._read_start()
        if name == MESSAGE:
            return self._begin_body()
        if name in {CHANNEL, CONSTRAIN}:
            return self._read_header_token(str(name))
        if name is None:
            self._record_repair(f"the unknown token {token_id}", "nothing")
        return []

    def flush(self, *, is_complete: bool = False) -> list[Delta]:
        """Implement `Parser.flush`."""
        if self.has_ended:
            return []
        self._utf8.reset()
        return self._end_message(None, is_complete=is_complete)

    @property
    def _is_in_call(self) -> bool:
        return self._state == "body" and (self._kind == "tool_call" or self._undecided is not None)

    def _read_text(self, text: str) -> list[Delta]:
        if self._state == "body":
            return self._read_bare_text(text) if self._is_bare else self._emit_text(text)
        self._pending += text
        is_header = self._state == "header" or CHANNEL in self._pending
        if is_header or can_begin_header(self._pending, is_first=self._is_first_message):
            return []
        return self._begin_bare_body()

    def _begin_bare_body(self) -> list[Delta]:
        """Begin a message without control tokens with the pending text."""
        pending, self._pending = self._pending, ""
        if bare := split_bare_header(pending):
            words, text = bare
            header = parse_header(words, self._names)
            self._record_repair(pending[: len(pending) - len(text)], header.interpretation)
            deltas = self._open_body(header)
            self._is_bare = True
            return deltas + self._read_bare_text(text)
        # Text where a header is expected.
        self._record_repair("text without a header", "part of the answer")
        self._open_text("text")
        return self._emit_text(pending)

    def _read_bare_text(self, text: str) -> list[Delta]:
        """Return the text of a message without control tokens up to the glued header of the next one."""
        text, self._pending = self._pending + text, ""
        positions = [position for marker in _BARE_MARKERS if (position := text.find(marker)) >= 0]
        if not positions:
            held_length = max(measure_overlap(text, marker) for marker in _BARE_MARKERS)
            text, self._pending = text[: len(text) - held_length], text[len(text) - held_length :]
            return self._emit_text(text) if text else []
        deltas = self._emit_text(text[: positions[0]]) if positions[0] else []
        deltas += self._close_message(is_complete=True)
        return deltas + self._read_text(text[positions[0] :])

    def _read_start(self) -> list[Delta]:
        if self._state == "header" or (self._state == "gap" and self._pending):
            deltas = self._end_incomplete_header(START, is_complete=True)
            if self.has_ended:
                return deltas
        else:
            if self._state == "body":
                self._record_repair(f"{START} inside a message", "its end")
            elif self._is_first_message:
                self._record_repair(f"{START} at the beginning", "nothing")
            deltas = self._close_message(is_complete=self._has_arguments)
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
        deltas = self._close_message(is_complete=self._has_arguments)
        self._state, self._pending = "header", CHANNEL
        return deltas

    def _begin_body(self) -> list[Delta]:
        if self._state == "body":
            self._record_repair(f"{MESSAGE} inside a message", "nothing")
            return []
        pending, self._pending = self._pending, ""
        header = parse_header(pending, self._names)
        if header.role and not self._is_first_message:
            return self._end_turn(pending, header)
        if not header.is_well_formed:
            self._record_repair(pending or f"{MESSAGE} without a header", header.interpretation)
        return self._open_body(header)

    def _open_body(self, header: Header) -> list[Delta]:
        """Begin the body of a message, and return the beginning of its call."""
        if header.tool is None or header.is_doubtful:
            self._open_text("reasoning" if header.channel == "analysis" else "text")
            self._undecided = header if header.is_doubtful else None
            return []
        return self._open_call(header.tool)

    def _open_text(self, kind: Literal["text", "reasoning"]) -> None:
        self._state, self._is_first_message, self._kind = "body", False, kind
        self._undecided, self._is_bare = None, False
        self._needs_separator = self._has_output[kind]
        self._calls.is_cut = False

    def _open_call(self, tool: str) -> list[Delta]:
        self._state, self._is_first_message, self._kind = "body", False, "tool_call"
        self._undecided, self._is_bare, self._needs_separator = None, False, False
        return self._calls.begin(tool)

    def _emit_text(self, text: str) -> list[Delta]:
        if self._undecided is not None:
            text, self._pending = self._pending + text, ""
            if not text.strip():
                self._pending = text
                return []
            tool, self._undecided = self._undecided.tool, None
            if tool and text.lstrip().startswith(_ARGUMENTS_BEGIN):
                return self._open_call(tool) + self._calls.feed(text)
        if self._kind == "tool_call":
            return self._calls.feed(text)
        self._has_output[self._kind] = True
        # Two messages of one kind, such as a preamble and the answer, become two paragraphs.
        deltas = [Delta(self._kind, "\n\n", is_separator=True)] if self._needs_separator else []
        self._needs_separator = False
        return [*deltas, Delta(self._kind, text)]

    @property
    def _has_arguments(self) -> bool:
        """True unless a call has begun and has no arguments yet."""
        return not self._is_in_call or self._calls.has_arguments

    def _end_message(self, token: str | None, *, is_complete: bool) -> list[Delta]:
        """End the message in progress at an end token, or at the end of the answer.

        Args:
            token: The end token; None at the end of the answer.
            is_complete: True if the model ended the message.
        """
        if self._state != "body":
            return self._end_incomplete_header(token, is_complete=is_complete)
        deltas = []
        if self._undecided is not None and self._undecided.tool and token == CALL:
            deltas = self._open_call(self._undecided.tool)
        return deltas + self._close_message(is_complete=is_complete)

    def _close_message(self, *, is_complete: bool) -> list[Delta]:
        """End the body in progress; `is_complete` tells if the model ended it."""
        deltas = []
        if self._state == "body":
            pending, self._pending, self._undecided = self._pending, "", None
            deltas = self._emit_text(pending) if pending.strip() else []
            if self._kind == "tool_call":
                deltas += self._calls.end(is_complete=is_complete)
        self._state, self._is_first_message, self._is_bare = "gap", False, False
        return deltas

    def _end_incomplete_header(self, token: str | None, *, is_complete: bool) -> list[Delta]:
        """End a header without `<|message|>`, and return the text in it that belongs to no header."""
        pending, self._pending = self._pending, ""
        state, self._state = self._state, "gap"
        is_first, self._is_first_message = self._is_first_message, False
        if not pending.strip():
            return []
        is_cut = token is None and not is_complete
        header = parse_header(pending, self._names, is_cut=is_cut)
        if header.role and not is_first and token != START:
            return self._end_turn(pending, header)
        if state == "gap" and token != START and not is_header_text(pending, is_cut=is_cut):
            self._record_repair("text without a header", "part of the answer")
            self._open_text("text")
            return self._emit_text(pending) + self._close_message(is_complete=True)
        if not header.rest and token == START and pending.strip() == "assistant":
            self._record_repair(f"{START} twice", "once")
            return []
        if not header.rest:
            self._record_repair(pending, "a header that was cut off")
            return []
        words = pending[: len(pending) - len(header.rest)]
        self._record_repair(f"{words} without {MESSAGE}", header.interpretation)
        if header.tool and header.rest.startswith("{"):
            deltas = self._open_call(header.tool)
        else:
            deltas = []
            self._open_text("reasoning" if header.channel == "analysis" else "text")
        return deltas + self._emit_text(header.rest) + self._close_message(is_complete=is_complete)

    def _end_turn(self, pending: str, header: Header) -> list[Delta]:
        """End the turn at a message that is not the assistant's."""
        self._record_repair(f"{START}{pending}", header.interpretation)
        self.has_ended, self._state = True, "gap"
        return []
