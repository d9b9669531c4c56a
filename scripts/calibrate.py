"""Fit the weights in `langchain_gptoss/chatbot/grounding/calibration.json` on question sets.

    python scripts/calibrate.py --data DIR [--cases cases.jsonl] [--out calibration.json]

DIR has PIAF, service-public.fr and half of SQuAD 2 (benchmarks/README.md, "Answers"). Each set is split into two halves
by the name of the article: weights and thresholds are chosen on half 0, and half 1 is only measured. Questions without
an answer are those of PIAF about the documents of service-public.fr, questions whose own article is left out of the
index, and the adversarial questions of SQuAD 2. Retrieval takes most of the time, so its results are kept in `--cases`.
"""

import argparse
import hashlib
import json
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss import FaissStore, load_embeddings
from langchain_gptoss.chatbot.grounding import abstention, calibration
from langchain_gptoss.chatbot.grounding.passages import (
    Passage,
    Span,
    collect_passages,
    collect_spans,
    compute_span_features,
)
from langchain_gptoss.evals.datasets import Question, read_questions
from langchain_gptoss.ingest import split_documents
from langchain_gptoss.retrievers import BM25Retriever, HybridRetriever
from langchain_gptoss.text.words import extract_content_words

SHIPPED = Path(calibration.__file__).with_suffix(".json")
FILES = {
    "piaf": ("piaf-v1.1.json", "fr"),
    "service-public": ("spf-qr-test-fr.json", "fr"),
    "squad2": ("squad2-dev-cs224n.json", "en"),
}
EMBEDDINGS = {"fr": "demo-multilingual", "en": "demo"}
RETRIEVED, JUDGED = 10, 8  # passages in a case, and passages that a chatbot with a small model uses
# Weights of the groups of questions in the fit; questions from outside the field and those of the field count most.
GROUPS = {
    "service-public answerable": 2.0,
    "service-public foreign": 3.0,
    "piaf answerable": 1.0,
    "piaf absent": 1.0,
    "squad2 answerable": 1.0,
    "squad2 adversarial": 0.3,
    "squad2-absent answerable": 1.0,
    "squad2-absent absent": 1.0,
}
JUDGE = ["passage", "sentence", "anywhere", "phrases", "names_missing", "names_nowhere", "substance"]
COEFFICIENTS = {
    "scored": [*JUDGE, "margin"],
    "unscored": JUDGE,
    "translated": ["relevance", "margin", "names_nowhere"],
}
# Shares of the answerable service-public.fr questions, and of the foreign ones, that may be on the wrong side.
MAX_DECLINED, MAX_ANSWERED = 0.04, 0.02
THRESHOLD = 0.5


class PrecomputedEmbeddings(Embeddings):
    """Embeddings with precomputed questions: batches are faster, and each question is searched for twice."""

    def __init__(self, embeddings: Embeddings, questions: Sequence[str]) -> None:
        self.embeddings = embeddings
        self.vectors = dict(zip(questions, embeddings.embed_documents(list(questions)), strict=True))

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a question."""
        return self.vectors[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of passages."""
        return self.embeddings.embed_documents(texts)


def choose_half(group: str) -> int:
    """Return 0 for an article of the fitted half and 1 for one of the measured half."""
    return hashlib.sha256(group.encode()).digest()[0] % 2


def is_left_out(group: str) -> bool:
    """Return True if an article is left out of the index, so that its questions have no answer."""
    return hashlib.sha256(f"{group}x".encode()).digest()[0] % 3 == 0


