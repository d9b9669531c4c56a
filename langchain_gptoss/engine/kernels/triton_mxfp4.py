"""CUDA kernels in Triton: packed experts on a GPU, without a download of compiled kernels.

Decode multiplies vectors with the packed weights and reads each byte once. Prefill sorts the tokens by expert and
unpacks a tile of weights for a tile of tokens at a time. The results are deterministic: no sum depends on timing.

Importing this module needs Triton, which PyTorch's CUDA builds for Linux include.

Tested for correctness in Triton's interpreter on a CPU (3.2 and 3.9), and compiled ahead of time for compute
capabilities 8.0, 8.6, 8.9, 9.0, 10.0 and 12.0. It has not run on a GPU: tile sizes follow from the shapes and from the
compiler's reports, and are not tuned.
"""

from collections.abc import Callable
from contextlib import nullcontext
from functools import cache
from typing import Any, cast

import torch

from langchain_gptoss._optional import require
from langchain_gptoss.engine.kernels.mxfp4 import BLOCK, PackedExperts
from langchain_gptoss.errors import InvalidInputError

require("triton", extra="cuda")

import triton  # noqa: E402 (checked above)
import triton.language as tl  # noqa: E402

# Older GPUs have no bfloat16 tensor cores.
_MIN_CAPABILITY = (8, 0)
# Decode reads words of 8 numbers, so its activations are stored in 8 planes: plane i has number i of every 8.
_PLANES = 8
_BYTES = BLOCK // 2

# The default changes in Triton 3.10. Without fusion decode takes 20 % more instructions.
_OPTIONS = {"enable_fp_fusion": True}

# Triton has no type annotations, and an untyped decorator makes its function untyped.
_jit = cast("Callable[[Callable[..., Any]], Any]", triton.jit)


@_jit
def _decode_scale(scale: tl.tensor) -> tl.tensor:
    """Return 2^(scale - 127) in fp32; 255 is NaN (OCP Microscaling Formats 1.0, E8M0)."""
    scale = scale.to(tl.uint32)
    # Both ends need the first bit of the mantissa: 2^-127 is subnormal, and without the bit 255 would be infinity.
    mantissa = tl.where((scale == 0) | (scale == 255), 0x400000, 0).to(tl.uint32)
    return ((scale << 23) | mantissa).to(tl.float32, bitcast=True)


@_jit
def _decode_number(bits: tl.tensor) -> tl.tensor:
    """Return an MXFP4 number in fp32.

    Bit 31 holds its sign, and bits 24 to 22 hold the three other bits. These are the lowest two bits of the exponent
    and the first bit of the mantissa, so the float is the number times 2^-126, the subnormal 0.5 included.
    """
    return bits.to(tl.float32, bitcast=True) * 8.507059173023462e37


@_jit
def _apply_swiglu(gate: tl.tensor, up: tl.tensor, alpha: tl.tensor, limit: tl.tensor) -> tl.tensor:
    # Comparisons keep NaN; Triton's minimum and maximum drop it.
    gate = tl.where(gate > limit, limit, gate)
    up = tl.where(up > limit, limit, tl.where(up < -limit, -limit, up))
    return (up + 1.0) * gate * tl.sigmoid(alpha * gate)


