"""Rounding to MXFP4: the nearest numbers, and for each block the better of two scales."""

import pytest
import torch

from langchain_gptoss.engine.checkpoint_tensors import dequantize_int8
from langchain_gptoss.engine.kernels.mxfp4 import VALUES, dequantize_mxfp4, quantize_mxfp4
from langchain_gptoss.engine.kernels.native import get_cpu_kernel
from langchain_gptoss.models.conversion.rounding import round_to_int8, round_to_mxfp4


def compute_errors(matrix: torch.Tensor, blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    return (dequantize_mxfp4(blocks, scales) - matrix).square().unflatten(1, (-1, 32)).sum(-1)


@pytest.fixture
def matrix() -> torch.Tensor:
    # Larger than one piece; the rows have very different sizes.
    generator = torch.Generator().manual_seed(0)
    return torch.randn(150, 2048, generator=generator) * 2.0 ** torch.arange(-40, 110).clamp(max=60)[:, None]


def test_every_block_has_the_best_of_all_scales(matrix):
    found = round_to_mxfp4(matrix)
    errors = compute_errors(matrix, found.blocks, found.scales)
    magnitudes = matrix.unflatten(1, (-1, 32))
    steps = torch.tensor(VALUES[:8])
    midpoints = (steps[1:] + steps[:-1]) / 2
    for exponent in (0, 1):
        scale = torch.exp2(torch.frexp(magnitudes.abs().amax(-1)).exponent - 3 + exponent)[..., None]
        rounded = steps[torch.bucketize((magnitudes / scale).abs(), midpoints)] * scale * magnitudes.sign()
        assert (errors <= (rounded - magnitudes).square().sum(-1) * (1 + 1e-5)).all()
    first = compute_errors(matrix, *quantize_mxfp4(matrix))
    assert (errors < first).any()


def test_numbers_of_the_format_are_unchanged():
    blocks = torch.randint(0, 256, (4, 3, 16), dtype=torch.uint8)
    scales = torch.randint(100, 150, (4, 3), dtype=torch.uint8)
    matrix = dequantize_mxfp4(blocks, scales)
    found = round_to_mxfp4(matrix)
    assert torch.equal(dequantize_mxfp4(found.blocks, found.scales), matrix)


def test_a_factor_changes_the_scales_only(matrix):
    plain, scaled = round_to_mxfp4(matrix), round_to_mxfp4(matrix, factor_exponent=2)
    assert torch.equal(plain.blocks, scaled.blocks)
    assert torch.equal(plain.scales + 2, scaled.scales)


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-38, 3e38])
def test_the_smallest_and_largest_numbers_stay_finite(value):
    found = round_to_mxfp4(torch.full((1, 32), value), factor_exponent=2)
    result = dequantize_mxfp4(found.blocks, found.scales)
    assert result.isfinite().all()
    if 0 < value < 1e-38:
        assert (result < 1e-36).all()


def test_int8_numbers_are_within_half_a_step(matrix):
    found = round_to_int8(matrix)
    numbers = dequantize_int8(found.values, found.scales)
    scales = found.scales.float().repeat_interleave(32, dim=1)
    # The largest number of a block may lie up to 0.4 % outside the range, because the scale is a bfloat16.
    assert ((numbers - matrix).abs() <= 0.51 * scales).all()
    assert (found.values.unflatten(1, (-1, 32)).abs().amax(-1) == 127).all()


@pytest.mark.parametrize("value", [0.0, 1e-45, 1e-34, 3e38])
def test_blocks_of_equal_numbers_are_rounded_to_int8(value):
    found = round_to_int8(torch.full((1, 32), value))
    result = dequantize_int8(found.values, found.scales)
    assert result.isfinite().all()
    assert torch.allclose(result, torch.full((1, 32), value), rtol=0.005, atol=1e-31)


@pytest.mark.skipif(get_cpu_kernel() is None, reason="this machine has no CPU kernel")
def test_the_kernel_finds_the_same_int8_values_again(matrix):
    kernel, found = get_cpu_kernel(), round_to_int8(matrix)
    weights, scales = kernel.quantize_int8(dequantize_int8(found.values, found.scales))
    count = len(matrix)
    assert torch.equal(scales.transpose(1, 2).flatten(0, 1)[:count], found.scales)
    rows = weights.permute(0, 2, 1, 3).flatten(2).flatten(0, 1)[:count]
    assert torch.equal(rows, found.values)
