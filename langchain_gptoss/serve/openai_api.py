"""OpenAI's chat completions for the chatbot and the chat model, for programs that use OpenAI's API.

Two models are served: the chat model under its own name, with tools and structured output, and the model `chatbot`,
whose messages also have `sources` and `citations`. The chatbot follows its own rules: it ignores the client's system
messages and the options for sampling and length. Requests and answers have the form of
https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import dataclasses
import json
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.errors import ContextLengthError
from langchain_gptoss.serve.caller import build_run_config
from langchain_gptoss.serve.error_responses import ErrorResponse, RequestRefused, build_error_response
from langchain_gptoss.serve.event_stream import stream_events
from langchain_gptoss.serve.inputs import describe_validation_error

CHATBOT = "chatbot"
_FINISH_REASONS = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
_ROLES = ("system", "developer", "user", "assistant", "tool")
_LAST_EVENT = "data: [DONE]\n\n"


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a chat completion. Unknown fields are refused, so that no option is ignored unnoticed."""

    model_config = ConfigDict(extra="forbid")

    model: str
    messages: list[dict[str, Any]] = Field(min_length=1)
    stream: bool = False
    stream_options: StreamOptions | None = None
    temperature: float | None = Field(default=None, ge=0, le=2)
    top_p: float | None = Field(default=None, gt=0, le=1)
    max_tokens: int | None = Field(default=None, ge=1)
    max_completion_tokens: int | None = Field(default=None, ge=1)
    stop: str | list[str] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    reasoning_effort: Literal["low", "medium", "high"] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None
    n: Literal[1] | None = None
    # Not supported; many clients send the values that switch them off.
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logit_bias: dict[str, Any] | None = Field(default=None, max_length=0)
    user: str | None = None
    # OpenAI's bookkeeping, without effect on an answer.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def get_model_options(self) -> dict[str, Any]:
        """Return the options that are set, under LangChain's names."""
        names = ("temperature", "top_p", "seed", "reasoning_effort", "tools", "tool_choice", "parallel_tool_calls")
        options = {name: getattr(self, name) for name in (*names, "response_format")}
        options["logprobs"], options["top_logprobs"] = self.logprobs or None, self.top_logprobs
        options["max_tokens"] = self.max_completion_tokens or self.max_tokens
        options["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return {name: value for name, value in options.items() if value is not None}


def build_openai_routes(chatbot: Runnable[Any, Any], llm: BaseChatModel | None) -> APIRouter:
    """Return the routes `/v1/models` and `/v1/chat/completions`.

    Args:
        chatbot: Answers as the model "chatbot".
        llm: Answers under its own name; None leaves it out.
    """
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    models: dict[str, Runnable[Any, Any]] = {CHATBOT: chatbot}
    if llm is not None:
        models[get_model_name(llm)] = llm
    created = int(time.time())

    def describe_model(name: str) -> dict[str, Any]:
        return {"id": name, "object": "model", "created": created, "owned_by": "langchain-gptoss"}

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """List the models."""
        return {"object": "list", "data": [describe_model(name) for name in models]}

    @router.get("/models/{model:path}")
    async def get_model(model: str) -> Any:
        """Return one of the models."""
        return describe_model(model) if model in models else _respond_to_error(_refuse_model(model, models))

    @router.post("/chat/completions")
    async def create_completion(request: Request) -> Response:
        """Answer a conversation."""
        try:
            completion_request = _parse_request(await request.body())
            model = completion_request.model
            if model not in models:
                raise _refuse_model(model, models)
            kind = _ChatbotCompletion if model == CHATBOT else _ModelCompletion
            completion = kind(models[model], completion_request, build_run_config(request))
            if not completion_request.stream:
                return JSONResponse(await completion.create())
            return await stream_events(
                completion.stream(),
                path=request.url.path,
                format_chunk=_format_event,
                last_event=_LAST_EVENT,
                build_error=_build_openai_error,
            )
        except Exception as error:
            return _respond_to_error(error)

    return router


def get_model_name(llm: BaseChatModel) -> str:
    """Return the name of a chat model."""
    card = getattr(llm, "card", None)
    names = (getattr(card, "name", None), getattr(llm, "model_name", None), getattr(llm, "model", None))
    return str(next((name for name in names if name), type(llm).__name__))


def _parse_request(body: bytes) -> CompletionRequest:
    try:
        return CompletionRequest.model_validate_json(body)
    except ValidationError as error:
        field = ".".join(map(str, error.errors()[0]["loc"])) or None
        message = describe_validation_error(error) if field else f"The request: {describe_validation_error(error)}"
        supported = " One answer is supported, n=1." if field == "n" else ""
        raise RequestRefused(400, f"{message}{supported}", param=field) from None


def _refuse_model(model: str, models: dict[str, Any]) -> RequestRefused:
    message = f"There is no model {model!r}. Available: {', '.join(map(repr, models))}."
    return RequestRefused(404, message, param="model", code="model_not_found")


def _convert_message(number: int, message: dict[str, Any]) -> BaseMessage:
    """Return a message of a request as LangChain's message.

    Raises:
        RequestRefused: The message is invalid.
    """
    place = f"messages.{number}"
    if message.get("role") not in _ROLES:
        roles = ", ".join(_ROLES)
        raise RequestRefused(400, f"{place}.role is {message.get('role')!r}; it must be one of {roles}.", param=place)
    try:
        return convert_to_messages([{"content": None, **message}])[0]
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise RequestRefused(400, f"{place} cannot be read ({str(error).splitlines()[0]}).", param=place) from error


class _Completion(ABC):
    """One completion, at once or as a stream of chunks."""

    def __init__(self, runnable: Runnable[Any, Any], request: CompletionRequest, config: RunnableConfig) -> None:
        self.runnable, self.request, self.config = runnable, request, config
        self.id, self.created = f"chatcmpl-{uuid.uuid4().hex}", int(time.time())
        self.messages = [_convert_message(number, message) for number, message in enumerate(request.messages)]
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
        return {**completion, "usage": _convert_usage(usage)}

    def _build_usage_chunks(self, usage: Any) -> list[dict[str, Any]]:
        """Return the chunk with the usage, if the client asks for it."""
        options = self.request.stream_options
        if options is None or not options.include_usage:
            return []
        return [{**self._build("chat.completion.chunk"), "usage": _convert_usage(usage)}]


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
            message["tool_calls"] = [_convert_tool_call(index, call) for index, call in enumerate(answer.tool_calls)]
        logprobs = answer.response_metadata.get("logprobs")
        return self._build_completion(message, _get_finish_reason(answer), answer.usage_metadata, logprobs=logprobs)

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
                delta["tool_calls"] = [_convert_call_chunk(each, call_numbers) for each in chunk.tool_call_chunks]
            if delta:
                yield self._build_chunk(delta, logprobs=chunk.response_metadata.get("logprobs"))
        yield self._build_chunk({}, finish=_get_finish_reason(answer))
        for usage_chunk in self._build_usage_chunks(answer.usage_metadata if answer is not None else None):
            yield usage_chunk


class _ChatbotCompletion(_Completion):
    """The chatbot's answer to the last message; the messages before it are the conversation."""

    def __init__(self, runnable: Runnable[Any, Any], request: CompletionRequest, config: RunnableConfig) -> None:
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


def _get_finish_reason(message: BaseMessage | None) -> str:
    if isinstance(message, AIMessage) and message.tool_calls:
        return "tool_calls"
    reason = message.response_metadata.get("finish_reason") if message is not None else None
    return _FINISH_REASONS.get(str(reason), "stop")


def _convert_tool_call(index: int, call: Any) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id") or f"call_{index}", "type": "function", "function": function}


def _convert_call_chunk(chunk: Any, numbers: dict[Any, int]) -> dict[str, Any]:
    """Return a chunk of a tool call in OpenAI's form.

    Args:
        chunk: LangChain's chunk; its index counts content blocks of every kind.
        numbers: OpenAI's indices, which count calls from 0, by LangChain's; extended here.
    """
    number = numbers.setdefault(chunk.get("index"), len(numbers))
    call: dict[str, Any] = {"index": number, "function": {"arguments": chunk.get("args") or ""}}
    if chunk.get("name"):
        call |= {"id": chunk.get("id") or f"call_{number}", "type": "function"}
        call["function"]["name"] = chunk["name"]
    return call


def _convert_usage(usage: Any) -> dict[str, Any]:
    usage = usage or {}
    input_tokens, output_tokens = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    details: dict[str, Any] = {}
    if (reasoning_tokens := (usage.get("output_token_details") or {}).get("reasoning")) is not None:
        details["completion_tokens_details"] = {"reasoning_tokens": reasoning_tokens}
    if (cached_tokens := (usage.get("input_token_details") or {}).get("cache_read")) is not None:
        details["prompt_tokens_details"] = {"cached_tokens": cached_tokens}
    total_tokens = input_tokens + output_tokens
    return {"prompt_tokens": input_tokens, "completion_tokens": output_tokens, "total_tokens": total_tokens, **details}


def _build_openai_error(error: Exception) -> ErrorResponse:
    """Return the response to an error with OpenAI's status codes: 400 for every invalid request."""
    response = build_error_response(error)
    if response.status_code == 422:
        response = dataclasses.replace(response, status_code=400)
    if isinstance(error, ContextLengthError):
        response = dataclasses.replace(response, code="context_length_exceeded")
    return response


def _respond_to_error(error: Exception) -> JSONResponse:
    response = _build_openai_error(error)
    return JSONResponse(response.to_openai(), response.status_code, dict(response.headers))


def _format_event(chunk: dict[str, Any]) -> str:
    return f"data: {json.dumps(chunk, ensure_ascii=False)}\n\n"
