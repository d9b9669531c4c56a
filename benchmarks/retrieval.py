"""Measure nDCG@10 of BM25, dense and hybrid search, and of langchain-community's retrievers.

    python benchmarks/retrieval.py --data DIR [--only piaf,scifact] [--queries 500] [--json retrieval.json]

DIR has the question sets of the table in benchmarks/README.md. The embeddings are those of the demo, so that no model
hub is needed. Every retriever is called through its public `invoke`; only the queries are embedded in advance, in
batches. langchain-community (FAISS, BM25 and reciprocal rank fusion over the same chunks and embeddings) is measured if
`langchain-community` and `rank-bm25` are installed.
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
DEPTH = 200  # candidates per retriever of langchain-community, as many as HybridRetriever requests without scoring
WEIGHTS = [1.2, 1.0]  # of BM25 and embeddings: chosen on half of PIAF's questions, used on every set
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
    max_chars: int | None = None  # longer passages are split and rank like their best chunk

    def split_passages(self) -> list[Document]:
        """Return the passages as they are indexed, with the name of the passage in `metadata["passage"]`."""
        documents = [
            Document(id=name, page_content=text, metadata={"passage": name, "source": name})
            for name, text in self.passages.items()
        ]
        return split_documents(documents, max_chars=self.max_chars) if self.max_chars else documents


def read_squad(file: Path, name: str, language: str, *, max_chars: int | None = None) -> QuestionSet:
    """Return a question set in SQuAD's format, without the questions that have no answer."""
    question_set = QuestionSet(name, language, {}, max_chars=max_chars)
    known: dict[str, str] = {}
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"]
            passage = known.setdefault(text, f"p{len(known)}")
            question_set.passages[passage] = text
            for qa in paragraph.get("qas", []):
                if not qa.get("is_impossible") and qa["question"].strip():
                    question = f"q{len(question_set.questions)}"
                    question_set.questions[question] = qa["question"]
                    question_set.answers[question] = [passage]
    return question_set


def read_scifact(file: Path) -> QuestionSet:
    """Return SciFact from BEIR: claims, and the abstracts that support or refute them."""
    question_set = QuestionSet("scifact", "en", {})
    csv.field_size_limit(1 << 24)
    with zipfile.ZipFile(file) as archive:
        for row in csv.DictReader(io.StringIO(archive.read("corpus_train.csv").decode())):
            abstract = " ".join(part for part in parse_strings(row["abstract"]))
            question_set.passages[row["doc_id"]] = f"{row['title']}\n{abstract}"
        for row in csv.DictReader(io.StringIO(archive.read("claims_validation.csv").decode())):
            cited = re.findall(r"\d+", row["cited_doc_ids"])
            question_set.questions[row["id"]] = row["claim"]
            question_set.answers[row["id"]] = [name for name in cited if name in question_set.passages]
    return question_set


def parse_strings(array: str) -> Iterator[str]:
    """Yield the strings of a printed numpy array, which has no commas between them."""
    for match in re.finditer(r"""'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*\"""", array):
        yield ast.literal_eval(match[0])


def list_question_sets(data: Path) -> dict[str, Callable[[], QuestionSet]]:
    """Return functions that read the question sets, by name."""
    return {
        "piaf": lambda: read_squad(data / "piaf-v1.1.json", "piaf", "fr"),
        "service-public": lambda: read_squad(data / "spf-qr-test-fr.json", "service-public", "fr"),
        "squad2": lambda: read_squad(data / "squad2-dev-cs224n.json", "squad2", "en"),
        "scifact": lambda: read_scifact(data / "beir-scifact.zip"),
    }


class PrecomputedEmbeddings(Embeddings):
    """Embeddings with precomputed queries: a benchmark has thousands of them, and batches are faster."""

    def __init__(self, embeddings: Embeddings, queries: list[str]) -> None:
        self.embeddings = embeddings
        distinct = sorted(set(queries))
        client = getattr(embeddings, "query_encode_kwargs", None)
        vectors = (
            embeddings._embed(distinct, client) if client else [embeddings.embed_query(query) for query in distinct]
        )
        self.vectors = dict(zip(distinct, vectors, strict=True))

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a query."""
        return self.vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of passages."""
        return self.embeddings.embed_documents(texts)


def measure(retriever: Callable[[str], list[Document]], questions: QuestionSet) -> dict[str, float]:
    """Return nDCG@10 and milliseconds per query."""
    run: dict[str, dict[str, float]] = {}
    started = time.perf_counter()
    for name, text in questions.questions.items():
        ranked = list(dict.fromkeys(document.metadata["passage"] for document in retriever(text)))
        run[name] = {passage: 1.0 / rank for rank, passage in enumerate(ranked, 1)}
    seconds = time.perf_counter() - started
    relevant = {name: dict.fromkeys(passages, 1) for name, passages in questions.answers.items()}
    ndcg = ir_measures.calc_aggregate([NDCG], relevant, run)[NDCG]
    return {"ndcg@10": round(float(ndcg), 4), "ms": round(1000 * seconds / len(questions.questions), 2)}


