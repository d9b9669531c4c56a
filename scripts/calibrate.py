"""Fits the weights in `langchain_gptoss/chatbot/calibration.json` on question sets.

    python scripts/calibrate.py --data DIR [--cases cases.jsonl] [--out calibration.json]

DIR holds PIAF, service-public.fr and half of SQuAD 2 (benchmarks/README.md, "Answers"). Each set is cut in two by the
name of the article: weights and thresholds are chosen on one half (0), and the other (1) is only measured. Questions
without an answer are PIAF's asked of service-public.fr, questions whose own article was left out of the index, and
SQuAD 2's adversarial ones. What the retrievers find is kept in `--cases`, which takes most of the time.
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
from langchain_gptoss.chatbot.grounding import passages as evidence
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
RETRIEVED, JUDGED = 10, 8  # passages kept in a case; as many as a chatbot with a small model takes
# What each group of questions counts in the fit: strangers' questions and those of the own field most.
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
# Shares of the answerable service-public.fr questions, and of the others asked of it, that may be on the wrong side.
MISTAKES, STRANGERS = 0.04, 0.02
THRESHOLD = 0.5


class Prepared(Embeddings):
    """Embeddings that know the questions beforehand: batches are faster, and each is searched for twice."""

    def __init__(self, embeddings: Embeddings, questions: Sequence[str]) -> None:
        self.embeddings = embeddings
        self.known = dict(zip(questions, embeddings.embed_documents(list(questions)), strict=True))

    def embed_query(self, text: str) -> list[float]:
        """Returns a question's vector."""
        return self.known[text]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Returns the vectors of passages."""
        return self.embeddings.embed_documents(texts)


def half(group: str) -> int:
    """Returns 0 for what is fitted on and 1 for what is measured."""
    return hashlib.sha256(group.encode()).digest()[0] % 2


def left_out(group: str) -> bool:
    """Returns whether an article is left out of the index, so that nothing answers its questions."""
    return hashlib.sha256(f"{group}x".encode()).digest()[0] % 3 == 0


def retrieve(
    name: str, documents: Sequence[Document], language: str, asked: Sequence[tuple[Question, str]]
) -> Iterator[dict[str, Any]]:
    """Yields a case for each question and each kind of retriever."""
    chunks = split_documents(documents)
    words_side = BM25Retriever.from_documents(chunks, language=language)
    store = FaissStore(Prepared(load_embeddings(EMBEDDINGS[language]), [question.text for question, _ in asked]))
    store.add_documents(chunks)
    retrievers = {
        "words": words_side,
        "vectors": store.as_retriever(),
        "both": HybridRetriever(retrievers=[words_side, store.as_retriever()], weights=[1.2, 1.0]),
    }
    if name != "service-public":
        retrievers = {"both": retrievers["both"]}  # one of them will do where two of the three groups are the same
    for question, kind in asked:
        for scores, retriever in retrievers.items():
            found = retriever.invoke(question.text, k=RETRIEVED)
            yield {
                "group": f"{name} {kind}",
                "half": half(question.group),
                "retriever": scores,
                "question": question.text,
                "gold": [[g.source, g.start, g.start + len(g.text)] for g in question.gold]
                if kind == "answerable"
                else [],
                "passages": [[d.page_content, d.metadata] for d in found],
            }


def cases(data: Path) -> Iterator[dict[str, Any]]:
    """Yields what the retrievers find for questions of all sets."""
    random_ = random.Random(6)
    sets = {name: read_questions(data / file) for name, (file, _) in FILES.items()}
    shuffled = {name: random_.sample(given.questions, len(given.questions)) for name, given in sets.items()}
    strangers = [q for q in shuffled["piaf"] if half(q.group) == 0][:500]
    strangers += [q for q in shuffled["piaf"] if half(q.group) == 1][:400]
    own = [(q, "answerable") for q in shuffled["service-public"]] + [(q, "foreign") for q in strangers]
    yield from retrieve("service-public", sets["service-public"].documents, "fr", own)
    squad = shuffled["squad2"]
    adversarial = [(q, "answerable") for q in squad if q.answerable][:500]
    adversarial += [(q, "adversarial") for q in squad if not q.answerable][:500]
    yield from retrieve("squad2", sets["squad2"].documents, "en", adversarial)
    for name, title, language, count in (("piaf", "piaf", "fr", 600), ("squad2", "squad2-absent", "en", 300)):
        articles = {g.source: q.group for q in sets[name].questions for g in q.gold}
        kept = [d for d in sets[name].documents if not left_out(articles.get(d.metadata["source"], ""))]
        asked = [(q, "answerable") for q in shuffled[name] if q.answerable and not left_out(q.group)][:count]
        asked += [(q, "absent") for q in shuffled[name] if left_out(q.group)][:count]
        yield from retrieve(title, kept, language, asked)


def common_words(data: Path) -> dict[str, float]:
    """Returns how many of a thousand questions of the fitted half hold a word; what is rarer than 0.5 is left out."""
    found: dict[str, float] = {}
    for names in (("piaf", "service-public"), ("squad2",)):
        asked = [q for name in names for q in read_questions(data / FILES[name][0]).questions if half(q.group) == 0]
        counts = Counter(
            stem for q in asked for stem in {word[: calibration.STEM] for word in extract_content_words(q.text)}
        )
        for stem, count in counts.items():
            rate = round(1000 * count / len(asked), 1)
            if rate >= 0.5 and not stem[0].isdigit():
                found[stem] = max(rate, found.get(stem, 0.0))
    return dict(sorted(found.items()))


def passages(case: dict[str, Any]) -> list[evidence.Passage]:
    """Returns a case's passages as the chatbot sees them."""
    documents = [Document(page_content=text, metadata=data) for text, data in case["passages"]]
    return evidence.collect_passages(documents, limit=JUDGED)


