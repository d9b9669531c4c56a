"""A packed model against the same model, dequantized by transformers."""

from pathlib import Path

import pytest
import torch

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.kernels import build, native, packed_experts
from langchain_gptoss.engine.kernels.mxfp4 import apply_experts_reference
from langchain_gptoss.engine.kernels.native import LEVEL_VARIABLE
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.engine.scheduling.local_engine import LocalEngine


@pytest.mark.parametrize("tokens", [1, 3, 13, 130])
@pytest.mark.parametrize(
    ("count", "hidden", "middle", "active"),
    [(4, 32, 32, 4), (8, 96, 160, 4), (6, 544, 96, 2), (4, 576, 384, 4)],
)
def test_experts_agree_with_the_reference(
    kernel, create_experts, create_input, monkeypatch, count, hidden, middle, active, tokens
):
    experts, inputs = create_experts(count, hidden, middle), create_input(tokens, hidden, count, active)
    monkeypatch.setattr(packed_experts, "get_cpu_kernel", lambda: kernel)
    expected = apply_experts_reference(*inputs, experts)
    result = packed_experts.apply_experts(*inputs, experts)
    assert (result - expected).norm() < 1e-3 * expected.norm()  # 16-bit activations


def test_nan_scale_affects_only_its_expert(kernel, create_experts, create_input, monkeypatch):
    monkeypatch.setattr(packed_experts, "get_cpu_kernel", lambda: kernel)
    experts = create_experts(3, 64, 32)
    experts.gate_up_scales[1, 5, 1] = 255
    hidden, _, weights = create_input(9, 64, 3, 1)
    for expert in range(3):
        result = packed_experts.apply_experts(hidden, torch.full((9, 1), expert), weights, experts)
        assert result.isnan().all() if expert == 1 else result.isfinite().all()


@pytest.mark.parametrize("length", [1, 2, 17, 300])
def test_packed_model_without_the_kernel_equals_the_dequantized_one(
    load_packed, dequantized_model, draw_ids, monkeypatch, length
):
    monkeypatch.setattr(packed_experts, "get_cpu_kernel", lambda: None)
    model = load_packed(dtype="float32")
    with torch.inference_mode():
        expected = dequantized_model(input_ids=draw_ids(length)).logits
        torch.testing.assert_close(model(input_ids=draw_ids(length)).logits, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize(("dtype", "bound"), [("float32", 0.02), ("bfloat16", 0.04)])
@pytest.mark.parametrize("length", [1, 2, 17, 500])
def test_packed_model_is_close_to_the_dequantized_one(load_packed, dequantized_model, draw_ids, dtype, bound, length):
    """The model has both kinds of layers, sinks and biases; 500 tokens are many windows of 16.

    The median token counts: if two experts are nearly equal, rounding may choose the other one.
    """
    with torch.inference_mode():
        expected = dequantized_model(input_ids=draw_ids(length)).logits
        difference = load_packed(dtype=dtype)(input_ids=draw_ids(length)).logits - expected
    assert float((difference.norm(dim=-1) / expected.norm(dim=-1)).median()) < bound


def test_model_loaded_with_unpacked_experts_equals_the_dequantized_one(load_packed, dequantized_model, draw_ids):
    with torch.inference_mode():
        expected = dequantized_model(input_ids=draw_ids(9)).logits
        logits = load_packed(experts="unpacked", dtype="float32")(input_ids=draw_ids(9)).logits
    torch.testing.assert_close(logits, expected, atol=1e-4, rtol=1e-4)


def test_ties_in_routing_are_broken_as_without_packing(load_packed, dequantized_model, draw_ids):
    logits = []
    with torch.inference_mode():
        for model in (load_packed(dtype="float32"), dequantized_model):
            routers = [layer.mlp.router for layer in model.model.layers]
            originals = [(router.weight.clone(), router.bias.clone()) for router in routers]
            for router in routers:  # every expert gets the same logit
                router.weight.zero_()
                router.bias.zero_()
            logits.append(model(input_ids=draw_ids(40)).logits)
            for router, (weight, bias) in zip(routers, originals, strict=True):
                router.weight.copy_(weight)
                router.bias.copy_(bias)
    assert (logits[0] - logits[1]).norm() < 0.02 * logits[1].norm()


def test_experts_stay_mapped_from_the_file(load_packed, packed_checkpoint):
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("only Linux lists the mapped files of a process")
    model = load_packed(dtype="float32")
    ranges = [line.split()[0].split("-") for line in maps.read_text().splitlines() if str(packed_checkpoint) in line]
    for layer in model.model.layers:
        address = layer.mlp.experts.packed.gate_up_blocks.data_ptr()
        assert any(int(first, 16) <= address < int(end, 16) for first, end in ranges)


def test_machine_without_a_compiler_runs_packed_models(packed_checkpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("GPTOSS_HOME", str(tmp_path))
    monkeypatch.delenv(LEVEL_VARIABLE, raising=False)
    monkeypatch.setattr(build, "find_compilers", list)
    native._load.cache_clear()
    try:
        assert native.get_kernel_status().level == "none"
        model = load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu"))
        engine = LocalEngine(TorchRunner(model), context_length=512, cache_bytes=1_000_000)
        request = GenerationRequest(prompt_ids=(5, 6), sampling=SamplingParams(max_tokens=5))
        assert len(list(engine.submit(request))) == 5
        engine.close()
    finally:
        native._load.cache_clear()
