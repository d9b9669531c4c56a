"""The plan of a model on a machine, made before anything is loaded: device, types, context, memory, and the reasons.

The same model, hardware and options always give the same plan.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from langchain_gptoss.errors import GptOssMemoryError, InvalidInputError
from langchain_gptoss.models.catalog import CATALOG, ModelCard
from langchain_gptoss.models.planning import reasons
from langchain_gptoss.models.planning.candidates import (
    Candidate,
    Device,
    DType,
    Experts,
    MemoryDemand,
    RunnerName,
    compute_demands,
    list_candidates,
)
from langchain_gptoss.models.planning.footprint import (
    MemoryFootprint,
    estimate_memory,
    has_flash_attention,
)
from langchain_gptoss.models.planning.hardware import Hardware
from langchain_gptoss.models.planning.speed import Speed, estimate_speed
from langchain_gptoss.models.shapes import Shape

# A shorter context is not chosen automatically: a prompt with a few passages has 1,000 to 4,000 tokens.
MIN_AUTOMATIC_CONTEXT = 4_096
_MIN_ADVISED_CONTEXT = 1_024
_MAX_ADVICE = 3
# Unless it is set, the KV cache takes this share of the memory that is left, for up to this many full contexts: several
# users at a time, and prefixes that need not be read again.
_CACHE_SHARE = 0.25
_MAX_CACHE_CONTEXTS = 8
_MAX_CACHE_GB = 1e6


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Configuration of a model on a machine.

    Attributes:
        model: Name of the model.
        device: Device of the dense weights: `"cuda"`, `"cpu"` or `"mps"`.
        gpus: Indices of the GPUs that hold the layers, in order.
        offload: True if the experts are on the CPU while the rest is on the GPUs.
        dtype: Type of the dense weights, and of the experts if they are unpacked.
        experts: `"packed"` as in an MXFP4 checkpoint, `"int4"` as in one of int4, or `"unpacked"`.
        runner: `"native"` computes the whole model in C, `"torch"` with transformers' modules.
        precise: True if the native runner rounds all activations to 16 bits, those before experts of four bits too.
        attention: `"eager"` stores a part of the scores at a time, `"flash"` stores none.
        threads: Number of threads for arithmetic on the CPU.
        context: Context of each user, prompt and answer together, in tokens.
        users: Number of users whose contexts the KV cache must hold in full at the same time.
        cache_bytes: Size of the KV cache that all requests share, in bytes.
        memory: Memory by part, in bytes.
        demands: Needed and free bytes of each memory that is used.
        reasons: One sentence for each decision.
        advice: If the plan does not fit, the three nearest changes that would work.
        estimate: Estimated speed.
    """

    model: str
    device: Device
    gpus: tuple[int, ...]
    offload: bool
    dtype: DType
    experts: Experts
    runner: RunnerName
    precise: bool
    attention: Literal["eager", "flash"]
    threads: int
    context: int
    users: int
    cache_bytes: int
    memory: MemoryFootprint
    demands: tuple[MemoryDemand, ...]
    reasons: tuple[str, ...]
    advice: tuple[str, ...] = ()
    estimate: Speed

    @property
    def fits(self) -> bool:
        """True if every memory is large enough."""
        return all(demand.fits for demand in self.demands)

    @property
    def tightest_demand(self) -> MemoryDemand:
        """Demand on the memory with the fewest bytes left."""
        return max(self.demands, key=lambda demand: demand.missing_bytes)


@dataclass(frozen=True, kw_only=True)
class PlanRequest:
    """A model and the options of the user; None leaves a choice to the planner."""

    model: str
    shape: Shape
    context: int | None
    users: int
    cache_bytes: int | None
    device: str | None
    dtype: str | None
    experts: str | None
    precise: bool

    def compute_min_cache_bytes(self, context: int) -> int:
        """Return the smallest KV cache that holds a full context for each user."""
        return self.users * self.shape.compute_cache_bytes(context)


def compute_cache_bytes(cache_gb: float | None) -> int | None:
    """Return the bytes of a KV cache that a user set in GB of 10^9 bytes.

    Raises:
        InvalidInputError: The number is not positive.
    """
    if cache_gb is None:
        return None
    if not 0 < cache_gb < _MAX_CACHE_GB:
        raise InvalidInputError(
            f"cache_gb is {cache_gb}; it must be above 0 and below {_MAX_CACHE_GB:,.0f}, in GB of 10^9 bytes."
        )
    return round(cache_gb * 1e9)


