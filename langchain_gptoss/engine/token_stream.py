"""The tokens of one answer, passed from the engine's thread to one reader."""

import asyncio
import threading
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Literal, Self

from langchain_gptoss._process import ForkGuard

FinishReason = Literal["stop", "length", "cancelled"]


class Cancelled(Exception):  # noqa: N818 (a signal, not an error)
    """Ends the work on a cancelled stream, inside an engine."""


@dataclass(frozen=True, kw_only=True)
class TokenLogprobs:
    """Log-probabilities at one position: natural logarithms, before temperature, top_p and top_k are applied.

    Attributes:
        chosen: Log-probability of the chosen token.
        top: The most likely tokens with their log-probabilities, the most likely first.
        requested: Log-probabilities of the tokens of `SamplingParams.logprob_ids`, in their order; empty if the engine
            does not report them.
    """

    chosen: float
    top: tuple[tuple[int, float], ...] = ()
    requested: tuple[tuple[int, float], ...] = ()


class TokenStream:
    """The tokens of one answer as they arrive; read them with `for` or with `async for`.

    The engine's thread calls `put` or `put_all`, and at the end `finish` or `fail`. The reader may call `cancel` at any
    time, from any thread; the engine then stops within one token. A cancelled stream ends without an error.

    Attributes:
        finish_reason: Reason for the end of the answer; None while it continues.
        logprobs: Log-probabilities of the token that was read last, if the request asked for them.
        cached_tokens: Number of prompt tokens that the engine took from its cache.
        sends_stop_token: True if an answer that the model ended always has a stop token as its last token. Some servers
            do not send it, and an answer may end where its grammar allows nothing more.
    """

    sends_stop_token = True

    def __init__(self, *, on_cancel: Callable[[], object] | None = None) -> None:
        """Start without tokens.

        Args:
            on_cancel: Called after the reader has cancelled, on its thread.
        """
        self.finish_reason: FinishReason | None = None
        self.logprobs: TokenLogprobs | None = None
        self.cached_tokens = 0
        self._tokens: deque[tuple[int, TokenLogprobs | None]] = deque()
        self._fork_guard = ForkGuard()
        self._error: BaseException | None = None
        self._is_cancelled = False
        self._on_cancel = on_cancel
        self._lock = threading.Lock()
        self._wake_reader: Callable[[], object] | None = None
        self._event = threading.Event()  # set for a waiting thread

    @property
    def is_cancelled(self) -> bool:
        """True if the reader has cancelled; the engine checks this before every step."""
        return self._is_cancelled

    def cancel(self) -> None:
        """Stop the generation within one token; do nothing if it has ended, or in a forked process."""
        if self._fork_guard.is_forked:
            return
        with self._lock:
            self._is_cancelled = True
            self.finish_reason = self.finish_reason or "cancelled"
            self._notify_reader()
        if self._on_cancel is not None:
            self._on_cancel()

    def put(self, token_id: int, logprobs: TokenLogprobs | None = None) -> None:
        """Append one token; only the engine calls this."""
        self.put_all([(token_id, logprobs)])

    def put_all(self, tokens: Iterable[tuple[int, TokenLogprobs | None]]) -> None:
        """Append tokens and wake the reader once; only the engine calls this."""
        with self._lock:
            self._tokens.extend(tokens)
            self._notify_reader()

    def finish(self, reason: FinishReason) -> None:
        """End the stream; only the engine calls this."""
        with self._lock:
            self.finish_reason = self.finish_reason or reason
            self._notify_reader()

    def fail(self, error: BaseException) -> None:
        """End the stream with an error that is raised in the reader; only the engine calls this."""
        with self._lock:
            self._error = error
            self.finish_reason = "cancelled"
            self._notify_reader()

    def __iter__(self) -> Iterator[int]:
        return self

    def __next__(self) -> int:
        while not self._is_ready(wake=self._event.set):
            self._event.wait()
            self._event.clear()
        token_id = self._take_token()
        if token_id is None:
            raise StopIteration
        return token_id

    def __aiter__(self) -> AsyncIterator[int]:
        return self

    async def __anext__(self) -> int:
        await asyncio.sleep(0)  # without it, a queue of ready tokens would block the other tasks of the event loop
        event = asyncio.Event()
        wake = partial(asyncio.get_running_loop().call_soon_threadsafe, event.set)
        while not self._is_ready(wake=wake):
            await event.wait()
            event.clear()
        token_id = self._take_token()
        if token_id is None:
            raise StopAsyncIteration
        return token_id

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.cancel()

    def _is_ready(self, *, wake: Callable[[], object]) -> bool:
        """Return True if `_take_token` has a result; otherwise register `wake`, which is called once when it has."""
        self._fork_guard.check("The model of this answer")
        with self._lock:
            is_ready = bool(self._tokens) or self.finish_reason is not None
            self._wake_reader = None if is_ready else wake
            return is_ready

    def _take_token(self) -> int | None:
        """Return the next token id, or None at the end; raise the error with which the engine ended the stream."""
        with self._lock:
            if self._is_cancelled:
                return None
            if self._tokens:
                token_id, self.logprobs = self._tokens.popleft()
                return token_id
            if self._error is not None:
                raise self._error
            return None

    def _notify_reader(self) -> None:
        wake, self._wake_reader = self._wake_reader, None
        if wake is not None:
            with suppress(RuntimeError):  # the reader's event loop is closed
                wake()