def holds_gold(case: dict[str, Any], start: int, end: int, source: str) -> bool:
    """Returns whether a stretch of a source holds the answer."""
    return any(source == name and start <= first and last <= end for name, first, last in case["gold"])


def found_gold(case: dict[str, Any]) -> bool:
    """Returns whether one of the passages holds the answer."""
    return any(holds_gold(case, p.start, p.start + len(p.text), p.source) for p in passages(case))


def logistic(rows: Any, labels: Any, weights: Any, *, ridge: float = 0.01) -> Any:
    """Returns coefficients, the constant first, by Newton's method; `ridge` holds those of standardised features."""
    mean, deviation = rows.mean(0), rows.std(0) + 1e-9
    design = np.c_[np.ones(len(rows)), (rows - mean) / deviation]
    weights = weights / weights.sum()
    penalty = ridge * np.eye(design.shape[1])
    penalty[0, 0] = 0.0
    found = np.zeros(design.shape[1])

    def loss(at: Any) -> float:
        scores = design @ at
        return float(weights @ (np.logaddexp(0, scores) - labels * scores) + at @ penalty @ at / 2)

    for _ in range(100):
        chance = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        slope = design.T @ (weights * (chance - labels)) + penalty @ found
        curve = (design * (weights * chance * (1 - chance))[:, None]).T @ design + penalty + 1e-9 * np.eye(len(found))
        step, rate = np.linalg.solve(curve, slope), 1.0
        while loss(found - rate * step) > loss(found) and rate > 1e-6:  # far from the minimum a whole step overshoots
            rate /= 2
        found = found - rate * step
    scaled = found[1:] / deviation
    return np.r_[found[0] - scaled @ mean, scaled]


def softmax_fit(groups: list[tuple[Any, Any]], *, ridge: float = 0.001, steps: int = 400) -> Any:
    """Returns coefficients under which the right rows of each group are the likeliest, by gradient descent (Adam)."""
    found = np.zeros(groups[0][0].shape[1])
    first, second = np.zeros_like(found), np.zeros_like(found)
    for step in range(1, steps + 1):
        slope = ridge * found
        for rows, right in groups:
            scores = np.exp(rows @ found - (rows @ found).max())
            slope = slope + rows.T @ (scores / scores.sum() - right / right.sum()) / len(groups)
        first, second = 0.9 * first + 0.1 * slope, 0.99 * second + 0.01 * slope**2
        found = found - 0.05 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.99**step)) + 1e-8)
    return found


def fit_spans(given: list[dict[str, Any]]) -> dict[str, float]:
    """Returns the weights of a sentence's features."""
    groups = []
    for case in given:
        if case["half"] or not case["gold"] or case["retriever"] == "vectors":
            continue
        spans = evidence.collect_spans(passages(case))
        rows = evidence.span_features(case["question"], spans)
        right = [_touches(case, span) for span in spans]
        if any(right):
            groups.append((np.array([list(row.values()) for row in rows]), np.array(right, float)))
    return dict(zip(rows[0], [round(float(v), 3) for v in softmax_fit(groups)], strict=True))


def _touches(case: dict[str, Any], span: evidence.Span) -> bool:
    start = span.passage.start + span.start
    end = start + len(span.text)
    return any(
        span.passage.source == name and first < end and start < last for name, first, last in case["gold"]
    ) and holds_gold(case, span.passage.start, span.passage.start + len(span.passage.text), span.passage.source)


