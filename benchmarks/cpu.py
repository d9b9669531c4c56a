"""Speed and memory on a CPU, side by side with llama.cpp and ik_llama.cpp on the same model; see benchmarks/README.md.

    python benchmarks/cpu.py --checkpoint /data/20b --gguf /data/20b.gguf --ik-python /data/ik/bin/python

Every runner works in a process of its own, one at a time, and they take turns: what drifts on the machine hits all.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from langchain_gptoss.models.shapes import Shape, parse_shape

NAMES = ("ours", "llama.cpp", "ik_llama.cpp")
RUNNERS = Path(__file__).with_name("cpu_runners.py")
# Bits per weight: bf16; Q8_0 (an fp16 scale for 32 weights of 8 bits); MXFP4 (an 8-bit scale for 32 weights of 4).
BF16, Q8_0, MXFP4 = 16.0, 8.5, 4.25
SIMD = ("avx", "avx2", "fma", "f16c", "avx_vnni", "avx512f", "avx512bw", "avx512_vnni", "avx512_bf16", "amx_int8")
SIMD += ("amx_bf16", "asimd", "asimddp", "i8mm", "sve", "bf16")
# A figure is marked when other processes took more than this share of the processor meanwhile.
BUSY = 0.1

Figures = dict[str, Any]


def main() -> None:
    """Measures, prints, and writes the raw figures where asked."""
    options = _options()
    shape = parse_shape(json.loads((options.checkpoint / "config.json").read_text(encoding="utf-8")))
    machine_job = {"runner": "machine", "threads": options.threads}
    limits = [run(machine_job, sys.executable)]
    rounds: dict[str, list[Figures]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            rounds[name].append(_one(name, options, shape, seed=number))
    limits.append(run(machine_job, sys.executable))
    if errors := [each["error"] for each in limits if "error" in each]:
        sys.exit(f"The machine itself cannot be measured: {errors[0]}")
    # What the machine can do at best is what it could at its quietest.
    machine = describe_machine() | {key: max(each[key] for each in limits) for key in ("bandwidth", "fp32")}
    report = {"machine": machine, "options": {key: str(value) for key, value in vars(options).items()}}
    report |= {"rounds": rounds, "floors": floors(shape, machine)}
    report["medians"] = {name: median(figures) for name, figures in rounds.items()}
    print_report(report)
    if options.json:
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True, type=Path, help="the folder of the safetensors checkpoint")
    parser.add_argument("--gguf", type=Path, help="the same model for the peers")
    parser.add_argument("--ik-python", default=sys.executable, help="an interpreter that has ik-llama-cpp-python")
    parser.add_argument(
        "--prefill", nargs="*", type=int, default=[128, 512, 2048], help="lengths of prompts, in tokens"
    )
    parser.add_argument("--decode", type=int, default=32, help="tokens after a prompt of 128")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default=",".join(NAMES), help="some of the runners, separated by commas")
    parser.add_argument("--no-flash", action="store_true", help="the peers without flash attention")
    parser.add_argument(
        "--no-repack", action="store_true", help="llama.cpp without its copy of the weights in another order"
    )
    parser.add_argument("--json", type=Path, help="a file for every figure of every round")
    options = parser.parse_args()
    options.only = options.only.split(",")
    if unknown := set(options.only) - set(NAMES):
        parser.error(f"--only names {', '.join(sorted(unknown))}; known are {', '.join(NAMES)}.")
    if options.gguf is None and options.only != ["ours"]:
        parser.error("the peers need --gguf; make_gguf.py writes it.")
    return options


def _one(name: str, options: argparse.Namespace, shape: Shape, *, seed: int) -> Figures:
    job = {"runner": name, "threads": options.threads, "prefill": options.prefill, "decode": options.decode}
    job |= {"checkpoint": str(options.checkpoint), "gguf": str(options.gguf), "seed": seed}
    job |= {"flash": not options.no_flash, "repack": not options.no_repack, "vocabulary": shape.vocabulary}
    job["context"] = max([*options.prefill, 128 + options.decode]) + 256
    warm([options.gguf] if name != "ours" else sorted(options.checkpoint.glob("*.safetensors")))
    figures = run(job, options.ik_python if name == "ik_llama.cpp" else sys.executable)
    print(f"round {seed + 1}, {name}: {figures.get('error') or _brief(figures)}", flush=True)
    return figures


def _brief(figures: Figures) -> str:
    prefill = " ".join(f"{length}:{rate:.1f}" for length, rate in figures["prefill"].items())
    decode = f"{figures['decode']:.2f}" if figures["decode"] else "-"
    return f"ready {figures['ready_s']:.1f} s, prefill {prefill}, decode {decode}, others {figures['others']:.0%}"


def run(job: Figures, python: str) -> Figures:
    """Returns what a runner reports, or `{"error": ...}` with the end of what it said."""
    threads = str(job["threads"])
    environment = os.environ | {"OMP_NUM_THREADS": threads, "MKL_NUM_THREADS": threads}
    command = [python, str(RUNNERS), json.dumps(job)]
    done = subprocess.run(command, capture_output=True, text=True, errors="replace", env=environment, check=False)
    try:
        figures: Figures = json.loads(done.stdout.strip().splitlines()[-1])
    except (IndexError, ValueError):
        said = "\n".join(done.stderr.strip().splitlines()[-5:])
        return {"error": f"exit status {done.returncode}: {said}"}
    return figures


def warm(files: list[Path]) -> None:
    """Reads files once, so that loading is timed with a warm page cache as far as memory allows one."""
    buffer = memoryview(bytearray(16_000_000))
    for file in files:
        with file.open("rb", buffering=0) as stream:
            while stream.readinto(buffer):
                pass


def median(rounds: list[Figures]) -> Figures | None:
    """Returns the medians over the rounds that worked; of memory and of other processes' share, the largest."""
    good = [figures for figures in rounds if "error" not in figures]
    if not good:
        return None
    middle: Figures = {
        key: statistics.median(figures[key] for figures in good)
        for key in ("load_s", "ready_s", "decode")
        if good[0][key] is not None
    }
    lengths = good[0]["prefill"]
    middle["prefill"] = {each: statistics.median(figures["prefill"][each] for figures in good) for each in lengths}
    return middle | {key: max(figures[key] for figures in good) for key in ("peak", "anonymous", "others")}


