"""Packed checkpoints: their logits, their bits, and runs that are stopped."""

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssForCausalLM

from langchain_gptoss.engine.batch import Batch, SequenceChunk
from langchain_gptoss.engine.kernels.mxfp4 import VALUES, dequantize_mxfp4
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners.native import NativeRunner
from langchain_gptoss.errors import CheckpointError, StorageError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.packing import locate, pack
from langchain_gptoss.models.packing.locate import locate_model
from langchain_gptoss.models.packing.pack import estimate_packed_bytes, estimate_peak_bytes
from langchain_gptoss.models.packing.source import PackingSource
from langchain_gptoss.models.packing.unpacking import unpack_int4
from tests.unit_tests.models.packing.tiny_models import LAYERS, make_adapter, save_checkpoint

IDS = torch.tensor([[5, 17, 44, 198, 3, 3, 61]])


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def write_weights(folder: Path, weights: dict[str, torch.Tensor]) -> None:
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})


def pack_folder(folder: Path, **options: Any) -> Path:
    return locate_model(resolve_model(folder), **{"experts": "packed"} | options)


def round_by_definition(weights: torch.Tensor) -> torch.Tensor:
    """Return the best of all scales for each block of 32 inputs; `weights` is [experts, inputs, outputs]."""
    grouped = weights.float().transpose(1, 2).unflatten(-1, (-1, 32))
    values = torch.tensor(VALUES[:8])
    best, best_error = torch.zeros_like(grouped), torch.full(grouped.shape[:-1], torch.inf)
    for exponent in range(-12, 4):
        distances = (grouped.abs().unsqueeze(-1) / 2.0**exponent - values).abs()
        code = distances.argmin(dim=-1)
        # A number between two values goes to the one with an even code.
        following = distances.gather(-1, (code + 1).clamp(max=7).unsqueeze(-1)).squeeze(-1)
        code += (code % 2) * (distances.amin(dim=-1) == following)
        nearest = values[code.clamp(max=7)] * grouped.sign() * 2.0**exponent
        error = (nearest - grouped).square().sum(dim=-1)
        best = torch.where((error < best_error).unsqueeze(-1), nearest, best)
        best_error = torch.minimum(error, best_error)
    return best.flatten(-2).transpose(1, 2)


def test_packed_logits_are_those_of_the_weights_rounded_by_definition(checkpoint):
    model = GptOssForCausalLM.from_pretrained(checkpoint, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if name.endswith(("experts.gate_up_proj", "experts.down_proj")):
                weight.copy_(round_by_definition(weight))
    folder = pack_folder(checkpoint)
    packed = load_model(folder, plan_checkpoint(folder, device="cpu", experts="packed", dtype="float32"))
    with torch.inference_mode():
        expected, result = model(input_ids=IDS).logits, packed(input_ids=IDS).logits
    assert (result - expected).norm() / expected.norm() < 0.01


def test_experts_packed_into_int8_give_the_logits_of_experts_rounded_while_loading(checkpoint):
    logits = []
    for folder in (checkpoint, pack_folder(checkpoint, experts="int8")):
        with closing(NativeRunner(folder)) as runner:
            runner.allocate_cache(1)
            part = SequenceChunk(token_ids=IDS[0].tolist(), start=0, block_table=[0], logit_count=IDS.shape[1])
            logits.append(runner.forward(Batch(chunks=(part,))).clone())
    assert (logits[0] - logits[1]).norm() / logits[0].norm() < 0.03  # the two round scales in different directions


@pytest.mark.parametrize("experts", ["packed", "int4", "int8"])
def test_weights_beside_the_experts_are_unchanged(checkpoint, experts):
    source, packed = read_weights(checkpoint), read_weights(pack_folder(checkpoint, experts=experts))
    dense = [name for name in source if not name.endswith(("experts.gate_up_proj", "experts.down_proj"))]
    assert len(dense) == len(source) - 2 * LAYERS
    assert all(torch.equal(source[name], packed[name]) for name in dense)


def test_a_packed_checkpoint_has_the_configuration_and_tokenizer_of_its_source(checkpoint):
    (checkpoint / "chat_template.jinja").write_text("{{ messages }}")
    folder = pack_folder(checkpoint)
    config = json.loads((folder / "config.json").read_text())
    assert config["quantization_config"]["quant_method"] == "mxfp4"
    assert config["num_local_experts"] == 4
    for name in ("tokenizer.json", "chat_template.jinja", "generation_config.json"):
        assert (folder / name).read_bytes() == (checkpoint / name).read_bytes()


def test_a_second_start_uses_the_packed_checkpoint(checkpoint, monkeypatch):
    folder = pack_folder(checkpoint)
    monkeypatch.setattr(pack, "round_to_mxfp4", None)
    assert pack_folder(checkpoint) == folder


def test_a_changed_source_is_packed_again(checkpoint):
    folder = pack_folder(checkpoint)
    weights = read_weights(checkpoint)
    weights["model.norm.weight"] += 1
    write_weights(checkpoint, weights)
    other = pack_folder(checkpoint)
    assert other != folder
    assert torch.equal(read_weights(other)["model.norm.weight"], weights["model.norm.weight"])


def test_a_stopped_run_is_continued(checkpoint, cache, monkeypatch):
    rounded: list[int] = []
    round_to_mxfp4 = pack.round_to_mxfp4

    def stop_at_the_last_layer(matrix: torch.Tensor) -> Any:
        rounded.append(len(rounded))
        if len(rounded) > 10:
            raise KeyboardInterrupt
        return round_to_mxfp4(matrix)

    monkeypatch.setattr(pack, "round_to_mxfp4", stop_at_the_last_layer)
    with pytest.raises(KeyboardInterrupt):
        pack_folder(checkpoint)
    assert not [path for path in (cache / "packed").iterdir() if not path.name.startswith(".")]
    rounded.clear()
    resumed = pack_folder(checkpoint)
    assert len(rounded) == 8  # the experts of the last layer: the first layer is not packed again
    monkeypatch.setattr(pack, "round_to_mxfp4", round_to_mxfp4)
    monkeypatch.setattr(locate, "cache_directory", lambda: cache.parent / "other")
    expected = read_weights(pack_folder(checkpoint))
    assert read_weights(resumed).keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in read_weights(resumed).items())


