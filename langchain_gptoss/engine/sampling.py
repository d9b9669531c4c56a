"""Chooses the next token of one request."""

import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.token_stream import TokenLogprobs


class Sampler:
    """Chooses tokens for one request.

    Each sampler has its own random generator, so a seed gives the same answer beside any other requests.
    """

    def __init__(self, params: SamplingParams) -> None:
        """Seed the random generator.

        Args:
            params: The request's parameters.
        """
        self._params = params
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
        return int(torch.multinomial(probabilities, 1, generator=self._generator))


def _keep_nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Zero all but the most likely tokens that together reach `top_p`; the token that reaches it is kept."""
    ordered, indices = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(probabilities).scatter(0, indices, ordered)


def compute_logprobs(logits: torch.Tensor, token_id: int, top_count: int) -> TokenLogprobs:
    """Return the log-probabilities of the chosen token and of the most likely ones.

    Args:
        logits: [vocabulary].
        token_id: The chosen token.
        top_count: Number of most likely tokens to report.
    """
    scores = logits.float().log_softmax(dim=-1)
    values, indices = scores.topk(top_count)
    top = tuple(zip(indices.tolist(), values.tolist(), strict=True))
    return TokenLogprobs(chosen=float(scores[token_id]), top=top)
