"""What the chat model and the completion model share: fields, loading, and one flow for sync and async."""

import asyncio
import difflib
import json
import uuid
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Self

from langchain_core.runnables import run_in_executor
from langchain_core.utils import secret_from_env
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_serializer, model_validator

from langchain_gptoss.chat_formats import ChatFormat, load_chat_format
from langchain_gptoss.chat_formats.base import FREE, Delta, Mend, Task
from langchain_gptoss.chat_formats.stop import StopFilter
from langchain_gptoss.engine import Engine, GenerationRequest, Grammar, SamplingParams, TokenLogprobs, TokenStream
from langchain_gptoss.engine.registry import get_local_engine, get_remote_engine
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.catalog import ChatFormatName, ModelCard, resolve
from langchain_gptoss.models.checkpoint import locate

# LangChain's base classes come later and their configuration wins, so both model classes repeat this one.
MODEL_CONFIG = ConfigDict(extra="forbid", populate_by_name=True, arbitrary_types_allowed=True)

# What is loaded on first use, and the fields that decide what that is.
_LOADED = ("card", "checkpoint", "format", "running_engine")
_DECIDE = frozenset(
    {"model", "device", "dtype", "experts", "max_context", "chat_format"}
    | {"base_url", "api_key", "timeout", "max_retries", "engine"}
)