@_jit
def _multiply_vector_kernel(
    x: tl.tensor,
    words: tl.tensor,
    scales: tl.tensor,
    bias: tl.tensor,
    experts: tl.tensor,
    out: tl.tensor,
    expert_count: tl.tensor,
    rows: tl.tensor,
    groups: tl.tensor,
    slots_per_x: tl.tensor,
    alpha: tl.tensor,
    limit: tl.tensor,
    gated: tl.constexpr,
    row_block: tl.constexpr,
    group_block: tl.constexpr,
) -> None:
    """Multiply one vector by a block of its expert's rows; one program per slot (token and choice) and block.

    Args:
        x: float32 [vectors, 8 planes, 4 * groups].
        words: uint32 [experts, rows, groups, 4].
        scales: uint8 [experts, rows, groups].
        bias: [experts, rows].
        experts: [slots].
        out: float32; gated: [slots, 8 planes, rows / 16]; else [slots, rows].
        expert_count: Number of experts; slots of other experts are skipped.
        rows: Rows of one expert.
        groups: Groups of 32 numbers in one row.
        slots_per_x: Number of slots that share a vector.
        alpha: See `PackedExperts`.
        limit: See `PackedExperts`.
        gated: True if gate rows and up rows alternate.
        row_block: Rows of one program.
        group_block: Groups of one step.
    """
    slot = tl.program_id(1).to(tl.int64)
    expert = tl.load(experts + slot).to(tl.int64)
    if (expert < 0) | (expert >= expert_count):
        return
    plane = groups * 4
    x += slot // slots_per_x * plane * 8
    words += expert * rows * groups * 4
    scales += expert * rows * groups
    row = tl.program_id(0) * row_block + tl.arange(0, row_block)
    word = tl.arange(0, 4)
    sums = tl.zeros((row_block, group_block), dtype=tl.float32)
    for start in range(0, groups, group_block):
        group = start + tl.arange(0, group_block)
        inside = (row < rows)[:, None] & (group < groups)[None, :]
        place = row[:, None] * groups + group[None, :]
        packed = tl.load(words + place[:, :, None] * 4 + word[None, None, :], mask=inside[:, :, None], other=0)
        x_place = x + group[:, None] * 4 + word[None, :]
        x_inside = (group < groups)[:, None]
        products = tl.zeros((row_block, group_block, 4), dtype=tl.float32)
        for i in tl.static_range(4):
            # Numbers i and i + 4 become two bf16 in one word, which takes half the instructions of two fp32.
            shifted = packed << (12 - 4 * i)
            pair = (shifted & 0x80008000) | ((shifted >> 6) & 0x01C001C0)
            first = tl.load(x_place + i * plane, mask=x_inside, other=0.0)
            second = tl.load(x_place + (i + 4) * plane, mask=x_inside, other=0.0)
            products += _decode_number(pair << 16) * first[None, :, :]
            products += _decode_number(pair & 0xFFFF0000) * second[None, :, :]
        sums += tl.sum(products, axis=2) * _decode_scale(tl.load(scales + place, mask=inside, other=0))
    result = tl.sum(sums, axis=1) + tl.load(bias + expert * rows + row, mask=row < rows, other=0.0).to(tl.float32)
    if gated:
        gate, up = tl.split(tl.reshape(result, (row_block // 2, 2)))
        column = tl.program_id(0) * (row_block // 2) + tl.arange(0, row_block // 2)
        place = out + slot * (rows // 2) + column % 8 * (rows // 16) + column // 8
        tl.store(place, _apply_swiglu(gate, up, alpha, limit), mask=column < rows // 2)
    else:
        tl.store(out + slot * rows + row, result, mask=row < rows)


@_jit
def _multiply_tile_kernel(
    x: tl.tensor,
    blocks: tl.tensor,
    scales: tl.tensor,
    bias: tl.tensor,
    order: tl.tensor,
    ends: tl.tensor,
    tile_experts: tl.tensor,
    tile_starts: tl.tensor,
    out: tl.tensor,
    expert_count: tl.tensor,
    rows: tl.tensor,
    groups: tl.tensor,
    slots_per_x: tl.tensor,
    alpha: tl.tensor,
    limit: tl.tensor,
    gated: tl.constexpr,
    operand: tl.constexpr,
    token_block: tl.constexpr,
    row_block: tl.constexpr,
    group_block: tl.constexpr,
) -> None:
    """Multiply a tile of vectors of one expert by a block of that expert's rows.

    Args:
        x: bfloat16 [vectors, 32 * groups].
        blocks: uint8 [experts, rows, groups, 16].
        scales: uint8 [experts, rows, groups].
        bias: [experts, rows].
        order: [slots]: the slots, sorted by expert.
        ends: [experts]: end of each expert's slots in `order`.
        tile_experts: [tiles]; a tile without an expert is empty.
        tile_starts: [tiles]: start of each tile's slots in `order`.
        out: Gated: bfloat16 [slots, rows / 2]; else [slots, rows].
        expert_count: Number of experts.
        rows: Rows of one expert.
        groups: Groups of 32 numbers in one row.
        slots_per_x: Number of slots that share a vector.
        alpha: See `PackedExperts`.
        limit: See `PackedExperts`.
        gated: True if gate rows and up rows alternate.
        operand: Type of the factors: bfloat16, or float32 with bfloat16's numbers in the interpreter.
        token_block: Vectors of one tile.
        row_block: Rows of one program.
        group_block: Groups of one step.
    """
    # Adjacent programs share weights or vectors while these are in the cache.
    tile, row_tile = tl.swizzle2d(tl.program_id(1), tl.program_id(0), tl.num_programs(1), tl.num_programs(0), 8)
    expert = tl.load(tile_experts + tile).to(tl.int64)
    if expert >= expert_count:
        return
    blocks += expert * rows * groups * 16
    scales += expert * rows * groups
    position = tl.load(tile_starts + tile) + tl.arange(0, token_block)
    valid = position < tl.load(ends + expert)
    slot = tl.load(order + position, mask=valid, other=0).to(tl.int64)
    row = row_tile * row_block + tl.arange(0, row_block)
    byte = tl.arange(0, 16)
    sums = tl.zeros((token_block, row_block), dtype=tl.float32)
    for start in range(0, groups, group_block):
        group = start + tl.arange(0, group_block)
        inside = (row < rows)[:, None] & (group < groups)[None, :]
        place = row[:, None] * groups + group[None, :]
        packed = tl.load(blocks + place[:, :, None] * 16 + byte[None, None, :], mask=inside[:, :, None], other=0)
        packed = packed.to(tl.uint32)
        factor = _decode_scale(tl.load(scales + place, mask=inside, other=0))[:, :, None]
        low = _decode_number(((packed & 0x07) << 22) | ((packed & 0x08) << 28)) * factor
        high = _decode_number(((packed & 0x70) << 18) | ((packed & 0x80) << 24)) * factor
        # Exact, because bf16 can represent every MXFP4 number.
        weights = tl.join(low.to(operand), high.to(operand))
        weights = tl.reshape(weights, (row_block, group_block * 32))
        column = start * 32 + tl.arange(0, group_block * 32)
        x_inside = valid[:, None] & (column < groups * 32)[None, :]
        vectors = tl.load(x + (slot // slots_per_x * groups * 32)[:, None] + column[None, :], mask=x_inside, other=0.0)
        sums = tl.dot(vectors.to(operand), tl.trans(weights), sums)
    sums += tl.load(bias + expert * rows + row, mask=row < rows, other=0.0).to(tl.float32)[None, :]
    if gated:
        gate, up = tl.split(tl.reshape(sums, (token_block, row_block // 2, 2)))
        column = row_tile * (row_block // 2) + tl.arange(0, row_block // 2)
        result = _apply_swiglu(gate, up, alpha, limit)
        place = out + (slot * (rows // 2))[:, None] + column[None, :]
        tl.store(place, result.to(out.dtype.element_ty), mask=valid[:, None] & (column < rows // 2)[None, :])
    else:
        place = out + (slot * rows)[:, None] + row[None, :]
        tl.store(place, sums.to(out.dtype.element_ty), mask=valid[:, None] & (row < rows)[None, :])


@_jit
def _sum_kernel(
    results: tl.tensor,
    experts: tl.tensor,
    weights: tl.tensor,
    out: tl.tensor,
    expert_count: tl.tensor,
    active: tl.tensor,
    columns: tl.tensor,
    column_block: tl.constexpr,
) -> None:
    """Add up the weighted results of a token, always in the same order.

    Args:
        results: [tokens * active, columns].
        experts: [tokens * active].
        weights: [tokens * active]: routing weights.
        out: [tokens, columns].
        expert_count: Number of experts; slots of other experts add nothing.
        active: Slots of one token.
        columns: Columns of a result.
        column_block: Columns of one program.
    """
    token = tl.program_id(0).to(tl.int64)
    column = tl.program_id(1) * column_block + tl.arange(0, column_block)
    total = tl.zeros((column_block,), dtype=tl.float32)
    for choice in range(active):
        slot = token * active + choice
        expert = tl.load(experts + slot)
        weight = tl.load(weights + slot).to(tl.float32)
        result = tl.load(results + slot * columns + column, mask=column < columns, other=0.0).to(tl.float32)
        # A slot without an expert was never written, so its memory may contain NaN.
        total += tl.where((expert >= 0) & (expert < expert_count), weight * result, 0.0)
    tl.store(out + token * columns + column, total.to(out.dtype.element_ty), mask=column < columns)


def apply_experts_on_cuda(
    hidden: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: PackedExperts
) -> torch.Tensor:
    """Return the output of the mixture of experts; see `apply_experts_reference`. The host never waits for the device.

    For few tokens everything except the result is fp32. For more tokens the activations are rounded to bfloat16 before
    each of the two products, and each expert's result to the type of `hidden`; sums are fp32. A weight of 2^128 or more
    (scale bytes 253 and 254 only) is infinite.

    Args:
        hidden: float32, bfloat16 or float16 [tokens, hidden].
        indices: [tokens, active]; indices outside the range of experts add nothing.
        weights: [tokens, active]: routing weights.
        packed: The experts of the layer, contiguous, on the same device.

    Returns:
        [tokens, hidden], in the type of `hidden`.

    Raises:
        InvalidInputError: Shapes, types or devices do not match, a packed tensor is not contiguous, or the GPU has a
            compute capability below 8.0.
    """
    _check_arguments(hidden, indices, weights, packed)
    indices, weights = indices.long().contiguous(), weights.contiguous()
    tokens, expert_count = hidden.shape[0], packed.gate_up_blocks.shape[0]
    out = torch.empty_like(hidden, memory_format=torch.contiguous_format)
    if not indices.numel():
        return out.zero_()
    with torch.cuda.device(hidden.device) if hidden.is_cuda else nullcontext():
        # Few slots share an expert, so few weights are read twice.
        is_few = tokens == 1 or indices.numel() <= expert_count // 2
        results = (_compute_few_results if is_few else _compute_many_results)(hidden, indices, packed)
        active, columns = indices.shape[1], hidden.shape[1]
        grid = (tokens, triton.cdiv(columns, 1024))
        _sum_kernel[grid](results, indices, weights, out, expert_count, active, columns, column_block=1024, **_OPTIONS)
    return out


def _compute_few_results(hidden: torch.Tensor, indices: torch.Tensor, packed: PackedExperts) -> torch.Tensor:
    """Return the result of each slot, float32 [slots, hidden], computed vector by vector."""
    slots, active = indices.numel(), indices.shape[1]
    (tokens, columns), width = hidden.shape, packed.down_blocks.shape[2] * BLOCK
    planes = hidden.float().reshape(tokens, columns // _PLANES, _PLANES).transpose(1, 2).contiguous()
    middle = hidden.new_empty((slots, width), dtype=torch.float32)
    results = hidden.new_empty((slots, columns), dtype=torch.float32)
    projections = (
        (planes, packed.gate_up_blocks, packed.gate_up_scales, packed.gate_up_bias, middle, active, True, 16),
        (middle, packed.down_blocks, packed.down_scales, packed.down_bias, results, 1, False, 8),
    )
    for x, blocks, scales, bias, out, slots_per_x, gated, row_block in projections:
        experts, rows, groups = scales.shape
        _multiply_vector_kernel[(triton.cdiv(rows, row_block), slots)](
            x,
            blocks.view(torch.uint32),
            scales,
            bias,
            indices,
            out,
            experts,
            rows,
            groups,
            slots_per_x,
            packed.alpha,
            packed.limit,
            gated=gated,
            row_block=row_block,
            group_block=16,
            num_warps=4,
            **_OPTIONS,
        )
    return results


def _compute_many_results(hidden: torch.Tensor, indices: torch.Tensor, packed: PackedExperts) -> torch.Tensor:
    """Return the result of each slot, [slots, hidden] in the type of `hidden`, computed expert by expert."""
    slots, active = indices.numel(), indices.shape[1]
    expert_count, columns = packed.down_bias.shape
    # About the mean number of tokens per expert; tensor cores need at least 16.
    token_block = min(128, max(16, triton.next_power_of_2(triton.cdiv(slots, expert_count))))
    # Sizes that fit into the shared memory and the registers of every supported GPU.
    row_block, group_block, num_warps = (64, 4, 4) if token_block <= 32 else (128, 2, 8)
    order, ends, tile_experts, tile_starts = _plan_tiles(indices, expert_count, token_block)
    vectors = hidden.to(torch.bfloat16).contiguous()
    middle = vectors.new_empty((slots, packed.down_blocks.shape[2] * BLOCK))
    results = hidden.new_empty((slots, columns))
    projections = (
        (vectors, packed.gate_up_blocks, packed.gate_up_scales, packed.gate_up_bias, middle, active, True),
        (middle, packed.down_blocks, packed.down_scales, packed.down_bias, results, 1, False),
    )
    for x, blocks, scales, bias, out, slots_per_x, gated in projections:
        _, rows, groups = scales.shape
        _multiply_tile_kernel[(triton.cdiv(rows, row_block), len(tile_experts))](
            x,
            blocks,
            scales,
            bias,
            order,
            ends,
            tile_experts,
            tile_starts,
            out,
            expert_count,
            rows,
            groups,
            slots_per_x,
            packed.alpha,
            packed.limit,
            gated=gated,
            # The interpreter would multiply the bits of bfloat16 as integers.
            operand=tl.bfloat16 if hidden.is_cuda else tl.float32,
            token_block=token_block,
            row_block=row_block,
            group_block=group_block,
            num_warps=num_warps,
            num_stages=3,
            **_OPTIONS,
        )
    return results


def _plan_tiles(
    indices: torch.Tensor, expert_count: int, token_block: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Return `order`, `ends`, `tile_experts` and `tile_starts` of `_multiply_tile_kernel`.

    Only the device knows the number of tiles, so the maximum number is planned, and the last ones may be empty.
    """
    flat = indices.flatten()
    ordered, order = flat.sort(stable=True)
    bounds = torch.searchsorted(ordered, torch.arange(expert_count + 1, device=flat.device))
    starts, ends = bounds[:-1].contiguous(), bounds[1:].contiguous()
    tile_ends = ((ends - starts + token_block - 1) // token_block).cumsum(0)
    tile = torch.arange(len(flat) // token_block + min(expert_count, len(flat)), device=flat.device)
    tile_experts = torch.searchsorted(tile_ends, tile, right=True)
    expert = tile_experts.clamp(max=expert_count - 1)
    tiles_before = tile_ends[expert] - (ends[expert] - starts[expert] + token_block - 1) // token_block
    return order, ends, tile_experts, starts[expert] + (tile - tiles_before) * token_block


def _check_arguments(hidden: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: PackedExperts) -> None:
    if hidden.ndim != 2 or indices.shape != weights.shape or indices.shape[:1] != hidden.shape[:1] or indices.ndim != 2:
        shapes = [tuple(tensor.shape) for tensor in (hidden, indices, weights)]
        raise InvalidInputError(f"hidden, indices and weights have the shapes {shapes}, which do not match.")
    if hidden.dtype not in (torch.float32, torch.bfloat16, torch.float16):
        raise InvalidInputError(f"hidden is {hidden.dtype}.", hint="Use float32, bfloat16 or float16.")
    experts, columns, width = packed.down_blocks.shape[0], hidden.shape[1], packed.down_blocks.shape[2] * BLOCK
    expected = {
        "gate_up_blocks": (experts, 2 * width, columns // BLOCK, _BYTES),
        "gate_up_scales": (experts, 2 * width, columns // BLOCK),
        "gate_up_bias": (experts, 2 * width),
        "down_blocks": (experts, columns, width // BLOCK, _BYTES),
        "down_scales": (experts, columns, width // BLOCK),
        "down_bias": (experts, columns),
    }
    for name, shape in expected.items():
        tensor: torch.Tensor = getattr(packed, name)
        if tensor.shape != shape or columns % BLOCK:
            raise InvalidInputError(f"{name} has the shape {tuple(tensor.shape)}; for this input it must be {shape}.")
        if tensor.dtype != torch.uint8 and not name.endswith("bias"):
            raise InvalidInputError(f"{name} is {tensor.dtype}; packed weights must be uint8.")
        if not tensor.is_contiguous() or tensor.storage_offset() % 4:
            raise InvalidInputError(f"{name} is not contiguous or not aligned to 4 bytes.", hint="Pass a copy of it.")
        if tensor.device != hidden.device:
            raise InvalidInputError(
                f"{name} is on {tensor.device} and hidden on {hidden.device}.", hint="Move one of them."
            )
    if any(tensor.device != hidden.device for tensor in (indices, weights)):
        raise InvalidInputError(f"indices and weights must be on {hidden.device}, like hidden.")
    if hidden.is_cuda and _get_capability(hidden.device) < _MIN_CAPABILITY:
        capability = ".".join(map(str, _get_capability(hidden.device)))
        raise InvalidInputError(
            f"{hidden.device} has compute capability {capability}; packed experts need 8.0 (Ampere) or later.",
            hint='Load the model with experts="unpacked", or on the CPU.',
        )


@cache
def _get_capability(device: torch.device) -> tuple[int, int]:
    return torch.cuda.get_device_capability(device)
