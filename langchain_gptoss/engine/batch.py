"""A forward pass of many requests: pure values between the scheduler and a runner."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

BLOCK_TOKENS = 16
"""Tokens in a block of the KV cache."""


@dataclass(frozen=True, kw_only=True)
class SequenceChunk:
    """The new tokens of one sequence: a part of its prompt, its last token, or its last token and drafts to verify.

    Attributes:
        token_ids: The new tokens; at least one.
        start: Position of the first of them, which is the number of the sequence's tokens in the KV cache.
        block_table: Blocks of the KV cache for the positions 0 to 15, 16 to 31, and so on, up to the last new token.
        logit_count: Number of new tokens, counted from the end, whose logits are requested.
    """

    token_ids: Sequence[int]
    start: int
    block_table: Sequence[int]
    logit_count: int = 0


@dataclass(frozen=True, kw_only=True)
class Batch:
    """The chunks of one forward pass, of different sequences.

    Attributes:
        chunks: The chunks; at least one.
    """

    chunks: tuple[SequenceChunk, ...]

    @cached_property
    def token_ids(self) -> npt.NDArray[np.int64]:
        """All new tokens in the order of the chunks, [tokens]."""
        return np.concatenate([np.asarray(chunk.token_ids, dtype=np.int64) for chunk in self.chunks])

    @property
    def token_count(self) -> int:
        """Number of new tokens."""
        return sum(len(chunk.token_ids) for chunk in self.chunks)

    @property
    def logit_count(self) -> int:
        """Number of tokens whose logits are requested."""
        return sum(chunk.logit_count for chunk in self.chunks)


@dataclass(frozen=True, kw_only=True)
class CacheLayout:
    """Sizes of a KV cache.

    Attributes:
        layers: Number of layers.
        kv_heads: Number of key and value heads.
        head_dim: Numbers in a key or value of one head.
        dtype: Type of the numbers: `"float16"`, `"bfloat16"` or `"float32"`.
    """

    layers: int
    kv_heads: int
    head_dim: int
    dtype: str = "float16"

    @property
    def token_bytes(self) -> int:
        """Size of the keys and values of one token in all layers, in bytes."""
        return 2 * self.layers * self.kv_heads * self.head_dim * (4 if self.dtype == "float32" else 2)

    @property
    def block_bytes(self) -> int:
        """Size of one block in all layers, in bytes."""
        return BLOCK_TOKENS * self.token_bytes
