"""Matrices outside the experts, as a CPU wants them: int8 weights, float32 arithmetic.

A bfloat16 matrix costs twice the memory traffic, which is what bounds decode, and its arithmetic is many times slower
than float32's on processors without bfloat16 instructions. Rounding the weights to int8 with one scale per 32 of them
moves a product of normally distributed weights by 0.5 % of its size (root mean square); docs/hardware.md has the
measurement.
"""

from functools import cache

import torch
from torch import nn

from langchain_gptoss.engine.kernels.mxfp4 import BLOCK
from langchain_gptoss.engine.kernels.native import cpu_kernel
from langchain_gptoss.models.planning.operating_system import parse_fast_bfloat16, read_cpu_flags

_LARGEST = 127
_FEW = 16  # up to this many tokens, the kernel multiplies int8 rows directly
_PANEL = 512  # rows that are widened at a time for more tokens: 6 MB of float32 at gpt-oss's width stay in the cache


@cache
def has_fast_bfloat16() -> bool:
    """Returns whether the processor multiplies bfloat16 at least as fast as float32.

    Where it does, many tokens meet int8 matrices in bfloat16, 2.4 times as fast; that rounds as the model was trained.
    """
    return parse_fast_bfloat16(read_cpu_flags())


def quantized(weight: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns a matrix [rows, k] as int8 [rows, k] and bfloat16 scales [rows, k / 32]; k is a multiple of 32."""
    if (kernel := cpu_kernel()) is not None and weight.dtype in {torch.bfloat16, torch.float32}:
        return kernel.narrow(weight)
    rows = weight.float().view(weight.shape[0], -1, BLOCK)
    # Rounded up, so that the largest number of a block still fits.
    scales = _rounded_up(rows.abs().amax(dim=-1) / _LARGEST)
    divided = rows / scales.float().clamp_min(1e-35).unsqueeze(-1)
    return divided.round_().flatten(-2).to(torch.int8), scales


def _rounded_up(scale: torch.Tensor) -> torch.Tensor:
    """Returns positive float32 as bfloat16, away from zero."""
    return ((scale.contiguous().view(torch.int32) + 0xFFFF) & ~0xFFFF).view(torch.float32).to(torch.bfloat16)


def widened(values: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Returns an int8 matrix (see `quantized`) as float32."""
    if (kernel := cpu_kernel()) is not None:
        return kernel.widen(values, scales)
    return (values.float().view(values.shape[0], -1, BLOCK) * scales.float().unsqueeze(-1)).flatten(-2)


class Int8Linear(nn.Module):
    """A linear layer with int8 weights for the CPU; takes and gives float32."""

    weight: torch.Tensor
    scales: torch.Tensor
    bias: torch.Tensor | None

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor | None) -> None:
        """Rounds a matrix [rows, k] of any float type; the bias is [rows] or None."""
        super().__init__()
        values, scales = quantized(weight)
        self.register_buffer("weight", values)
        self.register_buffer("scales", scales)
        self.register_buffer("bias", None if bias is None else bias.float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Returns [..., rows] for [..., k]."""
        flat = x.reshape(-1, x.shape[-1])
        kernel = cpu_kernel()
        if kernel is not None and flat.shape[0] <= _FEW:
            out = kernel.dense(flat, self.weight, self.scales, self.bias)
        else:
            out = self._by_panels(flat)
        return out.view(*x.shape[:-1], -1)

    def _by_panels(self, x: torch.Tensor) -> torch.Tensor:
        out = x.new_empty(x.shape[0], self.weight.shape[0])
        dtype = torch.bfloat16 if has_fast_bfloat16() else torch.float32
        x = x.to(dtype)
        for first in range(0, self.weight.shape[0], _PANEL):
            end = first + _PANEL
            panel = widened(self.weight[first:end], self.scales[first:end])
            out[:, first:end] = torch.mm(x, panel.to(dtype).T)
        return out if self.bias is None else out.add_(self.bias)


class StoredEmbedding(nn.Module):
    """An embedding table that stays as the checkpoint has it; only the rows that are looked up are widened."""

    weight: torch.Tensor

    def __init__(self, weight: torch.Tensor) -> None:
        """Takes the table [vocabulary, hidden]; it may be mapped from a file."""
        super().__init__()
        self.register_buffer("weight", weight)

    def forward(self, ids: torch.Tensor) -> torch.Tensor:
        """Returns float32 [..., hidden] for token ids [...]."""
        return nn.functional.embedding(ids, self.weight).float()


class Bfloat16Linear(nn.Linear):
    """A linear layer with bfloat16 weights and arithmetic; takes and gives another type, such as float32."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        """Returns [..., rows] for [..., k]."""
        return super().forward(input.to(torch.bfloat16)).to(input.dtype)
