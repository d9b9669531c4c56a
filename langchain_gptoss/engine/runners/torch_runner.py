"""A runner on transformers' gpt_oss modules, for any device.

The new tokens of all sequences form one row, so that each weight is read once per pass. Only attention knows where one
sequence ends: it writes the new keys and values into the paged cache and reads the blocks of each sequence.
"""

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from transformers.modeling_utils import AttentionInterface

from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, CacheLayout, SequenceChunk
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import GptOssError, GptOssMemoryError

_IMPLEMENTATION = "gptoss_paged"
_MAX_SCORES = 2**25  # scores of all heads that are in memory at a time: 128 MiB in float32
_MEMORY_HINT = "Choose a shorter context or a smaller cache, or close other programs."


class TorchRunner(Runner):
    """Runs a loaded `GptOssForCausalLM`; the model attends through this runner until `close`."""

    is_batch_invariant = False

    def __init__(self, model: Any, *, cache_dtype: torch.dtype | None = None) -> None:
        """Prepare a loaded model.

        Args:
            model: A `GptOssForCausalLM` in evaluation mode.
            cache_dtype: Type of the KV cache; the type of the activations by default.
        """
        AttentionInterface.register(_IMPLEMENTATION, _attend_to_pages)
        config, activation_dtype = model.config, model.model.norm.weight.dtype
        self._cache_dtype = cache_dtype or activation_dtype
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
        config._attn_implementation = _IMPLEMENTATION

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
        except RuntimeError as error:  # on a CPU, torch has no class of its own for this
            raise GptOssMemoryError(
                f"A KV cache of {block_count * layout.block_bytes:,} bytes cannot be reserved.", hint=_MEMORY_HINT
            ) from error

    @torch.inference_mode()
    def forward(self, batch: Batch) -> torch.Tensor:
        """Append the batch's tokens to the cache and return the requested logits; see `Runner.forward`."""
        self._aborted.clear()
        model = self._get_model()
        pages = _Pages(caches=self._caches, chunks=batch.chunks)
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
        except torch.OutOfMemoryError as error:
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


@dataclass(frozen=True, kw_only=True)
class _Pages:
    """What attention needs to know of a pass: the cache of each layer, and the chunks."""

    caches: list[torch.Tensor]
    chunks: tuple[SequenceChunk, ...]

    @property
    def positions(self) -> torch.Tensor:
        return torch.cat([torch.arange(chunk.start, chunk.start + len(chunk.token_ids)) for chunk in self.chunks])


def _attend_to_pages(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _: torch.Tensor | None,
    *,
    scaling: float,
    pages: _Pages,
    **__: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention output [1, tokens, heads, head_dim], and None in place of the attention weights."""
    slots = pages.caches[module.layer_idx].flatten(1, 2)  # [2, tokens, kv_heads, head_dim]; shares the memory
    new = torch.stack((key[0], value[0])).transpose(1, 2).to(slots.dtype)
    out = torch.empty_like(query[0].transpose(0, 1))
    row = 0
    for chunk in pages.chunks:
        count = len(chunk.token_ids)
        index = _find_slots(chunk).to(slots.device)
        slots[:, index[chunk.start :]] = new[:, row : row + count]
        tile = max(1, _MAX_SCORES // (query.shape[1] * len(index)))
        for first in range(0, count, tile):
            last = min(first + tile, count)
            part = query[0, :, row + first : row + last]
            out[row + first : row + last] = _attend(module, part, slots, index, chunk.start + first, scaling)
        row += count
    return out[None], None


def _find_slots(chunk: SequenceChunk) -> torch.Tensor:
    """Return the place in the cache of each position of a sequence, up to its last new token."""
    table = torch.tensor(list(chunk.block_table), dtype=torch.long)
    slots = table[:, None] * BLOCK_TOKENS + torch.arange(BLOCK_TOKENS)
    return slots.flatten()[: chunk.start + len(chunk.token_ids)]


def _attend(
    module: Any, query: torch.Tensor, slots: torch.Tensor, index: torch.Tensor, start: int, scaling: float
) -> torch.Tensor:
    """Return the output [tokens, heads, head_dim] of a sequence's tokens, [heads, tokens, head_dim], from `start`."""
    heads, count, head_dim = query.shape
    window = module.sliding_window or start + count
    first = max(0, start - window + 1)
    keys, values = slots[:, index[first : start + count]].to(query.dtype).transpose(1, 2)
    groups = query.reshape(len(keys), -1, head_dim)  # the query heads of a key head follow one another
    scores = (groups @ keys.transpose(1, 2)).float().view(heads, count, -1) * scaling
    own = torch.arange(start, start + count, device=query.device)[:, None]
    other = torch.arange(first, start + count, device=query.device)
    scores.masked_fill_((other > own) | (other <= own - window), float("-inf"))
    sinks = module.sinks.float().view(-1, 1, 1).expand(-1, count, 1)
    weights = torch.softmax(torch.cat((scores, sinks), dim=-1), dim=-1)[..., :-1].to(query.dtype)
    out = weights.reshape(len(keys), -1, weights.shape[-1]) @ values
    return out.view(heads, count, head_dim).transpose(0, 1)


def _list_logit_rows(batch: Batch) -> list[int]:
    rows: list[int] = []
    end = 0
    for chunk in batch.chunks:
        end += len(chunk.token_ids)
        rows += range(end - chunk.logit_count, end)
    return rows


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
