"""The runner interface: the forward pass of one model over a paged KV cache.

A runner knows nothing of requests, sampling or scheduling. It owns the weights and the memory of the KV cache; the
scheduler decides which block holds which tokens. One thread calls a runner, except for `abort`.

A token's logits must not depend on the other tokens of the batch or on how its sequence was cut into chunks, so that a
greedy answer is the same alone, in a batch, after a prefix from the cache, and with drafts. A runner that guarantees
this bit by bit says so in `is_batch_invariant`; the others do up to rounding.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import Batch, CacheLayout


class Runner(ABC):
    """The forward pass of one loaded model.

    Attributes:
        vocabulary_size: Number of logits of one token.
        cache_layout: Sizes of the KV cache.
        arithmetic: Names everything that the numbers in the cache depend on besides the weights: the implementation,
            the formats of weights and activations. A saved prefix of another arithmetic is not loaded.
        is_batch_invariant: True if logits are bit by bit independent of the batch and of the chunks.
    """

    vocabulary_size: int
    cache_layout: CacheLayout
    arithmetic: str
    is_batch_invariant: bool

    @abstractmethod
    def allocate_cache(self, block_count: int) -> None:
        """Reserve the KV cache; memory is used when a block is first written.

        Args:
            block_count: Number of blocks; they are numbered from 0.

        Raises:
            GptOssMemoryError: The memory cannot be reserved.
        """

    @abstractmethod
    def forward(self, batch: Batch) -> torch.Tensor:
        """Append the batch's tokens to the cache and return the requested logits.

        A new token attends to the tokens before it in its own sequence, those of the same chunk included. Keys and
        values at the positions of the chunk are overwritten, whatever was there before.

        Returns:
            float32 [batch.logit_count, vocabulary_size] on the CPU, in the order of the chunks and their tokens.

        Raises:
            Cancelled: `abort` was called during the pass. The blocks at the batch's positions are then undefined.
            GptOssMemoryError: Memory ran out.
        """

    @abstractmethod
    def abort(self) -> None:
        """Stop the pass in progress before its next layer; do nothing without one. Any thread may call it."""

    @abstractmethod
    def read_blocks(self, blocks: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return a copy of blocks, [len(blocks), cache_layout.block_bytes], in a format that `write_blocks` takes."""

    @abstractmethod
    def write_blocks(self, blocks: Sequence[int], data: npt.NDArray[np.uint8]) -> None:
        """Overwrite blocks with what `read_blocks` returned, in this or in an earlier process."""

    @abstractmethod
    def close(self) -> None:
        """Free the model and the cache; a second call does nothing."""
