"""A checkpoint folder becomes a model in memory: planned first, so that what cannot work is said before it is read."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from langchain_gptoss._progress import show_progress
from langchain_gptoss.engine.kernels.native import get_kernel_status
from langchain_gptoss.errors import CheckpointError, GptOssMemoryError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.checkpoint import read_config
from langchain_gptoss.models.planning.footprint import PREFILL_TOKENS, compute_activation_width, compute_prefill_tokens
from langchain_gptoss.models.planning.hardware import Hardware, probe_hardware
from langchain_gptoss.models.planning.plan import Plan, make_plan, require_fits
from langchain_gptoss.models.safetensors_files import list_weight_files
from langchain_gptoss.models.shapes import parse_shape


def probe_machine(*, measure: bool = False, kernel: bool = True) -> Hardware:
    """Returns what this machine offers.

    Args:
        measure: Whether to measure the memory bandwidth; only estimates of speed need it.
        kernel: Whether to look for the CPU kernel, which is compiled on first use; only packed experts want it.
    """
    if not kernel:
        return probe_hardware(measure=measure)
    status = get_kernel_status()
    return probe_hardware(cpu_kernel=status.level, cpu_kernel_reason=status.why, measure=measure)


def plan_checkpoint(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
    max_context: int | None = None,
) -> Plan:
    """Returns how a checkpoint runs best here; what is given overrides.

    Raises:
        InvalidInputError: Something that cannot work on any machine, or not on this one.
        GptOssMemoryError: It does not fit; says what is needed, what is free, and what would work.
    """
    shape = parse_shape(read_config(folder))
    card = ModelCard(name=folder.name, source=str(folder), shape=shape)
    hardware = probe_machine(kernel=shape.checkpoint_experts == "mxfp4")
    made = make_plan(card, hardware, context=max_context, device=device, dtype=dtype, experts=experts)
    require_fits(made)
    return made


def piece_of(folder: Path, plan: Plan) -> Callable[[int], int]:
    """Returns how many tokens of a prompt can be read at once, by the number of tokens that are in the cache."""
    shape = parse_shape(read_config(folder))
    width = compute_activation_width(device=plan.device, dtype=plan.dtype, experts=plan.experts)
    flash = plan.attention == "flash"
    return lambda read: compute_prefill_tokens(
        shape, min(read + PREFILL_TOKENS, plan.context), width=width, flash=flash
    )


def load_model(folder: Path, plan: Plan) -> Any:
    """Loads a gpt_oss checkpoint: safetensors only, no code from the checkpoint, no network.

    Returns:
        A `transformers.GptOssForCausalLM` in evaluation mode.

    Raises:
        CheckpointError: Weights are missing or of another shape than the config says.
        GptOssMemoryError: Memory ran out while loading.
    """
    from langchain_gptoss.engine.weights import load_weights  # brings transformers

    if plan.device == "cpu" and torch.get_num_threads() > plan.threads:
        torch.set_num_threads(plan.threads)  # torch counts a machine's cores, and not those that a container may use
    size = sum(file.stat().st_size for file in list_weight_files(folder))
    try:
        with show_progress(size, f"Loading {folder.name}") as bar:
            return load_weights(folder, plan, bar.update)
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise GptOssMemoryError(f"Memory ran out while loading {folder.name!r}. Close other programs.") from error
        raise CheckpointError(f"{str(folder)!r} cannot be loaded: {error}") from error
