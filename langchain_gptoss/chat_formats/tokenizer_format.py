"""The common part of the chat formats that use a checkpoint's own tokenizer and write tool calls between tags."""

import json
import re
from collections.abc import Collection
from typing import Any

from tokenizers.decoders import DecodeStream

from langchain_gptoss.chat_formats.answer_grammar import CALL_END, CALL_START, build_tagged_grammar
from langchain_gptoss.chat_formats.base import (
    AnswerGrammar,
    ChatFormat,
    Delta,
    Parser,
    PromptOptions,
    build_text_deltas,
)
from langchain_gptoss.chat_formats.call_reader import CallingParser
from langchain_gptoss.chat_formats.checkpoint_tokenizer import convert_token_to_bytes, encode_as_text
from langchain_gptoss.chat_formats.stop_filter import measure_overlap
from langchain_gptoss.chat_formats.text_parser import build_tokenizer_text_parser
from langchain_gptoss.chat_formats.tool_names import find_tool

_NAME = re.compile(r'"name"\s*:\s*"([^"]+)"')
_ARGUMENTS = re.compile(r'"arguments"\s*:\s*')


class TokenizerFormat(ChatFormat):
    """Base class of the chat formats on a checkpoint's own tokenizer."""

    def __init__(self, tokenizer: Any, *, stop_ids: frozenset[int]) -> None:
        """Store the tokenizer.

        Args:
            tokenizer: A fast tokenizer of transformers.
            stop_ids: Ids of the tokens that end a turn.
        """
        self._tokenizer = tokenizer
        self._stop_ids = stop_ids

    @property
    def stop_ids(self) -> frozenset[int]:
        """Ids of the tokens that end the assistant's turn."""
        return self._stop_ids

    def parser(self, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> Parser:
        """Implement `ChatFormat.parser`."""
        return TokenizerParser(self._tokenizer, tools, offered_tools=offered_tools)

    def build_text_parser(self) -> Parser:
        """Implement `ChatFormat.build_text_parser`."""
        return build_tokenizer_text_parser(self._tokenizer, self._stop_ids)

    def build_grammar(self, options: PromptOptions) -> AnswerGrammar | None:
        """Implement `ChatFormat.build_grammar`."""
        return build_tagged_grammar(options)

    def encode(self, text: str) -> list[int]:
        """Implement `ChatFormat.encode`."""
        return encode_as_text(self._tokenizer, text)

    def decode_token(self, token_id: int) -> bytes:
        """Implement `ChatFormat.decode_token`."""
        token = self._tokenizer.convert_ids_to_tokens(token_id)
        return convert_token_to_bytes(token) if isinstance(token, str) else b""


class TokenizerParser(CallingParser):
    """Parser of text with tool calls between tags.

    Control tokens are dropped, and an incomplete character is held back. If tools are offered, text that may be a call
    is held back until that is decided. Without tools, tags are text that the model quotes.
    """

    def __init__(self, tokenizer: Any, tools: Collection[str] = (), *, offered_tools: Collection[str] = ()) -> None:
        """Create a parser of one answer.

        Args:
            tokenizer: A fast tokenizer of transformers.
            tools: Names of the tools that the answer may call.
            offered_tools: Names of all tools in the prompt.
        """
        super().__init__(tools, offered_tools)
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tools = frozenset(tools) | frozenset(offered_tools)
        self._pending = ""
        self._has_output = False

    def feed(self, token_id: int) -> list[Delta]:
        """Implement `Parser.feed`."""
        text = self._stream.step(self._backend, token_id)
        if not self._tools or not text:
            return build_text_deltas(text)
        self._pending += text
        return self._release()

    def flush(self, *, is_complete: bool = False) -> list[Delta]:
        """Implement `Parser.flush`; an incomplete character at the end is dropped."""
        pending, self._pending = self._pending, ""
        if self._is_untagged_call(pending) or pending.lstrip().startswith(CALL_START):
            return self._read_call(pending.strip().removeprefix(CALL_START), pending, is_complete=is_complete)
        return build_text_deltas(pending)

    def _release(self) -> list[Delta]:
        """Return the decided part of the pending text."""
        deltas: list[Delta] = []
        while not self._is_untagged_call(self._pending):
            start = self._pending.find(CALL_START)
            if start < 0:
                text, rest = _split(self._pending, len(self._pending) - measure_overlap(self._pending, CALL_START))
                if not text.strip():  # white space before a call is not text
                    return deltas
                self._pending, self._has_output = rest, True
                return deltas + build_text_deltas(text)
            before, self._pending = _split(self._pending, start)
            deltas += build_text_deltas(before if before.strip() else "")
            self._has_output = True
            end = self._pending.find(CALL_END)
            if end < 0:
                return deltas
            tagged, self._pending = _split(self._pending, end + len(CALL_END))
            deltas += self._read_call(tagged[len(CALL_START) : -len(CALL_END)], tagged, is_complete=True)
        return deltas

    def _is_untagged_call(self, text: str) -> bool:
        """Return True if the answer begins like a call without its tags."""
        return not self._has_output and text.lstrip().startswith("{")

    def _read_call(self, call: str, source: str, *, is_complete: bool) -> list[Delta]:
        """Return the deltas of a call, or those of its source text if it is no call.

        Untagged JSON that names no offered tool is a JSON answer, and a tag without a name is text.
        """
        written_name, arguments = _parse_call(call)
        is_tagged = source.lstrip().startswith(CALL_START)
        name = find_tool(written_name, self._tools) if written_name else ""
        if is_tagged and not name and not is_complete:
            self._record_repair(source.strip(), "a call that was cut off before its name")
            return []
        if not name or (not is_tagged and name not in self._tools):
            if written_name or is_tagged:
                self._record_repair(source.strip(), "text, because it calls no tool that was offered")
            return build_text_deltas(source)
        if name != written_name and name in self._tools:
            self._record_repair(f"a call of {written_name}", f"a call of {name}")
        return [*self._calls.begin(name), *self._calls.feed(arguments), *self._calls.end(is_complete=is_complete)]


def _parse_call(call: str) -> tuple[str, str]:
    """Return the name and the arguments of a call; arguments that are not JSON are returned unchanged."""
    call = call.strip()  # also of white space that JSON does not know
    try:
        value = json.loads(call, strict=False)  # with raw line breaks in strings, which models write
    except (ValueError, RecursionError):
        name, arguments = _NAME.search(call), _ARGUMENTS.search(call)
        return (name[1] if name else "", call[arguments.end() :].strip() if arguments else "")
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        return "", ""
    arguments = value.get("arguments")
    return value["name"], json.dumps({} if arguments is None or arguments == "" else arguments, ensure_ascii=False)


def _split(text: str, position: int) -> tuple[str, str]:
    return text[:position], text[position:]
