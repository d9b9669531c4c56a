"""FaissStore at a million chunks: build, memory, filtered and plain queries, recall, changes, saving and loading.

The vectors are synthetic and clustered (topics of unequal size, subtopics, noise), generated in pieces from a seed.
Queries come from the same distribution. Every query has its own filter, so no answer comes from the filter cache.
Recall is measured against an exact search over the same float32 vectors.

    python benchmarks/faiss_scale.py --json faiss.json
    python benchmarks/faiss_scale.py --count 100000
    python benchmarks/faiss_scale.py --count 2000000 --index IVF4096,SQ8,disk

Own memory is the memory of the process without mapped files, which the system can take back at any time. For cold
queries, no mapped list is in memory. Both are measured on Linux only.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss import FaissStore

TOPICS, SUBTOPICS, BUCKETS, K, PIECE = 1000, 20, 100, 10, 20_000
PERCENTAGES = (None, 1, 10, 50)  # of the documents that a filter matches; None for no filter
SENTENCE = "The store keeps each chunk of text on disk and reads only those that a question has found. "


class FixedEmbeddings(Embeddings):
    """Embeddings that return one fixed vector, because the store gets generated vectors but needs a model."""

    model_name = "synthetic"

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    def embed_query(self, text: str) -> list[float]:
        """Return the fixed vector."""
        return [1.0] * self._dimensions

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the fixed vector for each text."""
        return [self.embed_query(text) for text in texts]


def draw_normal(random: np.random.Generator, count: int, dimensions: int, length: float) -> Any:
    """Return normally distributed vectors of about the given length."""
    return random.standard_normal((count, dimensions), dtype=np.float32) * np.float32(length / dimensions**0.5)


class VectorGenerator:
    """Generates clustered vectors of length 1, and a bucket for each to filter by."""

    def __init__(self, dimensions: int) -> None:
        random = np.random.default_rng(0)
        topics = np.repeat(draw_normal(random, TOPICS, dimensions, 1.0), SUBTOPICS, axis=0)
        self._centres = topics + draw_normal(random, TOPICS * SUBTOPICS, dimensions, 0.7)
        sizes = np.repeat(1 / np.arange(10, TOPICS + 10), SUBTOPICS)
        self._shares = sizes / sizes.sum()

    def generate_piece(self, number: int, count: int) -> tuple[Any, Any]:
        """Return vectors of shape (count, dimensions) and their buckets; the number is the seed."""
        random = np.random.default_rng([1, number])
        chosen = random.choice(len(self._centres), count, p=self._shares)
        vectors = self._centres[chosen] + draw_normal(random, count, self._centres.shape[1], 0.7)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors, random.integers(0, BUCKETS, count)

    def iterate_pieces(self, count: int) -> Iterator[tuple[int, Any, Any]]:
        """Yield start, vectors and buckets of each piece."""
        for start in range(0, count, PIECE):
            yield start, *self.generate_piece(start, min(PIECE, count - start))


def build_documents(start: int, buckets: Any) -> list[Document]:
    """Return one document per bucket, numbered from `start`."""
    text = SENTENCE * 6
    return [
        Document(
            id=f"chunk-{start + n}",
            page_content=f"{start + n} {text}",
            metadata={"bucket": int(bucket), "source": f"file-{(start + n) // 50}.md", "start": n * 500},
        )
        for n, bucket in enumerate(buckets)
    ]


def choose_buckets(percentage: int | None, turn: int) -> tuple[int, int]:
    """Return the range of buckets that the filter of a query matches, its end excluded."""
    if percentage is None:
        return 0, BUCKETS
    first = turn * 37 % (BUCKETS - percentage + 1)
    return first, first + percentage


def build_filter(percentage: int | None, turn: int) -> dict[str, Any] | None:
    """Return the filter of a query."""
    first, last = choose_buckets(percentage, turn)
    return None if percentage is None else {"bucket": {"$gte": first, "$lt": last}}


def search_exactly(generator: VectorGenerator, count: int, queries: Any) -> dict[int | None, list[set[str]]]:
    """Return the ids that an exact search returns, by percentage and query."""
    best = {percentage: [(np.empty(0), np.empty(0, dtype=np.int64))] * len(queries) for percentage in PERCENTAGES}
    for start, vectors, buckets in generator.iterate_pieces(count):
        scores = vectors @ queries.T
        for percentage, per_query in best.items():
            for turn in range(len(queries)):
                first, last = choose_buckets(percentage, turn)
                rows = np.flatnonzero((buckets >= first) & (buckets < last))
                rows = rows[np.argpartition(-scores[rows, turn], K)[:K]] if len(rows) > K else rows
                merged = np.concatenate([per_query[turn][0], scores[rows, turn]])
                ids = np.concatenate([per_query[turn][1], rows + start])
                order = np.argsort(-merged)[:K]
                per_query[turn] = merged[order], ids[order]
    return {percentage: [{f"chunk-{i}" for i in ids} for _, ids in results] for percentage, results in best.items()}


