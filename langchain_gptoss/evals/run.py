"""Asks a chatbot the questions of a set, and sums up what it answered."""

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

_OWN_STEPS = ("check", "judge", "verify", "cite")  # what a chatbot does besides searching and the model


@dataclass(frozen=True, kw_only=True)
class Report:
    """What came of a set of questions.

    Attributes:
        questions: Those asked.
        outputs: The answers, in their order.
        seconds: How long each took.
        declining: Precision and recall of declining.
        citations: Those whose quote stands at its offsets; None where the sources' texts are not known.
        cited: Questions with a known answer where a cited passage holds it.
        quoted: Those where a quoted sentence holds it.
    """

    questions: Sequence[Question]
    outputs: Sequence[ChatbotOutput]
    seconds: Sequence[float]
    declining: metrics.Declining
    citations: metrics.Share | None
    cited: metrics.Share
    quoted: metrics.Share

    def figures(self) -> dict[str, Any]:
        """Returns everything as plain values, shares with their 95 % intervals."""
        found = self.declining
        shares = {
            "decline_precision": found.precision,
            "decline_recall": found.recall,
            "declined_by_mistake": found.mistaken,
            "citation_validity": self.citations,
            "gold_in_cited_passage": self.cited,
            "gold_in_quote": self.quoted,
        }
        answered = [output for output in self.outputs if not output.abstained]
        return {
            "questions": len(self.questions),
            "answerable": sum(question.answerable for question in self.questions),
            "decline_f1": round(found.f1, 4),
            **{name: _plain(share) for name, share in shares.items() if share is not None and share.total},
            "citations_per_answer": round(sum(len(o.citations) for o in answered) / max(len(answered), 1), 2),
            "median_seconds": round(median(self.seconds), 4) if self.seconds else 0.0,
            "median_own_ms": round(1000 * median(map(own_seconds, self.outputs)), 2) if self.outputs else 0.0,
        }


def _plain(share: metrics.Share) -> dict[str, Any]:
    low, high = share.interval
    return {
        "value": round(share.value, 4),
        "interval": [round(low, 4), round(high, 4)],
        "hits": share.hits,
        "total": share.total,
    }


def own_seconds(output: ChatbotOutput) -> float:
    """Returns the seconds that an answer took in judging, verifying and citing, by its own timings."""
    return sum(output.timings.get(step, 0.0) for step in _OWN_STEPS)


def evaluate(
    chatbot: Runnable[Any, Any],
    questions: Sequence[Question],
    *,
    texts: Mapping[str, str] | None = None,
    kept: Path | None = None,
    on_answer: Callable[[int, ChatbotOutput], None] | None = None,
) -> Report:
    """Asks a chatbot questions, one after the other, and sums up.

    Args:
        chatbot: A Runnable from `{"question": ...}` to a `ChatbotOutput` or a dict with its fields.
        questions: What to ask.
        texts: The text of each source, to check that quotes stand where they are said to stand.
        kept: A file to which each answer is written as a JSON line; what stands there already is not asked again.
        on_answer: Called after each answer, with its number from 1.
    """
    known = _read(kept)
    outputs, seconds = [], []
    for number, question in enumerate(questions, 1):
        if question.text in known:
            output, took = known[question.text]
        else:
            started = time.perf_counter()
            output = _asked(chatbot, question.text)
            took = time.perf_counter() - started
            _keep(kept, question.text, output, took)
        outputs.append(output)
        seconds.append(took)
        if on_answer is not None:
            on_answer(number, output)
    return summed_up(questions, outputs, seconds, texts=texts)


def summed_up(
    questions: Sequence[Question],
    outputs: Sequence[ChatbotOutput],
    seconds: Sequence[float],
    *,
    texts: Mapping[str, str] | None = None,
) -> Report:
    """Returns the report on answers that are there already."""
    return Report(
        questions=questions,
        outputs=outputs,
        seconds=seconds,
        declining=metrics.declining(questions, outputs),
        citations=None if texts is None else metrics.valid_citations(outputs, texts),
        cited=metrics.gold_in_cited_passage(questions, outputs),
        quoted=metrics.gold_in_quote(questions, outputs),
    )


def _asked(chatbot: Runnable[Any, Any], question: str) -> ChatbotOutput:
    """Returns the answer; a question that cannot be answered at all counts as declined."""
    try:
        output = chatbot.invoke({"question": question})
    except GptOssError as error:
        return ChatbotOutput(abstained=True, reason=f"{type(error).__name__}: {error}")
    return output if isinstance(output, ChatbotOutput) else ChatbotOutput.model_validate(output)


def _read(kept: Path | None) -> dict[str, tuple[ChatbotOutput, float]]:
    if kept is None or not kept.exists():
        return {}
    lines = [json.loads(line) for line in kept.read_text(encoding="utf-8").splitlines()]
    return {line["question"]: (ChatbotOutput.model_validate(line["output"]), line["seconds"]) for line in lines}


def _keep(kept: Path | None, question: str, output: ChatbotOutput, seconds: float) -> None:
    if kept is not None:
        line = {"question": question, "seconds": seconds, "output": output.model_dump(mode="json")}
        with kept.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line, ensure_ascii=False) + "\n")
