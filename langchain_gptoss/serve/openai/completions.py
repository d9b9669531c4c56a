"""The route for text completions: the chat model continues a text or token ids, without any chat format.

The form is that of https://platform.openai.com/docs/api-reference/completions. Control tokens are written by name.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response

from langchain_gptoss.chat_models import ChatGptOss
from langchain_gptoss.language_models.generation import CUT_REASONS, astream_chunks, start_in_thread
from langchain_gptoss.llms import TextChunkBuilder
from langchain_gptoss.serve.caller import build_engine_options
from langchain_gptoss.serve.openai.completion_requests import CompletionRequest, Prompt, encode_prompts
from langchain_gptoss.serve.openai.concurrency import merge_streams, run_together
from langchain_gptoss.serve.openai.error_form import respond_to_error
from langchain_gptoss.serve.openai.events import stream_chunks
from langchain_gptoss.serve.openai.models import ServedModels
from langchain_gptoss.serve.openai.requests import build_ignored_fields_header, list_ignored_fields, parse_request


def add_completion_route(router: APIRouter, models: ServedModels, *, max_completions: int) -> None:
    """Add the route `/completions`.

    Args:
        router: Gets the route.
        models: The served models.
        max_completions: Largest number of completions in a request.
    """

    @router.post("/completions")
    async def create_completion(request: Request) -> Response:
        """Continue texts."""
        completion_request: CompletionRequest | None = None
        try:
            completion_request = parse_request(await request.body(), CompletionRequest)
            llm = models.get_completion_model(completion_request.model)
            completion_request.check(max_completions=max_completions)
            # Loads the vocabulary on first use.
            prompts = await asyncio.to_thread(_encode_prompts, completion_request, llm)
            completion = _Completion(
                llm,
                completion_request,
                prompts,
                engine_options=build_engine_options(request),
                metrics=getattr(request.app.state, "metrics", None),
            )
            headers = build_ignored_fields_header(list_ignored_fields(completion_request))
            if completion_request.stream:
                return await stream_chunks(completion.stream(), request, headers)
            return JSONResponse(await completion.create(), headers=headers)
        except Exception as error:
            return respond_to_error(error, completion_request)


def _encode_prompts(request: CompletionRequest, llm: ChatGptOss) -> list[Prompt]:
    return encode_prompts(request.list_prompts(), llm.format)


class _Completion:
    """The completions of one request, at once or as a stream of chunks."""

    def __init__(
        self,
        llm: ChatGptOss,
        request: CompletionRequest,
        prompts: Sequence[Prompt],
        *,
        engine_options: Mapping[str, Any],
        metrics: Any,
    ) -> None:
        self._request, self._prompts, self._metrics = request, prompts, metrics
        self._id, self._created = f"cmpl-{uuid.uuid4().hex}", int(time.time())
        self._choices = [
            _Choice(
                llm,
                request,
                prompt,
                index=number * request.n + choice,
                options={**request.get_generation_options(choice), **engine_options},
            )
            for number, prompt in enumerate(prompts)
            for choice in range(request.n)
        ]

    async def create(self) -> dict[str, Any]:
        """Return all completions."""
        choices = await run_together([_collect(choice) for choice in self._choices])
        return {**self._build_head(), "choices": choices, "usage": self._count_usage()}

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the completions in chunks; those of several completions alternate."""
        includes_usage = self._request.includes_usage
        async with aclosing(merge_streams([choice.stream() for choice in self._choices])) as pieces:
            async for piece in pieces:
                yield {**self._build_head(), "choices": [piece], **({"usage": None} if includes_usage else {})}
        usage = self._count_usage()
        if includes_usage:
            yield {**self._build_head(), "choices": [], "usage": usage}

    def _build_head(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "text_completion",
            "created": self._created,
            "model": self._request.model,
        }

    def _count_usage(self) -> dict[str, Any]:
        """Return the usage, each prompt counted once, and add it to the server's metrics."""
        prompt_tokens = sum(len(prompt.token_ids) for prompt in self._prompts)
        completion_tokens = sum(choice.token_count for choice in self._choices)
        count = self._request.n
        choices_by_prompt = [self._choices[start : start + count] for start in range(0, len(self._choices), count)]
        cached_tokens = sum(min(choice.cached_tokens for choice in choices) for choices in choices_by_prompt)
        if self._metrics is not None:
            self._metrics.count_tokens({"input_tokens": prompt_tokens, "output_tokens": completion_tokens})
        return {
            "prompt_tokens": prompt_tokens,
            "completion_tokens": completion_tokens,
            "total_tokens": prompt_tokens + completion_tokens,
            "prompt_tokens_details": {"cached_tokens": cached_tokens},
        }


