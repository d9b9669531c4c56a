"""OpenAI's chat completions over the chatbot and the chat model, for programs that speak nothing else.

Two models are served: the chat model by its own name, with tools and structured output, and the chatbot, whose messages
carry `sources` and `citations` besides. The chatbot follows its own rules: it passes over a client's system messages,
and over what is said of sampling and lengths. Requests and answers are those of
https://platform.openai.com/docs/api-reference/chat.
"""

from __future__ import annotations

import json
import logging
import time
import uuid
from collections.abc import AsyncIterator
from typing import Any, Literal

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, StreamingResponse
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, convert_to_messages
from langchain_core.runnables import Runnable, RunnableConfig
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.errors import ContextLengthError
from langchain_gptoss.serve.caller import run_config
from langchain_gptoss.serve.error_responses import openai_error, told

CHATBOT = "chatbot"
_log = logging.getLogger(__name__)
_FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls"}
_ROLES = ("system", "developer", "user", "assistant", "tool")


class StreamOptions(BaseModel):
    """What a stream holds besides the answer."""

    model_config = ConfigDict(extra="ignore")

    include_usage: bool = False


class CompletionRequest(BaseModel):
    """A request for a chat completion; a field that is not here is refused and not passed over in silence."""

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
    # There are none here; many clients send the values that mean so.
    frequency_penalty: float | None = Field(default=None, ge=0, le=0)
    presence_penalty: float | None = Field(default=None, ge=0, le=0)
    logit_bias: dict[str, Any] | None = Field(default=None, max_length=0)
    user: str | None = None
    # Bookkeeping of OpenAI's, without effect on an answer.
    metadata: dict[str, Any] | None = None
    store: bool | None = None
    service_tier: str | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    def options(self) -> dict[str, Any]:
        """Returns what is set of the options of a call."""
        names = ("temperature", "top_p", "seed", "reasoning_effort", "tools", "tool_choice", "parallel_tool_calls")
        values = {name: getattr(self, name) for name in (*names, "response_format")}
        values["logprobs"], values["top_logprobs"] = self.logprobs or None, self.top_logprobs
        values["max_tokens"] = self.max_completion_tokens or self.max_tokens
        values["stop"] = [self.stop] if isinstance(self.stop, str) else self.stop
        return {name: value for name, value in values.items() if value is not None}


class BadRequest(Exception):  # noqa: N818 (an answer, not a fault)
    """A request that is answered with a status and an error of OpenAI's form."""

    def __init__(self, status: int, message: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


def openai_routes(chatbot: Runnable[Any, Any], llm: BaseChatModel | None, *, name: str | None = None) -> APIRouter:
    """Returns the routes `/v1/models` and `/v1/chat/completions`.

    Args:
        chatbot: Answers as the model "chatbot".
        llm: Answers under its own name; None leaves it out.
        name: That name; None takes the model's.
    """
    router = APIRouter(prefix="/v1", tags=["OpenAI"])
    models: dict[str, Runnable[Any, Any]] = {CHATBOT: chatbot}
    if llm is not None:
        models[name or model_name(llm)] = llm
    created = int(time.time())

    @router.get("/models")
    async def list_models() -> dict[str, Any]:
        """Lists what answers here."""
        listed = [
            {"id": each, "object": "model", "created": created, "owned_by": "langchain-gptoss"} for each in models
        ]
        return {"object": "list", "data": listed}

    @router.get("/models/{model:path}")
    async def one_model(model: str) -> Any:
        """Returns one of the models."""
        if model not in models:
            return _error(BadRequest(404, f"There is no model {model!r}.", param="model", code="model_not_found"))
        return {"id": model, "object": "model", "created": created, "owned_by": "langchain-gptoss"}

    @router.post("/chat/completions")
    async def completions(request: Request) -> Any:
        """Answers a conversation."""
        try:
            asked = _read(await request.body())
            if asked.model not in models:
                known = ", ".join(map(repr, models))
                raise BadRequest(
                    404, f"There is no model {asked.model!r}; here are {known}.", param="model", code="model_not_found"
                )
            kind = _ChatbotAnswer if asked.model == CHATBOT else _ModelAnswer
            answer = kind(models[asked.model], asked, run_config(request))
            if not asked.stream:
                return JSONResponse(await answer.whole())
            pieces = answer.pieces()
            first = await anext(pieces)  # so that what is wrong with the request still gets a status of its own
            return StreamingResponse(_events(first, pieces), media_type="text/event-stream")
        except BadRequest as bad:
            return _error(bad)
        except Exception as error:
            return _error(_as_bad_request(error))

    return router


def model_name(llm: BaseChatModel) -> str:
    """Returns what a chat model is called."""
    card = getattr(llm, "card", None)
    names = (getattr(card, "name", None), getattr(llm, "model_name", None), getattr(llm, "model", None))
    return str(next((each for each in names if each), type(llm).__name__))


def _read(body: bytes) -> CompletionRequest:
    try:
        return CompletionRequest.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        param = ".".join(map(str, first["loc"])) or None
        supported = " Supported is one answer, n=1." if param == "n" else ""
        raise BadRequest(400, f"{param or 'The request'}: {first['msg']}.{supported}", param=param) from None


def _message(number: int, message: dict[str, Any]) -> BaseMessage:
    """Returns a message of a request.

    Raises:
        BadRequest: It is none.
    """
    place = f"messages.{number}"
    if message.get("role") not in _ROLES:
        known = ", ".join(_ROLES)
        raise BadRequest(400, f"{place}.role is {message.get('role')!r}; it must be one of {known}.", param=place)
    try:
        return convert_to_messages([{"content": None, **message}])[0]
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError) as error:
        raise BadRequest(400, f"{place} cannot be read ({str(error).splitlines()[0]}).", param=place) from error


