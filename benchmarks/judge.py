"""Measure and fit the chatbot's judge: which questions are declined by the rules, and by rules and model together.

    python benchmarks/judge.py --data DIR --cache DIR2 [--model demo-large] [--only squad2,service-public]
                               [--questions 60] [--json F] [--save FILE]

DIR has the question sets of the table in benchmarks/README.md. The questions are those of the half of the articles that
is for development, answerable ones and others: SQuAD 2's own unanswerable questions, and PIAF's questions asked of
service-public.fr. The judge reads the sentences that are nearest to the question in what the retriever finds, as in the
chatbot; an answerable question whose answer the retriever does not find is left out. The questions about each article
are measured with the weights and the threshold that are fitted on all other articles. What the model says is kept in
DIR2, and is not asked again. `--save` writes the weights that are fitted on all articles.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from answer_cache import CachedRetriever
from answers import build_retriever, create_tasks
from decisions import compute_auroc

from langchain_gptoss import ChatGptOss
from langchain_gptoss._flow import run_flow
from langchain_gptoss.chatbot.grounding.abstention import judge as judge_by_rules
from langchain_gptoss.chatbot.grounding.calibration import load_calibration
from langchain_gptoss.chatbot.grounding.judge_weights import JudgeWeights
from langchain_gptoss.chatbot.grounding.passage_judge import PassageJudge, build_evidence
from langchain_gptoss.chatbot.grounding.passages import Passage, collect_passages, rank_spans
from langchain_gptoss.decisions import GptOssDecisions
from langchain_gptoss.evals import Question

MAX_PASSAGES = 8  # as in the chatbot
RIDGE = 0.02
DECLINED_BY_MISTAKE = 0.10  # share of the answerable questions that may be declined
# The sets have hardly any questions with the answer yes or no. Of 28 such questions about the sample handbook, this
# limit declines 6 of the 7 that it does not answer, and 1 of the 21 others.
CLOSED_THRESHOLD = 0.1
QUOTED_BY_MISTAKE = 0.10  # share of the other questions for which documents may be quoted
JUDGE_ALONE = JudgeWeights(
    weights={"constant": 0.0, "judge": 1.0}, threshold=0.5, closed_threshold=0.5, quote_threshold=0.5, provenance={}
)


@dataclass(frozen=True, kw_only=True)
class Row:
    """What rules and model say about one question.

    Attributes:
        set: Name of the question set.
        group: The article.
        question: The question.
        answerable: True if the passages answer it.
        rules: Confidence of the rules.
        judge: The model's probability that the passages answer the question.
    """

    set: str
    group: str
    question: str
    answerable: bool
    rules: float
    judge: float


def ask(judge: PassageJudge, question: str, passages: Sequence[Passage], language: str) -> tuple[float, float]:
    """Return what rules and model say about a question."""
    rules = judge_by_rules(question, passages, language=language).confidence
    spans = [span for span, _ in rank_spans([(question, 1.0)], passages, None)]
    return rules, run_flow(judge.judge(question, build_evidence(spans), 0.5, {})).probability


def has_gold(question: Question, passages: Sequence[Passage]) -> bool:
    """Return True if a passage has a part of a gold span."""
    return any(
        gold.source == passage.source
        and gold.start < passage.start + len(passage.text)
        and passage.start < gold.start + len(gold.text)
        for passage in passages
        for gold in question.gold
    )


def collect_rows(arguments: argparse.Namespace) -> list[Row]:
    """Return the rows of the file, after adding those that it lacks."""
    file: Path = arguments.cache / f"{arguments.model}-judge.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    rows = {(row.set, row.question): row for row in (Row(**json.loads(line)) for line in lines)}
    judge = PassageJudge(GptOssDecisions(llm=ChatGptOss(model=arguments.model)), JUDGE_ALONE)
    for task in create_tasks(arguments.data, arguments.questions, half=0):
        if task.name not in arguments.only.split(","):
            continue
        documents = CachedRetriever(partial(build_retriever, task), arguments.cache / f"{task.name}-documents.jsonl")
        for question in task.questions:
            passages = collect_passages(documents.invoke(question.text), limit=MAX_PASSAGES)
            if (task.name, question.text) in rows or (question.answerable and not has_gold(question, passages)):
                continue
            rules, probability = ask(judge, question.text, passages, task.language)
            row = Row(
                set=task.name,
                group=question.group,
                question=question.text,
                answerable=question.answerable,
                rules=rules,
                judge=probability,
            )
            rows[task.name, row.question] = row
            with file.open("a", encoding="utf-8") as stream:
                stream.write(f"{json.dumps(asdict(row), ensure_ascii=False)}\n")
    return list(rows.values())


def to_log_odds(probability: float) -> float:
    """Return the log odds of a probability."""
    probability = min(max(probability, 1e-6), 1 - 1e-6)
    return math.log(probability / (1 - probability))


def fit(features: Sequence[Mapping[str, float]], outcomes: Sequence[bool]) -> dict[str, float]:
    """Return the weights of a logistic regression on the log odds of probabilities, with a small penalty."""
    names = list(features[0])
    x = np.array([[1.0, *(to_log_odds(row[name]) for name in names)] for row in features])
    y, weights = np.array(outcomes, float), np.zeros(len(names) + 1)
    penalty = RIDGE * len(y) * np.diag([1e-6, *([1.0] * len(names))])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ weights))
        hessian = (x * (p * (1 - p))[:, None]).T @ x + penalty
        weights -= np.linalg.solve(hessian, x.T @ (p - y) + penalty @ weights)
    return {name: round(float(value), 3) for name, value in zip(["constant", *names], weights, strict=True)}


def choose_threshold(rows: Sequence[Row], weights: JudgeWeights) -> float:
    """Return the probability below which, with those that the rules decline, few answerable questions are declined."""
    answerable = [row for row in rows if row.answerable]
    accepted = [row for row in answerable if not is_declined_by_rules(row)]
    number = int(DECLINED_BY_MISTAKE * len(answerable)) - (len(answerable) - len(accepted))
    probabilities = sorted(weights.combine(rules=row.rules, judge=row.judge) for row in accepted)
    place = max(0, number)
    return round((probabilities[place] + probabilities[max(0, place - 1)]) / 2, 3)


def choose_quote_threshold(rows: Sequence[Row], weights: JudgeWeights) -> float:
    """Return the probability that few of the unanswerable questions of any set reach."""
    others = [row for row in rows if not row.answerable]
    sets = [[row for row in others if row.set == name] for name in {row.set for row in others}]
    limits = [
        np.quantile([weights.combine(rules=row.rules, judge=row.judge) for row in members], 1 - QUOTED_BY_MISTAKE)
        for members in sets
    ]
    return round(float(max(limits)), 3)


def is_declined_by_rules(row: Row) -> bool:
    """Return True if the rules decline a question whatever the model says."""
    return row.rules < load_calibration().reading_threshold


def fit_weights(rows: Sequence[Row]) -> JudgeWeights:
    """Return the weights and the thresholds, fitted on rows.

    The rules decline by themselves what they find nothing for. Their confidence has no weight beside the model's: it
    does not tell SQuAD 2's adversarial questions from others, and made the combination worse there.
    """
    outcomes = [row.answerable for row in rows]
    weights = {**fit([{"judge": row.judge} for row in rows], outcomes), "rules": 0.0}
    combined = JudgeWeights(weights=weights, threshold=0.5, closed_threshold=0.5, quote_threshold=0.5, provenance={})
    return replace(
        combined,
        threshold=choose_threshold(rows, combined),
        closed_threshold=CLOSED_THRESHOLD,
        quote_threshold=choose_quote_threshold(rows, combined),
    )


def measure_declining(declined: Sequence[bool], outcomes: Sequence[bool]) -> dict[str, float]:
    """Return which questions are declined, and the F1 of declining, for as many questions of both kinds."""
    mistakes = [d for d, y in zip(declined, outcomes, strict=True) if y]
    right = [d for d, y in zip(declined, outcomes, strict=True) if not y]
    hits = sum(right)
    return {
        "answerable": len(mistakes),
        "unanswerable": len(right),
        "answerable_declined": sum(mistakes) / len(mistakes),
        "unanswerable_declined": hits / len(right),
        "f1_of_declining": 2 * hits / (hits + len(right) + sum(mistakes)),
    }


def measure_rows(measured: Sequence[tuple[Row, JudgeWeights]]) -> dict[str, Any]:
    """Return the figures of rows, each with weights that were fitted on other rows."""
    outcomes = [row.answerable for row, _ in measured]
    combined = [weights.combine(rules=row.rules, judge=row.judge) for row, weights in measured]
    by_rules = [is_declined_by_rules(row) for row, _ in measured]
    by_both = [
        declined or probability < weights.threshold
        for declined, probability, (_, weights) in zip(by_rules, combined, measured, strict=True)
    ]
    quoted = [
        probability >= weights.quote_threshold for probability, (_, weights) in zip(combined, measured, strict=True)
    ]
    return {
        "quoted": {
            "answerable": np.mean([q for q, y in zip(quoted, outcomes, strict=True) if y]).item(),
            "unanswerable": np.mean([q for q, y in zip(quoted, outcomes, strict=True) if not y]).item(),
        },
        "auroc": {
            "rules": compute_auroc([row.rules for row, _ in measured], outcomes),
            "judge": compute_auroc([row.judge for row, _ in measured], outcomes),
            "both": compute_auroc(combined, outcomes),
        },
        "rules": measure_declining(by_rules, outcomes),
        "rules_and_judge": measure_declining(by_both, outcomes),
    }


def main() -> None:
    """Collect what is missing, fit, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True, help="folder for documents and what the model says")
    parser.add_argument("--model", default="demo-large", help="a name in the catalog, or a folder")
    parser.add_argument("--only", default="squad2,service-public", help="names of question sets, separated by commas")
    parser.add_argument("--questions", type=int, default=60, help="questions of each set and kind")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--save", type=Path, help="write the weights to this file")
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    rows = collect_rows(arguments)
    groups = sorted({row.group for row in rows})
    fitted = {group: fit_weights([row for row in rows if row.group != group]) for group in groups}
    names = sorted({row.set for row in rows})
    sets = {name: measure_rows([(row, fitted[row.group]) for row in rows if row.set == name]) for name in names}
    provenance = {"model": arguments.model, "questions": len(rows), "data": names, "date": date.today().isoformat()}
    weights = replace(fit_weights(rows), provenance={**provenance, "each_article_by_the_others": sets})
    result = asdict(weights)
    print(json.dumps(result, indent=2))
    for file in filter(None, (arguments.json, arguments.save)):
        file.write_text(f"{json.dumps(result, indent=2)}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
