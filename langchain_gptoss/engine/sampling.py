"""Picks the next token of one request."""

import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.token_stream import TokenLogprobs


class Sampler:
    """Samples for one request; its random numbers are its own, so a seed gives the same answer in any company."""

    def __init__(self, params: SamplingParams) -> None:
        """Takes the request's parameters."""
        self._params = params
        self._random = torch.Generator()
        if params.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(params.seed)

    def __call__(self, logits: torch.Tensor) -> int:
        """Returns a token id for logits of shape [vocabulary]."""
        if self._params.temperature == 0:
            return int(logits.argmax())
        # On the CPU whatever the device: the same seed then gives the same numbers everywhere.
        # The largest becomes 0 and the sums are float64: no temperature, however low, then overflows.
        scores = logits.double().cpu()
        scores = (scores - scores.max()) / self._params.temperature
        if 0 < self._params.top_k < scores.numel():
            scores = scores.masked_fill(scores < scores.topk(self._params.top_k).values[-1], -torch.inf)
        probabilities = scores.softmax(dim=-1)
        if self._params.top_p < 1:
            probabilities = _nucleus(probabilities, self._params.top_p)
        return int(torch.multinomial(probabilities, 1, generator=self._random))


def _nucleus(probabilities: torch.Tensor, top_p: float) -> torch.Tensor:
    """Keeps the likeliest tokens that together reach `top_p`, the one that reaches it included."""
    ordered, indices = probabilities.sort(descending=True)
    before = ordered.cumsum(dim=-1) - ordered
    ordered = ordered.masked_fill(before >= top_p, 0)
    return torch.zeros_like(probabilities).scatter(0, indices, ordered)


def token_logprobs(logits: torch.Tensor, token_id: int, count: int) -> TokenLogprobs:
    """Returns the log-probabilities of a token and of the `count` likeliest, for logits of shape [vocabulary]."""
    scores = logits.float().log_softmax(dim=-1)
    values, indices = scores.topk(count)
    top = tuple(zip(indices.tolist(), values.tolist(), strict=True))
    return TokenLogprobs(chosen=float(scores[token_id]), top=top)
