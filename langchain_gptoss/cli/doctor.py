"""`gptoss doctor`: this machine, and the models that run on it, with reasons."""

import textwrap
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from langchain_gptoss.cli.console import clean_exit, note, show, show_json

if TYPE_CHECKING:
    from langchain_gptoss.models.catalog import ModelCard
    from langchain_gptoss.models.packing.forecast import PackingForecast
    from langchain_gptoss.models.planning.hardware import Hardware
    from langchain_gptoss.models.planning.plan import Plan

_COLUMNS = 80
_ROW = "{:<23}{:<10}{:<17}{:>8}{:>9}{:>8} {}"
_SHAPES_ONLY = ("1.0b", "3.6b")  # no checkpoint of these shapes is published; users may have their own
_PARTS = (
    ("experts", "experts"),
    ("dense", "dense weights"),
    ("embeddings", "embeddings"),
    ("cache", "KV cache, when full"),
    ("working", "working space"),
    ("runtime", "Python and libraries"),
)

Name = Annotated[
    str | None,
    typer.Option("--model", help="Show the whole plan of one model: a name, a shape, a folder, or a hub id."),
]
AdapterName = Annotated[
    str | None, typer.Option("--adapter", help="With --model: a LoRA adapter of it, a folder or a hub id.")
]
Context = Annotated[
    int | None, typer.Option(help="Context of each user, in tokens. Default: the longest that fits.", min=1)
]
Users = Annotated[int, typer.Option(help="Number of users with a full context at the same time.", min=1)]
CacheGb = Annotated[
    float | None,
    typer.Option("--cache-gb", help="KV cache that all requests share, in GB. Default: by the free memory."),
]
Device = Annotated[str | None, typer.Option(help="cuda, cpu or mps. Default: the best.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or int8. Default: the best.")]
Experts = Annotated[str | None, typer.Option(help="packed, int4, int8 or unpacked. Default: the best.")]
Precise = Annotated[
    bool, typer.Option("--precise", help="On a CPU, round activations before experts of four bits to 16 bits.")
]


def show_machine(
    *,
    model: Name = None,
    adapter: AdapterName = None,
    context: Context = None,
    users: Users = 1,
    cache_gb: CacheGb = None,
    device: Device = None,
    dtype: Dtype = None,
    experts: Experts = None,
    precise: Precise = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show this machine and the models that run on it, with reasons."""
    with clean_exit():
        cards = [_find_card(model)] if model is not None else _list_cards()
        packing = _predict_packing(cards[0], adapter, experts) if model is not None else None
        if packing is not None:
            cards = [replace(cards[0], shape=packing.shape)]
        from langchain_gptoss.models.packing.locate import get_planned_experts

        hardware = probe_machine()
        options = {
            "users": users,
            "cache_gb": cache_gb,
            "device": device,
            "dtype": dtype,
            "experts": get_planned_experts(experts),
            "precise": precise,
        }
        plans = [_plan_model(card, hardware, context, options, is_only=model is not None) for card in cards]
        if as_json:
            show_json(_to_json(hardware, plans, packing))
        elif model is not None:
            if cards[0].note:
                note(f"{cards[0].name}: {cards[0].note}")
            _show_machine(hardware)
            _show_plan(plans[0], packing)
        else:
            _show_machine(hardware)
            _show_table(plans)


def probe_machine() -> "Hardware":
    """Return the hardware of this machine; the CPU kernel is compiled on first use."""
    from langchain_gptoss.engine.kernels.native import get_kernel_status
    from langchain_gptoss.models.planning.hardware import CpuKernel, probe_hardware

    status = get_kernel_status()
    level: CpuKernel = next((known for known in get_args(CpuKernel) if known == status.level), "none")
    return probe_hardware(cpu_kernel=level, cpu_kernel_reason=status.reason)


def _list_cards() -> "list[ModelCard]":
    """Return a card for every row of the table."""
    from langchain_gptoss.models.catalog import CATALOG

    published = [card for card in CATALOG if "/" in card.source]
    demo_models = [card for card in reversed(CATALOG) if "/" not in card.source]  # the smallest comes last
    return [*published, *(_make_shape_card(name) for name in _SHAPES_ONLY), *demo_models]


def _make_shape_card(name: str) -> "ModelCard":
    from langchain_gptoss.models.catalog import ModelCard
    from langchain_gptoss.models.shapes import SHAPES

    return ModelCard(
        name=f"{name} shape",
        source="",
        shape=SHAPES[name],
        note="A shape for your own checkpoint; none is published.",
    )


def _find_card(reference: str) -> "ModelCard":
    """Return a card with a shape, from the catalog or from the configuration of a checkpoint on this machine."""
    from langchain_gptoss.models.catalog import resolve_model

    if (name := reference.lower().removesuffix("shape").strip(" -")) in _SHAPES_ONLY:
        return _make_shape_card(name)
    card = resolve_model(reference)
    if card.shape is None and (folder := _find_folder(card.source)) is not None:
        return replace(card, shape=_read_shape(folder))
    return card


def _find_folder(source: str) -> Path | None:
    """Return the folder with a checkpoint's configuration, or None if it is not on this machine."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, "config.json")
    return Path(cached).parent if isinstance(cached, str) else None


def _predict_packing(card: "ModelCard", adapter: str | None, experts: str | None) -> "PackingForecast | None":
    """Return what is done before a model is loaded, if its configuration is on this machine."""
    from langchain_gptoss.errors import InvalidInputError
    from langchain_gptoss.models.catalog import CATALOG
    from langchain_gptoss.models.packing.forecast import predict_packing

    if adapter is None and (card in CATALOG or not card.source):
        return None
    folder = _find_folder(card.source)
    if folder is not None:
        return predict_packing(card, folder, adapter=adapter, experts=experts)
    if adapter is not None:
        raise InvalidInputError(
            f"--adapter needs the configuration of {card.name!r}, which is not on this machine.",
            hint="Fetch the model first, or pass its folder.",
        )
    return None


def _read_shape(folder: Path) -> Any:
    from langchain_gptoss.errors import CheckpointError
    from langchain_gptoss.models.checkpoint_config import read_config
    from langchain_gptoss.models.shapes import parse_shape

    config = read_config(folder)
    if config.get("model_type") != "gpt_oss":
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint of the architecture {config.get('model_type')!r}.",
            hint="This package runs 'gpt_oss'.",
        )
    return parse_shape(config)


