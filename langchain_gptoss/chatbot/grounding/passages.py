"""From retrieved documents to evidence: which passages are near enough, and which of their sentences matter."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.chatbot.grounding.calibration import calibration, word_weight
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import build_lexicon, extract_content_words

_LONG = 30  # content words of a sentence that is as long as can be
_FIGURE = re.compile(
    r"\b(?:combien|quand|how (?:many|much|long|old|far|often|tall|big|large)|when|what (?:year|percentage|date|time)"
    r"|(?:en )?quelle (?:année|date|durée|somme|heure|taille)|quel (?:âge|pourcentage|montant|nombre|prix|taux|délai)"
    r")\b",
    re.IGNORECASE,
)
# Sentences that are embedded for one question: those that words rank first.
_EMBEDDED = 8
_SIMILARITY_WEIGHT = 6.0  # of the cosine of sentence and question, beside the calibrated weights of words
_CLOSE = 2  # words that may stand between two words of the question that belong together


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A retrieved document as the answer sees it.

    Attributes:
        number: Its place among the passages, from 1.
        text: The document's text.
        source: The file, or whatever the retriever calls the origin.
        heading: The path of headings above it; empty where there is none.
        page: The page, for documents that have pages.
        start: Offset of `text` in the source's extracted text, in characters; 0 where the retriever does not say.
        relevance: The retriever's score of nearness, about 0 to 1; None where it gives none.
    """

    number: int
    text: str
    source: str
    heading: str
    page: int | None
    start: int
    relevance: float | None


@dataclass(frozen=True, kw_only=True)
class Span:
    """A sentence of a passage; `passage.text[start:end]` is its text."""

    passage: Passage
    start: int
    end: int

    @property
    def text(self) -> str:
        """The sentence."""
        return self.passage.text[self.start : self.end]


def passages_of(documents: Sequence[Document], *, limit: int) -> list[Passage]:
    """Returns the first `limit` different documents as passages."""
    unique = {document.page_content: document for document in reversed(documents) if document.page_content.strip()}
    ordered = [document for document in documents if unique.get(document.page_content) is document][:limit]
    return [_passage(number, document) for number, document in enumerate(ordered, 1)]


def _passage(number: int, document: Document) -> Passage:
    metadata: dict[str, Any] = document.metadata
    score = metadata.get("relevance_score")
    return Passage(
        number=number,
        text=document.page_content,
        source=str(metadata.get("source") or document.id or f"passage {number}"),
        heading=str(metadata.get("heading") or metadata.get("title") or ""),
        page=metadata.get("page"),
        start=int(metadata.get("start") or 0),
        relevance=None if score is None else float(score),
    )


def spans_of(passages: Sequence[Passage]) -> list[Span]:
    """Returns every sentence of the passages."""
    return [Span(passage=p, start=start, end=end) for p in passages for start, end in find_sentences(p.text)]


@dataclass(frozen=True)
class Wanted:
    """The words of a question, each once, and what each counts: rare words tell more than those of every question."""

    words: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def of(cls, question: str) -> "Wanted":
        """Returns the words of a question."""
        found = tuple(dict.fromkeys(extract_content_words(question)))
        return cls(found, tuple(word_weight(word) for word in found))

    def share(self, *texts: str) -> float:
        """Returns the weighted share of the words that texts hold together, from 0 to 1."""
        there = [build_lexicon(text) for text in texts]
        held = sum(
            weight for word, weight in zip(self.words, self.weights, strict=True) if any(word in one for one in there)
        )
        return held / (sum(self.weights) or 1.0)

    def phrases(self, text: str) -> float:
        """Returns the weighted share of neighbouring words of the question that are near each other in a text."""
        there, held, total = build_lexicon(text), 0.0, 0.0
        for (first, second), (one, other) in zip(pairwise(self.words), pairwise(self.weights), strict=True):
            total += one + other
            if first in there and second in there and _near(there.find_positions(first), there.find_positions(second)):
                held += one + other
        return held / (total or 1.0)


def _near(first: Sequence[int], second: Sequence[int]) -> bool:
    return any(abs(one - other) <= _CLOSE for one in first for other in second)