def fit_judge(given: list[dict[str, Any]], kind: str) -> dict[str, float]:
    """Returns the coefficients of the confidence, for passages with scores, without, or in another language."""
    kept = [case for case in given if case["half"] == 0 and usable(case, kind)]
    names = COEFFICIENTS[kind]
    rows = np.array([[features(case).get(name, 0.0) for name in names] for case in kept])
    labels = np.array([float(bool(case["gold"])) for case in kept])
    sizes = Counter(case["group"] for case in kept)
    weights = np.array([GROUPS[case["group"]] / sizes[case["group"]] for case in kept])
    return dict(zip(["constant", *names], [round(float(v), 3) for v in logistic(rows, labels, weights)], strict=True))


def usable(case: dict[str, Any], kind: str) -> bool:
    """Returns whether a case can be fitted on: an answer that was not retrieved is no answer in these passages."""
    if kind == "translated" and case["retriever"] == "words":
        return False
    return not case["gold"] or case["found"]


def features(case: dict[str, Any]) -> dict[str, float]:
    """Returns the signals of a case, computed once."""
    if "signals" not in case:
        case["signals"] = abstention.signals(case["question"], passages(case))
    found: dict[str, float] = case["signals"]
    return found


def confidences(given: list[dict[str, Any]], coefficients: dict[str, float], **wanted: Any) -> Any:
    """Returns the confidence for the cases that have the values wanted."""
    chosen = [case for case in given if all(case[name] == value for name, value in wanted.items())]
    return np.array([abstention.logistic(coefficients, features(case)) for case in chosen])


def shifted(given: list[dict[str, Any]], coefficients: dict[str, float]) -> dict[str, float]:
    """Returns coefficients whose constant puts the limit between answering and declining at a confidence of one half.

    The limit lies in the middle between what 96 % of the own field's answerable questions reach and what 98 % of the
    strangers' questions fall short of, on the fitted half.
    """
    own = confidences(given, coefficients, half=0, group="service-public answerable")
    foreign = confidences(given, coefficients, half=0, group="service-public foreign")
    high, low = logit(np.quantile(own, MISTAKES)), logit(np.quantile(foreign, 1 - STRANGERS))
    return {**coefficients, "constant": round(coefficients["constant"] - (high + low) / 2, 3)}


def logit(chance: float) -> float:
    """Returns the logarithm of the odds."""
    return math.log(chance / (1 - chance))


def report(given: list[dict[str, Any]], coefficients: dict[str, float], limit: float) -> dict[str, Any]:
    """Returns the share that is declined of each group of the other half, by retriever."""
    figures: dict[str, Any] = {}
    for retriever in ("words", "vectors", "both"):
        for group in GROUPS:
            found = confidences(given, coefficients, half=1, group=group, retriever=retriever)
            if len(found):
                figures.setdefault(retriever, {})[group] = [round(float((found < limit).mean()), 3), len(found)]
    return figures


def write(path: Path, values: dict[str, Any]) -> None:
    """Writes a calibration, which the functions of the package read from then on."""
    path.write_text(json.dumps(values, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    calibration.calibration.cache_clear()
    calibration.word_weight.cache_clear()


def read_cases(file: Path, data: Path) -> list[dict[str, Any]]:
    """Returns what the retrievers find, from a file where it was kept before."""
    if not file.exists():
        with file.open("w", encoding="utf-8") as out:
            for case in cases(data):
                out.write(json.dumps(case, ensure_ascii=False) + "\n")
    found = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    for case in found:
        case["found"] = found_gold(case)
    return found


def main() -> None:
    """Fits and reports."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=Path, default=Path("calibration-cases.jsonl"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    given = parser.parse_args()
    values: dict[str, Any] = json.loads(SHIPPED.read_text(encoding="utf-8"))
    values["common"] = common_words(given.data)
    write(SHIPPED, values)  # signals weigh words by it
    found = read_cases(given.cases, given.data)
    say: Callable[[str], None] = print
    say(f"{len(found)} cases, {len(values['common'])} common words")
    values["judge"] = {kind: shifted(found, fit_judge(found, kind)) for kind in COEFFICIENTS}
    values["spans"] = fit_spans(found)
    limit = values["threshold"] = THRESHOLD
    sizes = Counter((case["group"], case["half"]) for case in found if case["retriever"] == "both")
    values["provenance"] = {
        "date": date.today().isoformat(),
        "script": "scripts/calibrate.py",
        "data": "PIAF 1.1 (MIT), service-public.fr questions of piaf-ml (MIT), half of SQuAD 2.0 dev (CC BY-SA 4.0)",
        "split": "by article, first byte of the SHA-256 of its title modulo 2: fitted on 0, measured on 1",
        "questions": {f"{group}, half {number}": count for (group, number), count in sorted(sizes.items())},
        "declined of half 1 (share, questions)": {
            kind: report(found, values["judge"][kind], limit) for kind in ("scored", "unscored")
        },
    }
    write(given.out, values)
    say(json.dumps({k: v for k, v in values.items() if k != "common"}, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
