"""A tiny gpt_oss checkpoint: random weights, one sliding and one full layer."""

import functools
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import GptOssConfig, GptOssForCausalLM, Mxfp4Config

from langchain_gptoss.engine.kernels.mxfp4 import quantize_mxfp4
from langchain_gptoss.engine.loading import load_model, plan_checkpoint


@pytest.fixture(scope="package", autouse=True)
def _use_one_thread() -> Iterator[None]:
    """Runs torch and the kernel on one thread: on a busy machine, threads that wait for each other take seconds."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tiny") / "tiny-gpt-oss"
    config = GptOssConfig(
        num_hidden_layers=2,
        layer_types=["sliding_attention", "full_attention"],
        sliding_window=16,
        num_local_experts=4,
        num_experts_per_tok=2,
        vocab_size=200,
        hidden_size=64,
        intermediate_size=64,
        num_attention_heads=4,
        num_key_value_heads=2,
        head_dim=16,
        max_position_embeddings=512,
        initial_range=0.2,
        initializer_range=0.2,
        tie_word_embeddings=False,
        rope_parameters={"rope_type": "default", "rope_theta": 10_000.0},
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    torch.manual_seed(0)
    model = GptOssForCausalLM(config)
    with torch.no_grad():  # biases and sinks are initialized to 0, which would hide a mistake in them
        for name, weight in model.named_parameters():
            if "bias" in name or "sinks" in name:
                weight.normal_(0, 0.2)
    model.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def packed_checkpoint(tiny_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model with its experts in MXFP4, in the layout of the published checkpoints."""
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path_factory.mktemp("packed") / "tiny-packed"))
    weights = load_file(folder / "model.safetensors")
    for name in [name for name in weights if name.endswith(("gate_up_proj", "down_proj"))]:
        blocks, scales = quantize_mxfp4(weights.pop(name).transpose(1, 2).contiguous())
        weights |= {f"{name}_blocks": blocks, f"{name}_scales": scales}
    weights = {name: weight.bfloat16() if weight.is_floating_point() else weight for name, weight in weights.items()}
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "mxfp4", "modules_to_not_convert": []}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.fixture(scope="session")
def transformers_model(tiny_checkpoint: Path) -> Any:
    """The tiny model, loaded and run by transformers alone."""
    return GptOssForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32, attn_implementation="eager").eval()


@pytest.fixture(scope="session")
def dequantized_model(packed_checkpoint: Path) -> Any:
    """The packed checkpoint, dequantized and run by transformers alone."""
    return GptOssForCausalLM.from_pretrained(
        packed_checkpoint,
        dtype=torch.float32,
        quantization_config=Mxfp4Config(dequantize=True),
        attn_implementation="eager",
        experts_implementation="eager",
    ).eval()


@pytest.fixture(scope="session")
def load_packed(packed_checkpoint: Path) -> Callable[..., Any]:
    """Loads the packed checkpoint on the CPU; the same options give the same model."""

    @functools.cache
    def load(**options: Any) -> Any:
        return load_model(packed_checkpoint, plan_checkpoint(packed_checkpoint, device="cpu", **options))

    return load


@pytest.fixture(scope="session")
def draw_ids() -> Callable[[int], torch.Tensor]:
    """Draws token ids, [1, length]."""

    def draw(length: int) -> torch.Tensor:
        return torch.randint(3, 200, (1, length), generator=torch.Generator().manual_seed(length))

    return draw
