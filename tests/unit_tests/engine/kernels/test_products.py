"""Products of matrices at each level of instructions: their bits, and their error against float64."""

from typing import NamedTuple

import numpy as np
import pytest
import torch

from langchain_gptoss.engine.kernels import products
from langchain_gptoss.engine.kernels.native import Kernel
from langchain_gptoss.engine.kernels.products import GROUP_ROWS
from langchain_gptoss.errors import KernelError
from tests.unit_tests.engine.int8_layout import interleave_rows, separate_rows

PLAIN_C = 0  # number of the level
FORMATS = ["mxfp4", "int4", "int8", "bfloat16"]
MXFP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, 0, -0.5, -1, -1.5, -2, -3, -4, -6])


class Matrix(NamedTuple):
    weights: torch.Tensor
    scales: torch.Tensor | None
    rows: int


def create_matrix(form: str, rows: int, k: int) -> Matrix:
    generator = torch.Generator().manual_seed(rows + k)
    if form == "mxfp4":
        blocks = torch.randint(0, 256, (rows, k // 32, 16), generator=generator).to(torch.uint8)
        return Matrix(blocks, torch.randint(118, 124, (rows, k // 32), generator=generator).to(torch.uint8), rows)
    if form == "int4":
        codes = torch.randint(0, 256, (rows, k // 32, 16), generator=generator).to(torch.uint8)
        scales = torch.rand(rows, k // 32, generator=generator).half()
        return Matrix(
            *arrange_int4_rows(codes, scales, -8 * torch.rand(scales.shape, generator=generator).half()), rows
        )
    if form == "int8":
        values = torch.randint(-127, 128, (rows, k), generator=generator).to(torch.int8)
        return Matrix(*interleave_rows(values, torch.rand(rows, k // 32, generator=generator).bfloat16()), rows)
    return Matrix(torch.randn(rows, k, generator=generator).bfloat16(), None, rows)


def arrange_int4_rows(
    codes: torch.Tensor, scales: torch.Tensor, minimums: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Returns int4 rows in the layout of the kernel; rows that are added are zeros."""
    missing = -len(codes) % GROUP_ROWS
    padded = (
        torch.nn.functional.pad(part, (*[0] * (2 * part.ndim - 1), missing)) for part in (codes, scales, minimums)
    )
    return products.arrange_int4(*padded)


def create_vectors(tokens: int, k: int) -> torch.Tensor:
    return torch.randn(tokens, k, generator=torch.Generator().manual_seed(tokens))


def widen(matrix: Matrix) -> np.ndarray:
    """The matrix as float64."""
    weights, scales, rows = matrix
    if scales is None:
        return weights.double().numpy()
    if scales.dtype == torch.float16:
        return widen_int4(weights, scales)[:rows]
    if weights.dtype == torch.uint8:
        nibbles = np.stack([weights.numpy() & 15, weights.numpy() >> 4], axis=-1).reshape(rows, -1)
        return MXFP4_VALUES[nibbles] * np.repeat(2.0 ** (scales.double().numpy() - 127), 32, axis=1)
    values, scales = separate_rows(weights, scales, rows)
    return values.double().numpy() * np.repeat(scales.double().numpy(), 32, axis=1)


def widen_int4(weights: torch.Tensor, scales: torch.Tensor) -> np.ndarray:
    """An int4 matrix in the kernel's layout as float64, written down number by number as src/common.h describes it."""
    groups, blocks = weights.shape[:2]
    result = np.empty((groups * 16, blocks * 32))
    for part, byte, row in np.ndindex(4, 4, 16):
        for half in (0, 1):
            codes = (weights[:, :, part, row, byte].numpy() >> (4 * half)) & 15
            factors, minimums = scales[:, :, 0, row].double().numpy(), scales[:, :, 1, row].double().numpy()
            result[row::16, 8 * part + 2 * byte + half :: 32] = codes * factors + minimums
    return result


def multiply(kernel: Kernel, x: torch.Tensor, matrix: Matrix, bits: int = 8) -> torch.Tensor:
    return kernel.multiply(x, matrix.weights, matrix.scales, activation_bits=bits, rows=matrix.rows)


def multiply_in_plain_c(kernel: Kernel, x: torch.Tensor, matrix: Matrix, bits: int) -> torch.Tensor:
    return products.multiply(kernel.library, PLAIN_C, x, matrix.weights, matrix.scales, bits, matrix.rows)


def have_same_bits(first: torch.Tensor, second: torch.Tensor) -> bool:
    return torch.equal(first.view(torch.int32), second.view(torch.int32))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", FORMATS)
def test_every_level_has_the_bits_of_plain_c_for_all_sizes(kernel, form, bits):
    sizes = [(rows, k, tokens) for rows in (1, 7, 8, 16, 25, 70) for k in (32, 96, 800) for tokens in (1, 2, 3, 5, 8)]
    sizes += [(33, 96, tokens) for tokens in range(4, 17)]
    for rows, k, tokens in [*sizes, (64, 1056, 70), (37, 288, 64), (70, 2880, 17)]:
        matrix, x = create_matrix(form, rows, k), create_vectors(tokens, k)
        result = multiply(kernel, x, matrix, bits)
        assert have_same_bits(result, multiply_in_plain_c(kernel, x, matrix, bits)), (rows, k, tokens)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", FORMATS)
def test_a_token_has_the_same_bits_alone_and_among_others(kernel, form, bits):
    matrix, x = create_matrix(form, 48, 1056), create_vectors(70, 1056)
    alone = torch.cat([multiply(kernel, x[t : t + 1], matrix, bits) for t in range(70)])
    for tokens in (2, 3, 6, 33, 70):
        assert have_same_bits(multiply(kernel, x[:tokens], matrix, bits), alone[:tokens])


@pytest.mark.parametrize(
    ("form", "bits", "bound"),
    [
        ("mxfp4", 8, 0.008),
        ("mxfp4", 16, 4e-5),
        ("int4", 8, 0.008),
        ("int4", 16, 4e-5),
        ("int8", 8, 4e-5),
        ("bfloat16", 8, 1e-6),
    ],
)
@pytest.mark.parametrize(("rows", "k", "tokens"), [(1, 32, 1), (70, 800, 1), (70, 2880, 70)])
def test_products_are_near_those_of_float64(kernel, form, bits, bound, rows, k, tokens):
    """The bound is of the error's root mean square, divided by that of the sum without cancellation."""
    matrix, x = create_matrix(form, rows, k), create_vectors(tokens, k)
    weights, vectors = widen(matrix), x.double().numpy()
    error = multiply(kernel, x, matrix, bits).double().numpy() - vectors @ weights.T
    size = np.sqrt((vectors**2) @ (weights**2).T)
    assert np.sqrt(np.mean((error / size) ** 2)) < bound


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", FORMATS)
def test_extreme_weights_and_activations_do_not_overflow(kernel, form, bits):
    k = 2880
    weights, scales, rows = create_matrix(form, 16, k)
    if form == "mxfp4":
        weights, scales = torch.full_like(weights, 0x77), torch.full_like(scales, 127)  # 6, the largest
    elif form == "int4":
        weights, scales = torch.full_like(weights, 0xFF), torch.ones_like(scales)
        scales[:, :, 1] = 0  # the minimums
    elif form == "int8":
        weights, scales = torch.full_like(weights, -128), torch.ones_like(scales)
    else:
        weights = torch.full_like(weights, -128)
    x = torch.full((5, k), -1.0)
    x[1] = 1
    largest = float(k * {"mxfp4": 6, "int4": 15}.get(form, -128))
    result = multiply(kernel, x, Matrix(weights, scales, rows), bits)
    torch.testing.assert_close(result[0], torch.full((16,), -largest), rtol=1e-5, atol=0)
    torch.testing.assert_close(result[1], torch.full((16,), largest), rtol=1e-5, atol=0)
    assert have_same_bits(result, multiply_in_plain_c(kernel, x, Matrix(weights, scales, rows), bits))


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("special", [float("nan"), float("inf")])
def test_a_special_number_makes_its_own_token_nan_only(kernel, form, bits, special):
    if form == "bfloat16" and special == float("inf"):
        pytest.skip("float32 products keep infinity")
    matrix, x = create_matrix(form, 16, 96), create_vectors(6, 96)
    expected = multiply(kernel, x, matrix, bits)
    x[2, 40] = special
    result = multiply(kernel, x, matrix, bits)
    assert result[2].isnan().all()
    assert torch.equal(result[[0, 1, 3, 4, 5]], expected[[0, 1, 3, 4, 5]])


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("blocks", [1, 15, 16, 17, 40])
def test_mxfp4_scales_of_every_exponent_are_read_in_rows_of_any_length(kernel, blocks, bits):
    for exponent in (0, 1, 2, 253, 254, 255):
        weights, scales, rows = create_matrix("mxfp4", 16, 32 * blocks)
        scales[3, blocks - 1] = exponent
        matrix, x = Matrix(weights, scales, rows), create_vectors(6, 32 * blocks)
        for tokens in (1, 3, 4, 6):
            result, plain = multiply(kernel, x[:tokens], matrix, bits), multiply_in_plain_c(kernel, x, matrix, bits)
            torch.testing.assert_close(result, plain[:tokens], rtol=0, atol=0, equal_nan=True)
        assert plain[:, 3].isnan().all() == (exponent == 255)


def test_int8_weights_are_multiplied_with_16_bits_whatever_is_asked_for(kernel):
    matrix, x = create_matrix("int8", 33, 96), create_vectors(7, 96)
    assert have_same_bits(multiply(kernel, x, matrix, 8), multiply(kernel, x, matrix, 16))


def test_rows_that_fill_up_an_int8_matrix_give_zeros(kernel):
    matrix, x = create_matrix("int8", 33, 96), create_vectors(7, 96)
    result = kernel.multiply(x, matrix.weights, matrix.scales)
    assert result.shape == (7, 48)
    assert have_same_bits(result[:, :33].contiguous(), multiply(kernel, x, matrix))
    assert not result[:, 33:].any()


def test_scales_of_mxfp4_cover_the_whole_range(kernel):
    matrix = create_matrix("mxfp4", 16, 32 * 16)._replace(scales=torch.arange(256).to(torch.uint8).view(16, 16))
    x = create_vectors(3, 32 * 16)
    result, plain = multiply(kernel, x, matrix, 8), multiply_in_plain_c(kernel, x, matrix, 8)
    assert have_same_bits(result[:, :15], plain[:, :15])
    assert result[:, 15].isnan().all()
    assert not result[:, :15].isnan().any()


def test_zeros_and_tiny_numbers_give_zeros(kernel):
    for form in ("mxfp4", "int4", "int8"):
        matrix, x = create_matrix(form, 16, 96), torch.zeros(3, 96)
        x[1] = 1e-31
        assert not multiply(kernel, x, matrix).any()


def test_rows_that_fill_up_an_int4_matrix_give_zeros(kernel):
    matrix, x = create_matrix("int4", 33, 96), create_vectors(7, 96)
    result = kernel.multiply(x, matrix.weights, matrix.scales)
    assert result.shape == (7, 48)
    assert have_same_bits(result[:, :33].contiguous(), multiply(kernel, x, matrix))
    assert not result[:, 33:].any()


def test_int4_scales_and_minimums_are_all_that_float16_has(kernel):
    weights, scales, rows = create_matrix("int4", 16, 96)
    scales[0, 0, 0, :4] = torch.tensor([6e-8, 65504, 0, 1e-4]).half()  # the smallest and largest ones
    scales[0, 0, 1, :4] = torch.tensor([-6e-8, -65504, 0, 0.5]).half()
    matrix, x = Matrix(weights, scales, rows), create_vectors(3, 96)
    result = multiply(kernel, x, matrix, 16)
    assert have_same_bits(result, multiply_in_plain_c(kernel, x, matrix, 16))
    expected = torch.from_numpy(x.double().numpy() @ widen(matrix).T)
    torch.testing.assert_close(result.double(), expected, rtol=1e-3, atol=1e-3)


def test_int8_rows_of_a_checkpoint_get_the_layout_of_rounded_ones(kernel):
    rounded = kernel.quantize_int8(torch.randn(48, 96, generator=torch.Generator().manual_seed(3)))
    values, scales = separate_rows(*rounded, 48)
    arranged = products.arrange_int8(values, scales)
    assert all(torch.equal(first, second) for first, second in zip(arranged, rounded, strict=True))
    assert all(part.is_contiguous() for part in arranged)


def test_several_threads_compute_the_same_bits(kernel):
    matrix, x = create_matrix("int8", 300, 96), create_vectors(9, 96)
    expected = multiply(kernel, x, matrix)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert have_same_bits(multiply(kernel, x, matrix), expected)
    finally:
        torch.set_num_threads(threads)


def test_no_tokens_give_an_empty_result(kernel):
    assert multiply(kernel, torch.zeros(0, 64), create_matrix("int8", 16, 64)).shape == (0, 16)


def test_tensors_that_do_not_fit_are_an_error(kernel):
    x, matrix = create_vectors(2, 64), create_matrix("int8", 16, 64)
    with pytest.raises(KernelError, match="expects scales for MXFP4, int8 and int4 weights"):
        kernel.multiply(x, matrix.weights)
    with pytest.raises(KernelError, match="expects scales of weights of shape"):
        kernel.multiply(x, matrix.weights, matrix.scales[:, :1])
    int4 = create_matrix("int4", 16, 64)
    with pytest.raises(KernelError, match="expects scales of weights of shape"):
        kernel.multiply(x, int4.weights, int4.scales[:, :, :1])
    with pytest.raises(KernelError, match="expects weights of shape"):
        kernel.multiply(x, matrix.weights, matrix.scales, rows=17)
    with pytest.raises(KernelError, match=r"expects weights as torch\.bfloat16"):
        kernel.multiply(x, torch.zeros(16, 64))
    with pytest.raises(KernelError, match="rows of 63 numbers"):
        multiply(kernel, x[:, :63], matrix)
    with pytest.raises(KernelError, match="activations of 4 bits"):
        multiply(kernel, x, matrix, 4)
