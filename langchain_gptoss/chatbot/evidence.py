"""From retrieved documents to evidence: which passages are near enough, and which of their sentences matter."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.chatbot.text import coverage, sentences, words

# How much the words of the question found in a passage add to the passage's similarity. This weight and the limit
# below were chosen together on SQuAD 2 questions asked with and without their own article in the index.
_COVERAGE_WEIGHT = 0.3
DEFAULT_MIN_NEARNESS = 0.5


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


def nearness(question: str, passages: Sequence[Passage]) -> float:
    """Returns how near the passages are to the question, about 0 to 1.3.

    The retriever's best relevance plus 0.3 times the share of the question's words that a passage holds; that share
    alone, from 0 to 1, where the retriever gives no relevance.
    """
    wanted = words(question)
    covered = max((coverage(wanted, f"{p.heading} {p.text}") for p in passages), default=0.0)
    relevances = [p.relevance for p in passages if p.relevance is not None]
    return max(relevances) + _COVERAGE_WEIGHT * covered if relevances else covered


def spans_of(passages: Sequence[Passage]) -> list[Span]:
    """Returns every sentence of the passages."""
    return [Span(passage=p, start=start, end=end) for p in passages for start, end in sentences(p.text)]


def nearest_spans(
    questions: Sequence[tuple[str, float]],
    passages: Sequence[Passage],
    embeddings: Embeddings | None,
    *,
    limit: int | None = None,
) -> list[tuple[Span, float]]:
    """Returns the sentences that are nearest to the questions, nearest first, with a score of about 0 to 1.5.

    Args:
        questions: Texts and their weights; a follow-up weighs more than the question before it.
        passages: Where to look.
        embeddings: Those of the retriever, or None to go by words alone.
        limit: How many to return; None means all.
    """
    spans = spans_of(passages)
    scores = [_word_score(span, questions) for span in spans]
    if embeddings is not None and spans:
        similarities = _similarities(spans, questions, embeddings)
        scores = [similarity + 0.5 * score for similarity, score in zip(similarities, scores, strict=True)]
    ranked = sorted(range(len(spans)), key=lambda index: -scores[index])
    return [(spans[index], scores[index]) for index in ranked[:limit]]


def _word_score(span: Span, questions: Sequence[tuple[str, float]]) -> float:
    total = sum(weight for _, weight in questions)
    return sum(weight * coverage(words(text), span.text) for text, weight in questions) / total


def _similarities(spans: Sequence[Span], questions: Sequence[tuple[str, float]], embeddings: Embeddings) -> list[float]:
    import numpy as np

    section = [span.passage.heading.split(" > ")[-1] for span in spans]
    vectors = np.array(embeddings.embed_documents([f"{h}\n{s.text}" for h, s in zip(section, spans, strict=True)]))
    query = sum(weight * np.array(embeddings.embed_query(text)) for text, weight in questions)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    similarities: list[float] = (vectors @ query / np.maximum(lengths, 1e-12)).tolist()
    return similarities
