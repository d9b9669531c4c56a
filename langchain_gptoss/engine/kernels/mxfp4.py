"""MXFP4 in plain torch: correct on every device, and what the kernels are measured against.

The layout is the published checkpoint's (OCP Microscaling Formats 1.0; transformers' `integrations/mxfp4.py`): blocks
of 32 numbers share a power of two as their scale, and a byte holds two numbers, the earlier one in its low nibble.
"""

from dataclasses import dataclass

import torch

BLOCK = 32
VALUES = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0, -0.0, -0.5, -1.0, -1.5, -2.0, -3.0, -4.0, -6.0)


@dataclass(frozen=True, kw_only=True)
class PackedExperts:
    """The experts of one layer as the checkpoint has them.

    Attributes:
        gate_up_blocks: uint8 [experts, 2 * intermediate, hidden / 32, 16]; gate and up rows take turns.
        gate_up_scales: uint8 [experts, 2 * intermediate, hidden / 32].
        gate_up_bias: [experts, 2 * intermediate].
        down_blocks: uint8 [experts, hidden, intermediate / 32, 16].
        down_scales: uint8 [experts, hidden, intermediate / 32].
        down_bias: [experts, hidden].
        alpha: The gate's slope inside its sigmoid.
        limit: Where gate and up are cut off.
    """

    gate_up_blocks: torch.Tensor
    gate_up_scales: torch.Tensor
    gate_up_bias: torch.Tensor
    down_blocks: torch.Tensor
    down_scales: torch.Tensor
    down_bias: torch.Tensor
    alpha: float
    limit: float


def unpacked(blocks: torch.Tensor, scales: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Returns MXFP4 numbers unpacked.

    Args:
        blocks: uint8 [..., blocks, 16].
        scales: uint8 [..., blocks]: the exponent plus 127; 255 is NaN.
        dtype: Of the result; float32 and bfloat16 hold every MXFP4 number exactly.

    Returns:
        [..., 32 * blocks].
    """
    pairs = _pairs(blocks.device)
    values = torch.nn.functional.embedding(blocks.int(), pairs).flatten(-2)
    factor = torch.exp2(scales.float() - 127).masked_fill_(scales == 255, torch.nan)
    return values.mul_(factor.unsqueeze(-1)).flatten(-2).to(dtype)


def _pairs(device: torch.device) -> torch.Tensor:
    """Returns the two numbers that each byte holds: looking them up together halves the work."""
    table = torch.tensor(VALUES, device=device)
    return torch.stack((table.repeat(16), table.repeat_interleave(16)), dim=-1)


def packed(values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns numbers rounded to MXFP4, as blocks and scales; the inverse of `unpacked` for numbers that MXFP4 holds.

    Args:
        values: Float [..., 32 * blocks], finite.

    Returns:
        uint8 [..., blocks, 16] and uint8 [..., blocks].
    """
    grouped = values.float().unflatten(-1, (-1, BLOCK))  # type: ignore[no-untyped-call]
    # The largest number of a block lands between 4 and 8, and what is above 6 is cut off (OCP MX 1.0, section 6.3).
    _, exponent = torch.frexp(grouped.abs().amax(dim=-1))
    exponent = (exponent - 3).clamp(-127, 127)
    scaled = torch.ldexp(grouped, -exponent.unsqueeze(-1))
    steps = torch.tensor(VALUES[:8], device=values.device)
    middles = (steps[1:] + steps[:-1]) / 2
    codes = torch.bucketize(scaled.abs(), middles, right=False)
    # A number in the middle goes to the even code.
    codes += ((codes % 2 == 1) & (codes < 7) & (scaled.abs() == middles[codes.clamp(max=6)])).long()
    codes += 8 * torch.signbit(scaled)
    blocks = (codes[..., ::2] | (codes[..., 1::2] << 4)).to(torch.uint8)
    return blocks, (exponent + 127).to(torch.uint8)


def gated(gate_up: torch.Tensor, *, alpha: float, limit: float) -> torch.Tensor:
    """Returns gpt_oss's SwiGLU of [..., 2 * intermediate], whose even places are the gate: [..., intermediate]."""
    gate, up = gate_up[..., ::2].clamp(max=limit), gate_up[..., 1::2].clamp(-limit, limit)
    return (up + 1) * gate * torch.sigmoid(alpha * gate)


def experts_reference(
    hidden: torch.Tensor, indices: torch.Tensor, shares: torch.Tensor, packed: PackedExperts
) -> torch.Tensor:
    """Returns the mixture of experts, one expert unpacked at a time.

    Args:
        hidden: [tokens, hidden].
        indices: [tokens, active]: each token's experts.
        shares: [tokens, active]: their weights.
        packed: The layer's experts.

    Returns:
        [tokens, hidden], in the type of `hidden`; arithmetic is that type's.
    """
    out = torch.zeros_like(hidden)
    for expert in sorted(set(indices.flatten().tolist())):
        token, choice = torch.where(indices == expert)
        up = unpacked(packed.gate_up_blocks[expert], packed.gate_up_scales[expert], hidden.dtype)
        middle = torch.nn.functional.linear(hidden[token], up, packed.gate_up_bias[expert].to(hidden.dtype))
        middle = gated(middle, alpha=packed.alpha, limit=packed.limit)
        down = unpacked(packed.down_blocks[expert], packed.down_scales[expert], hidden.dtype)
        result = torch.nn.functional.linear(middle, down, packed.down_bias[expert].to(hidden.dtype))
        out.index_add_(0, token, result * shares[token, choice, None].to(hidden.dtype))
    return out
