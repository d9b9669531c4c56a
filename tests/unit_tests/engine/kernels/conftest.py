"""The compiled CPU kernel at each level, and random experts."""

from collections.abc import Callable

import pytest
import torch

from langchain_gptoss.engine.kernels.build import build_kernel, find_compilers
from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts
from langchain_gptoss.engine.kernels.native import LEVEL_VARIABLE, LEVELS, Kernel, read_max_level

Input = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


@pytest.fixture(scope="session", params=LEVELS)
def kernel(request: pytest.FixtureRequest) -> Kernel:
    """The kernel at each level that this processor has and that GPTOSS_KERNEL_LEVEL allows."""
    level, max_level = request.param, read_max_level()
    if max_level == "none" or LEVELS.index(level) > LEVELS.index(max_level):
        pytest.skip(f"{LEVEL_VARIABLE}={max_level} switches {level} off")
    if not find_compilers():
        pytest.skip("this machine has no C compiler")
    kernel = Kernel(build_kernel(), max_level=level)
    if kernel.level != level:
        pytest.skip(f"this processor does not have {level} instructions")
    return kernel


@pytest.fixture(scope="session")
def create_experts() -> Callable[..., PackedExperts]:
    def create(count: int, hidden: int, middle: int, *, scales: tuple[int, int] = (117, 122)) -> PackedExperts:
        generator = torch.Generator().manual_seed(count + hidden + middle)

        def draw_bytes(low: int, high: int, *shape: int) -> torch.Tensor:
            return torch.randint(low, high, shape, generator=generator).to(torch.uint8)

        return PackedExperts(
            gate_up_blocks=draw_bytes(0, 256, count, 2 * middle, hidden // 32, 16),
            gate_up_scales=draw_bytes(*scales, count, 2 * middle, hidden // 32),
            gate_up_bias=torch.randn(count, 2 * middle, generator=generator),
            down_blocks=draw_bytes(0, 256, count, hidden, middle // 32, 16),
            down_scales=draw_bytes(*scales, count, hidden, middle // 32),
            down_bias=torch.randn(count, hidden, generator=generator),
            alpha=1.702,
            limit=7.0,
        )

    return create


@pytest.fixture(scope="session")
def create_input() -> Callable[..., Input]:
    """Creates hidden states, expert indices and routing weights."""

    def create(tokens: int, hidden: int, count: int, active: int) -> Input:
        generator = torch.Generator().manual_seed(tokens)
        indices = torch.rand(tokens, count, generator=generator).argsort(dim=1)[:, :active].contiguous()
        weights = torch.randn(tokens, active, generator=generator).softmax(dim=1)
        return torch.randn(tokens, hidden, generator=generator), indices, weights

    return create
