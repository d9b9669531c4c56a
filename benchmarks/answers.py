"""How far answers can be trusted: citations that hold, questions that are declined, and the time both take.

    python benchmarks/answers.py --data DIR [--only service-public,squad2] [--questions 200] [--model none]
                                [--answers DIR2] [--json F]

DIR holds the question sets that the table in benchmarks/README.md names. The stack is the demo's, offline: the demo
model, BM25 and the demo's embeddings in one hybrid retriever. Only questions of the half that the abstention was not
fitted on (scripts/calibrate.py) are asked, except for service-public.fr, whose 105 questions are all asked and shown
by half as well. Answers are kept in DIR2, and what is there is not asked again.
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

WEIGHTS = [1.2, 1.0]  # of words and vectors, as in benchmarks/retrieval.py
EMBEDDINGS = {"fr": "demo-multilingual", "en": "demo"}
GOALS = {"citation_validity": 1.0, "gold_in_cited_passage": 0.80, "decline_recall": 0.95, "declined_by_mistake": 0.05}


class Silent(SimpleChatModel):
    """A model that says nothing, so that what is declined, quoted and cited shows without one, and quickly."""

    @property
    def _llm_type(self) -> str:
        return "silent"

    def _call(self, messages: list[BaseMessage], *args: Any, **kwargs: Any) -> str:
        return "-"


@dataclass(frozen=True, kw_only=True)
class Task:
    """Questions to one corpus.

    Attributes:
        name: Of the corpus.
        language: Of the corpus.
        file: Whose passages are searched.
        questions: What is asked.
    """

    name: str
    language: str
    file: Path
    questions: Sequence[Question]


def half(group: str) -> int:
    """Returns the half of the data that an article belongs to, as scripts/calibrate.py has it."""
    return sha256(group.encode()).digest()[0] % 2


def sampled(questions: Sequence[Question], count: int) -> list[Question]:
    """Returns some questions of the half that nothing was fitted on, always the same."""
    held = [question for question in questions if half(question.group) == 1]
    return random.Random(11).sample(held, min(count, len(held)))


def tasks(data: Path, count: int) -> list[Task]:
    """Returns what is asked of which corpus."""
    sheets, squad = data / "spf-qr-test-fr.json", data / "squad2-dev-cs224n.json"
    foreign = [
        replace(question, answerable=False, gold=(), group="piaf")
        for question in sampled(read_questions(data / "piaf-v1.1.json").questions, count)
    ]
    own = list(read_questions(sheets).questions)
    own = own if count >= len(own) else random.Random(11).sample(own, count)
    asked = read_questions(squad).questions
    mixed = [sampled([q for q in asked if q.answerable == answerable], count) for answerable in (True, False)]
    return [
        Task(name="service-public", language="fr", file=sheets, questions=[*own, *foreign]),
        Task(name="squad2", language="en", file=squad, questions=[*mixed[0], *mixed[1]]),
    ]


def retriever_of(task: Task) -> tuple[BaseRetriever, dict[str, str]]:
    """Returns the hybrid retriever over a task's passages, and the whole text of each source."""
    documents = read_questions(task.file).documents
    chunks = split_documents(documents)
    store = FaissStore(load_embeddings(EMBEDDINGS[task.language]))
    store.add_documents(chunks)
    sides = [BM25Retriever.from_documents(chunks, language=task.language), store.as_retriever()]
    texts = {str(document.metadata["source"]): document.page_content for document in documents}
    return HybridRetriever(retrievers=sides, weights=WEIGHTS), texts


def progress(name: str, total: int) -> Any:
    """Returns a function that says every so often how far it has come."""
    started = time.perf_counter()

    def told(number: int, _output: ChatbotOutput) -> None:
        if number % 25 == 0:
            print(f"  {name}: {number} of {total}, {time.perf_counter() - started:.0f} s", flush=True)

    return told


def part(report: EvaluationReport, texts: dict[str, str], keep: Any) -> dict[str, Any]:
    """Returns the figures of some of the questions."""
    rows = [row for row in zip(report.questions, report.outputs, report.durations_s, strict=True) if keep(row[0])]
    questions, outputs, seconds = zip(*rows, strict=True) if rows else ((), (), ())
    return summarize(questions, outputs, seconds, texts=texts).to_dict()


def measured(task: Task, llm: BaseChatModel, answers: Path) -> dict[str, Any]:
    """Asks a task's questions and returns the figures."""
    retriever, texts = retriever_of(task)
    bot = create_chatbot(llm, retriever, language=task.language, focus=1)
    report = evaluate(
        bot,
        task.questions,
        texts=texts,
        answers_file=answers / f"{task.name}-{llm._llm_type}.jsonl",
        on_answer=progress(task.name, len(task.questions)),
    )
    figures = {"all": report.to_dict()}
    if task.name == "service-public":
        figures["half 1"] = part(report, texts, lambda q: q.group == "piaf" or half(q.group) == 1)
    return figures


def goals(name: str, figures: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns which goals were reached."""
    wanted = ["citation_validity", "gold_in_cited_passage"]
    wanted += ["decline_recall", "declined_by_mistake"] if name == "service-public" else []
    found = {goal: figures[goal]["value"] for goal in wanted if goal in figures}
    return [
        {"goal": goal, "limit": GOALS[goal], "value": value, "met": _met(goal, value)} for goal, value in found.items()
    ]


def _met(goal: str, value: float) -> bool:
    return value <= GOALS[goal] if goal == "declined_by_mistake" else value >= GOALS[goal]


def main() -> None:
    """Measures what is asked for and prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--only", help="names of sets, with commas")
    parser.add_argument("--questions", type=int, default=200, help="of each kind, at most")
    parser.add_argument("--model", default="demo", help="demo, or none for one that says nothing")
    parser.add_argument("--answers", type=Path, default=Path("answers"))
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    given.answers.mkdir(parents=True, exist_ok=True)
    llm: BaseChatModel = Silent() if given.model == "none" else ChatGptOss(model=given.model)
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": platform.platform(), "sets": {}}
    for task in tasks(given.data, given.questions):
        if given.only and task.name not in given.only.split(","):
            continue
        figures = measured(task, llm, given.answers)
        result["sets"][task.name] = {"figures": figures, "goals": goals(task.name, figures["all"])}
        print(f"\n{task.name}\n{json.dumps(result['sets'][task.name], indent=2)}", flush=True)
        if given.json:
            given.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
