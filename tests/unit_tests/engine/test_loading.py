"""Loading: plans, damaged checkpoints, and the logits of the loaded model."""

import dataclasses
import json
import shutil
import struct
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from langchain_gptoss.engine import loading, weights
from langchain_gptoss.engine.kernels.native import get_cpu_kernel
from langchain_gptoss.engine.loading import load_model, load_runner, plan_checkpoint, probe_machine
from langchain_gptoss.engine.runners.native import NativeRunner
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.errors import CheckpointError, GptOssError, GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.checkpoint import check_checkpoint

IDS = torch.tensor([[5, 17, 44, 198, 3, 3, 61]])


needs_kernel = pytest.mark.skipif(get_cpu_kernel() is None, reason="this machine has no CPU kernel")


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def load(folder: Path, dtype: str = "float32") -> Any:
    return load_model(folder, plan_checkpoint(folder, device="cpu", dtype=dtype))


def set_free_memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    hardware = dataclasses.replace(probe_machine(needs_kernel=False), ram_free=free, gpus=())
    monkeypatch.setattr(loading, "probe_machine", lambda **_: hardware)


def test_logits_equal_those_of_transformers(tiny_checkpoint, transformers_model):
    with torch.inference_mode():
        expected = transformers_model(input_ids=IDS).logits
        torch.testing.assert_close(load(tiny_checkpoint)(input_ids=IDS).logits, expected, atol=1e-5, rtol=1e-4)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def cut_in_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def clear(file: Path) -> None:
    file.write_bytes(b"")


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def claim_a_huge_header(file: Path) -> None:
    file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])


def write_a_list_as_header(file: Path) -> None:
    file.write_bytes(struct.pack("<Q", 2) + b"[]")


def write_a_web_page(file: Path) -> None:
    file.write_text("<!doctype html><title>Sign in</title>" * 10)