SAMPLING = frozenset({"temperature", "top_p", "top_k", "seed", "max_tokens", "logprobs", "top_logprobs"})


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
    logprobs: bool = False
    """Reports the log-probability of each of the answer's tokens."""
    top_logprobs: int | None = Field(default=None, ge=0, le=20)
    """Reports those of this many of the likeliest tokens at each place as well."""
    stop: list[str] | None = Field(default=None, alias="stop_sequences")
    """Strings that end the answer and are not part of it."""
    device: Literal["cuda", "cpu", "mps"] | None = None
    """Where the model runs; None: where it fits and is fastest (`gptoss doctor` shows the plan)."""
    dtype: Literal["float32", "bfloat16", "float16", "int8"] | None = None
    """Number type of the weights in memory, packed experts apart; None: what suits the device."""
    experts: Literal["packed", "unpacked"] | None = None
    """`"packed"` keeps MXFP4 experts as they are in the checkpoint; None: packed where the machine can."""
    max_context: int | None = Field(default=None, gt=0)
    """Prompt and answer together, in tokens; None: the longest that the model knows and memory holds."""
    chat_format: ChatFormatName | None = None
    """How messages become tokens; None: what the checkpoint's tokenizer speaks."""
    base_url: str | None = None
    """Address of a vLLM or llama.cpp server that runs the model (`"http://host:8000/v1"`); None: this machine."""
    api_key: SecretStr | None = Field(default_factory=secret_from_env("GPTOSS_API_KEY", default=None))
    """What the server asks for, if it does; else from the environment variable `GPTOSS_API_KEY`."""
    timeout: float = Field(default=600.0, gt=0)
    """How many seconds a server may be silent."""
    max_retries: int = Field(default=2, ge=0)
    """How often a server that is busy or cannot be reached is asked again, before the first token."""
    engine: Engine | None = Field(default=None, exclude=True, repr=False)
    """Runs the model instead of the engine that would be loaded; for tests, `ScriptedEngine`."""

    @model_validator(mode="before")
    @classmethod
    def _named_rightly(cls, values: Any) -> Any:
        if isinstance(values, dict):
            fields = cls.model_fields
            known = set(fields) | {field.alias for field in fields.values() if field.alias}
            check_names(values, known, "argument")
        return values

    @field_serializer("model")
    def _written(self, model: str | Path) -> str:
        return str(model)

    @classmethod
    def is_lc_serializable(cls) -> bool:
        """A model is written down as its options, without weights or engine."""
        return True

    @property
    def lc_secrets(self) -> dict[str, str]:
        """The key is written down as the name of an environment variable."""
        return {"api_key": "GPTOSS_API_KEY"}

    @property
    def lc_attributes(self) -> dict[str, Any]:
        """A folder is written down as text that is read back as a folder."""
        return {"model": str(self.model.absolute()) if isinstance(self.model, Path) else self.model}

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
        if name is None and self.base_url is not None and not Path(self.card.source).is_dir():
            raise InvalidInputError(
                f"The chat format of {self.card.name!r} is not known. Name it, as in chat_format='harmony', or pass a "
                "folder that holds its tokenizer as model=."
            )
        return load_chat_format(None if name == "harmony" else self.checkpoint, name)

    @cached_property
    def running_engine(self) -> Engine:
        """The engine, shared by every model of this checkpoint in the process; loaded on first use."""
        if self.engine is None and self.base_url is not None:
            key = self.api_key.get_secret_value() if self.api_key else None
            return get_remote_engine(
                self.base_url, self.card.name, api_key=key, timeout=self.timeout, max_retries=self.max_retries
            )
        return self.engine or get_local_engine(
            self.checkpoint,
            device=self.device,
            dtype=self.dtype,
            experts=self.experts,
            max_context=self.max_context,
        )

    def __setattr__(self, name: str, value: Any) -> None:
        """Forgets what was loaded where the new value asks for something else."""
        super().__setattr__(name, value)
        if name in _DECIDE:
            self._forget()

    def __getstate__(self) -> dict[Any, Any]:
        """Pickles the options alone: whoever unpickles them loads the model when it is needed."""
        state = super().__getstate__()
        return state | {"__dict__": {key: value for key, value in state["__dict__"].items() if key not in _LOADED}}

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        """Copies the options and shares what was loaded."""
        return self.model_copy()

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Copies the options, and shares what was loaded unless the copy is of another model."""
        copied = super().model_copy(update=update, deep=False)
        if _DECIDE & (update or {}).keys():
            copied._forget()
        return copied

    def _forget(self) -> None:
        for name in _LOADED:
            self.__dict__.pop(name, None)

    def load(self) -> None:
        """Fetches and loads everything now, so that the first answer does not wait for it."""
        _ = self.format, self.running_engine

    def begin(
        self, prompt_ids: list[int], stop: list[str] | None, options: dict[str, Any], task: Task = FREE
    ) -> "Turn":
        """Starts an answer.

        Args:
            prompt_ids: The rendered prompt.
            stop: Stop strings for this call; None means those of the constructor.
            options: Sampling options for this call.
            task: What the prompt says besides its messages.

        Raises:
            InvalidInputError: A value that cannot work, or a schema that cannot be followed.
            ContextLengthError: The prompt does not fit.
        """
        sampling = self._sampling(options)
        stops = StopFilter(stop if stop is not None else self.stop or [])
        request = GenerationRequest(
            prompt_ids=tuple(prompt_ids),
            sampling=sampling,
            stop_ids=self.format.stop_ids,
            grammar=self._grammar(task),
        )
        return Turn(self.running_engine.submit(request), self.format, stops, task, prompt_tokens=len(prompt_ids))

    def _grammar(self, task: Task) -> Grammar | None:
        if (constraint := self.format.constraint(task)) is None:
            return None
        from langchain_gptoss.engine.grammar import check_grammar  # brings torch

        check_grammar(constraint.lark)
        return Grammar(lark=constraint.lark, json_schema=constraint.json_schema)

    def _sampling(self, options: dict[str, Any]) -> SamplingParams:
        temperature = self.card.temperature if self.temperature is None else self.temperature
        values: dict[str, Any] = {
            "temperature": temperature,
            "top_p": self.top_p,
            "top_k": self.top_k,
            "seed": self.seed,
            "max_tokens": self.max_tokens,
            "logprobs": self.logprobs,
            "top_logprobs": self.top_logprobs,
        }
        values |= options
        wanted, top = values.pop("logprobs"), values.pop("top_logprobs")
        return SamplingParams(**values, logprobs=top or 0 if wanted or top is not None else None)


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Checks that every option is known: nothing is dropped in silence.

    Raises:
        InvalidInputError: One is not; the nearest name is suggested.
    """
    known = sorted(known)
    for name in given:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            meant = f"Did you mean {near[0]!r}?" if near else f"There are {', '.join(known)}."
            raise InvalidInputError(f"Unknown {what} {name!r}. {meant}")


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
    """How an answer ended, with its lengths in tokens.

    Attributes:
        finish_reason: `"stop"`, `"length"`, `"tool_calls"` or `"cancelled"`.
        prompt_tokens: Length of the prompt.
        cached_tokens: How much of the prompt was not read again.
        answer_tokens: Length of everything that was written.
        reasoning_tokens: How much of that was reasoning.
        mended: What was read against the letter of the chat format.
        broken_calls: The arguments of tool calls that are not a JSON object, by the calls' ids.
        model: The name of the model that answered.
    """

    finish_reason: str
    prompt_tokens: int
    cached_tokens: int
    answer_tokens: int
    reasoning_tokens: int
    mended: tuple[Mend, ...]
    broken_calls: dict[str, str]
    model: str


