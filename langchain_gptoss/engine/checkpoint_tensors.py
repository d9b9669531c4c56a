"""The tensors of a checkpoint, mapped from its files: they take no memory before their first use."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.safetensors_files import StoredTensor, list_weight_files, read_header

_TORCH_TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "F16": torch.float16, "U8": torch.uint8, "I8": torch.int8}


def iterate_tensors(folder: Path) -> Iterator[tuple[str, torch.Tensor]]:
    """Yield every tensor of a checkpoint by name; its memory is free when the last reference is gone.

    Raises:
        CheckpointError: A tensor has a type that gpt_oss checkpoints do not use, or a file is damaged.
    """
    for file in list_weight_files(folder):
        for name, stored in read_header(file).items():
            if stored.dtype not in _TORCH_TYPES:
                raise CheckpointError(
                    f"{name!r} has the type {stored.dtype}, which gpt_oss checkpoints do not use.",
                    hint="Copy or fetch the checkpoint again.",
                )
            yield name, _map_tensor(file, stored)


def dequantize_int8(values: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return the numbers of int8 experts, [..., rows, columns]; float32 holds them exactly.

    Args:
        values: int8 [..., rows, columns].
        scales: bfloat16 [..., rows, columns / 32].
        dtype: Type of the result.
    """
    blocks = values.float().view(*scales.shape, -1)
    result = blocks.mul_(scales.float().unsqueeze(-1)).view(values.shape)
    return result.to(dtype)


def _map_tensor(file: Path, stored: StoredTensor) -> torch.Tensor:
    dtype = _TORCH_TYPES[stored.dtype]
    if not stored.count:
        return torch.empty(stored.shape, dtype=dtype)
    # Copy-on-write, because torch requires writable memory; nothing writes to it.
    memory = np.memmap(file, dtype=np.uint8, mode="c", offset=stored.start, shape=(stored.nbytes,))
    return torch.from_numpy(memory).view(dtype).reshape(stored.shape)
