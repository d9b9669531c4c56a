"""Adapters: merged as PEFT defines it, and refused if they are damaged, of another kind or for another model."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.catalog import resolve_model
from langchain_gptoss.models.packing.adapter import LoraAdapter
from langchain_gptoss.models.packing.locate import locate_model
from langchain_gptoss.models.packing.source import PackingSource
from tests.unit_tests.models.packing.tiny_models import get_scale, make_adapter, save_checkpoint

WEIGHTS, CONFIG = "adapter_model.safetensors", "adapter_config.json"


def merge(checkpoint: Path, adapter: Path) -> dict[str, torch.Tensor]:
    folder = locate_model(resolve_model(checkpoint), adapter=adapter)
    return {name: tensor for file in folder.glob("*.safetensors") for name, tensor in load_file(file).items()}


def change_config(folder: Path, **fields: Any) -> None:
    file = folder / CONFIG
    file.write_text(json.dumps(json.loads(file.read_text()) | fields))


def change_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> None:
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    make_adapter(tmp_path / "adapter")
    return tmp_path / "adapter"


@pytest.mark.parametrize("rslora", [False, True])
@pytest.mark.parametrize("experts", [("gate_up_proj", "down_proj"), ("gate_up_proj",), ("down_proj",), ()])
def test_merged_weights_are_the_sum(checkpoint, tmp_path, rslora, experts):
    deltas = make_adapter(tmp_path / "adapter", experts=experts, config={"use_rslora": rslora})
    before, after = load_file(checkpoint / "model.safetensors"), merge(checkpoint, tmp_path / "adapter")
    assert len(deltas) == 8 + 2 * len(experts)
    for name, weight in before.items():
        expected = weight.float() + deltas.get(name, torch.zeros(())) * get_scale(rslora=rslora)
        assert torch.equal(after[name], expected.bfloat16()) or name in deltas
        torch.testing.assert_close(after[name].float(), expected, atol=1e-6, rtol=2**-7)


def test_layers_of_the_experts_can_be_named_one_by_one(checkpoint, tmp_path):
    deltas = make_adapter(tmp_path / "adapter", attention=(), expert_layers=(1,))
    before, after = load_file(checkpoint / "model.safetensors"), merge(checkpoint, tmp_path / "adapter")
    assert {name for name in before if not torch.equal(before[name], after[name])} == set(deltas)


def test_an_adapter_has_a_folder_of_its_own_in_the_cache(checkpoint, adapter):
    first = locate_model(resolve_model(checkpoint), adapter=adapter)
    assert locate_model(resolve_model(checkpoint), adapter=str(adapter)) == first
    change_config(adapter, lora_alpha=1)
    assert locate_model(resolve_model(checkpoint), adapter=adapter) != first


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"peft_type": "IA3"}, "kind 'IA3'"),
        ({"use_dora": True}, "DoRA"),
        ({"use_qalora": True}, "QA-LoRA"),
        ({"alora_invocation_tokens": [1]}, "activated LoRA"),
        ({"bias": "all"}, "biases"),
        ({"lora_bias": True}, "biases"),
        ({"modules_to_save": ["lm_head"]}, "whole modules"),
        ({"trainable_token_indices": [5]}, "trained tokens"),
        ({"alpha_pattern": {"q_proj": 3}}, "alpha_pattern"),
        ({"init_lora_weights": "pissa"}, "pissa"),
        ({"init_lora_weights": ["olora"]}, "olora"),
        ({"lora_alpha": None}, "lora_alpha"),
        ({"target_modules": ["q_proj"], "target_parameters": None}, "cannot be merged"),
    ],
)
def test_other_kinds_are_refused_by_name(checkpoint, adapter, fields, message):
    change_config(adapter, **fields)
    with pytest.raises(CheckpointError, match=message):
        merge(checkpoint, adapter)


def remove_one(tensors: dict[str, torch.Tensor]) -> None:
    del tensors["base_model.model.model.layers.1.self_attn.k_proj.lora_B.weight"]


def remove_pair(tensors: dict[str, torch.Tensor]) -> None:
    for part in "AB":
        del tensors[f"base_model.model.model.layers.1.self_attn.k_proj.lora_{part}.weight"]


def remove_experts(tensors: dict[str, torch.Tensor]) -> None:
    for name in [name for name in tensors if "layers.1.mlp.experts.base_layer" in name]:
        del tensors[name]


def add_head(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.lm_head.lora_A.weight"] = torch.ones(3, 64)


def add_router(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.layers.0.mlp.router.lora_A.weight"] = torch.ones(3, 64)


def add_layer(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.layers.7.self_attn.q_proj.lora_A.weight"] = torch.ones(3, 64)


def widen(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"] = torch.ones(3, 96)


def widen_experts(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.layers.0.mlp.experts.lora_B.weight"] = torch.ones(64, 24)


def spoil(tensors: dict[str, torch.Tensor]) -> None:
    tensors["base_model.model.model.layers.1.mlp.experts.lora_A.weight"][0, 0] = torch.nan


def store_integers(tensors: dict[str, torch.Tensor]) -> None:
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_A.weight"
    tensors[name] = tensors[name].to(torch.int8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (remove_one, "lacks .*k_proj.lora_B.weight"),
        (remove_pair, r"lacks 1 matrices .*layers.1.self_attn.k_proj"),
        (remove_experts, "lacks 1 matrices|has the shapes"),
        (add_head, "lm_head.*cannot be merged"),
        (add_router, "router.*cannot be merged"),
        (add_layer, "layer 7.*another model"),
        (widen, "another model"),
        (widen_experts, "another model"),
        (spoil, "not finite numbers"),
        (store_integers, "as I8"),
        (dict.clear, "changes nothing"),
    ],
)
def test_damaged_and_foreign_weights_are_refused(checkpoint, adapter, change, message):
    change_weights(adapter, change)
    with pytest.raises(CheckpointError, match=message):
        merge(checkpoint, adapter)


def test_an_adapter_for_a_model_of_another_size_is_refused(tmp_path, adapter):
    larger = save_checkpoint(tmp_path / "larger", hidden_size=128)
    with pytest.raises(CheckpointError, match="another model"):
        merge(larger, adapter)


def test_pickled_adapters_are_never_opened(checkpoint, adapter):
    (adapter / WEIGHTS).rename(adapter / "adapter_model.bin")
    with pytest.raises(CheckpointError, match="a pickle, which is never opened"):
        merge(checkpoint, adapter)


def test_a_folder_without_an_adapter_is_refused(checkpoint, tmp_path):
    with pytest.raises(CheckpointError, match="is not an adapter"):
        merge(checkpoint, checkpoint)
    with pytest.raises(CheckpointError, match="There is no adapter"):
        merge(checkpoint, tmp_path / "nothing")


@pytest.mark.parametrize(
    ("base", "own", "is_refused"),
    [
        ("openai/gpt-oss-20b", "gpt-oss-20b", False),
        ("unsloth/gpt-oss-20b-BF16", "gpt-oss-20b", False),
        ("somebody/gpt-oss-120b-trained", "gpt-oss-20b", True),
        ("openai/gpt-oss-20b", "gpt-oss-safeguard-20b", True),
        ("some/model", "other", False),  # a folder may have any name
    ],
)
def test_the_name_of_the_base_model_is_compared(checkpoint, adapter, base, own, is_refused):
    renamed = checkpoint.rename(checkpoint.with_name(own))
    change_config(adapter, base_model_name_or_path=base)
    if is_refused:
        with pytest.raises(CheckpointError, match="was trained on"):
            merge(renamed, adapter)
    else:
        assert merge(renamed, adapter)


def test_ranks_are_those_of_the_matrices(checkpoint, adapter):
    change_config(adapter, r=99, rank_pattern={"q_proj": 3})
    shape = PackingSource(checkpoint).shape
    weight = torch.zeros(64, 64)
    first = LoraAdapter(adapter, shape).merge_dense("model.layers.0.self_attn.q_proj.weight", weight)
    tensors = load_file(adapter / WEIGHTS)
    a, b = (tensors[f"base_model.model.model.layers.0.self_attn.q_proj.lora_{part}.weight"] for part in "AB")
    torch.testing.assert_close(first, 4 * b @ a)
