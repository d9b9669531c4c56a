"""int8 matrices of the kernel, [rows / 16, k / 2, 16, 2] with scales [rows / 16, k / 32, 16], to and from plain rows."""

import torch

BLOCK = 32
ROWS = 16


def interleave_rows(values: torch.Tensor, scales: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns [rows, k] and [rows, k / 32] in the layout of the kernel; rows that are added are zeros."""
    missing = -len(values) % ROWS
    padded, padded_scales = (torch.nn.functional.pad(part, (0, 0, 0, missing)) for part in (values, scales))
    groups, k = len(padded) // ROWS, values.shape[1]
    weights = padded.view(groups, ROWS, k // 2, 2).transpose(1, 2).contiguous()
    return weights, padded_scales.view(groups, ROWS, k // BLOCK).transpose(1, 2).contiguous()


def separate_rows(weights: torch.Tensor, scales: torch.Tensor, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns the values [rows, k] and scales [rows, k / 32] of a matrix in the layout of the kernel."""
    values = weights.transpose(1, 2).reshape(-1, weights.shape[1] * 2)
    return values[:rows], scales.transpose(1, 2).reshape(-1, scales.shape[1])[:rows]
