"""Times of steps, which decide how much of a prompt fits beside running answers and whether drafts pay."""

_SMOOTHING = 0.2  # share of the newest observation in a moving average
_MAX_OUTLIER = 2.0  # a longer time counts as this many averages: another program may have had the processor
_MAX_STRETCH = 2.4  # a step with a part of a prompt may take this many times the step without it
_MEASURE_INTERVAL = 32  # steps with a prompt after which one goes without, to measure what answers cost at present
_MIN_TOKENS = 2  # so that a prompt advances, however slow the machine is; also before anything was measured
_FIRST_DRAFT_COST = 0.25  # the same: time of a draft token, as a share of a step with one token


class StepTimes:
    """Learns the times of steps by what they contain."""

    def __init__(self) -> None:
        self._decode_s: dict[int, float] = {}
        self._extra_tokens = _MIN_TOKENS  # prompt and draft tokens beside answers
        self._draft_token_s: float | None = None
        self._mixed_steps = 0  # since the last step that only continued answers

    def record(self, seconds: float, *, decode_tokens: int, draft_tokens: int, prefill_tokens: int) -> None:
        """Learn from one step.

        Args:
            seconds: Its time.
            decode_tokens: Number of answers that it continued.
            draft_tokens: Number of draft tokens that it verified.
            prefill_tokens: Number of prompt tokens that it read.
        """
        self._mixed_steps = self._mixed_steps + 1 if prefill_tokens else 0
        if not draft_tokens and not prefill_tokens:
            self._decode_s[decode_tokens] = _update_average(self._decode_s.get(decode_tokens), seconds)
            return
        rest_s = self._estimate_decode_s(decode_tokens)
        if not decode_tokens or rest_s is None:
            return
        if prefill_tokens:
            self._adapt_extra_tokens(seconds / rest_s, prefill_tokens + draft_tokens)
        else:
            extra_s = max(0.0, seconds - rest_s)
            self._draft_token_s = _update_average(self._draft_token_s, extra_s / draft_tokens)

    def _adapt_extra_tokens(self, stretch: float, extra_tokens: int) -> None:
        """Approach the largest number of prompt and draft tokens that is fast enough.

        The time of a step is no simple function of its tokens: the second one may cost as much as the next five.
        """
        if stretch > _MAX_STRETCH:
            self._extra_tokens = max(_MIN_TOKENS, self._extra_tokens - 1 - self._extra_tokens // 8)
        elif extra_tokens >= self._extra_tokens:
            self._extra_tokens += 1

    def choose_prefill_tokens(self, decode_tokens: int, *, draft_tokens: int = 0, max_tokens: int) -> int:
        """Return how many prompt tokens may join a step, so that running answers barely pause; rarely none.

        Args:
            decode_tokens: Number of answers that the step continues.
            draft_tokens: Number of draft tokens that it verifies; they take the place of prompt tokens.
            max_tokens: Maximum, which is for steps that continue none.
        """
        if not decode_tokens:
            return max_tokens
        if self._mixed_steps >= _MEASURE_INTERVAL:
            return 0
        return min(max(self._extra_tokens - draft_tokens, _MIN_TOKENS), max_tokens)

    def limit_draft_tokens(self) -> int:
        """Return how many draft tokens a step may verify that also reads a prompt: half of what fits beside answers."""
        return self._extra_tokens // 2

    def estimate_draft_cost(self, decode_tokens: int) -> float:
        """Return the time of a draft token as a share of one answer's part of a step.

        Args:
            decode_tokens: Number of answers that the step continues; at least one.
        """
        decode_s = self._estimate_decode_s(decode_tokens)
        if not decode_s or self._draft_token_s is None:
            return _FIRST_DRAFT_COST * decode_tokens
        return self._draft_token_s * decode_tokens / decode_s

    def _estimate_decode_s(self, decode_tokens: int) -> float | None:
        """Return the time of a step that only continues answers; that of the nearest number known."""
        if not self._decode_s or decode_tokens in self._decode_s:
            return self._decode_s.get(decode_tokens)
        return self._decode_s[min(self._decode_s, key=lambda known: abs(known - decode_tokens))]


def _update_average(average: float | None, value: float) -> float:
    if average is None:
        return value
    return average + _SMOOTHING * (min(value, _MAX_OUTLIER * average) - average)
