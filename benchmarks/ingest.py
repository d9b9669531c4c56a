"""Speed of ingestion: loading and splitting, a synchronization without changes, embedding.

Writes 1,000 Markdown files of 10 kB, with a heading, table, list or code block after every few paragraphs, and measures

- loading and splitting them in one thread, in files per second of processor time (goal: 200);
- `sync_documents` without changes, in a new process, from the start of Python (goal: 2 s);
- chunks per second that `sync_documents` embeds, everything included, and that sentence-transformers embeds if called
  directly on the same texts with the best of some batch sizes, in turns (goal: within 10 %).

    python benchmarks/ingest.py [--files 1000] [--embedded 40] [--embeddings NAME] [--json FILE]
"""

import argparse
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss.embeddings import load_embeddings
from langchain_gptoss.ingest import load_documents, split_documents, sync_documents
from langchain_gptoss.ingest.split import format_for_embedding

BATCH_SIZES = (16, 32, 64)
WORDS = """
the of and to in a is that for it as was with be by on not he his but at are this have from or had an they which
one you were all her she there would their we him been has when who will no more if out so up said what its about
delivery invoice warranty customer refund contract product service payment account office number address
""".split()  # noqa: SIM905
RESYNC = """
import sys
from langchain_gptoss.ingest import sync_documents
print(sync_documents(sys.argv[1], sys.argv[2], on_progress=lambda _: None))
"""


class ConstantEmbeddings(Embeddings):
    """Embeddings without cost, so that everything else is measured."""

    model = "constant"

    def embed_query(self, text: str) -> list[float]:
        """Return a vector of ones."""
        return [1.0] * 384

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return a vector of ones for each text."""
        return [[1.0] * 384] * len(texts)


def make_sentence(chance: random.Random) -> str:
    """Return a sentence of 6 to 20 random words."""
    return " ".join(chance.choices(WORDS, k=chance.randint(6, 20))).capitalize() + "."


def make_markdown(chance: random.Random, size: int = 10_000) -> str:
    """Return a Markdown document of `size` characters with headings, paragraphs, lists, tables and code."""
    parts = [f"# {make_sentence(chance)}"]
    while sum(map(len, parts)) < size:
        lines = [make_sentence(chance) for _ in range(4)]
        blocks = (
            "\n".join(f"- {line}" for line in lines),
            "\n".join(["| a | b |", "| --- | --- |", *(f"| {line} | 5 |" for line in lines)]),
            "\n".join(["```python", *(f"x = {chance.random()}  # {line}" for line in lines), "```"]),
        )
        parts.append(f"## {' '.join(chance.choices(WORDS, k=3))}")
        parts += [" ".join(make_sentence(chance) for _ in range(chance.randint(2, 6))) for _ in range(2)]
        parts.append(chance.choice(blocks))
    return "\n\n".join(parts)[:size]


def make_files(folder: Path, count: int) -> None:
    """Write Markdown files into a new folder; the content is the same in every run."""
    chance = random.Random(1)
    folder.mkdir(parents=True)
    for number in range(count):
        path = folder / f"{number:05}.md"
        path.write_text(make_markdown(chance), encoding="utf-8")
        os.utime(path, (1_600_000_000, 1_600_000_000))


def measure_loading(folder: Path, rounds: int = 3) -> dict[str, float]:
    """Return the files per second of processor time, best of some rounds, and the number of chunks."""
    durations_s = []
    for _ in range(rounds):
        started = time.process_time()
        documents = load_documents(folder)
        chunks = split_documents(documents)
        durations_s.append(time.process_time() - started)
    return {"files_per_second": len(documents) / min(durations_s), "chunks": len(chunks)}


def measure_unchanged(folder: Path, index: Path, rounds: int = 3) -> dict[str, float]:
    """Return the seconds of the first synchronization and of those without changes, as a process and as a call."""
    first = sync_documents(folder, index, embeddings=ConstantEmbeddings(), on_progress=lambda _: None)
    processes, calls = [], []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run([sys.executable, "-c", RESYNC, str(folder), str(index)], check=True, capture_output=True)
        processes.append(time.perf_counter() - started)
        calls.append(sync_documents(folder, index, on_progress=lambda _: None).duration_s)
    return {"first_run": first.duration_s, "process": statistics.median(processes), "call": statistics.median(calls)}


def measure_embedding(folder: Path, indexes: Path, name: str | None, rounds: int = 3) -> dict[str, Any]:
    """Return the chunks per second of `sync_documents` and of direct calls, and their ratio.

    Args:
        folder: Files to embed.
        indexes: Folder for the indexes, one per round.
        name: The embedding model.
        rounds: Number of rounds.
    """
    embeddings: Any = load_embeddings(name)
    texts = [format_for_embedding(chunk) for chunk in split_documents(load_documents(folder))]
    model = embeddings._client
    best_size = max(BATCH_SIZES, key=lambda size: measure_direct(model, texts[:256], size))
    sync_rates, direct_rates = [], []
    for number in range(rounds):
        direct_rates.append(measure_direct(model, texts, best_size))
        report = sync_documents(folder, indexes / str(number), embeddings=embeddings, on_progress=lambda _: None)
        sync_rates.append(report.chunk_count / report.duration_s)
    sync, direct = statistics.median(sync_rates), statistics.median(direct_rates)
    return {"sync": sync, "direct": direct, "share": sync / direct, "batch_size": best_size}


def measure_direct(model: Any, texts: list[str], batch_size: int) -> float:
    """Return the texts per second of direct calls of sentence-transformers."""
    started = time.perf_counter()
    model.encode(texts, batch_size=batch_size, normalize_embeddings=True, show_progress_bar=False)
    return len(texts) / (time.perf_counter() - started)


def main() -> None:
    """Measure and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--files", type=int, default=1000, help="number of files to load and synchronize")
    parser.add_argument("--embedded", type=int, default=40, help="number of files to embed; 0 skips this part")
    parser.add_argument(
        "--embeddings", default=None, help="the embedding model; by default the one of load_embeddings()"
    )
    parser.add_argument("--json", default=None, help="write the figures into this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        make_files(folder / "docs", arguments.files)
        result: dict[str, Any] = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        result["parsing"] = measure_loading(folder / "docs")
        result["resync"] = measure_unchanged(folder / "docs", folder / "index")
        print(f"load and split   {result['parsing']['files_per_second']:8.0f} files/s of one core      goal 200")
        print(f"no changes       {result['resync']['process']:8.2f} s from the start of Python  goal 2")
        print(f"                 {result['resync']['call']:8.2f} s in the call")
        if arguments.embedded:
            make_files(folder / "some", arguments.embedded)
            result["embedding"] = measure_embedding(folder / "some", folder / "embedded", arguments.embeddings)
            share = result["embedding"]["share"]
            print(f"sync             {result['embedding']['sync']:8.1f} chunks/s, {share:.0%} of direct  goal 90 %")
        if arguments.json:
            Path(arguments.json).write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
