"""Measure the chatbot's answers: valid citations, declined questions, and the time per question.

    python benchmarks/answers.py --data DIR [--only service-public,squad2] [--questions 200] [--model none]
                                [--answers DIR2] [--json F]

DIR has the question sets of the table in benchmarks/README.md. The stack is that of the demo, offline: the demo model,
and BM25 and the demo's embeddings in one hybrid retriever. Only questions of the half on which the abstention was not
fitted (scripts/calibrate.py) are asked. The exception is service-public.fr: all of its 105 questions are asked, and its
figures are also shown for that half. Answers are stored in DIR2; a question with a stored answer is not asked again.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import sha256
from pathlib import Path
from typing import Any

from langchain_core.language_models.chat_models import BaseChatModel, SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss import BM25Retriever, ChatGptOss, FaissStore, HybridRetriever, create_chatbot, load_embeddings
from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.evals import EvaluationReport, Question, evaluate, read_questions
from langchain_gptoss.evals.evaluation import summarize
from langchain_gptoss.ingest import split_documents

WEIGHTS = [1.2, 1.0]  # of BM25 and embeddings, as in benchmarks/retrieval.py
EMBEDDINGS = {"fr": "demo-multilingual", "en": "demo"}
GOALS = {"citation_validity": 1.0, "gold_in_cited_passage": 0.80, "decline_recall": 0.95, "declined_by_mistake": 0.05}


class EmptyAnswerModel(SimpleChatModel):
    """A model without an answer: declining and quoting are measured without a real model, and quickly."""

    @property
    def _llm_type(self) -> str:
        return "silent"

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        return "-"


@dataclass(frozen=True, kw_only=True)
class Task:
    """Questions about one corpus.

    Attributes:
        name: Name of the corpus.
        language: Language of the corpus.
        file: The question set whose passages are searched.
        questions: The questions.
    """

    name: str
    language: str
    file: Path
    questions: Sequence[Question]


def choose_half(group: str) -> int:
    """Return the half of the data to which an article belongs, as in scripts/calibrate.py."""
    return sha256(group.encode()).digest()[0] % 2


def sample_questions(questions: Sequence[Question], count: int) -> list[Question]:
    """Return a sample of the questions of the measured half, always the same one."""
    measured = [question for question in questions if choose_half(question.group) == 1]
    return random.Random(11).sample(measured, min(count, len(measured)))


def create_tasks(data: Path, count: int) -> list[Task]:
    """Return the tasks, with at most `count` questions of each kind."""
    sheets, squad = data / "spf-qr-test-fr.json", data / "squad2-dev-cs224n.json"
    foreign = [
        replace(question, answerable=False, gold=(), group="piaf")
        for question in sample_questions(read_questions(data / "piaf-v1.1.json").questions, count)
    ]
    own = list(read_questions(sheets).questions)
    own = own if count >= len(own) else random.Random(11).sample(own, count)
    asked = read_questions(squad).questions
    mixed = [sample_questions([q for q in asked if q.answerable == answerable], count) for answerable in (True, False)]
    return [
        Task(name="service-public", language="fr", file=sheets, questions=[*own, *foreign]),
        Task(name="squad2", language="en", file=squad, questions=[*mixed[0], *mixed[1]]),
    ]


def build_retriever(task: Task) -> tuple[BaseRetriever, dict[str, str]]:
    """Return the hybrid retriever over a task's passages, and the full text of each source."""
    documents = read_questions(task.file).documents
    chunks = split_documents(documents)
    store = FaissStore(load_embeddings(EMBEDDINGS[task.language]))
    store.add_documents(chunks)
    retrievers = [BM25Retriever.from_documents(chunks, language=task.language), store.as_retriever()]
    texts = {str(document.metadata["source"]): document.page_content for document in documents}
    return HybridRetriever(retrievers=retrievers, weights=WEIGHTS), texts


def create_progress_printer(name: str, total: int) -> Any:
    """Return a function that prints the progress after every 25 questions."""
    started = time.perf_counter()

    def print_progress(number: int, _output: ChatbotOutput) -> None:
        if number % 25 == 0:
            print(f"  {name}: {number} of {total}, {time.perf_counter() - started:.0f} s", flush=True)

    return print_progress


def summarize_part(report: EvaluationReport, texts: dict[str, str], keep: Any) -> dict[str, Any]:
    """Return the figures of the questions for which `keep` returns True."""
    rows = [row for row in zip(report.questions, report.outputs, report.durations_s, strict=True) if keep(row[0])]
    questions, outputs, seconds = zip(*rows, strict=True) if rows else ((), (), ())
    return summarize(questions, outputs, seconds, texts=texts).to_dict()


def measure(task: Task, llm: BaseChatModel, answers: Path) -> dict[str, Any]:
    """Ask the questions of a task and return the figures."""
    retriever, texts = build_retriever(task)
    bot = create_chatbot(llm, retriever, language=task.language, focus=1)
    report = evaluate(
        bot,
        task.questions,
        texts=texts,
        answers_file=answers / f"{task.name}-{llm._llm_type}.jsonl",
        on_answer=create_progress_printer(task.name, len(task.questions)),
    )
    figures = {"all": report.to_dict()}
    if task.name == "service-public":
        figures["half 1"] = summarize_part(report, texts, lambda q: q.group == "piaf" or choose_half(q.group) == 1)
    return figures


def check_goals(name: str, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the goals of a task with their values, each with True if it was reached."""
    names = ["citation_validity", "gold_in_cited_passage"]
    names += ["decline_recall", "declined_by_mistake"] if name == "service-public" else []
    values = {goal: figures[goal]["value"] for goal in names if goal in figures}
    return [
        {"goal": goal, "limit": GOALS[goal], "value": value, "met": _is_met(goal, value)}
        for goal, value in values.items()
    ]


def _is_met(goal: str, value: float) -> bool:
    return value <= GOALS[goal] if goal == "declined_by_mistake" else value >= GOALS[goal]


def main() -> None:
    """Measure the selected tasks and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="names of question sets, separated by commas")
    parser.add_argument("--questions", type=int, default=200, help="maximum number of each kind")
    parser.add_argument("--model", default="demo", help="demo, or none for empty answers")
    parser.add_argument("--answers", type=Path, default=Path("answers"))
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    arguments.answers.mkdir(parents=True, exist_ok=True)
    llm: BaseChatModel = EmptyAnswerModel() if arguments.model == "none" else ChatGptOss(model=arguments.model)
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": platform.platform(), "sets": {}}
    for task in create_tasks(arguments.data, arguments.questions):
        if arguments.only and task.name not in arguments.only.split(","):
            continue
        figures = measure(task, llm, arguments.answers)
        result["sets"][task.name] = {"figures": figures, "goals": check_goals(task.name, figures["all"])}
        print(f"\n{task.name}\n{json.dumps(result['sets'][task.name], indent=2)}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
