"""Measure the chatbot's answers: valid citations, declined questions, and the time per question.

    python benchmarks/answers.py --data DIR [--only service-public,squad2] [--questions 200] [--model none]
                                [--answers DIR2] [--json F]
    python benchmarks/answers.py --data DIR --model demo-large --cache DIR3 --questions 35 [--half 0] [--passages 3]
                                [--judge]

DIR has the question sets of the table in benchmarks/README.md. The stack is that of the demo, offline: the demo model,
and BM25 and the demo's embeddings in one hybrid retriever. Only questions of the half on which the abstention was not
fitted (scripts/calibrate.py) are asked. The exception is service-public.fr: all of its 105 questions are asked if there
is no lower limit, and its figures are also shown for that half. Answers are stored in DIR2; a question with a stored
answer is not asked again.

With DIR3 the answers are not stored, but what they are made of: documents and the model's texts. So a change of the
checks is measured without asking the model again. Then four questions are asked at a time. The model judges whether
sentences answer, as it does in a chatbot, only with --judge.
"""

import argparse
import json
import platform
import random
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Any

from answer_cache import CachedModel, CachedRetriever
from answer_figures import summarize_texts
from langchain_core.documents import Document
from langchain_core.language_models.chat_models import BaseChatModel, SimpleChatModel
from langchain_core.messages import BaseMessage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss import BM25Retriever, ChatGptOss, FaissStore, HybridRetriever, create_chatbot, load_embeddings
from langchain_gptoss.chatbot import Chatbot, ChatbotOutput
from langchain_gptoss.evals import EvaluationReport, Question, evaluate, read_questions
from langchain_gptoss.evals.evaluation import summarize
from langchain_gptoss.ingest import split_documents

WEIGHTS = [1.2, 1.0]  # of BM25 and embeddings, as in benchmarks/retrieval.py
HANDBOOK = Path(str(files("langchain_gptoss").joinpath("samples", "handbook")))
OWN = Path(__file__).with_name("own_questions")
SMALL_MODELS = ("none", "demo")
CONCURRENCY = 4  # questions asked at a time
MAX_TOKENS = 200
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
        documents: The documents that are searched.
        questions: The questions.
    """

    name: str
    language: str
    documents: Sequence[Document]
    questions: Sequence[Question]


def choose_half(group: str) -> int:
    """Return the half of the data to which an article belongs, as in scripts/calibrate.py."""
    return sha256(group.encode()).digest()[0] % 2


def sample_questions(questions: Sequence[Question], count: int, half: int = 1) -> list[Question]:
    """Return a sample of the questions of a half, always the same one."""
    measured = [question for question in questions if choose_half(question.group) == half]
    return random.Random(11).sample(measured, min(count, len(measured)))


def create_tasks(data: Path, count: int, half: int = 1) -> Iterator[Task]:
    """Yield the tasks, with at most `count` questions of each kind."""
    sheets = read_questions(data / "spf-qr-test-fr.json")
    squad = read_questions(data / "squad2-dev-cs224n.json")
    piaf = read_questions(data / "piaf-v1.1.json")
    french = sample_questions(piaf.questions, count, half)
    foreign = [replace(question, answerable=False, gold=(), group="piaf") for question in french]
    own = sample_questions(sheets.questions, count, half)
    own = list(sheets.questions) if half == 1 and count >= len(sheets.questions) else own
    mixed = [
        sample_questions([question for question in squad.questions if question.answerable == answerable], count, half)
        for answerable in (True, False)
    ]
    yield Task(name="service-public", language="fr", documents=sheets.documents, questions=[*own, *foreign])
    yield Task(name="squad2", language="en", documents=squad.documents, questions=[*mixed[0], *mixed[1]])
    yield Task(name="piaf", language="fr", documents=piaf.documents, questions=french)


def create_own_tasks() -> Iterator[Task]:
    """Yield the tasks of our own questions, one for each corpus and language."""
    lines = (OWN / "questions.jsonl").read_text(encoding="utf-8").splitlines()
    corpora = dict.fromkeys((row["corpus"], row["language"]) for row in map(json.loads, lines))
    questions = read_questions(OWN / "questions.jsonl").questions
    for corpus, language in corpora:
        folder = HANDBOOK / language if corpus == "handbook" else OWN / corpus
        asked = [
            question
            for question, row in zip(questions, map(json.loads, lines), strict=True)
            if (row["corpus"], row["language"]) == (corpus, language)
        ]
        documents = [
            Document(path.read_text(encoding="utf-8"), metadata={"source": path.name})
            for path in sorted(folder.glob("*.md"))
        ]
        yield Task(name=f"own-{corpus}-{language}", language=language, documents=documents, questions=asked)


def build_retriever(task: Task) -> BaseRetriever:
    """Return the hybrid retriever over a task's passages."""
    chunks = split_documents(task.documents)
    store = FaissStore(load_embeddings(EMBEDDINGS[task.language]))
    store.add_documents(chunks)
    retrievers = [BM25Retriever.from_documents(chunks, language=task.language), store.as_retriever()]
    return HybridRetriever(retrievers=retrievers, weights=WEIGHTS)


