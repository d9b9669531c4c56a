"""The output of a response: pieces of an answer become items, and the events that a stream sends about them.

The order of the events is that of OpenAI's API: each item is added, filled and done before the next one begins, and
every event has the next sequence number.
"""

from __future__ import annotations

import dataclasses
import time
from abc import ABC, abstractmethod
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from langchain_gptoss.serve.openai.responses.items import Item, pack_reasoning

Event = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class OutputPiece:
    """A piece of an answer.

    Attributes:
        kind: What it belongs to.
        text: A piece of the text, of the reasoning, or of a call's arguments.
        call_index: Distinguishes the calls of one answer.
        call_id: The id of the call; with its first piece.
        name: The name of the called function; with its first piece.
        logprobs: Log-probabilities of the tokens of the text, in the form of OpenAI's API.
    """

    kind: Literal["reasoning", "text", "call"]
    text: str
    call_index: Any = None
    call_id: str | None = None
    name: str | None = None
    logprobs: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, kw_only=True)
class OutputEnd:
    """The end of an answer.

    Attributes:
        is_cut: True if the token limit cut the answer.
        usage: LangChain's count of tokens, or None.
        annotations: Annotations of the text.
        message_fields: Fields of the message that OpenAI's API does not have.
    """

    is_cut: bool = False
    usage: Mapping[str, Any] | None = None
    annotations: Sequence[Mapping[str, Any]] = ()
    message_fields: Mapping[str, Any] = field(default_factory=dict)


