"""Candidate configurations of a model on a machine, best first, and the demand of each on every memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.planning.footprint import RUNTIME_BYTES, MemoryFootprint
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.shapes import Shape

Device = Literal["cuda", "cpu", "mps"]
DType = Literal["float32", "bfloat16", "float16", "int8"]
Experts = Literal["packed", "int4", "unpacked"]
RunnerName = Literal["native", "torch"]

# Triton's own minimum for bfloat16 in its kernels (Ampere).
_TRITON_CAPABILITY = (8, 0)
# macOS lets a GPU use about three quarters of the memory (Metal's recommendedMaxWorkingSetSize).
_MPS_SHARE = 0.75
_UNKNOWN_FREE_BYTES = 2**62  # unknown memory does not block loading


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One possible configuration of a model; `Plan` describes the fields."""

    device: Device
    gpus: tuple[Gpu, ...] = ()
    offload: bool = False
    dtype: DType
    experts: Experts
    runner: RunnerName = "torch"


@dataclass(frozen=True, kw_only=True)
class MemoryDemand:
    """Need of a plan in one memory of the machine.

    Attributes:
        name: `"memory"` for the machine's memory, `"GPU 0"` for one GPU, or `"GPUs 0, 1"` for several together.
        needed_bytes: Bytes needed at the peak.
        free_bytes: Bytes free now.
    """

    name: str
    needed_bytes: int
    free_bytes: int

    @property
    def fits(self) -> bool:
        """True if the free memory is enough."""
        return self.needed_bytes <= self.free_bytes

    @property
    def missing_bytes(self) -> int:
        """Bytes that are missing; negative if more than enough are free."""
        return self.needed_bytes - self.free_bytes


@dataclass(frozen=True, kw_only=True)
class _CandidateGroup:
    """Candidates that differ in their dtype only.

    Attributes:
        dtypes: Types that are chosen automatically, best first.
        other_dtypes: Types that are used only if the user requests them.
    """

    device: Device
    gpus: tuple[Gpu, ...] = ()
    offload: bool = False
    experts: Experts
    runner: RunnerName = "torch"
    dtypes: tuple[DType, ...]
    other_dtypes: tuple[DType, ...] = ()

    def iterate_candidates(self, dtype: str | None) -> Iterator[Candidate]:
        """Yield the candidates with a dtype, or with each automatic dtype if it is None."""
        for candidate_dtype in self.dtypes if dtype is None else (*self.dtypes, *self.other_dtypes):
            if dtype in {None, candidate_dtype}:
                yield Candidate(
                    device=self.device,
                    gpus=self.gpus,
                    offload=self.offload,
                    dtype=candidate_dtype,
                    experts=self.experts,
                    runner=self.runner,
                )


def list_candidates(
    shape: Shape, hardware: Hardware, *, device: str | None, dtype: str | None, experts: str | None
) -> list[Candidate]:
    """Return the candidates that the machine, the checkpoint and the overrides allow, best first; at least one.

    Args:
        shape: Shape of the model.
        hardware: The machine.
        device: Requested device, or None.
        dtype: Requested type of the weights, or None.
        experts: Requested storage of the experts, or None.

    Raises:
        InvalidInputError: No candidate is possible. The message gives the reason and the possible values.
    """
    _check_choice("device", device, get_args(Device))
    _check_choice("dtype", dtype, get_args(DType))
    _check_choice("experts", experts, get_args(Experts))
    if device == "cuda" and not hardware.gpus:
        raise InvalidInputError("device is 'cuda', but torch finds no CUDA GPU here.", hint="Use device='cpu'.")
    if device == "mps" and not hardware.mps:
        raise InvalidInputError("device is 'mps', but torch finds no Apple GPU here.", hint="Use device='cpu'.")
    stored = {"packed": "mxfp4", "int4": "int4"}
    if experts in stored and shape.checkpoint_experts != stored[experts]:
        form = "MXFP4" if experts == "packed" else "int4"
        raise InvalidInputError(
            f"experts is {experts!r}, but this checkpoint stores its experts in {shape.checkpoint_experts}, not in "
            f"{form}.",
            hint="Use experts='unpacked', or leave it out.",
        )
    groups = [group for group in _iterate_groups(shape, hardware, experts) if device in {None, group.device}]
    matching_groups = [group for group in groups if experts in {None, group.experts}]
    candidates = [candidate for group in matching_groups for candidate in group.iterate_candidates(dtype)]
    if not candidates:
        raise _build_impossible_error(groups, device=device, dtype=dtype, experts=experts)
    return candidates


def _check_choice(name: str, value: str | None, choices: tuple[str, ...]) -> None:
    if value is not None and value not in choices:
        listed = ", ".join(map(repr, choices))
        raise InvalidInputError(f"{name} is {value!r}; it must be one of {listed}, or None to choose automatically.")


def _build_impossible_error(groups: list[_CandidateGroup], **overrides: str | None) -> InvalidInputError:
    requested = ", ".join(f"{name}={value!r}" for name, value in overrides.items() if value is not None)
    possible = dict.fromkeys(
        f"device={group.device!r} with experts={group.experts!r} and dtype={dtype!r}"
        for group in groups
        for dtype in (*group.dtypes, *group.other_dtypes)
    )
    return InvalidInputError(
        f"{requested} is not possible for this checkpoint on this machine.", hint=f"Possible: {'; '.join(possible)}."
    )


