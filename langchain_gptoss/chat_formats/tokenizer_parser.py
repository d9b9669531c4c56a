"""The parser of answers in a checkpoint's own tokenizer: text with tool calls between marks."""

from collections.abc import Collection, Mapping
from typing import Any

from tokenizers.decoders import DecodeStream

from langchain_gptoss.chat_formats.base import Delta, build_text_deltas
from langchain_gptoss.chat_formats.call_reader import CallingParser
from langchain_gptoss.chat_formats.call_scanner import CallScanner, Segment
from langchain_gptoss.chat_formats.tool_names import find_tool
from langchain_gptoss.chat_formats.tool_notation import CALL_START, PROMPT_NOTATION, ToolNotation
from langchain_gptoss.chat_formats.written_call import WrittenCall, read_written_calls


class TokenizerParser(CallingParser):
    """Parser of text with tool calls.

    Control tokens are dropped, and an incomplete character is held back. If tools are offered, text that may be a call
    is held back until that is decided. Without tools, marks are text that the model quotes.
    """

    def __init__(
        self,
        tokenizer: Any,
        tools: Collection[str] = (),
        *,
        offered_tools: Collection[str] = (),
        notation: ToolNotation = PROMPT_NOTATION,
        control_marks: Mapping[int, str] | None = None,
    ) -> None:
        """Create a parser of one answer.

        Args:
            tokenizer: A fast tokenizer of transformers.
            tools: Names of the tools that the answer may call.
            offered_tools: Names of all tools in the prompt.
            notation: The notation of the calls.
            control_marks: The marks of calls that are control tokens of the tokenizer, by their ids.
        """
        super().__init__(tools, offered_tools)
        self._backend = tokenizer.backend_tokenizer
        self._stream = DecodeStream(skip_special_tokens=True)
        self._tools = frozenset(tools) | frozenset(offered_tools)
        self._usual_openings = {"", CALL_START, notation.opening}
        self._control_marks = control_marks or {}
        self._scanner = CallScanner(notation)

    def feed(self, token_id: int) -> list[Delta]:
        """Implement `Parser.feed`."""
        text = self._stream.step(self._backend, token_id)
        if not self._tools:
            return build_text_deltas(text)
        text = text or self._control_marks.get(token_id)
        segments = self._scanner.feed(text) if text else []
        return [delta for segment in segments for delta in self._read(segment, is_complete=True)]

    def flush(self, *, is_complete: bool = False) -> list[Delta]:
        """Implement `Parser.flush`; an incomplete character at the end is dropped."""
        return [delta for segment in self._scanner.close() for delta in self._read(segment, is_complete=is_complete)]

    def _read(self, segment: Segment, *, is_complete: bool) -> list[Delta]:
        """Return the deltas of a segment.

        Args:
            segment: Text, or a place that may hold calls.
            is_complete: True if the model ended its turn, which also ends a call without an end of its own.
        """
        if segment.kind == "text":
            return build_text_deltas(segment.source)
        is_complete = segment.is_complete or is_complete
        calls = read_written_calls(segment.body, is_complete=is_complete)
        if segment.opening.startswith("<") and not is_complete and not calls[-1].name:
            self._record_repair(segment.source.strip(), "a call that was cut off before its name")
            return []
        names = [find_tool(call.name, self._tools) if call.name else "" for call in calls]
        if not all(self._is_call(call, name, segment) for call, name in zip(calls, names, strict=True)):
            if calls[0].name or self._is_marked(segment):
                self._record_repair(segment.source.strip(), "text, because it calls no tool that was offered")
            return build_text_deltas(segment.source)
        if segment.opening not in self._usual_openings:
            self._record_repair(f"a call after {segment.opening}", "a call")
        pairs = list(zip(calls, names, strict=True))
        last = len(pairs) - 1
        return [
            delta
            for index, (call, name) in enumerate(pairs)
            for delta in self._write_call(call, name, is_complete=is_complete or index < last)
        ]

    def _is_marked(self, segment: Segment) -> bool:
        """Return True if the model marked the segment as a call in its notation."""
        return bool(segment.opening) and segment.opening in self._usual_openings

    def _is_call(self, call: WrittenCall, name: str, segment: Segment) -> bool:
        """Return True if an object is a call: elsewhere than between the marks it must look like one completely.

        JSON that names no offered tool is a JSON answer, and a mark without a name is text.
        """
        if self._is_marked(segment):
            return bool(name)
        return name in self._tools and call.has_arguments and call.is_plain

    def _write_call(self, call: WrittenCall, name: str, *, is_complete: bool) -> list[Delta]:
        if name != call.name and name in self._tools:
            self._record_repair(f"a call of {call.name}", f"a call of {name}")
        for repair in call.repairs:
            self._record_repair(f"{repair} in a call of {name}", "valid JSON")
        return [*self._calls.begin(name), *self._calls.feed(call.arguments), *self._calls.end(is_complete=is_complete)]
