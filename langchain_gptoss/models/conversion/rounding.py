"""Rounds matrices to MXFP4, with the better one of two scales for each block, and to int8.

The layout is that of the published checkpoints (see `engine.kernels.mxfp4`): 32 numbers share a power of two, and a
byte holds two numbers of four bits, the earlier one in its low half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch

BLOCK = 32
"""Numbers that share a scale."""

_CHUNK_BLOCKS = 4096  # small enough for a core's cache
_SCALE_BIAS = 127
_INT8_LARGEST = 127
_SMALLEST_INT8_BLOCK = 1e-32
_LARGEST = np.float32(6)
# Added to a number in [m, 2m) and subtracted again, m times this leaves one bit after the leading one.
_ONE_BIT = np.float32(0.75 * 2**23)
_EXPONENT_BITS = np.int32(0x7F80_0000)
_Floats = NDArray[np.float32]
_Integers = NDArray[np.int32]


@dataclass(frozen=True, kw_only=True)
class PackedMatrix:
    """A matrix in MXFP4.

    Attributes:
        blocks: uint8 [rows, columns / 32, 16].
        scales: uint8 [rows, columns / 32]: the exponent plus 127.
    """

    blocks: torch.Tensor
    scales: torch.Tensor


def round_to_mxfp4(matrix: torch.Tensor, *, factor_exponent: int = 0) -> PackedMatrix:
    """Round a matrix to MXFP4.

    Each block gets the scale with the smallest sum of squared errors (see `_choose_exponents`).

    Args:
        matrix: float32 [rows, columns], finite; the columns are a multiple of 32.
        factor_exponent: The result stands for the matrix times 2 to this power.
    """
    import torch

    rows, columns = matrix.shape
    values = matrix.contiguous().view(-1, BLOCK).numpy()
    blocks, scales = np.empty((len(values), BLOCK // 2), np.uint8), np.empty(len(values), np.uint8)

    for start in range(0, len(values), _CHUNK_BLOCKS):
        piece = slice(start, start + _CHUNK_BLOCKS)
        blocks[piece], scales[piece] = _round_blocks(values[piece], factor_exponent)
    groups = columns // BLOCK
    return PackedMatrix(
        blocks=torch.from_numpy(blocks).view(rows, groups, BLOCK // 2),
        scales=torch.from_numpy(scales).view(rows, groups),
    )


@dataclass(frozen=True, kw_only=True)
class Int8Matrix:
    """A matrix in int8.

    Attributes:
        values: int8 [rows, columns].
        scales: bfloat16 [rows, columns / 32].
    """

    values: torch.Tensor
    scales: torch.Tensor


def round_to_int8(matrix: torch.Tensor) -> Int8Matrix:
    """Round a matrix to int8 with one scale for 32 numbers of a row.

    The number with the largest magnitude always becomes 127 or -127. So the CPU kernel, which rounds again while it
    loads the matrix, finds the same scale and the same values.

    Args:
        matrix: float32 [rows, columns], finite; the columns are a multiple of 32.
    """
    import torch

    rows, columns = matrix.shape
    numbers = matrix.contiguous().view(-1, BLOCK).numpy()
    values, scales = np.empty(numbers.shape, np.int8), np.empty(len(numbers), np.uint16)
    for start in range(0, len(numbers), _CHUNK_BLOCKS):
        piece = slice(start, start + _CHUNK_BLOCKS)
        values[piece], scales[piece] = _round_blocks_to_int8(numbers[piece])
    return Int8Matrix(
        values=torch.from_numpy(values).view(rows, columns),
        scales=torch.from_numpy(scales).view(torch.bfloat16).view(rows, columns // BLOCK),
    )


def _round_blocks_to_int8(numbers: _Floats) -> tuple[NDArray[np.int8], NDArray[np.uint16]]:
    largest = np.abs(numbers).max(axis=1)
    bits = (((largest / np.float32(_INT8_LARGEST)).view(np.uint32) + 0x8000) >> 16).astype(np.uint16)  # to bfloat16
    bits[largest < _SMALLEST_INT8_BLOCK] = 0  # the kernel turns such blocks into zeros
    scales = (bits.astype(np.uint32) << 16).view(np.float32)
    factors = np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    rounded = numbers * factors[:, None]
    rounded += np.copysign(np.float32(0.5), rounded)  # a half goes away from zero, and then the fraction is cut off
    np.clip(rounded, -_INT8_LARGEST, _INT8_LARGEST, out=rounded)
    return rounded.astype(np.int8), bits


def _round_blocks(values: _Floats, factor_exponent: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    magnitudes = np.abs(values)
    exponents = _choose_exponents(magnitudes, factor_exponent)
    magnitudes *= _compute_powers(-exponents)[:, None]
    codes = _compute_codes(magnitudes)
    codes |= (values.view(np.uint32) >> 28).astype(np.uint8) & 8  # the sign
    pairs = codes.view(np.uint16)
    return (pairs | (pairs >> 4)).astype(np.uint8), (exponents + (factor_exponent + _SCALE_BIAS)).astype(np.uint8)


def _choose_exponents(magnitudes: _Floats, factor_exponent: int) -> _Integers:
    """Return the exponent of each block's scale.

    The first candidate makes the largest number 4 to 8, as the format's specification proposes. Numbers above 6 are
    clipped then, and only for such a block the next larger scale can be better: without clipping its numbers are a
    subset of the first's. The next smaller scale clips more, and is the best for almost no block.
    """
    largest = magnitudes.max(axis=1)
    exponents: _Integers = (largest.view(np.int32) >> 23) - (127 + 2)
    # Powers of two that float32 holds without loss, before and after the factor.
    np.clip(exponents, -120 - min(factor_exponent, 0), 120 - max(factor_exponent, 0), out=exponents)
    (clipped,) = np.nonzero(largest * _compute_powers(-exponents) > _LARGEST)
    scaled = magnitudes[clipped]
    scaled *= _compute_powers(-exponents[clipped])[:, None]
    errors = _sum_squared_errors(scaled)
    scaled *= np.float32(0.5)
    exponents[clipped] += errors > 4 * _sum_squared_errors(scaled)
    return exponents


def _compute_powers(exponents: _Integers) -> _Floats:
    return ((exponents + 127) << 23).astype(np.int32).view(np.float32)


def _sum_squared_errors(scaled: _Floats) -> _Floats:
    errors = _round_scaled(scaled)
    errors -= scaled
    result: _Floats = np.einsum("ij,ij->i", errors, errors)
    return result


def _round_scaled(scaled: _Floats) -> _Floats:
    """Return the nearest of 0, 0.5, 1, 1.5, 2, 3, 4 and 6; a number between two goes to the one with an even code."""
    clipped = np.minimum(scaled, _LARGEST)
    magic = (clipped.view(np.int32) & _EXPONENT_BITS).view(np.float32)
    np.maximum(magic, np.float32(1), out=magic)
    magic *= _ONE_BIT
    clipped += magic
    clipped -= magic
    return clipped


def _compute_codes(scaled: _Floats) -> NDArray[np.uint8]:
    """Return the codes of the nearest numbers, without signs."""
    bits = _round_scaled(scaled).view(np.int32)
    bits >>= 22
    # The exponent's last bit and the bit after the leading one count up from 1.0, which has the code 2. 0.5 is 252.
    codes = np.maximum(bits - 252, bits == 252)
    result: NDArray[np.uint8] = np.maximum(codes, 0).astype(np.uint8)
    return result
