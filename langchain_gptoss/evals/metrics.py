"""Figures about answers: precision and recall of declining, citations that hold, answers that stand where cited."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
from langchain_gptoss.evals.datasets import GoldSpan, Question

_Z = 1.96  # of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Share:
    """A share of a number of cases.

    Attributes:
        hits: How many.
        total: Of how many.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share, from 0 to 1; 0 of nothing."""
        return self.hits / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval by Wilson (JASA 22, 1927), which holds for few cases and for shares near 0 and 1 too."""
        if not self.total:
            return 0.0, 1.0
        n, z = self.total, _Z
        middle = (self.value + z * z / (2 * n)) / (1 + z * z / n)
        reach = z / (1 + z * z / n) * math.sqrt(self.value * (1 - self.value) / n + z * z / (4 * n * n))
        return max(0.0, middle - reach), min(1.0, middle + reach)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f}, {self.hits} of {self.total})"


@dataclass(frozen=True, kw_only=True)
class Declining:
    """How well a chatbot knows what the documents do not say.

    Attributes:
        precision: Of the questions declined, those that have no answer.
        recall: Of the questions without an answer, those declined.
        mistaken: Of the questions with an answer, those declined.
    """

    precision: Share
    recall: Share
    mistaken: Share

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision.value + self.recall.value
        return 2 * self.precision.value * self.recall.value / total if total else 0.0


def declining(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> Declining:
    """Returns precision and recall of declining."""
    pairs = [(question.answerable, output.abstained) for question, output in zip(questions, outputs, strict=True)]
    right = sum(abstained and not answerable for answerable, abstained in pairs)
    unanswerable = sum(not answerable for answerable, _ in pairs)
    abstentions = sum(abstained for _, abstained in pairs)
    return Declining(
        precision=Share(hits=right, total=abstentions),
        recall=Share(hits=right, total=unanswerable),
        mistaken=Share(hits=abstentions - right, total=len(pairs) - unanswerable),
    )


def valid_citations(outputs: Sequence[ChatbotOutput], texts: Mapping[str, str]) -> Share:
    """Returns the share of citations whose quote stands at its offsets in its source.

    Args:
        outputs: The answers.
        texts: The text of each source.
    """
    citations = [citation for output in outputs for citation in output.citations]
    valid = sum(bool(c.quote) and c.source in texts and texts[c.source][c.start : c.end] == c.quote for c in citations)
    return Share(hits=valid, total=len(citations))


def gold_in_cited_passage(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> Share:
    """Returns the share of questions with an answer where a passage that is cited holds a gold span.

    A question that is declined counts as one where none does.
    """
    pairs = [(q, output) for q, output in zip(questions, outputs, strict=True) if q.answerable and q.gold]
    return Share(hits=sum(_held(q, o) for q, o in pairs), total=len(pairs))


def gold_in_quote(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> Share:
    """Returns the share of questions with an answer where a quoted sentence itself holds or touches a gold span."""
    pairs = [(q, output) for q, output in zip(questions, outputs, strict=True) if q.answerable and q.gold]
    hits = sum(any(touches(g, c) for g in q.gold for c in output.citations) for q, output in pairs)
    return Share(hits=hits, total=len(pairs))


def cited_passages(output: ChatbotOutput) -> list[Source]:
    """Returns the passages that the answer's citations are taken from."""
    return [source for source in output.sources if any(_within(citation, source) for citation in output.citations)]


def _within(citation: Citation, source: Source) -> bool:
    return citation.source == source.source and source.start <= citation.start and citation.end <= source.end


def _held(question: Question, output: ChatbotOutput) -> bool:
    return any(holds(gold, passage) for gold in question.gold for passage in cited_passages(output))


def holds(gold: GoldSpan, passage: Source) -> bool:
    """Returns whether a passage holds the whole of a gold span; by its text where its place is not known."""
    if gold.source and gold.source != passage.source:
        return False
    if gold.start is not None:
        return passage.start <= gold.start and gold.start + len(gold.text) <= passage.end
    return " ".join(gold.text.split()).casefold() in " ".join(passage.text.split()).casefold()


def touches(gold: GoldSpan, citation: Citation) -> bool:
    """Returns whether a quote shares a character with a gold span; by its text where its place is not known."""
    if gold.source and gold.source != citation.source:
        return False
    if gold.start is not None:
        return citation.start < gold.start + len(gold.text) and gold.start < citation.end
    return " ".join(gold.text.split()).casefold() in " ".join(citation.quote.split()).casefold()
