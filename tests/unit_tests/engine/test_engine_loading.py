"""Loading: the size of the weights, what is wrong with a checkpoint, and where a model goes."""

import json
import shutil
import struct
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from langchain_gptoss.engine import loading
from langchain_gptoss.engine.loading import Placement, context_length, load_model, place, weights_size
from langchain_gptoss.errors import CheckpointError, GptOssError, GptOssMemoryError, InvalidInputError

CPU = Placement(device="cpu", dtype=torch.float32, why="a test")


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize(("dtype", "width"), [(torch.float32, 4), (torch.bfloat16, 2), (torch.float16, 2)])
def test_the_size_of_the_weights_is_exact(tiny_checkpoint, dtype, width):
    numbers = sum(weight.numel() for weight in weights_of(tiny_checkpoint).values())
    assert weights_size(tiny_checkpoint, dtype) == numbers * width


def test_the_size_is_what_the_loaded_model_takes(tiny_checkpoint):
    model = load_model(tiny_checkpoint, CPU)
    taken = sum(weight.numel() * weight.element_size() for weight in model.parameters())
    assert weights_size(tiny_checkpoint, torch.float32) == taken


def test_the_size_of_packed_experts_counts_two_numbers_in_a_byte(tmp_path):
    tensors = {
        "mlp.experts.down_proj_blocks": torch.zeros(4, 2, 16, dtype=torch.uint8),
        "mlp.experts.down_proj_scales": torch.zeros(4, 2, dtype=torch.uint8),
        "norm.weight": torch.zeros(10, dtype=torch.bfloat16),
    }
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    assert weights_size(tmp_path, torch.bfloat16) == (4 * 2 * 32 + 10) * 2


def test_the_size_adds_up_shards(tiny_checkpoint, tmp_path):
    weights = weights_of(tiny_checkpoint)
    names = sorted(weights)
    shards = {"one.safetensors": names[:5], "two.safetensors": names[5:]}
    for file, part in shards.items():
        save_file({name: weights[name] for name in part}, tmp_path / file)
    index = {"weight_map": {name: file for file, part in shards.items() for name in part}}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps(index))
    assert weights_size(tmp_path, torch.float32) == weights_size(tiny_checkpoint, torch.float32)


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def cut_in_the_header(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:100])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def lengthen(file: Path) -> None:
    file.write_bytes(file.read_bytes() + b"x")


def huge_header(file: Path) -> None:
    file.write_bytes(struct.pack("<Q", 2**60) + file.read_bytes()[8:])


def header_that_is_a_list(file: Path) -> None:
    file.write_bytes(struct.pack("<Q", 2) + b"[]")


def web_page(file: Path) -> None:
    file.write_text("<!doctype html><title>Sign in</title>" * 10)


@pytest.mark.parametrize(
    "spoil", [cut, cut_in_the_header, empty, lengthen, huge_header, header_that_is_a_list, web_page]
)
def test_a_spoilt_weight_file_is_said(checkpoint, spoil):
    spoil(checkpoint / "model.safetensors")
    with pytest.raises(CheckpointError, match=r"model\.safetensors.*Copy or fetch the checkpoint again"):
        place(checkpoint, device="cpu")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"device": "tpu"}, "device is 'tpu'; it must be 'cuda', 'cpu', or None"),
        ({"dtype": "int4"}, "dtype is 'int4'; it must be one of float32, bfloat16, float16"),
        ({"device": "cuda"}, "torch finds no CUDA GPU here"),
    ],
)
def test_devices_and_types_that_cannot_work(tiny_checkpoint, monkeypatch, options, message):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(InvalidInputError, match=message):
        place(tiny_checkpoint, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_type_that_was_asked_for(tiny_checkpoint, dtype):
    placement = place(tiny_checkpoint, device="cpu", dtype=dtype)
    assert (placement.device, placement.dtype) == ("cpu", getattr(torch, dtype))
    assert load_model(tiny_checkpoint, placement).dtype == placement.dtype


def test_float32_where_it_fits_and_bfloat16_where_not(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    whole = weights_size(tiny_checkpoint, torch.float32)
    monkeypatch.setattr(loading, "_free_memory", lambda device: 2 * whole)
    assert place(tiny_checkpoint).dtype == torch.float32
    monkeypatch.setattr(loading, "_free_memory", lambda device: whole)
    placement = place(tiny_checkpoint)
    assert placement.dtype == torch.bfloat16
    assert "float32 would not fit" in placement.why


def test_too_little_memory_is_said_before_loading(tiny_checkpoint, monkeypatch):
    monkeypatch.setattr(loading, "_free_memory", lambda device: 1000)
    with pytest.raises(GptOssMemoryError, match=r"'tiny-gpt-oss' needs .* GB of cpu memory .* are free") as caught:
        place(tiny_checkpoint, device="cpu")
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, GptOssError)


def test_memory_that_runs_out_while_loading_is_said(tiny_checkpoint, monkeypatch):
    from transformers import GptOssForCausalLM

    def out_of_memory(*_: object, **__: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: out of memory")

    monkeypatch.setattr(GptOssForCausalLM, "from_pretrained", out_of_memory)
    with pytest.raises(GptOssMemoryError, match="ran out while loading 'tiny-gpt-oss'"):
        load_model(tiny_checkpoint, CPU)


def test_missing_weights_are_counted_and_named(checkpoint):
    weights = weights_of(checkpoint)
    del weights["model.layers.1.self_attn.sinks"], weights["model.norm.weight"]
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 2 weights .* such as 'model\.layers\.1\.self_attn\.sinks'"):
        load_model(checkpoint, CPU)


def test_weights_of_another_shape_are_refused(checkpoint):
    weights = weights_of(checkpoint)
    weights["model.norm.weight"] = torch.zeros(32)
    save_file(weights, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="cannot be loaded"):
        load_model(checkpoint, CPU)


def test_the_loaded_model_does_not_train(tiny_checkpoint):
    assert not load_model(tiny_checkpoint, CPU).training


def test_the_context_is_read_from_the_config(tiny_checkpoint):
    assert context_length(tiny_checkpoint) == 512
