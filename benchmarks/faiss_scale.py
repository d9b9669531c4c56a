"""FaissStore at a million chunks: build, memory, filtered and plain queries, recall, changes, saving and loading.

The vectors are synthetic and clustered (topics of unequal size, subtopics, noise), made in pieces from a seed. Queries
are drawn from the same mixture. Every query has its own filter, so that no answer comes from a cache. The truth is an
exact search over the same float32 vectors.

    python benchmarks/faiss_scale.py --json faiss.json
    python benchmarks/faiss_scale.py --count 100000
    python benchmarks/faiss_scale.py --count 2000000 --index IVF4096,SQ8,disk

Own memory is what the system cannot take back: all but mapped files. Cold queries find none of the mapped lists in
memory. Both are known on Linux only.
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
SHARES = (None, 1, 10, 50)  # per cent that a filter lets by
SENTENCE = "The store keeps each chunk of text on disk and reads only those that a question has found. "


class Given(Embeddings):
    """Only says the dimension; the vectors are made here."""

    model_name = "synthetic"

    def __init__(self, dimensions: int) -> None:
        self._dimensions = dimensions

    def embed_query(self, text: str) -> list[float]:
        return [1.0] * self._dimensions

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def normal(random: np.random.Generator, count: int, dimensions: int, length: float) -> Any:
    return random.standard_normal((count, dimensions), dtype=np.float32) * np.float32(length / dimensions**0.5)


class Mixture:
    """Unit vectors and the bucket of each."""

    def __init__(self, dimensions: int) -> None:
        random = np.random.default_rng(0)
        topics = np.repeat(normal(random, TOPICS, dimensions, 1.0), SUBTOPICS, axis=0)
        self._centres = topics + normal(random, TOPICS * SUBTOPICS, dimensions, 0.7)
        sizes = np.repeat(1 / np.arange(10, TOPICS + 10), SUBTOPICS)
        self._shares = sizes / sizes.sum()

    def piece(self, number: int, count: int) -> tuple[Any, Any]:
        random = np.random.default_rng([1, number])
        chosen = random.choice(len(self._centres), count, p=self._shares)
        vectors = self._centres[chosen] + normal(random, count, self._centres.shape[1], 0.7)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        return vectors, random.integers(0, BUCKETS, count)

    def pieces(self, count: int) -> Iterator[tuple[int, Any, Any]]:
        for start in range(0, count, PIECE):
            yield start, *self.piece(start, min(PIECE, count - start))


def documents(start: int, buckets: Any) -> list[Document]:
    text = SENTENCE * 6
    return [
        Document(
            id=f"chunk-{start + n}",
            page_content=f"{start + n} {text}",
            metadata={"bucket": int(bucket), "source": f"file-{(start + n) // 50}.md", "start": n * 500},
        )
        for n, bucket in enumerate(buckets)
    ]


def window(share: int | None, turn: int) -> tuple[int, int]:
    """Returns the buckets that a query's filter lets by, from the first to before the last."""
    if share is None:
        return 0, BUCKETS
    first = turn * 37 % (BUCKETS - share + 1)
    return first, first + share


def filter_of(share: int | None, turn: int) -> dict[str, Any] | None:
    first, last = window(share, turn)
    return None if share is None else {"bucket": {"$gte": first, "$lt": last}}


def truth(mixture: Mixture, count: int, queries: Any) -> dict[int | None, list[set[str]]]:
    """Returns the ids that an exact search finds, by share and query."""
    best = {share: [(np.empty(0), np.empty(0, dtype=np.int64))] * len(queries) for share in SHARES}
    for start, vectors, buckets in mixture.pieces(count):
        scores = vectors @ queries.T
        for share, per_query in best.items():
            for turn in range(len(queries)):
                first, last = window(share, turn)
                rows = np.flatnonzero((buckets >= first) & (buckets < last))
                rows = rows[np.argpartition(-scores[rows, turn], K)[:K]] if len(rows) > K else rows
                merged = np.concatenate([per_query[turn][0], scores[rows, turn]])
                ids = np.concatenate([per_query[turn][1], rows + start])
                order = np.argsort(-merged)[:K]
                per_query[turn] = merged[order], ids[order]
    return {share: [{f"chunk-{i}" for i in ids} for _, ids in found] for share, found in best.items()}


def peak_mb() -> float:
    """Returns the most memory that this process has had, mapped files included, in MB."""
    return told_mb("VmHWM")


class OwnMemory:
    """Looks again and again how much memory this process has, without mapped files."""

    def __init__(self) -> None:
        self.most_mb, self._done = 0.0, threading.Event()
        threading.Thread(target=self._look, daemon=True).start()

    def _look(self) -> None:
        while not self._done.wait(0.02):
            self.most_mb = max(self.most_mb, told_mb("RssAnon"))

    def stop(self) -> float:
        """Returns the most that it has been, in MB."""
        self._done.set()
        return self.most_mb


def evict(folder: Path) -> bool:
    """Takes the lists that this process has mapped out of memory; returns whether it could."""
    name, found = str(next(folder.glob("*.faiss"))), False
    for line in Path("/proc/self/maps").read_text().splitlines() if sys.platform == "linux" else ():
        if line.endswith(name):
            start, end = (int(part, 16) for part in line.split()[0].split("-"))
            pageout = 21  # MADV_PAGEOUT
            found = ctypes.CDLL(None).madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), pageout) == 0
    return found


