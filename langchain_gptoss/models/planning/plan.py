"""Decides how a model runs on a machine before a byte is loaded: where, in which types, whether it fits, and why.

Pure: the same model, hardware and wishes give the same plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.catalog import CATALOG, ModelCard
from langchain_gptoss.models.planning import candidates as options
from langchain_gptoss.models.planning import footprint, reasons
from langchain_gptoss.models.planning.candidates import DType, Experts, Option, Place
from langchain_gptoss.models.planning.footprint import Memory
from langchain_gptoss.models.planning.hardware import Hardware
from langchain_gptoss.models.planning.speed import Speed, speed_of
from langchain_gptoss.models.shapes import Shape

# A shorter context than this is not chosen unasked: a prompt with a few passages takes 1,000 to 4,000 tokens.
SHORTEST_CONTEXT = 4_096
_SHORTEST_ADVISED = 1_024
_ADVICE = 3


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How a model runs on a machine.

    Attributes:
        model: Its name.
        device: Where the dense weights are: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: Indices of the GPUs that hold the layers, in order.
        offload: Whether the experts are on the CPU while the rest is on the GPUs.
        dtype: Of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"` as in the MXFP4 checkpoint, or `"unpacked"`.
        attention: `"eager"` is transformers' own, `"flash"` never holds the scores.
        threads: For arithmetic on the CPU.
        context: Of each user, prompt and answer together, in tokens.
        users: How many hold a KV cache at the same time.
        prefill_tokens: How much of a prompt is read at once when the context is nearly full.
        memory: The table by part, in bytes.
        places: Each memory that is used, with what is needed and what is free there.
        why: One reason for each decision.
        advice: When it does not fit: the three nearest things that would work.
        estimate: Speed, roughly.
    """

    model: str
    device: options.Device
    gpus: tuple[int, ...]
    offload: bool
    dtype: DType
    experts: Experts
    attention: Literal["eager", "flash"]
    threads: int
    context: int
    users: int
    prefill_tokens: int
    memory: Memory
    places: tuple[Place, ...]
    why: tuple[str, ...]
    advice: tuple[str, ...] = ()
    estimate: Speed

    @property
    def fits(self) -> bool:
        """Whether there is room for it."""
        return all(place.fits for place in self.places)

    @property
    def _tightest(self) -> Place:
        return max(self.places, key=lambda place: place.needed - place.free)

    @property
    def needed(self) -> int:
        """Bytes needed at the peak where room is tightest."""
        return self._tightest.needed

    @property
    def free(self) -> int:
        """Bytes free there."""
        return self._tightest.free

    @property
    def where(self) -> str:
        """Which memory that is, such as `"memory"` or `"GPU 0"`."""
        return self._tightest.name


@dataclass(frozen=True, kw_only=True)
class _Wish:
    """What is to be planned; None leaves the choice open."""

    model: str
    shape: Shape
    context: int | None
    users: int
    device: str | None
    dtype: str | None
    experts: str | None


def plan(
    model: ModelCard | Shape,
    hardware: Hardware,
    *,
    context: int | None = None,
    users: int = 1,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
) -> Plan:
    """Returns how a model runs best on a machine; what is given overrides.

    The fastest way that fits is taken, in this order: CUDA GPUs (as few as hold it), GPUs with the experts on the CPU,
    an Apple GPU, the CPU. If nothing fits, the plan is the one that lacks least, and `advice` says what would.

    Args:
        model: A card with a shape, or a shape; for a checkpoint of your own, `shape_of(read_config(folder))`.
        hardware: From `probe()`.
        context: Tokens of each user; None: the longest that fits, halved from what the model was made for.
        users: How many hold a KV cache at the same time.
        device: `"cuda"`, `"cpu"`, `"mps"`, or None to choose.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, `"int8"`, or None to choose.
        experts: `"packed"`, `"unpacked"`, or None to choose.

    Raises:
        InvalidInputError: Something that cannot work whatever the memory; says what would.
    """
    name, shape = (model.name, model.shape) if isinstance(model, ModelCard) else ("The model", model)
    if shape is None:
        raise InvalidInputError(
            f"The shape of {name!r} is not known before its config.json is here. Fetch it, and pass its folder."
        )
    _check_numbers(shape, context=context, users=users)
    wish = _Wish(model=name, shape=shape, context=context, users=users, device=device, dtype=dtype, experts=experts)
    planned = _planned(wish, hardware)
    return planned if planned.fits else replace(planned, advice=_advice(wish, planned, hardware))


def require_fits(plan: Plan) -> None:
    """Checks that a plan has room.

    Raises:
        GptOssMemoryError: It has not; says what is needed, what is free, and what would work.
    """
    if plan.fits:
        return
    advice = "; ".join(plan.advice)
    raise GptOssMemoryError(
        f"{plan.model} needs {_gb(plan.needed)} of {_called(plan)} ({reasons.summary(plan.experts, plan.dtype)}, "
        f"context {plan.context:,}) and {_gb(plan.free)} are free. Any of these would do: {advice}."
    )


def _called(plan: Plan) -> str:
    return "memory" if plan.where == "memory" else f"memory on {plan.where}"


def _check_numbers(shape: Shape, *, context: int | None, users: int) -> None:
    if context is not None and not 1 <= context <= shape.max_positions:
        raise InvalidInputError(
            f"context is {context}; it must be between 1 and {shape.max_positions}, which the model was made for."
        )
    if users < 1:
        raise InvalidInputError(f"users is {users}; it must be 1 or more.")


