"""How well the right passage is found: nDCG@10 of BM25, dense and hybrid search, beside langchain-community's.

    python benchmarks/retrieval.py --data DIR [--only piaf,scifact] [--queries 500] [--json retrieval.json]

DIR holds the question sets that the table in benchmarks/README.md names. Embeddings are the demo's, so that it runs
without a model hub. Every retriever is asked through its public `invoke`; only the queries are embedded beforehand, in
batches. langchain-community's side (FAISS, BM25 and reciprocal rank fusion over the same chunks and embeddings) is
measured where `langchain-community` and `rank-bm25` are installed.
"""

import argparse
import ast
import csv
import io
import json
import platform
import random
import re
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

import ir_measures
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss import FaissStore, load_embeddings
from langchain_gptoss.ingest import split_documents
from langchain_gptoss.retrievers import BM25Retriever, HybridRetriever

NDCG = ir_measures.parse_measure("nDCG@10")
DEPTH = 200  # candidates of each side for the peer, as many as the hybrid retriever asks sides for that tell no more
WEIGHTS = [1.2, 1.0]  # of words and vectors: chosen on one half of PIAF's questions, used on every set
GOALS = {"piaf": {"bm25": 0.77, "hybrid": 0.80}, "service-public": {"bm25": 0.88}}
EMBEDDINGS = {"fr": "demo-multilingual", "en": "demo"}


@dataclass
class QuestionSet:
    """Passages, questions, and which passages answer which question."""

    name: str
    language: str
    passages: dict[str, str]
    questions: dict[str, str] = field(default_factory=dict)
    answers: dict[str, list[str]] = field(default_factory=dict)
    max_chars: int | None = None  # longer passages are cut, and count as found with their best chunk

    def chunks(self) -> list[Document]:
        """Returns the passages as they are indexed; `metadata["passage"]` says of which passage."""
        whole = [
            Document(id=name, page_content=text, metadata={"passage": name, "source": name})
            for name, text in self.passages.items()
        ]
        return split_documents(whole, max_chars=self.max_chars) if self.max_chars else whole


def squad_like(file: Path, name: str, language: str, *, max_chars: int | None = None) -> QuestionSet:
    """Reads a set in SQuAD's format; questions that nothing answers are left out."""
    made = QuestionSet(name, language, {}, max_chars=max_chars)
    known: dict[str, str] = {}
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"]
            passage = known.setdefault(text, f"p{len(known)}")
            made.passages[passage] = text
            for qa in paragraph.get("qas", []):
                if not qa.get("is_impossible") and qa["question"].strip():
                    question = f"q{len(made.questions)}"
                    made.questions[question] = qa["question"]
                    made.answers[question] = [passage]
    return made


def scifact(file: Path) -> QuestionSet:
    """Reads SciFact as BEIR has it: claims, and the abstracts that they were written from."""
    made = QuestionSet("scifact", "en", {})
    csv.field_size_limit(1 << 24)
    with zipfile.ZipFile(file) as archive:
        for row in csv.DictReader(io.StringIO(archive.read("corpus_train.csv").decode())):
            abstract = " ".join(part for part in quoted(row["abstract"]))
            made.passages[row["doc_id"]] = f"{row['title']}\n{abstract}"
        for row in csv.DictReader(io.StringIO(archive.read("claims_validation.csv").decode())):
            cited = re.findall(r"\d+", row["cited_doc_ids"])
            made.questions[row["id"]] = row["claim"]
            made.answers[row["id"]] = [name for name in cited if name in made.passages]
    return made


