"""A runner on transformers' gpt_oss modules, for any device.

The new tokens of all sequences form one row, so that each weight is read once per pass. Only attention knows where one
sequence ends; see `paged_attention`.
"""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, CacheLayout
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.runners.paged_attention import IMPLEMENTATION, Pages, register_paged_attention
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import GptOssError, GptOssMemoryError

_MEMORY_HINT = "Choose a shorter context or a smaller cache, or close other programs."


class TorchRunner(Runner):
    """Runs a loaded `GptOssForCausalLM`; the model attends through this runner until `close`."""

    is_batch_invariant = False

    def __init__(self, model: Any, *, cache_dtype: torch.dtype | None = None) -> None:
        """Prepare a loaded model.

        Args:
            model: A `GptOssForCausalLM` in evaluation mode.
            cache_dtype: Type of the KV cache; by default the type of the activations, but float16 if that is float32.
        """
        register_paged_attention()
        config, activation_dtype = model.config, model.model.norm.weight.dtype
        self._cache_dtype = cache_dtype or _choose_cache_dtype(activation_dtype)
        self.vocabulary_size = config.vocab_size
        self.cache_layout = CacheLayout(
            layers=config.num_hidden_layers,
            kv_heads=config.num_key_value_heads,
            head_dim=config.head_dim,
            dtype=_name_dtype(self._cache_dtype),
        )
        self.arithmetic = _describe_arithmetic(model, activation_dtype)
        self._model: Any = model
        self._caches: list[torch.Tensor] = []
        self._aborted = threading.Event()
        self._hooks = [layer.register_forward_pre_hook(self._check_aborted) for layer in model.model.layers]
        self._former_attention = config._attn_implementation
        config._attn_implementation = IMPLEMENTATION

    def allocate_cache(self, block_count: int) -> None:
        """Reserve the KV cache; see `Runner.allocate_cache`."""
        layout = self.cache_layout
        shape = (2, block_count, BLOCK_TOKENS, layout.kv_heads, layout.head_dim)
        self._caches = []
        try:
            self._caches = [
                torch.empty(shape, dtype=self._cache_dtype, device=layer.self_attn.sinks.device)
                for layer in self._get_model().model.layers
            ]
        except (RuntimeError, MemoryError) as error:
            raise GptOssMemoryError(
                f"A KV cache of {block_count * layout.block_bytes:,} bytes cannot be reserved.", hint=_MEMORY_HINT
            ) from error

    @torch.inference_mode()
    def forward(self, batch: Batch) -> torch.Tensor:
        """Append the batch's tokens to the cache and return the requested logits; see `Runner.forward`."""
        self._aborted.clear()
        model = self._get_model()
        if not self._caches:
            raise GptOssError("The runner has no KV cache.", hint="Call allocate_cache first.")
        pages = Pages(self._caches, batch.chunks)
        device = model.model.embed_tokens.weight.device
        try:
            hidden = model.model(
                input_ids=torch.from_numpy(batch.token_ids).to(device)[None],
                position_ids=pages.positions.to(device)[None],
                attention_mask=dict.fromkeys(("full_attention", "sliding_attention")),
                use_cache=False,
                pages=pages,
            ).last_hidden_state[0]
            rows = _list_logit_rows(batch)
            if not rows:
                return torch.empty(0, self.vocabulary_size)
            logits: torch.Tensor = model.lm_head(hidden[torch.tensor(rows, device=hidden.device)])
            return logits.float().cpu()
        except (RuntimeError, MemoryError) as error:
            if not _is_out_of_memory(error):
                raise
            raise GptOssMemoryError(
                f"Memory ran out in a pass over {batch.token_count} tokens.", hint=_MEMORY_HINT
            ) from error

    def abort(self) -> None:
        """Stop the pass in progress before its next layer; see `Runner.abort`."""
        self._aborted.set()

    def read_blocks(self, blocks: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return a copy of blocks; see `Runner.read_blocks`."""
        index = torch.tensor(list(blocks), dtype=torch.long)
        parts = [cache[:, index.to(cache.device)].transpose(0, 1).cpu() for cache in self._caches]
        data = torch.stack(parts, dim=1).reshape(len(index), -1).contiguous()
        return data.view(torch.uint8).numpy()

    def write_blocks(self, blocks: Sequence[int], data: npt.NDArray[np.uint8]) -> None:
        """Overwrite blocks; see `Runner.write_blocks`."""
        index = torch.tensor(list(blocks), dtype=torch.long)
        values = torch.from_numpy(np.array(data)).view(self._cache_dtype)  # a copy: saved data may be read-only
        values = values.view(len(index), len(self._caches), 2, *self._caches[0].shape[2:])
        for layer, cache in enumerate(self._caches):
            cache[:, index.to(cache.device)] = values[:, layer].transpose(0, 1).to(cache.device)

    def close(self) -> None:
        """Free the model and the cache; a second call does nothing."""
        if self._model is None:
            return
        for hook in self._hooks:
            hook.remove()
        self._model.config._attn_implementation = self._former_attention
        self._model, self._caches = None, []

    def _get_model(self) -> Any:
        if self._model is None:
            raise GptOssError("The runner was closed, so it has no model.", hint="Load the model again.")
        return self._model

    def _check_aborted(self, *_: object) -> None:
        if self._aborted.is_set():
            raise Cancelled


def _list_logit_rows(batch: Batch) -> list[int]:
    rows: list[int] = []
    end = 0
    for chunk in batch.chunks:
        end += len(chunk.token_ids)
        rows += range(end - chunk.logit_count, end)
    return rows


def _choose_cache_dtype(activation_dtype: torch.dtype) -> torch.dtype:
    return torch.float16 if activation_dtype == torch.float32 else activation_dtype


def _is_out_of_memory(error: Exception) -> bool:
    """Return True for any device's error of this kind; on a CPU torch has no class of its own for it."""
    text = str(error).lower()
    return (
        isinstance(error, torch.OutOfMemoryError | MemoryError)
        or "out of memory" in text
        or "can't allocate memory" in text
        or "not enough memory" in text
    )


def _name_dtype(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _describe_arithmetic(model: Any, activation_dtype: torch.dtype) -> str:
    projection = model.model.layers[0].self_attn.q_proj
    parts = (
        model.model.norm.weight.device.type,
        _name_dtype(activation_dtype),
        type(projection).__name__,
        _name_dtype(projection.weight.dtype) if hasattr(projection, "weight") else "",
        str(model.config._experts_implementation),
    )
    return "torch " + " ".join(part for part in parts if part)