@pytest.mark.parametrize(
    "damage", [cut, cut_in_the_header, clear, lengthen, claim_a_huge_header, write_a_list_as_header, write_a_web_page]
)
def test_damaged_weight_file_is_an_error(checkpoint, damage):
    damage(checkpoint / "model.safetensors")
    for attempt in (check_checkpoint, load):
        with pytest.raises(CheckpointError, match=r"model\.safetensors.*Copy or fetch the checkpoint again"):
            attempt(checkpoint)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device is 'tpu'"),
        ({"dtype": "int4"}, "dtype is 'int4'"),
        ({"device": "cuda"}, "CUDA"),
        ({"experts": "packed"}, "MXFP4"),
        ({"max_context": 513}, "between 1 and 512"),
    ],
)
def test_impossible_options_are_rejected(tiny_checkpoint, monkeypatch, options, message):
    set_free_memory(monkeypatch, 10**12)
    with pytest.raises(InvalidInputError, match=message):
        plan_checkpoint(tiny_checkpoint, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_dtype_option_sets_the_type_of_the_weights(tiny_checkpoint, dtype, monkeypatch):
    set_free_memory(monkeypatch, 10**12)  # and no kernel, so transformers' modules run all types
    model = load(tiny_checkpoint, dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert model(input_ids=IDS).logits.isfinite().all()


def test_without_a_kernel_float32_is_chosen_if_it_fits_and_bfloat16_otherwise(tiny_checkpoint, monkeypatch):
    set_free_memory(monkeypatch, 10**12)
    assert plan_checkpoint(tiny_checkpoint).dtype == "float32"
    needed = plan_checkpoint(tiny_checkpoint, cache_gb=0.001).tightest_demand.needed_bytes
    set_free_memory(monkeypatch, needed - 1)
    assert plan_checkpoint(tiny_checkpoint, cache_gb=0.001).dtype == "bfloat16"


def test_too_little_memory_is_an_error_before_loading(tiny_checkpoint, monkeypatch):
    set_free_memory(monkeypatch, 1000)
    with pytest.raises(
        GptOssMemoryError, match=r"tiny-gpt-oss needs .* GB of memory .* are free.*would work"
    ) as raised:
        plan_checkpoint(tiny_checkpoint, device="cpu")
    assert isinstance(raised.value, MemoryError)
    assert isinstance(raised.value, GptOssError)


def test_memory_that_runs_out_during_loading_is_an_error(tiny_checkpoint, monkeypatch):
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: out of memory")

    monkeypatch.setattr(weights, "load_weights", out_of_memory)
    with pytest.raises(GptOssMemoryError, match="ran out while loading 'tiny-gpt-oss'"):
        load(tiny_checkpoint)


def test_missing_weights_are_counted_and_named(checkpoint):
    tensors = read_weights(checkpoint)
    del tensors["model.layers.1.self_attn.sinks"], tensors["model.norm.weight"]
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 2 weights .* such as 'model\.layers\.1\.self_attn\.sinks'"):
        load(checkpoint)


def test_superfluous_weights_are_counted_and_named(checkpoint):
    tensors = read_weights(checkpoint) | {"model.layers.7.self_attn.sinks": torch.zeros(4)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"has 1 weights .* such as 'model\.layers\.7\.self_attn\.sinks'"):
        load(checkpoint)


def test_weights_with_a_wrong_shape_are_rejected(checkpoint):
    tensors = read_weights(checkpoint) | {"model.norm.weight": torch.zeros(32)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' has the shape \(32,\) and the config .* \(64,\)"):
        load(checkpoint)


def test_weights_with_an_unknown_type_are_rejected(checkpoint):
    tensors = read_weights(checkpoint) | {"model.norm.weight": torch.zeros(64, dtype=torch.int64)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="has the type I64"):
        load(checkpoint)


def test_planned_size_equals_the_loaded_size(tiny_checkpoint):
    memory = plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32").memory
    taken = sum(weight.numel() * weight.element_size() for weight in load(tiny_checkpoint).parameters())
    assert memory.experts + memory.dense + memory.embeddings == taken


def test_loaded_model_is_in_evaluation_mode(tiny_checkpoint):
    model = load(tiny_checkpoint)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_context_is_that_of_the_config_if_it_fits(tiny_checkpoint):
    assert plan_checkpoint(tiny_checkpoint).context == 512


def test_sharded_checkpoint(tiny_checkpoint, tmp_path, transformers_model):
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "sharded"))
    tensors = read_weights(folder)
    names = sorted(tensors)
    shards = {"model-00001-of-00002.safetensors": names[:5], "model-00002-of-00002.safetensors": names[5:]}
    for file, part in shards.items():
        save_file({name: tensors[name] for name in part}, folder / file)
    (folder / "model.safetensors").unlink()
    size = sum(tensor.nbytes for tensor in tensors.values())
    index = {"metadata": {"total_size": size}, "weight_map": {n: f for f, part in shards.items() for n in part}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    with torch.inference_mode():
        torch.testing.assert_close(
            load(folder)(input_ids=IDS).logits, transformers_model(input_ids=IDS).logits, atol=1e-5, rtol=1e-4
        )


@pytest.mark.parametrize(
    ("name", "shape", "message"),
    [
        ("model.layers.0.mlp.experts.down_proj_scales", None, "lacks 1 weights"),
        ("model.layers.1.mlp.experts.gate_up_proj_blocks", (4, 128, 1, 16), r"the shape \(4, 128, 1, 16\)"),
    ],
)
def test_packed_weights_that_are_missing_or_have_a_wrong_shape(packed_checkpoint, monkeypatch, name, shape, message):
    iterate_tensors = weights.iterate_tensors

    def damage(folder: Path) -> Any:
        for other, tensor in iterate_tensors(folder):
            if other != name:
                yield other, tensor
            elif shape is not None:
                yield other, torch.zeros(shape, dtype=torch.uint8)

    monkeypatch.setattr(weights, "iterate_tensors", damage)
    with pytest.raises(CheckpointError, match=message):
        load(packed_checkpoint)


def test_the_size_of_the_cache_can_be_set(tiny_checkpoint):
    assert plan_checkpoint(tiny_checkpoint, cache_gb=0.5).cache_bytes == 500_000_000


@needs_kernel
@pytest.mark.parametrize(
    ("options", "runner", "arithmetic"),
    [
        ({}, NativeRunner, "dense int8, experts int8"),
        ({"dtype": "bfloat16"}, NativeRunner, "dense bfloat16, experts bfloat16"),
        ({"dtype": "float32"}, TorchRunner, "torch cpu float32"),
        ({"dtype": "float16"}, TorchRunner, "torch cpu float16"),
    ],
)
def test_the_plan_decides_the_runner_and_its_types(tiny_checkpoint, options, runner, arithmetic):
    with closing(load_runner(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", **options))) as loaded:
        assert isinstance(loaded, runner)
        assert arithmetic in loaded.arithmetic


@needs_kernel
@pytest.mark.parametrize(("precise", "bits"), [(False, 8), (True, 16)])
def test_packed_checkpoint_is_planned_for_the_native_runner(packed_checkpoint, precise, bits):
    plan = plan_checkpoint(packed_checkpoint, device="cpu", precise=precise)
    assert (plan.experts, plan.dtype, plan.runner) == ("packed", "int8", "native")
    with closing(load_runner(packed_checkpoint, plan)) as loaded:
        assert f"MXFP4 with {bits} bits" in loaded.arithmetic


@needs_kernel
def test_a_damaged_checkpoint_is_an_error_of_the_native_runner_too(checkpoint):
    tensors = read_weights(checkpoint)
    del tensors["model.norm.weight"]
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="lacks 1 weights"):
        load_runner(checkpoint, plan_checkpoint(checkpoint, device="cpu"))
