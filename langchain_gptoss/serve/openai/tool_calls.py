"""Tool calls of answers in OpenAI's form, delivered as the model wrote them: broken and unoffered ones, too.

Requests with `functions` get OpenAI's older form, `function_call`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import tool_call_chunk


def build_calls(answer: AIMessage, *, as_function: bool = False) -> dict[str, Any]:
    """Return the fields of a message with the calls of an answer; empty without calls.

    Args:
        answer: The answer; its invalid calls come after the valid ones.
        as_function: True gives the first call as `function_call`.
    """
    functions = [
        (call["id"], {"name": call["name"], "arguments": json.dumps(call["args"], ensure_ascii=False)})
        for call in answer.tool_calls
    ]
    functions += [
        (call["id"], {"name": call["name"] or "", "arguments": call["args"] or ""})
        for call in answer.invalid_tool_calls
    ]
    if not functions:
        return {}
    if as_function:
        return {"function_call": functions[0][1]}
    calls = [
        {"id": call_id or f"call_{index}", "type": "function", "function": function}
        for index, (call_id, function) in enumerate(functions)
    ]
    return {"tool_calls": calls}


class CallStream:
    """The calls of one streamed answer.

    Attributes:
        has_calls: True after the first call.
    """

    def __init__(self, *, as_function: bool = False) -> None:
        self.has_calls = False
        self._as_function = as_function
        # OpenAI counts calls from 0; LangChain's index counts content blocks of every kind.
        self._numbers: dict[Any, int] = {}

    def build_delta(self, chunk: AIMessage) -> dict[str, Any]:
        """Return the fields of a delta with the calls in a chunk; empty without calls."""
        pieces = _list_pieces(chunk)
        if not pieces:
            return {}
        self.has_calls = True
        calls = [self._convert_piece(piece) for piece in pieces]
        if not self._as_function:
            return {"tool_calls": calls}
        first_call = [call["function"] for call in calls if call["index"] == 0]
        return {"function_call": first_call[0]} if first_call else {}

    def _convert_piece(self, piece: Any) -> dict[str, Any]:
        number = self._numbers.setdefault(piece.get("index"), len(self._numbers))
        call: dict[str, Any] = {"index": number, "function": {"arguments": piece.get("args") or ""}}
        if piece.get("name"):
            call |= {"id": piece.get("id") or f"call_{number}", "type": "function"}
            call["function"] = {"name": piece["name"], **call["function"]}
        return call


def _list_pieces(chunk: AIMessage) -> Sequence[Any]:
    """Return the pieces of calls in a chunk; a model that does not stream sends whole calls."""
    if isinstance(chunk, AIMessageChunk):
        return chunk.tool_call_chunks
    calls = build_calls(chunk).get("tool_calls", [])
    return [
        tool_call_chunk(name=call["function"]["name"], args=call["function"]["arguments"], id=call["id"], index=index)
        for index, call in enumerate(calls)
    ]