def told_mb(name: str) -> float:
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    line = next(line for line in status.read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024 / 1e6


def seconds(began: float) -> float:
    return time.perf_counter() - began


def build(mixture: Mixture, count: int, dimensions: int, index: str | None) -> tuple[FaissStore, float]:
    """Returns the store and the seconds that adding took; making the vectors is not counted."""
    store, spent = FaissStore(Given(dimensions), index=index), 0.0
    for start, vectors, buckets in mixture.pieces(count):
        chunks = documents(start, buckets)
        began = time.perf_counter()
        store.add_with_vectors(chunks, vectors)
        spent += seconds(began)
        if start // PIECE % 10 == 9:
            print(f"  {start + len(chunks):>9,} chunks, {spent:5.0f} s, {store.index_info.kind}", file=sys.stderr)
    return store, spent


def measure_queries(
    store: FaissStore, queries: Any, expected: dict[int | None, list[set[str]]] | None
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for share in SHARES:
        store.similarity_search_by_vector(queries[0].tolist(), K, filter=filter_of(share, 1))
        times, hits = [], 0
        for turn, query in enumerate(queries):
            vector, filter = query.tolist(), filter_of(share, turn)
            began = time.perf_counter()
            found = store.similarity_search_by_vector(vector, K, filter=filter)
            times.append(seconds(began) * 1e3)
            hits += len({document.id for document in found} & expected[share][turn]) if expected else 0
        name = "no filter" if share is None else f"filter {share} %"
        rows[name] = {
            "median_ms": statistics.median(times),
            "p95_ms": float(np.percentile(times, 95)),
            "recall": hits / (K * len(queries)),
        }
    return rows


def measure_cold(store: FaissStore, folder: Path, queries: Any) -> dict[str, float]:
    """Returns median milliseconds of queries that find no list in memory; nothing where lists are not in a file."""
    medians: dict[str, float] = {}
    for share in SHARES:
        times = []
        for turn, query in enumerate(queries[:20].tolist()):
            if not evict(folder):
                return {}
            began = time.perf_counter()
            store.similarity_search_by_vector(query, K, filter=filter_of(share, turn))
            times.append(seconds(began) * 1e3)
        medians["no filter" if share is None else f"filter {share} %"] = statistics.median(times)
    return medians


def measure_changes(store: FaissStore, mixture: Mixture) -> dict[str, float]:
    adds, deletes = [], []
    for turn in range(5):
        vectors, buckets = mixture.piece(10**9 + turn, 100)
        chunks = documents(10**9 + turn * 100, buckets)
        began = time.perf_counter()
        ids = store.add_with_vectors(chunks, vectors)
        adds.append(seconds(began))
        began = time.perf_counter()
        store.delete(ids)
        deletes.append(seconds(began))
    return {"add_100_s": max(adds), "delete_100_s": max(deletes)}


def load(folder: Path, dimensions: int, count: int) -> dict[str, float]:
    """Returns what loading costs a fresh process, and searching after that."""
    queries = Mixture(dimensions).piece(2**31, count)[0]
    query = queries[0].tolist()
    before, own = peak_mb(), OwnMemory()
    began = time.perf_counter()
    store = FaissStore.load(folder, Given(dimensions))
    loaded = seconds(began)
    began = time.perf_counter()
    store.similarity_search_by_vector(query, K, filter={"bucket": 7})
    first = seconds(began)
    rows = measure_queries(store, queries, None)
    most = own.stop()
    cold = measure_cold(store, folder, queries)
    return {
        "load_s": loaded,
        "first_filter_s": first,
        "load_peak_mb": peak_mb(),
        "before_load_mb": before,
        "load_own_mb": most,
        **{f"loaded {name}, p95 ms": row["p95_ms"] for name, row in rows.items()},
        **{f"cold {name}, median ms": figure for name, figure in cold.items()},
    }


def measure_disk(store: FaissStore, folder: Path, options: argparse.Namespace) -> dict[str, float]:
    began = time.perf_counter()
    store.save(folder)
    saved = seconds(began)
    sizes = {f"{path.suffix[1:]}_mb": path.stat().st_size / 1e6 for path in folder.iterdir() if path.suffix != ".json"}
    command = [sys.executable, __file__, "--load", str(folder), "--dimensions", str(options.dimensions)]
    command += ["--queries", str(options.queries)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return {"save_s": saved, **sizes, **json.loads(done.stdout)}


def goals(result: dict[str, Any]) -> list[tuple[str, float, str, bool]]:
    """Returns name, figure, goal, and whether it is met."""
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


def show(result: dict[str, Any]) -> None:
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
        f"\nbuilt: at most {result['built_own_mb']:.0f} MB of own memory, {result['built_mb']:.0f} MB with mapped files"
    )
    print("; ".join(f"{name} {figure:.1f}" for name, figure in result["disk"].items()))


def run(options: argparse.Namespace) -> dict[str, Any]:
    mixture = Mixture(options.dimensions)
    queries = mixture.piece(2**31, options.queries)[0]
    own = OwnMemory()
    store, spent = build(mixture, options.count, options.dimensions, options.index)
    built_mb, built_own_mb = peak_mb(), own.stop()
    changes = measure_changes(store, mixture)
    measured = measure_queries(store, queries, truth(mixture, options.count, queries))
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
        "peak_mb": peak_mb(),
        "changes": changes,
        "queries": measured,
        "disk": disk,
    }
    return result | {"goals": goals(result)}


def main() -> None:
    """Prints the tables."""
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
        print(json.dumps(load(options.load, options.dimensions, options.queries)))
        return
    result = run(options)
    show(result)
    if options.json:
        options.json.write_text(json.dumps(result, indent=2) + "\n")


if __name__ == "__main__":
    main()
