"""What recording an answer costs: masking, chaining and writing, by how much the disk must confirm.

    python benchmarks/audit.py [--folder DIR] [--records 2000] [--json audit.json]

A record has a question of 200 characters, an answer of 1,500, 8 passages and 3 citations, with personal data in it.
DIR is on the disk to be measured; `fsync` is what that disk takes to confirm. Several processes append at once in the
last row, and the log is verified at the end.
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

GOALS = {"median": 2.0, "p99": 5.0}
SENTENCE = "Delivery takes 3 to 5 days and costs 12,50 €, see article L. 221-18 of the code; "
PLACE = {"source": "handbook/returns.md", "heading": "Returns > Laptops", "page": 3, "start": 1200, "end": 1900}
RECORD = AnswerRecord(
    user="customer-4711",
    session="session-0815",
    question=("My address is ada@example.org and my number 06 12 34 56 78. " + SENTENCE * 3)[:200],
    standalone_question=(SENTENCE * 3)[:200],
    passages=[{**PLACE, "text": f"{number} {SENTENCE * 9}"} for number in range(8)],
    prompt_version="3f2a90c1",
    domain="support",
    model={"id": "openai/gpt-oss-20b", "revision": "0" * 40, "licence": "Apache-2.0", "checksum": "0" * 64},
    sampling={"temperature": 1.0, "top_p": 1.0},
    answer=("We wrote to ada@example.org. " + SENTENCE * 19)[:1500],
    citations=[{**PLACE, "number": n, "claim": SENTENCE, "verdict": "supported", "quote": SENTENCE} for n in range(3)],
    reason="All sentences are supported.",
    usage={"input_tokens": 2100, "output_tokens": 340},
    timings={"retrieve": 0.031, "answer": 4.2, "verify": 0.011},
)


def spread(seconds: list[float], cpu: list[float] | None = None) -> dict[str, float]:
    """Returns milliseconds; those of the processor, which other programs do not lengthen, where they were measured."""
    ordered = sorted(second * 1e3 for second in seconds)
    used = sorted(second * 1e3 for second in cpu or [])
    return {
        "median": statistics.median(ordered),
        "p99": ordered[int(len(ordered) * 0.99)],
        "longest": ordered[-1],
        **({"cpu p99": used[int(len(used) * 0.99)]} if used else {}),
    }


def timed(call: Any, count: int, pause: float = 0.0) -> dict[str, float]:
    times, used = [], []
    for _ in range(count):
        began, cpu = time.perf_counter(), time.thread_time()
        call()
        used.append(time.thread_time() - cpu)
        times.append(time.perf_counter() - began)
        time.sleep(pause)
    return spread(times, used)


def appended(folder: Path, name: str, count: int, **options: Any) -> dict[str, float]:
    with AuditLog(folder / f"{name}.jsonl", **options) as log:
        return timed(lambda: log.append(RECORD), count, pause=0.001)


def confirmed(folder: Path, count: int) -> dict[str, float]:
    """Returns what the disk takes to confirm 6 kB."""
    with (folder / "plain").open("ab", buffering=0) as stream:

        def write() -> None:
            stream.write(b"x" * 6000)
            os.fsync(stream.fileno())

        return timed(write, count)


def shared(folder: Path, count: int, processes: int) -> dict[str, float]:
    """Returns what an append takes while other processes append to the same log as fast as they can."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); import audit; audit.worker(sys.argv[2], int(sys.argv[3]))"
    command = [sys.executable, "-c", code, str(Path(__file__).parent), str(folder / "shared.jsonl"), str(count)]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(processes)]
    times = [second for each in running for second in json.loads(each.communicate()[0])]
    return spread(times)


def worker(path: str, count: int) -> None:
    times = []
    with AuditLog(path) as log:
        for _ in range(count):
            began = time.perf_counter()
            log.append(RECORD)
            times.append(time.perf_counter() - began)
    print(json.dumps(times))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, help="on the disk to measure; else the system's temporary folder")
    parser.add_argument("--records", type=int, default=2000)
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    count, masker = arguments.records, Masker()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        values = RECORD.model_dump(mode="json")
        rows = {
            "masking alone": timed(lambda: masker.mask_all(values), count),
            "fsync of 6 kB alone": confirmed(folder, min(count, 300)),
            "append, sync=never": appended(folder, "never", count, sync="never"),
            "append, sync=batch": appended(folder, "batch", count),
            "append, sync=batch, key": appended(folder, "key", count, key=b"a key for the benchmark"),
            "append, sync=batch, mask=None": appended(folder, "unmasked", count, mask=None),
            "append, sync=always": appended(folder, "always", min(count, 300), sync="always"),
            "append, 2 processes": shared(folder, count // 2, 2),
        }
        began = time.perf_counter()
        found = verify(folder / "batch.jsonl")
        seconds = time.perf_counter() - began
        size = (folder / "batch.jsonl").stat().st_size
        whole = found.ok and verify(folder / "shared.jsonl").ok
    columns = ("median", "p99", "longest", "cpu p99")
    print(f"{'ms':32}" + "".join(f"{column:>9}" for column in columns))
    for label, row in rows.items():
        print(f"{label:32}" + "".join(f"{row[column]:9.2f}" if column in row else f"{'-':>9}" for column in columns))
    batch = rows["append, sync=batch"]
    met = {name: batch[name] <= goal for name, goal in GOALS.items()}
    print("goals (sync=batch): " + ", ".join(f"{n} {GOALS[n]} ms {'met' if met[n] else 'MISSED'}" for n in GOALS))
    print(f"verify: {found.records / seconds:,.0f} records/s of {size / found.records / 1e3:.1f} kB; whole: {whole}")
    if arguments.json:
        more = {"machine": platform.platform(), "cpus": os.cpu_count(), "verify_records_s": found.records / seconds}
        arguments.json.write_text(json.dumps({"ms": rows, "goals": GOALS, "met": met, **more}, indent=2))


if __name__ == "__main__":
    main()
