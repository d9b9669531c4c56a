"""Metrics of answers: precision and recall of abstention, valid citations, and gold answers in cited passages."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.types import ChatbotOutput, Citation, Source
from langchain_gptoss.evals.datasets import GoldSpan, Question

_Z = 1.96  # standard deviations of a 95 % interval


@dataclass(frozen=True, kw_only=True)
class Share:
    """Share of a number of cases.

    Attributes:
        hits: Number of cases that count.
        total: Number of all cases.
    """

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share, from 0 to 1; 0 if there are no cases."""
        return self.hits / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % interval by Wilson (JASA 22, 1927), which also holds for few cases and for shares near 0 and 1."""
        if not self.total:
            return 0.0, 1.0
        n, z = self.total, _Z
        center = (self.value + z * z / (2 * n)) / (1 + z * z / n)
        radius = z / (1 + z * z / n) * math.sqrt(self.value * (1 - self.value) / n + z * z / (4 * n * n))
        return max(0.0, center - radius), min(1.0, center + radius)

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f} ({low:.3f} to {high:.3f}, {self.hits} of {self.total})"


@dataclass(frozen=True, kw_only=True)
class AbstentionMetrics:
    """Metrics of declining questions that the documents do not answer.

    Attributes:
        precision: Share of the declined questions that have no answer.
        recall: Share of the questions without an answer that are declined.
        false_declines: Share of the questions with an answer that are declined.
    """

    precision: Share
    recall: Share
    false_declines: Share

    @property
    def f1(self) -> float:
        """The harmonic mean of precision and recall."""
        total = self.precision.value + self.recall.value
        return 2 * self.precision.value * self.recall.value / total if total else 0.0


def measure_abstention(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> AbstentionMetrics:
    """Return precision and recall of abstention."""
    pairs = [(question.answerable, output.abstained) for question, output in zip(questions, outputs, strict=True)]
    correct = sum(abstained and not answerable for answerable, abstained in pairs)
    unanswerable = sum(not answerable for answerable, _ in pairs)
    abstentions = sum(abstained for _, abstained in pairs)
    return AbstentionMetrics(
        precision=Share(hits=correct, total=abstentions),
        recall=Share(hits=correct, total=unanswerable),
        false_declines=Share(hits=abstentions - correct, total=len(pairs) - unanswerable),
    )


def measure_citation_validity(outputs: Sequence[ChatbotOutput], texts: Mapping[str, str]) -> Share:
    """Return the share of citations whose quote is the text at its offsets in its source.

    Args:
        outputs: The answers.
        texts: The text of each source.
    """
    citations = [citation for output in outputs for citation in output.citations]
    valid = sum(bool(c.quote) and c.source in texts and texts[c.source][c.start : c.end] == c.quote for c in citations)
    return Share(hits=valid, total=len(citations))


def measure_gold_in_passages(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> Share:
    """Return the share of questions with a known answer for which a cited passage contains a gold span.

    A declined question counts as one without such a passage.
    """
    pairs = _select_gold_pairs(questions, outputs)
    hits = sum(
        any(contains_gold(passage, gold) for gold in question.gold for passage in find_cited_passages(output))
        for question, output in pairs
    )
    return Share(hits=hits, total=len(pairs))


def measure_gold_in_quotes(questions: Sequence[Question], outputs: Sequence[ChatbotOutput]) -> Share:
    """Return the share of questions with a known answer for which a quoted sentence overlaps a gold span."""
    pairs = _select_gold_pairs(questions, outputs)
    hits = sum(
        any(overlaps_gold(citation, gold) for gold in question.gold for citation in output.citations)
        for question, output in pairs
    )
    return Share(hits=hits, total=len(pairs))


def _select_gold_pairs(
    questions: Sequence[Question], outputs: Sequence[ChatbotOutput]
) -> list[tuple[Question, ChatbotOutput]]:
    pairs = zip(questions, outputs, strict=True)
    return [(question, output) for question, output in pairs if question.answerable and question.gold]


def find_cited_passages(output: ChatbotOutput) -> list[Source]:
    """Return the passages that the answer's citations are taken from."""
    return [source for source in output.sources if any(_is_within(citation, source) for citation in output.citations)]


def _is_within(citation: Citation, source: Source) -> bool:
    return citation.source == source.source and source.start <= citation.start and citation.end <= source.end


def contains_gold(passage: Source, gold: GoldSpan) -> bool:
    """Return True if a passage contains a whole gold span, compared by text if its offset is unknown."""
    if gold.source and gold.source != passage.source:
        return False
    if gold.start is not None:
        return passage.start <= gold.start and gold.start + len(gold.text) <= passage.end
    return _contains_text(passage.text, gold.text)


def overlaps_gold(citation: Citation, gold: GoldSpan) -> bool:
    """Return True if a quote shares a character with a gold span, compared by text if its offset is unknown."""
    if gold.source and gold.source != citation.source:
        return False
    if gold.start is not None:
        return citation.start < gold.start + len(gold.text) and gold.start < citation.end
    return _contains_text(citation.quote, gold.text)


def _contains_text(text: str, part: str) -> bool:
    return " ".join(part.split()).casefold() in " ".join(text.split()).casefold()
