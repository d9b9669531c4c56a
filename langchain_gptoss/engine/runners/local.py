"""An engine on transformers' forward pass, with its own loop: prefill in pieces, then one token a step."""

import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.grammar import GrammarMatcher, GrammarTokenizer
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.native_decode import Past, decoder_of
from langchain_gptoss.engine.sampling import Sampler, token_logprobs
from langchain_gptoss.engine.scheduler import Generation, Scheduler, Step
from langchain_gptoss.engine.token_stream import TokenStream
from langchain_gptoss.errors import InvalidInputError

# Large enough for full matrix speed. A second request waits for one piece; a cancelled one only for one layer of it.
_PREFILL_TOKENS = 512


class _LeftError(Exception):
    """Nobody listens any more."""


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
        self._listener: TokenStream | None = None
        self._hooks = [layer.register_forward_pre_hook(self._look) for layer in model.model.layers]
        self._folder = folder
        self._grammar_tokenizer: GrammarTokenizer | None = None
        self._model = model
        self._cache_name = _cache_name(model)
        self._context_length = context_length
        self._decoder = decoder_of(model)
        self._scheduler = Scheduler("gptoss-model")

    @property
    def context_length(self) -> int:
        """Prompt and answer together, in tokens."""
        return self._context_length

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Begins a generation; see `Engine.submit`."""
        limit = request.compute_token_limit(self._context_length)
        if request.grammar is not None and self._folder is None:
            raise InvalidInputError("This engine was made without a checkpoint folder, so it cannot follow a grammar.")
        stream = TokenStream()
        return self._scheduler.submit(self._generate(request, limit, stream), stream)

    def close(self) -> None:
        """Cancels what runs and frees the model."""
        self._scheduler.close()
        for hook in self._hooks:
            hook.remove()
        self._model = self._decoder = None

    def _generate(self, request: GenerationRequest, limit: int, stream: TokenStream) -> Generation:
        try:
            return (yield from self._steps(request, limit, stream))
        except _LeftError:
            return "cancelled"

    def _steps(self, request: GenerationRequest, limit: int, stream: TokenStream) -> Generation:
        cache = DynamicCache(config=self._model.config)
        prompt = torch.tensor([request.prompt_ids], device=self._model.device)
        read, length = 0, prompt.shape[1]
        while (piece := min(_PREFILL_TOKENS, self._piece(read))) < length - read:
            self._forward(prompt[:, read : read + piece], cache, stream)
            read += piece
            yield None
        logits = self._forward(prompt[:, read:], cache, stream)
        most = length + limit
        past = self._decoder.past(cache, most=most) if self._decoder is not None and limit > 1 else None
        sampler, matcher = Sampler(request.sampling), self._matcher(request)
        for made in range(1, limit + 1):
            token_id = sampler(logits if matcher is None else matcher.masked(logits))
            complete = matcher is not None and matcher.accept(token_id)
            yield _step(request, logits, token_id)
            if token_id in request.stop_ids or complete:
                return "stop"
            if made < limit:
                logits = self._decoded(token_id, cache, past, stream)
        return "length"

    def _matcher(self, request: GenerationRequest) -> GrammarMatcher | None:
        if request.grammar is None or self._folder is None:
            return None
        if self._grammar_tokenizer is None:
            size = self._model.config.vocab_size
            self._grammar_tokenizer = GrammarTokenizer(self._folder, size=size, stop_ids=sorted(request.stop_ids))
        return self._grammar_tokenizer.matcher(request.grammar)

    def _decoded(self, token_id: int, cache: DynamicCache, past: Past | None, stream: TokenStream) -> torch.Tensor:
        if past is None or self._decoder is None:
            return self._forward(torch.tensor([[token_id]], device=self._model.device), cache, stream)
        self.steps += 1
        return self._decoder.step(past, token_id)

    @torch.inference_mode()
    def _forward(self, ids: torch.Tensor, cache: DynamicCache, stream: TokenStream) -> torch.Tensor:
        """Returns the logits after the last of `ids` ([1, length]), shape [vocabulary]; extends the cache.

        Raises:
            _LeftError: The stream was cancelled; looked at before each layer, as a long piece may take seconds.
        """
        self.steps += 1
        self._listener = stream
        options: dict[str, Any] = {self._cache_name: cache}
        if ids.shape[1] == 1:  # a single token sees all that a layer keeps
            options["attention_mask"] = dict.fromkeys(("full_attention", "sliding_attention"))
        logits: torch.Tensor = self._model(input_ids=ids, logits_to_keep=1, **options).logits[0, -1]
        return logits

    def _look(self, *_: object) -> None:
        if self._listener is not None and self._listener.is_cancelled:
            raise _LeftError


def _cache_name(model: Any) -> str:
    """Returns what the model's forward pass calls its KV cache: transformers renamed it in 5.24."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _step(request: GenerationRequest, logits: torch.Tensor, token_id: int) -> Step:
    count = request.sampling.logprobs
    return token_id if count is None else (token_id, token_logprobs(logits, token_id, count))
