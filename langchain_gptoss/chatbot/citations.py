"""Citations are checked, not believed: a sentence is supported only by a span that says the same."""

import re
from collections.abc import Sequence
from typing import Literal

from langchain_gptoss.chatbot.evidence import Span
from langchain_gptoss.chatbot.text import coverage, missing, negated, numbers, words
from langchain_gptoss.chatbot.types import Citation

_SUPPORT = 0.65  # the share of a claim's words that its span must hold
_QUOTABLE = 0.7  # the share of a question's words that a quoted sentence and its headings must hold
_NEWS = 0.5  # the share of the words that the sentence adds to the question
_ELLIPTIC = 4  # a sentence with fewer content words ("It costs 12.90.") is read together with its question

_YES_OR_NO = re.compile(r"\W*(yes|no|oui|non)\b", re.IGNORECASE)


def supporting_span(sentence: str, question: str, spans: Sequence[Span]) -> Span | None:
    """Returns the span that supports a sentence of an answer, or None.

    The span must hold every number of the sentence and most of its words, and say yes or no as it does. Words that
    the sentence takes over from the question must stand in the span's passage: an answer about a "student discount"
    is not supported by a passage that knows no students. No other span may fit the words better and have other
    numbers: "the answer is 4.90 euros" to a question about express delivery is not supported by the price of standard
    delivery, because the sentence on express delivery fits it better. A sentence that says nothing beyond the
    question, or asks, is not an answer.
    """
    said, asked = words(sentence), words(question)
    new = missing(said, question)
    if not said or sentence.rstrip().endswith("?") or not (new or _YES_OR_NO.match(sentence)):
        return None
    claim = said if len(said) >= _ELLIPTIC else said + asked
    plain = [word for word in claim if not word[0].isdigit()]
    taken_over = [word for word in asked if not missing([word], sentence)]
    figures, negative = numbers(sentence), negated(sentence)
    supporter, best, rival = None, _SUPPORT if plain else 0.0, 0.0
    for span in spans:
        fit = coverage(plain, f"{span.passage.heading} {span.text}")
        held = numbers(span.text)
        if figures and held and not figures <= held:
            rival = max(rival, fit)
        elif (
            (fit > best or (fit == best and not supporter))
            and figures <= held
            and negative == negated(span.text)
            and (not new or coverage(new, span.text) >= _NEWS)
            and not missing(taken_over, f"{span.passage.heading} {span.passage.text}")
        ):
            supporter, best = span, fit
    return None if rival > best else supporter


def answers(span: Span, question: str) -> bool:
    """Returns whether a span holds enough of the question's words to be shown as the answer by itself."""
    return coverage(words(question), f"{span.passage.heading} {span.text}") >= _QUOTABLE


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