class _Answer:
    """One completion, whole or in pieces."""

    def __init__(self, runnable: Runnable[Any, Any], asked: CompletionRequest, config: RunnableConfig) -> None:
        self.runnable, self.asked, self.config = runnable, asked, config
        self.id, self.created, self.begun = f"chatcmpl-{uuid.uuid4().hex}", int(time.time()), False
        self.messages = [_message(number, message) for number, message in enumerate(asked.messages)]

    def envelope(self, kind: str, **choice: Any) -> dict[str, Any]:
        """Returns what stands around a message or a piece of one."""
        choices = [{"index": 0, "logprobs": None, **choice}] if choice else []
        head = {"id": self.id, "object": kind, "created": self.created, "model": self.asked.model}
        return {**head, "choices": choices}

    def chunk(self, delta: dict[str, Any], *, finish: str | None = None, **choice: Any) -> dict[str, Any]:
        """Returns a piece; the first one says who speaks."""
        if not self.begun:
            delta, self.begun = {"role": "assistant", "content": "", **delta}, True
        return self.envelope("chat.completion.chunk", delta=delta, finish_reason=finish, **choice)

    def completion(self, message: dict[str, Any], finish: str, usage: Any, **choice: Any) -> dict[str, Any]:
        """Returns a whole answer."""
        message = {"role": "assistant", **message}
        return {
            **self.envelope("chat.completion", message=message, finish_reason=finish, **choice),
            "usage": _usage(usage),
        }

    def last(self, usage: Any) -> list[dict[str, Any]]:
        """Returns the piece with the usage, where it was asked for."""
        options = self.asked.stream_options
        wanted = options is not None and options.include_usage
        return [{**self.envelope("chat.completion.chunk"), "usage": _usage(usage)}] if wanted else []


