"""Evaluation of a chatbot: ask the questions of a set and summarize the answers."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from langchain_core.runnables import Runnable

from langchain_gptoss.chatbot.types import ChatbotOutput
from langchain_gptoss.errors import GptOssError
from langchain_gptoss.evals import metrics
from langchain_gptoss.evals.datasets import Question

_OWN_STEPS = ("check", "judge", "verify", "cite")  # steps of a chatbot besides the search and the model


@dataclass(frozen=True, kw_only=True)
class EvaluationReport:
    """Result of asking a set of questions.

    Attributes:
        questions: The questions.
        outputs: The answers, in the order of the questions.
        durations_s: Duration of each answer in seconds.
        abstention: Precision and recall of abstention.
        valid_citations: Share of citations whose quote is at its offsets; None if the sources' texts are unknown.
        gold_in_passages: Share of questions with a known answer for which a cited passage contains it.
        gold_in_quotes: Share of these questions for which a quoted sentence overlaps it.
    """

    questions: Sequence[Question]
    outputs: Sequence[ChatbotOutput]
    durations_s: Sequence[float]
    abstention: metrics.AbstentionMetrics
    valid_citations: metrics.Share | None
    gold_in_passages: metrics.Share
    gold_in_quotes: metrics.Share

    def to_dict(self) -> dict[str, Any]:
        """Return all metrics as plain values, shares with their 95 % intervals."""
        shares = {
            "decline_precision": self.abstention.precision,
            "decline_recall": self.abstention.recall,
            "declined_by_mistake": self.abstention.false_declines,
            "citation_validity": self.valid_citations,
            "gold_in_cited_passage": self.gold_in_passages,
            "gold_in_quote": self.gold_in_quotes,
        }
        answers = [output for output in self.outputs if not output.abstained]
        own_times_ms = [1000 * sum_own_time(output) for output in self.outputs]
        return {
            "questions": len(self.questions),
            "answerable": sum(question.answerable for question in self.questions),
            "decline_f1": round(self.abstention.f1, 4),
            **{name: _format_share(share) for name, share in shares.items() if share is not None and share.total},
            "citations_per_answer": round(sum(len(answer.citations) for answer in answers) / max(len(answers), 1), 2),
            "median_seconds": round(median(self.durations_s), 4) if self.durations_s else 0.0,
            "median_own_ms": round(median(own_times_ms), 2) if own_times_ms else 0.0,
        }


def _format_share(share: metrics.Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "value": round(share.value, 4),
        "interval": [round(low, 4), round(high, 4)],
        "hits": share.hits,
        "total": share.total,
    }


def sum_own_time(output: ChatbotOutput) -> float:
    """Return the seconds that an answer took in checking, judging, verifying and citing, by its own timings."""
    return sum(output.timings.get(step, 0.0) for step in _OWN_STEPS)


def evaluate(
    chatbot: Runnable[Any, Any],
    questions: Sequence[Question],
    *,
    texts: Mapping[str, str] | None = None,
    answers_file: Path | None = None,
    on_answer: Callable[[int, ChatbotOutput], None] | None = None,
) -> EvaluationReport:
    """Ask a chatbot questions, one after the other, and summarize its answers.

    Args:
        chatbot: A Runnable from `{"question": ...}` to a `ChatbotOutput` or a dict with its fields.
        questions: The questions.
        texts: The text of each source, to check that quotes are at their offsets.
        answers_file: A file that each answer is appended to as a JSON line; questions that it contains are not asked
            again.
        on_answer: Called after each answer, with its number from 1.
    """
    saved_answers = _read_answers(answers_file)
    outputs, durations_s = [], []
    for number, question in enumerate(questions, 1):
        if question.text in saved_answers:
            output, duration_s = saved_answers[question.text]
        else:
            started = time.perf_counter()
            output = _ask(chatbot, question.text)
            duration_s = time.perf_counter() - started
            _append_answer(answers_file, question.text, output, duration_s)
        outputs.append(output)
        durations_s.append(duration_s)
        if on_answer is not None:
            on_answer(number, output)
    return summarize(questions, outputs, durations_s, texts=texts)


def summarize(
    questions: Sequence[Question],
    outputs: Sequence[ChatbotOutput],
    durations_s: Sequence[float],
    *,
    texts: Mapping[str, str] | None = None,
) -> EvaluationReport:
    """Return the report on existing answers; `texts` is as in `evaluate`."""
    return EvaluationReport(
        questions=questions,
        outputs=outputs,
        durations_s=durations_s,
        abstention=metrics.measure_abstention(questions, outputs),
        valid_citations=None if texts is None else metrics.measure_citation_validity(outputs, texts),
        gold_in_passages=metrics.measure_gold_in_passages(questions, outputs),
        gold_in_quotes=metrics.measure_gold_in_quotes(questions, outputs),
    )


def _ask(chatbot: Runnable[Any, Any], question: str) -> ChatbotOutput:
    """Return the answer; a question that raises an error counts as declined."""
    try:
        output = chatbot.invoke({"question": question})
    except GptOssError as error:
        return ChatbotOutput(abstained=True, reason=f"{type(error).__name__}: {error}")
    return output if isinstance(output, ChatbotOutput) else ChatbotOutput.model_validate(output)


def _read_answers(file: Path | None) -> dict[str, tuple[ChatbotOutput, float]]:
    if file is None or not file.exists():
        return {}
    lines = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    return {line["question"]: (ChatbotOutput.model_validate(line["output"]), line["seconds"]) for line in lines}


def _append_answer(file: Path | None, question: str, output: ChatbotOutput, duration_s: float) -> None:
    if file is not None:
        line = {"question": question, "seconds": duration_s, "output": output.model_dump(mode="json")}
        with file.open("a", encoding="utf-8") as stream:
            stream.write(json.dumps(line, ensure_ascii=False) + "\n")