def test_mxfp4_in_the_configuration_of_unpacked_weights_is_no_obstacle(checkpoint):
    config = json.loads((checkpoint / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "dequantize": True}
    (checkpoint / "config.json").write_text(json.dumps(config))
    weights = read_weights(pack_folder(checkpoint, experts=None))
    assert "model.layers.0.mlp.experts.down_proj_blocks" in weights


@pytest.mark.parametrize("name", ["model.layers.1.mlp.experts.down_proj", "model.layers.0.self_attn.q_proj.weight"])
def test_weights_that_are_not_finite_are_refused(checkpoint, name):
    weights = read_weights(checkpoint)
    weights[name].view(-1)[7] = torch.nan
    write_weights(checkpoint, weights)
    with pytest.raises(CheckpointError, match=rf"{name}' has values that are not finite"):
        pack_folder(checkpoint)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.pop("model.layers.1.mlp.router.bias"), "lacks weights"),
        (lambda weights: weights.update({"model.extra": torch.ones(1)}), "does not need"),
        (lambda weights: weights.update({"model.norm.weight": torch.ones(3)}), "has the shape"),
    ],
)
def test_other_weights_than_the_configuration_needs_are_refused(checkpoint, change, message):
    weights = read_weights(checkpoint)
    change(weights)
    write_weights(checkpoint, weights)
    with pytest.raises(CheckpointError, match=message):
        pack_folder(checkpoint)


@pytest.mark.parametrize("experts", ["packed", "int4", "int8"])
def test_sizes_without_whole_blocks_are_refused(tmp_path, experts):
    folder = save_checkpoint(tmp_path / "odd", intermediate_size=40)
    with pytest.raises(CheckpointError, match="intermediate_size is 40"):
        pack_folder(folder, experts=experts)
    assert pack_folder(folder, experts=None) == folder


def test_a_full_disk_is_noticed_before_anything_is_written(checkpoint, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10_000})())
    with pytest.raises(StorageError, match="are needed in"):
        pack_folder(checkpoint)


@pytest.mark.parametrize(("experts", "storage"), [("packed", "mxfp4"), ("int4", "int4"), ("int8", "int8")])
def test_the_size_is_known_before(checkpoint, experts, storage):
    source = PackingSource(checkpoint)
    size_bytes = sum(tensor.nbytes for tensor in read_weights(pack_folder(checkpoint, experts=experts)).values())
    assert estimate_packed_bytes(source.shape, storage) == size_bytes


