"""Drafts of the next tokens by lookup in the tokens so far, and the decision how many to verify."""

from collections.abc import Sequence

_SMOOTHING = 0.1  # share of the newest observation in a moving average
_PROBE_INTERVAL = 64  # steps without drafts after which one draft token tests whether acceptance has changed
_MIN_GAIN = 1.05  # drafts must save 5 percent to be worth their noise


class NgramIndex:
    """Finds what followed the last tokens of a sequence where they occurred before.

    Each token costs constant time per length of n-grams.
    """

    def __init__(self, token_ids: Sequence[int] = (), *, min_length: int = 2, max_length: int = 4) -> None:
        """Index the first tokens.

        Args:
            token_ids: The prompt.
            min_length: Shortest n-gram that is looked up, in tokens.
            max_length: Longest n-gram, which is looked up first.
        """
        self._token_ids: list[int] = []
        self._lengths = range(max_length, min_length - 1, -1)
        self._next_positions: dict[tuple[int, ...], int] = {}
        self.extend(token_ids)

    def __len__(self) -> int:
        return len(self._token_ids)

    def extend(self, token_ids: Sequence[int]) -> None:
        """Append tokens to the sequence."""
        for token_id in token_ids:
            # The n-grams before the new token are indexed now, so that a lookup never finds the end itself.
            position = len(self._token_ids)
            for length in self._lengths:
                if length <= position:
                    self._next_positions[tuple(self._token_ids[-length:])] = position
            self._token_ids.append(token_id)

    def draft_tokens(self, max_tokens: int) -> list[int]:
        """Return up to `max_tokens` tokens that followed the latest earlier occurrence of the longest known n-gram."""
        for length in self._lengths:
            if length > len(self._token_ids):
                continue
            position = self._next_positions.get(tuple(self._token_ids[-length:]))
            if position is not None:
                return self._token_ids[position : position + max(0, max_tokens)]
        return []


class DraftPolicy:
    """Decides how many draft tokens of one request to verify, from their acceptance and their cost.

    A draft token is accepted with probability p if those before it were; n of them give p + p^2 + ... + p^n tokens
    more, and cost n times the cost of an extra token.
    """

    def __init__(self, *, max_tokens: int = 8, acceptance: float = 0.6) -> None:
        """Set the expectations before the first observation.

        Args:
            max_tokens: Maximum length of a draft.
            acceptance: Probability that a draft token is accepted.
        """
        self._max_tokens = max_tokens
        self._acceptance = acceptance
        self._idle_steps = 0

    def choose_length(self, token_cost: float) -> int:
        """Return the number of draft tokens for the next step; 0 where drafts do not pay.

        Args:
            token_cost: Time of a draft token, as a share of the time of a step without it.
        """
        best_length, best_speed = 0, _MIN_GAIN
        tokens = power = 1.0
        for length in range(1, self._max_tokens + 1):
            power *= self._acceptance
            tokens += power
            speed = tokens / (1 + length * token_cost)
            if speed > best_speed:
                best_length, best_speed = length, speed
        if best_length:
            self._idle_steps = 0
            return best_length
        self._idle_steps += 1
        if self._idle_steps < _PROBE_INTERVAL:
            return 0
        self._idle_steps = 0
        return min(1, self._max_tokens)

    def record_result(self, *, proposed: int, accepted: int) -> None:
        """Learn from one verified draft.

        Args:
            proposed: Tokens in the draft.
            accepted: Those before the first that differs from the choice.
        """
        # Tokens after the first difference were never tested, so they say nothing about acceptance.
        for is_accepted in [True] * accepted + [False] * (accepted < proposed):
            self._acceptance += _SMOOTHING * (is_accepted - self._acceptance)


class Drafter:
    """Proposes the next tokens of one request."""

    def __init__(self) -> None:
        self._index = NgramIndex()
        self._policy = DraftPolicy()

    def draft_tokens(self, token_ids: Sequence[int], *, max_tokens: int, token_cost: float) -> list[int]:
        """Return tokens to verify; none where nothing is known or drafts do not pay.

        Args:
            token_ids: Prompt and answer so far; those of earlier calls with more tokens at the end.
            max_tokens: Maximum length of the draft.
            token_cost: Time of a draft token, as a share of the time of a step without it.
        """
        self._index.extend(token_ids[len(self._index) :])
        draft = self._index.draft_tokens(max_tokens)
        return draft[: self._policy.choose_length(token_cost)] if draft else []

    def record_result(self, *, proposed: int, accepted: int) -> None:
        """Learn from one verified draft; see `DraftPolicy.record_result`."""
        self._policy.record_result(proposed=proposed, accepted=accepted)
