"""A runner that has the memory of a KV cache and no model."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import Batch, CacheLayout
from langchain_gptoss.engine.runners.base import Runner

LAYOUT = CacheLayout(layers=2, kv_heads=1, head_dim=4)


class MemoryRunner(Runner):
    """A runner whose blocks are read and written by tests."""

    vocabulary_size = 1000
    cache_layout = LAYOUT
    arithmetic = "memory"
    is_batch_invariant = True

    def __init__(self) -> None:
        self.memory = np.zeros((0, LAYOUT.block_bytes), dtype=np.uint8)

    def allocate_cache(self, block_count: int) -> None:
        """Make the memory."""
        self.memory = np.zeros((block_count, self.cache_layout.block_bytes), dtype=np.uint8)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Tests compute nothing."""
        raise NotImplementedError

    def abort(self) -> None:
        """There is no pass to stop."""

    def read_blocks(self, blocks: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return a copy of the blocks."""
        return self.memory[list(blocks)]

    def write_blocks(self, blocks: Sequence[int], data: npt.NDArray[np.uint8]) -> None:
        """Overwrite the blocks."""
        self.memory[list(blocks)] = data

    def close(self) -> None:
        """There is nothing to free."""
