"""Chooses the next token of one request."""

import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.token_stream import TokenLogprobs


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
        # Always on the CPU, so that a seed gives the same random numbers on every device. The largest score becomes 0
        # and the type is float64, so that no temperature overflows, however low it is.
        scores = logits.double().cpu()
        scores = (scores - scores.max()) / self._params.temperature
        if 0 < self._params.top_k < scores.numel():
            scores = scores.masked_fill(scores < scores.topk(self._params.top_k).values[-1], -torch.inf)
        probabilities = scores.softmax(dim=-1)
        if self._params.top_p < 1:
            probabilities = _keep_nucleus(probabilities, self._params.top_p)
        if self._params.min_p > 0:
            threshold = self._params.min_p * probabilities.max()
            probabilities = probabilities.masked_fill(probabilities < threshold, 0)
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def _create_adjustment(params: SamplingParams, logits: torch.Tensor) -> torch.Tensor:
    """Return the numbers to add to the logits at the beginning of an answer, float32 on the same device.

    It is kept and changed at the chosen token only, so that a step costs one addition of vectors.
    """
    adjustment = torch.zeros(logits.shape[-1], dtype=torch.float32)
    if params.logit_bias:
        adjustment[list(params.logit_bias)] = torch.tensor(list(params.logit_bias.values()), dtype=torch.float32)
    return adjustment.to(logits.device)


def _keep_nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the most likely tokens that together reach `top_p`; the token that reaches it is kept."""
    ordered, indices = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(probabilities).scatter(0, indices, ordered)


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
