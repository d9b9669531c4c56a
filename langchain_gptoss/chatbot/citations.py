"""Citations are checked, not believed: a sentence is supported only by a span that says the same."""

from collections.abc import Sequence
from typing import Literal

from typing_extensions import TypedDict

from langchain_gptoss.chatbot.evidence import Span
from langchain_gptoss.chatbot.text import coverage, negated, numbers, words

_SUPPORT = 0.65  # the share of a claim's words that its span must hold
_ELLIPTIC = 4  # a sentence with fewer content words ("It costs 12.90.") is read together with its question


class Citation(TypedDict):
    """A span of a source that supports a sentence of the answer.

    Attributes:
        number: As it stands in the answer, in brackets.
        claim: The answer's sentence.
        verdict: `"supported"` for a sentence of the model that the span supports, `"quoted"` for the span itself.
        source: The file, or what the retriever calls the origin.
        heading: The headings above the span, or empty.
        page: The page, or None.
        start: Where the quote starts in the source's extracted text, in characters.
        end: Where it ends.
        quote: The quoted text, `source_text[start:end]`.
    """

    number: int
    claim: str
    verdict: Literal["supported", "quoted"]
    source: str
    heading: str
    page: int | None
    start: int
    end: int
    quote: str


def supporting_span(sentence: str, question: str, spans: Sequence[Span]) -> Span | None:
    """Returns the span that supports a sentence of an answer, or None.

    The span must hold every number of the sentence and most of its words, and say yes or no as it does. No other
    span may fit the words better: "the answer is 4.90 euros" to a question about express delivery is not supported
    by the price of standard delivery, because the sentence on express delivery fits it better and has another number.
    """
    claim = words(sentence)
    if not claim:
        return None
    if len(claim) < _ELLIPTIC:
        claim += words(question)
    figures = numbers(sentence)
    plain = [word for word in claim if not word[0].isdigit()]
    fits = [coverage(plain, f"{span.passage.heading.split(' > ')[-1]} {span.text}") for span in spans]
    supporter, rival = None, 0.0
    best = _SUPPORT if plain else 0.0
    for span, fit in zip(spans, fits, strict=True):
        held = numbers(span.text)
        if figures and held and not figures <= held:
            rival = max(rival, fit)
        elif figures <= held and negated(sentence) == negated(span.text) and fit >= best:
            if supporter is None or fit > best:
                supporter, best = span, fit
    return None if rival > best else supporter


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
