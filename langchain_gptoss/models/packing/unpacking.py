"""MXFP4, int8 and int4 numbers as floats."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

# Values of the codes; the code's highest bit is the sign.
_VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)
_SCALE_BIAS = 127
_NAN_SCALE = 255


def unpack_mxfp4(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return a matrix in MXFP4 as float32, [rows, columns].

    Args:
        blocks: uint8 [rows, columns / 32, 16]; the earlier of two numbers is in the low half of a byte.
        scales: uint8 [rows, columns / 32]: the exponent plus 127; 255 is NaN.
    """
    import torch

    values = torch.tensor(_VALUES)
    pairs = torch.stack((values.repeat(16), values.repeat_interleave(16)), dim=-1)  # of each byte
    factors = torch.exp2(scales.float() - _SCALE_BIAS).masked_fill_(scales == _NAN_SCALE, torch.nan)
    unpacked: torch.Tensor = torch.nn.functional.embedding(blocks.int(), pairs).flatten(-2)
    return unpacked.mul_(factors.unsqueeze(-1)).flatten(-2)


def unpack_int8(values: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return a matrix in int8 as float32, [rows, columns].

    Args:
        values: int8 [rows, columns].
        scales: bfloat16 [rows, columns / 32].
    """
    grouped = values.float().view(*scales.shape, -1)
    unpacked: torch.Tensor = grouped.mul_(scales.float().unsqueeze(-1))
    return unpacked.flatten(-2)


def unpack_int4(values: torch.Tensor, scales: torch.Tensor, minimums: torch.Tensor) -> torch.Tensor:
    """Return a matrix in int4 as float32, [..., rows, columns].

    Args:
        values: uint8 [..., rows, columns / 32, 16]; the earlier of two numbers is in the low half of a byte.
        scales: float16 [..., rows, columns / 32].
        minimums: float16 [..., rows, columns / 32].
    """
    import torch

    codes = torch.stack((values & 15, values >> 4), dim=-1).flatten(-2).float()
    unpacked: torch.Tensor = codes.mul_(scales.float().unsqueeze(-1)).add_(minimums.float().unsqueeze(-1))
    return unpacked.flatten(-2)
