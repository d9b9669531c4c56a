"""The CUDA kernels in Triton's interpreter, against float64 code written from the definitions.

The interpreter must be chosen before Triton is imported, so this file also runs as a process of its own.
"""

import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from unittest import mock

import pytest
import torch

from langchain_gptoss.errors import MissingDependencyError

from tests import IS_THOROUGH, ROOT  # isort: skip

ALPHA, LIMIT = 1.702, 7.0
# bfloat16 has 8 bits, and the interpreter truncates: the relative error is at most 2^-7.
BF16_ERROR, FP32_ERROR = 2.0**-7, 2.0**-20


@dataclass(frozen=True, kw_only=True)
class Case:
    tokens: int
    experts: int
    active: int
    hidden: int
    width: int
    dtype: torch.dtype = torch.bfloat16
    routing: str = "random"
    scales: str = "usual"

    @property
    def name(self) -> str:
        dtype = str(self.dtype).removeprefix("torch.")
        shape = f"T{self.tokens}-E{self.experts}-k{self.active}-H{self.hidden}-I{self.width}"
        return f"{shape}-{dtype}-{self.routing}-{self.scales}"

    @property
    def is_few(self) -> bool:
        """True on the path for few tokens; repeated here, so that the tests know that they cover both paths."""
        return self.tokens == 1 or self.tokens * self.active <= self.experts // 2


FP32, FP16 = torch.float32, torch.float16
QUICK_CASES = [
    Case(tokens=1, experts=4, active=1, hidden=96, width=64, dtype=FP32),
    Case(tokens=2, experts=8, active=2, hidden=64, width=32, routing="elsewhere"),
    Case(tokens=1, experts=8, active=1, hidden=64, width=32, scales="zero"),
    Case(tokens=2, experts=4, active=2, hidden=64, width=32),
    Case(tokens=3, experts=4, active=4, hidden=96, width=64),
    Case(tokens=64, experts=4, active=2, hidden=160, width=32, dtype=FP32),
    Case(tokens=17, experts=8, active=2, hidden=64, width=32, dtype=FP16),
    Case(tokens=17, experts=8, active=2, hidden=96, width=64, routing="reversed"),
    Case(tokens=17, experts=8, active=2, hidden=96, width=64, routing="one"),
    Case(tokens=17, experts=8, active=2, hidden=96, width=64, routing="elsewhere"),
    Case(tokens=17, experts=8, active=2, hidden=96, width=64, scales="nan"),
    *(
        Case(tokens=tokens, experts=8, active=1 if tokens == 1 else 2, hidden=64, width=32, dtype=FP32, scales=scale)
        for tokens, scale in ((1, "0"), (1, "250"), (17, "0"), (17, "250"))
    ),
]
THOROUGH_CASES = [
    Case(tokens=1, experts=4, active=1, hidden=192, width=96, dtype=FP32),
    Case(tokens=1, experts=8, active=2, hidden=96, width=64, scales="nan"),
    Case(tokens=1, experts=8, active=4, hidden=64, width=32),
    Case(tokens=1, experts=5, active=3, hidden=96, width=64, dtype=FP16),
    Case(tokens=2, experts=8, active=2, hidden=160, width=32, dtype=FP32),
    Case(tokens=3, experts=8, active=1, hidden=96, width=96),
    Case(tokens=1, experts=4, active=1, hidden=544, width=32, dtype=FP32),
    Case(tokens=1, experts=4, active=1, hidden=32, width=544),
    Case(tokens=17, experts=8, active=4, hidden=192, width=96),
    Case(tokens=64, experts=7, active=4, hidden=64, width=96, dtype=FP16),
    Case(tokens=130, experts=4, active=4, hidden=96, width=96),
    Case(tokens=130, experts=8, active=1, hidden=128, width=64),
    *(
        Case(tokens=tokens, experts=8, active=2, hidden=96, width=64, routing=routing)
        for tokens, routing in ((2, "one"), (2, "tied"), (17, "tied"), (130, "one"), (130, "tied"), (130, "elsewhere"))
    ),
    *(Case(tokens=tokens, experts=8, active=2, hidden=96, width=64, scales="zero") for tokens in (1, 17)),
    *(
        Case(tokens=tokens, experts=8, active=2, hidden=64, width=32, dtype=FP32, scales=str(scale))
        for tokens in (1, 17)
        for scale in (1, 64, 127, 190)
    ),
]
CASES = QUICK_CASES + (THOROUGH_CASES if IS_THOROUGH else [])
STRIDED_EXPERTS = (4, 8) if IS_THOROUGH else (4,)


