"""Measure decisions: accuracy, calibration and time of questions about a text whose answers are known.

    python benchmarks/decisions.py --data DIR [--model demo] [--only squad2,piaf] [--questions 100] [--json F]
                                   [--answers ANSWERS.jsonl] [--save CALIBRATION.json] [--latency]

DIR has the question sets of the table in benchmarks/README.md. The questions are: does the passage answer a question
(SQuAD 2 in English, with its own unanswerable questions; PIAF in French, with questions about another passage of the
same article that does not contain their answer), and which of four articles a passage is from. Each half of the
articles is measured with the calibration that is fitted on the other half of all sets; `--save` writes the one that is
fitted on both halves. Several questions are asked about each passage, because it is read once for all of them.
`--model` is a name in the catalog or a folder. The model's answers are kept in ANSWERS.jsonl, and a question with an
answer there is not asked again.
"""

import argparse
import json
import math
import platform
import random
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date
from hashlib import sha256
from pathlib import Path
from statistics import median
from typing import Any

from langchain_core.decisions import Answer, BoxAnswer, Choice, Noul, NoulAnswer
from pydantic import TypeAdapter

from langchain_gptoss import ChatGptOss
from langchain_gptoss.decisions import (
    DecisionCalibration,
    GptOssDecisions,
    LabelledDecision,
    build_reliability_table,
    compute_brier_score,
    compute_calibration_error,
    compute_log_loss,
    fit_calibration,
)
from langchain_gptoss.decisions.calibration import calculate_probabilities
from langchain_gptoss.evals import Question, read_questions

FILES = {"squad2": "squad2-dev-cs224n.json", "piaf": "piaf-v1.1.json"}
CHOICES = 4  # articles in a question of a choice
QUESTIONS_PER_ANSWER = 2  # about one passage
LATENCY_TEXTS = 8
BINS = 5
ANSWER: TypeAdapter[Answer] = TypeAdapter(Answer)


@dataclass(frozen=True, kw_only=True)
class PassageQuestions:
    """A passage and questions about it.

    Attributes:
        group: The article.
        text: The passage.
        questions: Each question, and whether the passage answers it.
    """

    group: str
    text: str
    questions: Sequence[tuple[str, bool]]


def choose_half(group: str) -> int:
    """Return the half of the data to which an article belongs, as in benchmarks/answers.py."""
    return sha256(group.encode()).digest()[0] % 2


def ask_whether_answered(question: str) -> Noul:
    """Return the question whether a text answers a question."""
    return Noul(instructions=f"Does the text state the answer to this question: {question}")


def read_adversarial_questions(file: Path) -> Iterator[PassageQuestions]:
    """Yield the passages of a set with unanswerable questions."""
    for article in json.loads(file.read_text(encoding="utf-8"))["data"]:
        for paragraph in article["paragraphs"]:
            pairs = [(entry["question"], not entry["is_impossible"]) for entry in paragraph["qas"]]
            yield PassageQuestions(group=str(article["title"]), text=paragraph["context"], questions=pairs)


def pair_with_other_passages(file: Path) -> Iterator[PassageQuestions]:
    """Yield the passages of a set without unanswerable questions.

    The unanswerable ones are those about other passages of the article whose answer is not in the passage.
    """
    data = read_questions(file)
    texts = {str(document.metadata["source"]): document.page_content for document in data.documents}
    by_group: dict[str, list[Question]] = {}
    for question in data.questions:
        by_group.setdefault(question.group, []).append(question)
    for group, members in by_group.items():
        for source in sorted({question.gold[0].source for question in members if question.gold}):
            text = texts[source]
            pairs = [(question.text, question.gold[0].source == source) for question in members if question.gold]
            lacking = {q.text for q in members if not any(g.text.lower() in text.lower() for g in q.gold)}
            kept = [(question, answer) for question, answer in pairs if answer or question in lacking]
            yield PassageQuestions(group=group, text=text, questions=kept)


def read_passages(name: str, data: Path, half: int) -> list[PassageQuestions]:
    """Return the passages of one half."""
    read = read_adversarial_questions if name == "squad2" else pair_with_other_passages
    return [passage for passage in read(data / FILES[name]) if choose_half(passage.group) == half]


