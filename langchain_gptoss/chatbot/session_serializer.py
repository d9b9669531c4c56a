"""Serializer of saved conversations: MessagePack with messages and plain values, and nothing else.

LangGraph's own serializer calls any function that the saved bytes name, so that whoever can write a file of sessions
can run code in the server that opens it. This one writes the same format, so that files of earlier versions are read,
and refuses to read everything that a chatbot does not save.
"""

from __future__ import annotations

from typing import Any

import ormsgpack
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
    HumanMessage,
    HumanMessageChunk,
    SystemMessage,
    SystemMessageChunk,
    ToolMessage,
    ToolMessageChunk,
)
from langgraph.checkpoint.base import CheckpointTuple
from langgraph.checkpoint.serde.base import SerializerProtocol
from langgraph.checkpoint.serde.jsonplus import EXT_PYDANTIC_V2, JsonPlusSerializer
from pydantic import ValidationError

from langchain_gptoss.errors import StorageError

_MESSAGE_CLASSES: dict[tuple[str, str], type[BaseMessage]] = {
    (message_class.__module__, message_class.__name__): message_class
    for message_class in (
        AIMessage,
        AIMessageChunk,
        HumanMessage,
        HumanMessageChunk,
        SystemMessage,
        SystemMessageChunk,
        ToolMessage,
        ToolMessageChunk,
    )
}
_HINT = "Only files that this package wrote can be used. Move this one away, or restore a copy."
_MSGPACK, _NULL, _BYTES = "msgpack", "null", "bytes"


class SessionSerializer(SerializerProtocol):
    """Writes messages and plain values as LangGraph does, and reads nothing else."""

    def __init__(self) -> None:
        self._writer = JsonPlusSerializer(pickle_fallback=False, allowed_msgpack_modules=None)

    def dumps_typed(self, obj: Any) -> tuple[str, bytes]:
        """Return the kind of a value and its bytes."""
        return self._writer.dumps_typed(obj)

    def loads_typed(self, data: tuple[str, bytes]) -> Any:
        """Return the value of some bytes.

        Raises:
            StorageError: They are of another kind, are damaged, or name a type that is not a message.
        """
        kind, content = data
        if kind == _NULL:
            return None
        if kind == _BYTES:
            return content
        if kind != _MSGPACK:
            raise StorageError(
                f"The saved sessions hold data of the kind {str(kind)[:40]!r}, which this package does not read.",
                hint=_HINT,
            )
        return _unpack(content)


def _unpack(content: bytes) -> Any:
    try:
        return ormsgpack.unpackb(content, ext_hook=_restore_message, option=ormsgpack.OPT_NON_STR_KEYS)
    except ormsgpack.MsgpackDecodeError as error:
        raise StorageError(f"The saved sessions are damaged ({error}).", hint=_HINT) from error


def _restore_message(code: int, content: bytes) -> BaseMessage:
    """Return a message; it is the only type that is saved, besides plain values.

    Raises:
        StorageError: The content is no message.
    """
    fields = _unpack(content)
    if not isinstance(fields, list | tuple) or len(fields) < 3 or not isinstance(fields[2], dict):
        raise StorageError("The saved sessions hold a value that is no message.", hint=_HINT)
    name = f"{fields[0]}.{fields[1]}"[:80]
    message_class = _MESSAGE_CLASSES.get((str(fields[0]), str(fields[1])))
    if code != EXT_PYDANTIC_V2 or message_class is None:
        raise StorageError(f"The saved sessions hold a value of the type {name!r}, which is no message.", hint=_HINT)
    try:
        return message_class(**fields[2])
    except (ValidationError, TypeError, ValueError) as error:
        raise StorageError(f"The saved sessions hold a damaged message ({name}).", hint=_HINT) from error


def check_conversation(found: CheckpointTuple) -> CheckpointTuple:
    """Return a saved state if it has the form of a conversation.

    Raises:
        ValueError: It has another form.
    """
    checkpoint, metadata = found.checkpoint, found.metadata
    if not isinstance(checkpoint, dict) or not isinstance(metadata, dict):
        raise ValueError("a state is not a mapping")
    values = checkpoint.get("channel_values")
    if not isinstance(values, dict) or not all(isinstance(checkpoint.get(key), str) for key in ("id", "ts")):
        raise ValueError("a state lacks its values, id or time")
    messages = values.get("messages", [])
    if not isinstance(messages, list) or not all(isinstance(message, BaseMessage) for message in messages):
        raise ValueError("a conversation holds something that is no message")
    if not isinstance(values.get("summary", ""), str):
        raise ValueError("a summary is no text")
    return found