class _Choice:
    """One completion.

    Attributes:
        index: Position among the completions of the request.
        token_count: Number of generated tokens, after the end.
        cached_tokens: Number of tokens of the prompt that came from the engine's cache, after the end.
    """

    def __init__(
        self, llm: ChatGptOss, request: CompletionRequest, prompt: Prompt, *, index: int, options: dict[str, Any]
    ) -> None:
        self.index, self.token_count, self.cached_tokens = index, 0, 0
        self._llm, self._request, self._prompt = llm, request, prompt
        self._options = dict(options)
        self._stop: list[str] | None = self._options.pop("stop", None)
        self._offset = 0

    async def stream(self) -> AsyncGenerator[dict[str, Any], None]:
        """Yield the choice in pieces; the last one has the finish reason and no text."""
        if self._request.echo:
            self._offset = len(self._prompt.text)
            yield self._build_piece(self._prompt.text)
        finish_reason = "length"
        if self._request.max_tokens > 0:
            builder = await start_in_thread(self._start)
            async with aclosing(astream_chunks(builder)) as chunks:
                async for chunk in chunks:
                    info = chunk.generation_info or {}
                    if chunk.text:
                        yield self._build_piece(chunk.text, self._convert_logprobs(info.get("logprobs")))
                    if "finish_reason" in info:
                        finish_reason, self.token_count = info["finish_reason"], info["output_tokens"]
                        self.cached_tokens = info["cached_tokens"]
        yield self._build_piece("", finish_reason="length" if finish_reason in CUT_REASONS else "stop")

    def _start(self) -> TextChunkBuilder:
        generation = self._llm.start_generation(
            self._prompt.token_ids, self._stop, self._options, parser=self._llm.format.build_text_parser()
        )
        return TextChunkBuilder(generation)

    def _build_piece(self, text: str, logprobs: Any = None, *, finish_reason: str | None = None) -> dict[str, Any]:
        return {"index": self.index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}

    def _convert_logprobs(self, logprobs: dict[str, Any] | None) -> dict[str, Any] | None:
        """Return log-probabilities in the form of this route, whose offsets count characters."""
        if logprobs is None:
            return None
        entries, offsets = logprobs["content"], []
        for entry in entries:
            offsets.append(self._offset)
            self._offset += len(entry["token"])
        top = [{each["token"]: each["logprob"] for each in entry["top_logprobs"]} for entry in entries]
        return {
            "tokens": [entry["token"] for entry in entries],
            "token_logprobs": [entry["logprob"] for entry in entries],
            "top_logprobs": top if self._request.logprobs else None,
            "text_offset": offsets,
        }


async def _collect(choice: _Choice) -> dict[str, Any]:
    """Return a whole choice."""
    text, logprobs, finish_reason = "", None, None
    async with aclosing(choice.stream()) as pieces:
        async for piece in pieces:
            text += piece["text"]
            finish_reason = piece["finish_reason"]
            logprobs = _join_logprobs(logprobs, piece["logprobs"])
    return {"index": choice.index, "text": text, "logprobs": logprobs, "finish_reason": finish_reason}


def _join_logprobs(first: dict[str, Any] | None, second: dict[str, Any] | None) -> dict[str, Any] | None:
    if first is None or second is None:
        return first or second
    return {name: None if first[name] is None else first[name] + second[name] for name in first}