def build_examples(name: str, data: Path, half: int, count: int) -> list[LabelledDecision]:
    """Return about `count` yes/no questions of one half, as many with each answer, and a choice for each passage."""
    passages = read_passages(name, data, half)
    rng = random.Random(23)
    groups = sorted({passage.group for passage in passages})
    examples: list[LabelledDecision] = []
    asked = 0
    for passage in rng.sample(passages, len(passages)):
        kinds = [[q for q, answer in passage.questions if answer == wanted] for wanted in (True, False)]
        number = min(QUESTIONS_PER_ANSWER, *(len(kind) for kind in kinds))
        if number and asked < count:
            asked += 2 * number
            for kind, answer in zip(kinds, (True, False), strict=True):
                examples += [
                    LabelledDecision(state=passage.text, question=ask_whether_answered(question), answer=answer)
                    for question in rng.sample(kind, number)
                ]
            examples.append(build_choice(passage, groups, rng))
    return examples


def build_choice(passage: PassageQuestions, groups: Sequence[str], rng: random.Random) -> LabelledDecision:
    """Return the question which of some articles a passage is from."""
    others = rng.sample([group for group in groups if group != passage.group], min(CHOICES, len(groups)) - 1)
    labels = [label.replace("_", " ") for label in rng.sample([passage.group, *others], len(others) + 1)]
    choice = Choice(instructions="Which article is the text from?", criteria=dict.fromkeys(labels))
    return LabelledDecision(state=passage.text, question=choice, answer=passage.group.replace("_", " "))


class AnswerFile:
    """The model's own probabilities by text and question, kept in a file.

    Args:
        decisions: The model, without a calibration.
        file: The file; None keeps nothing.
    """

    def __init__(self, decisions: GptOssDecisions, file: Path | None) -> None:
        self._decisions = decisions
        self._file = file
        lines = file.read_text(encoding="utf-8").splitlines() if file is not None and file.exists() else []
        self._known: dict[str, Any] = dict(json.loads(line) for line in lines)

    def ask(self, examples: Sequence[LabelledDecision]) -> list[Answer]:
        """Return the answers; the questions about one text are asked together."""
        keys = [self._build_key(example) for example in examples]
        missing: dict[str, dict[str, LabelledDecision]] = {}
        for key, example in zip(keys, examples, strict=True):
            if key not in self._known:
                missing.setdefault(str(example.state), {})[key] = example
        for state, members in missing.items():
            questions: Mapping[str, Any] = {key: example.question for key, example in members.items()}
            answers = self._decisions.invoke({"state": state, "questions": questions}).answers
            self._add({key: answer.model_dump(mode="json") for key, answer in answers.items()})
        return [ANSWER.validate_python(self._known[key]) for key in keys]

    def _add(self, answers: Mapping[str, Any]) -> None:
        self._known.update(answers)
        if self._file is not None:
            with self._file.open("a", encoding="utf-8") as stream:
                stream.writelines(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in answers.items())

    def _build_key(self, example: LabelledDecision) -> str:
        text = f"{self._decisions.model}\0{example.state}\0{example.question.model_dump_json()}"
        return sha256(text.encode()).hexdigest()[:20]


def calibrate(answer: Answer, calibration: DecisionCalibration | None) -> list[float]:
    """Return the probabilities of an answer, in the order of its labels, calibrated if a calibration is given."""
    if isinstance(answer, BoxAnswer):
        raise TypeError("A BoxAnswer has no probabilities.")
    shares = [answer.noul, 1 - answer.noul] if isinstance(answer, NoulAnswer) else list(answer.probabilities.values())
    return calculate_probabilities(answer.type, [math.log(max(share, 1e-15)) for share in shares], calibration)


def measure_yes_no(probabilities: Sequence[float], outcomes: Sequence[bool]) -> dict[str, Any]:
    """Return accuracy and measures of calibration of yes/no questions."""
    right = sum((p >= 0.5) == y for p, y in zip(probabilities, outcomes, strict=True))
    table = build_reliability_table(probabilities, outcomes, bins=BINS)
    return {
        "questions": len(outcomes),
        "accuracy": right / len(outcomes),
        "auroc": compute_auroc(probabilities, outcomes),
        "brier": compute_brier_score(probabilities, outcomes),
        "log_loss": compute_log_loss(probabilities, outcomes),
        "calibration_error": compute_calibration_error(probabilities, outcomes, bins=BINS),
        "reliability": [asdict(entry) for entry in table if entry.count],
    }


def compute_auroc(probabilities: Sequence[float], outcomes: Sequence[bool]) -> float:
    """Return the share of pairs of a yes and a no question in which the yes question has the higher probability."""
    positives = [p for p, y in zip(probabilities, outcomes, strict=True) if y]
    negatives = [p for p, y in zip(probabilities, outcomes, strict=True) if not y]
    wins = sum((p > n) + (p == n) / 2 for p in positives for n in negatives)
    return wins / (len(positives) * len(negatives))


