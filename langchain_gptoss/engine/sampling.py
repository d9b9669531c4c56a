"""Chooses the next token of one request.

It computes with numpy, on one thread: to wake torch's threads for one row of logits takes longer than the work itself,
and they stay awake for a while, on the cores that the next forward pass needs.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.token_stream import TokenLogprobs
from langchain_gptoss.errors import GptOssError

# Beyond them, all that is not equally likely has no weight, and all weights are equal.
_MIN_TEMPERATURE, _MAX_TEMPERATURE = 1e-30, 1e30
_GROUP_TOKENS = 256  # tokens whose weights are added up at once; sums token by token are needed in one group only
_Floats = npt.NDArray[np.float32]
_Indices = npt.NDArray[np.intp]


class Sampler:
    """Chooses tokens for one request.

    Each sampler has its own random generator, so a seed gives the same answer beside any other requests. It remembers
    the tokens that it chose, for the penalties.

    The order is: bias and penalties, temperature, top_k, top_p, min_p. Temperature 0 chooses the largest logit after
    bias and penalties. Both are added to logits that a grammar may have set to minus infinity, which they cannot undo.
    """

    def __init__(self, params: SamplingParams) -> None:
        """Seed the random generator.

        Args:
            params: The request's parameters.
        """
        self._params = params
        self._has_penalties = bool(params.frequency_penalty or params.presence_penalty)
        self._chosen_ids: set[int] = set()
        self._adjustment: _Floats | None = None
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def sample(self, logits: _Floats) -> int:
        """Return a token id.

        Args:
            logits: [vocabulary].

        Raises:
            GptOssError: The largest logit is not a number, or infinite.
        """
        if not self._has_penalties and self._params.logit_bias is None:
            return self._choose(logits)
        if self._adjustment is None:
            self._adjustment = _create_adjustment(self._params.logit_bias or {}, len(logits))
        token_id = self._choose(logits + self._adjustment)
        if self._has_penalties:
            first_penalty = 0.0 if token_id in self._chosen_ids else self._params.presence_penalty
            self._adjustment[token_id] -= self._params.frequency_penalty + first_penalty
            self._chosen_ids.add(token_id)
        return token_id

    def _choose(self, logits: _Floats) -> int:
        params, token_ids = self._params, None  # None means all, in the order of their ids
        most_likely = int(logits.argmax())  # the first logit that is not a number, if there is one
        largest = float(logits[most_likely])
        if not math.isfinite(largest):
            raise GptOssError(
                "The model computed logits that are not numbers.",
                hint="Download the checkpoint again; its weights may be damaged.",
            )
        if params.temperature == 0:
            return most_likely
        if 0 < params.top_k < len(logits):
            smallest = np.partition(logits, -params.top_k)[-params.top_k]
            token_ids, logits = _keep(np.flatnonzero(logits >= smallest), token_ids, logits)
        weights = _compute_weights(logits, largest, params.temperature)
        limit = params.top_p * _sum(weights) if params.top_p < 1 else math.inf
        if params.min_p > 0:
            token_ids, weights = _keep(np.flatnonzero(weights >= params.min_p), token_ids, weights)
        index = _draw(weights, self._generator)
        # A token outside the nucleus is one whose likelier tokens reach top_p without it. To draw again in this case
        # gives the same distribution as to draw from the nucleus, and needs no sorting.
        while params.top_p < 1 and _sum(weights[weights > weights[index]]) >= limit:
            token_ids, weights = _keep(np.flatnonzero(weights > weights[index]), token_ids, weights)
            index = _draw(weights, self._generator)
        return index if token_ids is None else int(token_ids[index])


def _create_adjustment(logit_bias: Mapping[int, float], vocabulary_size: int) -> _Floats:
    """Return the numbers to add to the logits at the beginning of an answer.

    They are kept and changed at the chosen token only, so that a step costs one addition of vectors.
    """
    adjustment = np.zeros(vocabulary_size, dtype=np.float32)
    for token_id, bias in logit_bias.items():
        adjustment[token_id] = bias
    return adjustment


def _keep(indices: _Indices, token_ids: _Indices | None, values: _Floats) -> tuple[_Indices, _Floats]:
    """Return the token ids and the values at some indices."""
    return indices if token_ids is None else token_ids[indices], values[indices]


def _compute_weights(logits: _Floats, largest: float, temperature: float) -> _Floats:
    """Return numbers in proportion to the probabilities; the largest is 1, so that no temperature overflows."""
    with np.errstate(over="ignore"):  # the difference of two very large logits is minus infinity, and its weight 0
        scores = (logits - largest) / min(max(temperature, _MIN_TEMPERATURE), _MAX_TEMPERATURE)
    np.exp(scores, out=scores)
    return scores


def _sum(weights: _Floats) -> float:
    return float(weights.sum(dtype=np.float64))


def _draw(weights: _Floats, generator: torch.Generator) -> int:
    """Return an index with a probability in proportion to its weight, by one random number."""
    group_sums = np.add.reduceat(weights, np.arange(0, len(weights), _GROUP_TOKENS)).cumsum(dtype=np.float64)
    place = float(torch.rand((), dtype=torch.float64, generator=generator)) * float(group_sums[-1])
    group = _find_place(group_sums, place)
    start = group * _GROUP_TOKENS
    sums = weights[start : start + _GROUP_TOKENS].cumsum(dtype=np.float64)
    return start + _find_place(sums, place - (float(group_sums[group - 1]) if group else 0.0))


def _find_place(sums: npt.NDArray[np.float64], place: float) -> int:
    """Return the index of the first sum above a number, or above the nearest that has one, since numbers round up."""
    return int(np.searchsorted(sums, min(place, np.nextafter(sums[-1], 0.0)), side="right"))


def compute_logprobs(
    logits: _Floats, token_id: int, top_count: int, requested_ids: Sequence[int] = ()
) -> TokenLogprobs:
    """Return the log-probabilities of the chosen token, of the most likely ones, and of requested ones.

    They are those of the model's own distribution, before bias, penalties, temperature and grammar, so that they can
    be compared between requests.

    Args:
        logits: [vocabulary].
        token_id: The chosen token.
        top_count: Number of most likely tokens to report.
        requested_ids: Further tokens to report.
    """
    largest = float(logits.max())
    log_sum = largest + math.log(_sum(_compute_weights(logits, largest, 1.0)))
    top_count = min(top_count, len(logits))
    top = np.argpartition(logits, -top_count)[-top_count:] if top_count else np.empty(0, np.intp)
    top = top[np.argsort(-logits[top], kind="stable")]
    return TokenLogprobs(
        chosen=float(logits[token_id]) - log_sum,
        top=tuple((int(i), float(logits[i]) - log_sum) for i in top),
        requested=tuple((i, float(logits[i]) - log_sum) for i in requested_ids),
    )
