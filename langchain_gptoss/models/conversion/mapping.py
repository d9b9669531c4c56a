"""The exact map of a dense layer onto a gpt_oss layer.

A dense Llama or Qwen2 model equals a gpt_oss model whose experts all take part with equal weight. For E experts that
share the intermediate width evenly and alpha = `swiglu_alpha`:

- attention, norms and embeddings are copied; missing biases are 0; the sinks are so low that they take no attention;
- the router is 0, so each of the E active experts has the weight 1/E;
- a gpt_oss expert computes `down((up + 1) * gate * sigmoid(alpha * gate))` and a dense model `down(up * silu(gate))`,
  so gate becomes gate / alpha, up gets the bias -1, and down becomes down * alpha * E. The clamp never takes effect.

With alpha = 1 and four experts all factors are powers of two, which change no rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from langchain_gptoss.models.conversion.dense_config import DenseConfig

if TYPE_CHECKING:
    import torch

EXPERTS = 4  # as many as a published gpt-oss activates per token
UNREACHABLE = 1e4  # bfloat16 has it, and logits and activations of trained models are far smaller
_PROJECTIONS = ("q", "k", "v", "o")

Read = Callable[[str], "torch.Tensor | None"]
"""Returns a tensor of the dense layer in float32 by its name in transformers, or None if the layer has none."""


def compute_expert_width(config: DenseConfig, *, block: int) -> int:
    """Return the width of one expert; if the dense width cannot be shared evenly, the experts get some zeros.

    Args:
        config: The dense model.
        block: The width is a multiple of this.
    """
    return -(-config.intermediate_size // (EXPERTS * block)) * block


def build_config(config: DenseConfig, *, expert_width: int, alpha: float) -> dict[str, Any]:
    """Return the `config.json` of the gpt_oss checkpoint, without the type of its weights."""
    return {
        "architectures": ["GptOssForCausalLM"],
        "model_type": "gpt_oss",
        "num_hidden_layers": config.layers,
        "num_local_experts": EXPERTS,
        "num_experts_per_tok": EXPERTS,
        "vocab_size": config.vocabulary,
        "hidden_size": config.hidden_size,
        "intermediate_size": expert_width,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_dim,
        "max_position_embeddings": config.max_positions,
        "layer_types": ["full_attention"] * config.layers,
        "rms_norm_eps": config.epsilon,
        "rope_parameters": dict(config.rotation),
        "swiglu_alpha": alpha,
        "swiglu_limit": UNREACHABLE,
        "attention_bias": True,
        "tie_word_embeddings": config.tied_embeddings,
        **config.token_ids,
    }


def convert_attention(read: Read, config: DenseConfig) -> dict[str, torch.Tensor]:
    """Return the attention tensors, norms and router of a gpt_oss layer."""
    import torch

    tensors = {}
    for name in _PROJECTIONS:
        weight, bias = _require(read, f"self_attn.{name}_proj.weight"), read(f"self_attn.{name}_proj.bias")
        tensors[f"self_attn.{name}_proj.weight"] = weight
        tensors[f"self_attn.{name}_proj.bias"] = torch.zeros(weight.shape[0]) if bias is None else bias
    return {
        **tensors,
        "self_attn.sinks": torch.full((config.heads,), -UNREACHABLE),
        "input_layernorm.weight": _require(read, "input_layernorm.weight"),
        "post_attention_layernorm.weight": _require(read, "post_attention_layernorm.weight"),
        "mlp.router.weight": torch.zeros(EXPERTS, config.hidden_size),
        "mlp.router.bias": torch.zeros(EXPERTS),
    }


def read_matrix(read: Read, config: DenseConfig, name: str, *, expert_width: int, alpha: float) -> torch.Tensor:
    """Return a matrix of the feed-forward layer in float32, padded with zeros to the width of all experts.

    Args:
        read: Reads the layer.
        config: The dense model.
        name: `"gate"` or `"up"` [width, hidden], or `"down"` [hidden, width], still without the factor alpha * EXPERTS.
        expert_width: Width of one expert.
        alpha: The new checkpoint's `swiglu_alpha`.
    """
    from torch.nn.functional import pad

    missing = EXPERTS * expert_width - config.intermediate_size
    matrix = _require(read, f"mlp.{name}_proj.weight")
    if name == "gate" and alpha != 1:
        matrix = matrix / alpha
    return pad(matrix, (0, missing)) if name == "down" else pad(matrix, (0, 0, 0, missing))


def convert_biases(read: Read, config: DenseConfig, *, expert_width: int, alpha: float) -> dict[str, torch.Tensor]:
    """Return the experts' biases; gate and up alternate."""
    import torch
    from torch.nn.functional import pad

    dense, missing = config.intermediate_size, EXPERTS * expert_width - config.intermediate_size
    biases = {name: read(f"mlp.{name}_proj.bias") for name in ("gate", "up", "down")}
    gate = torch.zeros(dense) if biases["gate"] is None else biases["gate"]
    up = torch.zeros(dense) if biases["up"] is None else biases["up"]
    down = torch.zeros(config.hidden_size) if biases["down"] is None else biases["down"]
    gate_up = torch.stack((pad(gate / alpha, (0, missing)), pad(up - 1, (0, missing))), dim=1)
    return {
        "mlp.experts.gate_up_proj_bias": gate_up.reshape(EXPERTS, -1),
        # Each of the E experts adds 1/E of its output.
        "mlp.experts.down_proj_bias": down.repeat(EXPERTS, 1),
    }


def convert_experts(read: Read, config: DenseConfig, *, expert_width: int, alpha: float) -> dict[str, torch.Tensor]:
    """Return the experts' unpacked matrices as gpt_oss stores them: transposed, gate and up columns alternating."""
    import torch

    gate, up, down = (
        read_matrix(read, config, name, expert_width=expert_width, alpha=alpha) for name in ("gate", "up", "down")
    )
    gate_up = torch.stack((gate, up), dim=1).view(EXPERTS, 2 * expert_width, config.hidden_size)
    down = down.view(config.hidden_size, EXPERTS, expert_width).permute(1, 2, 0)
    return {"mlp.experts.gate_up_proj": gate_up.transpose(1, 2), "mlp.experts.down_proj": down * alpha * EXPERTS}


def get_layer_names(config: DenseConfig, present: Mapping[str, Any]) -> set[str]:
    """Return the names of the tensors in a layer that the conversion reads, those of biases only if they are there."""
    names = {"input_layernorm.weight", "post_attention_layernorm.weight"}
    names |= {f"self_attn.{name}_proj.weight" for name in _PROJECTIONS}
    names |= {f"mlp.{name}_proj.weight" for name in ("gate", "up", "down")}
    biases = {f"self_attn.{name}_proj.bias" for name in _PROJECTIONS}
    biases |= {f"mlp.{name}_proj.bias" for name in ("gate", "up", "down")}
    names = {f"model.layers.{layer}.{name}" for layer in range(config.layers) for name in names}
    optional = {f"model.layers.{layer}.{name}" for layer in range(config.layers) for name in biases}
    return names | (optional & present.keys())


def _require(read: Read, name: str) -> torch.Tensor:
    tensor = read(name)
    assert tensor is not None  # the names were checked before
    return tensor
