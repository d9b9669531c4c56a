"""Packed experts inside transformers' own model, through its registry of experts implementations."""

from typing import Any

import torch
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from langchain_gptoss.engine.kernels.mxfp4 import PackedExperts, experts_reference
from langchain_gptoss.engine.kernels.native import cpu_kernel

IMPLEMENTATION = "gptoss_packed"

# How a GptOssExperts module calls its weights, and how the checkpoint calls their packed form.
PACKED_NAMES = tuple(
    f"{matrix}_{part}" for matrix in ("gate_up_proj", "down_proj") for part in ("blocks", "scales", "bias")
)


def attach(module: Any, tensors: dict[str, torch.Tensor]) -> None:
    """Gives a `GptOssExperts` module its packed weights and takes its unpacked ones away.

    Args:
        module: Built with `experts_implementation=IMPLEMENTATION`; its own parameters may be on the meta device.
        tensors: `PACKED_NAMES`, as in the checkpoint.
    """
    for name in ("gate_up_proj", "gate_up_proj_bias", "down_proj", "down_proj_bias"):
        delattr(module, name)
    module.packed = PackedExperts(
        **{name.replace("_proj", ""): tensors[name] for name in PACKED_NAMES},
        alpha=float(module.alpha),
        limit=float(module.limit),
    )


def mixture(hidden: torch.Tensor, indices: torch.Tensor, shares: torch.Tensor, packed: PackedExperts) -> torch.Tensor:
    """Returns the mixture of experts by the fastest way there is where the experts are; see `experts_reference`.

    The experts may be on the CPU while everything else is on a GPU: their inputs then travel, not their weights.
    """
    place = packed.gate_up_blocks.device
    hidden_there, indices, shares = hidden.to(place), indices.to(place), shares.to(place)
    if place.type == "cuda":
        from langchain_gptoss.engine.kernels.triton_mxfp4 import experts_on_cuda

        result: torch.Tensor = experts_on_cuda(hidden_there, indices, shares, packed)
        return result
    kernel = cpu_kernel() if place.type == "cpu" else None
    if kernel is None:
        return experts_reference(hidden_there, indices, shares, packed).to(hidden.device)
    result = kernel.experts(hidden_there.float(), indices, shares.float(), packed)
    return result.to(hidden.device, hidden.dtype)


def _forward(module: Any, hidden: torch.Tensor, indices: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    return mixture(hidden, indices, shares, module.packed)


def register() -> None:
    """Makes the implementation known to transformers; safe to call twice."""
    ALL_EXPERTS_FUNCTIONS.register(IMPLEMENTATION, _forward)