def make_plan(
    model: ModelCard | Shape,
    hardware: Hardware,
    *,
    context: int | None = None,
    users: int = 1,
    cache_gb: float | None = None,
    device: str | None = None,
    dtype: str | None = None,
    experts: str | None = None,
    precise: bool = False,
) -> Plan:
    """Return the best configuration of a model on a machine.

    The fastest configuration that fits is chosen, in this order: CUDA GPUs, as few as possible; GPUs with the experts
    on the CPU; an Apple GPU; the CPU. If none fits, the plan is the one with the fewest missing bytes, and its `advice`
    lists changes that would work.

    Args:
        model: A card with a shape, or a shape; for your own checkpoint, `parse_shape(read_config(folder))`.
        hardware: The machine, from `probe_hardware()`.
        context: Context of each user in tokens; None chooses the longest that fits, by halves of the model's maximum.
        users: Number of users whose contexts the KV cache must hold in full at the same time.
        cache_gb: Size of the KV cache that all requests share, in GB of 10^9 bytes; None chooses a quarter of the
            memory that is left, but at least the contexts of all users and at most eight contexts.
        device: `"cuda"`, `"cpu"`, `"mps"`, or None to choose.
        dtype: `"float32"`, `"bfloat16"`, `"float16"`, `"int8"`, or None to choose.
        experts: `"packed"`, `"int4"`, `"unpacked"`, or None to choose.
        precise: Round all activations to 16 bits where a CPU would round those of packed or int4 experts to 8 bits.

    Raises:
        InvalidInputError: The options are impossible for this model or machine. The message lists possible values.
    """
    name, shape = (model.name, model.shape) if isinstance(model, ModelCard) else ("The model", model)
    if shape is None:
        raise InvalidInputError(
            f"The shape of {name!r} is unknown, because its config.json is not on this machine.",
            hint="Fetch it, and pass its folder.",
        )
    _check_numbers(shape, context=context, users=users)
    request = PlanRequest(
        model=name,
        shape=shape,
        context=context,
        users=users,
        cache_bytes=compute_cache_bytes(cache_gb),
        device=device,
        dtype=dtype,
        experts=experts,
        precise=precise,
    )
    _check_cache(request)
    plan = _choose_plan(request, hardware)
    return plan if plan.fits else replace(plan, advice=_collect_advice(request, plan, hardware))


def require_fits(plan: Plan) -> None:
    """Check that a plan fits into the free memory.

    Raises:
        GptOssMemoryError: It does not fit. The message has the needed and free bytes and changes that would work.
    """
    if plan.fits:
        return
    demand = plan.tightest_demand
    memory = "memory" if demand.name == "memory" else f"memory on {demand.name}"
    weights = reasons.describe_weights(plan.experts, plan.dtype)
    raise GptOssMemoryError(
        f"{plan.model} needs {_format_gb(demand.needed_bytes)} of {memory} ({weights}, context {plan.context:,}) and "
        f"{_format_gb(demand.free_bytes)} are free.",
        hint=f"Any of these would work: {'; '.join(plan.advice)}.",
    )


def _check_numbers(shape: Shape, *, context: int | None, users: int) -> None:
    if context is not None and not 1 <= context <= shape.max_positions:
        raise InvalidInputError(
            f"context is {context}; it must be between 1 and {shape.max_positions}, the model's maximum."
        )
    if users < 1:
        raise InvalidInputError(f"users is {users}; it must be 1 or more.")


def _check_cache(request: PlanRequest) -> None:
    """Check that a requested KV cache holds the requested contexts, or else the shortest automatic ones."""
    context = request.context or min(MIN_AUTOMATIC_CONTEXT, request.shape.max_positions)
    needed_bytes = request.compute_min_cache_bytes(context)
    if request.cache_bytes is not None and request.cache_bytes < needed_bytes:
        tokens = f"of {context:,} tokens"
        need = f"a context {tokens} needs" if request.users == 1 else f"{request.users} contexts {tokens} need"
        raise InvalidInputError(
            f"cache_gb is {request.cache_bytes / 1e9:.3g}; {need} {needed_bytes / 1e9:.3g} GB.",
            hint="Use a larger cache, a shorter context, or leave cache_gb out.",
        )


