"""The CPU kernel against the reference, at each level of instructions.

The kernel rounds activations to 8 or 15 bits per block of 32, twice. With 8 bits this changes the output by 1 % at
gpt-oss's width (root mean square).
"""

import pytest
import torch

from langchain_gptoss.engine.kernels import native
from langchain_gptoss.engine.kernels.build import build_kernel
from langchain_gptoss.engine.kernels.calls import check_return_code
from langchain_gptoss.engine.kernels.mxfp4 import apply_experts_reference
from langchain_gptoss.engine.kernels.native import LEVEL_VARIABLE, LEVELS, Kernel, get_cpu_kernel, get_kernel_status
from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError, KernelError

MAX_ERROR = 0.015  # root mean square of the error divided by that of the result


def measure_error(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result - expected).norm() / expected.norm())


# ---- experts


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 13, 130])
@pytest.mark.parametrize(
    ("count", "hidden", "middle", "active"),
    [(4, 32, 32, 4), (8, 96, 160, 4), (6, 544, 96, 2), (4, 576, 384, 4)],
)
def test_experts_agree_with_the_reference(kernel, create_experts, create_input, count, hidden, middle, active, tokens):
    experts, inputs = create_experts(count, hidden, middle), create_input(tokens, hidden, count, active)
    expected = apply_experts_reference(*inputs, experts)
    assert measure_error(kernel.apply_experts(*inputs, experts), expected) < MAX_ERROR


def test_experts_agree_with_the_reference_if_one_expert_gets_a_thousand_tokens(kernel, create_experts, create_input):
    experts = create_experts(4, 64, 64)
    hidden, _, weights = create_input(1000, 64, 4, 2)
    indices = torch.tensor([[2, 3]]).expand(1000, 2).contiguous()
    expected = apply_experts_reference(hidden, indices, weights, experts)
    assert measure_error(kernel.apply_experts(hidden, indices, weights, experts), expected) < MAX_ERROR


@pytest.mark.parametrize("tokens", [1, 130])
def test_several_threads_compute_the_same(kernel, create_experts, create_input, tokens):
    experts, inputs = create_experts(8, 96, 160), create_input(tokens, 96, 8, 4)
    expected = kernel.apply_experts(*inputs, experts)
    threads = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        assert torch.equal(kernel.apply_experts(*inputs, experts), expected)
    finally:
        torch.set_num_threads(threads)


def test_result_of_a_token_does_not_depend_on_other_tokens(kernel, create_experts, create_input):
    """The results are not equal bit by bit, because few and many tokens are added up in different orders."""
    experts, (hidden, indices, weights) = create_experts(4, 576, 96), create_input(40, 576, 4, 2)
    together = kernel.apply_experts(hidden, indices, weights, experts)
    for token in range(0, 40, 7):
        one = slice(token, token + 1)
        alone = kernel.apply_experts(hidden[one], indices[one], weights[one], experts)
        torch.testing.assert_close(alone, together[one], atol=2e-2 * float(together.abs().max()), rtol=0)


@pytest.mark.parametrize("tokens", [1, 9])
def test_nan_scale_affects_only_its_expert(kernel, create_experts, create_input, tokens):
    experts = create_experts(3, 64, 32)
    experts.gate_up_scales[1, 5, 1] = 255
    hidden, _, weights = create_input(tokens, 64, 3, 1)
    for expert in range(3):
        indices = torch.full((tokens, 1), expert)
        result = kernel.apply_experts(hidden, indices, weights, experts)
        assert result.isnan().all() if expert == 1 else result.isfinite().all()
        assert apply_experts_reference(hidden, indices, weights, experts).isnan().all() == (expert == 1)


@pytest.mark.parametrize("tokens", [1, 9])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_nan_or_infinite_input_affects_only_its_token(kernel, create_experts, create_input, tokens, value):
    experts = create_experts(3, 64, 32)
    hidden, indices, weights = create_input(tokens, 64, 3, 2)
    hidden[0, 7] = value
    result = kernel.apply_experts(hidden, indices, weights, experts)
    assert not result[0].isfinite().any()
    assert result[1:].isfinite().all()


@pytest.mark.parametrize("tokens", [1, 9])
def test_smallest_and_largest_scales(kernel, create_experts, create_input, tokens):
    experts, inputs = create_experts(2, 64, 32, scales=(0, 2)), create_input(tokens, 64, 2, 2)
    expected = apply_experts_reference(*inputs, experts)
    torch.testing.assert_close(kernel.apply_experts(*inputs, experts), expected, atol=1e-6, rtol=1e-5)
    huge = create_experts(2, 64, 32, scales=(250, 255))
    assert not torch.equal(kernel.apply_experts(*inputs, huge), kernel.apply_experts(*inputs, experts))


