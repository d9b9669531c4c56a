"""The ways in which a model can run on a machine, best first, and how much of which memory each of them uses."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.models.planning.footprint import RUNTIME_BYTES, Memory
from langchain_gptoss.models.planning.hardware import Gpu, Hardware
from langchain_gptoss.models.shapes import Shape

Device = Literal["cuda", "cpu", "mps"]
DType = Literal["float32", "bfloat16", "float16", "int8"]
Experts = Literal["packed", "unpacked"]

# Triton's own floor for bfloat16 in its kernels (Ampere).
_TRITON_CAPABILITY = (8, 0)
# macOS lets a GPU use about three quarters of the memory (Metal's recommendedMaxWorkingSetSize).
_MPS_SHARE = 0.75
_UNTOLD = 2**62  # a system that does not tell its memory is not stood in the way of


@dataclass(frozen=True, kw_only=True)
class Option:
    """One way of running a model; see `Plan` for the fields."""

    device: Device
    gpus: tuple[Gpu, ...] = ()
    offload: bool = False
    dtype: DType
    experts: Experts


@dataclass(frozen=True, kw_only=True)
class Place:
    """A memory that a plan uses.

    Attributes:
        name: `"memory"` (the machine's), `"GPU 0"`, or `"GPUs 0, 1"` together.
        needed: Bytes at the peak.
        free: Bytes.
    """

    name: str
    needed: int
    free: int

    @property
    def fits(self) -> bool:
        """Whether there is room."""
        return self.needed <= self.free


@dataclass(frozen=True, kw_only=True)
class _Way:
    """Options that differ in their dtype only: those that are chosen unasked, best first, and those on request."""

    device: Device
    gpus: tuple[Gpu, ...] = ()
    offload: bool = False
    experts: Experts
    dtypes: tuple[DType, ...]
    on_request: tuple[DType, ...] = ()

    def options(self, dtype: str | None) -> Iterator[Option]:
        for offered in self.dtypes if dtype is None else (*self.dtypes, *self.on_request):
            if dtype in {None, offered}:
                yield Option(
                    device=self.device, gpus=self.gpus, offload=self.offload, dtype=offered, experts=self.experts
                )


def possible(
    shape: Shape, hardware: Hardware, *, device: str | None, dtype: str | None, experts: str | None
) -> list[Option]:
    """Returns the options that the machine, the checkpoint and the overrides leave, best first; at least one.

    Raises:
        InvalidInputError: None is left; says why and what would work.
    """
    _check_name("device", device, get_args(Device))
    _check_name("dtype", dtype, get_args(DType))
    _check_name("experts", experts, get_args(Experts))
    if device == "cuda" and not hardware.gpus:
        raise InvalidInputError("device is 'cuda', and torch finds no CUDA GPU here. Use device='cpu'.")
    if device == "mps" and not hardware.mps:
        raise InvalidInputError("device is 'mps', and torch finds no Apple GPU here. Use device='cpu'.")
    if experts == "packed" and shape.checkpoint_experts != "mxfp4":
        raise InvalidInputError(
            f"experts is 'packed', and this checkpoint holds its experts in {shape.checkpoint_experts}, not in MXFP4. "
            "Use experts='unpacked', or leave it out."
        )
    ways = [way for way in _ways(shape, hardware, experts) if device in {None, way.device}]
    fitting = [way for way in ways if experts in {None, way.experts}]
    found = [option for way in fitting for option in way.options(dtype)]
    if not found:
        raise InvalidInputError(_nothing_left(ways, device=device, dtype=dtype, experts=experts))
    return found


def _check_name(name: str, value: str | None, known: tuple[str, ...]) -> None:
    if value is not None and value not in known:
        allowed = ", ".join(map(repr, known))
        raise InvalidInputError(f"{name} is {value!r}; it must be one of {allowed}, or None to choose.")


def _nothing_left(ways: list[_Way], **asked: str | None) -> str:
    wishes = ", ".join(f"{name}={value!r}" for name, value in asked.items() if value is not None)
    would = dict.fromkeys(
        f"device={way.device!r} with experts={way.experts!r} and dtype={dtype!r}"
        for way in ways
        for dtype in (*way.dtypes, *way.on_request)
    )
    return f"{wishes} cannot work for this checkpoint on this machine. These would: {'; '.join(would)}."


def _ways(shape: Shape, hardware: Hardware, experts: str | None) -> Iterator[_Way]:
    """Yields what the machine and the checkpoint allow, fastest first."""
    mxfp4 = shape.checkpoint_experts == "mxfp4"
    by_room = sorted(hardware.gpus, key=lambda gpu: (-gpu.free_bytes, gpu.index))
    groups = [tuple(sorted(by_room[:count], key=lambda gpu: gpu.index)) for count in range(1, len(by_room) + 1)]
    packable = [mxfp4 and can_run_packed(hardware, group) for group in groups]
    for group, packs in zip(groups, packable, strict=True):
        if packs:
            yield _Way(device="cuda", gpus=group, experts="packed", dtypes=("bfloat16",))
    for group, packs in zip(groups, packable, strict=True):
        if not packs or experts == "unpacked":
            yield _Way(
                device="cuda",
                gpus=group,
                experts="unpacked",
                dtypes=("bfloat16",),
                on_request=("float16", "float32"),
            )
    if mxfp4:
        for group in groups:
            yield _Way(device="cuda", gpus=group, offload=True, experts="packed", dtypes=("bfloat16",))
    if hardware.mps:
        yield _Way(device="mps", experts="unpacked", dtypes=("bfloat16",), on_request=("float16",))
    if mxfp4:
        yield _Way(device="cpu", experts="packed", dtypes=("int8",), on_request=("bfloat16", "float32"))
    if not mxfp4 or experts == "unpacked":
        yield _Way(device="cpu", experts="unpacked", dtypes=("float32", "bfloat16"), on_request=("float16",))


def can_run_packed(hardware: Hardware, gpus: tuple[Gpu, ...]) -> bool:
    """Returns whether the Triton kernel for packed experts runs on all of these GPUs."""
    return hardware.has_triton and all(gpu.capability >= _TRITON_CAPABILITY for gpu in gpus)


def places(option: Option, memory: Memory, hardware: Hardware, *, layers: int) -> tuple[Place, ...]:
    """Returns what an option needs and finds in each memory that it uses.

    Args:
        option: Where things are.
        memory: Its table.
        hardware: What is free.
        layers: Of the model; a layer is not split between GPUs, so each further GPU may leave room for one unused.
    """
    free = hardware.ram_free if hardware.ram_total else _UNTOLD
    if option.device != "cuda":
        if option.device == "mps" and hardware.ram_total:
            free = min(free, int(hardware.ram_total * _MPS_SHARE))
        return (Place(name="memory", needed=memory.peak, free=free),)
    away = memory.experts if option.offload else 0
    count = len(option.gpus)
    a_layer = (memory.experts - away + memory.cache) // layers
    # Every GPU needs its own working space.
    on_gpus = memory.peak - away - RUNTIME_BYTES + (count - 1) * (memory.working + a_layer)
    names = ", ".join(str(gpu.index) for gpu in option.gpus)
    return (
        Place(
            name=f"GPU {names}" if count == 1 else f"GPUs {names}",
            needed=on_gpus,
            free=sum(gpu.free_bytes for gpu in option.gpus),
        ),
        Place(name="memory", needed=RUNTIME_BYTES + away, free=free),
    )
