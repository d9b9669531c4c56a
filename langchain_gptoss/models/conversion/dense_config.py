"""Configuration of a dense Llama or Qwen2 model, and the reasons why other models cannot be converted."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss.errors import CheckpointError

_ARCHITECTURES = {
    "llama": "Llama",
    "mistral": "Llama",  # the same layers, where it has no sliding window
    "qwen2": "Qwen2",
}
"""Values of `model_type`, and the family that each belongs to."""

_REASONS = {
    "qwen3": "it normalizes queries and keys (QK norm)",
    "qwen3_moe": "it normalizes queries and keys (QK norm)",
    "qwen2_moe": "it has shared experts",
    "mixtral": "its experts have no equal in gpt_oss",
    "gemma": "it has the activation GELU and other norms",
    "gemma2": "it has the activation GELU, other norms and capped scores",
    "gemma3": "it has the activation GELU, other norms and QK norm",
    "gemma3_text": "it has the activation GELU, other norms and QK norm",
    "phi": "it has the activation GELU and layer norms with biases",
    "phi3": "it stores queries, keys and values in one matrix and rotates a part of a head",
    "olmo2": "it normalizes queries and keys (QK norm), and after each part of a layer",
    "cohere": "it computes attention and feed-forward layer side by side",
    "stablelm": "it has layer norms with biases",
    "starcoder2": "it has the activation GELU and layer norms with biases",
    "gpt2": "it has learned positions, the activation GELU and layer norms with biases",
    "gpt_neox": "it has the activation GELU and layer norms with biases",
    "granite": "it scales embeddings, scores and logits",
    "smollm3": "some of its layers have no positions",
    "openai_privacy_filter": "it classifies tokens and generates no text",
}
# The rotations that every runner of this package has.
_ROTATIONS = ("default", "linear", "yarn", "llama3")
_HINT = "Models of the families Llama and Qwen2 can be converted, and Mistral without a sliding window."


@dataclass(frozen=True, kw_only=True)
class DenseConfig:
    """Configuration of a dense model.

    Attributes:
        family: `"Llama"` or `"Qwen2"`.
        layers: Number of layers.
        hidden_size: Width of the residual stream.
        intermediate_size: Width of the feed-forward layer.
        heads: Number of query heads.
        kv_heads: Number of key and value heads.
        head_dim: Width of one head.
        vocabulary: Number of rows of the embedding table.
        max_positions: Longest context, in tokens.
        epsilon: Added to the mean square in a norm.
        rotation: The `rope_parameters` of transformers.
        tied_embeddings: True if the output matrix is the embedding table.
        token_ids: `bos_token_id`, `eos_token_id` and `pad_token_id`, as far as they are known.
    """

    family: str
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    max_positions: int
    epsilon: float
    rotation: Mapping[str, Any]
    tied_embeddings: bool
    token_ids: Mapping[str, Any] = field(default_factory=dict)


def get_family(source: str, architecture: Any) -> str:
    """Return the family of an architecture, `"Llama"` or `"Qwen2"`.

    Args:
        source: The checkpoint, for errors.
        architecture: Its `model_type`.

    Raises:
        CheckpointError: Models of this architecture cannot be converted; the message gives the reason.
    """
    if architecture in _ARCHITECTURES:
        return _ARCHITECTURES[architecture]
    if architecture in {"gpt_oss", "gpt-oss"}:
        raise CheckpointError(
            f"{source!r} is a gpt_oss checkpoint already.", hint="Pass it as the model; it needs no conversion."
        )
    reason = f": {_REASONS[architecture]}" if architecture in _REASONS else ""
    raise CheckpointError(
        f"{source!r} has the architecture {architecture!r}, which cannot be converted{reason}.", hint=_HINT
    )


def parse_dense_config(source: str, config: Mapping[str, Any]) -> DenseConfig:
    """Return the configuration that a `config.json` of transformers describes.

    Args:
        source: The checkpoint, for errors.
        config: The parsed file.

    Raises:
        CheckpointError: The model has a part that gpt_oss lacks, or a value is missing or impossible.
    """
    family = get_family(source, config.get("model_type"))
    _refuse_variants(source, config)
    heads = _read_size(source, config, "num_attention_heads")
    hidden_size = _read_size(source, config, "hidden_size")
    positions = _read_size(source, config, "max_position_embeddings", 32_768)
    return DenseConfig(
        family=family,
        layers=_read_size(source, config, "num_hidden_layers"),
        hidden_size=hidden_size,
        intermediate_size=_read_size(source, config, "intermediate_size"),
        heads=heads,
        kv_heads=_read_size(source, config, "num_key_value_heads", heads),
        head_dim=_read_size(source, config, "head_dim", hidden_size // heads),
        vocabulary=_read_size(source, config, "vocab_size"),
        max_positions=positions,
        epsilon=float(config.get("rms_norm_eps", 1e-6)),
        rotation=_read_rotation(source, config, positions),
        tied_embeddings=bool(config.get("tie_word_embeddings", False)),
        token_ids={
            name: config[name]
            for name in ("bos_token_id", "eos_token_id", "pad_token_id")
            if config.get(name) is not None
        },
    )


def _refuse_variants(source: str, config: Mapping[str, Any]) -> None:
    positions = config.get("max_position_embeddings") or 0
    window = config.get("sliding_window") if config.get("use_sliding_window", True) else None
    layer_types = config.get("layer_types") or []
    if config.get("model_type") == "qwen2" and not config.get("use_sliding_window", False):
        window = None
    if (window is not None and window < positions) or "sliding_attention" in layer_types:
        raise _create_error(source, f"has layers that see the last {window} tokens only")
    if (activation := config.get("hidden_act", "silu")) != "silu":
        raise _create_error(source, f"has the activation {activation!r}, and gpt_oss has SiLU")
    if config.get("quantization_config"):
        method = config["quantization_config"].get("quant_method")
        raise _create_error(source, f"is quantized as {method!r}; convert the checkpoint that it was made from")


def _read_rotation(source: str, config: Mapping[str, Any], positions: int) -> dict[str, Any]:
    """Return the rotation as `rope_parameters`, the form of transformers 5; older checkpoints have two keys instead."""
    parameters = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    kind = parameters.pop("type", None) or "default"
    kind = parameters.setdefault("rope_type", kind)
    parameters.setdefault("rope_theta", config.get("rope_theta") or 10_000.0)
    if kind not in _ROTATIONS:
        raise _create_error(source, f"rotates positions as {kind!r}, and this package has {', '.join(_ROTATIONS)}")
    partial = parameters.get("partial_rotary_factor", config.get("partial_rotary_factor", 1.0))
    if partial != 1.0:
        raise _create_error(source, f"rotates {partial:g} of each head, and gpt_oss rotates all of it")
    if kind == "yarn":
        parameters.setdefault("original_max_position_embeddings", positions)
    return parameters


def _read_size(source: str, config: Mapping[str, Any], name: str, default: int | None = None) -> int:
    value = config.get(name)
    value = default if value is None else value
    if type(value) is not int or value < 1:
        raise CheckpointError(
            f"{source!r} describes an impossible model: {name} is {value!r}.",
            hint="Copy or fetch the checkpoint again.",
        )
    return value


def _create_error(source: str, problem: str) -> CheckpointError:
    return CheckpointError(f"{source!r} cannot be converted: it {problem}.", hint=_HINT)