def create_community_search(chunks: list[Document], embeddings: Embeddings) -> Callable[[str], list[Document]] | None:
    """Return langchain-community's FAISS and BM25 with reciprocal rank fusion, or None if it is not installed."""
    import warnings

    warnings.simplefilter("ignore")
    try:
        from langchain_community.retrievers import BM25Retriever as CommunityBM25
        from langchain_community.vectorstores import FAISS

        bm25 = CommunityBM25.from_documents(chunks, k=DEPTH)
    except ImportError:
        return None
    vectors = FAISS.from_documents(chunks, embeddings)

    def search(query: str) -> list[Document]:
        points: dict[str, float] = {}
        documents: dict[str, Document] = {}
        for results in (bm25.invoke(query), vectors.similarity_search(query, k=DEPTH)):
            for rank, document in enumerate(results, 1):
                key = document.page_content
                documents.setdefault(key, document)
                points[key] = points.get(key, 0.0) + 0.5 / (60 + rank)  # as LangChain's EnsembleRetriever
        return [documents[key] for key in sorted(points, key=lambda key: -points[key])]

    return search


def create_search(retriever: BaseRetriever) -> Callable[[str], list[Document]]:
    """Return a function that retrieves enough chunks for ten passages."""
    return lambda query: retriever.invoke(query, k=30)


def compare(questions: QuestionSet, *, with_community: bool) -> dict[str, dict[str, float]]:
    """Measure each retriever on one question set and print the figures."""
    chunks = questions.split_passages()
    embeddings = PrecomputedEmbeddings(
        load_embeddings(EMBEDDINGS[questions.language]), list(questions.questions.values())
    )
    bm25 = BM25Retriever.from_documents(chunks, language=questions.language)
    store = FaissStore(embeddings)
    store.add_documents(chunks)
    retrievers = [bm25, store.as_retriever()]
    systems: dict[str, Callable[[str], list[Document]] | None] = {
        "bm25": create_search(bm25),
        "dense": create_search(retrievers[1]),
        "hybrid": create_search(HybridRetriever(retrievers=retrievers)),
        "hybrid, 1.2:1": create_search(HybridRetriever(retrievers=retrievers, weights=WEIGHTS)),
        "hybrid, ranks": create_search(HybridRetriever(retrievers=retrievers, fusion="ranks")),
        "community": create_community_search(chunks, embeddings) if with_community else None,
    }
    figures: dict[str, dict[str, float]] = {}
    for name, system in systems.items():
        if system:
            figures[name] = measure(system, questions)
            print(
                f"  {name:<14} nDCG@10 {figures[name]['ndcg@10']:.3f}   {figures[name]['ms']:7.1f} ms a query",
                flush=True,
            )
    return figures


def check_goals(name: str, figures: dict[str, dict[str, float]]) -> list[dict[str, Any]]:
    """Return the goals of a question set, each with True if it was reached."""
    score = {system: values["ndcg@10"] for system, values in figures.items()}
    goals = [(f"{system} at least {goal}", score[system] >= goal) for system, goal in GOALS.get(name, {}).items()]
    if name == "service-public":
        goals.append(("hybrid not below bm25", score["hybrid"] >= score["bm25"]))
    if name in ("squad2", "scifact"):
        goals.append(("hybrid above both retrievers", score["hybrid"] > max(score["bm25"], score["dense"])))
    if "community" in score:
        goals.append(("hybrid above community", score["hybrid"] > score["community"]))
        goals.append(("bm25 above community", score["bm25"] > score["community"]))
    return [{"goal": goal, "met": met} for goal, met in goals]


def sample_questions(questions: QuestionSet, count: int | None) -> QuestionSet:
    """Keep a sample of the questions, always the same one."""
    if count is not None and count < len(questions.questions):
        kept = random.Random(0).sample(sorted(questions.questions), count)
        questions.questions = {name: questions.questions[name] for name in kept}
        questions.answers = {name: questions.answers[name] for name in kept}
    return questions


def main() -> None:
    """Measure the selected question sets and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="names of question sets, separated by commas")
    parser.add_argument("--queries", type=int, help="maximum number of questions per set")
    parser.add_argument("--no-community", action="store_true")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"date": date.today().isoformat(), "machine": platform.platform(), "sets": {}}
    for name, read in list_question_sets(arguments.data).items():
        if arguments.only and name not in arguments.only.split(","):
            continue
        questions = sample_questions(read(), arguments.queries)
        print(f"\n{name}: {len(questions.passages)} passages, {len(questions.questions)} questions", flush=True)
        figures = compare(questions, with_community=not arguments.no_community)
        reached = check_goals(name, figures)
        for goal in reached:
            print(f"  {'met   ' if goal['met'] else 'MISSED'} {goal['goal']}", flush=True)
        report["sets"][name] = {"figures": figures, "goals": reached}
    if arguments.json:
        arguments.json.write_text(json.dumps(report, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
