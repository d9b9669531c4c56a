"""Chooses the next token of one request."""

import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.token_stream import TokenLogprobs

_MIN_TEMPERATURE = 1e-30  # the most likely token, and all that are equal to it
_NUCLEUS_TOKENS = 1024


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
        self._adjustment: torch.Tensor | None = None
        self._generator = torch.Generator()
        if params.seed is None:
            self._generator.seed()
        else:
            self._generator.manual_seed(params.seed)

    def sample(self, logits: torch.Tensor) -> int:
        """Return a token id.

        Args:
            logits: [vocabulary].
        """
        if not self._has_penalties and self._params.logit_bias is None:
            return self._choose(logits)
        if self._adjustment is None:
            self._adjustment = _create_adjustment(self._params, logits)
        token_id = self._choose(logits.float() + self._adjustment)
        if self._has_penalties:
            first_penalty = 0.0 if token_id in self._chosen_ids else self._params.presence_penalty
            self._adjustment[token_id] -= self._params.frequency_penalty + first_penalty
            self._chosen_ids.add(token_id)
        return token_id

    def _choose(self, logits: torch.Tensor) -> int:
        if self._params.temperature == 0:
            return int(logits.argmax())
        # Always on the CPU, so that a seed gives the same random numbers on every device. The largest weight is 1, so
        # that no temperature overflows, however low it is.
        logits = logits.float().cpu()
        weights = ((logits - logits.max()) / max(self._params.temperature, _MIN_TEMPERATURE)).exp_()
        if 0 < self._params.top_k < weights.numel():
            weights.masked_fill_(weights < weights.topk(self._params.top_k).values[-1], 0)
        if self._params.top_p < 1:
            weights = _keep_nucleus(weights, self._params.top_p)
        if self._params.min_p > 0:
            weights.masked_fill_(weights < self._params.min_p * weights.max(), 0)
        return _draw(weights, self._generator)


def _create_adjustment(params: SamplingParams, logits: torch.Tensor) -> torch.Tensor:
    """Return the numbers to add to the logits at the beginning of an answer, float32 on the same device.

    It is kept and changed at the chosen token only, so that a step costs one addition of vectors.
    """
    adjustment = torch.zeros(logits.shape[-1], dtype=torch.float32)
    if params.logit_bias:
        adjustment[list(params.logit_bias)] = torch.tensor(list(params.logit_bias.values()), dtype=torch.float32)
    return adjustment.to(logits.device)


def _keep_nucleus(weights: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the largest weights that together reach a share; the one that reaches it is kept."""
    limit = top_p * weights.sum(dtype=torch.float64)
    for count in (_NUCLEUS_TOKENS, weights.numel()):  # sorting the whole vocabulary is slow and rarely needed
        ordered, indices = weights.topk(min(count, weights.numel()))
        before = ordered.cumsum(dim=-1, dtype=torch.float64) - ordered
        if before[-1] >= limit:
            break
    ordered = ordered.masked_fill(before >= limit, 0)
    return torch.zeros_like(weights).scatter(0, indices, ordered)


def _draw(weights: torch.Tensor, generator: torch.Generator) -> int:
    """Return an index with a probability in proportion to its weight.

    One random number is enough; torch.multinomial draws one for each token of the vocabulary.
    """
    sums = weights.cumsum(dim=-1, dtype=torch.float64)
    place = torch.rand((), dtype=torch.float64, generator=generator) * sums[-1]
    place = torch.minimum(place, torch.nextafter(sums[-1], torch.zeros_like(place)))  # the product may round up
    return int(torch.searchsorted(sums, place, right=True))


def compute_logprobs(logits: torch.Tensor, token_id: int, top_count: int) -> TokenLogprobs:
    """Return the log-probabilities of the chosen token and of the most likely ones.

    They are those of the model's own distribution, before bias, penalties, temperature and grammar, so that they can
    be compared between requests.

    Args:
        logits: [vocabulary].
        token_id: The chosen token.
        top_count: Number of most likely tokens to report.
    """
    scores = logits.float().log_softmax(dim=-1)
    values, indices = scores.topk(top_count)
    top = tuple(zip(indices.tolist(), values.tolist(), strict=True))
    return TokenLogprobs(chosen=float(scores[token_id]), top=top)
