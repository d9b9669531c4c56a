"""MXFP4: the reference against transformers, the kernels against the reference, a packed model against an unpacked one.

Bounds: the reference computes in float32 and agrees to its rounding. The kernel rounds activations to 8 bits per block
of 32, twice, which moves a mixture's outputs by 1 % of their size at gpt-oss's width (root mean square).
"""

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DynamicCache, GptOssConfig, GptOssForCausalLM, Mxfp4Config
from transformers.integrations.mxfp4 import convert_moe_packed_tensors
from transformers.models.gpt_oss.modeling_gpt_oss import GptOssExperts

from langchain_gptoss.engine import GenerationRequest, SamplingParams, weights
from langchain_gptoss.engine.kernels import build
from langchain_gptoss.engine.kernels import native as kernel
from langchain_gptoss.engine.kernels import packed_experts as experts
from langchain_gptoss.engine.kernels.build import NoKernelError, built_kernel
from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts, experts_reference, packed, unpacked
from langchain_gptoss.engine.kernels.native import LEVELS, Kernel
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners import local
from langchain_gptoss.engine.runners import native_decode as decode
from langchain_gptoss.engine.runners.local import LocalEngine
from langchain_gptoss.errors import CheckpointError

KERNEL_BOUND = 0.015  # root mean square of the error over that of the result


@pytest.fixture(scope="session", params=range(len(LEVELS)), ids=LEVELS)
def cpu(request: pytest.FixtureRequest) -> Kernel:
    made = Kernel(built_kernel(), level=request.param)
    if made.level != LEVELS[request.param]:
        pytest.skip(f"this processor has no {LEVELS[request.param]}")
    return made


