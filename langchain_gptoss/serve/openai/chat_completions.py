"""Chat completions by the chatbot and the chat model.

Two models are served: the chat model under its own name, with tools and structured output, and the model `chatbot`,
whose messages also have `sources` and `citations`. The chatbot follows its own rules: it ignores the client's system
messages and the options for sampling and length. Requests and answers have the form of
https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from langchain_core.messages import AIMessageChunk
from langchain_core.runnables import Runnable, RunnableConfig

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.error_form import refuse_model, respond_to_error
from langchain_gptoss.serve.openai.events import stream_chunks
from langchain_gptoss.serve.openai.messages import (
    convert_call_chunk,
    convert_message,
    convert_tool_call,
    get_finish_reason,
)
from langchain_gptoss.serve.openai.models import CHATBOT, ServedModels
from langchain_gptoss.serve.openai.requests import ChatCompletionRequest, parse_request
from langchain_gptoss.serve.openai.usage import convert_usage


def add_chat_completion_route(router: APIRouter, models: ServedModels) -> None:
    """Add the route `/chat/completions`."""

    @router.post("/chat/completions")
    async def create_chat_completion(request: Request) -> Response:
        """Answer a conversation."""
        try:
            completion_request = parse_request(await request.body(), ChatCompletionRequest)
            name = completion_request.model
            runnable = models.answering.get(name)
            if runnable is None:
                raise refuse_model(name, models.answering)
            kind = _ChatbotCompletion if name == CHATBOT else _ModelCompletion
            completion = kind(runnable, completion_request, build_run_config(request))
            if completion_request.stream:
                return await stream_chunks(completion.stream(), request)
            return JSONResponse(await completion.create())
        except Exception as error:
            return respond_to_error(error)


class _Completion(ABC):
    """One completion, at once or as a stream of chunks."""

    def __init__(self, runnable: Runnable[Any, Any], request: ChatCompletionRequest, config: RunnableConfig) -> None:
        self.runnable, self.request, self.config = runnable, request, config
        self.id, self.created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self.messages = [convert_message(number, message) for number, message in enumerate(request.messages)]
        self._is_first_chunk = True

    @abstractmethod
    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""

    @abstractmethod
    def stream(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the completion in chunks."""

    def _build(self, object_type: str, **choice: Any) -> dict[str, Any]:
        """Return an object of OpenAI's API with at most one choice."""
        choices = [{"index": 0, "logprobs": None, **choice}] if choice else []
        head = {"id": self.id, "object": object_type, "created": self.created, "model": self.request.model}
        return {**head, "choices": choices}

    def _build_chunk(self, delta: dict[str, Any], *, finish: str | None = None, **choice: Any) -> dict[str, Any]:
        """Return a chunk; the first one has the role."""
        if self._is_first_chunk:
            delta, self._is_first_chunk = {"role": "assistant", "content": "", **delta}, False
        return self._build("chat.completion.chunk", delta=delta, finish_reason=finish, **choice)

    def _build_completion(self, message: dict[str, Any], finish: str, usage: Any, **choice: Any) -> dict[str, Any]:
        message = {"role": "assistant", **message}
        completion = self._build("chat.completion", message=message, finish_reason=finish, **choice)
        return {**completion, "usage": convert_usage(usage)}

    def _build_usage_chunks(self, usage: Any) -> list[dict[str, Any]]:
        """Return the chunk with the usage, if the client asks for it."""
        options = self.request.stream_options
        if options is None or not options.include_usage:
            return []
        return [{**self._build("chat.completion.chunk"), "usage": convert_usage(usage)}]


class _ModelCompletion(_Completion):
    """A completion by the chat model."""

    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""
        answer = await self.runnable.ainvoke(self.messages, self.config, **self.request.get_model_options())
        content = str(answer.text)
        message: dict[str, Any] = {"content": content if content or not answer.tool_calls else None}
        if reasoning := answer.additional_kwargs.get("reasoning_content"):
            message["reasoning_content"] = reasoning
        if answer.tool_calls:
            message["tool_calls"] = [convert_tool_call(index, call) for index, call in enumerate(answer.tool_calls)]
        logprobs = answer.response_metadata.get("logprobs")
        return self._build_completion(message, get_finish_reason(answer), answer.usage_metadata, logprobs=logprobs)

    async def stream(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the completion in chunks."""
        answer: AIMessageChunk | None = None
        call_numbers: dict[Any, int] = {}
        async for chunk in self.runnable.astream(self.messages, self.config, **self.request.get_model_options()):
            answer = chunk if answer is None else answer + chunk
            delta: dict[str, Any] = {}
            if reasoning := chunk.additional_kwargs.get("reasoning_content"):
                delta["reasoning_content"] = reasoning
            if text := str(chunk.text):
                delta["content"] = text
            if chunk.tool_call_chunks:
                delta["tool_calls"] = [convert_call_chunk(each, call_numbers) for each in chunk.tool_call_chunks]
            if delta:
                yield self._build_chunk(delta, logprobs=chunk.response_metadata.get("logprobs"))
        yield self._build_chunk({}, finish=get_finish_reason(answer))
        for usage_chunk in self._build_usage_chunks(answer.usage_metadata if answer is not None else None):
            yield usage_chunk


class _ChatbotCompletion(_Completion):
    """The chatbot's answer to the last message; the messages before it are the conversation."""

    def __init__(self, runnable: Runnable[Any, Any], request: ChatCompletionRequest, config: RunnableConfig) -> None:
        super().__init__(runnable, request, config)
        for name in ("tools", "response_format", "logprobs"):
            if getattr(request, name):
                message = f"The chatbot does not support {name}: it answers from its documents only."
                raise RequestRefused(400, message, param=name)
        *earlier, last = self.messages
        if last.type != "human":
            raise RequestRefused(400, 'The last message must be the question, of the role "user".', param="messages")
        # A client's system message would compete with the chatbot's own instructions.
        history = [message for message in earlier if message.type in ("human", "ai")]
        self.input = {"question": str(last.text), "chat_history": history}

    async def create(self) -> dict[str, Any]:
        """Return the whole completion."""
        output: ChatbotOutput = await self.runnable.ainvoke(self.input, self.config)
        return self._build_completion({"content": output.answer, **_get_evidence(output)}, "stop", output.usage)

    async def stream(self) -> AsyncIterator[dict[str, Any]]:
        """Yield the completion in chunks: sources with the first one, citations and the rest with the last."""
        usage: Any = None
        async for chunk in self.runnable.astream(self.input, self.config):
            delta: dict[str, Any] = {}
            if "sources" in chunk:
                delta["sources"] = [source.model_dump(mode="json") for source in chunk.sources]
            if chunk.reasoning:
                delta["reasoning_content"] = chunk.reasoning
            if chunk.answer:
                delta["content"] = chunk.answer
            if "citations" in chunk:
                usage = chunk.usage
                evidence = _get_evidence(chunk)
                evidence.pop("sources", None)
                yield self._build_chunk(delta | evidence, finish="stop")
            elif delta:
                yield self._build_chunk(delta)
        for usage_chunk in self._build_usage_chunks(usage):
            yield usage_chunk


def _get_evidence(output: ChatbotOutput) -> dict[str, Any]:
    """Return the fields of the chatbot's answer that OpenAI's API does not have."""
    names = {"sources", "citations", "unsupported", "abstained", "reason", "disclaimer", "metadata"}
    return output.model_dump(mode="json", include=names)