def measure_choices(rows: Sequence[Sequence[float]], places: Sequence[int]) -> dict[str, Any]:
    """Return accuracy and measures of the confidence of choices.

    Args:
        rows: The probabilities of the labels of each question.
        places: The place of the right label of each question.
    """
    outcomes = [row[place] == max(row) for row, place in zip(rows, places, strict=True)]
    confidences = [max(row) for row in rows]
    table = build_reliability_table(confidences, outcomes, bins=BINS)
    return {
        "questions": len(outcomes),
        "accuracy": sum(outcomes) / len(outcomes),
        "brier_of_confidence": compute_brier_score(confidences, outcomes),
        "calibration_error": compute_calibration_error(confidences, outcomes, bins=BINS),
        "reliability": [asdict(entry) for entry in table if entry.count],
    }


def measure_set(answered: Sequence[tuple[LabelledDecision, Answer, DecisionCalibration]]) -> dict[str, Any]:
    """Return the figures of the examples of one set, without and with a calibration.

    Args:
        answered: Examples, the model's own answers, and the calibrations that were fitted on other examples.
    """
    figures = {}
    for name in ("", "_calibrated"):
        yes_no: list[tuple[float, bool]] = []
        choices: list[tuple[list[float], int]] = []
        for example, answer, calibration in answered:
            row = calibrate(answer, calibration if name else None)
            if isinstance(example.question, Choice):
                choices.append((row, list(example.question.criteria).index(str(example.answer))))
            else:
                yes_no.append((row[0], bool(example.answer)))
        figures[f"yes_no{name}"] = measure_yes_no([p for p, _ in yes_no], [y for _, y in yes_no])
        figures[f"choice{name}"] = measure_choices([row for row, _ in choices], [place for _, place in choices])
    return figures


def measure_latency(decisions: GptOssDecisions, examples: Sequence[LabelledDecision]) -> dict[str, Any]:
    """Return the time of a first question about a new text, of a further one, and of five at once, in seconds."""
    further = ask_whether_answered("Who wrote it?")
    first_s, second_s, five_s, tokens = [], [], [], []
    for number, example in enumerate(examples[:LATENCY_TEXTS]):
        text = f"({time.time_ns()} {number}) {example.state}"  # no other run has read it
        started = time.perf_counter()
        usage = decisions.invoke({"state": text, "questions": {"q": example.question}}).usage
        first_s.append(time.perf_counter() - started)
        tokens.append(usage["input_tokens"] if usage else 0)
        started = time.perf_counter()
        decisions.invoke({"state": text, "questions": {"q": further}})
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
    """Ask, fit, measure, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default="demo", help="a name in the catalog, or a folder")
    parser.add_argument("--only", default="squad2,piaf", help="names of question sets, separated by commas")
    parser.add_argument("--questions", type=int, default=100, help="yes/no questions of each set and half")
    parser.add_argument("--answers", type=Path, help="keep the model's answers in this file")
    parser.add_argument("--save", type=Path, help="write the calibration to this file")
    parser.add_argument("--latency", action="store_true", help="measure the time of questions, too")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    names = arguments.only.split(",")
    decisions = GptOssDecisions(llm=ChatGptOss(model=arguments.model), calibration=None)
    answers = AnswerFile(decisions, arguments.answers)
    examples = {
        (name, half): build_examples(name, arguments.data, half, arguments.questions)
        for name in names
        for half in (0, 1)
    }
    given = {key: answers.ask(members) for key, members in examples.items()}

    def fit(halves: Sequence[int]) -> DecisionCalibration:
        keys = [(name, half) for name in names for half in halves]
        return fit_calibration(
            decisions,
            [example for key in keys for example in examples[key]],
            answers=[answer for key in keys for answer in given[key]],
            provenance={"data": names, "halves": list(halves), "date": date.today().isoformat()},
        )

    fitted_on = {half: fit([half]) for half in (0, 1)}
    calibration = fit([0, 1])
    result: dict[str, Any] = {"machine": platform.platform(), "calibration": asdict(calibration), "sets": {}}
    for name in names:
        result["sets"][name] = measure_set(
            [
                (example, answer, fitted_on[1 - half])
                for half in (0, 1)
                for example, answer in zip(examples[name, half], given[name, half], strict=True)
            ]
        )
        if arguments.latency:
            result["sets"][name]["latency"] = measure_latency(decisions, examples[name, 1])
    print(json.dumps(result, indent=2))
    if arguments.save:
        calibration.save(arguments.save)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