def nearest_spans(
    questions: Sequence[tuple[str, float]],
    passages: Sequence[Passage],
    embeddings: Embeddings | None,
    *,
    limit: int | None = None,
) -> list[tuple[Span, float]]:
    """Returns the sentences that are nearest to the questions, nearest first, with a score that has no fixed scale.

    Args:
        questions: Texts and their weights; a follow-up weighs more than the question before it.
        passages: Where to look.
        embeddings: Those of the retriever, which reorder the first sentences, or None to go by words alone.
        limit: How many to return; None means all.
    """
    spans = spans_of(passages)
    scores = [0.0] * len(spans)
    total = sum(weight for _, weight in questions)
    figure = any(map(_asks_for_a_figure, (text for text, _ in questions)))  # "And for express?" asks for one as well
    for text, weight in questions:
        for index, score in enumerate(_word_scores(text, spans, figure=figure)):
            scores[index] += weight * score / total
    ranked = sorted(range(len(spans)), key=lambda index: -scores[index])
    if embeddings is not None and spans:
        first = ranked[:_EMBEDDED]
        for index, similarity in zip(
            first, _similarities([spans[i] for i in first], questions, embeddings), strict=True
        ):
            scores[index] += _SIMILARITY_WEIGHT * similarity
        ranked = sorted(first, key=lambda index: -scores[index]) + ranked[_EMBEDDED:]
    return [(spans[index], scores[index]) for index in ranked[:limit]]


def likelihoods(question: str, spans: Sequence[Span]) -> list[float]:
    """Returns for each span the probability that it is the one that answers, given that one of them does."""
    scores = _word_scores(question, spans, figure=_asks_for_a_figure(question))
    highest = max(scores, default=0.0)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _asks_for_a_figure(question: str) -> bool:
    return bool(_FIGURE.search(question))


def _word_scores(question: str, spans: Sequence[Span], *, figure: bool) -> list[float]:
    """Returns a score for each span, by the weights that `calibration.json` holds."""
    weights = calibration().spans
    return [
        sum(weight * row[name] for name, weight in weights.items())
        for row in span_features(question, spans, figure=figure)
    ]


def span_features(question: str, spans: Sequence[Span], *, figure: bool | None = None) -> list[dict[str, float]]:
    """Returns what a span's score is computed from: shares of the question's words, relevance, place, length, form.

    Args:
        question: The question.
        spans: The sentences.
        figure: Whether a number is asked for; None goes by the question.
    """
    wanted = Wanted.of(question)
    figure = _asks_for_a_figure(question) if figure is None else figure
    by_passage = {span.passage.number: span.passage for span in spans}
    whole = {number: wanted.share(p.heading, p.text) for number, p in by_passage.items()}
    relevance = _relative_relevance(list(by_passage.values()))
    return [
        {
            "words": wanted.share(span.text),
            "heading": wanted.share(span.passage.heading, span.text),
            "phrases": wanted.phrases(span.text),
            "passage": whole[span.passage.number],
            "relevance": relevance[span.passage.number],
            "rank": 1 / span.passage.number,
            "length": min(len(build_lexicon(span.text).words), _LONG) / _LONG,
            "figure": float(figure and any(char.isdigit() for char in span.text)),
            "opens": float(span.passage.start + span.start == 0),
            "introduces": float(span.text.endswith((":", "?"))),
        }
        for span in spans
    ]


def _relative_relevance(passages: Sequence[Passage]) -> dict[int, float]:
    """Returns the relevance of each passage, from 0 for the lowest to 1 for the highest of these; 0 without scores."""
    scored = {passage.number: passage.relevance for passage in passages if passage.relevance is not None}
    low, high = min(scored.values(), default=0.0), max(scored.values(), default=0.0)
    return {p.number: (scored.get(p.number, low) - low) / (high - low) if high > low else 0.0 for p in passages}


def _similarities(spans: Sequence[Span], questions: Sequence[tuple[str, float]], embeddings: Embeddings) -> list[float]:
    import numpy as np

    section = [span.passage.heading.split(" > ")[-1] for span in spans]
    vectors = np.array(embeddings.embed_documents([f"{h}\n{s.text}" for h, s in zip(section, spans, strict=True)]))
    query = sum(weight * np.array(embeddings.embed_query(text)) for text, weight in questions)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    similarities: list[float] = (vectors @ query / np.maximum(lengths, 1e-12)).tolist()
    return similarities
