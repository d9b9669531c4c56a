"""Measure decisions: accuracy, calibration and time of questions about a text whose answers are known.

    python benchmarks/decisions.py --data DIR [--model demo] [--only squad2,piaf] [--questions 200] [--json F]
                                   [--save CALIBRATION.json]

DIR has the question sets of the table in benchmarks/README.md. The questions are: does the passage answer a question
(SQuAD 2 in English, with its own unanswerable questions; PIAF in French, with questions about another passage of the
same article), and which of four articles a passage is from. The calibration is fitted on one half of the articles and
measured on the other half, together and for each set. `--model` is a name in the catalog or a folder.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import date
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from langchain_core.decisions import Choice, Noul
from langchain_core.documents import Document

from langchain_gptoss import ChatGptOss
from langchain_gptoss.decisions import (
    GptOssDecisions,
    LabelledDecision,
    build_reliability_table,
    compute_brier_score,
    compute_calibration_error,
    compute_log_loss,
    fit_calibration,
)
from langchain_gptoss.evals import Question, QuestionSet, read_questions

FILES = {"squad2": "squad2-dev-cs224n.json", "piaf": "piaf-v1.1.json"}
CHOICES = 4  # articles in a question of a choice
LATENCY_TEXTS = 8


def choose_half(group: str) -> int:
    """Return the half of the data to which an article belongs, as in benchmarks/answers.py."""
    return sha256(group.encode()).digest()[0] % 2


def ask_whether_answered(question: str) -> Noul:
    """Return the question whether a text answers a question."""
    return Noul(instructions=f"Does the text state the answer to this question: {question}")


def list_question_pairs(data: QuestionSet) -> Iterator[tuple[str, Question, str, bool]]:
    """Yield group, question, passage, and whether the passage answers it."""
    texts = {str(document.metadata["source"]): document.page_content for document in data.documents}
    by_group: dict[str, list[Question]] = {}
    for question in data.questions:
        by_group.setdefault(question.group, []).append(question)
    rng = random.Random(17)
    for group, members in by_group.items():
        answered = [question for question in members if question.answerable]
        sources = sorted({question.gold[0].source for question in answered})
        for question in answered:
            source = question.gold[0].source
            yield group, question, texts[source], True
            others = [other for other in sources if other != source]
            if others:
                yield group, question, texts[rng.choice(others)], False


def read_adversarial_questions(file: Path) -> Iterator[tuple[str, str, str, bool]]:
    """Yield group, question, passage, and whether the passage answers it, from a set with unanswerable questions."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            for entry in paragraph["qas"]:
                yield str(article["title"]), entry["question"], paragraph["context"], not entry["is_impossible"]


