"""Compare planned and measured peak memory; each checkpoint runs in its own process and fills its context.

    python benchmarks/memory.py CHECKPOINT [CHECKPOINT ...] [--context 2560]

The peak is VmHWM of /proc, so this runs on Linux only. Token ids are random, so that every expert is used.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.registry import get_local_engine

MAX_DEVIATION = 0.10


def read_peak_bytes() -> int:
    """Return the peak resident memory of this process, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def measure(folder: Path, context: int) -> None:
    """Load a checkpoint, fill its context, and print the planned and the measured peak."""
    from langchain_gptoss.engine.loading import plan_checkpoint
    from langchain_gptoss.models.checkpoint_config import read_config
    from langchain_gptoss.models.shapes import parse_shape

    cache_gb = parse_shape(read_config(folder)).compute_cache_bytes(context) / 1e9  # one context
    plan = plan_checkpoint(folder, max_context=context, cache_gb=cache_gb)
    engine = get_local_engine(folder, max_context=context, cache_gb=cache_gb)
    loading_peak_bytes = read_peak_bytes()
    ordinary_ids = range(int(read_config(folder)["vocab_size"]) * 95 // 100)  # the last ids are control tokens
    ids = tuple(random.Random(0).choices(ordinary_ids, k=context - 8))
    tokens = list(engine.submit(GenerationRequest(prompt_ids=ids, sampling=SamplingParams(max_tokens=8))))
    engine.close()
    peak_bytes = read_peak_bytes()
    deviation = plan.memory.peak / peak_bytes - 1
    verdict = "met" if abs(deviation) <= MAX_DEVIATION else "missed"
    print(
        f"{folder.name:<8} {plan.dtype:<9} context {context}: planned {plan.memory.peak / 1e9:6.2f} GB, measured "
        f"{peak_bytes / 1e9:6.2f} GB, {deviation:+.1%} ({verdict}); loading: planned "
        f"{plan.memory.peak_loading / 1e9:.2f} GB, measured {loading_peak_bytes / 1e9:.2f} GB; {len(tokens)} tokens"
    )


def main() -> None:
    """Measure each checkpoint."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--context", type=int, default=2560)
    parser.add_argument("--in-this-process", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.in_this_process:
        measure(options.checkpoints[0], options.context)
        return
    for folder in options.checkpoints:
        command = [sys.executable, __file__, str(folder), "--context", str(options.context), "--in-this-process"]
        process = subprocess.run(command, check=False, stderr=subprocess.PIPE, text=True)
        if process.returncode:
            sys.exit(f"{folder} cannot be measured: {process.stderr[-2000:]}")


if __name__ == "__main__":
    main()