def retrieve(
    name: str, documents: Sequence[Document], language: str, questions: Sequence[tuple[Question, str]]
) -> Iterator[dict[str, Any]]:
    """Yield a case for each question and each kind of retriever."""
    chunks = split_documents(documents)
    bm25 = BM25Retriever.from_documents(chunks, language=language)
    store = FaissStore(
        PrecomputedEmbeddings(load_embeddings(EMBEDDINGS[language]), [question.text for question, _ in questions])
    )
    store.add_documents(chunks)
    retrievers = {
        "words": bm25,
        "vectors": store.as_retriever(),
        "both": HybridRetriever(retrievers=[bm25, store.as_retriever()], weights=[1.2, 1.0]),
    }
    if name != "service-public":
        retrievers = {"both": retrievers["both"]}  # one is enough if two of the three groups are the same
    for question, kind in questions:
        for retriever_name, retriever in retrievers.items():
            documents_found = retriever.invoke(question.text, k=RETRIEVED)
            yield {
                "group": f"{name} {kind}",
                "half": choose_half(question.group),
                "retriever": retriever_name,
                "question": question.text,
                "gold": [[g.source, g.start, g.start + len(g.text)] for g in question.gold]
                if kind == "answerable"
                else [],
                "passages": [[d.page_content, d.metadata] for d in documents_found],
            }


def retrieve_cases(data: Path) -> Iterator[dict[str, Any]]:
    """Yield the cases of all question sets."""
    generator = random.Random(6)
    sets = {name: read_questions(data / file) for name, (file, _) in FILES.items()}
    shuffled = {name: generator.sample(each.questions, len(each.questions)) for name, each in sets.items()}
    foreign = [q for q in shuffled["piaf"] if choose_half(q.group) == 0][:500]
    foreign += [q for q in shuffled["piaf"] if choose_half(q.group) == 1][:400]
    own = [(q, "answerable") for q in shuffled["service-public"]] + [(q, "foreign") for q in foreign]
    yield from retrieve("service-public", sets["service-public"].documents, "fr", own)
    squad = shuffled["squad2"]
    adversarial = [(q, "answerable") for q in squad if q.answerable][:500]
    adversarial += [(q, "adversarial") for q in squad if not q.answerable][:500]
    yield from retrieve("squad2", sets["squad2"].documents, "en", adversarial)
    for name, title, language, count in (("piaf", "piaf", "fr", 600), ("squad2", "squad2-absent", "en", 300)):
        articles = {g.source: q.group for q in sets[name].questions for g in q.gold}
        kept = [d for d in sets[name].documents if not is_left_out(articles.get(d.metadata["source"], ""))]
        asked = [(q, "answerable") for q in shuffled[name] if q.answerable and not is_left_out(q.group)][:count]
        asked += [(q, "absent") for q in shuffled[name] if is_left_out(q.group)][:count]
        yield from retrieve(title, kept, language, asked)


def count_common_words(data: Path) -> dict[str, float]:
    """Return the occurrences of words in 1,000 questions of the fitted half, without those below 0.5."""
    rates: dict[str, float] = {}
    for names in (("piaf", "service-public"), ("squad2",)):
        asked = [
            q for name in names for q in read_questions(data / FILES[name][0]).questions if choose_half(q.group) == 0
        ]
        counts = Counter(
            stem for q in asked for stem in {word[: calibration.STEM_LETTERS] for word in extract_content_words(q.text)}
        )
        for stem, count in counts.items():
            rate = round(1000 * count / len(asked), 1)
            if rate >= 0.5 and not stem[0].isdigit():
                rates[stem] = max(rate, rates.get(stem, 0.0))
    return dict(sorted(rates.items()))


def build_passages(case: dict[str, Any]) -> list[Passage]:
    """Return the passages of a case, as the chatbot uses them."""
    documents = [Document(page_content=text, metadata=data) for text, data in case["passages"]]
    return collect_passages(documents, limit=JUDGED)


def contains_answer(case: dict[str, Any], start: int, end: int, source: str) -> bool:
    """Return True if a span of a source contains the answer."""
    return any(source == name and start <= first and last <= end for name, first, last in case["gold"])


def has_answer(case: dict[str, Any]) -> bool:
    """Return True if one of the passages contains the answer."""
    return any(contains_answer(case, p.start, p.start + len(p.text), p.source) for p in build_passages(case))


