"""Reads what a model wrote in harmony, token by token, and never gives up.

The reference parser raises on a malformed header, and servers built on it fail one turn in twenty-five. This one reads
what can be read, notes what it had to assume, and loses no text. No control token is ever part of what it gives.
"""

import codecs
from collections.abc import Collection
from typing import Literal

from langchain_gptoss.chat_formats.base import Delta, Mend, Parser
from langchain_gptoss.chat_formats.harmony.codec import CALL, CHANNEL, CONSTRAIN, END, MESSAGE, RETURN, START, Codec
from langchain_gptoss.chat_formats.harmony.header import header, may_begin_header

_ENDS = frozenset({END, RETURN, CALL})


class HarmonyParser(Parser):
    """Follows one assistant turn.

    Three places: between messages (`gap`), inside a header, inside a body. A turn begins in a gap, because the prompt
    ends with `<|start|>assistant`.
    """

    def __init__(self, codec: Codec, tools: Collection[str] = ()) -> None:
        """Takes the vocabulary and the names of the tools that were offered."""
        super().__init__()
        self._codec = codec
        self._tools = frozenset(tools)
        self._place: Literal["gap", "header", "body"] = "gap"
        self._first = True
        self._held = ""  # the header so far, or what may become one
        self._kind: Literal["text", "reasoning", "tool_call"] = "text"
        self._tool: str | None = None
        self._calls = 0
        self._written = ""  # of the call in progress: nothing, or something
        self._spoke = {"text": False, "reasoning": False}
        self._apart = False
        self._utf8 = codecs.getincrementaldecoder("utf-8")("replace")

    def feed(self, token_id: int) -> list[Delta]:
        """See `Parser.feed`."""
        spelled = self._codec.token_bytes(token_id)
        if spelled is not None:
            text = self._utf8.decode(spelled)
            return self._text(text) if text else []
        self._utf8.reset()  # a character that was cut off is no text
        name = self._codec.names.get(token_id)
        if name in _ENDS:
            return self._end()
        if name == START:
            return self._start()
        if name == MESSAGE:
            return self._message()
        if name in {CHANNEL, CONSTRAIN}:
            return self._marker(str(name))
        if name is None:
            self._note(f"the unknown token {token_id}", "nothing")
        return []

    def flush(self) -> list[Delta]:
        """See `Parser.flush`."""
        self._utf8.reset()
        return self._end()

    def _text(self, text: str) -> list[Delta]:
        if self._place == "body":
            return self._give(text)
        self._held += text
        if self._place == "header" or (CHANNEL not in self._held and may_begin_header(self._held)):
            return []
        # Text where a header should stand. What came before a `<|channel|>` would have been one.
        held, self._held = self._held, ""
        self._note("text without a header", "part of the answer")
        self._open("text", None)
        return self._give(held)

    def _start(self) -> list[Delta]:
        if self._place == "header" or (self._place == "gap" and self._held):
            deltas = self._abandoned(again=True)
        else:
            if self._place == "body":
                self._note(f"{START} inside a message", "its end")
            elif self._first:
                self._note(f"{START} at the beginning", "nothing")
            deltas = self._close()
        self._place, self._held, self._first = "header", "", False
        return deltas

    def _marker(self, name: str) -> list[Delta]:
        if self._place != "body":
            if not self._first and self._place == "gap":
                self._note(f"{name} without {START}", "the beginning of a message")
            self._place = "header"
            self._held += name
            return []
        if name == CONSTRAIN:
            self._note(f"{CONSTRAIN} inside a message", "nothing")
            return []
        self._note(f"{CHANNEL} inside a message", "the beginning of another")
        deltas = self._close()
        self._place, self._held = "header", CHANNEL
        return deltas

    def _message(self) -> list[Delta]:
        if self._place == "body":
            self._note(f"{MESSAGE} inside a message", "nothing")
            return []
        read = header(self._held, self._tools)
        if not read.regular:
            self._note(self._held or f"{MESSAGE} without a header", read.assumed)
        self._held = ""
        if read.tool:
            self._open("tool_call", read.tool)
            return [Delta("tool_call", "", self._calls - 1, read.tool)]
        self._open("reasoning" if read.channel == "analysis" else "text", None)
        return []

    def _open(self, kind: Literal["text", "reasoning", "tool_call"], tool: str | None) -> None:
        self._place, self._first, self._kind, self._tool, self._written = "body", False, kind, tool, ""
        self._calls += kind == "tool_call"
        self._apart = self._spoke.get(kind, False)

    def _give(self, text: str) -> list[Delta]:
        if self._kind == "tool_call":
            self._written = self._written or text.strip()
            return [Delta("tool_call", text, self._calls - 1)]
        self._spoke[self._kind] = True
        # Two messages of a kind, such as a preamble and the answer, are two paragraphs.
        deltas = [Delta(self._kind, "\n\n", joint=True)] if self._apart else []
        self._apart = False
        return [*deltas, Delta(self._kind, text)]

    def _end(self) -> list[Delta]:
        return self._close() if self._place == "body" else self._abandoned(again=False)

    def _close(self) -> list[Delta]:
        """Ends the message in progress."""
        deltas = []
        if self._place == "body" and self._kind == "tool_call" and not self._written:
            self._note(f"a call of {self._tool} without arguments", "no arguments")
            deltas = [Delta("tool_call", "{}", self._calls - 1)]
        self._place, self._first = "gap", False
        return deltas

    def _abandoned(self, *, again: bool) -> list[Delta]:
        """Ends a header that never came to its `<|message|>`, and gives what in it is no header."""
        held, self._held = self._held, ""
        place, self._place, self._first = self._place, "gap", False
        if not held.strip():
            return []
        recipient = held.strip().startswith("to=") or " to=".startswith(held)
        if place == "gap" and not again and not recipient:
            self._note("text without a header", "part of the answer")
            return self._aside("text", held)
        read = header(held, self._tools)
        if not read.left and again and held.strip() == "assistant":
            self._note(f"{START} twice", "once")
            return []
        if not read.left:
            self._note(held, "a header that was cut off")
            return []
        self._note(f"{held[: len(held) - len(read.left)]} without {MESSAGE}", read.assumed)
        return self._aside("reasoning" if read.channel == "analysis" else "text", read.left)

    def _aside(self, kind: Literal["text", "reasoning"], text: str) -> list[Delta]:
        """Gives a text that is a message by itself."""
        self._open(kind, None)
        deltas = self._give(text)
        self._place = "gap"
        return deltas

    def _note(self, found: str, assumed: str) -> None:
        self.mended.append(Mend(found, assumed))
