"""Time to record an answer: masking, hashing and writing, for each sync mode.

    python benchmarks/audit.py [--folder DIR] [--records 2000] [--json audit.json]

A record has a question of 200 characters, an answer of 1,500, 8 passages and 3 citations, with personal data in it.
DIR is a folder on the disk to measure; the row `fsync` is the time that the disk takes to confirm a write. In the last
row two processes append at once. The logs are verified at the end.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from langchain_gptoss.audit import AnswerRecord, AuditLog, Masker, verify

GOALS_MS = {"median": 2.0, "p99": 5.0}
SENTENCE = "Delivery takes 3 to 5 days and costs 12,50 €, see article L. 221-18 of the code; "
PASSAGE_FIELDS = {
    "source": "handbook/returns.md",
    "heading": "Returns > Laptops",
    "page": 3,
    "start": 1200,
    "end": 1900,
}
RECORD = AnswerRecord(
    user="customer-4711",
    session="session-0815",
    question=("My address is ada@example.org and my number 06 12 34 56 78. " + SENTENCE * 3)[:200],
    standalone_question=(SENTENCE * 3)[:200],
    passages=[{**PASSAGE_FIELDS, "text": f"{number} {SENTENCE * 9}"} for number in range(8)],
    prompt_version="3f2a90c1",
    domain="support",
    model={"id": "openai/gpt-oss-20b", "revision": "0" * 40, "licence": "Apache-2.0", "checksum": "0" * 64},
    sampling={"temperature": 1.0, "top_p": 1.0},
    answer=("We wrote to ada@example.org. " + SENTENCE * 19)[:1500],
    citations=[
        {**PASSAGE_FIELDS, "number": n, "claim": SENTENCE, "verdict": "supported", "quote": SENTENCE} for n in range(3)
    ],
    reason="All sentences are supported.",
    usage={"input_tokens": 2100, "output_tokens": 340},
    timings={"retrieve": 0.031, "answer": 4.2, "verify": 0.011},
)


def summarize_times(seconds: list[float], cpu_seconds: list[float] | None = None) -> dict[str, float]:
    """Return statistics in milliseconds. CPU times, which other programs do not lengthen, are added if given."""
    ordered = sorted(second * 1e3 for second in seconds)
    cpu_ordered = sorted(second * 1e3 for second in cpu_seconds or [])
    return {
        "median": statistics.median(ordered),
        "p99": ordered[int(len(ordered) * 0.99)],
        "longest": ordered[-1],
        **({"cpu p99": cpu_ordered[int(len(cpu_ordered) * 0.99)]} if cpu_ordered else {}),
    }


def measure_calls(call: Any, count: int, pause_s: float = 0.0) -> dict[str, float]:
    """Return statistics of the time that a call takes."""
    times, cpu_times = [], []
    for _ in range(count):
        began, cpu = time.perf_counter(), time.thread_time()
        call()
        cpu_times.append(time.thread_time() - cpu)
        times.append(time.perf_counter() - began)
        time.sleep(pause_s)
    return summarize_times(times, cpu_times)


def measure_append(folder: Path, name: str, count: int, **options: Any) -> dict[str, float]:
    """Return statistics of the time that an append takes."""
    with AuditLog(folder / f"{name}.jsonl", **options) as log:
        return measure_calls(lambda: log.append(RECORD), count, pause_s=0.001)


def measure_fsync(folder: Path, count: int) -> dict[str, float]:
    """Return statistics of the time that the disk takes to confirm 6 kB."""
    with (folder / "plain").open("ab", buffering=0) as stream:

        def write() -> None:
            stream.write(b"x" * 6000)
            os.fsync(stream.fileno())

        return measure_calls(write, count)


def measure_shared_log(folder: Path, count: int, processes: int) -> dict[str, float]:
    """Return statistics of the time that an append takes while other processes append to the same log."""
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "import audit; audit.append_and_print_times(sys.argv[2], int(sys.argv[3]))"
    )
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder / "shared.jsonl"), str(count)]
    children = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    times = [second for child in children for second in json.loads(child.communicate()[0])]
    return summarize_times(times)


def append_and_print_times(path: str, count: int) -> None:
    """Append records and print the seconds of each append as JSON."""
    times = []
    with AuditLog(path) as log:
        for _ in range(count):
            began = time.perf_counter()
            log.append(RECORD)
            times.append(time.perf_counter() - began)
    print(json.dumps(times))


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--folder", type=Path, help="a folder on the disk to measure; by default the folder for temporary files"
    )
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    count, masker = arguments.records, Masker()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        values = RECORD.model_dump(mode="json")
        rows = {
            "masking alone": measure_calls(lambda: masker.mask_all(values), count),
            "fsync of 6 kB alone": measure_fsync(folder, min(count, 300)),
            "append, sync=never": measure_append(folder, "never", count, sync="never"),
            "append, sync=batch": measure_append(folder, "batch", count),
            "append, sync=batch, key": measure_append(folder, "key", count, key=b"a key for the benchmark"),
            "append, sync=batch, mask=None": measure_append(folder, "unmasked", count, mask=None),
            "append, sync=always": measure_append(folder, "always", min(count, 300), sync="always"),
            "append, 2 processes": measure_shared_log(folder, count // 2, 2),
        }
        began = time.perf_counter()
        verification = verify(folder / "batch.jsonl")
        seconds = time.perf_counter() - began
        size = (folder / "batch.jsonl").stat().st_size
        is_valid = verification.ok and verify(folder / "shared.jsonl").ok
    columns = ("median", "p99", "longest", "cpu p99")
    print(f"{'ms':32}" + "".join(f"{column:>9}" for column in columns))
    for label, row in rows.items():
        print(f"{label:32}" + "".join(f"{row[column]:9.2f}" if column in row else f"{'-':>9}" for column in columns))
    batch = rows["append, sync=batch"]
    met = {name: batch[name] <= goal for name, goal in GOALS_MS.items()}
    print("goals (sync=batch): " + ", ".join(f"{n} {GOALS_MS[n]} ms {'met' if met[n] else 'MISSED'}" for n in GOALS_MS))
    print(
        f"verify: {verification.records / seconds:,.0f} records/s of {size / verification.records / 1e3:.1f} kB; "
        f"valid: {is_valid}"
    )
    if arguments.json:
        more = {
            "machine": platform.platform(),
            "cpus": os.cpu_count(),
            "verify_records_s": verification.records / seconds,
        }
        arguments.json.write_text(json.dumps({"ms": rows, "goals": GOALS_MS, "met": met, **more}, indent=2))


if __name__ == "__main__":
    main()