def fit_logistic(rows: Any, labels: Any, weights: Any, *, ridge: float = 0.01) -> Any:
    """Return the coefficients of a logistic regression, the constant first, by Newton's method.

    Args:
        rows: One row of features per case.
        labels: 1 for answerable cases, else 0.
        weights: Weights of the cases.
        ridge: Penalty on the coefficients of standardized features.
    """
    mean, deviation = rows.mean(0), rows.std(0) + 1e-9
    design = np.c_[np.ones(len(rows)), (rows - mean) / deviation]
    weights = weights / weights.sum()
    penalty = ridge * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    coefficients = np.zeros(design.shape[1])

    def calculate_loss(at: Any) -> float:
        scores = design @ at
        return float(weights @ (np.logaddexp(0, scores) - labels * scores) + at @ penalty @ at / 2)

    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ coefficients, -30, 30)))
        slope = design.T @ (weights * (chance - labels)) + penalty @ coefficients
        curve = (
            (design * (weights * chance * (1 - chance))[:, None]).T @ design
            + penalty
            + 1e-9 * np.eye(len(coefficients))
        )
        step, rate = np.linalg.solve(curve, slope), 1.0
        # Far from the minimum a full step overshoots.
        while calculate_loss(coefficients - rate * step) > calculate_loss(coefficients) and rate > 1e-6:
            rate /= 2
        coefficients = coefficients - rate * step
    scaled = coefficients[1:] / deviation
    return np.r_[coefficients[0] - scaled @ mean, scaled]


def fit_softmax(groups: list[tuple[Any, Any]], *, ridge: float = 0.001, steps: int = 400) -> Any:
    """Return the coefficients that make the right rows of each group likeliest, by gradient descent (Adam)."""
    coefficients = np.zeros(groups[0][0].shape[1])
    first, second = np.zeros_like(coefficients), np.zeros_like(coefficients)
    for step in range(1, steps + 1):
        slope = ridge * coefficients
        for rows, right in groups:
            scores = np.exp(rows @ coefficients - (rows @ coefficients).max())
            slope = slope + rows.T @ (scores / scores.sum() - right / right.sum()) / len(groups)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        coefficients = coefficients - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return coefficients


def fit_spans(cases: list[dict[str, Any]]) -> dict[str, float]:
    """Return the weights of the features of sentences."""
    groups = []
    for case in cases:
        if case["half"] or not case["gold"] or case["retriever"] == "vectors":
            continue
        spans = collect_spans(build_passages(case))
        rows = compute_span_features(case["question"], spans)
        right = [_overlaps_answer(case, span) for span in spans]
        if any(right):
            groups.append((np.array([list(row.values()) for row in rows]), np.array(right, float)))
    return dict(zip(rows[0], [round(float(v), 3) for v in fit_softmax(groups)], strict=True))


def _overlaps_answer(case: dict[str, Any], span: Span) -> bool:
    start = span.passage.start + span.start
    end = start + len(span.text)
    return any(
        span.passage.source == name and first < end and start < last for name, first, last in case["gold"]
    ) and contains_answer(case, span.passage.start, span.passage.start + len(span.passage.text), span.passage.source)


def fit_judge(cases: list[dict[str, Any]], kind: str) -> dict[str, float]:
    """Return the coefficients of the confidence for one kind: with scores, without, or another language."""
    kept = [case for case in cases if case["half"] == 0 and is_usable(case, kind)]
    names = COEFFICIENTS[kind]
    rows = np.array([[get_signals(case).get(name, 0.0) for name in names] for case in kept])
    labels = np.array([float(bool(case["gold"])) for case in kept])
    sizes = Counter(case["group"] for case in kept)
    weights = np.array([GROUPS[case["group"]] / sizes[case["group"]] for case in kept])
    return dict(
        zip(["constant", *names], [round(float(v), 3) for v in fit_logistic(rows, labels, weights)], strict=True)
    )


def is_usable(case: dict[str, Any], kind: str) -> bool:
    """Return True if a case can be used for the fit. A case whose answer was not retrieved cannot."""
    if kind == "translated" and case["retriever"] == "words":
        return False
    return not case["gold"] or case["found"]