def _choose_plan(request: PlanRequest, hardware: Hardware) -> Plan:
    """Return the plan of the first candidate that fits, or else the plan with the fewest missing bytes."""
    candidates = list_candidates(
        request.shape, hardware, device=request.device, dtype=request.dtype, experts=request.experts
    )
    rejected: list[Plan] = []
    for candidate in candidates:
        for context in _iterate_contexts(request):
            plan = _build_plan(request, hardware, candidate, context)
            if plan.fits:
                return replace(plan, reasons=_collect_reasons(plan, request, hardware, rejected))
            rejected.append(plan)
    nearest = min(rejected, key=lambda plan: plan.tightest_demand.missing_bytes)
    others = [plan for plan in rejected if plan is not nearest]
    return replace(nearest, reasons=_collect_reasons(nearest, request, hardware, others))


def _iterate_contexts(request: PlanRequest) -> Iterator[int]:
    """Yield the contexts to try, longest first."""
    context = request.context or request.shape.max_positions
    contexts = [context]
    while request.context is None and context > MIN_AUTOMATIC_CONTEXT:
        context = max(context // 2, MIN_AUTOMATIC_CONTEXT)
        contexts.append(context)
    for context in contexts:
        if request.cache_bytes is None or request.compute_min_cache_bytes(context) <= request.cache_bytes:
            yield context


def _build_plan(request: PlanRequest, hardware: Hardware, candidate: Candidate, context: int) -> Plan:
    """Return the plan of a candidate, without reasons."""
    shape = request.shape
    cache_bytes = _choose_cache_bytes(request, hardware, candidate, context)
    footprint = _estimate_candidate(shape, candidate, context, cache_bytes)
    return Plan(
        model=request.model,
        device=candidate.device,
        gpus=tuple(gpu.index for gpu in candidate.gpus),
        offload=candidate.offload,
        dtype=candidate.dtype,
        experts=candidate.experts,
        runner=candidate.runner,
        precise=request.precise,
        attention="flash" if has_flash_attention(candidate.device) else "eager",
        threads=hardware.threads,
        context=context,
        users=request.users,
        cache_bytes=cache_bytes,
        memory=footprint,
        demands=compute_demands(candidate, footprint, hardware, layers=shape.layers),
        reasons=(),
        estimate=estimate_speed(
            shape,
            hardware,
            device=candidate.device,
            gpus=candidate.gpus,
            offload=candidate.offload,
            dtype=candidate.dtype,
            experts=candidate.experts,
            runner=candidate.runner,
        ),
    )


def _choose_cache_bytes(request: PlanRequest, hardware: Hardware, candidate: Candidate, context: int) -> int:
    """Return the size of the KV cache: as requested, or the needed contexts and a share of the memory that is left."""
    if request.cache_bytes is not None:
        return request.cache_bytes
    min_bytes = request.compute_min_cache_bytes(context)
    if not hardware.ram_total:
        return min_bytes
    footprint = _estimate_candidate(request.shape, candidate, context, min_bytes)
    demands = compute_demands(candidate, footprint, hardware, layers=request.shape.layers)
    # The first memory is that of the layers. The rest includes what the needed contexts take.
    rest_bytes = min_bytes - demands[0].missing_bytes
    max_bytes = _MAX_CACHE_CONTEXTS * request.shape.compute_cache_bytes(context)
    return max(min_bytes, min(int(rest_bytes * _CACHE_SHARE), max_bytes))


def _estimate_candidate(shape: Shape, candidate: Candidate, context: int, cache_bytes: int) -> MemoryFootprint:
    return estimate_memory(
        shape,
        device=candidate.device,
        gpus=len(candidate.gpus),
        dtype=candidate.dtype,
        experts=candidate.experts,
        runner=candidate.runner,
        context=context,
        cache_bytes=cache_bytes,
    )


def _collect_reasons(plan: Plan, request: PlanRequest, hardware: Hardware, rejected: list[Plan]) -> tuple[str, ...]:
    """Return one sentence for each decision."""
    has_rejected_device = any((other.device, other.offload) != (plan.device, plan.offload) for other in rejected)
    return (
        reasons.explain_device(
            hardware,
            device=plan.device,
            gpus=plan.gpus,
            offload=plan.offload,
            is_requested=request.device is not None,
            gpu_is_too_small=has_rejected_device and plan.device == "cpu",
        ),
        *reasons.warn_of_experiments(plan.device),
        reasons.explain_experts(
            request.shape,
            hardware,
            device=plan.device,
            experts=plan.experts,
            is_requested=request.experts is not None,
        ),
        reasons.explain_dtype(
            hardware,
            device=plan.device,
            dtype=plan.dtype,
            experts=plan.experts,
            runner=plan.runner,
            is_requested=request.dtype is not None,
        ),
        *reasons.explain_runner(
            hardware,
            device=plan.device,
            offload=plan.offload,
            experts=plan.experts,
            dtype=plan.dtype,
            runner=plan.runner,
        ),
        *reasons.explain_rounding(dtype=plan.dtype, experts=plan.experts, runner=plan.runner, precise=plan.precise),
        reasons.explain_context(
            request.shape, context=plan.context, is_requested=request.context is not None, fits=plan.fits
        ),
        reasons.explain_cache(
            request.shape,
            cache_bytes=plan.cache_bytes,
            context=plan.context,
            is_requested=request.cache_bytes is not None,
        ),
        reasons.explain_attention(plan.attention, runner=plan.runner),
        reasons.explain_threads(hardware),
    )


def _collect_advice(request: PlanRequest, plan: Plan, hardware: Hardware) -> tuple[str, ...]:
    """Return the nearest changes that would work, three in all."""
    demand = plan.tightest_demand
    is_on_gpu = demand.name != "memory"
    if is_on_gpu:
        total_bytes = sum(gpu.total_bytes for gpu in hardware.gpus if gpu.index in plan.gpus)
    else:
        total_bytes = hardware.ram_total
    if demand.needed_bytes <= total_bytes:
        more_memory = f"close other programs to free {_format_gb(demand.missing_bytes)} more"
    else:
        memory = "GPU memory" if is_on_gpu else "memory"
        more_memory = f"a machine with {_format_gb(demand.needed_bytes)} of free {memory}"
    changes = list(_iterate_changes(request, plan, hardware))[: _MAX_ADVICE - 1]
    return (*changes, more_memory, "a server that runs it (base_url=)")[:_MAX_ADVICE]


def _iterate_changes(request: PlanRequest, plan: Plan, hardware: Hardware) -> Iterator[str]:
    """Yield changes of the request, nearest first; the plan of each changed request fits."""

    def find_fitting_plan(changed: PlanRequest) -> Plan | None:
        try:
            changed_plan = _choose_plan(changed, hardware)
        except InvalidInputError:
            return None
        return changed_plan if changed_plan.fits else None

    context = plan.context // 2
    while context >= _MIN_ADVISED_CONTEXT:
        if find_fitting_plan(replace(request, context=context)):
            yield f"a context of {context:,} tokens (now {plan.context:,})"
            break
        context //= 2
    if request.users > 1 and find_fitting_plan(replace(request, users=1)):
        yield f"one user at a time (now {request.users})"
    if request.cache_bytes is not None and (other := find_fitting_plan(replace(request, cache_bytes=None))):
        yield f"cache_gb={other.cache_bytes / 1e9:.2g} (now {request.cache_bytes / 1e9:.2g})"
    if request.dtype is not None and (other := find_fitting_plan(replace(request, dtype=None))):
        yield f"dtype={other.dtype!r}"
    if request.experts is not None and (other := find_fitting_plan(replace(request, experts=None, dtype=None))):
        yield f"experts={other.experts!r} with dtype={other.dtype!r}"
    if request.device is not None and (other := find_fitting_plan(replace(request, device=None))):
        yield f"device={other.device!r}"
    for card in sorted(CATALOG, key=lambda card: -(card.parameters or 0)):
        if card.shape is None or "safeguard" in card.name or card.shape.parameters >= request.shape.parameters:
            continue
        max_context = request.context and min(request.context, card.shape.max_positions)
        if find_fitting_plan(replace(request, shape=card.shape, context=max_context, dtype=None, experts=None)):
            yield f"model={card.name!r}"


def _format_gb(size_bytes: int) -> str:
    return f"{size_bytes / 1e9:.1f} GB"