def build_yes_no_examples(name: str, data: Path, half: int, count: int) -> list[LabelledDecision]:
    """Return at most `count` yes/no questions of one half, as many with each answer."""
    file = data / FILES[name]
    if name == "squad2":
        rows = [(group, q, text, answer) for group, q, text, answer in read_adversarial_questions(file)]
    else:
        rows = [(group, q.text, text, answer) for group, q, text, answer in list_question_pairs(read_questions(file))]
    selected: list[LabelledDecision] = []
    for wanted in (True, False):
        members = [row for row in rows if row[3] == wanted and choose_half(row[0]) == half]
        for _, question, text, answer in random.Random(23).sample(members, min(count // 2, len(members))):
            selected.append(LabelledDecision(state=text, question=ask_whether_answered(question), answer=answer))
    return selected


def build_choice_examples(name: str, data: Path, half: int, count: int) -> list[LabelledDecision]:
    """Return at most `count` questions which article a passage is from."""
    questions = read_questions(data / FILES[name])
    texts = {str(document.metadata["source"]): document for document in questions.documents}
    groups: dict[str, list[Document]] = {}
    for question in (question for question in questions.questions if choose_half(question.group) == half):
        members = groups.setdefault(question.group, [])
        if question.gold and texts[question.gold[0].source] not in members:
            members.append(texts[question.gold[0].source])
    rng = random.Random(29)
    names = sorted(groups)
    pairs = [(group, document) for group in names for document in groups[group]]
    examples = []
    for group, document in rng.sample(pairs, min(count, len(pairs))):
        others = rng.sample([other for other in names if other != group], min(CHOICES - 1, len(names) - 1))
        labels = rng.sample([group, *others], len(others) + 1)
        choice = Choice(
            instructions="Which article is the text from?", criteria={label.replace("_", " "): None for label in labels}
        )
        examples.append(LabelledDecision(state=document.page_content, question=choice, answer=group.replace("_", " ")))
    return examples


def ask(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> list[Any]:
    """Return the answers to examples."""
    requests: list[Any] = [{"state": example.state, "questions": {"q": example.question}} for example in examples]
    return [response.answers["q"] for response in decisions.batch(requests, {"max_concurrency": 8})]


def measure_yes_no(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> dict[str, Any]:
    """Return accuracy and measures of calibration of yes/no questions."""
    probabilities = [answer.noul for answer in ask(decisions, examples)]
    outcomes = [bool(example.answer) for example in examples]
    right = sum((p >= 0.5) == y for p, y in zip(probabilities, outcomes, strict=True))
    table = build_reliability_table(probabilities, outcomes)
    return {
        "questions": len(examples),
        "accuracy": right / len(examples),
        "auroc": compute_auroc(probabilities, outcomes),
        "brier": compute_brier_score(probabilities, outcomes),
        "log_loss": compute_log_loss(probabilities, outcomes),
        "calibration_error": compute_calibration_error(probabilities, outcomes),
        "reliability": [asdict(entry) for entry in table if entry.count],
    }


def compute_auroc(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the share of pairs of a yes and a no question in which the yes question has the higher probability."""
    positives = [p for p, y in zip(probabilities, outcomes, strict=True) if y]
    negatives = [p for p, y in zip(probabilities, outcomes, strict=True) if not y]
    wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def measure_choices(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> dict[str, Any]:
    """Return accuracy and measures of the confidence of choices."""
    answers = ask(decisions, examples)
    outcomes = [answer.choice == example.answer for answer, example in zip(answers, examples, strict=True)]
    confidences = [answer.confidence for answer in answers]
    return {
        "questions": len(examples),
        "accuracy": sum(outcomes) / len(outcomes),
        "brier_of_confidence": compute_brier_score(confidences, outcomes),
        "calibration_error": compute_calibration_error(confidences, outcomes),
    }


def measure_latency(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> dict[str, Any]:
    """Return the time of a first question about a new text, of a further one, and of five at once, in seconds."""
    further = [ask_whether_answered(example) for example in ("Who wrote it?", "When was it?", "Where was it?")]
    first_s, second_s, five_s, tokens = [], [], [], []
    for number, example in enumerate(examples[:LATENCY_TEXTS]):
        text = f"({time.time_ns()} {number}) {example.state}"  # no other run has read it
        started = time.perf_counter()
        usage = decisions.invoke({"state": text, "questions": {"q": example.question}}).usage
        first_s.append(time.perf_counter() - started)
        tokens.append(usage["input_tokens"] if usage else 0)
        started = time.perf_counter()
        decisions.invoke({"state": text, "questions": {"q": further[0]}})
        second_s.append(time.perf_counter() - started)
        several = {f"q{index}": ask_whether_answered(f"What is meant by {index}?") for index in range(5)}
        started = time.perf_counter()
        decisions.invoke({"state": text, "questions": several})
        five_s.append(time.perf_counter() - started)
    return {
        "prompt_tokens": median(tokens),
        "first_question_s": median(first_s),
        "further_question_s": median(second_s),
        "five_further_questions_s": median(five_s),
    }


def main() -> None:
    """Fit on one half, measure on the other half, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="demo", help="a name in the catalog, or a folder")
    parser.add_argument("--only", default="squad2,piaf", help="names of question sets, separated by commas")
    parser.add_argument("--questions", type=int, default=200, help="maximum number of each kind, for fit and measure")
    parser.add_argument("--save", type=Path, help="write the calibration to this file")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    decisions = GptOssDecisions(llm=ChatGptOss(model=arguments.model))
    fitted_on = [
        example
        for name in names
        for build in (build_yes_no_examples, build_choice_examples)
        for example in build(name, arguments.data, 0, arguments.questions)
    ]
    provenance = {"data": names, "split": "articles of half 0", "date": date.today().isoformat()}
    calibration = fit_calibration(decisions, fitted_on, provenance=provenance)
    result: dict[str, Any] = {"machine": platform.platform(), "calibration": asdict(calibration), "sets": {}}
    calibrated = decisions.model_copy(update={"calibration": calibration})
    for name in names:
        yes_no = build_yes_no_examples(name, arguments.data, 1, arguments.questions)
        choices = build_choice_examples(name, arguments.data, 1, arguments.questions)
        result["sets"][name] = {
            "yes_no": measure_yes_no(decisions, yes_no),
            "yes_no_calibrated": measure_yes_no(calibrated, yes_no),
            "choice": measure_choices(decisions, choices),
            "choice_calibrated": measure_choices(calibrated, choices),
            "latency": measure_latency(decisions, yes_no),
        }
    print(json.dumps(result, indent=2))
    if arguments.save:
        calibration.save(arguments.save)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
