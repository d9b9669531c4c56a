"""Matrices outside the experts, in the form that suits a CPU: int8 weights, float32 arithmetic.

Memory traffic limits decode, and a bfloat16 matrix needs twice as much of it. Its arithmetic is also many times slower
than that of float32 on processors without bfloat16 instructions. Rounding the weights to int8 with one scale per 32 of
them changes a product of normally distributed weights by 0.5 % (root mean square); docs/hardware.md has the
measurement.
"""

from functools import cache

import torch
from torch import nn

from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import get_cpu_kernel
from langchain_gptoss.models.planning.operating_system import parse_fast_bfloat16, read_cpu_flags

_INT8_MAX = 127
GEMV_MAX_TOKENS = 16
"""Up to this many tokens the kernel multiplies int8 rows directly."""
PANEL_ROWS = 512
"""Rows that are dequantized at a time for more tokens: 6 MB of float32 at gpt-oss's width, which the cache holds."""


@cache
def has_fast_bfloat16() -> bool:
    """Return True if the processor multiplies bfloat16 at least as fast as float32.

    Then products with many tokens use bfloat16, which is 2.4 times as fast; the model was trained with its rounding.
    """
    return parse_fast_bfloat16(read_cpu_flags())


def quantize_int8(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round a matrix to int8 with one scale per 32 numbers of a row.

    Args:
        weight: Floats [rows, k]; k is a multiple of 32.

    Returns:
        int8 [rows, k] and bfloat16 scales [rows, k / 32].
    """
    if (kernel := get_cpu_kernel()) is not None and weight.dtype in {torch.bfloat16, torch.float32}:
        return kernel.quantize_int8(weight)
    rows = weight.float().view(weight.shape[0], -1, BLOCK)
    # Rounded up, so that the largest number of a block stays in the range of int8.
    scales = _round_up_to_bfloat16(rows.abs().amax(dim=-1) / _INT8_MAX)
    quotients = rows / scales.float().clamp_min(1e-35).unsqueeze(-1)
    return quotients.round_().flatten(-2).to(torch.int8), scales


def _round_up_to_bfloat16(scale: torch.Tensor) -> torch.Tensor:
    """Return positive float32 numbers as bfloat16, rounded away from zero."""
    return ((scale.contiguous().view(torch.int32) + 0xFFFF) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


def dequantize_int8(values: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return an int8 matrix as float32 [rows, k]; the inverse of `quantize_int8`, except for its rounding."""
    if (kernel := get_cpu_kernel()) is not None:
        return kernel.dequantize_int8(values, scales)
    return (values.float().view(values.shape[0], -1, BLOCK) * scales.float().unsqueeze(-1)).flatten(-2)


class Int8Linear(nn.Module):
    """A linear layer with int8 weights for the CPU; input and output are float32."""

    weight: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Round the weights.

        Args:
            weight: [rows, k], any float type.
            bias: [rows] or None.
        """
        super().__init__()
        values, scales = quantize_int8(weight)
        self.register_buffer("weight", values)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if bias is None else bias.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return [..., rows] for [..., k]."""
        flat = x.reshape(-1, x.shape[-1])
        kernel = get_cpu_kernel()
        if kernel is not None and flat.shape[0] <= GEMV_MAX_TOKENS:
            out = kernel.multiply_int8(flat, self.weight, self.scales, self.bias)
        else:
            out = self._multiply_by_panels(flat)
        return out.view(*x.shape[:-1], -1)

    def _multiply_by_panels(self, x: torch.Tensor) -> torch.Tensor:
        out = x.new_empty(x.shape[0], self.weight.shape[0])
        dtype = torch.bfloat16 if has_fast_bfloat16() else torch.float32
        x = x.to(dtype)
        for first in range(0, self.weight.shape[0], PANEL_ROWS):
            end = first + PANEL_ROWS
            panel = dequantize_int8(self.weight[first:end], self.scales[first:end])
            out[:, first:end] = torch.mm(x, panel.to(dtype).T)
        return out if self.bias is None else out.add_(self.bias)


class StoredEmbedding(nn.Module):
    """An embedding table in the checkpoint's own type; only the rows that are used become float32."""

    weight: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        """Keep the table.

        Args:
            weight: [vocabulary, hidden]; it may be mapped from a file.
        """
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Return float32 [..., hidden] for token ids [...]."""
        return nn.functional.embedding(ids, self.weight).float()


class Bfloat16Linear(nn.Linear):
    """A linear layer with bfloat16 weights and arithmetic between layers of another type, such as float32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Return [..., rows] for [..., k]."""
        return super().forward(input.to(torch.bfloat16)).to(input.dtype)