class _ModelAnswer(_Answer):
    """The chat model's own answer."""

    async def whole(self) -> dict[str, Any]:
        """Returns the whole answer."""
        message = await self.runnable.ainvoke(self.messages, self.config, **self.asked.options())
        content = str(message.text)
        shown: dict[str, Any] = {"content": content if content or not message.tool_calls else None}
        if thought := message.additional_kwargs.get("reasoning_content"):
            shown["reasoning_content"] = thought
        if message.tool_calls:
            shown["tool_calls"] = [_call(index, call) for index, call in enumerate(message.tool_calls)]
        logprobs = message.response_metadata.get("logprobs")
        return self.completion(shown, _finish(message), message.usage_metadata, logprobs=logprobs)

    async def pieces(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the answer in pieces."""
        whole: AIMessageChunk | None = None
        numbers: dict[Any, int] = {}
        async for chunk in self.runnable.astream(self.messages, self.config, **self.asked.options()):
            whole = chunk if whole is None else whole + chunk
            delta: dict[str, Any] = {}
            if thought := chunk.additional_kwargs.get("reasoning_content"):
                delta["reasoning_content"] = thought
            if text := str(chunk.text):
                delta["content"] = text
            if chunk.tool_call_chunks:
                delta["tool_calls"] = [_call_piece(piece, numbers) for piece in chunk.tool_call_chunks]
            if delta:
                yield self.chunk(delta, logprobs=chunk.response_metadata.get("logprobs"))
        yield self.chunk({}, finish=_finish(whole))
        for piece in self.last(whole.usage_metadata if whole is not None else None):
            yield piece


class _ChatbotAnswer(_Answer):
    """The chatbot's answer to the last message; those before it are the conversation."""

    def __init__(self, runnable: Runnable[Any, Any], asked: CompletionRequest, config: RunnableConfig) -> None:
        super().__init__(runnable, asked, config)
        if name := next((each for each in ("tools", "response_format", "logprobs") if getattr(asked, each)), None):
            raise BadRequest(400, f"The chatbot takes no {name}: it answers from its documents alone.", param=name)
        *before, last = self.messages
        if last.type != "human":
            raise BadRequest(400, 'The last message must be the question, of the role "user".', param="messages")
        # What a client writes as a system message would be instructions beside the chatbot's own.
        history = [message for message in before if message.type in ("human", "ai")]
        self.input = {"question": str(last.text), "chat_history": history}

    async def whole(self) -> dict[str, Any]:
        """Returns the whole answer."""
        output: ChatbotOutput = await self.runnable.ainvoke(self.input, self.config)
        return self.completion({"content": output.answer, **_grounds(output)}, "stop", output.usage)

    async def pieces(self) -> AsyncIterator[dict[str, Any]]:
        """Yields the answer in pieces: the sources with the first, citations and the rest with the last."""
        usage: Any = None
        async for piece in self.runnable.astream(self.input, self.config):
            delta: dict[str, Any] = {}
            if "sources" in piece:
                delta["sources"] = [source.model_dump(mode="json") for source in piece.sources]
            if piece.reasoning:
                delta["reasoning_content"] = piece.reasoning
            if piece.answer:
                delta["content"] = piece.answer
            if "citations" in piece:
                usage = piece.usage
                grounds = _grounds(piece)
                grounds.pop("sources", None)
                yield self.chunk(delta | grounds, finish="stop")
            elif delta:
                yield self.chunk(delta)
        for last in self.last(usage):
            yield last


def _grounds(output: ChatbotOutput) -> dict[str, Any]:
    """Returns what the chatbot's answer rests on, as fields beside OpenAI's."""
    kept = {"sources", "citations", "unsupported", "abstained", "reason", "disclaimer", "metadata"}
    return output.model_dump(mode="json", include=kept)


def _finish(message: BaseMessage | None) -> str:
    if isinstance(message, AIMessage) and message.tool_calls:
        return "tool_calls"
    reason = message.response_metadata.get("finish_reason") if message is not None else None
    return _FINISH.get(str(reason), "stop")


def _call(index: int, call: Any) -> dict[str, Any]:
    arguments = json.dumps(call["args"], ensure_ascii=False)
    function = {"name": call["name"], "arguments": arguments}
    return {"id": call.get("id") or f"call_{index}", "type": "function", "function": function}


def _call_piece(piece: Any, numbers: dict[Any, int]) -> dict[str, Any]:
    # Ours count blocks of every kind; OpenAI's count calls, from 0.
    number = numbers.setdefault(piece.get("index"), len(numbers))
    shown: dict[str, Any] = {"index": number, "function": {"arguments": piece.get("args") or ""}}
    if piece.get("name"):
        shown |= {"id": piece.get("id") or f"call_{number}", "type": "function"}
        shown["function"]["name"] = piece["name"]
    return shown


def _usage(usage: Any) -> dict[str, Any]:
    usage = usage or {}
    read, written = usage.get("input_tokens") or 0, usage.get("output_tokens") or 0
    details: dict[str, Any] = {}
    if (thought := (usage.get("output_token_details") or {}).get("reasoning")) is not None:
        details["completion_tokens_details"] = {"reasoning_tokens": thought}
    if (cached := (usage.get("input_token_details") or {}).get("cache_read")) is not None:
        details["prompt_tokens_details"] = {"cached_tokens": cached}
    return {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written, **details}


def _as_bad_request(error: Exception) -> BadRequest:
    """Returns what a client is told of an error: all of what concerns the request, nothing of what is ours."""
    if (known := told(error)) is not None:
        status, message = known
        code = "context_length_exceeded" if isinstance(error, ContextLengthError) else None
        return BadRequest(400 if status == 422 else status, message, code=code)
    _log.error("A completion failed.", exc_info=error)
    return BadRequest(500, "The server failed to answer. Its log says why.")


def _error(bad: BadRequest) -> JSONResponse:
    return JSONResponse(_written(bad), status_code=bad.status)


def _written(bad: BadRequest) -> dict[str, Any]:
    return openai_error(bad.status, bad.message, param=bad.param, code=bad.code)


async def _events(first: dict[str, Any], pieces: AsyncIterator[dict[str, Any]]) -> AsyncIterator[str]:
    """Yields server-sent events; a fault on the way is an event of its own, and the stream always ends with [DONE]."""
    try:
        yield _event(first)
        async for piece in pieces:
            yield _event(piece)
    except Exception as error:
        yield _event(_written(_as_bad_request(error)))
    finally:
        if aclose := getattr(pieces, "aclose", None):
            await aclose()
    yield "data: [DONE]\n\n"


def _event(value: dict[str, Any]) -> str:
    return f"data: {json.dumps(value, ensure_ascii=False)}\n\n"
