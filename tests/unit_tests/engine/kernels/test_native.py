"""Loading the CPU kernel, its levels of instructions, and rounding weights."""

from typing import Any

import pytest
import torch

from langchain_gptoss.engine.kernels import native
from langchain_gptoss.engine.kernels.build import build_kernel
from langchain_gptoss.engine.kernels.calls import check_return_code
from langchain_gptoss.engine.kernels.native import LEVEL_VARIABLE, LEVELS, Kernel, get_cpu_kernel, get_kernel_status
from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError, KernelError
from tests.unit_tests.engine.int8_layout import separate_rows

NAN, INF = float("nan"), float("inf")


def test_failed_allocation_is_a_memory_error_of_the_package():
    with pytest.raises(GptOssMemoryError, match=r"cannot allocate memory.*Close other programs"):
        check_return_code(1)


def test_rounding_to_int8(kernel):
    matrix = torch.randn(70, 96, generator=torch.Generator().manual_seed(3))
    matrix[3], matrix[4, :32] = 0, 1e-38
    values, scales = separate_rows(*kernel.quantize_int8(matrix), 70)
    step = matrix.view(70, 3, 32).abs().amax(-1, keepdim=True) / 127
    rounded = values.view(70, 3, 32) * scales.float().unsqueeze(-1)
    assert ((rounded - matrix.view(70, 3, 32)).abs() <= 0.51 * step + 1e-37).all()
    half = matrix.bfloat16()
    assert torch.equal(kernel.quantize_int8(half)[0], kernel.quantize_int8(half.float())[0])


def test_rounding_to_int8_gives_the_bits_of_plain_c(kernel):
    generator = torch.Generator().manual_seed(4)
    sizes = torch.exp(4 * torch.randn(70, 3, generator=generator)).repeat_interleave(32, 1)
    matrix = torch.randn(70, 96, generator=generator) * sizes
    matrix[3], matrix[4, :32], matrix[5, 40], matrix[6, 3], matrix[7, 70] = 0, 1e-38, NAN, INF, -INF
    matrix[8, :32], matrix[9], matrix[10], matrix[11], matrix[12] = 127, 3.3e38, torch.arange(96) / 2, 1.2e-33, 1e-36
    plain = Kernel(build_kernel(), max_level="portable")
    for rows in (1, 16, 17, 70):
        for source in (matrix[:rows], matrix[:rows].bfloat16()):
            for actual, expected in zip(kernel.quantize_int8(source), plain.quantize_int8(source), strict=True):
                assert torch.equal(actual.view(torch.uint8), expected.view(torch.uint8))


def test_special_numbers_make_a_block_of_an_int8_matrix_nan(kernel):
    matrix = torch.ones(17, 64)
    matrix[1, 5], matrix[2, 40] = NAN, INF
    matrix[16, 3] = NAN
    values, scales = separate_rows(*kernel.quantize_int8(matrix), 17)
    is_finite = scales.isfinite()
    assert not is_finite[[1, 2, 16], [0, 1, 0]].any()
    assert is_finite.sum() == 31
    assert not values.view(17, 2, 32)[~is_finite].any()


def test_rounding_an_unsuitable_matrix_is_an_error(kernel):
    with pytest.raises(KernelError, match="do not fit together"):
        kernel.quantize_int8(torch.ones(16, 31))
    with pytest.raises(KernelError, match=r"expects matrix as torch\.float32"):
        kernel.quantize_int8(torch.ones(16, 32, dtype=torch.float64))


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


@pytest.mark.usefixtures("_fresh_kernel")
def test_a_level_with_wrong_results_gives_way_to_the_next_lower_one(monkeypatch):
    def multiply(kernel: Kernel, *args: Any) -> torch.Tensor:
        return original(kernel, *args) * (1.0 if kernel.level == "portable" else 1.2)

    original = Kernel.multiply
    best = Kernel(build_kernel()).level
    if best == "portable":
        pytest.skip("this processor has one level")
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    monkeypatch.setattr(Kernel, "multiply", multiply)
    assert get_cpu_kernel().level == "portable"
    assert (
        f"portable instructions, because the CPU kernel ({best}) computes wrong results" in get_kernel_status().reason
    )


def test_kernel_with_wrong_results_is_rejected(monkeypatch):
    multiply = Kernel.multiply
    monkeypatch.setattr(Kernel, "multiply", lambda *args: multiply(*args) * 1.2)
    with pytest.raises(KernelError, match="computes wrong results on this processor"):
        Kernel(build_kernel())


def test_file_that_is_not_a_library_is_rejected(tmp_path):
    file = tmp_path / "experts.so"
    file.write_text("nothing")
    with pytest.raises(KernelError, match="cannot be loaded"):
        Kernel(file)


def test_best_level_is_chosen_by_default(kernel):
    assert kernel.level_number == LEVELS.index(kernel.level)
    assert LEVELS.index(Kernel(build_kernel()).level) >= kernel.level_number