@pytest.mark.parametrize(
    ("experts", "parts"),
    [("packed", ("blocks", "scales")), ("int4", ("int4", "scales", "minimums")), ("int8", ("int8", "scales"))],
)
def test_experts_without_an_adapter_keep_their_bits(checkpoint, tmp_path, experts, parts):
    packed = pack_folder(checkpoint, experts=experts)
    make_adapter(tmp_path / "adapter", expert_layers=(1,), experts=("down_proj",))
    before, after = read_weights(packed), read_weights(pack_folder(packed, adapter=tmp_path / "adapter", experts=None))
    changed = {name for name, tensor in before.items() if not torch.equal(tensor, after[name])}
    attention = {f"model.layers.{i}.self_attn.{name}_proj.weight" for i in range(LAYERS) for name in "qkvo"}
    assert changed == attention | {f"model.layers.1.mlp.experts.down_proj_{part}" for part in parts}


@pytest.mark.parametrize(("experts", "part"), [("packed", "_blocks"), ("int4", "_int4"), ("int8", "_int8")])
def test_an_expert_that_the_adapter_does_not_change_keeps_its_bits(checkpoint, tmp_path, experts, part):
    packed, adapter = pack_folder(checkpoint, experts=experts), tmp_path / "adapter"
    make_adapter(adapter, attention=())
    tensors = load_file(adapter / "adapter_model.safetensors")
    for name, tensor in tensors.items():
        if "lora_B" in name:
            tensor[:, 2::4] = 0  # the expert is the fastest index of the columns
    save_file(tensors, adapter / "adapter_model.safetensors")
    before, after = read_weights(packed), read_weights(pack_folder(packed, adapter=adapter, experts=None))
    for name in before:
        if name.endswith(part):
            equal = [torch.equal(before[name][expert], after[name][expert]) for expert in range(4)]
            assert equal == [False, False, True, False]


def unpack(weights: dict[str, torch.Tensor], name: str) -> torch.Tensor:
    scales = weights[f"{name}_scales"]
    if f"{name}_int4" in weights:
        return unpack_int4(*(weights[f"{name}_{part}"] for part in ("int4", "scales", "minimums")))
    if f"{name}_int8" in weights:
        return weights[f"{name}_int8"].float() * scales.float().repeat_interleave(32, dim=-1)
    return dequantize_mxfp4(weights[f"{name}_blocks"], scales)


@pytest.mark.parametrize("experts", ["packed", "int4", "int8"])
def test_an_adapter_on_a_packed_checkpoint_is_added_to_the_unpacked_values(checkpoint, tmp_path, experts):
    packed, adapter = pack_folder(checkpoint, experts=experts), tmp_path / "adapter"
    deltas = make_adapter(adapter)
    before = read_weights(packed)
    after = read_weights(pack_folder(packed, adapter=adapter, experts="unpacked"))
    for name in ("model.layers.0.mlp.experts.gate_up_proj", "model.layers.1.mlp.experts.down_proj"):
        base = unpack(before, name).transpose(1, 2)
        torch.testing.assert_close(after[name].float(), base + deltas[name] * 4, atol=1e-3, rtol=1e-2)


_MEASUREMENT = """
import resource, sys
from pathlib import Path
import torch
from langchain_gptoss.models.packing.pack import pack_checkpoint, estimate_peak_bytes
from langchain_gptoss.models.packing.source import PackingSource
from langchain_gptoss.models.packing.unpacking import unpack_int4
from langchain_gptoss.models.conversion.rounding import round_to_mxfp4
torch.set_num_threads(1)
round_to_mxfp4(torch.randn(64, 64))
import safetensors.torch
unit = 1 if sys.platform == "darwin" else 1024
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
source = PackingSource(Path(sys.argv[1]))
pack_checkpoint(source, Path(sys.argv[2]), storage="mxfp4", description={}, adapter=None)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit - before, estimate_peak_bytes(source.shape, "mxfp4"))
"""


@pytest.mark.skipif(sys.platform == "win32", reason="the resource module is Unix")
def test_memory_while_packing_is_that_of_one_layer(tmp_path):
    sizes = {"hidden_size": 512, "intermediate_size": 1024, "num_local_experts": 8, "num_hidden_layers": 5}
    folder = save_checkpoint(tmp_path / "large", **sizes, layer_types=["full_attention"] * 5)
    arguments = [sys.executable, "-c", _MEASUREMENT, str(folder), str(tmp_path / "packed")]
    output = subprocess.run(arguments, check=True, capture_output=True, text=True).stdout.split()
    used_bytes, estimated_bytes = map(int, output)
    unpacked_bytes = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    assert unpacked_bytes > 100e6
    assert used_bytes < estimated_bytes + 16e6 < unpacked_bytes / 2


def test_the_estimate_of_memory_is_far_below_the_packed_model(shared_checkpoint):
    shape = resolve_model("gpt-oss-20b").shape
    assert estimate_peak_bytes(shape, "mxfp4") < estimate_packed_bytes(shape, "mxfp4") / 4