def get_signals(case: dict[str, Any]) -> dict[str, float]:
    """Return the signals of a case, which are computed once."""
    if "signals" not in case:
        case["signals"] = abstention.compute_signals(case["question"], build_passages(case))
    signals: dict[str, float] = case["signals"]
    return signals


def compute_confidences(cases: list[dict[str, Any]], coefficients: dict[str, float], **values: Any) -> Any:
    """Return the confidence of the cases that have the given values."""
    chosen = [case for case in cases if all(case[name] == value for name, value in values.items())]
    return np.array([abstention.calculate_probability(coefficients, get_signals(case)) for case in chosen])


def shift_constant(cases: list[dict[str, Any]], coefficients: dict[str, float]) -> dict[str, float]:
    """Return coefficients with the constant shifted so that the threshold is a confidence of 0.5.

    The threshold is the middle between two values on the fitted half: 96 % of the answerable questions of the field are
    above the first, and 98 % of the foreign questions are below the second.
    """
    own = compute_confidences(cases, coefficients, half=0, group="service-public answerable")
    foreign = compute_confidences(cases, coefficients, half=0, group="service-public foreign")
    high, low = calculate_logit(np.quantile(own, MAX_DECLINED)), calculate_logit(np.quantile(foreign, 1 - MAX_ANSWERED))
    return {**coefficients, "constant": round(coefficients["constant"] - (high + low) / 2, 3)}


def calculate_logit(chance: float) -> float:
    """Return the logarithm of the odds."""
    return math.log(chance / (1 - chance))


def report_declined(cases: list[dict[str, Any]], coefficients: dict[str, float], threshold: float) -> dict[str, Any]:
    """Return the declined share of each group of the measured half, by retriever."""
    figures: dict[str, Any] = {}
    for retriever in ("words", "vectors", "both"):
        for group in GROUPS:
            confidences = compute_confidences(cases, coefficients, half=1, group=group, retriever=retriever)
            if len(confidences):
                figures.setdefault(retriever, {})[group] = [
                    round(float((confidences < threshold).mean()), 3),
                    len(confidences),
                ]
    return figures


def write_calibration(path: Path, values: dict[str, Any]) -> None:
    """Write a calibration, and make the package read it again."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    calibration.load_calibration.cache_clear()
    calibration.weigh_word.cache_clear()


def read_cases(file: Path, data: Path) -> list[dict[str, Any]]:
    """Return the cases, from the file if it exists."""
    if not file.exists():
        with file.open("w", encoding="utf-8") as out:
            for case in retrieve_cases(data):
                out.write(json.dumps(case, ensure_ascii=False) + "\n")
    cases = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for case in cases:
        case["found"] = has_answer(case)
    return cases


def main() -> None:
    """Fit the weights and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=Path, default=Path("calibration-cases.jsonl"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    values: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    values["common"] = count_common_words(arguments.data)
    write_calibration(SHIPPED, values)  # the signals weigh words by it
    cases = read_cases(arguments.cases, arguments.data)
    say: Callable[[str], None] = print
    say(f"{len(cases)} cases, {len(values['common'])} common words")
    values["judge"] = {kind: shift_constant(cases, fit_judge(cases, kind)) for kind in COEFFICIENTS}
    values["spans"] = fit_spans(cases)
    values["threshold"] = THRESHOLD
    sizes = Counter((case["group"], case["half"]) for case in cases if case["retriever"] == "both")
    values["provenance"] = {
        "date": date.today().isoformat(),
        "script": "scripts/calibrate.py",
        "data": "PIAF 1.1 (MIT), service-public.fr questions of piaf-ml (MIT), half of SQuAD 2.0 dev (CC BY-SA 4.0)",
        "split": "by article, first byte of the SHA-256 of its title modulo 2: fitted on 0, measured on 1",
        "questions": {f"{group}, half {number}": count for (group, number), count in sorted(sizes.items())},
        "declined of half 1 (share, questions)": {
            kind: report_declined(cases, values["judge"][kind], THRESHOLD) for kind in ("scored", "unscored")
        },
    }
    write_calibration(arguments.out, values)
    say(json.dumps({k: v for k, v in values.items() if k != "common"}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
