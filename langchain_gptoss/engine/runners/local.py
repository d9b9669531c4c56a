"""An engine on transformers' forward pass: prefill in chunks, then one token per step."""

import inspect
from pathlib import Path
from typing import Any

import torch
from transformers import DynamicCache

from langchain_gptoss.engine.base import Engine
from langchain_gptoss.engine.grammar import GrammarMatcher, GrammarTokenizer
from langchain_gptoss.engine.request import GenerationRequest
from langchain_gptoss.engine.runners.generator_loop import Generation, GeneratorLoop, Step
from langchain_gptoss.engine.runners.native_decode import KVCache, create_decoder
from langchain_gptoss.engine.sampling import Sampler, compute_logprobs
from langchain_gptoss.engine.token_stream import Cancelled, TokenStream
from langchain_gptoss.errors import InvalidInputError

# Large enough for full matrix speed. A second request waits for one chunk; cancelling takes effect at the next layer.
_PREFILL_TOKENS = 512


class LocalEngine(Engine):
    """Runs a loaded gpt_oss model.

    Attributes:
        steps: Number of forward passes so far.
    """

    def __init__(
        self,
        model: Any,
        *,
        context_length: int,
        folder: Path | None = None,
    ) -> None:
        """Prepare a loaded model.

        Args:
            model: A `GptOssForCausalLM`.
            context_length: Length of the context in tokens, prompt and answer together.
            folder: The checkpoint; grammars need its tokenizer.
        """
        self.steps = 0
        self._running_stream: TokenStream | None = None
        self._hooks = [layer.register_forward_pre_hook(self._check_cancelled) for layer in model.model.layers]
        self._grammar_tokenizer = None
        if folder is not None:
            self._grammar_tokenizer = GrammarTokenizer(folder, vocabulary_size=model.config.vocab_size)
        self._model = model
        self._vocabulary_size = model.config.vocab_size
        self._cache_argument = _find_cache_argument(model)
        self._context_length = context_length
        self._decoder = create_decoder(model)
        self._loop = GeneratorLoop("gptoss-model")

    @property
    def context_length(self) -> int:
        """Length of the context in tokens, prompt and answer together."""
        return self._context_length

    def submit(self, request: GenerationRequest) -> TokenStream:
        """Start a generation; see `Engine.submit`.

        Raises:
            InvalidInputError: The request has a grammar, and the engine has no checkpoint folder; or `logit_bias`
                names a token that the model does not have.
        """
        limit = request.compute_token_limit(self._context_length)
        request.check_vocabulary(self._vocabulary_size)
        if request.grammar is not None and self._grammar_tokenizer is None:
            raise InvalidInputError(
                "The request has a grammar, and the engine has no tokenizer for it.",
                hint="Pass the checkpoint's folder to LocalEngine.",
            )
        stream = TokenStream()
        return self._loop.submit(self._generate(request, limit, stream), stream)

    def close(self) -> None:
        """Cancel every generation and free the model; a second call does nothing."""
        self._loop.close()
        for hook in self._hooks:
            hook.remove()
        self._model = self._decoder = None

    def _generate(self, request: GenerationRequest, limit: int, stream: TokenStream) -> Generation:
        try:
            return (yield from self._run_steps(request, limit, stream))
        except Cancelled:
            return "cancelled"

    def _run_steps(self, request: GenerationRequest, limit: int, stream: TokenStream) -> Generation:
        prompt_cache = DynamicCache(config=self._model.config)
        prompt = torch.tensor([request.prompt_ids], device=self._model.device)
        position, length = 0, prompt.shape[1]
        while length - position > _PREFILL_TOKENS:
            self._forward(prompt[:, position : position + _PREFILL_TOKENS], prompt_cache, stream)
            position += _PREFILL_TOKENS
            yield None
        logits = self._forward(prompt[:, position:], prompt_cache, stream)
        cache = None
        if self._decoder is not None and limit > 1:
            cache = self._decoder.create_cache(prompt_cache, max_tokens=length + limit)
        sampler, matcher = Sampler(request.sampling), self._create_matcher(request)
        for count in range(1, limit + 1):
            token_id = sampler.sample(logits if matcher is None else matcher.mask_logits(logits))
            is_complete = matcher is not None and matcher.accept_token(token_id)
            if is_complete and token_id not in request.stop_ids:
                stream.sends_stop_token = False  # nothing may follow, and so nothing does
            yield _create_step(request, logits, token_id)
            if token_id in request.stop_ids or is_complete:
                return "stop"
            if count < limit:
                logits = self._decode_token(token_id, prompt_cache, cache, stream)
        return "length"

    def _create_matcher(self, request: GenerationRequest) -> GrammarMatcher | None:
        if request.grammar is None or self._grammar_tokenizer is None:
            return None
        return self._grammar_tokenizer.create_matcher(request.grammar, stop_ids=request.stop_ids)

    def _decode_token(
        self, token_id: int, prompt_cache: DynamicCache, cache: KVCache | None, stream: TokenStream
    ) -> torch.Tensor:
        if cache is None or self._decoder is None:
            return self._forward(torch.tensor([[token_id]], device=self._model.device), prompt_cache, stream)
        self.steps += 1
        return self._decoder.decode_token(cache, token_id)

    @torch.inference_mode()
    def _forward(self, ids: torch.Tensor, cache: DynamicCache, stream: TokenStream) -> torch.Tensor:
        """Return the logits after the last token, shape [vocabulary]; append the tokens to the cache.

        Args:
            ids: [1, length].
            cache: The tokens so far.
            stream: Checked for cancellation before each layer, because a long chunk may take seconds.

        Raises:
            Cancelled: The stream was cancelled.
        """
        self.steps += 1
        self._running_stream = stream
        options: dict[str, Any] = {self._cache_argument: cache}
        if ids.shape[1] == 1:  # a single token attends to everything in the cache
            options["attention_mask"] = dict.fromkeys(("full_attention", "sliding_attention"))
        logits: torch.Tensor = self._model(input_ids=ids, logits_to_keep=1, **options).logits[0, -1]
        return logits

    def _check_cancelled(self, *_: object) -> None:
        if self._running_stream is not None and self._running_stream.is_cancelled:
            raise Cancelled


def _find_cache_argument(model: Any) -> str:
    """Return the name of the forward pass's argument for the KV cache: transformers 5.24 renamed it."""
    return "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"


def _create_step(request: GenerationRequest, logits: torch.Tensor, token_id: int) -> Step:
    count = request.sampling.logprobs
    return token_id if count is None else (token_id, compute_logprobs(logits, token_id, count))
