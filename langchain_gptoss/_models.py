"""What the chat model and the completion model share: fields, loading, and one flow for sync and async."""

import asyncio
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from langchain_core.runnables import run_in_executor
from pydantic import BaseModel, ConfigDict, Field, model_validator

from langchain_gptoss.chat_formats import ChatFormat, load_chat_format
from langchain_gptoss.chat_formats.base import Delta
from langchain_gptoss.chat_formats.stop import StopFilter
from langchain_gptoss.engine.base import Engine, FinishReason, Request, SamplingParams, TokenStream
from langchain_gptoss.engine.registry import shared_engine
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.catalog import ChatFormatName, ModelCard, resolve
from langchain_gptoss.models.checkpoint import locate

# LangChain's base classes come later and their configuration wins, so both model classes repeat this one.
MODEL_CONFIG = ConfigDict(extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

# LangChain gives these to every chat model; a model on this machine has no use for them.
_OF_SERVERS = frozenset({"api_key", "max_retries", "timeout"})

_SAMPLING = frozenset({"temperature", "top_p", "top_k", "seed", "max_tokens"})


class GptOssModel(BaseModel):
    """Fields and loading of both model classes; not used by itself."""

    model_config = MODEL_CONFIG

    model: str | Path = "gpt-oss-20b"
    """A catalogued name (`"demo"`, `"gpt-oss-20b"`), a folder with a checkpoint, or a hub id."""
    temperature: float | None = Field(default=None, ge=0)
    """0 picks the likeliest token. None: what the model's publishers recommend (1.0; 0 for the demo model)."""
    top_p: float = Field(default=1.0, gt=0, le=1)
    """Samples only from the likeliest tokens whose probabilities add up to this share."""
    top_k: int = Field(default=0, ge=0)
    """Samples only from this many of the likeliest tokens; 0 means all."""
    seed: int | None = None
    """Makes sampling repeatable on the same machine."""
    max_tokens: int | None = Field(default=None, gt=0)
    """The longest answer, reasoning included, in tokens; None: until the context is full."""
    stop: list[str] | None = Field(default=None, alias="stop_sequences")
    """Strings that end the answer and are not part of it."""
    device: Literal["cuda", "cpu"] | None = None
    """Where the model runs; None: on a CUDA GPU if there is one."""
    dtype: Literal["float32", "bfloat16", "float16"] | None = None
    """Number type of the weights in memory; None: what suits the device."""
    chat_format: ChatFormatName | None = None
    """How messages become tokens; None: what the checkpoint's tokenizer speaks."""
    engine: Engine | None = Field(default=None, exclude=True, repr=False)
    """Runs the model instead of the engine that would be loaded; for tests, `ScriptedEngine`."""

    @model_validator(mode="before")
    @classmethod
    def _without_server_options(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {name: value for name, value in values.items() if name not in _OF_SERVERS}

    @cached_property
    def card(self) -> ModelCard:
        """What the catalogue knows of the model."""
        return resolve(self.model)

    @cached_property
    def checkpoint(self) -> Path:
        """The checkpoint's folder; fetched on first use."""
        return locate(self.card)

    @cached_property
    def format(self) -> ChatFormat:
        """The chat format; loaded on first use."""
        name = self.chat_format or self.card.chat_format
        return load_chat_format(None if name == "harmony" else self.checkpoint, name)

    @cached_property
    def running_engine(self) -> Engine:
        """The engine, shared by every model of this checkpoint in the process; loaded on first use."""
        return self.engine or shared_engine(self.checkpoint, device=self.device, dtype=self.dtype)

    def load(self) -> None:
        """Fetches and loads everything now, so that the first answer does not wait for it."""
        _ = self.format, self.running_engine

    def begin(self, prompt_ids: list[int], stop: list[str] | None, options: dict[str, Any]) -> "Turn":
        """Starts an answer.

        Args:
            prompt_ids: The rendered prompt.
            stop: Stop strings for this call; None means those of the constructor.
            options: Sampling options for this call.

        Raises:
            InvalidInputError: An option that is not known, or a value that cannot work.
            ContextLengthError: The prompt does not fit.
        """
        sampling = self._sampling(options)
        stops = StopFilter(stop if stop is not None else self.stop or [])
        request = Request(prompt_ids=tuple(prompt_ids), sampling=sampling, stop_ids=self.format.stop_ids)
        return Turn(self.running_engine.start(request), self.format, stops, prompt_tokens=len(prompt_ids))

    def _sampling(self, options: dict[str, Any]) -> SamplingParams:
        if unknown := sorted(options.keys() - _SAMPLING):
            raise InvalidInputError(
                f"Unknown option {unknown[0]!r}; a call takes {', '.join(sorted(_SAMPLING))}, stop."
            )
        temperature = self.card.temperature if self.temperature is None else self.temperature
        values = {
            "temperature": temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
        }
        return SamplingParams(**(values | options))


async def begun(begin: "Callable[..., Turn]", *arguments: Any) -> "Turn":
    """Returns `begin(*arguments)`, run on another thread: loading and rendering may not block the event loop.

    A caller that is cancelled meanwhile cancels the turn too, which would otherwise go on with nobody listening.
    """
    beginning = asyncio.ensure_future(run_in_executor(None, begin, *arguments))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        beginning.add_done_callback(_abandon)
        raise


def _abandon(beginning: "asyncio.Future[Turn]") -> None:
    if not beginning.cancelled() and beginning.exception() is None:
        beginning.result().stream.cancel()


@dataclass(frozen=True, kw_only=True)
class TurnEnd:
    """How an answer ended, with its lengths in tokens."""

    finish_reason: FinishReason
    prompt_tokens: int
    answer_tokens: int
    reasoning_tokens: int


class Turn:
    """One answer in the making. The caller moves the ids from `stream` to `feed`, in its own way of waiting."""

    def __init__(self, stream: TokenStream, chat_format: ChatFormat, stops: StopFilter, *, prompt_tokens: int) -> None:
        """Takes the engine's stream and what reads it."""
        self.stream = stream
        self._parser = chat_format.parser()
        self._stops = stops
        self._prompt_tokens = prompt_tokens
        self._answer_tokens = 0
        self._reasoning_tokens = 0

    def feed(self, token_id: int) -> Iterator[Delta]:
        """Yields what can be shown after this token; cancels the stream at a stop string."""
        self._answer_tokens += 1
        deltas = self._parser.feed(token_id)
        if deltas and deltas[-1].kind == "reasoning":
            self._reasoning_tokens += 1
        yield from self._shown(deltas)

    def flush(self) -> Iterator[Delta]:
        """Yields what was held back; call it when the stream has ended."""
        if not self._stops.stopped:
            yield from self._shown(self._parser.flush())
        if held := self._stops.flush():
            yield Delta("text", held)

    def end(self) -> TurnEnd:
        """Returns how it ended."""
        reason = "stop" if self._stops.stopped else self.stream.finish_reason or "cancelled"
        return TurnEnd(
            finish_reason=reason,
            prompt_tokens=self._prompt_tokens,
            answer_tokens=self._answer_tokens,
            reasoning_tokens=self._reasoning_tokens,
        )

    def _shown(self, deltas: list[Delta]) -> Iterator[Delta]:
        for delta in deltas:
            if delta.kind == "reasoning":
                yield delta
            elif text := self._stops.feed(delta.text):
                yield Delta("text", text)
        if self._stops.stopped:
            self.stream.cancel()
