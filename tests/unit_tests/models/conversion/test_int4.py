"""Rounding to int4: a scale and a minimum for 32 numbers, found by least squares or taken from a GGUF file."""

from pathlib import Path

import gguf
import numpy as np
import pytest
import torch

from langchain_gptoss.models.conversion.gguf_file import TYPES, open_gguf
from langchain_gptoss.models.conversion.gguf_values import read_gguf_int4, read_gguf_tensor
from langchain_gptoss.models.conversion.int4 import Int4Matrix, round_to_int4
from langchain_gptoss.models.packing.unpacking import unpack_int4
from tests.unit_tests.models.conversion.test_gguf import write_file


def unpack(matrix: Int4Matrix) -> torch.Tensor:
    return unpack_int4(matrix.values, matrix.scales, matrix.minimums)


def sum_squares(difference: torch.Tensor) -> torch.Tensor:
    return difference.square().unflatten(1, (-1, 32)).sum(-1)


@pytest.fixture
def matrix() -> torch.Tensor:
    # Larger than one piece; the rows have very different sizes.
    generator = torch.Generator().manual_seed(0)
    numbers = torch.randn(150, 2048, generator=generator) * 2.0 ** torch.linspace(-9, 9, 150)[:, None]
    return numbers + numbers[:, :1]


def test_rounding_is_better_than_equal_steps_between_the_extremes(matrix):
    errors = sum_squares(unpack(round_to_int4(matrix)) - matrix)
    grouped = matrix.unflatten(1, (-1, 32))
    lowest, highest = grouped.amin(-1, keepdim=True), grouped.amax(-1, keepdim=True)
    steps = (highest - lowest) / 15
    plain = (((grouped - lowest) / steps).round() * steps + lowest - grouped).square().sum(-1)
    assert (errors <= 1.1 * plain).all()  # scales and minimums are rounded too
    assert errors.sum() < 0.93 * plain.sum()


def test_numbers_of_the_format_are_unchanged():
    generator = torch.Generator().manual_seed(1)
    codes = torch.randint(0, 16, (8, 96), generator=generator)
    codes[:, ::32], codes[:, 1::32] = 0, 15  # the whole range
    scales = (torch.rand(8, 3, generator=generator) + 0.1).half().float().repeat_interleave(32, dim=1)
    matrix = codes * scales - 3
    torch.testing.assert_close(unpack(round_to_int4(matrix)), matrix, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("value", [0.0, 1e-45, -0.25, 7e4, -3e38])
def test_blocks_of_equal_numbers_stay_finite(value):
    result = unpack(round_to_int4(torch.full((1, 32), value)))
    expected = torch.full((1, 32), value).clamp(-65504, 65504)  # float16 has no larger minimum
    torch.testing.assert_close(result, expected, rtol=1e-3, atol=1e-7)


def test_zeros_are_added_to_rows_and_columns(matrix):
    rounded = round_to_int4(matrix)
    padded = unpack(rounded.pad(rows=160, columns=2112))
    assert torch.equal(padded[:150, :2048], unpack(rounded))
    assert not padded[150:].any()
    assert not padded[:, 2048:].any()


def write_random_blocks(folder: Path, kind: str, *, rows: int = 300) -> Path:
    """A file with random codes, and scales of the size that weights have."""
    block = next(entry for entry in TYPES.values() if entry.name == kind)
    content = np.random.default_rng(0).integers(0, 256, (rows, 3 * block.block_bytes), dtype=np.uint8)
    for start in (0, 2)[: 1 if kind == "Q4_0" else 2]:
        content[:, start + 1 :: block.block_bytes] = content[:, start + 1 :: block.block_bytes] & 3 | 0x14
    return write_file(folder / "x.gguf", kind=kind, content=content)


@pytest.mark.parametrize("kind", ["Q4_0", "Q4_1", "Q4_K"])
def test_four_bits_of_a_gguf_file_are_kept(kind, tmp_path):
    file = open_gguf(write_random_blocks(tmp_path, kind))
    found, expected = read_gguf_int4(file, "w"), read_gguf_tensor(file, "w", torch.float32)
    assert found.values.shape == (300, expected.shape[1] // 32, 16)
    # Only scales and minimums are rounded, by 2^-11: the distance from every number of the source is that small.
    sizes = 15 * found.scales.float().abs() + found.minimums.float().abs()
    errors = (unpack(found) - expected).abs().unflatten(1, (-1, 32)).amax(-1)
    assert (errors <= 2**-11 * sizes + 1e-7).all()
    content = np.array(file.read_blocks("w")).reshape(300, -1)
    independent = gguf.dequantize(content, gguf.GGMLQuantizationType[kind])
    np.testing.assert_allclose(unpack(found).numpy(), independent, rtol=0, atol=2**-10 * np.abs(independent).max())


def test_a_factor_changes_scales_and_minimums_only(tmp_path):
    file = open_gguf(write_random_blocks(tmp_path, "Q4_K"))
    plain, scaled = read_gguf_int4(file, "w"), read_gguf_int4(file, "w", factor=4)
    assert torch.equal(plain.values, scaled.values)
    assert torch.equal(unpack(plain) * 4, unpack(scaled))


def test_matrices_in_other_types_have_no_four_bits(tmp_path):
    file = open_gguf(write_file(tmp_path / "x.gguf"))
    assert read_gguf_int4(file, "w") is None
