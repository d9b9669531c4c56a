"""A runner whose whole forward pass is C code, for CPUs.

It needs no module of transformers, so a model is ready within seconds. See `src/forward.h` for the arithmetic.
"""

import mmap
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch

from langchain_gptoss.engine.batch import BLOCK_TOKENS, Batch, CacheLayout
from langchain_gptoss.engine.kernels.forward import ForwardPass
from langchain_gptoss.engine.kernels.memory import advise_huge_pages
from langchain_gptoss.engine.kernels.native import Kernel, get_cpu_kernel, get_kernel_status
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.runners.native_config import read_native_config
from langchain_gptoss.engine.runners.native_weights import NativeFormats, load_native_model
from langchain_gptoss.errors import GptOssError, GptOssMemoryError, KernelError

_MIN_ROTATION_POSITIONS = 4096
_VERSION = 1  # of the arithmetic; another number makes saved prefixes invalid


class NativeRunner(Runner):
    """Runs a gpt_oss checkpoint on the CPU."""

    is_batch_invariant = True

    def __init__(
        self,
        folder: Path,
        *,
        formats: NativeFormats | None = None,
        kernel: Kernel | None = None,
        report: Callable[[int], object] = lambda _: None,
    ) -> None:
        """Load a checkpoint.

        Args:
            folder: A checked gpt_oss checkpoint.
            formats: Types of the weights and activations; None means the default ones.
            kernel: The CPU kernel; None means the best of this machine.
            report: Called with the number of bytes read since the last call.

        Raises:
            CheckpointError: Weights are missing or superfluous, or their shapes contradict the config.
            GptOssMemoryError: Memory ran out.
            KernelError: This machine has no CPU kernel.
        """
        formats, kernel = formats or NativeFormats(), kernel or get_cpu_kernel()
        if kernel is None:
            raise KernelError(f"The native runner has no CPU kernel: {get_kernel_status().reason}.")
        config = read_native_config(folder)
        try:
            model = load_native_model(folder, config, formats, kernel, report)
        except (MemoryError, RuntimeError) as error:
            if not isinstance(error, MemoryError) and "allocate memory" not in str(error):
                raise
            raise GptOssMemoryError(
                f"{str(folder)!r} does not fit into memory.", hint="Close other programs, or choose a smaller model."
            ) from error
        self.vocabulary_size = config.shape.vocabulary
        self.cache_layout = CacheLayout(
            layers=config.shape.layers, kv_heads=config.shape.kv_heads, head_dim=model.head_dim, dtype="float16"
        )
        self.arithmetic = f"native {_VERSION}: {formats.describe()}"
        self._pass: ForwardPass | None = ForwardPass(kernel, model)
        self._cache: npt.NDArray[np.uint16] | None = None
        self._frequencies = torch.zeros(model.head_dim // 2)
        self._frequencies[: len(config.frequencies)] = config.frequencies
        self._rotation_scale = config.rotation_scale
        self._rotation = torch.empty(0, model.head_dim // 2), torch.empty(0, model.head_dim // 2)

    def allocate_cache(self, block_count: int) -> None:
        """Reserve the KV cache; see `Runner.allocate_cache`."""
        layout = self.cache_layout
        self._cache = None
        try:
            memory = mmap.mmap(-1, max(block_count, 1) * layout.block_bytes, flags=mmap.MAP_PRIVATE)
            advise_huge_pages(memory, is_wanted=False)  # the first block would take 2 MB of each layer
        except (OSError, ValueError, OverflowError) as error:
            raise GptOssMemoryError(
                f"A KV cache of {block_count * layout.block_bytes:,} bytes cannot be reserved.",
                hint="Choose a shorter context or a smaller cache, or close other programs.",
            ) from error
        block_size = layout.kv_heads * BLOCK_TOKENS * layout.head_dim
        count = layout.layers * 2 * block_count * block_size
        self._cache = np.frombuffer(memory, np.uint16, count).reshape(layout.layers, 2, block_count, block_size)

    def forward(self, batch: Batch) -> torch.Tensor:
        """Append the batch's tokens to the cache and return the requested logits; see `Runner.forward`."""
        last = max(chunk.start + len(chunk.token_ids) for chunk in batch.chunks)
        return self._get_pass().run(batch, self._get_cache(), self._compute_rotation(last))

    def _compute_rotation(self, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Return cosine and sine for at least `count` positions. A position's numbers are computed once."""
        known = self._rotation[0].shape[0]
        if count > known:
            end = max(count, 2 * known, _MIN_ROTATION_POSITIONS)
            angles = torch.arange(known, end, dtype=torch.float32)[:, None] * self._frequencies
            cos, sin = angles.cos() * self._rotation_scale, angles.sin() * self._rotation_scale
            self._rotation = torch.cat((self._rotation[0], cos)), torch.cat((self._rotation[1], sin))
        return self._rotation

    def abort(self) -> None:
        """Stop the pass in progress before its next layer; see `Runner.abort`."""
        forward_pass = self._pass
        if forward_pass is not None:
            forward_pass.abort()

    def read_blocks(self, blocks: Sequence[int]) -> npt.NDArray[np.uint8]:
        """Return a copy of blocks; see `Runner.read_blocks`."""
        data = self._get_cache()[:, :, np.asarray(blocks, dtype=np.int64)]
        return np.ascontiguousarray(data.transpose(2, 0, 1, 3)).reshape(len(blocks), -1).view(np.uint8)

    def write_blocks(self, blocks: Sequence[int], data: npt.NDArray[np.uint8]) -> None:
        """Overwrite blocks; see `Runner.write_blocks`."""
        cache = self._get_cache()
        values = np.ascontiguousarray(data).view(np.uint16).reshape(len(blocks), *cache.shape[:2], cache.shape[3])
        cache[:, :, np.asarray(blocks, dtype=np.int64)] = values.transpose(1, 2, 0, 3)

    def close(self) -> None:
        """Free the model and the cache; a second call does nothing."""
        forward_pass, self._pass, self._cache = self._pass, None, None
        if forward_pass is not None:
            forward_pass.close()

    def _get_pass(self) -> ForwardPass:
        if self._pass is None:
            raise GptOssError("The runner was closed, so it has no model.", hint="Load the model again.")
        return self._pass

    def _get_cache(self) -> npt.NDArray[np.uint16]:
        if self._cache is None:
            raise GptOssError("The runner has no KV cache.", hint="Call allocate_cache first.")
        return self._cache
