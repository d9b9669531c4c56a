"""Fit the score of answers that repeat their question (`chatbot/grounding/restated_answers.json`).

    python scripts/fit_restated_answers.py --data DIR [--count 250] [--write]

DIR has SQuAD 2 and PIAF as in the table in benchmarks/README.md. Right answers are the sets' own; wrong ones are the
plausible answers that SQuAD 2 names for its unanswerable questions, and the answers of other questions about the same
passage. A chat model writes whole sentences, so the answers are put into the words of their questions. The model is
fitted on half 0 of the articles and measured on half 1 (the hash of their titles).
"""

import argparse
import json
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding import restated_answers
from langchain_gptoss.chatbot.grounding.claim_support import compute_restatement_candidates, judge_claim
from langchain_gptoss.chatbot.grounding.passages import collect_passages, collect_spans

TARGET = Path(restated_answers.__file__).with_suffix(".json")
SETS = ("squad2-dev-cs224n.json", "piaf-v1.1.json")
MIN_RECALL = 0.9  # of the right answers that can be judged at all
RIDGE = 1.0
STEPS = 40
_ASKING = re.compile(
    r"^\W*(?:(?:in|at|on|by|from|to|for|of|during|with|à|de|dans|en|par|pour|depuis)\s+)?"
    r"(?:how (?:many|much|long|old|far|often)|how|what|which|who|whom|whose|when|where|why|combien(?: de| d['’])?|quand"
    r"|quel(?:le)?s?|où|qui|comment|pourquoi|qu['’]est-ce qu(?:i|e|['’])|que|qu['’])\b"
    r"(?:\s*(?:did|does|do|est-ce qu(?:e|['’])))?\s*",
    re.IGNORECASE,
)
# The verb follows: "Who wrote it?", "What causes rain?".
_ASKS_SUBJECT = re.compile(
    r"^\W*(?:who|what|qui|qu['’]est-ce qui)\s+(?!(?:did|do|does|is|are|was|were|est|sont)\b)", re.I
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """An answer to a question about a passage."""

    kind: str
    question: str
    answer: str
    passage: str

    @property
    def is_right(self) -> bool:
        """True for an answer of the set itself."""
        return self.kind.startswith("right")


def read_cases(file: Path, half: int) -> Iterator[Case]:
    """Yield the answers of half the articles."""
    name = file.stem.split("-")[0]
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            text, questions = paragraph["context"], paragraph["qas"]
            if sha256((article.get("title") or text).encode()).digest()[0] % 2 != half:
                continue
            answered = [each for each in questions if each["answers"] and not each.get("is_impossible")]
            for number, each in enumerate(answered):
                answer, question = each["answers"][0]["text"], each["question"].strip()
                yield Case(kind=f"right {name}", question=question, answer=answer, passage=text)
                other = answered[(number + 1) % len(answered)]["answers"][0]["text"]
                if not set(other.lower().split()) & set(answer.lower().split()):
                    yield Case(kind=f"other {name}", question=question, answer=other, passage=text)
            for each in questions:
                for plausible in each.get("plausible_answers", [])[:1]:
                    question = each["question"].strip()
                    yield Case(kind=f"plausible {name}", question=question, answer=plausible["text"], passage=text)


def restate(question: str, answer: str) -> str:
    """Return an answer as a sentence that repeats its question; its grammar may be wrong, its words are right."""
    rest = _ASKING.sub("", question.rstrip("?! "), count=1).strip()
    is_subject = _ASKS_SUBJECT.match(question) is not None
    words = [answer.rstrip(". "), rest] if is_subject else [rest, answer.rstrip(". ")]
    sentence = " ".join(filter(None, words))
    return f"{sentence[:1].upper()}{sentence[1:]}."


def sample_cases(data: Path, half: int, count: int) -> list[Case]:
    """Return up to `count` answers of each kind, always the same ones."""
    cases = [case for name in SETS for case in read_cases(data / name, half)]
    kinds = sorted({case.kind for case in cases})
    groups = [[case for case in cases if case.kind == kind] for kind in kinds]
    return [case for group in groups for case in random.Random(3).sample(group, min(count, len(group)))]


def compute(case: Case) -> tuple[bool, list[dict[str, float]]]:
    """Return whether the rules alone support an answer, and the features of each piece of evidence."""
    spans = collect_spans(collect_passages([Document(case.passage, metadata={"source": "passage"})], limit=1))
    sentence = restate(case.question, case.answer)
    verdict = judge_claim(sentence, case.question, spans, accepts_restatements=False).verdict
    return verdict == "supported", compute_restatement_candidates(sentence, case.question, spans)


def fit(rows: np.ndarray[Any, Any], labels: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Return the coefficients of a logistic regression with a ridge, by Newton's method."""
    weights = np.zeros(rows.shape[1])
    for _ in range(STEPS):
        chance = 1 / (1 + np.exp(-rows @ weights))
        gradient = rows.T @ (chance - labels) + RIDGE * weights
        hessian = (rows * (chance * (1 - chance))[:, None]).T @ rows + RIDGE * np.eye(len(weights))
        weights -= np.linalg.solve(hessian, gradient)
    return weights


def main() -> None:
    """Fit on half 0, print the rates on both halves, and write the model if asked."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--count", type=int, default=250, help="answers of each kind")
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    halves = [[(case, *compute(case)) for case in sample_cases(options.data, half, options.count)] for half in (0, 1)]
    names = [*next(each for _, _, found in halves[0] for each in found), "constant"]
    chosen = [(case, choose(found)) for case, _, found in halves[0] if found]
    rows = np.array([[features.get(name, 1.0) for name in names] for _, features in chosen])
    weights = fit(rows, np.array([float(case.is_right) for case, _ in chosen]))
    coefficients = {name: round(float(weight), 3) for name, weight in zip(names, weights, strict=True)}
    model = restated_answers.RestatementModel(threshold=0.5, coefficients=coefficients, provenance={})
    right = sorted(max(map(model.calculate, found)) for case, _, found in halves[0] if case.is_right and found)
    threshold = round(right[int(len(right) * (1 - MIN_RECALL))], 3)
    rates: dict[str, dict[str, str]] = {}
    for half, cases in enumerate(halves):
        for kind in sorted({case.kind for case, *_ in cases}):
            group = [(rules, found) for case, rules, found in cases if case.kind == kind]
            before = sum(rules for rules, _ in group)
            after = sum(rules or any(model.calculate(each) >= threshold for each in found) for rules, found in group)
            rates[f"half {half}, {kind}"] = {"rules": f"{before}/{len(group)}", "both": f"{after}/{len(group)}"}
    provenance = {"data": "SQuAD 2 (half of dev), PIAF 1.1", "date": date.today().isoformat(), "supported": rates}
    text = json.dumps({"threshold": threshold, "coefficients": coefficients, "provenance": provenance}, indent=1)
    print(text)
    if options.write:
        TARGET.write_text(text + "\n", encoding="utf-8")


def choose(found: list[dict[str, float]]) -> dict[str, float]:
    """Return the evidence that has most of the question; the fit sees one piece of each answer."""
    return max(found, key=lambda features: features["around"])


if __name__ == "__main__":
    main()
