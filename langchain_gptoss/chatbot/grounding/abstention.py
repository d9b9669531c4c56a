"""Abstention: a calibrated confidence that passages can answer a question.

Retrieval scores alone are not enough, because their scale differs between retrievers. The confidence depends on the
share of the question that the best passage and sentence have, on names and rare words that no passage has, and on the
lead of the best passage over the others. These signals have the same scale with BM25, embeddings, both, and neither.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from langchain_gptoss.chatbot.grounding.calibration import load_calibration, weigh_word
from langchain_gptoss.chatbot.grounding.passages import Passage, QuestionTerms, collect_spans
from langchain_gptoss.text.language import detect_language, identify_language
from langchain_gptoss.text.names import extract_names
from langchain_gptoss.text.words import build_lexicon, extract_words_with_spelling

_MIN_REASON_WEIGHT = 0.5  # weight from which a missing word is named in the reason
_MAX_REASON_WORDS = 3
_LOWEST_CONFIDENCE = 0.02  # without words or passages
_MAX_LOGIT = 30.0


@dataclass(frozen=True, kw_only=True)
class Judgement:
    """The decision whether passages can answer a question.

    Attributes:
        is_answerable: True if an answer should be tried.
        confidence: Probability that the passages answer the question, from 0 to 1.
        reason: A sentence for people.
        signals: The values from which the confidence was computed.
    """

    is_answerable: bool
    confidence: float
    reason: str
    signals: dict[str, float]


def judge(
    question: str, passages: Sequence[Passage], *, language: str | None = None, decline_below: float | None = None
) -> Judgement:
    """Judge whether passages can answer a question.

    Args:
        question: The question, complete without the conversation.
        passages: Retrieved passages, best first.
        language: Language of the question; None detects it.
        decline_below: Confidence below which the question is declined; None takes the calibrated threshold.
    """
    threshold = load_calibration().threshold if decline_below is None else decline_below
    signals = compute_signals(question, passages)
    confidence = _calculate_confidence(question, passages, signals, language)
    if confidence >= threshold:
        reason = f"Answered: confidence {confidence:.2f}."
    else:
        cause = _explain_decline(question, passages)
        reason = f"Declined: confidence {confidence:.2f} below {threshold:.2f}: {cause}."
    return Judgement(is_answerable=confidence >= threshold, confidence=confidence, reason=reason, signals=signals)


def _calculate_confidence(
    question: str, passages: Sequence[Passage], signals: dict[str, float], language: str | None
) -> float:
    if not signals:
        return _LOWEST_CONFIDENCE
    coefficients = load_calibration().judge
    if all(passage.relevance is None for passage in passages):
        return calculate_probability(coefficients["unscored"], signals)
    confidence = calculate_probability(coefficients["scored"], signals)
    question_language, passage_language = language or detect_language(question), identify_language(passages[0].text)
    if question_language and passage_language and question_language != passage_language:
        # Words of different languages cannot match, so the retriever's scores decide.
        confidence = max(confidence, calculate_probability(coefficients["translated"], signals))
    return confidence


def compute_signals(question: str, passages: Sequence[Passage]) -> dict[str, float]:
    """Return the signals of the confidence by name; empty without words in the question or without passages.

    Shares are shares of the question's words, weighted by rarity.

    - passage, sentence: the share that the best passage, or the best sentence with its headings, has;
    - anywhere: the share that all passages have together;
    - phrases: the share of neighbouring words that are close together in a sentence;
    - names_missing, names_nowhere: the share of its names that the best passage, or every passage, lacks;
    - substance: the weight of the words that the best passage has; any text matches a question of common words;
    - margin: the lead of the highest relevance over the mean of the others, as a share of the distance to 1;
    - relevance: the highest relevance score of the retriever.
    """
    terms = QuestionTerms.from_question(question)
    if not terms.words or not passages:
        return {}
    texts = [(passage.heading, passage.text) for passage in passages]
    shares = [terms.calculate_share(*text) for text in texts]
    best_text = texts[shares.index(max(shares))]
    all_texts = [part for text in texts for part in text]
    spans = collect_spans(passages)
    names = extract_names(question) + tuple(word for word in terms.words if word[0].isdigit())
    relevances = sorted((p.relevance for p in passages if p.relevance is not None), reverse=True)
    highest = relevances[0] if relevances else 0.0
    mean_of_others = sum(relevances[1:]) / len(relevances[1:]) if len(relevances) > 1 else highest
    return {
        "passage": max(shares),
        "sentence": max(terms.calculate_share(span.passage.heading, span.statement) for span in spans)
        if spans
        else 0.0,
        "anywhere": terms.calculate_share(*all_texts),
        "phrases": max((terms.calculate_phrase_share(span.statement) for span in spans), default=0.0),
        "names_missing": _calculate_missing_share(names, best_text),
        "names_nowhere": _calculate_missing_share(names, all_texts),
        "substance": math.log1p(sum(terms.weights) * max(shares)),
        "margin": (highest - mean_of_others) / max(1 - mean_of_others, 0.05),
        "relevance": highest,
    }


def _calculate_missing_share(words: Sequence[str], texts: Sequence[str]) -> float:
    """Return the share of words that none of the texts has."""
    lexicons = [build_lexicon(text) for text in texts]
    missing = [word for word in words if not any(word in lexicon for lexicon in lexicons)]
    return len(missing) / len(words) if words else 0.0


def calculate_probability(coefficients: dict[str, float], features: dict[str, float]) -> float:
    """Return the logistic function of the weighted features; the coefficient "constant" is added to their sum."""
    logit = sum(
        coefficient if name == "constant" else coefficient * features.get(name, 0.0)
        for name, coefficient in coefficients.items()
    )
    return 1 / (1 + math.exp(-max(-_MAX_LOGIT, min(_MAX_LOGIT, logit))))


def _explain_decline(question: str, passages: Sequence[Passage]) -> str:
    if not passages:
        return "nothing was found"
    lexicons = [build_lexicon(text) for passage in passages for text in (passage.heading, passage.text)]
    missing = dict.fromkeys(
        spelling
        for spelling, word in extract_words_with_spelling(question)
        if weigh_word(word) >= _MIN_REASON_WEIGHT and not any(word in lexicon for lexicon in lexicons)
    )
    if not missing:
        return "no passage has enough of the question's words together"
    words = ", ".join(f"“{word}”" for word in list(missing)[:_MAX_REASON_WORDS])
    return f"no passage contains {words}"
