"""Chunks of a chat model's answer, whose sum keeps calls that cannot be made apart from those that can.

LangChain reads the tool calls of a sum of chunks from their pieces: it completes truncated JSON, and knows neither the
tools that were offered nor whether the model ended the call. The last chunk of an answer has this knowledge.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.content import ContentBlock, InvalidToolCall
from langchain_core.messages.tool import invalid_tool_call

from langchain_gptoss.language_models.generation import InvalidCall

_METADATA_KEY = "invalid_calls"

MessageT = TypeVar("MessageT", bound=AIMessage)


class AnswerChunk(AIMessageChunk):
    """A chunk of an answer.

    The sum of a whole answer is an ordinary `AIMessageChunk`, because LangChain converts only that to an `AIMessage`.
    """

    def __add__(self, other: Any) -> Any:
        """Return the sum; the sum of a whole answer has all calls in their places."""
        return _complete_sum(super().__add__(other))

    def __radd__(self, other: Any) -> Any:
        """Return the sum with an ordinary chunk before this one; Python prefers this method to that of `other`."""
        return _complete_sum(AIMessageChunk.__add__(other, self))

    @classmethod
    def lc_id(cls) -> list[str]:
        """Return the id of `AIMessageChunk`, so that LangChain can load a saved chunk."""
        return AIMessageChunk.lc_id()

    @property
    def content_blocks(self) -> list[ContentBlock]:
        """The content as blocks; the last chunk also has the calls that cannot be made.

        Their indices are those of the pieces of the calls, which they replace in LangChain's event streams.
        """
        blocks = super().content_blocks
        if self.chunk_position != "last":
            return blocks
        present_ids = {block.get("id") for block in blocks if block["type"] == "invalid_tool_call"}
        return blocks + [
            InvalidToolCall(
                type="invalid_tool_call",
                id=call_id,
                name=call["name"],
                args=call["args"],
                error=call["error"],
                index=call["index"],
            )
            for call_id, call in self.response_metadata.get(_METADATA_KEY, {}).items()
            if call_id not in present_ids
        ]


def build_call_metadata(invalid_calls: Mapping[str, InvalidCall], *, first_index: int) -> dict[str, Any]:
    """Return the entry of `response_metadata` with the calls that cannot be made, by their ids.

    Args:
        invalid_calls: The calls.
        first_index: Index of the pieces of the first call of an answer.
    """
    if not invalid_calls:
        return {}
    return {_METADATA_KEY: {key: {**call, "index": first_index + call["index"]} for key, call in invalid_calls.items()}}


def invalidate_calls(message: MessageT) -> MessageT:
    """Return a message in which the calls that its metadata names are in `invalid_tool_calls`, with the reasons.

    Args:
        message: A whole answer, whose content is a string, or the blocks of `output_version="v1"`.
    """
    invalid_calls: Mapping[str, InvalidCall] = message.response_metadata.get(_METADATA_KEY) or {}
    if not invalid_calls:
        return message
    entries = {
        call_id: invalid_tool_call(name=call["name"], args=call["args"], id=call_id, error=call["error"])
        for call_id, call in invalid_calls.items()
    }
    content = message.content
    if isinstance(content, list):
        ids = [block.get("id") if isinstance(block, dict) else None for block in content]
        content = [
            dict(entries[call_id]) if call_id in entries else block for call_id, block in zip(ids, content, strict=True)
        ]
        content += [dict(entry) for call_id, entry in entries.items() if call_id not in ids]
    return message.model_copy(
        update={
            "content": content,
            "tool_calls": [call for call in message.tool_calls if call["id"] not in entries],
            "invalid_tool_calls": [
                *(call for call in message.invalid_tool_calls if call["id"] not in entries),
                *entries.values(),
            ],
        }
    )


def _complete_sum(total: Any) -> Any:
    """Return the sum of a whole answer as an ordinary chunk with all calls in their places; return others unchanged."""
    if not isinstance(total, AIMessageChunk) or total.chunk_position != "last":
        return total
    message = invalidate_calls(
        AIMessageChunk.model_construct(**{name: getattr(total, name) for name in AIMessageChunk.model_fields})
    )
    # LangChain reads the calls from their pieces again if something is added to the sum, or when a saved one is loaded.
    invalid_ids = {call["id"] for call in message.invalid_tool_calls}
    message.tool_call_chunks = [piece for piece in message.tool_call_chunks if piece["id"] not in invalid_ids]
    return message
