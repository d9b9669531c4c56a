"""Answers of the chat model and of the chatbot, as pieces of a response's output."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import aclosing
from pathlib import PurePath
from typing import Any, cast

from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_gptoss.chatbot.types import ChatbotChunk, ChatbotOutput, Citation
from langchain_gptoss.language_models.generation import CUT_REASONS
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.responses.output import OutputEnd, OutputPiece

_EVIDENCE = {"sources", "citations", "unsupported", "abstained", "reason", "disclaimer", "metadata"}

Pieces = AsyncIterator[OutputPiece | OutputEnd]


async def stream_model_answer(
    llm: Runnable[Any, Any], messages: Sequence[BaseMessage], config: RunnableConfig, options: Mapping[str, Any]
) -> Pieces:
    """Yield the pieces of the chat model's answer, and its end."""
    finish_reason: Any = None
    usage: Mapping[str, Any] | None = None
    chunks = cast("Any", llm.astream(list(messages), config, **options))
    async with aclosing(chunks):
        async for chunk in chunks:
            for piece in _read_chunk(chunk):
                yield piece
            finish_reason = chunk.response_metadata.get("finish_reason") or finish_reason
            usage = chunk.usage_metadata or usage
    yield OutputEnd(is_cut=finish_reason in CUT_REASONS, usage=usage)


def _read_chunk(chunk: AIMessage) -> Iterator[OutputPiece]:
    if reasoning := chunk.additional_kwargs.get("reasoning_content"):
        yield OutputPiece(kind="reasoning", text=str(reasoning))
    logprobs = (chunk.response_metadata.get("logprobs") or {}).get("content") or ()
    if (text := str(chunk.text)) or logprobs:
        yield OutputPiece(kind="text", text=text, logprobs=logprobs)
    for call in _read_call_chunks(chunk):
        name, text = call.get("name") or None, call.get("args") or ""
        yield OutputPiece(kind="call", text=text, call_index=call.get("index"), call_id=call.get("id"), name=name)


def _read_call_chunks(chunk: AIMessage) -> Iterator[Mapping[str, Any]]:
    """Yield the pieces of calls; a model without a stream of its own gives whole calls."""
    if isinstance(chunk, AIMessageChunk):
        yield from cast("list[Mapping[str, Any]]", chunk.tool_call_chunks)
        return
    for number, call in enumerate([*chunk.tool_calls, *chunk.invalid_tool_calls]):
        arguments = call["args"]
        text = arguments if isinstance(arguments, str) else json.dumps(arguments or {}, ensure_ascii=False)
        yield {"name": call["name"], "id": call["id"], "args": text, "index": number}


async def stream_chatbot_answer(
    chatbot: Runnable[Any, Any], messages: Sequence[BaseMessage], config: RunnableConfig
) -> Pieces:
    """Yield the pieces of the chatbot's answer to the last message, and its end with the citations.

    Raises:
        RequestRefused: The last message is not a question of the user.
    """
    if not messages or messages[-1].type != "human":
        raise RequestRefused(400, 'The last item must be the question, of the role "user".', param="input")
    # A client's system message would compete with the chatbot's own instructions.
    history = [message for message in messages[:-1] if message.type in ("human", "ai") and str(message.text)]
    chatbot_input = {"question": str(messages[-1].text), "chat_history": history}
    total: ChatbotChunk | None = None
    chunks = cast("Any", chatbot.astream(chatbot_input, config))
    async with aclosing(chunks):
        async for chunk in chunks:
            total = chunk if total is None else total + chunk
            if chunk.reasoning:
                yield OutputPiece(kind="reasoning", text=chunk.reasoning)
            if chunk.answer:
                yield OutputPiece(kind="text", text=chunk.answer)
    output = ChatbotOutput() if total is None else total.to_output()
    yield OutputEnd(
        usage=cast("Mapping[str, Any] | None", output.usage),
        annotations=[_build_annotation(output.answer, citation) for citation in output.citations],
        message_fields=output.model_dump(mode="json", include=_EVIDENCE),
    )


def _build_annotation(answer: str, citation: Citation) -> dict[str, Any]:
    """Return a citation as an annotation of OpenAI's API, with its number in the answer and the quoted text."""
    start = max(answer.find(citation.claim), 0)
    mark = answer.find(f"[{citation.number}]", start)
    index = mark if mark >= 0 else len(answer)
    own_fields = {"number": citation.number, "quote": citation.quote}
    if citation.source.startswith(("http://", "https://")):
        title = citation.heading or citation.source
        place = {"start_index": start, "end_index": index}
        return {"type": "url_citation", "url": citation.source, "title": title, **place, **own_fields}
    filename = PurePath(citation.source).name or citation.source
    return {"type": "file_citation", "file_id": citation.source, "filename": filename, "index": index, **own_fields}