def quoted(printed: str) -> Iterator[str]:
    """Yields the strings of a printed numpy array, which has no commas between them."""
    for match in re.finditer(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", printed):
        yield ast.literal_eval(match[0])


def question_sets(data: Path) -> dict[str, Callable[[], QuestionSet]]:
    """Returns the sets by name, read when they are called for."""
    return {
        "piaf": lambda: squad_like(data / "piaf-v1.1.json", "piaf", "fr"),
        "service-public": lambda: squad_like(data / "spf-qr-test-fr.json", "service-public", "fr"),
        "squad2": lambda: squad_like(data / "squad2-dev-cs224n.json", "squad2", "en"),
        "scifact": lambda: scifact(data / "beir-scifact.zip"),
    }


class Prepared(Embeddings):
    """Embeddings that know the queries beforehand: a benchmark embeds thousands, and batches are faster."""

    def __init__(self, embeddings: Embeddings, queries: list[str]) -> None:
        self.embeddings = embeddings
        distinct = sorted(set(queries))
        client = getattr(embeddings, "query_encode_kwargs", None)
        vectors = (
            embeddings._embed(distinct, client) if client else [embeddings.embed_query(query) for query in distinct]
        )
        self.vectors = dict(zip(distinct, vectors, strict=True))

    def embed_query(self, text: str) -> list[float]:
        return self.vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return self.embeddings.embed_documents(texts)


def measured(retriever: Callable[[str], list[Document]], questions: QuestionSet) -> dict[str, float]:
    """Returns nDCG@10 and milliseconds per query."""
    run: dict[str, dict[str, float]] = {}
    started = time.perf_counter()
    for name, text in questions.questions.items():
        ranked = list(dict.fromkeys(document.metadata["passage"] for document in retriever(text)))
        run[name] = {passage: 1.0 / place for place, passage in enumerate(ranked, 1)}
    seconds = time.perf_counter() - started
    relevant = {name: dict.fromkeys(passages, 1) for name, passages in questions.answers.items()}
    ndcg = ir_measures.calc_aggregate([NDCG], relevant, run)[NDCG]
    return {"ndcg@10": round(float(ndcg), 4), "ms": round(1000 * seconds / len(questions.questions), 2)}


def community(chunks: list[Document], embeddings: Embeddings) -> Callable[[str], list[Document]] | None:
    """Returns langchain-community's FAISS and BM25 with reciprocal rank fusion, or None where it is not installed."""
    import warnings

    warnings.simplefilter("ignore")
    try:
        from langchain_community.retrievers import BM25Retriever as CommunityBM25
        from langchain_community.vectorstores import FAISS

        words = CommunityBM25.from_documents(chunks, k=DEPTH)
    except ImportError:
        return None
    vectors = FAISS.from_documents(chunks, embeddings)

    def search(query: str) -> list[Document]:
        points: dict[str, float] = {}
        found: dict[str, Document] = {}
        for side in (words.invoke(query), vectors.similarity_search(query, k=DEPTH)):
            for place, document in enumerate(side, 1):
                key = document.page_content
                found.setdefault(key, document)
                points[key] = points.get(key, 0.0) + 0.5 / (60 + place)  # as LangChain's EnsembleRetriever
        return [found[key] for key in sorted(points, key=lambda key: -points[key])]

    return search


def asked(retriever: BaseRetriever) -> Callable[[str], list[Document]]:
    """Returns a retriever as a function that returns enough chunks for ten passages."""
    return lambda query: retriever.invoke(query, k=30)


def compare(questions: QuestionSet, *, with_community: bool) -> dict[str, dict[str, float]]:
    """Measures each retriever on one set and prints its figures."""
    chunks = questions.chunks()
    embeddings = Prepared(load_embeddings(EMBEDDINGS[questions.language]), list(questions.questions.values()))
    bm25 = BM25Retriever.from_documents(chunks, language=questions.language)
    store = FaissStore(embeddings)
    store.add_documents(chunks)
    sides = [bm25, store.as_retriever()]
    systems: dict[str, Callable[[str], list[Document]] | None] = {
        "bm25": asked(bm25),
        "dense": asked(sides[1]),
        "hybrid": asked(HybridRetriever(retrievers=sides)),
        "hybrid, 1.2:1": asked(HybridRetriever(retrievers=sides, weights=WEIGHTS)),
        "hybrid, ranks": asked(HybridRetriever(retrievers=sides, fusion="ranks")),
        "community": community(chunks, embeddings) if with_community else None,
    }
    figures: dict[str, dict[str, float]] = {}
    for name, system in systems.items():
        if system:
            figures[name] = measured(system, questions)
            print(
                f"  {name:<14} nDCG@10 {figures[name]['ndcg@10']:.3f}   {figures[name]['ms']:7.1f} ms a query",
                flush=True,
            )
    return figures


def goals(name: str, figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Returns what was to be reached and whether it was."""
    score = {system: found["ndcg@10"] for system, found in figures.items()}
    wanted = [(f"{system} at least {goal}", score[system] >= goal) for system, goal in GOALS.get(name, {}).items()]
    if name == "service-public":
        wanted.append(("hybrid not below bm25", score["hybrid"] >= score["bm25"]))
    if name in ("squad2", "scifact"):
        wanted.append(("hybrid above both sides", score["hybrid"] > max(score["bm25"], score["dense"])))
    if "community" in score:
        wanted.append(("hybrid above community", score["hybrid"] > score["community"]))
        wanted.append(("bm25 above community", score["bm25"] > score["community"]))
    return [{"goal": goal, "met": met} for goal, met in wanted]


def sampled(questions: QuestionSet, count: int | None) -> QuestionSet:
    """Keeps some questions, always the same."""
    if count is not None and count < len(questions.questions):
        kept = random.Random(0).sample(sorted(questions.questions), count)
        questions.questions = {name: questions.questions[name] for name in kept}
        questions.answers = {name: questions.answers[name] for name in kept}
    return questions


def main() -> None:
    """Measures the sets that are asked for and prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="names of sets, with commas")
    parser.add_argument("--queries", type=int, help="at most this many questions of each set")
    parser.add_argument("--no-community", action="store_true")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    report: dict[str, Any] = {"date": date.today().isoformat(), "machine": platform.platform(), "sets": {}}
    for name, read in question_sets(given.data).items():
        if given.only and name not in given.only.split(","):
            continue
        questions = sampled(read(), given.queries)
        print(f"\n{name}: {len(questions.passages)} passages, {len(questions.questions)} questions", flush=True)
        figures = compare(questions, with_community=not given.no_community)
        reached = goals(name, figures)
        for goal in reached:
            print(f"  {'met   ' if goal['met'] else 'MISSED'} {goal['goal']}", flush=True)
        report["sets"][name] = {"figures": figures, "goals": reached}
    if given.json:
        given.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