def floors(shape: Shape, machine: Figures) -> dict[str, float]:
    """Returns the rates that this machine's bandwidth and fp32 arithmetic allow at most, in tokens per second.

    Decode reads every active weight once for each token; prefill multiplies with each once for each token, except the
    output matrix, which the last token alone needs. Attention itself and the cache are left out: they are small here.
    """
    experts, dense = shape.active_expert_weights, shape.attention_weights + shape.embedding_weights

    def decode(bits: float) -> float:
        return machine["bandwidth"] * 8 / (experts * MXFP4 + dense * bits)

    operations = 2 * (experts + shape.attention_weights)
    return {"decode_bf16": decode(BF16), "decode_8bit": decode(Q8_0), "prefill_fp32": machine["fp32"] / operations}


def describe_machine() -> Figures:
    """Returns the processor's name and the vector instructions that it has."""
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
    """Prints the machine, the table, the ratios and the goals."""
    machine, limits = report["machine"], report["floors"]
    print(f"\n{machine['cpu']} ({machine['model']}), {machine['cores']} cores, {machine['memory'] / 1e9:.0f} GB")
    print(f"SIMD: {' '.join(machine['simd'])}")
    print(f"read bandwidth {machine['bandwidth'] / 1e9:.1f} GB/s, fp32 {machine['fp32'] / 1e9:.0f} GFLOP/s")
    print(
        f"at most: decode {limits['decode_bf16']:.1f} tok/s with bf16 dense weights, {limits['decode_8bit']:.1f} with "
        f"8-bit ones; prefill {limits['prefill_fp32']:.1f} tok/s in fp32 (8-bit instructions may exceed that)\n"
    )
    medians = {name: figures for name, figures in report["medians"].items() if figures}
    _print_table(medians, limits)
    _print_ratios(medians)
    print()
    for goal, met in goals(medians):
        print(f"{'met' if met else 'missed':>7}  {goal}")


def _print_table(medians: dict[str, Figures], limits: dict[str, float]) -> None:
    lengths = list(next(iter(medians.values()))["prefill"]) if medians else []
    head = ["load s", "ready s", "peak GB", "anon GB", *(f"prefill {length}" for length in lengths), "decode", "others"]
    print(
        f"{'':14}"
        + "".join(f"{title:>18}" if "prefill" in title or title == "decode" else f"{title:>9}" for title in head)
    )
    for name, figures in medians.items():
        cells = [f"{figures[key]:>9.1f}" for key in ("load_s", "ready_s")]
        cells += [f"{figures[key] / 1e9:>9.1f}" for key in ("peak", "anonymous")]
        cells += [_rate(figures["prefill"][length], limits["prefill_fp32"]) for length in lengths]
        # Ours reads the checkpoint's bf16 unless it chose 8 bits; the stricter limit is the honest one for all.
        cells.append(_rate(figures.get("decode"), limits["decode_8bit"]))
        print(f"{name:14}" + "".join(cells) + f"{figures['others']:>8.0%}" + ("*" if figures["others"] > BUSY else ""))
    print("tok/s, and the share of the limit (decode: with 8-bit dense weights); * other processes disturbed it")


def _rate(rate: float | None, limit: float) -> str:
    return f"{'-':>18}" if rate is None else f"{f'{rate:.2f} ({rate / limit:.0%})':>18}"


def _print_ratios(medians: dict[str, Figures]) -> None:
    ours = medians.get("ours")
    for name, figures in medians.items():
        if ours and name != "ours":
            ratios = [f"{length}: {ours['prefill'][length] / rate:.2f}" for length, rate in figures["prefill"].items()]
            decode = f"{ours['decode'] / figures['decode']:.2f}" if figures.get("decode") else "-"
            print(f"ours / {name}: prefill {', '.join(ratios)}; decode {decode}")


def goals(medians: dict[str, Figures]) -> list[tuple[str, bool]]:
    """Returns each goal that these figures can decide, with its figure, and whether it is met."""
    ours, llama, ik = (medians.get(name) for name in NAMES)
    found: list[tuple[str, bool]] = []

    def add(text: str, value: float, good: Callable[[float], bool]) -> None:
        found.append((f"{text}: {value:.2f}", good(value)))

    if ours:
        add("peak memory at most 15 GB", ours["peak"] / 1e9, lambda value: value <= 15)
        add("load to the first token at most 45 s", ours["ready_s"], lambda value: value <= 45)
    if ours and llama and "decode" in ours and "decode" in llama:
        add("decode at least 1.0 x llama.cpp", ours["decode"] / llama["decode"], lambda value: value >= 1)
    for peer, name, least in ((llama, "llama.cpp", 2.0), (ik, "ik_llama.cpp", 1.0)):
        if ours and peer and "512" in ours["prefill"]:
            ratio = ours["prefill"]["512"] / peer["prefill"]["512"]
            add(f"prefill of 512 at least {least} x {name}", ratio, lambda value, least=least: value >= least)
    return found


if __name__ == "__main__":
    main()
