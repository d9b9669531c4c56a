"""The sentences of a plan: one reason for each decision, for people."""

from langchain_gptoss.models.planning.footprint import WIDTHS
from langchain_gptoss.models.planning.hardware import Hardware
from langchain_gptoss.models.shapes import Shape


def summary(experts: str, dtype: str) -> str:
    """Returns how the weights are kept, in a few words."""
    return f"experts packed, {dtype} beside them" if experts == "packed" else f"all in {dtype}"


def device(
    hardware: Hardware, *, device: str, gpus: tuple[int, ...], offload: bool, asked: bool, too_small: bool
) -> str:
    """Returns why the model runs there."""
    if asked:
        return f"On {device}, as asked."
    if device == "cuda":
        names = " and ".join(f"GPU {gpu.index} ({gpu.name})" for gpu in hardware.gpus if gpu.index in gpus)
        if offload:
            return f"On {names}, with the experts in the machine's memory: the GPU has no room for them."
        many = f"; no smaller number of GPUs holds it, so its layers are spread over {len(gpus)}" * (len(gpus) > 1)
        return f"On {names}: a GPU is fastest{many}."
    if device == "mps":
        return "On the Apple GPU: it shares the machine's memory, and that has room for the unpacked weights."
    if too_small:
        return "On the CPU: the GPU has too little free memory."
    return "On the CPU: torch finds no GPU here."


def experts(shape: Shape, hardware: Hardware, *, device: str, experts: str, asked: bool) -> str:
    """Returns why the experts are packed or not."""
    asked_for = ", as asked" if asked else ""
    if experts == "packed":
        wide = shape.expert_weights * WIDTHS["bfloat16"]
        return (
            f"Experts stay packed in MXFP4{asked_for}: {shape.packed_expert_bytes / 1e9:.1f} GB, "
            f"where bfloat16 takes {wide / 1e9:.1f} GB."
        )
    if shape.checkpoint_experts != "mxfp4":
        return f"Experts are unpacked: the checkpoint holds them in {shape.checkpoint_experts}."
    if asked:
        return "Experts are unpacked, as asked."
    if device == "mps":
        return "Experts are unpacked: there is no kernel for packed ones on Apple GPUs."
    lacks = "these GPUs are older than compute capability 8.0" if hardware.has_triton else "triton is not installed"
    return f"Experts are unpacked: packed ones need Triton, and {lacks}."


def dtype(hardware: Hardware, *, device: str, dtype: str, experts: str, asked: bool) -> str:
    """Returns why the weights have this type."""
    slow = device == "cpu" and experts == "unpacked" and dtype != "float32" and not hardware.fast_bfloat16
    warning = f" This CPU has no instructions for {dtype}, so it will be slow." if slow else ""
    if asked:
        return f"Weights in {dtype}, as asked.{warning}"
    if dtype == "int8":
        return "Dense weights in int8 with a scale for every 32: decoding reads half of what bfloat16 would take."
    if device != "cpu":
        return f"Weights in {dtype}, the checkpoint's own type."
    if dtype == "float32":
        return "Weights in float32: the fastest type on most CPUs, and there is room for it."
    return f"Weights in {dtype}: float32 has no room.{warning}"


def kernel(hardware: Hardware, *, device: str, offload: bool, experts: str) -> tuple[str, ...]:
    """Returns what multiplies with packed experts on the CPU, if something does."""
    if experts != "packed" or (device != "cpu" and not offload):
        return ()
    reason = f": {hardware.cpu_kernel_reason}" if hardware.cpu_kernel_reason else ""
    if hardware.cpu_kernel == "none":
        return (f"No CPU kernel{reason}; torch multiplies with the packed experts, slowly.",)
    return (f"The CPU kernel is {hardware.cpu_kernel}{reason}.",)


def attention(kind: str) -> str:
    """Returns why this attention."""
    if kind == "flash":
        return "Attention is torch's flash kernel, with the sinks applied to its result: scores take no memory."
    return "Attention is eager: it knows attention sinks and needs no package that must be fetched."


def context(shape: Shape, *, context: int, asked: bool, fits: bool) -> str:
    """Returns why the context is that long."""
    if asked:
        return f"A context of {context:,} tokens, as asked."
    if context == shape.max_positions:
        return f"A context of {context:,} tokens, all that the model was made for."
    if not fits:
        return f"A context of {context:,} tokens, the shortest that is planned unasked."
    return f"A context of {context:,} tokens: of {shape.max_positions:,} the longest, by halves, that has room."
