"""The CUDA kernels in Triton's interpreter, against MXFP4 and gpt_oss's experts written down from their definitions.

The interpreter has to be chosen before Triton is imported, so the cases run in a process of their own: this file.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from unittest import mock

import pytest
import torch

ALPHA, LIMIT = 1.702, 7.0
# bfloat16 keeps 8 bits of a number, and the interpreter cuts off the rest: at most 2^-7 of it is lost.
BF16, FP32 = 2.0**-7, 2.0**-20


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
    def few(self) -> bool:
        """Whether this takes the path for few tokens; restated here so that both are known to be covered."""
        return self.tokens == 1 or self.tokens * self.active <= self.experts // 2


FP32_TYPE, FP16 = torch.float32, torch.float16
CASES = [
    Case(tokens=1, experts=8, active=4, hidden=64, width=32),
    Case(tokens=1, experts=4, active=1, hidden=192, width=96, dtype=FP32_TYPE),
    Case(tokens=1, experts=5, active=3, hidden=96, width=64, dtype=FP16),
    Case(tokens=2, experts=8, active=2, hidden=160, width=32, dtype=FP32_TYPE),
    Case(tokens=3, experts=8, active=1, hidden=96, width=96),
    Case(tokens=1, experts=4, active=1, hidden=544, width=32, dtype=FP32_TYPE),
    Case(tokens=1, experts=4, active=1, hidden=32, width=544),
    Case(tokens=2, experts=4, active=2, hidden=64, width=32),
    Case(tokens=3, experts=4, active=4, hidden=96, width=64),
    Case(tokens=17, experts=8, active=4, hidden=192, width=96),
    Case(tokens=64, experts=4, active=2, hidden=160, width=32, dtype=FP32_TYPE),
    Case(tokens=64, experts=7, active=4, hidden=64, width=96, dtype=FP16),
    Case(tokens=130, experts=4, active=4, hidden=96, width=96),
    Case(tokens=130, experts=8, active=1, hidden=128, width=64),
    Case(tokens=17, experts=8, active=2, hidden=96, width=64, routing="backwards"),
    *(
        Case(tokens=tokens, experts=8, active=2, hidden=96, width=64, routing=routing)
        for tokens in (2, 17, 130)
        for routing in ("one", "tied", "elsewhere")
    ),
    *(
        Case(tokens=tokens, experts=8, active=2, hidden=96, width=64, scales=scales)
        for tokens in (1, 17)
        for scales in ("nan", "zero")
    ),
    *(
        Case(tokens=tokens, experts=8, active=2, hidden=64, width=32, dtype=FP32_TYPE, scales=str(scale))
        for tokens in (1, 17)
        for scale in (0, 1, 64, 127, 190, 250)
    ),
]


def numbers(blocks: torch.Tensor, scales: torch.Tensor) -> torch.Tensor:
    """MXFP4 to float64: sign, two bits of exponent, one of mantissa; 2^(scale - 127); 255 is NaN."""
    nibbles = torch.stack((blocks % 16, blocks // 16), dim=-1).flatten(-2).long()
    sign, exponent, mantissa = 1.0 - 2.0 * (nibbles // 8), nibbles // 2 % 4, nibbles % 2
    normal = (1 + mantissa / 2) * 2.0 ** (exponent - 1).double()
    magnitude = torch.where(exponent == 0, mantissa.double() / 2, normal)
    factor = torch.where(scales == 255, torch.nan, 2.0 ** (scales.double() - 127))
    return (sign * magnitude * factor[..., None]).flatten(-2)


def expected(hidden, indices, shares, packed) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """The mixture in float64, the size of what is added up for it, and the size of the results that are."""
    hidden, shares = hidden.double(), shares.double()
    gate_up = numbers(packed.gate_up_blocks, packed.gate_up_scales)
    down = numbers(packed.down_blocks, packed.down_scales)
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


def inputs(case: Case):
    from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts

    random = torch.Generator().manual_seed(case.tokens * 1000 + case.hidden)

    def some_bytes(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=random).to(torch.uint8)

    experts, hidden, width = case.experts, case.hidden, case.width
    packed = PackedExperts(
        gate_up_blocks=some_bytes(0, 256, experts, 2 * width, hidden // 32, 16),
        gate_up_scales=some_bytes(120, 126, experts, 2 * width, hidden // 32),
        gate_up_bias=torch.randn(experts, 2 * width, generator=random).to(case.dtype),
        down_blocks=some_bytes(0, 256, experts, hidden, width // 32, 16),
        down_scales=some_bytes(120, 126, experts, hidden, width // 32),
        down_bias=torch.randn(experts, hidden, generator=random),
        alpha=ALPHA,
        limit=LIMIT,
    )
    # Rounded, so that what is measured is the kernels' rounding and not that of the input.
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
        # Each token picks out one column, times what makes up for the scale: an error in any bit of it shows.
        packed.gate_up_scales.fill_(int(case.scales))
        packed.gate_up_bias.zero_()
        x = torch.zeros_like(x).scatter_(1, torch.arange(case.tokens)[:, None], 2.0 ** (125 - int(case.scales)))
    return x, indices, shares, packed


def backwards(tiles):
    """Wraps the function so that the last tiles are computed first: on a GPU they come in any order."""

    def wrapped(*arguments):
        order, ends, tile_experts, tile_starts = tiles(*arguments)
        return order, ends, tile_experts.flip(0), tile_starts.flip(0)

    return wrapped


def measured(case: Case) -> str:
    """Runs one case; returns what is wrong with it, or nothing."""
    from langchain_gptoss.engine.kernels import triton_mxfp4 as cuda

    x, indices, shares, packed = inputs(case)
    few, many = (mock.patch.object(cuda, name, wraps=getattr(cuda, name)) for name in ("_few_results", "_many_results"))
    tiles = backwards(cuda._tiles) if case.routing == "backwards" else cuda._tiles
    with few as few_calls, many as many_calls, mock.patch.object(cuda, "_tiles", tiles):
        got = cuda.experts_on_cuda(x, indices, shares, packed)
    wanted, size, results = expected(x, indices, shares, packed)
    rounding = {torch.bfloat16: BF16, torch.float16: 2.0**-10, torch.float32: 0.0}[case.dtype]
    # The sums in fp32, the rounded result, and, for many tokens, the rounded activations and results of experts.
    bound = 2 * FP32 * size + rounding * wanted.abs() + (0.0 if case.few else BF16 * size + rounding * results)
    problems = []
    if (few_calls.call_count, many_calls.call_count) != ((1, 0) if case.few else (0, 1)):
        problems.append("took the other path")
    if got.dtype != case.dtype or got.shape != x.shape:
        problems.append(f"is {got.dtype} {tuple(got.shape)}")
    if not torch.equal(got.isnan(), wanted.isnan()) or (case.scales == "nan") != bool(wanted.isnan().any()):
        problems.append("has NaN in other places")
    excess = ((got.double() - wanted).abs() / bound.clamp(min=1e-30)).nan_to_num(0).max().item()
    if excess > 1:
        problems.append(f"is off by {excess:.3g} times the bound")
    print(f"{case.name}: {excess:.3f} of the bound", file=sys.stderr)  # noqa: T201
    return "; ".join(problems)


def refused() -> dict[str, str]:
    """What the function says to inputs that it cannot take."""
    from langchain_gptoss.engine.kernels.triton_mxfp4 import experts_on_cuda
    from langchain_gptoss.errors import InvalidInputError

    x, indices, shares, packed = inputs(Case(tokens=2, experts=4, active=2, hidden=64, width=32))
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
    said = {}
    for name, arguments in attempts.items():
        try:
            experts_on_cuda(*arguments)
        except InvalidInputError as error:
            said[name] = str(error)
    said["nothing"] = str(list(experts_on_cuda(x[:0], indices[:0], shares[:0], packed).shape))
    for experts in (4, 8):
        x, indices, shares, packed = inputs(Case(tokens=2, experts=experts, active=2, hidden=64, width=32))
        strided = [tensor.t().contiguous().t() for tensor in (x, indices.int(), shares)]
        same = torch.equal(experts_on_cuda(*strided, packed), experts_on_cuda(x, indices, shares, packed))
        said[f"strided input, {experts} experts"] = str(same)
    return said


@pytest.fixture(scope="module")
def report() -> dict:
    pytest.importorskip("triton")
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    done = subprocess.run([sys.executable, __file__], env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", [case.name for case in CASES])
def test_the_kernels_keep_within_the_rounding_of_the_type(report, name):
    assert report["cases"][name] == ""


def test_both_paths_are_tried():
    assert {case.few for case in CASES} == {True, False}


def test_what_cannot_be_taken_is_refused(report):
    said = report["refused"]
    assert "down_blocks is not contiguous" in said["strided"]
    assert "gate_up_scales is not contiguous or not aligned" in said["offset"]
    assert "must be (4, 64, 1, 16)" in said["shape"]
    assert "do not fit together" in said["routing"]
    assert "torch.float64" in said["type"]
    assert "down_bias is on meta" in said["device"]


def test_no_tokens_and_strided_activations_are_taken(report):
    assert report["refused"]["nothing"] == "[0, 64]"
    assert report["refused"]["strided input, 4 experts"] == "True"
    assert report["refused"]["strided input, 8 experts"] == "True"


def test_the_engine_does_without_triton():
    code = """
import sys
sys.modules["triton"] = None
import langchain_gptoss.engine.loading, langchain_gptoss.engine.kernels.packed_experts
assert "langchain_gptoss.engine.kernels.triton_mxfp4" not in sys.modules
try:
    import langchain_gptoss.engine.kernels.triton_mxfp4
except ImportError as error:
    sys.exit(0 if "langchain-gptoss[cuda]" in str(error) else str(error))
sys.exit("imported")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(json.dumps({"cases": {case.name: measured(case) for case in CASES}, "refused": refused()}))  # noqa: T201
