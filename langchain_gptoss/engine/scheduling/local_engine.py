"""The engine on this machine: one thread that owns the model runs all requests in one batch."""

import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from pathlib import Path

import numpy as np
import numpy.typing as npt

from langchain_gptoss._process import ForkGuard
from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch
from langchain_gptoss.engine.grammar import GrammarMatcher, GrammarTokenizer
from langchain_gptoss.engine.kv_cache.cache import PagedCache
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.scheduling.prefix_saver import PrefixSaver
from langchain_gptoss.engine.scheduling.scheduler import Scheduler, StepPart
from langchain_gptoss.engine.scheduling.sequence import SequenceState
from langchain_gptoss.engine.scheduling.step_times import StepTimes
from langchain_gptoss.engine.stats import EngineStats
from langchain_gptoss.engine.token_stream import Cancelled, FinishReason, TokenStream
from langchain_gptoss.errors import DeadlineError, EngineBusyError, GptOssError, GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.planning.footprint import PREFILL_TOKENS

MAX_RUNNING = 32
"""Requests in a batch."""
MAX_WAITING = 1024
"""Requests that wait; further ones are refused."""

_SMOOTHING = 0.1  # share of the newest request in the average time of a request

_log = logging.getLogger(__name__)
_StepResult = tuple[StepPart, npt.NDArray[np.float32]]