def test_zero_and_tiny_inputs(kernel, create_experts, create_input):
    experts = create_experts(3, 64, 32)
    _, indices, weights = create_input(6, 64, 3, 2)
    for hidden in (torch.zeros(6, 64), torch.full((6, 64), 1e-38)):
        expected = apply_experts_reference(hidden, indices, weights, experts)
        assert measure_error(kernel.apply_experts(hidden, indices, weights, experts), expected) < MAX_ERROR


@pytest.mark.parametrize("index", [-1, 3])
def test_index_outside_the_experts_is_an_error(kernel, create_experts, create_input, index):
    hidden, indices, weights = create_input(6, 64, 3, 2)
    indices[4, 1] = index
    with pytest.raises(KernelError, match="expert that does not exist"):
        kernel.apply_experts(hidden, indices, weights, create_experts(3, 64, 32))


def test_failed_allocation_is_a_memory_error_of_the_package():
    with pytest.raises(GptOssMemoryError, match=r"cannot allocate memory.*Close other programs"):
        check_return_code(1)


# ---- int8 matrices


def test_int8_product_and_rounding(kernel):
    generator = torch.Generator().manual_seed(3)
    matrix, bias = torch.randn(70, 96, generator=generator), torch.randn(70, generator=generator)
    matrix[3], matrix[4, :32] = 0, 1e-38
    values, scales = kernel.quantize_int8(matrix)
    step = matrix.view(70, 3, 32).abs().amax(-1, keepdim=True) / 127
    rounded = kernel.dequantize_int8(values, scales)
    assert ((rounded.view(70, 3, 32) - matrix.view(70, 3, 32)).abs() <= 0.51 * step + 1e-37).all()
    for tokens in (1, 3, 4, 9):
        x = torch.randn(tokens, 96, generator=generator)
        assert measure_error(kernel.multiply_int8(x, values, scales, bias), x @ rounded.T + bias) < 1e-4
        assert measure_error(kernel.multiply_int8(x, values, scales, None), x @ rounded.T) < 1e-4
    half = matrix.bfloat16()
    assert torch.equal(kernel.quantize_int8(half)[0], kernel.quantize_int8(half.float())[0])


# ---- loading and levels


@pytest.fixture
def _fresh_kernel(monkeypatch):
    """Load the kernel again in this test and after it."""
    native._load.cache_clear()
    yield
    native._load.cache_clear()


@pytest.mark.usefixtures("_fresh_kernel")
def test_environment_variable_limits_the_level(monkeypatch):
    monkeypatch.setenv(LEVEL_VARIABLE, "portable")
    assert get_kernel_status().level == "portable"
    assert get_cpu_kernel().level == "portable"


@pytest.mark.usefixtures("_fresh_kernel")
def test_environment_variable_switches_the_kernel_off(monkeypatch):
    monkeypatch.setenv(LEVEL_VARIABLE, "none")
    assert get_cpu_kernel() is None
    assert (get_kernel_status().level, get_kernel_status().reason) == ("none", f"{LEVEL_VARIABLE} is none")


@pytest.mark.usefixtures("_fresh_kernel")
def test_unknown_level_is_an_error(monkeypatch):
    monkeypatch.setenv(LEVEL_VARIABLE, "avx1024")
    with pytest.raises(InvalidInputError, match=r"GPTOSS_KERNEL_LEVEL is 'avx1024'.*Use one of none, portable, avx2"):
        get_kernel_status()


@pytest.mark.usefixtures("_fresh_kernel")
def test_status_gives_the_reason_for_a_missing_kernel(monkeypatch):
    def fail() -> None:
        raise KernelError("No C compiler was found.", hint="Install one.")

    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    monkeypatch.setattr(native, "build_kernel", fail)
    assert get_cpu_kernel() is None
    assert get_kernel_status().reason == "no C compiler was found. Install one"


def test_kernel_with_wrong_results_is_rejected(monkeypatch):
    monkeypatch.setattr(native, "apply_experts_reference", lambda *args: apply_experts_reference(*args) * 1.1)
    with pytest.raises(KernelError, match="computes wrong results on this processor"):
        Kernel(build_kernel())


def test_kernel_with_wrong_products_is_rejected(monkeypatch):
    dequantize = Kernel.dequantize_int8
    monkeypatch.setattr(Kernel, "dequantize_int8", lambda *args: dequantize(*args) * 1.1)
    with pytest.raises(KernelError, match="multiplies matrices wrongly"):
        Kernel(build_kernel())


def test_file_that_is_not_a_library_is_rejected(tmp_path):
    file = tmp_path / "experts.so"
    file.write_text("nothing")
    with pytest.raises(KernelError, match="cannot be loaded"):
        Kernel(file)


def test_best_level_is_chosen_by_default(kernel):
    assert kernel.level_number == LEVELS.index(kernel.level)
    assert LEVELS.index(Kernel(build_kernel()).level) >= kernel.level_number
