"""`gptoss doctor`: what this machine is, which models run on it and how, and why."""

import json
import textwrap
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from langchain_gptoss.cli.console import clean_exit, note

if TYPE_CHECKING:
    from langchain_gptoss.models.catalog import ModelCard
    from langchain_gptoss.models.planning.hardware import Hardware
    from langchain_gptoss.models.planning.plan import Plan

_COLUMNS = 80
_ROW = "{:<23}{:<10}{:<17}{:>8}{:>9}{:>8} {}"
_SHAPES_ONLY = ("1.0b", "3.6b")  # planned for whoever has such a checkpoint; nobody published one
_PARTS = (
    ("experts", "experts"),
    ("dense", "dense weights"),
    ("embeddings", "embeddings"),
    ("cache", "KV cache, when full"),
    ("working", "working space"),
    ("runtime", "Python and libraries"),
)

Name = Annotated[
    str | None, typer.Option("--model", help="Show one plan in full: a name, a shape, a folder, a hub id.")
]
Context = Annotated[
    int | None, typer.Option(help="Context of each user, in tokens; else the longest that fits.", min=1)
]
Users = Annotated[int, typer.Option(help="How many use the model at the same time.", min=1)]
Device = Annotated[str | None, typer.Option(help="cuda, cpu or mps; else the best.")]
Dtype = Annotated[str | None, typer.Option(help="float32, bfloat16, float16 or int8; else the best.")]
Experts = Annotated[str | None, typer.Option(help="packed or unpacked; else the best.")]