class LocalEngine(Engine):
    """Runs the requests of all users on one runner: they join and leave the batch at every step.

    Attributes:
        steps: Number of forward passes so far.
    """

    def __init__(
        self,
        runner: Runner,
        *,
        context_length: int,
        cache_bytes: int,
        folder: Path | None = None,
        prefill_tokens: int = PREFILL_TOKENS,
        max_running: int = MAX_RUNNING,
        max_waiting: int = MAX_WAITING,
        prefix_store: PrefixStore | None = None,
    ) -> None:
        """Take over a runner, and reserve its KV cache.

        Args:
            runner: The model; `close` closes it.
            context_length: Length of the context in tokens, prompt and answer together.
            cache_bytes: Memory of the KV cache, for all requests and for prefixes that are kept.
            folder: The checkpoint; grammars need its tokenizer.
            prefill_tokens: Maximum number of prompt tokens in a step.
            max_running: Maximum number of requests in the batch; further ones wait.
            max_waiting: Maximum number of requests that wait; further ones are refused.
            prefix_store: Prompts on disk, which are loaded before they are read and saved when nobody waits; None
                keeps prompts in memory only.

        Raises:
            GptOssMemoryError: The KV cache is too small for one full context, or cannot be reserved.
        """
        self.steps = 0
        self._runner = runner
        self._context_length = context_length
        self._cache = _create_cache(runner, context_length=context_length, cache_bytes=cache_bytes)
        self._grammar_tokenizer = None
        if folder is not None:
            self._grammar_tokenizer = GrammarTokenizer(folder, vocabulary_size=runner.vocabulary_size)
        self._times = StepTimes()
        self._saver = PrefixSaver(self._cache, prefix_store)
        self._counts: Counter[str] = Counter()  # by the names of EngineStats
        self._scheduler = Scheduler(
            self._cache,
            max_running=max_running,
            prefill_tokens=prefill_tokens,
            times=self._times,
            counts=self._counts,
        )
        self._max_running, self._max_waiting = max_running, max_waiting
        self._finished: Counter[str] = Counter()
        self._busy_s = 0.0
        self._request_s = 0.0
        self._parts: list[StepPart] = []  # of the step in progress
        self._fork_guard = ForkGuard()
        self._condition = threading.Condition()  # guards the fields below
        self._arrivals: deque[SequenceState] = deque()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    @property
    def context_length(self) -> int:
        """Length of the context in tokens, prompt and answer together."""
        return self._context_length

    @property
    def stats(self) -> EngineStats:
        """State and counters at this moment."""
        layout = self._runner.cache_layout
        return EngineStats(
            running=len(self._scheduler.running),
            waiting=self._count_waiting(),
            finished=dict(self._finished),
            steps=self.steps,
            busy_s=self._busy_s,
            cache_bytes=self._cache.block_count * layout.block_bytes,
            used_bytes=self._cache.used_count * layout.block_bytes,
            reusable_bytes=self._cache.reusable_count * layout.block_bytes,
            **self._counts,
        )

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation; see `Engine.submit`.

        Raises:
            InvalidInputError: The request has a grammar, and the engine has no checkpoint folder; or the prompt or
                `logit_bias` has a token that the model does not have.
        """
        self._fork_guard.check("This model")  # before the lock, which another thread may have held during the fork
        limit = request.compute_token_limit(self._context_length)
        request.check_vocabulary(self._runner.vocabulary_size)
        stream = TokenStream(on_cancel=self._handle_cancel)
        sequence = SequenceState(request, stream, token_limit=limit, create_matcher=self._prepare_matcher(request))
        with self._condition:
            if self._is_closed:
                raise GptOssError("This model was closed.", hint="Create a new ChatGptOss to load it again.")
            if self._count_waiting() >= self._max_waiting:
                self._counts["rejected"] += 1
                raise self._create_busy_error()
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="gptoss-model", daemon=True)
                self._thread.start()
            self._arrivals.append(sequence)
            self._condition.notify()
        return stream

    def _prepare_matcher(self, request: GenerationRequest) -> Callable[[], GrammarMatcher] | None:
        if request.grammar is None:
            return None
        if self._grammar_tokenizer is None:
            raise InvalidInputError(
                "The request has a grammar, and the engine has no tokenizer for it.",
                hint="Pass the checkpoint's folder to LocalEngine.",
            )
        return partial(self._grammar_tokenizer.create_matcher, request.grammar, stop_ids=request.stop_ids)

    def _count_waiting(self) -> int:
        return len(self._arrivals) + len(self._scheduler.waiting)

    def _create_busy_error(self) -> EngineBusyError:
        wait_s = max(1.0, self._request_s * self._max_waiting / self._max_running)
        return EngineBusyError(
            f"{self._max_waiting} requests wait for this model already, and it accepts no more.",
            hint=f"Try again in {wait_s:.0f} seconds.",
            retry_after_s=wait_s,
        )

    def _handle_cancel(self) -> None:
        """Stop the step in progress if nobody waits for it; runs on the thread that cancelled a stream."""
        parts = self._parts
        if parts and all(part.sequence.stream.is_cancelled for part in parts):
            self._runner.abort()

    def close(self) -> None:
        """End every generation with an error and free the model; a second call does nothing.

        It waits for the layer in progress. In a forked process it does nothing.
        """
        if self._fork_guard.is_forked:
            return
        with self._condition:
            self._is_closed = True
            self._condition.notify()
            thread = self._thread
        self._runner.abort()
        if thread is None:
            self._runner.close()
        elif thread is not threading.current_thread():
            thread.join()

    def _run(self) -> None:
        """Run steps until the engine is closed; this is all that happens on the engine's thread."""
        error: Exception = GptOssError("This model was closed while it answered.", hint="Load it and ask again.")
        try:
            while self._take_arrivals():
                self._end_requests()
                parts = self._scheduler.plan_step(now_s=time.monotonic())
                if parts:
                    self._run_step(parts)
                else:
                    self._saver.save_next()
            while self._saver.save_next():
                pass
        except Exception as failure:  # a fault of the engine itself must not leave readers waiting
            _log.exception("The engine stopped.")
            error = failure
        with self._condition:
            self._is_closed = True
        for sequence in [*self._list_sequences(), *self._arrivals]:
            self._end_stream(sequence, error)
        self._runner.close()

    def _take_arrivals(self) -> bool:
        """Queue new requests, waiting for one if there is nothing to do; return False once the engine is closed."""
        with self._condition:
            while not (self._is_closed or self._arrivals or self._has_work):
                self._condition.wait()
            arrivals = list(self._arrivals)
            self._arrivals.clear()
            for sequence in arrivals:
                self._scheduler.waiting.add(sequence, priority=sequence.request.priority, arrival_s=sequence.arrival_s)
            is_closed = self._is_closed
        for sequence in arrivals if not is_closed else []:
            self._saver.load(sequence.request)  # reads the disk, so not under the lock
        return not is_closed

    @property
    def _has_work(self) -> bool:
        return bool(self._scheduler.running or len(self._scheduler.waiting) or self._saver.has_pending)

    def _end_requests(self) -> None:
        """End the requests that were cancelled or are late."""
        for sequence in self._list_sequences():
            if sequence.stream.is_cancelled:
                self._finish(sequence, "cancelled")
            elif sequence.is_late:
                error = DeadlineError(
                    f"The answer was not complete after {sequence.request.deadline_s:g} seconds.",
                    hint="Allow more time, or limit the answer with max_tokens.",
                )
                self._finish(sequence, error)

    def _list_sequences(self) -> list[SequenceState]:
        return [*self._scheduler.running, *self._scheduler.waiting]

    def _run_step(self, parts: list[StepPart]) -> None:
        results = self._compute(parts)
        self._scheduler.record_step([part for part, _ in results])
        ends = [(part.sequence, self._choose_tokens(part, logits)) for part, logits in results if len(logits)]
        # After all tokens are chosen, because a reader that wakes up competes with this thread for the interpreter.
        for sequence, end in ends:
            sequence.deliver_tokens()
            if end is not None:
                self._finish(sequence, end)

    def _compute(self, parts: list[StepPart]) -> list[_StepResult]:
        """Run a forward pass; if it fails, run each part alone, so that a failure ends only its own request."""
        chunks = tuple(part.sequence.create_chunk(part.token_count, draft=part.draft) for part in parts)
        started_s = time.perf_counter()
        self._parts = parts
        try:
            logits = self._runner.forward(Batch(chunks=chunks)).numpy()
        except Cancelled:
            return []  # the loop ends the cancelled requests, and plans the next step without them
        except Exception as error:
            if len(parts) == 1:
                self._finish(parts[0].sequence, error)
                return []
            return [result for part in parts for result in self._compute([part])]
        finally:
            self._parts = []
        self.steps += 1
        self._record_time(time.perf_counter() - started_s, parts)
        ends = accumulate(chunk.logit_count for chunk in chunks)
        return [
            (part, logits[end - chunk.logit_count : end]) for part, chunk, end in zip(parts, chunks, ends, strict=True)
        ]

    def _record_time(self, seconds: float, parts: list[StepPart]) -> None:
        self._busy_s += seconds
        self._times.record(
            seconds,
            decode_tokens=sum(not part.is_prompt for part in parts),
            draft_tokens=sum(len(part.draft) for part in parts),
            prefill_tokens=sum(part.token_count for part in parts if part.is_prompt),
        )

    def _choose_tokens(self, part: StepPart, logits: npt.NDArray[np.float32]) -> FinishReason | Exception | None:
        """Choose tokens of one request, and return the reason if it ends; any error ends only this request."""
        sequence = part.sequence
        answered, accepted = sequence.answer_count, sequence.accepted_count
        end: FinishReason | Exception | None
        try:
            end = sequence.choose_tokens(logits, part.draft)
        except Exception as error:
            end = error
        self._counts["generated_tokens"] += sequence.answer_count - answered
        self._counts["draft_tokens"] += len(part.draft)
        self._counts["accepted_tokens"] += sequence.accepted_count - accepted
        return end

    def _finish(self, sequence: SequenceState, end: FinishReason | Exception) -> None:
        self._scheduler.remove(sequence)
        if end in {"stop", "length"}:
            self._saver.add(sequence.request)
        self._end_stream(sequence, end)

    def _end_stream(self, sequence: SequenceState, end: FinishReason | Exception) -> None:
        """Count the end of a request and tell its reader."""
        seconds = time.monotonic() - sequence.arrival_s
        reason = _name_end(end)
        self._finished[reason] += 1
        if reason in {"stop", "length"}:
            self._request_s += (seconds - self._request_s) * _SMOOTHING
        _log.debug(
            "A request ended (%s) after %.3f s: %d prompt tokens (%d from the cache), %d new tokens, "
            "%d of %d draft tokens accepted.",
            reason,
            seconds,
            len(sequence.request.prompt_ids),
            sequence.stream.cached_tokens,
            sequence.answer_count,
            sequence.accepted_count,
            sequence.draft_count,
        )
        if isinstance(end, Exception):
            sequence.stream.fail(end)
        else:
            sequence.stream.finish(end)


def _create_cache(runner: Runner, *, context_length: int, cache_bytes: int) -> PagedCache:
    needed_bytes = -(-context_length // BLOCK_TOKENS) * runner.cache_layout.block_bytes
    if cache_bytes < needed_bytes:
        raise GptOssMemoryError(
            f"A KV cache of {cache_bytes:,} bytes does not hold one context of {context_length:,} tokens, which takes "
            f"{needed_bytes:,} bytes.",
            hint="Choose a larger cache or a shorter context.",
        )
    return PagedCache(runner, budget_bytes=cache_bytes)


def _name_end(end: FinishReason | Exception) -> str:
    """Return the name of an end in `EngineStats.finished`."""
    if isinstance(end, Exception):
        return "deadline" if isinstance(end, DeadlineError) else "failed"
    return end
