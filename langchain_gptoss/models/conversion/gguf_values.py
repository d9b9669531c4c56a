"""Numbers of the tensors of a GGUF file, in the types that published files use.

Source of the block layouts: ggml's `ggml-common.h` and `ggml-quants.c`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.conversion.gguf_file import GgufFile
from langchain_gptoss.models.conversion.int4 import Int4Matrix, build_int4_matrix
from langchain_gptoss.models.conversion.rounding import BLOCK

if TYPE_CHECKING:
    import torch

# A piece fits into a core's cache, and torch copies it without waiting for other threads.
_CHUNK_NUMBERS = 32_768

Blocks = NDArray[np.uint8]
Numbers = NDArray[np.float32]


def read_gguf_tensor(file: GgufFile, name: str, dtype: torch.dtype, *, rows: int | None = None) -> torch.Tensor:
    """Return a tensor of a GGUF file.

    Args:
        file: The file.
        name: Name of the tensor in the file.
        dtype: Type of the result.
        rows: Number of rows to read; None reads all.

    Raises:
        CheckpointError: The tensor is stored in a type that this package does not read.
    """
    import torch

    tensor = file.tensors[name]
    dequantize = _get_dequantizer(file, name)
    shape = tensor.shape if rows is None else (min(rows, tensor.shape[0]), *tensor.shape[1:])
    result = torch.empty(shape, dtype=dtype)
    numbers = result.view(-1, tensor.type.block)
    blocks = file.read_blocks(name)[: len(numbers)]
    step = max(1, _CHUNK_NUMBERS // tensor.type.block)
    for start in range(0, len(blocks), step):
        numbers[start : start + step].copy_(torch.from_numpy(dequantize(blocks[start : start + step])))
    return result


def read_gguf_int4(file: GgufFile, name: str, *, factor: float = 1.0) -> Int4Matrix | None:
    """Return a matrix of a GGUF file with the four bits of each number as they are; None if it has not four.

    Args:
        file: The file.
        name: Name of the matrix in the file.
        factor: The result stands for the matrix times this.
    """
    tensor = file.tensors[name]
    if tensor.type.name not in _INT4_READERS:
        return None
    read, blocks = _INT4_READERS[tensor.type.name], file.read_blocks(name)
    count = len(blocks) * tensor.type.block // BLOCK
    codes = np.empty((count, BLOCK), np.uint8)
    scales, minimums = np.empty(count, np.float32), np.empty(count, np.float32)
    step, groups = _CHUNK_NUMBERS // tensor.type.block, tensor.type.block // BLOCK
    for start in range(0, len(blocks), step):
        piece = slice(start * groups, (start + step) * groups)
        codes[piece], scales[piece], minimums[piece] = read(blocks[start : start + step])
    return build_int4_matrix(codes, scales * np.float32(factor), minimums * np.float32(factor), rows=tensor.shape[0])


def check_types(file: GgufFile) -> None:
    """Check that every tensor has a type that this package reads.

    Raises:
        CheckpointError: A tensor has another type.
    """
    for name in file.tensors:
        _get_dequantizer(file, name)


def _get_dequantizer(file: GgufFile, name: str) -> Callable[[Blocks], Numbers]:
    kind = file.tensors[name].type.name
    if kind not in _DEQUANTIZERS:
        raise CheckpointError(
            f"{str(file.path)!r} stores {name!r} as {kind}; this package reads {', '.join(_DEQUANTIZERS)}.",
            hint="Use a file in Q4_K_M, Q6_K, Q8_0, F16 or BF16, or the model's safetensors checkpoint.",
        )
    return _DEQUANTIZERS[kind]


def _read_halves(blocks: Blocks, start: int) -> Numbers:
    """Return the float16 number at a byte of each block, [blocks, 1]."""
    return np.ascontiguousarray(blocks[:, start : start + 2]).view(np.float16).astype(np.float32)


def _read_f32(blocks: Blocks) -> Numbers:
    return np.array(blocks).view(np.float32)


def _read_f16(blocks: Blocks) -> Numbers:
    return np.ascontiguousarray(blocks).view(np.float16).astype(np.float32)


def _read_bf16(blocks: Blocks) -> Numbers:
    return (np.ascontiguousarray(blocks).view(np.uint16).astype(np.uint32) << 16).view(np.float32)


def _split_nibbles(values: Blocks) -> NDArray[np.uint8]:
    """Return the low halves of all bytes of each block, followed by the high halves."""
    return np.concatenate((values & 15, values >> 4), axis=-1)


def _read_fifth_bits(blocks: Blocks, start: int) -> NDArray[np.uint8]:
    """Return the fifth bits of 32 numbers, each as 0 or 16."""
    bits = np.unpackbits(np.ascontiguousarray(blocks[:, start : start + 4]), axis=-1, bitorder="little")
    return bits << np.uint8(4)


def _dequantize_q4_0(blocks: Blocks) -> Numbers:
    return (_split_nibbles(blocks[:, 2:]).astype(np.float32) - 8) * _read_halves(blocks, 0)


def _dequantize_q4_1(blocks: Blocks) -> Numbers:
    return _split_nibbles(blocks[:, 4:]).astype(np.float32) * _read_halves(blocks, 0) + _read_halves(blocks, 2)


def _dequantize_q5_0(blocks: Blocks) -> Numbers:
    values = _split_nibbles(blocks[:, 6:]) | _read_fifth_bits(blocks, 2)
    return (values.astype(np.float32) - 16) * _read_halves(blocks, 0)


def _dequantize_q5_1(blocks: Blocks) -> Numbers:
    values = _split_nibbles(blocks[:, 8:]) | _read_fifth_bits(blocks, 4)
    return values.astype(np.float32) * _read_halves(blocks, 0) + _read_halves(blocks, 2)


def _dequantize_q8_0(blocks: Blocks) -> Numbers:
    return np.ascontiguousarray(blocks[:, 2:]).view(np.int8).astype(np.float32) * _read_halves(blocks, 0)


def _unpack_scales(blocks: Blocks) -> tuple[Numbers, Numbers]:
    """Return scale and offset of the eight groups of a Q4_K or Q5_K block, [blocks, 8, 1]: six bits each."""
    low, middle, high = blocks[:, 4:8], blocks[:, 8:12], blocks[:, 12:16]
    scales = np.concatenate((low & 63, (high & 15) | ((low >> 2) & 48)), axis=-1)
    offsets = np.concatenate((middle & 63, (high >> 4) | ((middle >> 2) & 48)), axis=-1)
    scale = _read_halves(blocks, 0) * scales.astype(np.float32)
    offset = _read_halves(blocks, 2) * offsets.astype(np.float32)
    return scale[:, :, None], offset[:, :, None]


def _split_groups(values: Blocks) -> NDArray[np.uint8]:
    """Return the four-bit numbers of 128 bytes as eight groups of 32, [blocks, 8, 32]."""
    pairs = values.reshape(-1, 4, 32)
    groups = np.empty((len(values), 4, 2, 32), np.uint8)
    np.bitwise_and(pairs, 15, out=groups[:, :, 0])
    np.right_shift(pairs, 4, out=groups[:, :, 1])
    return groups.reshape(-1, 8, 32)


def _dequantize_q4_k(blocks: Blocks) -> Numbers:
    scale, offset = _unpack_scales(blocks)
    result = _split_groups(blocks[:, 16:]).astype(np.float32)
    result *= scale
    result -= offset
    return result.reshape(-1, 256)


def _dequantize_q5_k(blocks: Blocks) -> Numbers:
    scale, offset = _unpack_scales(blocks)
    # Bit i of the 32 bytes holds the fifth bits of group i.
    shifts = np.arange(8, dtype=np.uint8)[:, None]
    fifth = ((blocks[:, None, 16:48] >> shifts) & 1) << 4
    result = (_split_groups(blocks[:, 48:]) | fifth).astype(np.float32)
    result *= scale
    result -= offset
    return result.reshape(-1, 256)


def _dequantize_q6_k(blocks: Blocks) -> Numbers:
    low = blocks[:, :128].reshape(-1, 2, 2, 32)
    high = blocks[:, 128:192].reshape(-1, 2, 32)
    values = np.empty((len(blocks), 2, 4, 32), np.uint8)
    np.bitwise_and(low, 15, out=values[:, :, :2])
    np.right_shift(low, 4, out=values[:, :, 2:])
    for group in range(4):
        values[:, :, group] |= ((high >> (2 * group)) & 3) << 4
    scale = np.ascontiguousarray(blocks[:, 192:208]).view(np.int8).astype(np.float32) * _read_halves(blocks, 208)
    result = values.reshape(-1, 16, 16).astype(np.float32)
    result -= 32
    result *= scale[:, :, None]
    return result.reshape(-1, 256)


_Int4Blocks = tuple[Blocks, Numbers, Numbers]
"""Codes [blocks, 32], scales [blocks] and minimums [blocks]; a block has 32 numbers."""


def _split_q4_0(blocks: Blocks) -> _Int4Blocks:
    scales = _read_halves(blocks, 0)[:, 0]
    return _split_nibbles(blocks[:, 2:]), scales, -8 * scales


def _split_q4_1(blocks: Blocks) -> _Int4Blocks:
    return _split_nibbles(blocks[:, 4:]), _read_halves(blocks, 0)[:, 0], _read_halves(blocks, 2)[:, 0]


def _split_q4_k(blocks: Blocks) -> _Int4Blocks:
    scales, offsets = _unpack_scales(blocks)
    return _split_groups(blocks[:, 16:]).reshape(-1, BLOCK), scales.reshape(-1), -offsets.reshape(-1)


_INT4_READERS: dict[str, Callable[[Blocks], _Int4Blocks]] = {
    "Q4_0": _split_q4_0,
    "Q4_1": _split_q4_1,
    "Q4_K": _split_q4_k,
}
_DEQUANTIZERS: dict[str, Callable[[Blocks], Numbers]] = {
    "F32": _read_f32,
    "F16": _read_f16,
    "BF16": _read_bf16,
    "Q4_0": _dequantize_q4_0,
    "Q4_1": _dequantize_q4_1,
    "Q5_0": _dequantize_q5_0,
    "Q5_1": _dequantize_q5_1,
    "Q8_0": _dequantize_q8_0,
    "Q4_K": _dequantize_q4_k,
    "Q5_K": _dequantize_q5_k,
    "Q6_K": _dequantize_q6_k,
}