def dequantize(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """Converts MXFP4 to float64: sign, two bits of exponent, one of mantissa; 2^(scale - 127); 255 is NaN."""
    nibbles = torch.stack((blocks % 16, blocks // 16), dim=-1).flatten(-2).long()
    sign, exponent, mantissa = 1.0 - 2.0 * (nibbles // 8), nibbles // 2 % 4, nibbles % 2
    normal = (1 + mantissa / 2) * 2.0 ** (exponent - 1).double()
    magnitude = torch.where(exponent == 0, mantissa.double() / 2, normal)
    factor = torch.where(scales == 255, torch.nan, 2.0 ** (scales.double() - 127))
    return (sign * magnitude * factor[..., None]).flatten(-2)


def compute_expected(hidden, indices, shares, packed) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Computes the mixture in float64, the sum of the magnitudes of its terms, and that of its experts' results."""
    hidden, shares = hidden.double(), shares.double()
    gate_up = dequantize(packed.gate_up_blocks, packed.gate_up_scales)
    down = dequantize(packed.down_blocks, packed.down_scales)
    out, size, results = torch.zeros_like(hidden), torch.zeros_like(hidden), torch.zeros_like(hidden)
    for token in range(hidden.shape[0]):
        for choice, expert in enumerate(indices[token].tolist()):
            if not 0 <= expert < len(gate_up):
                continue
            both = gate_up[expert] @ hidden[token] + packed.gate_up_bias[expert].double()
            gate, up = both[0::2].clamp(max=packed.limit), both[1::2].clamp(-packed.limit, packed.limit)
            middle = (up + 1) * gate / (1 + torch.exp(-packed.alpha * gate))
            result = down[expert] @ middle + packed.down_bias[expert].double()
            out[token] += shares[token, choice] * result
            size[token] += shares[token, choice] * (down[expert].abs() @ middle.abs() + packed.down_bias[expert].abs())
            results[token] += shares[token, choice] * result.abs()
    return out, size, results


def create_inputs(case: Case):
    from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts

    random = torch.Generator().manual_seed(case.tokens * 1000 + case.hidden)

    def draw_bytes(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=random).to(torch.uint8)

    experts, hidden, width = case.experts, case.hidden, case.width
    packed = PackedExperts(
        gate_up_blocks=draw_bytes(0, 256, experts, 2 * width, hidden // 32, 16),
        gate_up_scales=draw_bytes(120, 126, experts, 2 * width, hidden // 32),
        gate_up_bias=torch.randn(experts, 2 * width, generator=random).to(case.dtype),
        down_blocks=draw_bytes(0, 256, experts, hidden, width // 32, 16),
        down_scales=draw_bytes(120, 126, experts, hidden, width // 32),
        down_bias=torch.randn(experts, hidden, generator=random),
        alpha=ALPHA,
        limit=LIMIT,
    )
    # Rounded, so that only the rounding of the kernels is measured.
    x = torch.randn(case.tokens, hidden, generator=random).to(torch.bfloat16).to(case.dtype)
    indices = torch.rand(case.tokens, experts, generator=random).argsort(dim=1)[:, : case.active]
    shares = torch.rand(case.tokens, case.active, generator=random).softmax(dim=1).to(case.dtype)
    if case.routing == "one":
        indices = torch.full_like(indices, 3)
    elif case.routing == "tied":
        indices, shares = indices % 2 + 5, torch.full_like(shares, 0.5)
    elif case.routing == "elsewhere":
        indices[::3, 0], indices[1::3, 1] = experts, -1
    if case.scales == "nan":
        packed.gate_up_scales[0::3, 4, 1], packed.gate_up_scales[1::3, 5, 1] = 255, 255
        packed.down_scales[:, 7, 0] = 255
    elif case.scales == "zero":
        packed.gate_up_scales[::2], packed.down_scales[1::2] = 0, 0
    elif case.scales != "usual":
        # Each token selects one column and compensates the scale, so that an error in any bit is visible.
        packed.gate_up_scales.fill_(int(case.scales))
        packed.gate_up_bias.zero_()
        x = torch.zeros_like(x).scatter_(1, torch.arange(case.tokens)[:, None], 2.0 ** (125 - int(case.scales)))
    return x, indices, shares, packed


def reverse_tiles(plan_tiles):
    """Wraps the function so that the last tiles are computed first: on a GPU they run in any order."""

    def plan(*arguments):
        order, ends, tile_experts, tile_starts = plan_tiles(*arguments)
        return order, ends, tile_experts.flip(0), tile_starts.flip(0)

    return plan


def check_case(case: Case) -> str:
    """Runs one case and returns its problems, or an empty text."""
    from langchain_gptoss.engine.kernels import triton_mxfp4 as cuda

    x, indices, shares, packed = create_inputs(case)
    few, many = (
        mock.patch.object(cuda, name, wraps=getattr(cuda, name))
        for name in ("_compute_few_results", "_compute_many_results")
    )
    tiles = reverse_tiles(cuda._plan_tiles) if case.routing == "reversed" else cuda._plan_tiles
    with few as few_calls, many as many_calls, mock.patch.object(cuda, "_plan_tiles", tiles):
        result = cuda.apply_experts_on_cuda(x, indices, shares, packed)
    expected, size, results = compute_expected(x, indices, shares, packed)
    rounding = {torch.bfloat16: BF16_ERROR, torch.float16: 2.0**-10, torch.float32: 0.0}[case.dtype]
    # Sums in fp32, the rounded result, and for many tokens the rounded activations and results of experts.
    bound = (
        2 * FP32_ERROR * size
        + rounding * expected.abs()
        + (0.0 if case.is_few else BF16_ERROR * size + rounding * results)
    )
    problems = []
    if (few_calls.call_count, many_calls.call_count) != ((1, 0) if case.is_few else (0, 1)):
        problems.append("took the other path")
    if result.dtype != case.dtype or result.shape != x.shape:
        problems.append(f"is {result.dtype} {tuple(result.shape)}")
    if not torch.equal(result.isnan(), expected.isnan()) or (case.scales == "nan") != bool(expected.isnan().any()):
        problems.append("has NaN in other places")
    excess = ((result.double() - expected).abs() / bound.clamp(min=1e-30)).nan_to_num(0).max().item()
    if excess > 1:
        problems.append(f"is off by {excess:.3g} times the bound")
    print(f"{case.name}: {excess:.3f} of the bound", file=sys.stderr)  # noqa: T201
    return "; ".join(problems)


def collect_errors() -> dict[str, str]:
    """Returns the errors for invalid inputs, and the results for unusual valid ones."""
    from langchain_gptoss.engine.kernels.triton_mxfp4 import apply_experts_on_cuda
    from langchain_gptoss.errors import InvalidInputError

    x, indices, shares, packed = create_inputs(Case(tokens=2, experts=4, active=2, hidden=64, width=32))
    strided = packed.down_blocks.transpose(0, 1).contiguous().transpose(0, 1)
    attempts = {
        "strided": (x, indices, shares, replace(packed, down_blocks=strided)),
        "offset": (
            x,
            indices,
            shares,
            replace(packed, gate_up_scales=packed.gate_up_scales.new_empty(513)[1:].view(4, 64, 2)),
        ),
        "shape": (x[:, :32], indices, shares, packed),
        "routing": (x, indices[:1], shares, packed),
        "type": (x.double(), indices, shares, packed),
        "device": (x, indices, shares, replace(packed, down_bias=packed.down_bias.to("meta"))),
    }
    messages = {}
    for name, arguments in attempts.items():
        try:
            apply_experts_on_cuda(*arguments)
        except InvalidInputError as error:
            messages[name] = str(error)
    messages["nothing"] = str(list(apply_experts_on_cuda(x[:0], indices[:0], shares[:0], packed).shape))
    for experts in STRIDED_EXPERTS:
        x, indices, shares, packed = create_inputs(Case(tokens=2, experts=experts, active=2, hidden=64, width=32))
        strided = [tensor.t().contiguous().t() for tensor in (x, indices.int(), shares)]
        same = torch.equal(apply_experts_on_cuda(*strided, packed), apply_experts_on_cuda(x, indices, shares, packed))
        messages[f"strided input, {experts} experts"] = str(same)
    return messages


@pytest.fixture(scope="module")
def report() -> dict:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-m", __name__]
    completed = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert completed.returncode == 0, completed.stderr[-4000:]
    return json.loads(completed.stdout)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_error_stays_within_the_rounding_of_the_type(report, name):
    assert report["cases"][name] == ""


def test_cases_cover_both_paths():
    assert {case.is_few for case in CASES} == {True, False}


def test_invalid_inputs_are_rejected(report):
    messages = report["errors"]
    assert "down_blocks is not contiguous" in messages["strided"]
    assert "gate_up_scales is not contiguous or not aligned" in messages["offset"]
    assert "must be (4, 64, 1, 16)" in messages["shape"]
    assert "do not match" in messages["routing"]
    assert "torch.float64" in messages["type"]
    assert "down_bias is on meta" in messages["device"]


def test_no_tokens_and_strided_activations_are_accepted(report):
    assert report["errors"]["nothing"] == "[0, 64]"
    for experts in STRIDED_EXPERTS:
        assert report["errors"][f"strided input, {experts} experts"] == "True"


def test_engine_works_without_triton(monkeypatch):
    module = "langchain_gptoss.engine.kernels.triton_mxfp4"
    importlib.import_module("langchain_gptoss.engine.loading")
    importlib.import_module("langchain_gptoss.engine.kernels.packed_experts")
    assert module not in sys.modules
    monkeypatch.setitem(sys.modules, "triton", None)
    with pytest.raises(MissingDependencyError, match=r"langchain-gptoss\[cuda\]"):
        importlib.import_module(module)


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"cases": {case.name: check_case(case) for case in CASES}, "errors": collect_errors()}))  # noqa: T201
