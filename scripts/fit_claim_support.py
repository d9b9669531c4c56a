"""Fit the score of claim support, `langchain_gptoss/chatbot/grounding/claim_support.json`.

    python scripts/fit_claim_support.py --data DIR [--cases cases.jsonl] [--out claim_support.json]

DIR has AttributionBench (`attribution-dev.jsonl`): claims with references that do or do not support them. It is split
by the hash of the question: half 0 is fitted, half 1 is only measured. The claim pairs of the unit tests are fitted,
too, and their held-out file is only measured. MU-SHROOM (`mushroom-fr-val.jsonl`) cannot be used: its French answers
have marked errors, but no passages with which they could be compared. No text is stored, only coefficients and
figures; `--cases` keeps the features, because they take most of the time.

The model is a sum of small decision trees (scikit-learn) that never decreases if more of the claim is found, and never
increases with a conflict. A claim has several candidates for its evidence; the best one by the last model is fitted.
"""

import argparse
import hashlib
import json
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from langchain_core.documents import Document
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression

from langchain_gptoss import BM25Retriever
from langchain_gptoss.chatbot.grounding import claim_score
from langchain_gptoss.chatbot.grounding.cannot_find import is_cannot_find
from langchain_gptoss.chatbot.grounding.claim_support import HARD_CONFLICTS, MIN_LONG_CONTENT, compute_candidates
from langchain_gptoss.chatbot.grounding.claim_windows import WINDOW_SIZES
from langchain_gptoss.chatbot.grounding.conflicts import CONFLICT_KINDS
from langchain_gptoss.chatbot.grounding.passages import collect_passages, collect_spans
from langchain_gptoss.ingest import split_documents
from langchain_gptoss.text.sentences import find_sentences

SHIPPED = Path(claim_score.__file__).with_name("claim_support.json")
PAIRS = Path(__file__).parents[1] / "tests" / "unit_tests" / "chatbot" / "grounding" / "data"
PASSAGES = 8  # that a chatbot uses
FOLDS = 5
SELECTIONS = 2  # times that the best candidates are chosen anew
MAX_FALSE = 0.05  # share of the claims that are not attributable
PAIR_WEIGHT = 0.5  # pairs of one kind resemble each other
TREES = {"max_iter": 60, "max_depth": 3, "learning_rate": 0.06, "min_samples_leaf": 10, "l2_regularization": 1.0}

