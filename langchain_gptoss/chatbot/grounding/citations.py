"""Citations: spans of sources, with offsets that hold, for what an answer says."""

from collections.abc import Sequence
from typing import Literal

from langchain_gptoss.chatbot.grounding.abstention import judge
from langchain_gptoss.chatbot.grounding.calibration import calibration
from langchain_gptoss.chatbot.grounding.claim_support import supporting_span
from langchain_gptoss.chatbot.grounding.passages import Span, likelihoods
from langchain_gptoss.chatbot.types import Citation
from langchain_gptoss.text.words import calculate_coverage, extract_content_words

__all__ = ["Citation", "answers", "cite", "quotable_spans", "supporting_span"]

_QUOTABLE = 0.7  # the share of a question's words that a quoted sentence and its headings must hold
_ENOUGH = 0.8  # probability that one of the quoted sentences' passages holds the answer
_MOST_QUOTES = 3


def answers(span: Span, question: str) -> bool:
    """Returns whether a span holds enough of the question's words to be shown as the answer by itself."""
    return calculate_coverage(extract_content_words(question), f"{span.passage.heading} {span.text}") >= _QUOTABLE


def quotable_spans(question: str, spans: Sequence[Span]) -> list[Span]:
    """Returns what can be quoted where nothing that a model said is supported; nothing where no span answers.

    One span, and where it is not likely enough to be the one that answers, up to two more of other passages.

    Args:
        question: The question, complete by itself.
        spans: The sentences of the passages, nearest first.
    """
    if not spans:
        return []
    passages = {span.passage.number: span.passage for span in spans}
    ordered = [passages[number] for number in sorted(passages)]
    confident = judge(question, ordered).confidence >= calibration().quote_threshold
    if not answers(spans[0], question) and not confident:
        return []
    chances: dict[int, float] = {}
    for span, chance in zip(spans, likelihoods(question, spans), strict=True):
        chances[span.passage.number] = chances.get(span.passage.number, 0.0) + chance
    chosen: list[Span] = []
    held = 0.0
    for span in spans:
        if held >= _ENOUGH or len(chosen) == _MOST_QUOTES:
            break
        if all(span.passage.number != other.passage.number for other in chosen):
            chosen.append(span)
            held += chances[span.passage.number]
    return chosen


def cite(span: Span, claim: str, *, number: int, verdict: Literal["supported", "quoted"]) -> Citation:
    """Returns the citation of a span, with offsets in the source."""
    passage = span.passage
    return Citation(
        number=number,
        claim=claim,
        verdict=verdict,
        source=passage.source,
        heading=passage.heading,
        page=passage.page,
        start=passage.start + span.start,
        end=passage.start + span.end,
        quote=span.text,
    )
