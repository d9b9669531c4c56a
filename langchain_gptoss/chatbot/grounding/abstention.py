"""Whether passages can answer a question: a confidence that was calibrated on questions with and without an answer.

Retrieval scores alone do not tell: their scale differs from retriever to retriever. What counts here is how much of the
question the best passage and sentence hold, which of its names and rare words stand nowhere, and how far the best
passage stands out from the rest, all of them on scales that are the same for BM25, vectors, both, and neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.grounding.calibration import calibration, word_weight
from langchain_gptoss.chatbot.grounding.passages import Passage, Wanted, spans_of
from langchain_gptoss.text.language import choose_language
from langchain_gptoss.text.names import extract_names
from langchain_gptoss.text.words import build_lexicon, extract_words_with_spelling

_TELLING = 0.5  # weight from which a word that stands in no passage is named as the reason
_SHOWN = 3
_NEVER = 0.02  # confidence where there is nothing to go by


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """Whether passages can answer a question.

    Attributes:
        answerable: Whether to try.
        confidence: The probability that they do, from 0 to 1.
        reason: Why, for people.
        features: What the confidence was computed from.
    """

    answerable: bool
    confidence: float
    reason: str
    features: dict[str, float]


def judge(
    question: str, passages: Sequence[Passage], *, language: str | None = None, decline_below: float | None = None
) -> Judgement:
    """Judges whether passages can answer a question.

    Args:
        question: The question, complete by itself.
        passages: What was retrieved, best first.
        language: Of the question; None detects it.
        decline_below: The confidence below which it is declined; None takes the calibrated threshold.
    """
    limit = calibration().threshold if decline_below is None else decline_below
    found = signals(question, passages)
    confidence = _NEVER
    if found:
        kind = "scored" if any(passage.relevance is not None for passage in passages) else "unscored"
        confidence = logistic(calibration().judge[kind], found)
        if kind == "scored" and _foreign(question, passages, language):
            confidence = max(confidence, logistic(calibration().judge["translated"], found))
    if confidence >= limit:
        reason = f"Answered: confidence {confidence:.2f}."
    else:
        reason = f"Declined: confidence {confidence:.2f} below {limit:.2f}: {_why(question, passages)}."
    return Judgement(answerable=confidence >= limit, confidence=confidence, reason=reason, features=found)


def signals(question: str, passages: Sequence[Passage]) -> dict[str, float]:
    """Returns what the confidence is computed from, by name; nothing where there is no word or no passage.

    Shares are of the question's words, weighted by rarity.

    - passage, sentence: the share that the best passage, or the best sentence with its headings, holds;
    - anywhere: the share that the passages hold together;
    - phrases: the share of neighbouring words that stand near each other in a sentence;
    - names_missing, names_nowhere: the share of its names that the best passage lacks, or every passage;
    - substance: how much the best passage's words say: a question of common words is answered by any text;
    - margin: how far the best relevance is from the mean of the others, as a share of the way to 1;
    - relevance: the best relevance, as the retriever gives it.
    """
    wanted = Wanted.of(question)
    if not wanted.words or not passages:
        return {}
    texts = [(passage.heading, passage.text) for passage in passages]
    shares = [wanted.share(*text) for text in texts]
    best = texts[shares.index(max(shares))]
    everything = [part for text in texts for part in text]
    spans = spans_of(passages)
    asked = extract_names(question) + tuple(word for word in wanted.words if word[0].isdigit())
    relevances = sorted((p.relevance for p in passages if p.relevance is not None), reverse=True)
    top = relevances[0] if relevances else 0.0
    rest = sum(relevances[1:]) / len(relevances[1:]) if len(relevances) > 1 else top
    return {
        "passage": max(shares),
        "sentence": max(wanted.share(span.passage.heading, span.text) for span in spans) if spans else 0.0,
        "anywhere": wanted.share(*everything),
        "phrases": max((wanted.phrases(span.text) for span in spans), default=0.0),
        "names_missing": _share_missing(asked, best),
        "names_nowhere": _share_missing(asked, everything),
        "substance": math.log1p(sum(wanted.weights) * max(shares)),
        "margin": (top - rest) / max(1 - rest, 0.05),
        "relevance": top,
    }


def _share_missing(asked: Sequence[str], texts: Sequence[str]) -> float:
    there = [build_lexicon(text) for text in texts]
    lacking = [word for word in asked if not any(word in one for one in there)]
    return len(lacking) / len(asked) if asked else 0.0


def logistic(coefficients: dict[str, float], features: dict[str, float]) -> float:
    """Returns a probability from features and their coefficients; "constant" is the coefficient of 1."""
    total = sum(
        weight if name == "constant" else weight * features.get(name, 0.0) for name, weight in coefficients.items()
    )
    return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def _foreign(question: str, passages: Sequence[Passage], language: str | None) -> bool:
    """Returns whether the best passage is in another language than the question, so that words cannot agree."""
    return (language or choose_language(question)) != choose_language(passages[0].text)


def _why(question: str, passages: Sequence[Passage]) -> str:
    if not passages:
        return "nothing was found"
    there = [build_lexicon(text) for passage in passages for text in (passage.heading, passage.text)]
    absent = dict.fromkeys(
        written
        for written, word in extract_words_with_spelling(question)
        if word_weight(word) >= _TELLING and not any(word in one for one in there)
    )
    if not absent:
        return "no passage holds enough of the question's words together"
    shown = ", ".join(f"“{word}”" for word in list(absent)[:_SHOWN])
    return f"{shown} {'stand' if len(absent) > 1 else 'stands'} in no passage"
