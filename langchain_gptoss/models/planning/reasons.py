"""Sentences that explain a plan: one reason for each decision."""

from langchain_gptoss.models.planning.footprint import WIDTHS
from langchain_gptoss.models.planning.hardware import Hardware
from langchain_gptoss.models.shapes import Shape


def describe_weights(experts: str, dtype: str) -> str:
    """Return the storage of the weights in a few words."""
    if experts == "unpacked":
        return f"all in {dtype}"
    return f"experts {'packed' if experts == 'packed' else 'in int4'}, {dtype} beside them"


def explain_device(
    hardware: Hardware, *, device: str, gpus: tuple[int, ...], offload: bool, is_requested: bool, gpu_is_too_small: bool
) -> str:
    """Return the reason for the device."""
    if is_requested:
        return f"On {device}, as requested."
    if device == "cuda":
        names = " and ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in hardware.gpus if gpu.index in gpus)
        if offload:
            return f"On {names}, with the experts in the machine's memory, because they do not fit into the GPU's."
        if len(gpus) == 1:
            return f"On {names}: a GPU is fastest."
        return (
            f"On {names}: a GPU is fastest; no smaller number of GPUs has enough memory, so the layers are spread over "
            f"{len(gpus)}."
        )
    if device == "mps":
        return "On the Apple GPU: it shares the machine's memory, and the unpacked weights fit."
    if gpu_is_too_small:
        return "On the CPU: the GPU has too little free memory."
    return "On the CPU: torch finds no GPU here."


def warn_of_experiments(device: str) -> tuple[str, ...]:
    """Return a warning if the code for a device has not been measured on one, or nothing."""
    if device == "cpu":
        return ()
    return ("This device is experimental: the engine has not been measured on one yet.",)


def explain_experts(shape: Shape, hardware: Hardware, *, device: str, experts: str, is_requested: bool) -> str:
    """Return the reason why the experts are packed or unpacked."""
    if experts == "packed":
        bfloat16_bytes = shape.expert_weights * WIDTHS["bfloat16"]
        return (
            f"Experts stay packed in MXFP4{', as requested' if is_requested else ''}: "
            f"{shape.packed_expert_bytes / 1e9:.1f} GB instead of {bfloat16_bytes / 1e9:.1f} GB in bfloat16."
        )
    if experts == "int4":
        return (
            "Experts stay in int4, four bits with a scale and a minimum for every 32: "
            f"{shape.int4_expert_bytes / 1e9:.1f} GB."
        )
    if shape.checkpoint_experts != "mxfp4":
        return f"Experts are unpacked: the checkpoint stores them in {shape.checkpoint_experts}."
    if is_requested:
        return "Experts are unpacked, as requested."
    if device == "mps":
        return "Experts are unpacked: there is no kernel for packed experts on Apple GPUs."
    if hardware.has_triton:
        return "Experts are unpacked: packed experts need compute capability 8.0, and these GPUs are older."
    return "Experts are unpacked: packed experts need Triton, and triton is not installed."


def explain_dtype(hardware: Hardware, *, device: str, dtype: str, experts: str, runner: str, is_requested: bool) -> str:
    """Return the reason for the type of the weights."""
    is_slow = device == "cpu" and runner == "torch" and dtype != "float32" and not hardware.fast_bfloat16
    warning = f" This CPU has no instructions for {dtype}, so it will be slow." if is_slow else ""
    if is_requested:
        return f"Weights in {dtype}, as requested.{warning}"
    if dtype == "int8":
        kind = "Weights" if experts == "unpacked" else "Dense weights"
        return f"{kind} in int8 with a scale for every 32: decode reads half as many bytes as in bfloat16."
    if device != "cpu":
        return f"Weights in {dtype}, the checkpoint's own type."
    if dtype == "float32":
        return "Weights in float32: without the CPU kernel it is the fastest type, and there is enough memory."
    return f"Weights in {dtype}: there is not enough memory for float32.{warning}"


def explain_runner(
    hardware: Hardware, *, device: str, offload: bool, experts: str, dtype: str, runner: str
) -> tuple[str, ...]:
    """Return the reason for the runner on a CPU, or nothing if the CPU multiplies no matrices."""
    if device != "cpu" and not offload:
        return ()
    reason = f": {hardware.cpu_kernel_reason}" if hardware.cpu_kernel_reason else ""
    if hardware.cpu_kernel == "none":
        work = (
            "torch multiplies with the packed experts, slowly" if experts == "packed" else "transformers' modules run"
        )
        return (f"No CPU kernel{reason}; {work}.",)
    kernel = f"The CPU kernel is {hardware.cpu_kernel}{reason}."
    if runner == "native":
        return (f"The native runner computes the whole model in C. {kernel}",)
    if offload:
        return (kernel,)
    return (f"Transformers' modules run: the native runner has no {dtype} with {experts} experts. {kernel}",)


def explain_rounding(*, dtype: str, experts: str, runner: str, precise: bool) -> tuple[str, ...]:
    """Return how activations are rounded, or nothing if they are not."""
    if runner != "native" or (dtype != "int8" and experts != "packed"):
        return ()
    if precise:
        return ("Activations are rounded to 16 bits per block of 32, as requested.",)
    if experts == "unpacked":
        return ("Activations are rounded to 16 bits per block of 32.",)
    return ("Activations are rounded to 8 bits per block of 32 before experts, and to 16 bits elsewhere.",)


def explain_attention(attention: str, *, runner: str) -> str:
    """Return the reason for the implementation of attention."""
    if runner == "native":
        return "Attention is the kernel's: scores take no memory."
    if attention == "flash":
        return "Attention is torch's flash kernel, and the sinks are applied to its result: scores take no memory."
    return "Attention is eager: it supports attention sinks and needs no package that must be downloaded."


def explain_context(shape: Shape, *, context: int, is_requested: bool, fits: bool) -> str:
    """Return the reason for the length of the context."""
    if is_requested:
        return f"A context of {context:,} tokens, as requested."
    if context == shape.max_positions:
        return f"A context of {context:,} tokens, the model's maximum."
    if not fits:
        return f"A context of {context:,} tokens, the shortest that is chosen automatically."
    return f"A context of {context:,} tokens: the longest that fits, by halves of the model's {shape.max_positions:,}."


def explain_cache(shape: Shape, *, cache_bytes: int, context: int, is_requested: bool) -> str:
    """Return the reason for the size of the KV cache."""
    tokens, contexts = cache_bytes // shape.cache_token_bytes, cache_bytes / shape.compute_cache_bytes(context)
    size = f"A KV cache of {cache_bytes / 1e9:.1f} GB{', as requested' if is_requested else ''}: {tokens:,} tokens"
    if contexts < 2:
        return f"{size}, one full context; requests share it."
    return f"{size}, {int(contexts)} full contexts; requests share it."


def explain_threads(hardware: Hardware) -> str:
    """Return the reason for the number of threads."""
    return f"{hardware.threads} threads: {hardware.physical_cores} cores, {hardware.usable_cores} usable processors."