def read_peak_mb() -> float:
    """Return the peak memory of this process in MB, mapped files included."""
    return read_memory_mb("VmHWM")


class OwnMemoryMonitor:
    """Records the peak memory of this process, without mapped files, until it is stopped."""

    def __init__(self) -> None:
        self.peak_mb, self._stopped = 0.0, threading.Event()
        threading.Thread(target=self._watch, daemon=True).start()

    def _watch(self) -> None:
        while not self._stopped.wait(0.02):
            self.peak_mb = max(self.peak_mb, read_memory_mb("RssAnon"))

    def stop(self) -> float:
        """Stop, and return the peak in MB."""
        self._stopped.set()
        return self.peak_mb


def evict(folder: Path) -> bool:
    """Remove the mapped lists of this process from memory; return True on success."""
    name, is_evicted = str(next(folder.glob("*.faiss"))), False
    for line in Path("/proc/self/maps").read_text().splitlines() if sys.platform == "linux" else ():
        if line.endswith(name):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            pageout = 21  # MADV_PAGEOUT
            is_evicted = ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), pageout) == 0
    return is_evicted


def read_memory_mb(name: str) -> float:
    """Return a figure of /proc/self/status in MB, or NaN on other systems than Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


def measure_seconds(began: float) -> float:
    """Return the seconds since a reading of `time.perf_counter`."""
    return time.perf_counter() - began


def build_store(generator: VectorGenerator, count: int, dimensions: int, index: str | None) -> tuple[FaissStore, float]:
    """Return the store and the seconds spent adding documents, without generating the vectors."""
    store, spent = FaissStore(FixedEmbeddings(dimensions), index=index), 0.0
    for start, vectors, buckets in generator.iterate_pieces(count):
        chunks = build_documents(start, buckets)
        began = time.perf_counter()
        store.add_with_vectors(chunks, vectors)
        spent += measure_seconds(began)
        if start // PIECE % 10 == 9:
            print(f"  {start + len(chunks):>9,} chunks, {spent:5.0f} s, {store.index_info.kind}", file=sys.stderr)
    return store, spent


def measure_queries(
    store: FaissStore, queries: Any, expected: dict[int | None, list[set[str]]] | None
) -> dict[str, Any]:
    """Return latency and recall by percentage."""
    rows: dict[str, Any] = {}
    for percentage in PERCENTAGES:
        store.similarity_search_by_vector(queries[0].tolist(), K, filter=build_filter(percentage, 1))
        times, hits = [], 0
        for turn, query in enumerate(queries):
            vector, filter = query.tolist(), build_filter(percentage, turn)
            began = time.perf_counter()
            results = store.similarity_search_by_vector(vector, K, filter=filter)
            times.append(measure_seconds(began) * 1e3)
            hits += len({document.id for document in results} & expected[percentage][turn]) if expected else 0
        name = "no filter" if percentage is None else f"filter {percentage} %"
        rows[name] = {
            "median_ms": statistics.median(times),
            "p95_ms": float(np.percentile(times, 95)),
            "recall": hits / (K * len(queries)),
        }
    return rows


def measure_cold(store: FaissStore, folder: Path, queries: Any) -> dict[str, float]:
    """Return the median milliseconds of queries without lists in memory; empty if the lists are not in a file."""
    medians: dict[str, float] = {}
    for percentage in PERCENTAGES:
        times = []
        for turn, query in enumerate(queries[:20].tolist()):
            if not evict(folder):
                return {}
            began = time.perf_counter()
            store.similarity_search_by_vector(query, K, filter=build_filter(percentage, turn))
            times.append(measure_seconds(began) * 1e3)
        medians["no filter" if percentage is None else f"filter {percentage} %"] = statistics.median(times)
    return medians


def measure_changes(store: FaissStore, generator: VectorGenerator) -> dict[str, float]:
    """Return the seconds that adding and deleting 100 documents take."""
    adds, deletes = [], []
    for turn in range(5):
        vectors, buckets = generator.generate_piece(10**9 + turn, 100)
        chunks = build_documents(10**9 + turn * 100, buckets)
        began = time.perf_counter()
        ids = store.add_with_vectors(chunks, vectors)
        adds.append(measure_seconds(began))
        began = time.perf_counter()
        store.delete(ids)
        deletes.append(measure_seconds(began))
    return {"add_100_s": max(adds), "delete_100_s": max(deletes)}


def measure_loading(folder: Path, dimensions: int, count: int) -> dict[str, float]:
    """Return time and memory of loading in a fresh process, and of searching after that."""
    queries = VectorGenerator(dimensions).generate_piece(2**31, count)[0]
    query = queries[0].tolist()
    before, own = read_peak_mb(), OwnMemoryMonitor()
    began = time.perf_counter()
    store = FaissStore.load(folder, FixedEmbeddings(dimensions))
    loaded = measure_seconds(began)
    began = time.perf_counter()
    store.similarity_search_by_vector(query, K, filter={"bucket": 7})
    first = measure_seconds(began)
    rows = measure_queries(store, queries, None)
    most = own.stop()
    cold = measure_cold(store, folder, queries)
    return {
        "load_s": loaded,
        "first_filter_s": first,
        "load_peak_mb": read_peak_mb(),
        "before_load_mb": before,
        "load_own_mb": most,
        **{f"loaded {name}, p95 ms": row["p95_ms"] for name, row in rows.items()},
        **{f"cold {name}, median ms": figure for name, figure in cold.items()},
    }


def measure_disk(store: FaissStore, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    """Return time and size of saving, and the figures of loading."""
    began = time.perf_counter()
    store.save(folder)
    saved = measure_seconds(began)
    sizes = {f"{path.suffix[1:]}_mb": path.stat().st_size / 1e6 for path in folder.iterdir() if path.suffix != ".json"}
    command = [sys.executable, __file__, "--load", str(folder), "--dimensions", str(options.dimensions)]
    command += ["--queries", str(options.queries)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"save_s": saved, **sizes, **json.loads(done.stdout)}


def check_goals(result: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Return name, figure and goal, and True if the goal is met."""
    filtered = [row for name, row in result["queries"].items() if name != "no filter"]
    p95, recall = max(row["p95_ms"] for row in filtered), min(row["recall"] for row in filtered)
    peak = max(result["peak_mb"], result["disk"]["load_peak_mb"])  # mapped files included
    return [
        ("p95 of a filtered query, ms", p95, "at most 15", p95 <= 15),
        ("recall@10 of a filtered query", recall, "at least 0.95", recall >= 0.95),
        ("build, s", result["build_s"], "at most 300", result["build_s"] <= 300),
        ("memory, MB", peak, "at most 1000", peak <= 1000),
        ("add 100, s", result["changes"]["add_100_s"], "under 1", result["changes"]["add_100_s"] < 1),
        ("delete 100, s", result["changes"]["delete_100_s"], "under 1", result["changes"]["delete_100_s"] < 1),
    ]


