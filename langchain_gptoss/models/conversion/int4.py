"""Rounds matrices to int4: numbers of four bits, with a scale and a minimum for every 32 of a row.

A number is its four bits times the scale plus the minimum. A byte holds two numbers, the earlier one in its low half.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from langchain_gptoss.models.conversion.rounding import BLOCK

if TYPE_CHECKING:
    import torch

INT4_BLOCK_BYTES = BLOCK // 2
"""Size of the values of a block, without its scale and minimum."""

_LARGEST = 15
_LARGEST_HALF = np.float32(65504)  # of float16
_CHUNK_BLOCKS = 4096  # small enough for a core's cache
# Steps between the smallest and the largest number of a block. Fewer steps than 15 leave codes unused, more of them
# clip the largest number. Of normally distributed numbers 7.2 % are lost, and 7.5 % with 15 alone.
_STEPS = (15.0, 14.2, 15.8, 13.4)
_Floats = NDArray[np.float32]
_Bytes = NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True)
class Int4Matrix:
    """A matrix in int4.

    Attributes:
        values: uint8 [rows, columns / 32, 16].
        scales: float16 [rows, columns / 32].
        minimums: float16 [rows, columns / 32].
    """

    values: torch.Tensor
    scales: torch.Tensor
    minimums: torch.Tensor

    def pad(self, *, rows: int, columns: int) -> Int4Matrix:
        """Return the matrix with zeros after its rows and columns.

        Args:
            rows: Rows of the result.
            columns: Columns of the result, a multiple of 32.
        """
        from torch.nn.functional import pad

        missing_rows, missing_blocks = rows - self.scales.shape[0], columns // BLOCK - self.scales.shape[1]
        return Int4Matrix(
            values=pad(self.values, (0, 0, 0, missing_blocks, 0, missing_rows)),
            scales=pad(self.scales, (0, missing_blocks, 0, missing_rows)),
            minimums=pad(self.minimums, (0, missing_blocks, 0, missing_rows)),
        )


def build_int4_matrix(codes: _Bytes, scales: _Floats, minimums: _Floats, *, rows: int) -> Int4Matrix:
    """Return a matrix from the blocks of its rows, one after another.

    Args:
        codes: [blocks, 32], from 0 to 15.
        scales: [blocks].
        minimums: [blocks].
        rows: Rows of the matrix.
    """
    import torch

    return Int4Matrix(
        values=torch.from_numpy(_join_codes(codes)).view(rows, -1, INT4_BLOCK_BYTES),
        scales=torch.from_numpy(_round_to_half(scales)).view(rows, -1),
        minimums=torch.from_numpy(_round_to_half(minimums)).view(rows, -1),
    )


def round_to_int4(matrix: torch.Tensor) -> Int4Matrix:
    """Round a matrix to int4.

    For each block several scales are tried. The scale and the minimum that fit the rounded numbers best, by least
    squares, are those of the one with the smallest error, and the numbers are rounded once more with them.

    Args:
        matrix: float32 [rows, columns], finite; the columns are a multiple of 32.
    """
    numbers = matrix.contiguous().view(-1, BLOCK).numpy()
    codes = np.empty(numbers.shape, np.uint8)
    scales, minimums = np.empty(len(numbers), np.float32), np.empty(len(numbers), np.float32)
    for start in range(0, len(numbers), _CHUNK_BLOCKS):
        piece = slice(start, start + _CHUNK_BLOCKS)
        turned = np.clip(numbers[piece].T, -_LARGEST_HALF, _LARGEST_HALF, order="C")  # columns are added up faster
        scales[piece], minimums[piece] = _fit_blocks(turned)
        codes[piece] = _compute_codes(turned, scales[piece], minimums[piece]).T
    return build_int4_matrix(codes, scales, minimums, rows=matrix.shape[0])


def _fit_blocks(turned: _Floats) -> tuple[_Floats, _Floats]:
    """Return scale and minimum of each block, as float16 has them; a column of `turned` is a block."""
    lowest, means = turned.min(axis=0), turned.mean(axis=0)
    ranges = turned.max(axis=0) - lowest
    best, scales, minimums = np.zeros_like(means), np.zeros_like(means), means.copy()
    distances, centred = turned - lowest, turned - means
    codes, products = np.empty_like(turned), np.empty_like(turned)
    for steps in _STEPS:
        factors = np.divide(np.float32(steps), ranges, out=np.zeros_like(ranges), where=ranges > 0)
        np.rint(np.multiply(distances, factors, out=codes), out=codes)
        np.minimum(codes, np.float32(_LARGEST), out=codes)
        code_means = codes.mean(axis=0)
        covariances = np.multiply(codes, centred, out=products).sum(axis=0)
        variances = np.multiply(codes, codes, out=products).sum(axis=0) - BLOCK * code_means * code_means
        slopes = np.divide(covariances, variances, out=np.zeros_like(variances), where=variances > 0)
        explained = covariances * slopes  # the sum of squared errors is that of the block less this
        is_better = explained > best
        np.copyto(best, explained, where=is_better)
        np.copyto(scales, slopes, where=is_better)
        np.copyto(minimums, means - slopes * code_means, where=is_better)
    return _round_to_half(scales).astype(np.float32), _round_to_half(minimums).astype(np.float32)


def _compute_codes(turned: _Floats, scales: _Floats, minimums: _Floats) -> _Bytes:
    codes = turned - minimums
    codes *= np.divide(1, scales, out=np.zeros_like(scales), where=scales > 0)
    np.rint(codes, out=codes)
    np.maximum(codes, 0, out=codes)
    np.minimum(codes, np.float32(_LARGEST), out=codes)
    return codes.astype(np.uint8)


def _join_codes(codes: _Bytes) -> _Bytes:
    pairs = codes.view(np.uint16)  # the earlier code is the low byte
    result: _Bytes = (pairs | (pairs >> 4)).astype(np.uint8)
    return result


def _round_to_half(numbers: _Floats) -> NDArray[np.float16]:
    return np.clip(numbers, -_LARGEST_HALF, _LARGEST_HALF).astype(np.float16)