def map_texts(task: Task) -> dict[str, str]:
    """Return the full text of each source of a task."""
    return {str(document.metadata["source"]): document.page_content for document in task.documents}


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


def measure(task: Task, llm: BaseChatModel, options: argparse.Namespace) -> dict[str, Any]:
    """Ask the questions of a task and return the figures."""
    cache: Path | None = options.cache
    retriever = (
        CachedRetriever(lambda: build_retriever(task), cache / f"{task.name}-documents.jsonl") if cache else None
    )
    focus = 1 if options.model in SMALL_MODELS else 0
    bot = create_chatbot(
        llm,
        retriever or build_retriever(task),
        language=task.language,
        focus=focus,
        max_passages=options.passages,
        decline_below=options.decline_below,
    )
    report = evaluate_together(bot, task) if cache else evaluate_in_turn(bot, task, options.answers, llm._llm_type)
    figures = {"all": report.to_dict() | summarize_texts(report.questions, report.outputs)}
    if task.name == "service-public":
        measured = lambda question: question.group == "piaf" or choose_half(question.group) == 1  # noqa: E731
        figures["half 1"] = summarize_part(report, map_texts(task), measured)
    if options.outputs:
        write_outputs(options.outputs / f"{task.name}.jsonl", report)
    return figures


def evaluate_in_turn(bot: Chatbot, task: Task, folder: Path, model: str) -> EvaluationReport:
    """Ask one question after the other, and keep the answers in a file."""
    return evaluate(
        bot,
        task.questions,
        texts=map_texts(task),
        answers_file=folder / f"{task.name}-{model}.jsonl",
        on_answer=create_progress_printer(task.name, len(task.questions)),
    )


def evaluate_together(bot: Chatbot, task: Task) -> EvaluationReport:
    """Ask several questions at a time, so that they share the engine's batches."""
    print_progress = create_progress_printer(task.name, len(task.questions))

    def ask(numbered: tuple[int, Question]) -> EvaluationReport:
        report = evaluate(bot, [numbered[1]])
        print_progress(numbered[0], report.outputs[0])
        return report

    with ThreadPoolExecutor(CONCURRENCY) as pool:
        reports = list(pool.map(ask, enumerate(task.questions, 1)))
    outputs = [report.outputs[0] for report in reports]
    return summarize(task.questions, outputs, [report.durations_s[0] for report in reports], texts=map_texts(task))


def write_outputs(file: Path, report: EvaluationReport) -> None:
    """Write what was asked and answered, one JSON line for each question."""
    file.parent.mkdir(parents=True, exist_ok=True)
    lines = [
        json.dumps(
            {
                "question": question.text,
                "answerable": question.answerable,
                "gold": [gold.text for gold in question.gold],
                "answer": output.answer,
                "abstained": output.abstained,
                "reason": output.reason,
                "claims": [claim.model_dump() for claim in output.claims],
            },
            ensure_ascii=False,
        )
        for question, output in zip(report.questions, report.outputs, strict=True)
    ]
    file.write_text("\n".join([*lines, ""]), encoding="utf-8")


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
    parser.add_argument("--model", default="demo", help="demo, demo-large, ..., or none for empty answers")
    parser.add_argument("--answers", type=Path, default=Path("answers"))
    parser.add_argument("--cache", type=Path, help="folder for documents and the model's texts")
    parser.add_argument("--judge", action="store_true", help="with --cache: the model judges too; no texts are kept")
    parser.add_argument("--half", type=int, default=1, help="half of the articles; 0 is for development")
    parser.add_argument("--passages", type=int, help="number of passages; default: that of the chatbot")
    parser.add_argument("--decline-below", type=float, help="confidence; default: that of the chatbot")
    parser.add_argument("--outputs", type=Path, help="folder for the answers, to judge by hand")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    (arguments.cache or arguments.answers).mkdir(parents=True, exist_ok=True)
    llm = create_model(arguments.model, arguments.cache, has_judge=arguments.judge)
    result: dict[str, Any] = {"date": date.today().isoformat(), "machine": platform.platform(), "sets": {}}
    selected = arguments.only.split(",") if arguments.only else None
    for task in [*create_tasks(arguments.data, arguments.questions, arguments.half), *create_own_tasks()]:
        if selected is None or any(task.name.startswith(name) for name in selected):
            figures = measure(task, llm, arguments)
            result["sets"][task.name] = {"figures": figures, "goals": check_goals(task.name, figures["all"])}
            print(f"\n{task.name}\n{json.dumps(result['sets'][task.name], indent=2)}", flush=True)
        if arguments.json:
            arguments.json.write_text(json.dumps(result, indent=2), encoding="utf-8")


def create_model(name: str, cache: Path | None, *, has_judge: bool) -> BaseChatModel:
    """Return the model: greedy and with a cache of its texts if a folder for them is given.

    The chatbot asks only the model itself to judge, not one with a cache.
    """
    if name == "none":
        return EmptyAnswerModel()
    if cache is None:
        return ChatGptOss(model=name)
    load = partial(ChatGptOss, model=name, temperature=0, max_tokens=MAX_TOKENS)
    return load() if has_judge else CachedModel(load, cache / f"{name}-texts.jsonl")


if __name__ == "__main__":
    main()
