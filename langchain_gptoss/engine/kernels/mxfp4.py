"""MXFP4 in plain torch: correct on every device, and the reference for the kernels.

The layout is that of the published checkpoints (OCP Microscaling Formats 1.0; transformers' `integrations/mxfp4.py`):
blocks of 32 numbers share a power of two as their scale, and a byte holds two numbers, the earlier one in its low
nibble.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch

BLOCK = 32
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


@dataclass(frozen=True, kw_only=True)
class PackedExperts:
    """The experts of one layer in the checkpoint's own layout.

    Attributes:
        gate_up_blocks: uint8 [experts, 2 * intermediate, hidden / 32, 16]; gate rows and up rows alternate.
        gate_up_scales: uint8 [experts, 2 * intermediate, hidden / 32].
        gate_up_bias: [experts, 2 * intermediate].
        down_blocks: uint8 [experts, hidden, intermediate / 32, 16].
        down_scales: uint8 [experts, hidden, intermediate / 32].
        down_bias: [experts, hidden].
        alpha: Factor inside the sigmoid of the gate.
        limit: Upper bound of gate values, and bound of the magnitude of up values.
    """

    gate_up_blocks: torch.Tensor
    gate_up_scales: torch.Tensor
    gate_up_bias: torch.Tensor
    down_blocks: torch.Tensor
    down_scales: torch.Tensor
    down_bias: torch.Tensor
    alpha: float
    limit: float


def dequantize_mxfp4(blocks: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Return MXFP4 numbers as floats, shape [..., 32 * blocks].

    Args:
        blocks: uint8 [..., blocks, 16].
        scales: uint8 [..., blocks]: the exponent plus 127; 255 is NaN.
        dtype: Type of the result; float32 and bfloat16 hold every MXFP4 number exactly.
    """
    pairs = _build_pair_table(blocks.device)
    values = torch.nn.functional.embedding(blocks.int(), pairs).flatten(-2)
    factor = torch.exp2(scales.float() - 127).masked_fill_(scales == 255, torch.nan)
    return values.mul_(factor.unsqueeze(-1)).flatten(-2).to(dtype)


def _build_pair_table(device: torch.device) -> torch.Tensor:
    """Return the two numbers of each byte, [256, 2]: one lookup for both halves the work."""
    table = torch.tensor(VALUES, device=device)
    return torch.stack((table.repeat(16), table.repeat_interleave(16)), dim=-1)


def quantize_mxfp4(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Round numbers to MXFP4; numbers that MXFP4 can represent are unchanged.

    Args:
        values: Finite floats, [..., 32 * blocks].

    Returns:
        The blocks, uint8 [..., blocks, 16], and the scales, uint8 [..., blocks].
    """
    grouped = values.float().unflatten(-1, (-1, BLOCK))  # type: ignore[no-untyped-call]
    # The largest number of a block becomes 4 to 8, and numbers above 6 are clamped (OCP MX 1.0, section 6.3).
    _, exponent = torch.frexp(grouped.abs().amax(dim=-1))
    exponent = (exponent - 3).clamp(-127, 127)
    scaled = torch.ldexp(grouped, -exponent.unsqueeze(-1))
    steps = torch.tensor(VALUES[:8], device=values.device)
    midpoints = (steps[1:] + steps[:-1]) / 2
    codes = torch.bucketize(scaled.abs(), midpoints, right=False)
    # A number at a midpoint is rounded to the even code.
    codes += ((codes % 2 == 1) & (codes < 7) & (scaled.abs() == midpoints[codes.clamp(max=6)])).long()
    codes += 8 * torch.signbit(scaled)
    blocks = (codes[..., ::2] | (codes[..., 1::2] << 4)).to(torch.uint8)
    return blocks, (exponent + 127).to(torch.uint8)


def apply_swiglu(gate_up: torch.Tensor, *, alpha: float, limit: float) -> torch.Tensor:
    """Return gpt_oss's SwiGLU, shape [..., intermediate].

    Args:
        gate_up: [..., 2 * intermediate]; even columns are the gate.
        alpha: See `PackedExperts`.
        limit: See `PackedExperts`.
    """
    gate, up = gate_up[..., ::2].clamp(max=limit), gate_up[..., 1::2].clamp(-limit, limit)
    return (up + 1) * gate * torch.sigmoid(alpha * gate)


def multiply_dequantized(x: torch.Tensor, blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Return `x @ matrix.T` in the type of `x`, for a packed matrix; see `dequantize_mxfp4`."""
    return torch.nn.functional.linear(x, dequantize_mxfp4(blocks, scales, x.dtype))


def apply_experts_reference(
    hidden: torch.Tensor,
    indices: torch.Tensor,
    weights: torch.Tensor,
    packed: PackedExperts,
    *,
    multiply: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor] = multiply_dequantized,
) -> torch.Tensor:
    """Return the output of the mixture of experts, one expert at a time.

    Args:
        hidden: [tokens, hidden].
        indices: [tokens, active]: the experts of each token.
        weights: [tokens, active]: their routing weights.
        packed: The experts of the layer.
        multiply: Multiplies with a packed matrix, as `multiply_dequantized` does.

    Returns:
        [tokens, hidden] in the type of `hidden`, which is also the type of the arithmetic.
    """
    out = torch.zeros_like(hidden)
    for expert in sorted(set(indices.flatten().tolist())):
        token, choice = torch.where(indices == expert)
        middle = multiply(hidden[token], packed.gate_up_blocks[expert], packed.gate_up_scales[expert])
        middle += packed.gate_up_bias[expert].to(hidden.dtype)
        middle = apply_swiglu(middle, alpha=packed.alpha, limit=packed.limit)
        result = multiply(middle, packed.down_blocks[expert], packed.down_scales[expert])
        result += packed.down_bias[expert].to(hidden.dtype)
        out.index_add_(0, token, result * weights[token, choice, None].to(hidden.dtype))
    return out