def _plan_model(
    card: "ModelCard", hardware: "Hardware", context: int | None, options: dict[str, Any], *, is_only: bool
) -> "Plan | ImpossiblePlan":
    """Return the plan of a model.

    In the table, options that are impossible for a model are shown in its row; for a single model they are an error.
    """
    from langchain_gptoss.errors import InvalidInputError
    from langchain_gptoss.models.planning.plan import make_plan

    if context is not None and card.shape is not None and not is_only:
        context = min(context, card.shape.max_positions)
    try:
        return make_plan(card, hardware, context=context, **options)
    except InvalidInputError as error:
        if is_only:
            raise
        return ImpossiblePlan(model=card.name, reason=str(error))


@dataclass(frozen=True, kw_only=True)
class ImpossiblePlan:
    """A model that cannot run with the given options.

    Attributes:
        model: Name of the model.
        reason: The reason, as a sentence.
    """

    model: str
    reason: str


def _to_json(
    hardware: "Hardware", plans: "Iterable[Plan | ImpossiblePlan]", packing: "PackingForecast | None"
) -> dict[str, Any]:
    content = {
        "hardware": asdict(hardware) | {"threads": hardware.threads},
        "models": [_plan_to_json(plan) for plan in plans],
    }
    return content if packing is None else content | {"packing": asdict(packing)}


def _plan_to_json(plan: "Plan | ImpossiblePlan") -> dict[str, Any]:
    if isinstance(plan, ImpossiblePlan):
        return {"model": plan.model, "fits": False, "reasons": [plan.reason], "memory": {}}
    memory = asdict(plan.memory) | {"total": plan.memory.total, "peak": plan.memory.peak}
    demand = plan.tightest_demand
    head = {
        "model": plan.model,
        "fits": plan.fits,
        "needed_bytes": demand.needed_bytes,
        "free_bytes": demand.free_bytes,
    }
    return head | asdict(plan) | {"memory": memory}