def some_experts(count: int, hidden: int, middle: int, *, scales: tuple[int, int] = (117, 122)) -> PackedExperts:
    chance = torch.Generator().manual_seed(count + hidden + middle)

    def numbers(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=chance).to(torch.uint8)

    return PackedExperts(
        gate_up_blocks=numbers(0, 256, count, 2 * middle, hidden // 32, 16),
        gate_up_scales=numbers(*scales, count, 2 * middle, hidden // 32),
        gate_up_bias=torch.randn(count, 2 * middle, generator=chance),
        down_blocks=numbers(0, 256, count, hidden, middle // 32, 16),
        down_scales=numbers(*scales, count, hidden, middle // 32),
        down_bias=torch.randn(count, hidden, generator=chance),
        alpha=1.702,
        limit=7.0,
    )


def some_input(tokens: int, hidden: int, count: int, active: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    chance = torch.Generator().manual_seed(tokens)
    choices = torch.rand(tokens, count, generator=chance).argsort(dim=1)[:, :active].contiguous()
    shares = torch.randn(tokens, active, generator=chance).softmax(dim=1)
    return torch.randn(tokens, hidden, generator=chance), choices, shares


def error_of(result: torch.Tensor, expected: torch.Tensor) -> float:
    return float((result - expected).norm() / expected.norm())


# ---- the format


def test_every_byte_under_every_scale_is_transformers_own():
    blocks = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    for scale in (*range(1, 255, 23), 126, 127, 128, 254):
        scales = torch.full((1, 1, 16), scale, dtype=torch.uint8)
        theirs = convert_moe_packed_tensors(blocks, scales, dtype=torch.bfloat16).transpose(1, 2)
        assert torch.equal(unpacked(blocks, scales, torch.bfloat16), theirs.reshape(1, 1, -1))


def test_scales_at_the_ends():
    blocks = torch.full((3, 16), 0x21, dtype=torch.uint8)  # 0.5 and 1.0
    values = unpacked(blocks, torch.tensor([0, 254, 255], dtype=torch.uint8))
    assert values[:32].tolist() == [2.0**-128, 2.0**-127] * 16
    assert values[32:64].tolist() == [2.0**126, 2.0**127] * 16
    assert values[64:].isnan().all()


def test_what_mxfp4_holds_is_packed_without_a_loss():
    made = some_experts(2, 96, 32)
    values = unpacked(made.gate_up_blocks, made.gate_up_scales)
    assert torch.equal(unpacked(*packed(values)), values)


def test_packing_rounds_to_the_nearest_number_and_a_tie_to_the_even_one():
    block = torch.tensor([0.2, 0.3, 0.75, 1.25, 1.75, 2.5, 3.5, 5.0, 5.1, -0.75, -4.9, 6.0] + [0.0] * 20)
    expected = [0.0, 0.5, 1.0, 1.0, 2.0, 2.0, 4.0, 4.0, 6.0, -1.0, -4.0, 6.0] + [0.0] * 20
    assert unpacked(*packed(block)).tolist() == expected
    assert unpacked(*packed(torch.zeros(64))).tolist() == [0.0] * 64


# ---- the mixture of experts


@pytest.mark.parametrize(("count", "hidden", "middle", "tokens", "active"), [(4, 64, 32, 7, 2), (8, 96, 160, 33, 4)])
def test_the_reference_is_transformers_mixture(count, hidden, middle, tokens, active):
    made = some_experts(count, hidden, middle)
    config = GptOssConfig(hidden_size=hidden, intermediate_size=middle, num_local_experts=count)
    config._experts_implementation = "eager"
    module = GptOssExperts(config)
    with torch.no_grad():
        module.gate_up_proj.copy_(unpacked(made.gate_up_blocks, made.gate_up_scales).transpose(1, 2))
        module.down_proj.copy_(unpacked(made.down_blocks, made.down_scales).transpose(1, 2))
        module.gate_up_proj_bias.copy_(made.gate_up_bias)
        module.down_proj_bias.copy_(made.down_bias)
        given = some_input(tokens, hidden, count, active)
        torch.testing.assert_close(experts_reference(*given, made), module(*given), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("tokens", [1, 2, 3, 4, 5, 8, 13, 130])
@pytest.mark.parametrize(
    ("count", "hidden", "middle", "active"),
    [(4, 32, 32, 4), (8, 96, 160, 4), (6, 544, 96, 2), (4, 576, 384, 4)],
)
def test_the_kernel_keeps_its_bound(cpu, count, hidden, middle, active, tokens):
    made, given = some_experts(count, hidden, middle), some_input(tokens, hidden, count, active)
    expected = experts_reference(*given, made)
    assert error_of(cpu.experts(*given, made), expected) < KERNEL_BOUND


def test_a_thousand_tokens_and_all_of_them_for_one_expert(cpu):
    made = some_experts(4, 64, 64)
    hidden, _, shares = some_input(1000, 64, 4, 2)
    choices = torch.tensor([[2, 3]]).expand(1000, 2).contiguous()
    expected = experts_reference(hidden, choices, shares, made)
    assert error_of(cpu.experts(hidden, choices, shares, made), expected) < KERNEL_BOUND


def test_a_token_gets_the_same_in_any_company(cpu):
    """Not bit by bit: few and many tokens add up in another order."""
    made, (hidden, choices, shares) = some_experts(4, 576, 96), some_input(40, 576, 4, 2)
    together = cpu.experts(hidden, choices, shares, made)
    for token in range(0, 40, 7):
        one = slice(token, token + 1)
        alone = cpu.experts(hidden[one], choices[one], shares[one], made)
        torch.testing.assert_close(alone, together[one], atol=2e-2 * float(together.abs().max()), rtol=0)


@pytest.mark.parametrize("tokens", [1, 9])
def test_a_scale_that_is_no_number_spoils_its_expert_alone(cpu, tokens):
    made = some_experts(3, 64, 32)
    made.gate_up_scales[1, 5, 1] = 255
    hidden, _, shares = some_input(tokens, 64, 3, 1)
    for expert in range(3):
        choices = torch.full((tokens, 1), expert)
        result = cpu.experts(hidden, choices, shares, made)
        assert result.isnan().all() if expert == 1 else result.isfinite().all()
        assert experts_reference(hidden, choices, shares, made).isnan().all() == (expert == 1)


@pytest.mark.parametrize("tokens", [1, 9])
@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
def test_an_input_that_is_no_number_spoils_its_token_alone(cpu, tokens, value):
    made = some_experts(3, 64, 32)
    hidden, choices, shares = some_input(tokens, 64, 3, 2)
    hidden[0, 7] = value
    result = cpu.experts(hidden, choices, shares, made)
    assert not result[0].isfinite().any()
    assert result[1:].isfinite().all()


@pytest.mark.parametrize("tokens", [1, 9])
def test_the_smallest_and_the_largest_scales(cpu, tokens):
    made, given = some_experts(2, 64, 32, scales=(0, 2)), some_input(tokens, 64, 2, 2)
    torch.testing.assert_close(cpu.experts(*given, made), experts_reference(*given, made), atol=1e-6, rtol=1e-5)
    huge = some_experts(2, 64, 32, scales=(250, 255))
    assert not torch.equal(cpu.experts(*given, huge), cpu.experts(*given, made))


def test_inputs_of_zeros_and_of_tiny_numbers(cpu):
    made = some_experts(3, 64, 32)
    _, choices, shares = some_input(6, 64, 3, 2)
    for hidden in (torch.zeros(6, 64), torch.full((6, 64), 1e-38)):
        expected = experts_reference(hidden, choices, shares, made)
        assert error_of(cpu.experts(hidden, choices, shares, made), expected) < KERNEL_BOUND


def test_int8_matrices(cpu):
    chance = torch.Generator().manual_seed(3)
    matrix, bias = torch.randn(70, 96, generator=chance), torch.randn(70, generator=chance)
    matrix[3], matrix[4, :32] = 0, 1e-38
    values, scales = cpu.narrow(matrix)
    step = matrix.view(70, 3, 32).abs().amax(-1, keepdim=True) / 127
    widened = cpu.widen(values, scales)
    assert ((widened.view(70, 3, 32) - matrix.view(70, 3, 32)).abs() <= 0.51 * step + 1e-37).all()
    for tokens in (1, 3, 4, 9):
        x = torch.randn(tokens, 96, generator=chance)
        assert error_of(cpu.dense(x, values, scales, bias), x @ widened.T + bias) < 1e-4
        assert error_of(cpu.dense(x, values, scales, None), x @ widened.T) < 1e-4
    assert torch.equal(cpu.narrow(matrix.bfloat16())[0], cpu.narrow(matrix.bfloat16().float())[0])


def test_int8_matrices_without_a_kernel_are_the_same(cpu, monkeypatch):
    from langchain_gptoss.engine.kernels import dense

    matrix = torch.randn(70, 96, generator=torch.Generator().manual_seed(4))
    monkeypatch.setattr(dense, "cpu_kernel", lambda: None)
    values, scales = dense.quantized(matrix)
    assert torch.equal(scales, cpu.narrow(matrix)[1])
    assert (values.int() - cpu.narrow(matrix)[0].int()).abs().max() <= 1
    assert torch.equal(dense.widened(values, scales), cpu.widen(values, scales))


# ---- a whole model


def unpacked_by_transformers(folder: Path) -> Any:
    return GptOssForCausalLM.from_pretrained(
        folder,
        dtype=torch.float32,
        quantization_config=Mxfp4Config(dequantize=True),
        attn_implementation="eager",
        experts_implementation="eager",
    ).eval()


def ids_of(length: int) -> torch.Tensor:
    return torch.randint(3, 200, (1, length), generator=torch.Generator().manual_seed(length))


@pytest.fixture(scope="session")
def unpacked_model(packed_checkpoint: Path) -> Any:
    return unpacked_by_transformers(packed_checkpoint)


@pytest.mark.parametrize("length", [1, 2, 17, 300])
def test_a_packed_model_without_the_kernel_is_the_unpacked_one(packed_checkpoint, unpacked_model, monkeypatch, length):
    monkeypatch.setattr(experts, "cpu_kernel", lambda: None)
    model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", dtype="float32"))
    with torch.inference_mode():
        expected = unpacked_model(input_ids=ids_of(length)).logits
        torch.testing.assert_close(model(input_ids=ids_of(length)).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 0.02), ("int8", 0.04), ("bfloat16", 0.04)])
@pytest.mark.parametrize("length", [1, 2, 17, 500])
def test_a_packed_model_keeps_its_bound(packed_checkpoint, unpacked_model, dtype, bound, length):
    """Both kinds of layers, sinks and biases are in it; 500 tokens are many windows of 16.

    The median token counts: where two experts are nearly as good, rounding may choose the other one.
    """
    model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", dtype=dtype))
    with torch.inference_mode():
        expected = unpacked_model(input_ids=ids_of(length)).logits
        error = (model(input_ids=ids_of(length)).logits - expected).norm(dim=-1) / expected.norm(dim=-1)
    assert float(error.median()) < bound


def test_unpacked_on_request(packed_checkpoint, unpacked_model):
    model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", experts="unpacked"))
    with torch.inference_mode():
        expected = unpacked_model(input_ids=ids_of(9)).logits
        torch.testing.assert_close(model(input_ids=ids_of(9)).logits, expected, atol=1e-4, rtol=1e-4)


def test_ties_in_routing_are_broken_as_without_packing(packed_checkpoint, unpacked_model):
    model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", dtype="float32"))
    with torch.inference_mode():
        for one in (model, unpacked_model):
            routers = [layer.mlp.router for layer in one.model.layers]
            kept = [(router.weight.clone(), router.bias.clone()) for router in routers]
            for router in routers:  # every expert gets the same logit
                router.weight.zero_()
                router.bias.zero_()
            one.tied = one(input_ids=ids_of(40)).logits
            for router, (weight, bias) in zip(routers, kept, strict=True):
                router.weight.copy_(weight)
                router.bias.copy_(bias)
    assert error_of(model.tied, unpacked_model.tied) < 0.02


def test_experts_stay_in_the_file(packed_checkpoint):
    model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu"))
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux tells what is mapped")
    ranges = [line.split()[0].split("-") for line in maps.read_text().splitlines() if str(packed_checkpoint) in line]
    for layer in model.model.layers:
        place = layer.mlp.experts.packed.gate_up_blocks.data_ptr()
        assert any(int(first, 16) <= place < int(end, 16) for first, end in ranges)


def test_an_engine_on_packed_weights(packed_checkpoint):
    plan = plan_checkpoint(packed_checkpoint, device="cpu")
    assert (plan.experts, plan.dtype, plan.attention) == ("packed", "int8", "flash")
    engine = LocalEngine(load_model(packed_checkpoint, plan), context_length=plan.context)
    request = GenerationRequest(prompt_ids=(5, 9, 44), sampling=SamplingParams(temperature=0, max_tokens=30))
    assert list(engine.submit(request)) == list(engine.submit(request))
    engine.close()


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.layers.0.mlp.experts.down_proj_scales", None, "lacks 1 weights"),
        ("model.layers.1.mlp.experts.gate_up_proj_blocks", (4, 128, 1, 16), r"the shape \(4, 128, 1, 16\)"),
    ],
)
def test_packed_weights_that_are_missing_or_of_another_shape(packed_checkpoint, monkeypatch, name, shape, message):
    tensors = weights._tensors

    def spoilt(folder: Path) -> Any:
        for found, tensor in tensors(folder):
            if found != name:
                yield found, tensor
            elif shape is not None:
                yield found, torch.zeros(shape, dtype=torch.uint8)

    monkeypatch.setattr(weights, "_tensors", spoilt)
    with pytest.raises(CheckpointError, match=message):
        load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu"))


# ---- decode in one call a token


@pytest.fixture(scope="session")
def int8_model(packed_checkpoint: Path) -> Any:
    return load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu"))


@pytest.mark.parametrize("prompt", [1, 3, 15, 16, 17, 40])
def test_decode_gives_the_logits_of_transformers_modules(int8_model, monkeypatch, prompt):
    """Past several windows of 16 and several growths of the cache."""
    monkeypatch.setattr(decode, "_ROOM", 7)
    decoder, cache = decode.decoder_of(int8_model), DynamicCache(config=int8_model.config)
    kept = {local._cache_name(int8_model): cache}
    with torch.inference_mode():
        int8_model(input_ids=ids_of(prompt), **kept)
        past = decoder.past(copy.deepcopy(cache), most=prompt + 60)
        for token in ids_of(60)[0].tolist():
            expected = int8_model(input_ids=torch.tensor([[token]]), **kept).logits[0, -1]
            assert error_of(decoder.step(past, token), expected) < 1e-3
    assert past.position == prompt + 60


def test_decode_is_for_packed_int8_models_alone(packed_checkpoint, int8_model, monkeypatch):
    floats = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", dtype="float32"))
    assert decode.decoder_of(floats) is None
    assert decode.decoder_of(int8_model) is not None
    monkeypatch.setattr(decode, "cpu_kernel", lambda: None)
    assert decode.decoder_of(int8_model) is None


def test_an_engine_writes_the_same_with_and_without_it(packed_checkpoint, int8_model, monkeypatch):
    request = GenerationRequest(
        prompt_ids=tuple(ids_of(21)[0].tolist()), sampling=SamplingParams(temperature=0, max_tokens=80)
    )
    written = []
    for decoder_of in (decode.decoder_of, lambda _: None):
        monkeypatch.setattr(local, "decoder_of", decoder_of)
        engine = LocalEngine(int8_model, context_length=512)
        written.append(list(engine.submit(request)))
        assert engine.steps == 80
        engine.close()
    assert written[0] == written[1]


# ---- where the kernel comes from


@pytest.fixture
def empty_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path


def without_compilers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "compilers", list)


def test_it_is_compiled_once(empty_home, monkeypatch):
    made = built_kernel()
    assert Kernel(made).level in LEVELS
    without_compilers(monkeypatch)
    assert built_kernel() == made
    assert [file.suffix for file in made.parent.iterdir() if not file.name.startswith(".")] == [".so"]


def test_without_a_compiler_the_extra_is_named(empty_home, monkeypatch):
    without_compilers(monkeypatch)
    with pytest.raises(NoKernelError, match=r"no C compiler was found; pip install \"langchain-gptoss\[cpu\]\""):
        built_kernel()


def test_a_compiler_that_fails_is_quoted_and_the_next_one_is_tried(empty_home, monkeypatch):
    broken = [sys.executable, "-c", "import sys; sys.exit('no such target')"]
    monkeypatch.setattr(build, "compilers", lambda: [broken])
    with pytest.raises(NoKernelError, match=r"could not be compiled: .*no such target"):
        built_kernel()
    assert not list(empty_home.rglob("experts*"))
    monkeypatch.undo()
    monkeypatch.setenv("GPTOSS_HOME", str(empty_home))
    working = build.compilers()
    monkeypatch.setattr(build, "compilers", lambda: [broken, *working])
    assert built_kernel().is_file()


def test_a_named_compiler_comes_first(monkeypatch):
    monkeypatch.setenv("CC", f"{sys.executable} -x")
    assert build.compilers()[0] == [sys.executable, "-x"]


def test_a_kernel_that_computes_wrong_results_is_not_used(monkeypatch):
    monkeypatch.setattr(kernel, "experts_reference", lambda *args: experts_reference(*args) * 1.1)
    with pytest.raises(NoKernelError, match="computes wrong results on this processor"):
        Kernel(built_kernel())


def test_a_file_that_is_no_library(tmp_path):
    file = tmp_path / "experts.so"
    file.write_text("nothing")
    with pytest.raises(NoKernelError, match="cannot be loaded"):
        Kernel(file)


def test_zig_compiles_it_too(empty_home, monkeypatch):
    pytest.importorskip("ziglang")
    monkeypatch.setattr(build, "compilers", lambda: [[sys.executable, "-m", "ziglang", "cc"]])
    monkeypatch.setenv("ZIG_GLOBAL_CACHE_DIR", str(empty_home / "zig"))
    assert Kernel(built_kernel()).level in LEVELS


def test_a_machine_without_a_compiler_runs_packed_models(packed_checkpoint, tmp_path):
    code = (
        "import torch; from pathlib import Path; from langchain_gptoss.engine.registry import get_local_engine;"
        "from langchain_gptoss.engine import GenerationRequest, SamplingParams;"
        "from langchain_gptoss.engine.kernels.native import get_kernel_status; assert get_kernel_status().level == 'none';"
        f"engine = get_local_engine(Path({str(packed_checkpoint)!r}));"
        "print(len(list(engine.submit(GenerationRequest(prompt_ids=(5, 6), sampling=SamplingParams(max_tokens=5))))))"
    )
    bare = {key: value for key, value in os.environ.items() if key not in {"CC", "PATH"}}
    environment = bare | {"PATH": str(tmp_path), "GPTOSS_HOME": str(tmp_path), "PYTHONPATH": str(hide_zig(tmp_path))}
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "5", done.stderr


def hide_zig(folder: Path) -> Path:
    """A sitecustomize that makes ziglang look as if it were not installed."""
    hook = "import importlib.util as u; f = u.find_spec\nu.find_spec = lambda n, *a: None if n == 'ziglang' else f(n, *a)\n"
    (folder / "sitecustomize.py").write_text(hook)
    return folder