class ResponseBuilder:
    """One response in progress.

    Attributes:
        response: The response in the form of OpenAI's API; complete after `close` or `fail`.

    Args:
        response: The response before its output.
        has_summaries: True gives the reasoning as a summary, which is the form that most clients show.
        packs_reasoning: True adds `encrypted_content` to the reasoning.
    """

    def __init__(self, response: dict[str, Any], *, has_summaries: bool = False, packs_reasoning: bool = False) -> None:
        self.response = response
        self._key = str(response["id"]).partition("_")[2]
        self._has_summaries, self._packs_reasoning = has_summaries, packs_reasoning
        self._sequence_number = 0
        self._current: _OpenItem | None = None

    def start(self) -> Iterator[Event]:
        """Yield the first events."""
        for name in ("created", "in_progress"):
            yield self._number({"type": f"response.{name}", "response": self._copy_response()})

    def add(self, piece: OutputPiece) -> Iterator[Event]:
        """Yield the events of a piece; line breaks at the beginning of a message are dropped."""
        current = self._current
        if current is None or not current.can_take(piece):
            if piece.kind == "text":
                piece = dataclasses.replace(piece, text=piece.text.lstrip("\n"))
                if not piece.text:
                    return  # line breaks between calls and messages, which are items of their own here
            current = yield from self._begin_item(piece)
        yield from self._locate(current.extend(piece), current)

    def close(self, end: OutputEnd) -> Iterator[Event]:
        """Yield the events that complete the last item, and complete `response`; `finish` follows."""
        if not end.is_cut and not self._has_item("message") and not self._has_item("function_call"):
            yield from self._begin_item(OutputPiece(kind="text", text=""))
        if isinstance(self._current, _OpenMessage):
            yield from self._locate(self._current.add_annotations(end.annotations, end.message_fields), self._current)
        yield from self._close_item("incomplete" if end.is_cut else "completed")
        self.response["usage"] = convert_usage(end.usage)
        if end.is_cut:
            self.response |= {"status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
        else:
            self.response |= {"status": "completed", "completed_at": int(time.time())}

    def finish(self) -> Event:
        """Return the last event."""
        return self._number({"type": f"response.{self.response['status']}", "response": self._copy_response()})

    def fail(self, message: str, code: str) -> Iterator[Event]:
        """Yield the last events of an answer that an error ended.

        Args:
            message: Text that the client may see.
            code: A code of OpenAI's API, such as `"server_error"`.
        """
        yield from self._close_item("incomplete")
        self.response |= {"status": "failed", "completed_at": None, "error": {"code": code, "message": message}}
        yield self.finish()

    def _begin_item(self, piece: OutputPiece) -> Generator[Event, None, _OpenItem]:
        yield from self._close_item("completed")
        current = self._current = self._open_item(piece)
        yield from self._locate(current.start(), current)
        return current

    def _open_item(self, piece: OutputPiece) -> _OpenItem:
        key = f"{self._key}o{len(self.response['output'])}"
        if piece.kind == "call":
            return _OpenCall(key, piece)
        if piece.kind == "text":
            return _OpenMessage(key)
        form = _AS_SUMMARY if self._has_summaries else _AS_CONTENT
        return _OpenReasoning(key, form, is_packed=self._packs_reasoning)

    def _close_item(self, status: str) -> Iterator[Event]:
        current, self._current = self._current, None
        if current is not None:
            yield from self._locate(current.finish(status), current)
            self.response["output"].append(current.item)

    def _has_item(self, kind: str) -> bool:
        items = [*self.response["output"], *([self._current.item] if self._current is not None else [])]
        return any(item["type"] == kind for item in items)

    def _copy_response(self) -> dict[str, Any]:
        return {**self.response, "output": list(self.response["output"])}

    def _locate(self, events: Iterator[Event], item: _OpenItem) -> Iterator[Event]:
        """Yield events of an item with its place in the output."""
        for event in events:
            place: dict[str, Any] = {"output_index": len(self.response["output"])}
            if "item" not in event:
                place["item_id"] = item.item["id"]
            yield self._number({**event, **place})

    def _number(self, event: Event) -> Event:
        event["sequence_number"] = self._sequence_number
        self._sequence_number += 1
        return event


class _OpenItem(ABC):
    """The item that is being filled."""

    item: Item
    kind: str

    def can_take(self, piece: OutputPiece) -> bool:
        """Return True if a piece belongs to this item."""
        return piece.kind == self.kind

    def start(self) -> Iterator[Event]:
        """Yield the events that add the item."""
        yield {"type": "response.output_item.added", "item": dict(self.item)}

    @abstractmethod
    def extend(self, piece: OutputPiece) -> Iterator[Event]:
        """Yield the events of a piece."""

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the events that complete the item."""
        self.item["status"] = status
        yield {"type": "response.output_item.done", "item": dict(self.item)}


class _OpenMessage(_OpenItem):
    """A message of the assistant with one part of text."""

    kind = "text"

    def __init__(self, key: str) -> None:
        self.item = {"id": f"msg_{key}", "type": "message", "status": "in_progress", "role": "assistant", "content": []}
        self._part: Item = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}

    def start(self) -> Iterator[Event]:
        """Yield the events that add the item and its part."""
        yield from super().start()
        yield {"type": "response.content_part.added", "content_index": 0, "part": _copy_part(self._part)}

    def extend(self, piece: OutputPiece) -> Iterator[Event]:
        """Yield the event of a piece of text."""
        self._part["text"] += piece.text
        self._part["logprobs"] += piece.logprobs
        if piece.text or piece.logprobs:
            event = {"type": "response.output_text.delta", "content_index": 0, "delta": piece.text}
            yield {**event, "logprobs": list(piece.logprobs)}

    def add_annotations(self, annotations: Sequence[Mapping[str, Any]], fields: Mapping[str, Any]) -> Iterator[Event]:
        """Yield the events of annotations, and set further fields of the message."""
        for number, annotation in enumerate(annotations):
            self._part["annotations"].append(dict(annotation))
            event = {"type": "response.output_text.annotation.added", "content_index": 0}
            yield {**event, "annotation_index": number, "annotation": dict(annotation)}
        self.item.update(fields)

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the events that complete the text, its part and the item."""
        text, logprobs = self._part["text"], list(self._part["logprobs"])
        yield {"type": "response.output_text.done", "content_index": 0, "text": text, "logprobs": logprobs}
        yield {"type": "response.content_part.done", "content_index": 0, "part": _copy_part(self._part)}
        self.item["content"] = [self._part]
        yield from super().finish(status)


@dataclass(frozen=True, kw_only=True)
class _ReasoningForm:
    """Names under which reasoning stands in an item and its events.

    Attributes:
        field: Field of the item.
        part_type: Type of the part in it.
        index_name: Field of the events with the position of the part.
        part_event: Events that add and complete the part.
        text_event: Events that fill it.
    """

    field: str
    part_type: str
    index_name: str
    part_event: str
    text_event: str


_AS_CONTENT = _ReasoningForm(
    field="content",
    part_type="reasoning_text",
    index_name="content_index",
    part_event="response.content_part",
    text_event="response.reasoning_text",
)
_AS_SUMMARY = _ReasoningForm(
    field="summary",
    part_type="summary_text",
    index_name="summary_index",
    part_event="response.reasoning_summary_part",
    text_event="response.reasoning_summary_text",
)


class _OpenReasoning(_OpenItem):
    """Reasoning as the model wrote it, in the place of the content or of the summary."""

    kind = "reasoning"

    def __init__(self, key: str, form: _ReasoningForm, *, is_packed: bool) -> None:
        head = {"id": f"rs_{key}", "type": "reasoning", "status": "in_progress"}
        self.item = {**head, "summary": [], form.field: []}
        self._form, self._is_packed, self._text = form, is_packed, ""

    def start(self) -> Iterator[Event]:
        """Yield the events that add the item and its part."""
        yield from super().start()
        yield self._build_event(f"{self._form.part_event}.added", part=self._build_part())

    def extend(self, piece: OutputPiece) -> Iterator[Event]:
        """Yield the event of a piece of reasoning."""
        self._text += piece.text
        yield self._build_event(f"{self._form.text_event}.delta", delta=piece.text)

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the events that complete the reasoning, its part and the item."""
        yield self._build_event(f"{self._form.text_event}.done", text=self._text)
        yield self._build_event(f"{self._form.part_event}.done", part=self._build_part())
        self.item[self._form.field] = [self._build_part()]
        if self._is_packed:
            self.item["encrypted_content"] = pack_reasoning(self._text)
        yield from super().finish(status)

    def _build_event(self, name: str, **fields: Any) -> Event:
        return {"type": name, self._form.index_name: 0, **fields}

    def _build_part(self) -> Item:
        return {"type": self._form.part_type, "text": self._text}


class _OpenCall(_OpenItem):
    """A call of a function."""

    kind = "call"

    def __init__(self, key: str, piece: OutputPiece) -> None:
        head = {"id": f"fc_{key}", "type": "function_call", "status": "in_progress"}
        call_id = piece.call_id or f"call_{key}"
        self.item = {**head, "call_id": call_id, "name": piece.name or "", "arguments": ""}
        self._index = piece.call_index

    def can_take(self, piece: OutputPiece) -> bool:
        """Return True if a piece belongs to this call."""
        return piece.kind == self.kind and piece.call_index == self._index

    def extend(self, piece: OutputPiece) -> Iterator[Event]:
        """Yield the event of a piece of the arguments."""
        self.item["arguments"] += piece.text
        if piece.text:
            yield {"type": "response.function_call_arguments.delta", "delta": piece.text}

    def finish(self, status: str) -> Iterator[Event]:
        """Yield the events that complete the arguments and the item."""
        name, arguments = self.item["name"], self.item["arguments"]
        yield {"type": "response.function_call_arguments.done", "name": name, "arguments": arguments}
        yield from super().finish(status)


def _copy_part(part: Item) -> Item:
    return {**part, "annotations": list(part["annotations"]), "logprobs": list(part["logprobs"])}


def convert_usage(usage: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return LangChain's count of tokens in the form of the Responses API."""
    usage = usage or {}
    input_tokens, output_tokens = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    cached_tokens = (usage.get("input_token_details") or {}).get("cache_read") or 0
    return {
        "input_tokens": input_tokens,
        "input_tokens_details": {"cached_tokens": cached_tokens, "cache_write_tokens": 0},
        "output_tokens": output_tokens,
        "output_tokens_details": {"reasoning_tokens": (usage.get("output_token_details") or {}).get("reasoning") or 0},
        "total_tokens": input_tokens + output_tokens,
    }
