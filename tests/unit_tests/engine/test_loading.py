"""Loading: what is planned, what is wrong with a checkpoint, and that what is loaded is what the files hold."""

import dataclasses
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from langchain_gptoss.engine import loading, weights
from langchain_gptoss.engine.loading import load_model, plan_checkpoint, probe_machine
from langchain_gptoss.errors import CheckpointError, GptOssError, GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.checkpoint import check_checkpoint

IDS = torch.tensor([[5, 17, 44, 198, 3, 3, 61]])


@pytest.fixture
def checkpoint(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def weights_of(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


def loaded(folder: Path, **wishes: Any) -> Any:
    return load_model(folder, plan_checkpoint(folder, device="cpu", **wishes))


def with_memory(monkeypatch: pytest.MonkeyPatch, free: int) -> None:
    hardware = dataclasses.replace(probe_machine(), ram_free=free, gpus=())
    monkeypatch.setattr(loading, "probe_machine", lambda **_: hardware)


def test_the_logits_are_transformers_own(tiny_checkpoint, transformers_model):
    with torch.inference_mode():
        expected = transformers_model(input_ids=IDS).logits
        torch.testing.assert_close(loaded(tiny_checkpoint)(input_ids=IDS).logits, expected, atol=1e-5, rtol=1e-4)


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
    for attempt in (check_checkpoint, loaded):
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
def test_wishes_that_cannot_be_met(tiny_checkpoint, monkeypatch, options, message):
    with_memory(monkeypatch, 10**12)
    with pytest.raises(InvalidInputError, match=message):
        plan_checkpoint(tiny_checkpoint, **options)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_type_that_was_asked_for(tiny_checkpoint, dtype):
    model = loaded(tiny_checkpoint, dtype=dtype)
    assert {parameter.dtype for parameter in model.parameters()} == {getattr(torch, dtype)}
    assert model(input_ids=IDS).logits.isfinite().all()


def test_float32_where_it_fits_and_bfloat16_where_not(tiny_checkpoint, monkeypatch):
    with_memory(monkeypatch, 10**12)
    assert plan_checkpoint(tiny_checkpoint).dtype == "float32"
    needed = plan_checkpoint(tiny_checkpoint).tightest_demand.needed_bytes
    with_memory(monkeypatch, needed - 1)
    assert plan_checkpoint(tiny_checkpoint).dtype == "bfloat16"


def test_too_little_memory_is_said_before_loading(tiny_checkpoint, monkeypatch):
    with_memory(monkeypatch, 1000)
    with pytest.raises(
        GptOssMemoryError, match=r"tiny-gpt-oss needs .* GB of memory .* are free.*would work"
    ) as caught:
        plan_checkpoint(tiny_checkpoint, device="cpu")
    assert isinstance(caught.value, MemoryError)
    assert isinstance(caught.value, GptOssError)


def test_memory_that_runs_out_while_loading_is_said(tiny_checkpoint, monkeypatch):
    def out_of_memory(*_: object) -> None:
        raise RuntimeError("DefaultCPUAllocator: can't allocate memory: out of memory")

    monkeypatch.setattr(weights, "load_weights", out_of_memory)
    with pytest.raises(GptOssMemoryError, match="ran out while loading 'tiny-gpt-oss'"):
        loaded(tiny_checkpoint)


def test_missing_weights_are_counted_and_named(checkpoint):
    tensors = weights_of(checkpoint)
    del tensors["model.layers.1.self_attn.sinks"], tensors["model.norm.weight"]
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"lacks 2 weights .* such as 'model\.layers\.1\.self_attn\.sinks'"):
        loaded(checkpoint)


def test_weights_that_nobody_asked_for_are_named(checkpoint):
    tensors = weights_of(checkpoint) | {"model.layers.7.self_attn.sinks": torch.zeros(4)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"has 1 weights .* such as 'model\.layers\.7\.self_attn\.sinks'"):
        loaded(checkpoint)


def test_weights_of_another_shape_are_refused(checkpoint):
    tensors = weights_of(checkpoint) | {"model.norm.weight": torch.zeros(32)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match=r"'model\.norm\.weight' has the shape \(32,\) and the config .* \(64,\)"):
        loaded(checkpoint)


def test_weights_of_another_type_are_refused(checkpoint):
    tensors = weights_of(checkpoint) | {"model.norm.weight": torch.zeros(64, dtype=torch.int64)}
    save_file(tensors, checkpoint / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(CheckpointError, match="has the type I64"):
        loaded(checkpoint)


def test_the_size_of_the_parts_is_what_is_loaded(tiny_checkpoint):
    memory = plan_checkpoint(tiny_checkpoint, device="cpu").memory
    taken = sum(weight.numel() * weight.element_size() for weight in loaded(tiny_checkpoint).parameters())
    assert memory.experts + memory.dense + memory.embeddings == taken


def test_the_loaded_model_does_not_train(tiny_checkpoint):
    model = loaded(tiny_checkpoint)
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_context_is_the_config_s_where_memory_allows(tiny_checkpoint):
    assert plan_checkpoint(tiny_checkpoint).context == 512


def test_an_index_over_several_files(tiny_checkpoint, tmp_path, transformers_model):
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "sharded"))
    tensors = weights_of(folder)
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
            loaded(folder)(input_ids=IDS).logits, transformers_model(input_ids=IDS).logits, atol=1e-5, rtol=1e-4
        )
