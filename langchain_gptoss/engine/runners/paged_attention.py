"""Attention with sinks over a paged KV cache, for transformers' registry of attention functions.

It writes the new keys and values of all sequences into the cache, then attends to the blocks of one sequence after
another. Without torch's flash kernel for CPUs, the sequences with a single new token are computed together, because on
a GPU it takes longer to start the kernels of each than to run them. A sink is one more logit per head that takes a
share of the softmax and has no value.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers.modeling_utils import AttentionInterface

from langchain_gptoss.engine.batch import BLOCK_TOKENS, SequenceChunk
from langchain_gptoss.models.planning.footprint import MAX_GROUP_TOKENS, MAX_TILE_MASK, MAX_TILE_SCORES

IMPLEMENTATION = "gptoss_paged"


@dataclass(frozen=True, kw_only=True)
class TokenGroup:
    """Sequences with one new token each that are computed together.

    Attributes:
        rows: Place of each token in the pass, [sequences].
        table: Blocks that the tokens attend to, [sequences, blocks]; a shorter sequence repeats its first block.
        mask: What is added to the scores, [sequences, blocks * BLOCK_TOKENS].
    """

    rows: torch.Tensor
    table: torch.Tensor
    mask: torch.Tensor


class Pages:
    """The places of a pass's tokens in the cache.

    Attributes:
        caches: KV cache of each layer, [2, blocks, BLOCK_TOKENS, kv_heads, head_dim].
        chunks: The chunks of the pass.
        positions: Position of each new token in its sequence, [tokens].
    """

    def __init__(self, caches: Sequence[torch.Tensor], chunks: Sequence[SequenceChunk]) -> None:
        """Compute the places.

        Args:
            caches: KV cache of each layer.
            chunks: The chunks of the pass.
        """
        self.caches, self.chunks = caches, chunks
        ranges = [torch.arange(chunk.start, chunk.start + len(chunk.token_ids)) for chunk in chunks]
        self.positions = torch.cat(ranges)
        tables = [torch.tensor(list(chunk.block_table), dtype=torch.long) for chunk in chunks]
        slots = [
            table[positions // BLOCK_TOKENS] * BLOCK_TOKENS + positions % BLOCK_TOKENS
            for table, positions in zip(tables, ranges, strict=True)
        ]
        cpu = torch.device("cpu")
        self._groups: dict[tuple[torch.device, int | None], list[TokenGroup]] = {}
        self._slots, self._tables = {cpu: torch.cat(slots)}, {cpu: tables}

    def get_slots(self, device: torch.device) -> torch.Tensor:
        """Return the place of each new token in a cache whose blocks are flattened, [tokens]."""
        if device not in self._slots:
            self._slots[device] = self._slots[torch.device("cpu")].to(device)
        return self._slots[device]

    def get_tables(self, device: torch.device) -> list[torch.Tensor]:
        """Return the block table of each chunk."""
        if device not in self._tables:
            self._tables[device] = [table.to(device) for table in self._tables[torch.device("cpu")]]
        return self._tables[device]

    def get_groups(self, device: torch.device, window: int | None) -> list[TokenGroup]:
        """Return the chunks of one token in groups, for layers with a window or without one."""
        key = device, window
        if key not in self._groups:
            self._groups[key] = [group_tokens(members, window, device) for members in self._split_single_tokens(window)]
        return self._groups[key]

    def _split_single_tokens(self, window: int | None) -> list[list[tuple[int, SequenceChunk]]]:
        """Return the chunks of one token with their rows, in lists whose keys fit into memory together."""
        singles: list[tuple[int, SequenceChunk]] = []
        row = 0
        for chunk in self.chunks:
            if len(chunk.token_ids) == 1:
                singles.append((row, chunk))
            row += len(chunk.token_ids)
        singles.sort(key=lambda single: single[1].start)  # similar lengths, so that little is padded
        lists: list[list[tuple[int, SequenceChunk]]] = []
        for single in singles:
            length = min(single[1].start + 1, window or single[1].start + 1) + BLOCK_TOKENS
            if not lists or (len(lists[-1]) + 1) * length > MAX_GROUP_TOKENS:
                lists.append([])
            lists[-1].append(single)
        return lists


def group_tokens(members: Sequence[tuple[int, SequenceChunk]], window: int | None, device: torch.device) -> TokenGroup:
    """Return the group of some chunks of one token.

    Args:
        members: The row of each chunk in the pass, and the chunk.
        window: Number of tokens that a token attends to, itself included; None means all.
        device: Device of the result.
    """
    starts = torch.tensor([chunk.start for _, chunk in members])
    visible = (starts - window + 1).clamp(min=0) if window else torch.zeros_like(starts)
    first_blocks = visible // BLOCK_TOKENS
    used = [
        list(chunk.block_table[first : chunk.start // BLOCK_TOKENS + 1])
        for (_, chunk), first in zip(members, first_blocks.tolist(), strict=True)
    ]
    count = max(map(len, used))
    positions = first_blocks[:, None] * BLOCK_TOKENS + torch.arange(count * BLOCK_TOKENS)
    is_hidden = (positions > starts[:, None]) | (positions < visible[:, None])
    return TokenGroup(
        rows=torch.tensor([row for row, _ in members], device=device),
        table=torch.tensor([blocks + blocks[:1] * (count - len(blocks)) for blocks in used], device=device),
        mask=torch.zeros(is_hidden.shape).masked_fill_(is_hidden, float("-inf")).to(device),
    )


def register_paged_attention() -> None:
    """Register the implementation with transformers; a second call does nothing new."""
    AttentionInterface.register(IMPLEMENTATION, attend_to_pages)


def attend_to_pages(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    _: torch.Tensor | None,
    *,
    scaling: float,
    pages: Pages,
    **__: Any,
) -> tuple[torch.Tensor, None]:
    """Return the attention output [1, tokens, heads, head_dim], and None in place of the attention weights.

    Args:
        module: A `GptOssAttention`, for its layer, window and sinks.
        query: [1, heads, tokens, head_dim], the new tokens of all chunks.
        key: [1, kv_heads, tokens, head_dim]; each head serves `heads / kv_heads` query heads.
        value: As `key`.
        scaling: Factor of the scores.
        pages: Where the tokens are in the cache.
    """
    cache = pages.caches[module.layer_idx]
    new = torch.stack((key[0], value[0])).transpose(1, 2).to(cache.dtype)
    cache.flatten(1, 2).index_copy_(1, pages.get_slots(cache.device), new)  # flatten shares the memory
    out = torch.empty_like(query[0].transpose(0, 1))
    groups = [] if _has_flash_kernel(query) else pages.get_groups(cache.device, module.sliding_window)
    for group in groups:
        out[group.rows] = _attend_in_group(module, query[0, :, group.rows], cache, group, scaling)
    row = 0
    for chunk, table in zip(pages.chunks, pages.get_tables(cache.device), strict=True):
        end = row + len(chunk.token_ids)
        if groups and end - row == 1:
            row = end
            continue
        out[row:end] = _attend_in_tiles(module, query[0, :, row:end], cache, table, chunk.start, scaling)
        row = end
    return out[None], None


def _attend_in_group(
    module: Any, query: torch.Tensor, cache: torch.Tensor, group: TokenGroup, scaling: float
) -> torch.Tensor:
    """Return the output [sequences, heads, head_dim] of one token of each sequence, [heads, sequences, head_dim]."""
    heads, count, head_dim = query.shape
    # [2, sequences, kv_heads, tokens, head_dim]
    pages = cache[:, group.table].flatten(2, 3).to(query.dtype).transpose(2, 3)
    # A hidden place may hold anything, NaN too, which a weight of 0 would not remove.
    keys, values = pages.masked_fill(group.mask.isinf()[:, None, :, None], 0)
    queries = query.transpose(0, 1).reshape(count, keys.shape[1], -1, head_dim)  # a key head's queries are neighbours
    scores = (queries @ keys.transpose(2, 3)).float() * scaling + group.mask[:, None, None]
    sink_scores = module.sinks.float().view(1, keys.shape[1], -1, 1).expand(count, -1, -1, 1)
    weights = torch.softmax(torch.cat((scores, sink_scores), dim=-1), dim=-1)[..., :-1].to(query.dtype)
    out: torch.Tensor = (weights @ values).view(count, heads, head_dim)
    return out


def _attend_in_tiles(
    module: Any, query: torch.Tensor, cache: torch.Tensor, table: torch.Tensor, start: int, scaling: float
) -> torch.Tensor:
    """Return the output [tokens, heads, head_dim] of one sequence's tokens, [heads, tokens, head_dim], from `start`."""
    count = query.shape[1]
    window = module.sliding_window or start + count
    first_block = max(0, start - window + 1) // BLOCK_TOKENS
    blocks = table[first_block : (start + count - 1) // BLOCK_TOKENS + 1]
    origin = first_block * BLOCK_TOKENS
    # [2, kv_heads, tokens, head_dim] from the position `origin`
    keys_and_values = cache[:, blocks].flatten(1, 2)[:, : start + count - origin].to(query.dtype).transpose(1, 2)
    is_flash = _has_flash_kernel(query)
    attend = _attend_without_scores if is_flash else _attend_eagerly
    length = min(start + count, window + count)
    size = max(1, MAX_TILE_MASK // length if is_flash else MAX_TILE_SCORES // (len(query) * length))
    parts = []
    for first in range(0, count, size):
        part = query[:, first : first + size]
        end = start + first + part.shape[1]
        visible = max(0, start + first - window + 1)
        keys, values = keys_and_values[:, :, visible - origin : end - origin]
        mask = _create_mask(start + first, end, visible, window, part)
        parts.append(attend(part, keys, values, mask, module.sinks, scaling))
    return torch.cat(parts) if len(parts) > 1 else parts[0]


def _create_mask(start: int, end: int, visible: int, window: int, query: torch.Tensor) -> torch.Tensor | None:
    """Return what is added to the scores of the tokens `start` to `end` and the keys `visible` to `end`.

    A single token sees all of its keys, so it needs no mask.
    """
    if end - start == 1:
        return None
    own = torch.arange(start, end, device=query.device)[:, None]
    other = torch.arange(visible, end, device=query.device)
    mask = torch.zeros(end - start, end - visible, dtype=query.dtype, device=query.device)
    return mask.masked_fill_((other > own) | (other <= own - window), float("-inf"))


def _has_flash_kernel(query: torch.Tensor) -> bool:
    """Return True if torch's flash kernel for CPUs can be used; its operator is not a public interface."""
    return query.device.type == "cpu" and hasattr(torch.ops.aten, "_scaled_dot_product_flash_attention_for_cpu")


def _attend_without_scores(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    sinks: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """Return the output of `_attend_eagerly`, but never store the scores.

    The output is that without a sink, times `sigmoid(log(sum(exp(scores))) - sink)`; torch's flash kernel returns both
    factors.
    """
    out, log_sum = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        query[None], keys[None], values[None], 0.0, False, attn_mask=mask, scale=scaling
    )
    share = torch.sigmoid(log_sum[0] - sinks.view(-1, 1).to(log_sum.dtype))
    result: torch.Tensor = (out[0] * share.unsqueeze(-1).to(out.dtype)).transpose(0, 1)
    return result


def _attend_eagerly(
    query: torch.Tensor,
    keys: torch.Tensor,
    values: torch.Tensor,
    mask: torch.Tensor | None,
    sinks: torch.Tensor,
    scaling: float,
) -> torch.Tensor:
    """Return the output [tokens, heads, head_dim].

    Args:
        query: [heads, tokens, head_dim].
        keys: [kv_heads, length, head_dim].
        values: As `keys`.
        mask: [tokens, length] or None.
        sinks: [heads].
        scaling: Factor of the scores.
    """
    heads, count, head_dim = query.shape
    groups = query.reshape(len(keys), -1, head_dim)  # the query heads of a key head follow one another
    scores = (groups @ keys.transpose(1, 2)).float().view(heads, count, -1) * scaling
    if mask is not None:
        scores += mask
    sink_scores = sinks.float().view(-1, 1, 1).expand(-1, count, 1)
    weights = torch.softmax(torch.cat((scores, sink_scores), dim=-1), dim=-1)[..., :-1].to(query.dtype)
    out = weights.reshape(len(keys), -1, weights.shape[-1]) @ values
    return out.view(heads, count, head_dim).transpose(0, 1)
