"""Decides what the next step computes: which requests, how many of their tokens, in which blocks of the cache."""

from array import array
from collections import Counter
from dataclasses import dataclass

from langchain_gptoss.engine.batch import BLOCK_TOKENS
from langchain_gptoss.engine.kv_cache.cache import PagedCache
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.scheduling.queue import WaitingQueue
from langchain_gptoss.engine.scheduling.sequence import SequenceState
from langchain_gptoss.engine.scheduling.step_times import StepTimes

_MAX_PREFILLING = 8  # prompts that are read at a time; each holds its blocks from the beginning


@dataclass(frozen=True, kw_only=True)
class StepPart:
    """The work of a step for one request.

    Attributes:
        sequence: The request.
        token_count: Number of known tokens to compute.
        draft: Tokens to verify after them.
        is_prompt: True if the step reads a part of a prompt; False if it continues an answer.
    """

    sequence: SequenceState
    token_count: int
    draft: tuple[int, ...] = ()
    is_prompt: bool = False


class Scheduler:
    """Chooses the parts of each step.

    Every running answer continues by a token, and the rest of the step reads prompts. Requests start in the order of
    the waiting queue. When memory runs out, the youngest request gives its blocks back and continues later.

    Attributes:
        running: Requests that hold blocks, in the order of their arrival.
        waiting: Requests that hold none.
    """

    def __init__(
        self,
        cache: PagedCache,
        *,
        max_running: int,
        prefill_tokens: int,
        times: StepTimes,
        counts: Counter[str],
    ) -> None:
        """Start without requests.

        Args:
            cache: The KV cache; it holds at least one full context.
            max_running: Maximum number of requests that run at a time.
            prefill_tokens: Maximum number of prompt tokens in a step.
            times: What earlier steps cost.
            counts: Counters to add to, by the names of `EngineStats`.
        """
        self.running: list[SequenceState] = []
        self.waiting: WaitingQueue[SequenceState] = WaitingQueue()
        self._cache = cache
        self._max_running = max_running
        self._prefill_tokens = prefill_tokens
        self._times = times
        self._counts = counts
        self._step_number = 0

    def plan_step(self, *, now_s: float) -> list[StepPart]:
        """Return the parts of the next step, of different requests; empty if there are no requests.

        Args:
            now_s: Time on the clock of `time.monotonic`, in seconds.
        """
        self._step_number += 1
        decoding = [sequence for sequence in self.running if sequence.pending_count == 1]
        parts = self._plan_answers(decoding)
        self._start_requests(now_s)
        return parts + self._plan_prompts(decoding, parts)

    def record_step(self, parts: list[StepPart]) -> None:
        """Make the tokens of a step findable for other requests; call it before tokens are chosen.

        Args:
            parts: The parts that were computed.
        """
        for part in parts:
            sequence = part.sequence
            sequence.computed_count += part.token_count
            before = sequence.computed_count - part.token_count
            if before // BLOCK_TOKENS != sequence.computed_count // BLOCK_TOKENS:
                self._store(sequence)

    def remove(self, sequence: SequenceState) -> None:
        """Take a request out, whether it runs or waits; its tokens stay in the cache for other requests."""
        self.waiting.remove(sequence)
        if sequence in self.running:
            self.running.remove(sequence)
            self._release(sequence)

    def _plan_answers(self, decoding: list[SequenceState]) -> list[StepPart]:
        parts = []
        token_cost = self._times.estimate_draft_cost(len(decoding)) if decoding else 0.0
        has_prompts = len(self.running) > len(decoding) or bool(len(self.waiting))
        drafts_left = self._times.limit_draft_tokens() if has_prompts else None
        for sequence in decoding:
            draft = sequence.draft_tokens(token_cost=token_cost)[:drafts_left]
            if drafts_left is not None:
                drafts_left -= len(draft)
            length = len(sequence.token_ids)
            if draft and not self._cache.grow(sequence.blocks, length + len(draft)):
                draft = []
            while sequence in self.running and not self._cache.grow(sequence.blocks, length):
                self._preempt(self._choose_victim())
            parts.append(StepPart(sequence=sequence, token_count=1, draft=tuple(draft)))
        return [part for part in parts if part.sequence in self.running]

    def _plan_prompts(self, decoding: list[SequenceState], answers: list[StepPart]) -> list[StepPart]:
        answering = set(decoding)
        prompts = [sequence for sequence in self.running if sequence not in answering]
        if not prompts:
            return []
        if self._step_number % 2:  # in every second step the shortest goes first, so that none waits for a long one
            prompts.sort(key=lambda sequence: sequence.pending_count)
        left = self._times.choose_prefill_tokens(
            len(answers), draft_tokens=sum(len(part.draft) for part in answers), max_tokens=self._prefill_tokens
        )
        parts = []
        for sequence in prompts:
            count = min(sequence.pending_count, left)
            if count:
                parts.append(StepPart(sequence=sequence, token_count=count, is_prompt=True))
                left -= count
        return parts

    def _start_requests(self, now_s: float) -> None:
        """Start waiting requests in their order, until one does not fit.

        A request waits for another one that is reading a prompt with the same beginning, so that it is read once.
        """
        if not len(self.waiting) or len(self.running) >= self._max_running:
            return
        prefilling = [sequence for sequence in self.running if sequence.pending_count > 1]
        for sequence in self.waiting.list_items(now_s=now_s):
            if len(self.running) >= self._max_running or len(prefilling) >= _MAX_PREFILLING:
                return
            if any(_is_reading_for(other, sequence) for other in prefilling):
                continue
            if not self._start(sequence):
                return
            prefilling.append(sequence)

    def _start(self, sequence: SequenceState) -> bool:
        """Give a request the blocks of its tokens; return False if memory does not allow it now."""
        request = sequence.request
        blocks, cached = self._cache.start(
            sequence.token_ids, salt=request.cache_salt, shared_tokens=request.shared_tokens
        )
        if not self._cache.grow(blocks, len(sequence.token_ids)):
            self._cache.release(blocks)
            return False
        sequence.blocks, sequence.computed_count = array("i", blocks), cached
        if not sequence.has_started:
            sequence.has_started = True
            sequence.stream.cached_tokens = cached
            self._counts["prompt_tokens"] += len(sequence.token_ids)
            self._counts["cached_tokens"] += cached
        self.waiting.remove(sequence)
        self.running.append(sequence)
        self.running.sort(key=lambda other: other.arrival_s)
        return True

    def _choose_victim(self) -> SequenceState:
        """Return the running request with the lowest priority, the youngest of several."""
        return min(self.running, key=lambda sequence: (sequence.request.priority, -sequence.arrival_s))

    def _preempt(self, sequence: SequenceState) -> None:
        self._counts["preempted"] += 1
        self.running.remove(sequence)
        self._release(sequence)
        self.waiting.return_to_head(sequence)

    def _release(self, sequence: SequenceState) -> None:
        self._store(sequence)
        self._cache.release(sequence.blocks)
        sequence.blocks, sequence.computed_count = array("i"), 0

    def _store(self, sequence: SequenceState) -> None:
        self._cache.store(
            sequence.token_ids[: sequence.computed_count],
            sequence.blocks,
            salt=sequence.request.cache_salt,
            shared_tokens=sequence.request.shared_tokens,
        )


def _is_reading_for(reader: SequenceState, other: SequenceState) -> bool:
    """Return True if a request has yet to read tokens that another one could take from the cache."""
    # The last token of a prompt is always computed, because its logits are needed.
    most = min(len(reader.request.prompt_ids), len(other.request.prompt_ids) - 1)
    if reader.request.cache_salt != other.request.cache_salt:
        most = min(most, reader.request.shared_tokens, other.request.shared_tokens)
    usable = _count_common_blocks(reader.request, other.request, most // BLOCK_TOKENS) * BLOCK_TOKENS
    return usable > reader.computed_count


def _count_common_blocks(first: GenerationRequest, second: GenerationRequest, most: int) -> int:
    """Return the number of full blocks at the beginning that are equal, at most `most`, by bisection."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if (
            first.prompt_ids[low * BLOCK_TOKENS : middle * BLOCK_TOKENS]
            == (second.prompt_ids[low * BLOCK_TOKENS : middle * BLOCK_TOKENS])
        ):
            low = middle
        else:
            high = middle - 1
    return low
