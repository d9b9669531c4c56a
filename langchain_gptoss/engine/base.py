"""The engine contract: a request of token ids goes in, a stream of token ids comes out.

An engine knows nothing of messages, chat formats or LangChain. One thread owns the model; streams are how every
other thread and event loop listens to it.
"""

import asyncio
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal, Self

from langchain_gptoss.errors import ContextLengthError, InvalidInputError

FinishReason = Literal["stop", "length", "cancelled"]


@dataclass(frozen=True, kw_only=True)
class SamplingParams:
    """How the next token is chosen.

    Attributes:
        temperature: 0 picks the likeliest token; 1 samples from the model's own distribution.
        top_p: Samples only from the likeliest tokens whose probabilities add up to this share.
        top_k: Samples only from this many of the likeliest tokens; 0 means all.
        seed: Makes sampling repeatable on the same machine; None means a fresh seed.
        max_tokens: Ends the answer after this many tokens; None means when the context is full.
        logprobs: How many of the likeliest tokens are reported with each token that was chosen; 0 reports the chosen
            one alone, None nothing.
    """

    temperature: float = 1.0
    top_p: float = 1.0
    top_k: int = 0
    seed: int | None = None
    max_tokens: int | None = None
    logprobs: int | None = None

    def __post_init__(self) -> None:
        """Names the first value that cannot work."""
        for name in ("temperature", "top_p", "top_k", "seed", "max_tokens", "logprobs"):
            value, number = getattr(self, name), (int, float) if name in {"temperature", "top_p"} else int
            optional = value is None and name in {"seed", "max_tokens", "logprobs"}
            if not optional and not isinstance(value, number):
                kind = "a number" if name in {"temperature", "top_p"} else "a whole number"
                raise InvalidInputError(f"{name} is {value!r}; it must be {kind}.")
        checks = {
            "temperature": (self.temperature >= 0, "0 or more"),
            "top_p": (0 < self.top_p <= 1, "above 0 and at most 1"),
            "top_k": (self.top_k >= 0, "0 (all) or more"),
            "max_tokens": (self.max_tokens is None or self.max_tokens > 0, "1 or more"),
            "logprobs": (self.logprobs is None or 0 <= self.logprobs <= 20, "between 0 and 20"),
        }
        for name, (fine, wanted) in checks.items():
            if not fine:
                raise InvalidInputError(f"{name} is {getattr(self, name)!r}; it must be {wanted}.")


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """What an answer must look like, token by token.

    Attributes:
        lark: The whole answer from its first token, in llguidance's Lark dialect; control tokens stand as `<[id]>`.
        json_schema: The schema, where the whole answer is nothing but one JSON value; None otherwise. For servers
            that take schemas and not grammars.
    """

    lark: str
    json_schema: Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class TokenLogprobs:
    """Log-probabilities (natural logarithm, of the model itself: before temperature, top_p and top_k) at one position.

    Attributes:
        chosen: Of the token that was chosen.
        top: The likeliest tokens and theirs, the likeliest first.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Request:
    """One generation.

    Attributes:
        prompt_ids: The prompt, as token ids; at least one.
        sampling: How tokens are chosen.
        stop_ids: Tokens that end the answer. The one that did is the stream's last token.
        grammar: What the answer must look like; None leaves the model free.
    """

    prompt_ids: tuple[int, ...]
    sampling: SamplingParams = field(default_factory=SamplingParams)
    stop_ids: frozenset[int] = frozenset()
    grammar: Grammar | None = None

    def token_limit(self, context_length: int) -> int:
        """Returns how many tokens the answer may have.

        Raises:
            ContextLengthError: The prompt leaves no room for an answer.
            InvalidInputError: The prompt is empty.
        """
        if not self.prompt_ids:
            raise InvalidInputError("The prompt has no tokens; pass at least one.")
        room = context_length - len(self.prompt_ids)
        if room < 1:
            raise ContextLengthError(len(self.prompt_ids), context_length)
        return min(room, self.sampling.max_tokens or room)


class TokenStream:
    """The tokens of one answer as they come, for one listener: iterate it with `for` or with `async for`.

    An engine's thread calls `put`, then `finish` or `fail`. The listener may call `cancel` at any time, from any
    thread; the engine then stops within one token. A stream that is cancelled ends without an error.

    Attributes:
        finish_reason: Why the answer ended; None while it goes on.
        logprobs: Of the token that the listener took last, when the request asked for them.
        cached_tokens: How many of the prompt's tokens were not read again because the engine had them still.
    """

    def __init__(self) -> None:
        self.finish_reason: FinishReason | None = None
        self.logprobs: TokenLogprobs | None = None
        self.cached_tokens = 0
        self._ids: deque[tuple[int, TokenLogprobs | None]] = deque()
        self._error: BaseException | None = None
        self._changed = threading.Condition()
        self._waiter: tuple[asyncio.AbstractEventLoop, asyncio.Future[None]] | None = None
        self._cancelled = False

    @property
    def cancelled(self) -> bool:
        """Whether the listener has gone; an engine asks before every step."""
        return self._cancelled

    def cancel(self) -> None:
        """Stops the generation within one token. Does nothing when it has ended."""
        with self._changed:
            self._cancelled = True
            self.finish_reason = self.finish_reason or "cancelled"
            self._wake()

    def put(self, token_id: int, logprobs: TokenLogprobs | None = None) -> None:
        """Hands one token to the listener (engine's side)."""
        with self._changed:
            self._ids.append((token_id, logprobs))
            self._wake()

    def finish(self, reason: FinishReason) -> None:
        """Ends the stream (engine's side)."""
        with self._changed:
            self.finish_reason = self.finish_reason or reason
            self._wake()

    def fail(self, error: BaseException) -> None:
        """Ends the stream with an error that the listener gets (engine's side)."""
        with self._changed:
            self._error = error
            self.finish_reason = "cancelled"
            self._wake()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        with self._changed:
            while not self._ready():
                self._changed.wait()
            token_id = self._take()
        if token_id is None:
            raise StopIteration
        return token_id

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)  # tokens that are waiting already must not keep the event loop to themselves
        while True:
            with self._changed:
                if self._ready():
                    token_id = self._take()
                    break
                loop = asyncio.get_running_loop()
                waiter = loop.create_future()
                self._waiter = (loop, waiter)
            await waiter
        if token_id is None:
            raise StopAsyncIteration
        return token_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def _ready(self) -> bool:
        return bool(self._ids) or self.finish_reason is not None or self._cancelled

    def _take(self) -> int | None:
        if self._cancelled:
            return None
        if self._ids:
            token_id, self.logprobs = self._ids.popleft()
            return token_id
        if self._error is not None:
            raise self._error
        return None

    def _wake(self) -> None:
        self._changed.notify_all()
        if self._waiter is not None:
            loop, waiter = self._waiter
            self._waiter = None
            with suppress(RuntimeError):  # the loop was closed: nobody listens any more
                loop.call_soon_threadsafe(_resolve, waiter)


def _resolve(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_result(None)


class Engine(ABC):
    """Runs one model.

    Contract: `start` checks the request and returns at once; the tokens follow on the stream. Any thread may call it,
    and requests that overlap make progress side by side. `close` cancels what is running and frees the model; a
    closed engine raises on `start`.
    """

    @property
    @abstractmethod
    def context_length(self) -> int:
        """Prompt and answer together, in tokens."""

    @abstractmethod
    def start(self, request: Request) -> TokenStream:
        """Begins a generation.

        Raises:
            ContextLengthError: The prompt does not fit.
            InvalidInputError: The prompt is empty.
        """

    @abstractmethod
    def close(self) -> None:
        """Stops everything; safe to call twice."""
