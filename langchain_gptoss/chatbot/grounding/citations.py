"""Citations: spans of sources with exact offsets, and the choice of spans that can be quoted as an answer."""

from collections.abc import Sequence
from typing import Literal

from langchain_gptoss.chatbot.grounding.abstention import judge
from langchain_gptoss.chatbot.grounding.calibration import load_calibration
from langchain_gptoss.chatbot.grounding.passages import Span, estimate_likelihoods
from langchain_gptoss.chatbot.types import Citation
from langchain_gptoss.text.words import calculate_coverage, extract_content_words

_MIN_QUOTE_COVERAGE = 0.7  # share of a question's words that a quoted sentence and its headings must have
_MIN_QUOTE_PROBABILITY = 0.8  # probability that one of the quoted passages has the answer
_MAX_QUOTES = 3


def can_answer(span: Span, question: str) -> bool:
    """Return True if a span has enough of the question's words to be shown as the answer."""
    return calculate_coverage(extract_content_words(question), span.text_with_heading) >= _MIN_QUOTE_COVERAGE


def select_quotable_spans(question: str, spans: Sequence[Span]) -> list[Span]:
    """Return the spans that can be quoted if no sentence of the model is supported; empty if no span can answer.

    It is one span. If it is not likely enough to be the answer, up to two spans of other passages are added.

    Args:
        question: The question, complete without the conversation.
        spans: Sentences of the passages, best first.
    """
    if not spans:
        return []
    passages = {span.passage.number: span.passage for span in spans}
    ordered = [passages[number] for number in sorted(passages)]
    is_confident = judge(question, ordered).confidence >= load_calibration().quote_threshold
    if not can_answer(spans[0], question) and not is_confident:
        return []
    likelihoods: dict[int, float] = {}
    for span, likelihood in zip(spans, estimate_likelihoods(question, spans), strict=True):
        likelihoods[span.passage.number] = likelihoods.get(span.passage.number, 0.0) + likelihood
    selected: list[Span] = []
    probability = 0.0
    for span in spans:
        if probability >= _MIN_QUOTE_PROBABILITY or len(selected) == _MAX_QUOTES:
            break
        if all(span.passage.number != other.passage.number for other in selected):
            selected.append(span)
            probability += likelihoods[span.passage.number]
    return selected


def cite(
    span: Span, claim: str, *, number: int, verdict: Literal["supported", "quoted"], score: float = 1.0
) -> Citation:
    """Return the citation of a span, with offsets in the source."""
    passage = span.passage
    return Citation(
        number=number,
        claim=claim,
        verdict=verdict,
        score=round(score, 3),
        source=passage.source,
        heading=passage.heading,
        page=passage.page,
        start=passage.start + span.start,
        end=passage.start + span.end,
        quote=span.text,
        context=span.introduction,
    )