def _iterate_groups(shape: Shape, hardware: Hardware, experts: str | None) -> Iterator[_CandidateGroup]:
    """Yield the groups that the machine and the checkpoint allow, fastest first."""
    is_mxfp4 = shape.checkpoint_experts == "mxfp4"
    gpus_by_room = sorted(hardware.gpus, key=lambda gpu: (-gpu.free_bytes, gpu.index))
    gpu_groups = [
        tuple(sorted(gpus_by_room[:count], key=lambda gpu: gpu.index)) for count in range(1, len(gpus_by_room) + 1)
    ]
    can_pack = [is_mxfp4 and can_run_packed(hardware, gpus) for gpus in gpu_groups]
    for gpus, can_pack_here in zip(gpu_groups, can_pack, strict=True):
        if can_pack_here:
            yield _CandidateGroup(device="cuda", gpus=gpus, experts="packed", dtypes=("bfloat16",))
    for gpus, can_pack_here in zip(gpu_groups, can_pack, strict=True):
        if not can_pack_here or experts == "unpacked":
            yield _CandidateGroup(
                device="cuda",
                gpus=gpus,
                experts="unpacked",
                dtypes=("bfloat16",),
                other_dtypes=("float16", "float32"),
            )
    if is_mxfp4:
        for gpus in gpu_groups:
            yield _CandidateGroup(device="cuda", gpus=gpus, offload=True, experts="packed", dtypes=("bfloat16",))
    if hardware.mps:
        yield _CandidateGroup(device="mps", experts="unpacked", dtypes=("bfloat16",), other_dtypes=("float16",))
    yield from _iterate_cpu_groups(hardware, experts, stored=shape.checkpoint_experts)


def _iterate_cpu_groups(hardware: Hardware, experts: str | None, *, stored: str) -> Iterator[_CandidateGroup]:
    """Yield the groups that the CPU allows.

    The native runner has MXFP4, int4, int8 and bfloat16 in its kernel; transformers' modules compute the rest.
    """
    has_kernel, is_mxfp4 = hardware.cpu_kernel != "none", stored == "mxfp4"
    if has_kernel and stored == "int4":
        yield _CandidateGroup(device="cpu", experts="int4", runner="native", dtypes=("int8",))
        wide: tuple[DType, ...] = ("bfloat16",) if experts == "unpacked" else ()
        yield _CandidateGroup(
            device="cpu", experts="unpacked", runner="native", dtypes=wide, other_dtypes=("bfloat16",)
        )
    elif has_kernel:
        yield _CandidateGroup(
            device="cpu",
            experts="packed" if is_mxfp4 else "unpacked",
            runner="native",
            dtypes=("int8",),
            other_dtypes=("bfloat16",),
        )
    exact: tuple[DType, ...] = () if has_kernel else ("float32", "bfloat16")
    rest: tuple[DType, ...] = ("float32",) if has_kernel else ()
    if is_mxfp4:
        yield _CandidateGroup(device="cpu", experts="packed", dtypes=exact, other_dtypes=rest)
    else:
        yield _CandidateGroup(device="cpu", experts="unpacked", dtypes=exact, other_dtypes=(*rest, "float16"))
    if is_mxfp4 and experts == "unpacked":
        yield _CandidateGroup(
            device="cpu", experts="unpacked", dtypes=("float32", "bfloat16"), other_dtypes=("float16",)
        )


def can_run_packed(hardware: Hardware, gpus: tuple[Gpu, ...]) -> bool:
    """Return True if the Triton kernel for packed experts runs on all of these GPUs."""
    return hardware.has_triton and all(gpu.capability >= _TRITON_CAPABILITY for gpu in gpus)


def compute_demands(
    candidate: Candidate, footprint: MemoryFootprint, hardware: Hardware, *, layers: int
) -> tuple[MemoryDemand, ...]:
    """Return needed and free bytes of each memory that a candidate uses.

    Args:
        candidate: The configuration.
        footprint: Its memory by part.
        hardware: The machine.
        layers: Number of layers of the model. A layer is not split between GPUs, so each further GPU may leave room for
            one layer unused.
    """
    free_bytes = hardware.ram_free if hardware.ram_total else _UNKNOWN_FREE_BYTES
    if candidate.device != "cuda":
        if candidate.device == "mps" and hardware.ram_total:
            free_bytes = min(free_bytes, int(hardware.ram_total * _MPS_SHARE))
        return (MemoryDemand(name="memory", needed_bytes=footprint.peak, free_bytes=free_bytes),)
    offloaded_bytes = footprint.experts if candidate.offload else 0
    count = len(candidate.gpus)
    layer_bytes = (footprint.experts - offloaded_bytes + footprint.cache) // layers
    # Every GPU needs its own working memory.
    gpu_bytes = footprint.peak - offloaded_bytes - RUNTIME_BYTES + (count - 1) * (footprint.working + layer_bytes)
    indices = ", ".join(str(gpu.index) for gpu in candidate.gpus)
    return (
        MemoryDemand(
            name=f"GPU {indices}" if count == 1 else f"GPUs {indices}",
            needed_bytes=gpu_bytes,
            free_bytes=sum(gpu.free_bytes for gpu in candidate.gpus),
        ),
        MemoryDemand(name="memory", needed_bytes=RUNTIME_BYTES + offloaded_bytes, free_bytes=free_bytes),
    )
