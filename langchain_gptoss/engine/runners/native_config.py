"""Sizes, windows and rotation that the native runner reads from a checkpoint's `config.json`."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from langchain_gptoss.errors import CheckpointError
from langchain_gptoss.models.checkpoint_config import read_config
from langchain_gptoss.models.shapes import Shape, parse_shape

# Defaults of transformers' GptOssConfig.
_EPSILON, _ALPHA, _LIMIT, _THETA = 1e-5, 1.702, 7.0, 150_000.0
_YARN = {
    "rope_type": "yarn",
    "factor": 32.0,
    "beta_fast": 32.0,
    "beta_slow": 1.0,
    "truncate": False,
    "original_max_position_embeddings": 4096,
}


@dataclass(frozen=True, kw_only=True)
class NativeConfig:
    """The configuration of a gpt_oss model.

    Attributes:
        shape: Its sizes.
        windows: Window of each layer in tokens, the new one included; 0 means that a layer attends to all tokens.
        epsilon: Added to the mean square in a norm.
        alpha: Factor inside the sigmoid of the experts' gate.
        limit: Upper bound of gate values, and bound of the magnitude of up values.
        frequencies: Angle per position of each rotated pair of dimensions, float32 [head_dim / 2].
        rotation_scale: Factor of the rotated values.
    """

    shape: Shape
    windows: tuple[int, ...]
    epsilon: float
    alpha: float
    limit: float
    frequencies: torch.Tensor
    rotation_scale: float


def read_native_config(folder: Path) -> NativeConfig:
    """Return the configuration of a checked checkpoint.

    Raises:
        CheckpointError: The file cannot be read, or it asks for a rotation that the native runner does not have.
    """
    config = read_config(folder)
    shape = parse_shape(config)
    types = config.get("layer_types") or [("sliding_attention", "full_attention")[i % 2] for i in range(shape.layers)]
    frequencies, rotation_scale = _compute_rotation(config, shape)
    return NativeConfig(
        shape=shape,
        windows=tuple(shape.sliding_window if each == "sliding_attention" else 0 for each in types),
        epsilon=_read_number(config, "rms_norm_eps", _EPSILON),
        alpha=_read_number(config, "swiglu_alpha", _ALPHA),
        limit=_read_number(config, "swiglu_limit", _LIMIT),
        frequencies=frequencies,
        rotation_scale=rotation_scale,
    )


def _read_number(config: Mapping[str, Any], key: str, default: float) -> float:
    value = config.get(key)
    return default if value is None else float(value)


def _compute_rotation(config: Mapping[str, Any], shape: Shape) -> tuple[torch.Tensor, float]:
    """Return frequencies and scale, by the formulas of transformers' `modeling_rope_utils`."""
    parameters = dict(config.get("rope_parameters") or config.get("rope_scaling") or {})
    if not parameters and config.get("rope_theta") is None:
        parameters = dict(_YARN)
    kind = parameters.get("rope_type") or parameters.get("type") or "default"
    theta = float(parameters.get("rope_theta") or config.get("rope_theta") or _THETA)
    powers = theta ** (torch.arange(0, shape.head_dim, 2, dtype=torch.float32) / shape.head_dim)
    if kind == "default":
        return 1.0 / powers, 1.0
    if kind == "linear":
        return 1.0 / powers / float(parameters["factor"]), 1.0
    if kind == "yarn":
        original = config.get("original_max_position_embeddings") or parameters.get("original_max_position_embeddings")
        return _compute_yarn(parameters, powers, theta, float(original or shape.max_positions), shape)
    if kind == "llama3":
        return _compute_llama3(parameters, powers, shape), 1.0
    raise CheckpointError(
        f"config.json asks for the rotation {kind!r}; the native runner has default, linear, yarn and llama3.",
        hint="Set GPTOSS_KERNEL_LEVEL=none to run the model with transformers' modules.",
    )


def _compute_llama3(parameters: Mapping[str, Any], powers: torch.Tensor, shape: Shape) -> torch.Tensor:
    """Return the frequencies of Llama 3.1: slow rotations become slower by a factor, with a smooth transition."""
    original = float(parameters.get("original_max_position_embeddings") or shape.max_positions)
    low, high = float(parameters["low_freq_factor"]), float(parameters["high_freq_factor"])
    rotations = original / (2 * math.pi * powers)  # of each pair, in the original context
    kept = ((rotations - low) / (high - low)).clamp(0, 1)
    return (kept + (1 - kept) / float(parameters["factor"])) / powers


def _compute_yarn(
    parameters: Mapping[str, Any], powers: torch.Tensor, theta: float, original: float, shape: Shape
) -> tuple[torch.Tensor, float]:
    """Return frequencies and scale of YaRN (https://huggingface.co/papers/2309.00071)."""
    width = shape.head_dim
    factor = float(parameters.get("factor") or shape.max_positions / original)

    def find_dimension(rotations: float) -> float:
        return width * math.log(original / (rotations * 2 * math.pi)) / (2 * math.log(theta))

    low = find_dimension(float(parameters.get("beta_fast") or 32))
    high = find_dimension(float(parameters.get("beta_slow") or 1))
    if parameters.get("truncate", True):
        low, high = math.floor(low), math.ceil(high)
    low, high = max(low, 0), min(high, width - 1)
    high += 0.001 if low == high else 0
    kept = 1 - ((torch.arange(width // 2, dtype=torch.float32) - low) / (high - low)).clamp(0, 1)
    frequencies = 1.0 / (factor * powers) * (1 - kept) + 1.0 / powers * kept
    return frequencies, _compute_yarn_scale(parameters, factor)


def _compute_yarn_scale(parameters: Mapping[str, Any], factor: float) -> float:
    def grow(scale: float) -> float:
        return 0.1 * scale * math.log(factor) + 1.0 if factor > 1 else 1.0

    if parameters.get("attention_factor") is not None:
        return float(parameters["attention_factor"])
    scale, scale_all = parameters.get("mscale"), parameters.get("mscale_all_dim")
    return grow(float(scale)) / grow(float(scale_all)) if scale and scale_all else grow(1.0)