def _show_machine(hardware: "Hardware") -> None:
    reads = f", reads {hardware.bandwidth:.0f} GB/s" if hardware.bandwidth else ""
    memory = f"{_format_gb(hardware.ram_total)}, {_format_gb(hardware.ram_free)} free{reads}"
    kernel = hardware.cpu_kernel if hardware.cpu_kernel != "none" else "none; torch is used, which is slow"
    bfloat16 = "fast" if hardware.fast_bfloat16 else "slow"
    show("This machine", bold=True)
    _show_entry("system", hardware.system)
    _show_entry("CPU", hardware.cpu)
    _show_entry(
        "",
        f"{hardware.physical_cores} cores, {hardware.usable_cores} usable threads; "
        f"SIMD {hardware.simd}, bfloat16 {bfloat16}",
    )
    _show_entry("memory", memory if hardware.ram_total else "unknown")
    for gpu in hardware.gpus:
        capability = ".".join(map(str, gpu.capability))
        memory = f"{_format_gb(gpu.total_bytes)}, {_format_gb(gpu.free_bytes)} free"
        _show_entry(f"GPU {gpu.index}", f"{gpu.name}, {memory}, compute capability {capability}")
    if not hardware.gpus:
        _show_entry("GPU", "Apple (MPS)" if hardware.mps else "torch finds none")
    _show_entry("packages", f"triton {_format_bool(hardware.has_triton)}, kernels {_format_bool(hardware.has_kernels)}")
    _show_entry("CPU kernel", f"{kernel} ({hardware.cpu_kernel_reason})" if hardware.cpu_kernel_reason else kernel)


def _show_entry(name: str, value: str) -> None:
    first = f"  {name:<12}"
    show(textwrap.fill(value, _COLUMNS, initial_indent=first, subsequent_indent=" " * len(first)))


def _show_table(plans: "Iterable[Plan | ImpossiblePlan]") -> None:
    show()
    show(_ROW.format("Model", "on", "weights", "context", "needs GB", "free GB", "fits"), bold=True)
    for plan in plans:
        if isinstance(plan, ImpossiblePlan):
            show(_ROW.format(plan.model, "-", "-", "-", "-", "-", "no"))
            _show_indented(plan.reason)
            continue
        weights = plan.dtype if plan.experts == "unpacked" else f"{plan.experts} + {plan.dtype}"
        demand = plan.tightest_demand
        numbers = f"{plan.context:,}", f"{demand.needed_bytes / 1e9:.1f}", f"{demand.free_bytes / 1e9:.1f}"
        show(_ROW.format(plan.model, _format_device(plan), weights, *numbers, _format_bool(plan.fits)))
        _show_indented(_explain(plan))
    show("\nThe whole plan of a model: gptoss doctor --model NAME. A GB is 10^9 bytes.")


def _explain(plan: "Plan") -> str:
    if not plan.fits:
        demand = plan.tightest_demand
        size = _format_gb(demand.missing_bytes)
        missing = f"{size} of memory" if demand.name == "memory" else f"{size} on {demand.name}"
        return f"Missing: {missing}. Possible: {'; '.join(plan.advice)}."
    return f"{plan.reasons[0]} {_format_estimate(plan)}"


def _format_estimate(plan: "Plan") -> str:
    return f"Estimate: {plan.estimate.decode:g} tokens/s, prompts {plan.estimate.prefill:g}."


def _format_device(plan: "Plan") -> str:
    if plan.device != "cuda":
        return plan.device.upper()
    gpus = f"GPU {plan.gpus[0]}" if len(plan.gpus) == 1 else f"{len(plan.gpus)} GPU"
    return f"{gpus}+CPU" if plan.offload else gpus


def _show_plan(plan: "Plan | ImpossiblePlan", packing: "PackingForecast | None") -> None:
    assert not isinstance(plan, ImpossiblePlan)  # for a single model, impossible options are an error
    show()
    show(f"{plan.model}: {'fits' if plan.fits else 'does not fit'}", bold=True)
    for demand in plan.demands:
        _show_entry(demand.name, f"{_format_gb(demand.needed_bytes)} needed, {_format_gb(demand.free_bytes)} free")
    _show_entry("speed", _format_estimate(plan))
    if packing is not None:
        show("\nPacking", bold=True)
        show(textwrap.fill(packing.sentence, _COLUMNS, initial_indent="  ", subsequent_indent="  "))
    show("\nMemory", bold=True)
    for field, name in _PARTS:
        show(f"  {name:<24}{_format_gb(getattr(plan.memory, field)):>10}")
    show(f"  {'total':<24}{_format_gb(plan.memory.total):>10}")
    show(f"  {'peak while loading':<24}{_format_gb(plan.memory.peak_loading):>10}")
    for title, sentences in (("Reasons", plan.reasons), ("Possible changes", plan.advice)):
        if sentences:
            show(f"\n{title}", bold=True)
        for sentence in sentences:
            show(textwrap.fill(sentence, _COLUMNS, initial_indent="  - ", subsequent_indent="    "))


def _show_indented(text: str) -> None:
    show(textwrap.fill(text, _COLUMNS, initial_indent="  ", subsequent_indent="  "))


def _format_gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _format_bool(value: bool) -> str:
    return "yes" if value else "no"
