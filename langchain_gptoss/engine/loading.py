"""Turns a checkpoint folder into a model in memory; planning comes first, so that impossible options fail at once."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import torch

from langchain_gptoss._progress import show_progress
from langchain_gptoss.engine.kernels.native import get_kernel_status
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore, compute_model_digest
from langchain_gptoss.engine.runners.base import Runner
from langchain_gptoss.engine.scheduling.local_engine import LocalEngine
from langchain_gptoss.errors import CheckpointError, GptOssError, GptOssMemoryError
from langchain_gptoss.models.catalog import ModelCard
from langchain_gptoss.models.checkpoint_config import read_config
from langchain_gptoss.models.download.cache_directory import cache_directory
from langchain_gptoss.models.planning.hardware import Hardware, probe_hardware
from langchain_gptoss.models.planning.plan import Plan, make_plan, require_fits
from langchain_gptoss.models.safetensors_files import list_weight_files
from langchain_gptoss.models.shapes import parse_shape

PROMPT_FOLDER = "prompts"
"""The folder of prompts that were read, in the cache folder."""
_Loaded = TypeVar("_Loaded")


def probe_machine(*, needs_kernel: bool = True) -> Hardware:
    """Return the hardware of this machine; the memory bandwidth is not measured.

    Args:
        needs_kernel: Include the CPU kernel, which is compiled on first use; GPUs need it for packed experts only.
    """
    if not needs_kernel:
        return probe_hardware(measure=False)
    status = get_kernel_status()
    return probe_hardware(cpu_kernel=status.level, cpu_kernel_reason=status.reason, measure=False)


def plan_checkpoint(
    folder: Path,
    *,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
    max_context: int | None = None,
    cache_gb: float | None = None,
    precise: bool = False,
) -> Plan:
    """Return the best plan for a checkpoint on this machine; options that are not None are binding.

    Args:
        folder: The checkpoint.
        device: `"cuda"`, `"cpu"`, `"mps"`, or None.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, `"int8"`, or None.
        experts: `"packed"`, `"unpacked"`, or None.
        max_context: Length of the context in tokens, or None.
        cache_gb: Size of the KV cache in GB of 10^9 bytes, or None.
        precise: Round all activations to 16 bits where a CPU would round those of packed experts to 8 bits.

    Raises:
        InvalidInputError: An option cannot be met on this machine, or on any.
        GptOssMemoryError: The model does not fit; the message names the needed and the free memory, and alternatives.
    """
    shape = parse_shape(read_config(folder))
    card = ModelCard(name=folder.name, source=str(folder), shape=shape)
    hardware = probe_machine(needs_kernel=device in {None, "cpu"} or shape.checkpoint_experts == "mxfp4")
    plan = make_plan(
        card,
        hardware,
        context=max_context,
        cache_gb=cache_gb,
        device=device,
        dtype=dtype,
        experts=experts,
        precise=precise,
    )
    require_fits(plan)
    return plan


def load_engine(folder: Path, plan: Plan, *, prompt_cache_gb: float | None = None) -> LocalEngine:
    """Load a gpt_oss checkpoint into an engine.

    Args:
        folder: The checkpoint.
        plan: A plan that fits.
        prompt_cache_gb: Size limit of the prompts on disk in GB of 10^9 bytes; None keeps nothing on disk.

    Raises:
        CheckpointError: Weights are missing, or their shapes contradict the config.
        GptOssMemoryError: Memory ran out during loading.
        StorageError: Prompts cannot be kept safely in the cache folder.
    """
    runner = load_runner(folder, plan)
    store = None
    if prompt_cache_gb is not None:
        store = PrefixStore(
            cache_directory() / PROMPT_FOLDER,
            max_bytes=int(prompt_cache_gb * 1e9),
            model_digest=compute_model_digest(folder),
            arithmetic=runner.arithmetic,
            layout=runner.cache_layout,
        )
    return LocalEngine(
        runner, context_length=plan.context, cache_bytes=plan.cache_bytes, folder=folder, prefix_store=store
    )


def load_runner(folder: Path, plan: Plan) -> Runner:
    """Load a gpt_oss checkpoint into a runner.

    Args:
        folder: The checkpoint.
        plan: A plan that fits.

    Raises:
        CheckpointError: Weights are missing, or their shapes contradict the config.
        GptOssMemoryError: Memory ran out during loading.
    """
    if plan.runner == "native":
        return _load_with_progress(folder, plan, _load_native)
    from langchain_gptoss.engine.runners.torch_runner import TorchRunner  # imports transformers

    return TorchRunner(load_model(folder, plan))


def load_model(folder: Path, plan: Plan) -> Any:
    """Load a gpt_oss checkpoint: safetensors only, no code from the checkpoint, no network.

    Args:
        folder: The checkpoint.
        plan: A plan that fits, for the runner `"torch"`.

    Returns:
        A `transformers.GptOssForCausalLM` in evaluation mode.

    Raises:
        CheckpointError: Weights are missing, or their shapes contradict the config.
        GptOssMemoryError: Memory ran out during loading.
    """
    from langchain_gptoss.engine.weights import load_weights  # imports transformers

    return _load_with_progress(folder, plan, load_weights)


def _load_native(folder: Path, plan: Plan, report: Callable[[int], object]) -> Runner:
    from langchain_gptoss.engine.runners.native import NativeRunner
    from langchain_gptoss.engine.runners.native_weights import NativeFormats

    formats = NativeFormats(
        dense="bfloat16" if plan.dtype == "bfloat16" else "int8",
        experts="bfloat16" if plan.dtype == "bfloat16" else "int8",
        expert_bits=16 if plan.precise else 8,
    )
    return NativeRunner(folder, formats=formats, report=report)


def _load_with_progress(
    folder: Path, plan: Plan, load: Callable[[Path, Plan, Callable[[int], object]], _Loaded]
) -> _Loaded:
    if plan.device == "cpu" and torch.get_num_threads() > plan.threads:
        torch.set_num_threads(plan.threads)  # torch counts all cores, even those that a container may not use
    size_bytes = sum(file.stat().st_size for file in list_weight_files(folder))
    try:
        with show_progress(size_bytes, f"Loading {folder.name}") as bar:
            return load(folder, plan, bar.update)
    except GptOssError:
        raise
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, MemoryError) or "out of memory" in str(error).lower():
            raise GptOssMemoryError(
                f"Memory ran out while loading {folder.name!r}.", hint="Close other programs."
            ) from error
        raise CheckpointError(f"{str(folder)!r} cannot be loaded: {error}") from error