def print_tables(result: dict[str, Any]) -> None:
    """Print the figures."""
    print(
        f"\n{result['count']:,} chunks of {result['dimensions']} dimensions, {result['index']}; {result['machine']}\n"
    )
    print("| query | median ms | p95 ms | recall@10 |\n|---|---|---|---|")
    for name, row in result["queries"].items():
        print(f"| {name} | {row['median_ms']:.1f} | {row['p95_ms']:.1f} | {row['recall']:.3f} |")
    print("\n| | measured | goal | |\n|---|---|---|---|")
    for name, figure, goal, met in result["goals"]:
        print(f"| {name} | {figure:.3g} | {goal} | {'met' if met else 'MISSED'} |")
    print(
        f"\nbuilding: at most {result['built_own_mb']:.0f} MB of own memory, "
        f"{result['built_mb']:.0f} MB with mapped files"
    )
    print("; ".join(f"{name} {figure:.1f}" for name, figure in result["disk"].items()))


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Return all figures."""
    generator = VectorGenerator(options.dimensions)
    queries = generator.generate_piece(2**31, options.queries)[0]
    own = OwnMemoryMonitor()
    store, spent = build_store(generator, options.count, options.dimensions, options.index)
    built_mb, built_own_mb = read_peak_mb(), own.stop()
    changes = measure_changes(store, generator)
    measured = measure_queries(store, queries, search_exactly(generator, options.count, queries))
    place = Path(tempfile.mkdtemp(prefix="faiss-scale-", dir=options.folder))
    try:
        disk = measure_disk(store, place / "store", options)
    finally:
        shutil.rmtree(place)
    processor = platform.processor() or platform.machine()
    result = {
        "count": options.count,
        "dimensions": options.dimensions,
        "index": store.index_info.kind,
        "why": store.index_info.why,
        "machine": f"{processor}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}",
        "build_s": spent,
        "built_mb": built_mb,
        "built_own_mb": built_own_mb,
        "peak_mb": read_peak_mb(),
        "changes": changes,
        "queries": measured,
        "disk": disk,
    }
    return result | {"goals": check_goals(result)}


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=384)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--index", help='the FAISS index, such as "IVF4096,SQ8"; by default the size decides')
    parser.add_argument("--folder", help="where to save; by default the folder for temporary files")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--load", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.load:
        print(json.dumps(measure_loading(options.load, options.dimensions, options.queries)))
        return
    result = run(options)
    print_tables(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
