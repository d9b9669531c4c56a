"""Figures of `answers.py` about the texts of answers: is the gold answer in them, and what did the check refuse?

A text has a gold answer if all its words stand in the text in their order, without case, accents, articles and
punctuation. Right answers in other words count as wrong, so all these figures are lower bounds.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from langchain_gptoss.chatbot import ChatbotOutput
from langchain_gptoss.evals import Question
from langchain_gptoss.evals.metrics import Share
from langchain_gptoss.text.normalization import fold_accents

_ARTICLES = frozenset(("a", "an", "the", "le", "la", "les", "l", "un", "une", "des", "du", "de", "d"))


def summarize_texts(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> dict[str, Any]:
    """Return the figures as plain values, shares with their 95 % intervals.

    - gold_in_answer: share of the answerable questions whose shown answer has a gold answer;
    - model_right: the same for all that the model wrote, shown or not;
    - right_refused: share of those texts of the model of which no supported sentence has a gold answer;
    - supported_right: share of the answers with a supported sentence of which such a sentence has a gold answer.
    """
    pairs = list(zip(questions, outputs, strict=True))
    known = [(question, output) for question, output in pairs if question.answerable and question.gold]
    right = [(question, output) for question, output in known if has_gold(question, join_claims(output))]
    supported = [
        (question, output) for question, output in pairs if any(c.verdict == "supported" for c in output.claims)
    ]
    shares = {
        "gold_in_answer": Share(hits=sum(has_gold(q, o.answer) for q, o in known), total=len(known)),
        "model_right": Share(hits=len(right), total=len(known)),
        "right_refused": Share(hits=sum(not _shows_gold(q, o) for q, o in right), total=len(right)),
        "supported_right": Share(hits=sum(_shows_gold(q, o) for q, o in supported), total=len(supported)),
    }
    return {name: format_share(share) for name, share in shares.items() if share.total}


def summarize_judgements(file: Path) -> dict[str, Any]:
    """Return the figures of answers that were judged by hand.

    - supported_true: share of the answers shown as supported that are true answers;
    - right_refused: share of the right texts of the model that were not shown as supported;
    - declined_rightly: share of the unanswerable questions that were declined;
    - declined_by_mistake: share of the answerable questions that were declined.

    Args:
        file: One JSON object per line: `answerable`; `is_right`, true if the model's text answers the question rightly;
            `shown`, what the chatbot showed: "supported", "quoted" or "declined".
    """
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    right = [row for row in rows if row["is_right"]]
    supported = [row for row in rows if row["shown"] == "supported"]
    known, unknown = ([row for row in rows if row["answerable"] is answerable] for answerable in (True, False))
    shares = {
        "supported_true": Share(hits=sum(row["is_right"] for row in supported), total=len(supported)),
        "right_refused": Share(hits=sum(row["shown"] != "supported" for row in right), total=len(right)),
        "declined_rightly": Share(hits=sum(row["shown"] == "declined" for row in unknown), total=len(unknown)),
        "declined_by_mistake": Share(hits=sum(row["shown"] == "declined" for row in known), total=len(known)),
    }
    return {name: format_share(share) for name, share in shares.items() if share.total}


def has_gold(question: Question, text: str) -> bool:
    """Return True if a text has one of a question's gold answers."""
    words = f" {_normalize(text)} "
    return any(f" {_normalize(gold.text)} " in words for gold in question.gold if _normalize(gold.text))


def join_claims(output: ChatbotOutput, verdict: str | None = None) -> str:
    """Return the sentences of the model, or those with a verdict."""
    return " ".join(claim.claim for claim in output.claims if verdict in (None, claim.verdict))


def format_share(share: Share) -> dict[str, Any]:
    """Return a share as plain values."""
    low, high = share.interval
    interval = [round(low, 3), round(high, 3)]
    return {"value": round(share.value, 3), "interval": interval, "hits": share.hits, "total": share.total}


def _shows_gold(question: Question, output: ChatbotOutput) -> bool:
    return has_gold(question, join_claims(output, "supported"))


def _normalize(text: str) -> str:
    words = re.findall(r"\w+", fold_accents(text.lower()))
    return " ".join(word for word in words if word not in _ARTICLES)
