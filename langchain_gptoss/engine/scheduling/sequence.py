"""The state of one request in the engine: its tokens, its blocks, and how it chooses tokens."""

import time
from array import array
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from langchain_gptoss.engine.batch import SequenceChunk
from langchain_gptoss.engine.grammar import GrammarMatcher
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.sampling import Sampler, compute_logprobs
from langchain_gptoss.engine.scheduling.speculation import Drafter
from langchain_gptoss.engine.token_stream import FinishReason, TokenLogprobs, TokenStream


class SequenceState:
    """One request from its start to its end; it survives preemption.

    Attributes:
        request: The request.
        stream: Receives the tokens.
        token_ids: Prompt and answer so far.
        blocks: Blocks of the KV cache, in the order of positions; empty while the request waits.
        computed_count: Number of tokens in the KV cache.
        arrival_s: Time of the submission on the clock of `time.monotonic`, in seconds.
        has_started: True once the request was in the batch.
        draft_count: Number of draft tokens so far.
        accepted_count: Those of them that the model confirmed.
    """

    def __init__(
        self,
        request: GenerationRequest,
        stream: TokenStream,
        *,
        token_limit: int,
        create_matcher: Callable[[], GrammarMatcher] | None = None,
    ) -> None:
        """Start with the prompt.

        Args:
            request: The request.
            stream: Receives the tokens.
            token_limit: Maximum number of tokens in the answer.
            create_matcher: Returns a matcher at the beginning of the request's grammar; it is called with the first
                token, because the first one of a model may take a second. None leaves the model free.
        """
        self.request = request
        self.stream = stream
        self.token_ids = list(request.prompt_ids)
        self.blocks = array("i")
        self.computed_count = 0
        self.arrival_s = time.monotonic()
        self.has_started = False
        self.draft_count = self.accepted_count = 0
        self._token_limit = token_limit
        self._create_matcher = create_matcher
        self._matcher: GrammarMatcher | None = None
        self._sampler = Sampler(request.sampling)
        self._drafter = Drafter() if request.is_speculative else None
        self._undelivered: list[tuple[int, TokenLogprobs | None]] = []

    @property
    def pending_count(self) -> int:
        """Number of tokens that are not in the KV cache; 1 while the request decodes."""
        return len(self.token_ids) - self.computed_count

    @property
    def answer_count(self) -> int:
        """Number of tokens in the answer so far."""
        return len(self.token_ids) - len(self.request.prompt_ids)

    @property
    def remaining_count(self) -> int:
        """Number of tokens that the answer may still get."""
        return self._token_limit - self.answer_count

    @property
    def is_late(self) -> bool:
        """True if the deadline is over."""
        deadline_s = self.request.deadline_s
        return deadline_s is not None and time.monotonic() - self.arrival_s > deadline_s

    def draft_tokens(self, *, token_cost: float) -> list[int]:
        """Return tokens to verify with the next step; none where drafts do not pay.

        Args:
            token_cost: Time of a draft token, as a share of the time of a step without it.
        """
        if self._drafter is None:
            return []
        return self._drafter.draft_tokens(self.token_ids, max_tokens=self.remaining_count - 1, token_cost=token_cost)

    def create_chunk(self, token_count: int, *, draft: Sequence[int] = ()) -> SequenceChunk:
        """Return the next tokens for a batch; logits are requested if the chunk ends the known tokens.

        Args:
            token_count: Number of pending tokens to compute, at most `pending_count`.
            draft: Tokens to verify; only with all pending tokens, and shorter than `remaining_count`.
        """
        end = self.computed_count + token_count
        return SequenceChunk(
            token_ids=[*self.token_ids[self.computed_count : end], *draft],
            start=self.computed_count,
            block_table=self.blocks[:],
            logit_count=1 + len(draft) if end == len(self.token_ids) else 0,
        )

    def choose_tokens(self, logits: npt.NDArray[np.float32], draft: Sequence[int] = ()) -> FinishReason | None:
        """Choose tokens until one differs from the draft or the answer ends.

        The accepted tokens of the draft count as computed afterwards.

        Args:
            logits: [1 + len(draft), vocabulary], after the last known token and after each token of the draft.
            draft: The verified tokens.

        Returns:
            The reason for the end of the answer, or None.

        Raises:
            GptOssError: The logits are not numbers, or the grammar cannot be followed.
        """
        if self._create_matcher is not None and self._matcher is None:
            self._matcher = self._create_matcher()
        accepted = 0
        reason: FinishReason | None = None
        for row, proposal in zip(logits, [*draft, None], strict=True):
            token_id, reason = self._choose_token(row)
            if token_id == proposal:
                accepted += 1
            if token_id != proposal or reason is not None:
                break
        self.computed_count += accepted
        if draft and self._drafter is not None:
            self._drafter.record_result(proposed=len(draft), accepted=accepted)
            self.draft_count += len(draft)
            self.accepted_count += accepted
        return reason

    def deliver_tokens(self) -> None:
        """Pass the tokens that were chosen to the reader."""
        if self._undelivered:
            self.stream.put_all(self._undelivered)
            self._undelivered = []

    def _choose_token(self, logits: npt.NDArray[np.float32]) -> tuple[int, FinishReason | None]:
        token_id = self._sampler.sample(logits if self._matcher is None else self._matcher.mask_logits(logits))
        is_complete = self._matcher is not None and self._matcher.accept_token(token_id)
        is_stop = token_id in self.request.stop_ids
        if is_complete and not is_stop:
            self.stream.sends_stop_token = False  # nothing may follow, and so nothing does
        self.token_ids.append(token_id)
        self._undelivered.append((token_id, self._compute_logprobs(logits, token_id)))
        if is_stop or is_complete:
            return token_id, "stop"
        return token_id, "length" if self.remaining_count < 1 else None

    def _compute_logprobs(self, logits: npt.NDArray[np.float32], token_id: int) -> TokenLogprobs | None:
        sampling = self.request.sampling
        if sampling.logprobs is None:
            return None
        return compute_logprobs(logits, token_id, sampling.logprobs, sampling.logprob_ids)
