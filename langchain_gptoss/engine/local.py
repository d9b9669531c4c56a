"""An engine on transformers' forward pass, with its own loop: prefill in pieces, then one token a step."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from langchain_gptoss.engine.base import Engine, Request, TokenStream
from langchain_gptoss.engine.grammar import GrammarMatcher, GrammarTokenizer
from langchain_gptoss.engine.sampling import Sampler, token_logprobs
from langchain_gptoss.engine.scheduler import Generation, Scheduler, Step
from langchain_gptoss.errors import InvalidInputError

# Small enough that a cancelled or a second request waits little, large enough for nearly full matrix speed.
_PREFILL_TOKENS = 256


class LocalEngine(Engine):
    """Runs a loaded gpt_oss model.

    Attributes:
        steps: How many forward passes were made in all.
    """

    def __init__(
        self,
        model: Any,
        *,
        context_length: int,
        folder: Path | None = None,
        piece: Callable[[int], int] = lambda _: _PREFILL_TOKENS,
    ) -> None:
        """Takes a loaded model.

        Args:
            model: A `GptOssForCausalLM`.
            context_length: Prompt and answer together, in tokens.
            folder: The checkpoint's, whose tokenizer grammars need.
            piece: How many tokens of a prompt memory lets it read at once with so many tokens in the cache.
        """
        self.steps = 0
        self._piece = piece
        self._folder = folder
        self._grammar_tokenizer: GrammarTokenizer | None = None
        self._model = model
        self._cache_name = _cache_name(model)
        self._context_length = context_length
        self._scheduler = Scheduler("gptoss-model")

    @property
    def context_length(self) -> int:
        """Prompt and answer together, in tokens."""
        return self._context_length

    def start(self, request: Request) -> TokenStream:
        """Begins a generation; see `Engine.start`."""
        limit = request.token_limit(self._context_length)
        if request.grammar is not None and self._folder is None:
            raise InvalidInputError("This engine was made without a checkpoint folder, so it cannot follow a grammar.")
        return self._scheduler.submit(self._generate(request, limit))

    def close(self) -> None:
        """Cancels what runs and frees the model."""
        self._scheduler.close()
        self._model = None

    def _generate(self, request: Request, limit: int) -> Generation:
        cache = DynamicCache(config=self._model.config)
        prompt = torch.tensor([request.prompt_ids], device=self._model.device)
        read, length = 0, prompt.shape[1]
        while (piece := min(_PREFILL_TOKENS, self._piece(read))) < length - read:
            self._forward(prompt[:, read : read + piece], cache)
            read += piece
            yield None
        logits = self._forward(prompt[:, read:], cache)
        sampler, matcher = Sampler(request.sampling), self._matcher(request)
        for made in range(1, limit + 1):
            token_id = sampler(logits if matcher is None else matcher.masked(logits))
            complete = matcher is not None and matcher.accept(token_id)
            yield _step(request, logits, token_id)
            if token_id in request.stop_ids or complete:
                return "stop"
            if made < limit:
                logits = self._forward(torch.tensor([[token_id]], device=self._model.device), cache)
        return "length"

    def _matcher(self, request: Request) -> GrammarMatcher | None:
        if request.grammar is None or self._folder is None:
            return None
        if self._grammar_tokenizer is None:
            size = self._model.config.vocab_size
            self._grammar_tokenizer = GrammarTokenizer(self._folder, size=size, stop_ids=sorted(request.stop_ids))
        return self._grammar_tokenizer.matcher(request.grammar)

    @torch.inference_mode()
    def _forward(self, ids: torch.Tensor, cache: DynamicCache) -> torch.Tensor:
        """Returns the logits after the last of `ids` ([1, length]), shape [vocabulary]; extends the cache."""
        self.steps += 1
        kept = {self._cache_name: cache}
        logits: torch.Tensor = self._model(input_ids=ids, logits_to_keep=1, **kept).logits[0, -1]
        return logits


def _cache_name(model: Any) -> str:
    """Returns what the model's forward pass calls its KV cache: transformers renamed it in 5.24."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _step(request: Request, logits: torch.Tensor, token_id: int) -> Step:
    count = request.sampling.logprobs
    return token_id if count is None else (token_id, token_logprobs(logits, token_id, count))
