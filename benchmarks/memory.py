"""How far planned peak memory is from measured: each checkpoint in a process of its own, its context filled.

    python benchmarks/memory.py CHECKPOINT [CHECKPOINT ...] [--context 2560]

The peak is the kernel's own (VmHWM), so this runs on Linux. Token ids are random: every expert is used.
"""

import argparse
import random
import subprocess
import sys
from pathlib import Path

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.registry import get_local_engine

GOAL = 0.10


def peak() -> int:
    """Returns the most memory that this process ever had resident, in bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) * 1024


def measure(folder: Path, context: int) -> None:
    """Loads a checkpoint, fills its context, and prints planned and measured peak."""
    from langchain_gptoss.engine.loading import plan_checkpoint
    from langchain_gptoss.models.checkpoint import read_config

    plan = plan_checkpoint(folder, max_context=context)
    engine = get_local_engine(folder, max_context=context)
    loaded = peak()
    ids = tuple(random.Random(0).choices(range(int(read_config(folder)["vocab_size"]) - 1000), k=context - 8))
    made = list(engine.submit(GenerationRequest(prompt_ids=ids, sampling=SamplingParams(max_tokens=8))))
    engine.close()
    off = plan.memory.peak / peak() - 1
    print(
        f"{folder.name:<8} {plan.dtype:<9} context {context}: planned {plan.memory.peak / 1e9:6.2f} GB, measured "
        f"{peak() / 1e9:6.2f} GB, {off:+.1%} ({'met' if abs(off) <= GOAL else 'missed'}); loading: planned "
        f"{plan.memory.peak_loading / 1e9:.2f} GB, measured {loaded / 1e9:.2f} GB; {len(made)} tokens"
    )


def main() -> None:
    """Measures each checkpoint that is named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkpoints", nargs="+", type=Path)
    parser.add_argument("--context", type=int, default=2560)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.here:
        measure(given.checkpoints[0], given.context)
        return
    for folder in given.checkpoints:
        command = [sys.executable, __file__, str(folder), "--context", str(given.context), "--here"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)


if __name__ == "__main__":
    main()