def _planned(wish: _Wish, hardware: Hardware) -> Plan:
    """Returns the first option that fits, or the one that lacks least."""
    possible = options.possible(wish.shape, hardware, device=wish.device, dtype=wish.dtype, experts=wish.experts)
    tried: list[Plan] = []
    for option in possible:
        for context in _contexts(wish):
            made = _made(wish, hardware, option, context)
            if made.fits:
                return replace(made, why=_why(made, wish, hardware, tried))
            tried.append(made)
    least = min(tried, key=lambda made: made.needed - made.free)
    return replace(least, why=_why(least, wish, hardware, [other for other in tried if other is not least]))


def _contexts(wish: _Wish) -> Iterator[int]:
    """Yields the contexts to try, longest first."""
    context = wish.context or wish.shape.max_positions
    yield context
    while wish.context is None and context > SHORTEST_CONTEXT:
        context = max(context // 2, SHORTEST_CONTEXT)
        yield context


def _made(wish: _Wish, hardware: Hardware, option: Option, context: int) -> Plan:
    memory = footprint.memory_of(
        wish.shape,
        device=option.device,
        gpus=len(option.gpus),
        dtype=option.dtype,
        experts=option.experts,
        context=context,
        users=wish.users,
    )
    flash = footprint.has_flash(option.device)
    width = footprint.compute_width(device=option.device, dtype=option.dtype, experts=option.experts)
    return Plan(
        model=wish.model,
        device=option.device,
        gpus=tuple(gpu.index for gpu in option.gpus),
        offload=option.offload,
        dtype=option.dtype,
        experts=option.experts,
        attention="flash" if flash else "eager",
        threads=hardware.threads,
        context=context,
        users=wish.users,
        prefill_tokens=footprint.prefill_tokens(wish.shape, context, width=width, flash=flash),
        memory=memory,
        places=options.places(option, memory, hardware, layers=wish.shape.layers),
        why=(),
        estimate=speed_of(
            wish.shape,
            hardware,
            device=option.device,
            gpus=option.gpus,
            offload=option.offload,
            dtype=option.dtype,
            experts=option.experts,
        ),
    )


def _why(made: Plan, wish: _Wish, hardware: Hardware, tried: list[Plan]) -> tuple[str, ...]:
    """Returns a reason for each decision."""
    better = [other for other in tried if (other.device, other.offload) != (made.device, made.offload)]
    return (
        reasons.device(
            hardware,
            device=made.device,
            gpus=made.gpus,
            offload=made.offload,
            asked=wish.device is not None,
            too_small=bool(better) and made.device == "cpu",
        ),
        reasons.experts(wish.shape, hardware, device=made.device, experts=made.experts, asked=wish.experts is not None),
        reasons.dtype(
            hardware, device=made.device, dtype=made.dtype, experts=made.experts, asked=wish.dtype is not None
        ),
        *reasons.kernel(hardware, device=made.device, offload=made.offload, experts=made.experts),
        reasons.context(wish.shape, context=made.context, asked=wish.context is not None, fits=made.fits),
        reasons.attention(made.attention),
        f"{made.threads} threads: {hardware.physical_cores} cores, of which {hardware.usable_cores} may be used.",
    )


def _advice(wish: _Wish, planned: Plan, hardware: Hardware) -> tuple[str, ...]:
    """Returns the nearest things that would work, three in all."""
    on_gpu = planned.where != "memory"
    total = sum(gpu.total_bytes for gpu in hardware.gpus if gpu.index in planned.gpus) if on_gpu else hardware.ram_total
    if planned.needed <= total:
        more = f"close other programs to free {_gb(planned.needed - planned.free)} more"
    else:
        more = f"a machine with {_gb(planned.needed)} of free {'GPU ' * on_gpu}memory"
    elsewhere = "a server that runs it (base_url=)"
    return (*[*_changes(wish, planned, hardware)][: _ADVICE - 1], more, elsewhere)[:_ADVICE]


def _changes(wish: _Wish, planned: Plan, hardware: Hardware) -> Iterator[str]:
    """Yields changes of the wish, each of which was planned and fits, the nearest first."""

    def fitting(other: _Wish) -> Plan | None:
        try:
            made = _planned(other, hardware)
        except InvalidInputError:
            return None
        return made if made.fits else None

    context = planned.context // 2
    while context >= _SHORTEST_ADVISED:
        if fitting(replace(wish, context=context)):
            yield f"a context of {context:,} tokens (now {planned.context:,})"
            break
        context //= 2
    if wish.users > 1 and fitting(replace(wish, users=1)):
        yield f"one user at a time (now {wish.users})"
    if wish.dtype is not None and (made := fitting(replace(wish, dtype=None))):
        yield f"dtype={made.dtype!r}"
    if wish.experts is not None and (made := fitting(replace(wish, experts=None, dtype=None))):
        yield f"experts={made.experts!r} with dtype={made.dtype!r}"
    if wish.device is not None and (made := fitting(replace(wish, device=None))):
        yield f"device={made.device!r}"
    for card in sorted(CATALOG, key=lambda card: -(card.parameters or 0)):
        if card.shape is not None and card.shape.parameters < wish.shape.parameters and "safeguard" not in card.name:
            shorter = wish.context and min(wish.context, card.shape.max_positions)
            if fitting(replace(wish, shape=card.shape, context=shorter, dtype=None, experts=None)):
                yield f"model={card.name!r}"


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