class Turn:
    """One answer in the making. The caller moves the ids from `stream` to `feed`, in its own way of waiting.

    Attributes:
        stream: The engine's.
        calls: The arguments of each tool call so far, as the model wrote them.
        shows_reasoning: Whether the caller wants the reasoning.
        model: The name of the model that answers.
    """

    def __init__(
        self, stream: TokenStream, chat_format: ChatFormat, stops: StopFilter, task: Task = FREE, *, prompt_tokens: int
    ) -> None:
        """Takes the engine's stream and what reads it."""
        self.stream = stream
        self.calls: list[str] = []
        self.shows_reasoning = True
        self.model = ""
        self._parser = chat_format.parser([tool.name for tool in task.callable_tools])
        self._format = chat_format
        self._ids: list[str] = []
        self._logprobs: list[tuple[TokenLogprobs, int]] = []
        self._parallel = task.parallel
        self._called = False
        self._stops = stops
        self._prompt_tokens = prompt_tokens
        self._answer_tokens = 0
        self._reasoning_tokens = 0

    def call_id(self, call: int) -> str:
        """Returns the id of a tool call of this answer."""
        while len(self._ids) <= call:
            self._ids.append(f"call_{uuid.uuid4().hex[:24]}")
        return self._ids[call]

    def feed(self, token_id: int) -> list[Delta]:
        """Returns what can be shown after this token; cancels the stream at a stop string."""
        self._answer_tokens += 1
        deltas = self._parser.feed(token_id)
        if deltas and deltas[-1].kind == "reasoning":
            self._reasoning_tokens += 1
        if self.stream.logprobs is not None:
            self._keep_logprobs(self.stream.logprobs, token_id, deltas)
        return self._shown(deltas)

    def take_logprobs(self) -> list[dict[str, Any]]:
        """Returns the log-probabilities of the answer's tokens since the last call, as OpenAI writes them."""
        kept, self._logprobs = self._logprobs, []
        return [described(logprobs, token_id, self._format) for logprobs, token_id in kept]

    def _keep_logprobs(self, logprobs: TokenLogprobs, token_id: int, deltas: list[Delta]) -> None:
        if deltas and deltas[-1].kind != "text":
            self._logprobs.clear()
        elif deltas or _is_part_of_a_character(self._format.token_bytes(token_id)):
            self._logprobs.append((logprobs, token_id))

    def flush(self) -> list[Delta]:
        """Returns what was held back; call it when the stream has ended."""
        deltas = [] if self._stops.stopped else self._shown(self._parser.flush())
        held = self._stops.flush()
        return [*deltas, Delta("text", held)] if held else deltas

    def end(self) -> TurnEnd:
        """Returns how it ended."""
        reason: str = "stop" if self._stops.stopped or self._called else self.stream.finish_reason or "cancelled"
        return TurnEnd(
            finish_reason="tool_calls" if self.calls and reason == "stop" else reason,
            prompt_tokens=self._prompt_tokens,
            cached_tokens=self.stream.cached_tokens,
            answer_tokens=self._answer_tokens,
            reasoning_tokens=self._reasoning_tokens,
            mended=tuple(self._parser.mended),
            broken_calls={self.call_id(i): call for i, call in enumerate(self.calls) if not _is_object(call)},
            model=self.model,
        )

    def _shown(self, deltas: list[Delta]) -> list[Delta]:
        shown = []
        for delta in deltas:
            if delta.kind == "tool_call":
                if delta.call and not self._parallel:
                    self._called = True  # one call was allowed, and it is complete
                    break
                if delta.call == len(self.calls):
                    self.calls.append("")
                self.calls[delta.call] += delta.text
            if delta.kind != "text":
                shown.append(delta)
            elif delta.joint and not self._stops.stopped:
                # The model did not write it, so no stop string may begin, end or lie in it.
                shown.append(Delta("text", self._stops.flush() + delta.text))
            elif text := self._stops.feed(delta.text):
                shown.append(delta if text == delta.text else Delta("text", text))
        if self._stops.stopped or self._called:
            self.stream.cancel()
        return shown


def _is_part_of_a_character(spelled: bytes) -> bool:
    try:
        spelled.decode("utf-8")
    except UnicodeDecodeError:
        return True
    return False


def _is_object(written: str) -> bool:
    try:
        return isinstance(json.loads(written or "{}"), dict)
    except ValueError:
        return False


def described(logprobs: TokenLogprobs, token_id: int, chat_format: ChatFormat) -> dict[str, Any]:
    """Returns the log-probabilities at one place as OpenAI writes them."""

    def entry(token: int, logprob: float) -> dict[str, Any]:
        spelled = chat_format.token_bytes(token)
        return {"token": spelled.decode("utf-8", "replace"), "logprob": logprob, "bytes": list(spelled)}

    top = [entry(token, logprob) for token, logprob in logprobs.top]
    return entry(token_id, logprobs.chosen) | {"top_logprobs": top}
