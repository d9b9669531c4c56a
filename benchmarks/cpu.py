"""Compare speed and memory on a CPU with llama.cpp and ik_llama.cpp on the same model; see benchmarks/README.md.

    python benchmarks/cpu.py --checkpoint /data/20b --gguf /data/20b.gguf --ik-python /data/ik/bin/python
    python benchmarks/cpu.py --demo --gguf /data/demo-q8.gguf --ik-python /data/ik/bin/python

Every runner has its own process. The runners take turns, one at a time, so slow changes of the machine affect them all.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from langchain_gptoss.models.demo import fetch_demo_model
from langchain_gptoss.models.shapes import Shape, parse_shape

NAMES = ("ours", "llama.cpp", "ik_llama.cpp")
LOWER_LEVEL = "ours@avx2"
RUNNERS = Path(__file__).with_name("cpu_runners.py")
# Bits per weight: bf16; Q8_0 (an fp16 scale for 32 weights of 8 bits); MXFP4 (an 8-bit scale for 32 weights of 4).
BF16, Q8_0, MXFP4 = 16.0, 8.5, 4.25
SIMD = ("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8")
SIMD += ("amx_bf16", "asimd", "asimddp", "i8mm", "sve", "bf16")
DEMO_BASELINE = 10.0  # tokens per second of the engine before batches, on two cores with AVX2
# Figures are marked if other processes used more than this share of the processor time.
MAX_OTHER_LOAD = 0.1

Figures = dict[str, Any]


def main() -> None:
    """Measure, print the report, and write the raw figures if requested."""
    options = _parse_options()
    shape = parse_shape(json.loads((options.checkpoint / "config.json").read_text(encoding="utf-8")))
    machine_job = {"runner": "machine", "threads": options.threads}
    machine_figures = [run(machine_job, sys.executable)]
    rounds: dict[str, list[Figures]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            rounds[name].append(_measure_runner(name, options, shape, seed=number))
    machine_figures.append(run(machine_job, sys.executable))
    if errors := [figures["error"] for figures in machine_figures if "error" in figures]:
        sys.exit(f"The machine cannot be measured: {errors[0]}")
    # Other processes only lower these figures, so the higher one is nearer to the limit of the machine.
    machine = describe_machine() | {
        key: max(figures[key] for figures in machine_figures) for key in ("bandwidth", "fp32")
    }
    report = {"machine": machine, "options": {key: str(value) for key, value in vars(options).items()}}
    report |= {"rounds": rounds, "limits": compute_limits(shape, machine)}
    report["medians"] = {name: summarize_rounds(figures) for name, figures in rounds.items()}
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    model = parser.add_mutually_exclusive_group(required=True)
    model.add_argument("--checkpoint", type=Path, help="the folder of the safetensors checkpoint")
    model.add_argument(
        "--demo", action="store_true", help="measure the demo model; make_demo_gguf.py writes its --gguf"
    )
    parser.add_argument("--gguf", type=Path, help="the same model as a GGUF file, for llama.cpp and ik_llama.cpp")
    parser.add_argument("--ik-python", default=sys.executable, help="a Python with ik-llama-cpp-python")
    parser.add_argument(
        "--prefill", nargs="*", type=int, default=[128, 512, 2048], help="lengths of prompts, in tokens"
    )
    parser.add_argument(
        "--decode", type=int, default=32, help="number of tokens to generate after a prompt of 128 tokens"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument(
        "--only",
        help="names of runners, separated by commas; ours@LEVEL is our engine with the kernels of a lower level. "
        f"Default: {', '.join(NAMES)}, and {LOWER_LEVEL} if the processor has AVX-512",
    )
    parser.add_argument("--no-flash", action="store_true", help="disable flash attention of llama.cpp and ik_llama.cpp")
    parser.add_argument(
        "--no-repack", action="store_true", help="disable llama.cpp's copy of the weights in another order"
    )
    parser.add_argument("--json", type=Path, help="write the figures of every round into this file")
    options = parser.parse_args()
    if options.demo:
        options.checkpoint = fetch_demo_model()
    has_more = "avx512f" in describe_machine()["simd"]
    options.only = options.only.split(",") if options.only else [*NAMES, *([LOWER_LEVEL] if has_more else [])]
    if unknown := {name for name in options.only if not name.startswith("ours@")} - set(NAMES):
        parser.error(f"unknown runners in --only: {', '.join(sorted(unknown))}. Known runners: {', '.join(NAMES)}.")
    if options.gguf is None and any(not name.startswith("ours") for name in options.only):
        parser.error("llama.cpp and ik_llama.cpp need --gguf; make_gguf.py writes the file.")
    return options


def _measure_runner(name: str, options: argparse.Namespace, shape: Shape, *, seed: int) -> Figures:
    runner, _, level = name.partition("@")
    job = {
        "runner": runner,
        "level": level,
        "threads": options.threads,
        "prefill": options.prefill,
        "decode": options.decode,
    }
    job |= {"checkpoint": str(options.checkpoint), "gguf": str(options.gguf), "seed": seed}
    job |= {"flash": not options.no_flash, "repack": not options.no_repack, "vocabulary": shape.vocabulary}
    job["context"] = max([*options.prefill, 128 + options.decode]) + 256
    warm_page_cache([options.gguf] if runner != "ours" else sorted(options.checkpoint.glob("*.safetensors")))
    figures = run(job, options.ik_python if name == "ik_llama.cpp" else sys.executable)
    print(f"round {seed + 1}, {name}: {figures.get('error') or _format_figures(figures)}", flush=True)
    return figures


def _format_figures(figures: Figures) -> str:
    prefill = " ".join(f"{length}:{rate:.1f}" for length, rate in figures["prefill"].items())
    decode = f"{figures['decode']:.2f}" if figures["decode"] else "-"
    return f"ready {figures['ready_s']:.1f} s, prefill {prefill}, decode {decode}, others {figures['others']:.0%}"


def run(job: Figures, python: str) -> Figures:
    """Return the figures of a runner, or `{"error": ...}` with the last lines of its standard error."""
    threads = str(job["threads"])
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    if job.get("level"):
        environment["GPTOSS_KERNEL_LEVEL"] = job["level"]
    command = [python, str(RUNNERS), json.dumps(job)]
    process = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    try:
        figures: Figures = json.loads(process.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        last_lines = "\n".join(process.stderr.strip().splitlines()[-5:])
        return {"error": f"exit status {process.returncode}: {last_lines}"}
    return figures


def warm_page_cache(files: list[Path]) -> None:
    """Read files once, so that loading is measured with a warm page cache if memory allows it."""
    buffer = memoryview(bytearray(16_000_000))
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def summarize_rounds(rounds: list[Figures]) -> Figures | None:
    """Return medians over the rounds without errors, and maximums of memory and of the other processes' load.

    The best rates are added, because on a busy machine they are nearer to the truth than the medians.
    """
    good = [figures for figures in rounds if "error" not in figures]
    if not good:
        return None
    medians: Figures = {
        key: statistics.median(figures[key] for figures in good)
        for key in ("load_s", "ready_s", "decode")
        if good[0][key] is not None
    }
    lengths = good[0]["prefill"]
    medians["prefill"] = {
        length: statistics.median(figures["prefill"][length] for figures in good) for length in lengths
    }
    if good[0]["decode"] is not None:
        medians["best_decode"] = max(figures["decode"] for figures in good)
        medians["cpu_decode"] = max(figures["cpu_decode"] for figures in good)
    for name, key in (("best_prefill", "prefill"), ("cpu_prefill", "cpu_prefill")):
        medians[name] = {length: max(figures[key][length] for figures in good) for length in lengths}
    return medians | {key: max(figures[key] for figures in good) for key in ("peak", "anonymous", "others")}


def compute_limits(shape: Shape, machine: Figures) -> dict[str, float]:
    """Return the highest rates that bandwidth and fp32 arithmetic of this machine allow, in tokens per second.

    For each token, decode reads every active weight once, and prefill multiplies with every active weight once, except
    for the output matrix, which only the last token needs. Attention and the KV cache are left out because they are
    small here.
    """
    experts, dense = shape.active_expert_weights, shape.attention_weights + shape.embedding_weights

    def compute_decode_limit(bits: float) -> float:
        stored_bits = {"mxfp4": MXFP4, "int4": 8 * shape.int4_expert_bytes / shape.expert_weights}
        expert_bits = stored_bits.get(shape.checkpoint_experts, bits)
        return machine["bandwidth"] * 8 / (experts * expert_bits + dense * bits)

    operations = 2 * (experts + shape.attention_weights)
    return {
        "decode_bf16": compute_decode_limit(BF16),
        "decode_8bit": compute_decode_limit(Q8_0),
        "prefill_fp32": machine["fp32"] / operations,
    }


def describe_machine() -> Figures:
    """Return the name of the processor, its vector instructions, cores and memory in bytes."""
    fields: dict[str, str] = {}
    if (file := Path("/proc/cpuinfo")).exists():
        for line in file.read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            fields.setdefault(key.strip(), value.strip())
    flags = (fields.get("flags") or fields.get("Features") or "").split()
    cpu = fields.get("model name") or platform.processor() or platform.machine()
    return {
        "cpu": cpu,
        "model": f"family {fields.get('cpu family', '?')} model {fields.get('model', '?')}",
        "cores": len(os.sched_getaffinity(0)),
        "memory": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "simd": [flag for flag in SIMD if flag in flags],
        "when": time.strftime("%Y-%m-%d %H:%M"),
    }


def print_report(report: Figures) -> None:
    """Print the machine, the tables and the goals in Markdown."""
    machine, limits = report["machine"], report["limits"]
    print(f"\n{machine['cpu']} ({machine['model']}), {machine['cores']} cores, {machine['memory'] / 1e9:.0f} GB")
    print(f"SIMD: {' '.join(machine['simd'])}")
    print(f"read bandwidth {machine['bandwidth'] / 1e9:.1f} GB/s, fp32 {machine['fp32'] / 1e9:.0f} GFLOP/s")
    print(
        f"limits: decode {limits['decode_bf16']:.1f} tok/s with bf16 dense weights, {limits['decode_8bit']:.1f} with "
        f"8-bit ones; prefill {limits['prefill_fp32']:.1f} tok/s in fp32 (8-bit instructions may exceed that)\n"
    )
    medians = {name: figures for name, figures in report["medians"].items() if figures}
    _print_table(medians, limits)
    _print_ratios(medians)
    _print_cpu_table(medians)
    print("\n| goal | figure | |\n|---|---|---|")
    for goal, value, is_met in check_goals(medians, limits, is_demo=report["options"]["demo"] == "True"):
        print(f"| {goal} | {value:.2f} | {'met' if is_met else 'missed'} |")


def _print_table(medians: dict[str, Figures], limits: dict[str, float]) -> None:
    lengths = list(next(iter(medians.values()))["prefill"]) if medians else []
    head = ["load s", "ready s", "peak GB", "anon GB", *(f"prefill {length}" for length in lengths), "decode", "others"]
    print(f"| | {' | '.join(head)} |\n|{'---|' * (len(head) + 1)}")
    for name, figures in medians.items():
        cells = [f"{figures[key]:.1f}" for key in ("load_s", "ready_s")]
        cells += [f"{figures[key] / 1e9:.1f}" for key in ("peak", "anonymous")]
        cells += [
            _format_rate(figures["prefill"][length], figures["best_prefill"][length], limits["prefill_fp32"])
            for length in lengths
        ]
        # Our runner reads bf16 weights unless it chose 8 bits. The higher limit is used for all, so that no share is
        # overstated.
        cells.append(_format_rate(figures.get("decode"), figures.get("best_decode"), limits["decode_8bit"]))
        cells.append(f"{figures['others']:.0%}{'*' if figures['others'] > MAX_OTHER_LOAD else ''}")
        print(f"| {name} | {' | '.join(cells)} |")
    print(
        "\ntok/s: median, best round, and the best round's share of the limit (decode: 8-bit dense weights); "
        f"* other processes used more than {MAX_OTHER_LOAD:.0%} of the processor"
    )


def _print_cpu_table(medians: dict[str, Figures]) -> None:
    """Print tokens per second of processor time, which other processes hardly change if there is one thread."""
    lengths = list(next(iter(medians.values()))["prefill"]) if medians else []
    titles = [*(f"prefill {length}" for length in lengths), "decode"]
    print(f"\n| tokens per second of processor time | {' | '.join(titles)} |\n|{'---|' * (len(titles) + 1)}")
    for name, figures in medians.items():
        rates = [*(figures["cpu_prefill"][length] for length in lengths), figures.get("cpu_decode")]
        print(f"| {name} | {' | '.join('-' if rate is None else f'{rate:.2f}' for rate in rates)} |")


def _format_rate(median: float | None, best: float | None, limit: float) -> str:
    return "-" if median is None or best is None else f"{median:.2f}, {best:.2f} ({best / limit:.0%})"


def _print_ratios(medians: dict[str, Figures]) -> None:
    ours = medians.get("ours")
    for name, figures in medians.items():
        if ours and name != "ours":
            ratios = [
                f"{length}: {ours['best_prefill'][length] / rate:.2f}"
                for length, rate in figures["best_prefill"].items()
            ]
            decode = f"{ours['best_decode'] / figures['best_decode']:.2f}" if figures.get("best_decode") else "-"
            print(f"\nours / {name}, best rounds: prefill {', '.join(ratios)}; decode {decode}")


def check_goals(
    medians: dict[str, Figures], limits: dict[str, float], *, is_demo: bool = False
) -> list[tuple[str, float, bool]]:
    """Return each goal that the best rounds can decide, with its figure, and True if it is met."""
    results: list[tuple[str, float, bool]] = []

    def add(text: str, value: float, limit: float, *, is_maximum: bool = False) -> None:
        bound = f"at {'most' if is_maximum else 'least'} {limit:g}"
        results.append((f"{text}: {bound}", value, value <= limit if is_maximum else value >= limit))

    llama, ik = medians.get("llama.cpp"), medians.get("ik_llama.cpp")
    for name, ours in medians.items():
        if not name.startswith("ours"):
            continue
        if not is_demo:
            add(f"{name}: peak memory in GB", ours["peak"] / 1e9, 16, is_maximum=True)
        if decode := ours.get("best_decode"):
            if not is_demo:
                add(f"{name}: decode, share of the bandwidth limit", decode / limits["decode_8bit"], 0.65)
            else:
                add(f"{name}: decode against {DEMO_BASELINE:g} tok/s", decode / DEMO_BASELINE, 6)
            if llama and "best_decode" in llama:
                add(f"{name}: decode against llama.cpp", decode / llama["best_decode"], 1.0 if is_demo else 1.25)
        for length in ("512", "2048"):
            if ik and length in ours["prefill"] and length in ik["prefill"] and not is_demo:
                ratio = ours["best_prefill"][length] / ik["best_prefill"][length]
                add(f"{name}: prefill of {length} against ik_llama.cpp", ratio, 1.3)
    return results


if __name__ == "__main__":
    main()