RISING = ["coverage", "anywhere", *(f"{name}_{size}" for name in ("window", "new", "pairs") for size in WINDOW_SIZES)]
FALLING = [
    "nowhere",
    *(f"{name}_{size}" for name in ("missing", "rarest", "names", "figures") for size in WINDOW_SIZES),
    *(f"conflict_{kind}" for kind in CONFLICT_KINDS),
]
FREE = ["length", "names", "figures", "question", "bare", "reading"]
FEATURES = [*RISING, *FALLING, *FREE]
DIRECTIONS = [1] * len(RISING) + [-1] * len(FALLING) + [0] * len(FREE)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A claim with the features of its candidates.

    Attributes:
        source: Data set of the claim; a claim pair has `pairs`.
        half: 0 for the fitted half, 1 for the measured one.
        fold: Number of the part that is left out together, by the question.
        supported: True if the claim is supported.
        candidates: Features of each candidate of each sentence.
    """

    source: str
    half: int
    fold: int
    supported: bool
    candidates: list[dict[str, float]]


def hash_question(question: str, place: int) -> int:
    """Return a byte of the hash of a question."""
    return hashlib.sha256(question.encode()).digest()[place]


def retrieve(question: str, references: Sequence[str]) -> list[Document]:
    """Return the passages of references that a chatbot with BM25 reads."""
    documents = [Document(text, metadata={"source": f"{number}.txt"}) for number, text in enumerate(references)]
    return BM25Retriever.from_documents(split_documents(documents)).invoke(question, k=PASSAGES)


def build_case(claim: str, question: str, documents: Sequence[Document], **values: Any) -> Case:
    """Return the case of a claim."""
    spans = [s for s in collect_spans(collect_passages(documents, limit=PASSAGES)) if not s.text.endswith("?")]
    candidates = [
        features
        for start, end in find_sentences(claim)
        for features in compute_candidates(claim[start:end], question, spans)
    ]
    fold = hash_question(question, 1) % FOLDS
    chosen = [{name: round(features[name], 4) for name in FEATURES} for features in candidates]
    return Case(fold=fold, candidates=chosen, **values)


def list_cases(data: Path) -> Iterator[Case]:
    """Yield the cases of all data sets."""
    from langchain_gptoss.chatbot.grounding.answer_stream import MARKER

    for line in (data / "attribution-dev.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield build_case(
            MARKER.sub("", row["claim"]),
            row["question"],
            retrieve(row["question"], row["references"]),
            source=row["src_dataset"],
            half=hash_question(row["question"], 0) % 2,
            supported=row["attribution_label"] == "attributable",
        )
    for half, name in enumerate(("claim_pairs", "claim_pairs_held_out")):
        for pair in tomllib.loads((PAIRS / f"{name}.toml").read_text(encoding="utf-8"))["pair"]:
            if not is_cannot_find(pair["claim"]):
                document = Document(pair["document"], metadata={"source": "a.md"})
                values = {"source": "pairs", "half": half, "supported": pair["supported"]}
                yield build_case(pair["claim"], pair["question"], [document], **values)


def read_cases(file: Path, data: Path) -> list[Case]:
    """Return the cases, from the file if it exists."""
    if not file.exists():
        lines = [json.dumps(asdict(case)) for case in list_cases(data)]
        file.write_text("\n".join(lines), encoding="utf-8")
    cases = [Case(**json.loads(line)) for line in file.read_text(encoding="utf-8").splitlines()]
    return [case for case in cases if case.candidates]


def build_rows(candidates: Sequence[dict[str, float]]) -> Any:
    """Return one row of features per candidate."""
    return np.array([[features[name] for name in FEATURES] for features in candidates])


def fit_trees(cases: Sequence[Case]) -> Any:
    """Return the trees, fitted on the best candidate of each case."""
    labels = [case.supported for case in cases]
    weights = [PAIR_WEIGHT if case.source == "pairs" else 1.0 for case in cases]
    chosen = [max(case.candidates, key=lambda c: c["coverage"] - 0.05 * count_conflicts(c)) for case in cases]
    for _ in range(SELECTIONS):
        trees = HistGradientBoostingClassifier(
            **TREES, early_stopping=False, monotonic_cst=DIRECTIONS, random_state=0
        ).fit(build_rows(chosen), labels, sample_weight=weights)
        scores = split_by_case(
            trees.decision_function(build_rows([c for case in cases for c in case.candidates])), cases
        )
        chosen = [case.candidates[int(np.argmax(score))] for case, score in zip(cases, scores, strict=True)]
    return trees


def count_conflicts(features: dict[str, float]) -> float:
    """Return the number of conflicts of a candidate."""
    return sum(features[f"conflict_{kind}"] for kind in CONFLICT_KINDS)


def split_by_case(values: Any, cases: Sequence[Case]) -> list[Any]:
    """Return the values of all candidates, by case."""
    return np.split(values, np.cumsum([len(case.candidates) for case in cases])[:-1])


def score_cases(trees: Any, cases: Sequence[Case]) -> list[Any]:
    """Return the log odds of the candidates of each case."""
    return split_by_case(trees.decision_function(build_rows([c for case in cases for c in case.candidates])), cases)


def score_left_out(cases: Sequence[Case]) -> list[Any]:
    """Return the log odds of each case by trees that were fitted without its fold."""
    scores: list[Any] = [None] * len(cases)
    for fold in range(FOLDS):
        places = [place for place, case in enumerate(cases) if case.fold == fold]
        trees = fit_trees([case for case in cases if case.fold != fold])
        for place, score in zip(places, score_cases(trees, [cases[place] for place in places]), strict=True):
            scores[place] = score
    return scores


def fit_calibration(cases: Sequence[Case], scores: Sequence[Any]) -> tuple[float, float]:
    """Return slope and constant that turn left-out log odds into probabilities."""
    best = np.array([[score.max()] for score in scores])
    weights = [PAIR_WEIGHT if case.source == "pairs" else 1.0 for case in cases]
    model = LogisticRegression(C=100.0).fit(best, [case.supported for case in cases], sample_weight=weights)
    return float(model.coef_[0, 0]), float(model.intercept_[0])


def export_trees(trees: Any, slope: float, constant: float) -> dict[str, Any]:
    """Return the trees as data, with calibrated leaves."""
    exported = []
    for (predictor,) in trees._predictors:
        nodes = [
            [round(slope * float(node["value"]), 4)]
            if node["is_leaf"]
            else [
                int(node["feature_idx"]),
                round(float(node["num_threshold"]), 5),
                int(node["left"]),
                int(node["right"]),
            ]
            for node in predictor.nodes
        ]
        exported.append(nodes)
    base = slope * float(np.ravel(trees._baseline_prediction)[0]) + constant
    return {"features": FEATURES, "base": round(base, 4), "trees": exported}


def is_supported(features: dict[str, float], probability: float, threshold: float, long_threshold: float) -> bool:
    """Return True if a candidate supports its claim, by the policy of `claim_support.py`."""
    if not count_conflicts(features):
        return probability >= threshold
    is_long = np.expm1(features["length"]) >= MIN_LONG_CONTENT - 0.01
    is_hard = any(features[f"conflict_{kind}"] for kind in HARD_CONFLICTS)
    return is_long and not is_hard and probability >= long_threshold


def measure(
    cases: Sequence[Case], scores: Sequence[Any], threshold: float, long_threshold: float
) -> tuple[float, float]:
    """Return the shares of supported and of other cases that are shown as supported."""
    shown = [
        any(is_supported(c, p, threshold, long_threshold) for c, p in zip(case.candidates, score, strict=True))
        for case, score in zip(cases, scores, strict=True)
    ]
    shares = [
        float(np.mean([s for s, case in zip(shown, cases, strict=True) if case.supported == truth] or [0.0]))
        for truth in (True, False)
    ]
    return round(shares[0], 3), round(shares[1], 3)


def choose_threshold(cases: Sequence[Case], scores: Sequence[Any]) -> float:
    """Return the lowest score of a true claim pair without conflicts: the score alone rejects none of them."""
    clean = [
        max((p for c, p in zip(case.candidates, score, strict=True) if not count_conflicts(c)), default=1.0)
        for case, score in zip(cases, scores, strict=True)
        if case.source == "pairs" and case.supported
    ]
    return round(float(min(clean)) - 0.005, 2)


def choose_long_threshold(cases: Sequence[Case], scores: Sequence[Any], threshold: float) -> float:
    """Return the threshold for long claims that keeps false support on the left-out folds below its limit."""
    rows = [(case, score) for case, score in zip(cases, scores, strict=True) if case.source != "pairs"]
    for long_threshold in np.arange(0.3, 1.0, 0.01):
        _, is_false = measure([c for c, _ in rows], [s for _, s in rows], threshold, float(long_threshold))
        if is_false <= MAX_FALSE:
            break
    return round(float(long_threshold), 2)


def main() -> None:
    """Fit the model and print the report."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cases", type=Path, default=Path("claim-cases.jsonl"))
    parser.add_argument("--out", type=Path, default=SHIPPED)
    arguments = parser.parse_args()
    say: Callable[[str], None] = print
    cases = read_cases(arguments.cases, arguments.data)
    fitted = [case for case in cases if case.half == 0]
    left_out = score_left_out(fitted)
    slope, constant = fit_calibration(fitted, left_out)
    trees = fit_trees(fitted)

    def calibrate(scores: Sequence[Any]) -> list[Any]:
        return [1 / (1 + np.exp(-(slope * score + constant))) for score in scores]

    threshold = choose_threshold(fitted, calibrate(score_cases(trees, fitted)))
    long_threshold = choose_long_threshold(fitted, calibrate(left_out), threshold)
    figures: dict[str, Any] = {}
    sources = sorted({case.source for case in cases} - {"pairs"})
    for half, scores in ((0, calibrate(left_out)), (1, calibrate(score_cases(trees, [c for c in cases if c.half])))):
        chosen = [case for case in cases if case.half == half]
        groups = {"AttributionBench": sources, **{source: [source] for source in sources}, "pairs": ["pairs"]}
        for name, members in groups.items():
            places = [place for place, case in enumerate(chosen) if case.source in members]
            part = [chosen[place] for place in places]
            true, false = measure(part, [scores[place] for place in places], threshold, long_threshold)
            figures.setdefault("left-out folds of half 0" if half == 0 else "half 1", {})[name] = {
                "supported": true,
                "falsely supported": false,
                "claims": len(part),
            }
    values = {
        "threshold": threshold,
        "long_threshold": long_threshold,
        **export_trees(trees, slope, constant),
        "provenance": {
            "date": date.today().isoformat(),
            "script": "scripts/fit_claim_support.py",
            "data": "AttributionBench, balanced development set (figures only), and the claim pairs of the unit tests",
            "split": "by question, first byte of its SHA-256 modulo 2: fitted on 0, measured on 1; pairs by file",
            "shares of the claims shown as supported": figures,
        },
    }
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in values.items()]
    arguments.out.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
    say(json.dumps({k: v for k, v in values.items() if k not in ("trees", "features")}, indent=1))


if __name__ == "__main__":
    main()
