"""Measure how often the gold span stands in what the model reads of the passages.

    python benchmarks/excerpts.py --data DIR --cache DIR2 [--questions 100] [--half 0]

DIR has the question sets of the table in benchmarks/README.md. The retrieved documents are kept in DIR2. Whole passages
are compared with excerpts (`chatbot/grounding/excerpts.py`) of several lengths.
"""

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from answer_cache import CachedRetriever
from answers import build_retriever, create_tasks

from langchain_gptoss.chatbot.grounding.excerpts import select_excerpts
from langchain_gptoss.chatbot.grounding.passages import Passage, Span, collect_passages, rank_spans
from langchain_gptoss.evals import Question

PASSAGES = (2, 3, 4, 8)
LENGTHS = (800, 1200, 1600, 2400)
MAX_PASSAGES = 8  # that excerpts are taken from


def normalize(text: str) -> str:
    """Return text in one line."""
    return " ".join(text.split())


def has_gold(question: Question, passages: Sequence[Passage]) -> bool:
    """Return True if a gold span, or the first 30 characters of one, stands in a passage of its source."""
    return any(
        gold.source == passage.source and normalize(gold.text)[:30] in normalize(passage.text)
        for passage in passages
        for gold in question.gold
    )


def main() -> None:
    """Measure all sets and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--cache", type=Path, required=True)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--half", type=int, default=0)
    arguments = parser.parse_args()
    arguments.cache.mkdir(parents=True, exist_ok=True)
    for task in create_tasks(arguments.data, arguments.questions, arguments.half):
        retriever = CachedRetriever(partial(build_retriever, task), arguments.cache / f"{task.name}-documents.jsonl")
        rows: list[tuple[Question, list[Passage], list[Span]]] = []
        for question in (question for question in task.questions if question.answerable):
            passages = collect_passages(retriever.invoke(question.text), limit=MAX_PASSAGES)
            rows.append((question, passages, [span for span, _ in rank_spans([(question.text, 1.0)], passages, None)]))
        ways: dict[str, Callable[[str, list[Passage], list[Span]], Sequence[Passage]]] = {
            **{f"{count} whole passages": lambda _q, passages, _s, count=count: passages[:count] for count in PASSAGES},
            **{f"excerpts, {length} characters": partial(select_excerpts, max_chars=length) for length in LENGTHS},
        }
        for name, select in ways.items():
            read = [(question, select(question.text, passages, spans)) for question, passages, spans in rows]
            hits = sum(has_gold(question, passages) for question, passages in read)
            length = sum(len(passage.text) for _, passages in read for passage in passages) / len(rows)
            count = sum(len(passages) for _, passages in read) / len(rows)
            print(f"{task.name:16} {name:26} {hits} of {len(rows)}, {length:.0f} characters, {count:.1f} passages")


if __name__ == "__main__":
    main()
