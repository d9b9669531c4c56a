"""Packed experts inside transformers' own model, through its registry of experts implementations."""

from functools import partial
from typing import Any

import torch
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts, apply_experts_reference
from langchain_gptoss.engine.kernels.native import get_cpu_kernel

IMPLEMENTATION = "gptoss_packed"

PACKED_NAMES = tuple(
    f"{matrix}_{part}" for matrix in ("gate_up_proj", "down_proj") for part in ("blocks", "scales", "bias")
)
"""Names of a layer's packed tensors in a checkpoint."""


def attach_packed_experts(module: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Replace the parameters of a `GptOssExperts` module by packed weights.

    Args:
        module: Built with `experts_implementation=IMPLEMENTATION`; its parameters may be on the meta device.
        tensors: One tensor for each of `PACKED_NAMES`, in the checkpoint's layout.
    """
    for name in ("gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias"):
        delattr(module, name)
    module.packed = PackedExperts(
        **{name.replace("_proj", ""): tensors[name] for name in PACKED_NAMES},
        alpha=float(module.alpha),
        limit=float(module.limit),
    )


def apply_experts(
    hidden: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor, packed: PackedExperts
) -> torch.Tensor:
    """Return the output of the mixture of experts by the fastest implementation; see `apply_experts_reference`.

    The experts may be on the CPU while the rest of the model is on a GPU. Then the inputs are moved, not the weights.
    """
    device = packed.gate_up_blocks.device
    moved, indices, weights = hidden.to(device), indices.to(device), weights.to(device)
    if device.type == "cuda":
        from langchain_gptoss.engine.kernels.triton_mxfp4 import apply_experts_on_cuda

        result: torch.Tensor = apply_experts_on_cuda(moved, indices, weights, packed)
        return result
    kernel = get_cpu_kernel() if device.type == "cpu" else None
    if kernel is None:
        return apply_experts_reference(moved, indices, weights, packed).to(hidden.device)
    multiply = partial(kernel.multiply, activation_bits=16)
    result = apply_experts_reference(moved.float(), indices, weights.float(), packed, multiply=multiply)
    return result.to(hidden.device, hidden.dtype)


def _forward(module: Any, hidden: torch.Tensor, indices: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    return apply_experts(hidden, indices, weights, module.packed)


def register_packed_experts() -> None:
    """Register the implementation with transformers; a second call does nothing new."""
    ALL_EXPERTS_FUNCTIONS.register(IMPLEMENTATION, _forward)