def show_machine(
    *,
    model: Name = None,
    context: Context = None,
    users: Users = 1,
    device: Device = None,
    dtype: Dtype = None,
    experts: Experts = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show this machine, which models run on it, and why."""
    with clean_exit():
        cards = [_card(model)] if model is not None else _cards()
        hardware = this_machine()
        wishes = {"users": users, "device": device, "dtype": dtype, "experts": experts}
        plans = [_planned(card, hardware, context, wishes, alone=model is not None) for card in cards]
        if as_json:
            typer.echo(json.dumps(_described(hardware, plans), ensure_ascii=False, indent=2))
        elif model is not None:
            if cards[0].note:
                note(f"{cards[0].name}: {cards[0].note}")
            _show_machine(hardware)
            _show_plan(plans[0])
        else:
            _show_machine(hardware)
            _show_table(plans)


def this_machine() -> "Hardware":
    """Returns the probed hardware; the CPU kernel is compiled if it was not yet."""
    from langchain_gptoss.engine.kernels.native import get_kernel_status
    from langchain_gptoss.models.planning.hardware import CpuKernel, probe_hardware

    status = get_kernel_status()
    level: CpuKernel = next((known for known in get_args(CpuKernel) if known == status.level), "none")
    return probe_hardware(cpu_kernel=level, cpu_kernel_reason=status.reason)


def _cards() -> "list[ModelCard]":
    """Returns a card for every row of the table."""
    from langchain_gptoss.models.catalog import CATALOG

    published = sorted(CATALOG, key=lambda card: card.name == "demo")  # the demo model comes last
    return [*published[:-1], *(_shape_card(name) for name in _SHAPES_ONLY), published[-1]]


def _shape_card(name: str) -> "ModelCard":
    from langchain_gptoss.models.catalog import ModelCard
    from langchain_gptoss.models.shapes import SHAPES

    return ModelCard(
        name=f"{name} shape",
        source="",
        shape=SHAPES[name],
        note="A shape, for a checkpoint of your own; none is published.",
    )


def _card(reference: str) -> "ModelCard":
    """Returns a card with a shape, from the catalogue or from the config of a checkpoint that is on this machine."""
    from langchain_gptoss.models.catalog import resolve_model

    if (name := reference.lower().removesuffix("shape").strip(" -")) in _SHAPES_ONLY:
        return _shape_card(name)
    card = resolve_model(reference)
    if card.shape is None and (folder := _folder(card.source)) is not None:
        return replace(card, shape=_read_shape(folder))
    return card


def _folder(source: str) -> Path | None:
    """Returns where a checkpoint's config is, if it is on this machine."""
    if Path(source).is_dir():
        return Path(source)
    from huggingface_hub import try_to_load_from_cache

    cached = try_to_load_from_cache(source, "config.json")
    return Path(cached).parent if isinstance(cached, str) else None


def _read_shape(folder: Path) -> Any:
    from langchain_gptoss.errors import CheckpointError
    from langchain_gptoss.models.checkpoint import read_config
    from langchain_gptoss.models.shapes import parse_shape

    config = read_config(folder)
    if config.get("model_type") != "gpt_oss":
        raise CheckpointError(
            f"{str(folder)!r} is a checkpoint of the architecture {config.get('model_type')!r}; "
            "this package runs 'gpt_oss'."
        )
    return parse_shape(config)


def _planned(
    card: "ModelCard", hardware: "Hardware", context: int | None, wishes: dict[str, Any], *, alone: bool
) -> "Plan | Refusal":
    """Returns a row's plan. In the table a wish may suit one model and not another, which is then said in its row."""
    from langchain_gptoss.errors import InvalidInputError
    from langchain_gptoss.models.planning.plan import make_plan

    if context is not None and card.shape is not None and not alone:
        context = min(context, card.shape.max_positions)
    try:
        return make_plan(card, hardware, context=context, **wishes)
    except InvalidInputError as error:
        if alone:
            raise
        return Refusal(card.name, str(error))


class Refusal:
    """A row without a plan: what was wished cannot work for this model."""

    def __init__(self, model: str, reason: str) -> None:
        """Takes the model's name and the reason."""
        self.model = model
        self.reason = reason


def _described(hardware: "Hardware", plans: "Iterable[Plan | Refusal]") -> dict[str, Any]:
    return {
        "hardware": asdict(hardware) | {"threads": hardware.threads},
        "models": [_described_plan(made) for made in plans],
    }


def _described_plan(made: "Plan | Refusal") -> dict[str, Any]:
    if isinstance(made, Refusal):
        return {"model": made.model, "fits": False, "reasons": [made.reason], "memory": {}}
    memory = asdict(made.memory) | {"total": made.memory.total, "peak": made.memory.peak}
    demand = made.tightest_demand
    head = {
        "model": made.model,
        "fits": made.fits,
        "needed_bytes": demand.needed_bytes,
        "free_bytes": demand.free_bytes,
    }
    return head | asdict(made) | {"memory": memory}


def _show_machine(hardware: "Hardware") -> None:
    reads = f", reads {hardware.bandwidth:.0f} GB/s" if hardware.bandwidth else ""
    memory = f"{_gb(hardware.ram_total)}, {_gb(hardware.ram_free)} free{reads}" if hardware.ram_total else "not told"
    kernel = hardware.cpu_kernel if hardware.cpu_kernel != "none" else "none, so torch does it, slowly"
    bfloat16 = "fast" if hardware.fast_bfloat16 else "slow"
    typer.secho("This machine", bold=True)
    _entry("system", hardware.system)
    _entry("CPU", hardware.cpu)
    _entry(
        "",
        f"{hardware.physical_cores} cores, {hardware.usable_cores} threads may be used; "
        f"SIMD {hardware.simd}, bfloat16 {bfloat16}",
    )
    _entry("memory", memory)
    for gpu in hardware.gpus:
        capability = ".".join(map(str, gpu.capability))
        _entry(
            f"GPU {gpu.index}",
            f"{gpu.name}, {_gb(gpu.total_bytes)}, {_gb(gpu.free_bytes)} free, compute capability {capability}",
        )
    if not hardware.gpus:
        _entry("GPU", "Apple (MPS)" if hardware.mps else "none that torch can use")
    _entry("packages", f"triton {_yes(hardware.has_triton)}, kernels {_yes(hardware.has_kernels)}")
    _entry("CPU kernel", f"{kernel} ({hardware.cpu_kernel_reason})" if hardware.cpu_kernel_reason else kernel)


def _entry(name: str, value: str) -> None:
    first = f"  {name:<12}"
    typer.echo(textwrap.fill(value, _COLUMNS, initial_indent=first, subsequent_indent=" " * len(first)))


def _show_table(plans: "Iterable[Plan | Refusal]") -> None:
    typer.echo()
    typer.secho(_ROW.format("Model", "on", "weights", "context", "needs GB", "free GB", "fits"), bold=True)
    for made in plans:
        if isinstance(made, Refusal):
            typer.echo(_ROW.format(made.model, "-", "-", "-", "-", "-", "no"))
            _indented(made.reason)
            continue
        weights = f"packed + {made.dtype}" if made.experts == "packed" else made.dtype
        demand = made.tightest_demand
        numbers = f"{made.context:,}", f"{demand.needed_bytes / 1e9:.1f}", f"{demand.free_bytes / 1e9:.1f}"
        typer.echo(_ROW.format(made.model, _where(made), weights, *numbers, _yes(made.fits)))
        _indented(_reason(made))
    typer.echo("\nOne plan in full: gptoss doctor --model NAME. A GB is 10^9 bytes.")


def _reason(made: "Plan") -> str:
    if not made.fits:
        demand = made.tightest_demand
        lacking = _gb(demand.missing_bytes)
        short = f"{lacking} of memory" if demand.name == "memory" else f"{lacking} on {demand.name}"
        return f"Short of {short}. Would do: {'; '.join(made.advice)}."
    return f"{made.reasons[0]} {_estimate(made)}"


def _estimate(made: "Plan") -> str:
    return f"Estimate: {made.estimate.decode:g} tokens/s, prompts {made.estimate.prefill:g}."


def _where(made: "Plan") -> str:
    if made.device != "cuda":
        return made.device.upper()
    gpus = f"GPU {made.gpus[0]}" if len(made.gpus) == 1 else f"{len(made.gpus)} GPU"
    return f"{gpus}+CPU" if made.offload else gpus


def _show_plan(made: "Plan | Refusal") -> None:
    assert not isinstance(made, Refusal)  # one model alone raises instead
    typer.echo()
    typer.secho(f"{made.model}: {'fits' if made.fits else 'does not fit'}", bold=True)
    for demand in made.demands:
        _entry(demand.name, f"{_gb(demand.needed_bytes)} needed, {_gb(demand.free_bytes)} free")
    _entry("speed", _estimate(made))
    typer.secho("\nMemory", bold=True)
    for field, name in _PARTS:
        typer.echo(f"  {name:<24}{_gb(getattr(made.memory, field)):>10}")
    typer.echo(f"  {'in all':<24}{_gb(made.memory.total):>10}")
    typer.echo(f"  {'peak while loading':<24}{_gb(made.memory.peak_loading):>10}")
    for title, sentences in (("Why", made.reasons), ("What would do", made.advice)):
        if sentences:
            typer.secho(f"\n{title}", bold=True)
        for sentence in sentences:
            typer.echo(textwrap.fill(sentence, _COLUMNS, initial_indent="  - ", subsequent_indent="    "))


def _indented(text: str) -> None:
    typer.echo(textwrap.fill(text, _COLUMNS, initial_indent="  ", subsequent_indent="  "))


def _gb(size: int) -> str:
    return f"{size / 1e9:.1f} GB"


def _yes(value: bool) -> str:
    return "yes" if value else "no"
