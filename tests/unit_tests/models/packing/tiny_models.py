"""Tiny gpt_oss checkpoints with random weights, and LoRA adapters for them as PEFT saves them."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from transformers import GptOssConfig, GptOssForCausalLM

HIDDEN, INTERMEDIATE, EXPERTS, LAYERS, RANK, ALPHA = 64, 96, 4, 2, 3, 12
SIZES = {"q": (64, 64), "k": (32, 64), "v": (32, 64), "o": (64, 64)}
EXPERT_SIZES = {"gate_up_proj": (2 * INTERMEDIATE, HIDDEN), "down_proj": (HIDDEN, INTERMEDIATE)}


def save_checkpoint(folder: Path, *, dtype: torch.dtype = torch.bfloat16, **sizes: Any) -> Path:
    """Save a checkpoint and return its folder."""
    torch.manual_seed(0)
    options: dict[str, Any] = {
        "num_hidden_layers": LAYERS,
        "layer_types": ["sliding_attention", "full_attention"],
        "sliding_window": 16,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": 2,
        "vocab_size": 200,
        "hidden_size": HIDDEN,
        "intermediate_size": INTERMEDIATE,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "max_position_embeddings": 512,
        "initializer_range": 0.2,
        "rope_parameters": {"rope_type": "default", "rope_theta": 10_000.0},
        "tie_word_embeddings": False,
    }
    model = GptOssForCausalLM(GptOssConfig(**options | sizes))
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "bias" in name or "sinks" in name:
                weight.normal_(0, 0.2)
    model.to(dtype).save_pretrained(folder)
    tokenizer = {"model": {"vocab": {"a": 0}}, "added_tokens": []}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


def make_adapter(
    folder: Path,
    *,
    attention: tuple[str, ...] = ("q", "k", "v", "o"),
    experts: tuple[str, ...] = ("gate_up_proj", "down_proj"),
    expert_layers: tuple[int, ...] = (0, 1),
    config: dict[str, Any] | None = None,
    scale: float = 0.1,
) -> dict[str, torch.Tensor]:
    """Save an adapter, and return what it adds to each matrix of the checkpoint, before the scale alpha / r."""
    generator = torch.Generator().manual_seed(1)
    tensors: dict[str, torch.Tensor] = {}
    deltas: dict[str, torch.Tensor] = {}

    def draw(*shape: int) -> torch.Tensor:
        return torch.randn(shape, generator=generator) * scale

    def add(module: str, a: torch.Tensor, b: torch.Tensor) -> None:
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b

    for layer in range(LAYERS):
        for name in attention:
            rows, columns = SIZES[name]
            a, b = draw(RANK, columns), draw(rows, RANK)
            module = f"model.layers.{layer}.self_attn.{name}_proj"
            add(module, a, b)
            deltas[f"{module}.weight"] = b @ a
        # PEFT wraps the matrices in the order in which the module has them; the last wrapper is outside.
        for depth, matrix in enumerate(reversed(experts)) if layer in expert_layers else ():
            rows, columns = EXPERT_SIZES[matrix]
            a, b = draw(EXPERTS * RANK, columns), draw(rows, RANK * EXPERTS)
            module = f"model.layers.{layer}.mlp.experts"
            add(module + ".base_layer" * depth, a, b)
            products = [
                sum(
                    (torch.outer(a[expert * RANK + r], b[:, r * EXPERTS + expert]) for r in range(RANK)),
                    torch.zeros(columns, rows),
                )
                for expert in range(EXPERTS)
            ]
            deltas[f"{module}.{matrix}"] = torch.stack(products)
    folder.mkdir()
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    prefixes = [""] if set(expert_layers) == set(range(LAYERS)) else [f"{layer}." for layer in expert_layers]
    content = {
        "peft_type": "LORA",
        "bias": "none",
        "r": RANK,
        "lora_alpha": ALPHA,
        "use_rslora": False,
        "use_dora": False,
        "init_lora_weights": True,
        "target_modules": [f"{name}_proj" for name in attention],
        "target_parameters": [f"{prefix}mlp.experts.{matrix}" for prefix in prefixes for matrix in experts],
        "base_model_name_or_path": None,
    }
    (folder / "adapter_config.json").write_text(json.dumps(content | (config or {})))
    return deltas


def get_scale(*, rslora: bool = False) -> float:
    """Return the factor of the product of A and B."""
    return ALPHA / (math.sqrt(RANK) if rslora else RANK)
