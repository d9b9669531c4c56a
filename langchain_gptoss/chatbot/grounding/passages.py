"""Passages and their sentences: the evidence for an answer, ranked by a question."""

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any, Self

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.chatbot.grounding.calibration import load_calibration, weigh_word
from langchain_gptoss.text.sentences import Statement, find_statements
from langchain_gptoss.text.sentences.lead_ins import join_lead_ins
from langchain_gptoss.text.table_rows import describe_table_row, remove_column_names
from langchain_gptoss.text.words import build_lexicon, extract_content_words
from langchain_gptoss.vectorstores.query_cache import embed_query

_LONG_SENTENCE_WORDS = 30  # content words from which the length of a sentence counts as 1
_FIGURE_QUESTION = re.compile(
    r"\b(?:combien|quand|how (?:many|much|long|old|far|often|tall|big|large)|when|what (?:year|percentage|date|time)"
    r"|(?:en )?quelle (?:année|date|durée|somme|heure|taille)|quel (?:âge|pourcentage|montant|nombre|prix|taux|délai)"
    r")\b",
    re.IGNORECASE,
)
_HEADING_MARK = re.compile(r" {0,3}(#{1,6})[ \t]+")
_MAX_EMBEDDED = 8  # sentences per question that are embedded: the best ones by words
_SIMILARITY_WEIGHT = 6.0  # of the cosine between sentence and question, beside the calibrated weights of words
_PHRASE_DISTANCE = 2  # maximum distance in content words of two words that form a phrase


@dataclass(frozen=True, kw_only=True)
class Passage:
    """A retrieved document, as the answer uses it.

    Attributes:
        number: Position among the passages, from 1.
        text: Text of the document.
        source: The file, or the retriever's name of the origin.
        heading: Path of headings above the passage; empty if there is none.
        page: Page number, if the document has pages.
        start: Offset of `text` in the source's extracted text, in characters; 0 if the retriever does not give it.
        relevance: The retriever's relevance score, about 0 to 1; None if it gives none.
        lead_in: The line that introduces the list with which the passage begins, "" if there is none.
        quoted: What the passage is in an e-mail: "" its own text, "reply" a message that it answers and that may no
            longer be true, "forward" one that it passes on.
    """

    number: int
    text: str
    source: str
    heading: str
    page: int | None
    start: int
    relevance: float | None
    lead_in: str = ""
    quoted: str = ""


@dataclass(frozen=True, kw_only=True)
class Span:
    """A sentence of a passage: `passage.text[start:end]`.

    Attributes:
        passage: The passage.
        start: Offset of the first character.
        end: Offset after the last character.
        lead_in: The text that introduces the list item or table row, "" if there is none.
        row: The row of a table with the names of its columns, "" for other sentences.
    """

    passage: Passage
    start: int
    end: int
    lead_in: str = ""
    row: str = ""

    @property
    def text(self) -> str:
        """The sentence."""
        return self.passage.text[self.start : self.end]

    @property
    def statement(self) -> str:
        """The sentence as it is understood and checked: a row of a table has the names of its columns."""
        return self.row or self.text

    @property
    def introduction(self) -> str:
        """Lead-in of the sentence and, for a row of a table, the row with the names of its columns."""
        return " ".join(filter(None, [self.lead_in, self.row]))

    @property
    def introduced_statement(self) -> str:
        """The sentence after its lead-in."""
        return f"{self.lead_in} {self.statement}".lstrip()

    @property
    def context(self) -> str:
        """The headings and the lead-in, which belong to what the sentence says."""
        return ". ".join(filter(None, [self.passage.heading, self.lead_in]))

    @property
    def text_with_heading(self) -> str:
        """The sentence after its context."""
        return f"{self.context} {self.statement}"

    @property
    def text_with_context(self) -> str:
        """The sentence after its context, as sentences."""
        return f"{self.context}. {self.statement}" if self.context else self.statement


def collect_passages(documents: Sequence[Document], *, limit: int) -> list[Passage]:
    """Return the first `limit` documents with different, non-empty texts as passages.

    A text that an e-mail says itself and one that it quotes are different: only the first one supports claims.
    """
    first = {_identify_text(document): document for document in reversed(documents) if document.page_content.strip()}
    distinct = [document for document in documents if first.get(_identify_text(document)) is document][:limit]
    return [_create_passage(number, document) for number, document in enumerate(distinct, 1)]


def order_by_place(passages: Sequence[Passage]) -> list[Passage]:
    """Return passages in the order of their places in the documents, numbered anew, for a prompt.

    The same passages then give the same prompt, in whatever order a question ranks them, and the engine reads it once.
    The numbers are for the model only: citations are found by the text of its sentences.
    """
    ordered = sorted(passages, key=lambda passage: (passage.source, passage.page or 0, passage.start, passage.text))
    return [replace(passage, number=number) for number, passage in enumerate(ordered, 1)]


def _identify_text(document: Document) -> tuple[str, str]:
    return document.page_content, str(document.metadata.get("quoted") or "")


def _create_passage(number: int, document: Document) -> Passage:
    metadata: dict[str, Any] = document.metadata
    score = metadata.get("relevance_score")
    return Passage(
        number=number,
        text=document.page_content,
        source=str(metadata.get("source") or document.id or f"passage {number}"),
        heading=str(metadata.get("heading") or metadata.get("title") or ""),
        page=_read_integer(metadata.get("page")),
        start=max(0, _read_integer(metadata.get("start")) or 0),
        relevance=_read_score(score),
        lead_in=str(metadata.get("lead_in") or ""),
        quoted=str(metadata.get("quoted") or ""),
    )


def _read_integer(value: Any) -> int | None:
    """Return a whole number of metadata; None for other values, such as the page "iv", which other loaders store."""
    try:
        return None if isinstance(value, bool) or int(value) != float(value) else int(value)
    except (TypeError, ValueError, OverflowError):
        return None


def _read_score(value: Any) -> float | None:
    try:
        score = None if value is None else float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return score if score is not None and math.isfinite(score) else None


def collect_spans(passages: Sequence[Passage]) -> list[Span]:
    """Return all sentences of the passages with their lead-ins, in order; Markdown headings are part of lead-ins."""
    return [span for passage in passages for span in _collect_passage_spans(passage)]


def _collect_passage_spans(passage: Passage) -> Iterator[Span]:
    path: dict[int, str] = {}
    for statement in find_statements(passage.text):
        line_start = passage.text.rfind("\n", 0, statement.start) + 1
        if heading := _HEADING_MARK.fullmatch(passage.text[line_start : statement.start]):
            level = len(heading[1])
            path = {other: name for other, name in path.items() if other < level}
            path[level] = passage.text[statement.start : statement.end]
            continue
        row = describe_table_row(passage.text, statement.start, statement.end, lead_in=passage.lead_in)
        lead_in = _describe_lead_in(passage, statement, is_row=bool(row))
        lead_in = ". ".join(filter(None, [*path.values(), lead_in]))
        yield Span(passage=passage, start=statement.start, end=statement.end, lead_in=lead_in, row=row)


def _describe_lead_in(passage: Passage, statement: Statement, *, is_row: bool) -> str:
    """Return the lead-ins of a statement, also those before its passage; a row has the names of its columns itself."""
    spans = [span for span in statement.lead_ins if not (is_row and "|" in passage.text[slice(*span)])]
    lead_in = join_lead_ins(passage.text[start:end] for start, end in spans)
    if not statement.lead_ins or statement.lead_ins[0][0] == 0:
        before = remove_column_names(passage.lead_in) if is_row else passage.lead_in
        lead_in = " ".join(filter(None, [before, lead_in]))
    return lead_in


@dataclass(frozen=True)
class QuestionTerms:
    """The content words of a question, each once, with their weights: rare words count more than common ones.

    Attributes:
        words: The words in order.
        weights: Their weights, from 0 to 1.
    """

    words: tuple[str, ...]
    weights: tuple[float, ...]

    @classmethod
    def from_question(cls, question: str) -> Self:
        """Return the terms of a question."""
        words = tuple(dict.fromkeys(extract_content_words(question)))
        return cls(words, tuple(weigh_word(word) for word in words))

    def calculate_share(self, *texts: str) -> float:
        """Return the weighted share of the words that occur in at least one of the texts, from 0 to 1."""
        lexicons = [build_lexicon(text) for text in texts]
        weight = sum(
            weight
            for word, weight in zip(self.words, self.weights, strict=True)
            if any(word in lexicon for lexicon in lexicons)
        )
        return weight / (sum(self.weights) or 1.0)

    def calculate_phrase_share(self, text: str) -> float:
        """Return the weighted share of neighbouring words of the question that are close together in a text."""
        lexicon, weight, total = build_lexicon(text), 0.0, 0.0
        for (word, next_word), weights in zip(pairwise(self.words), pairwise(self.weights), strict=True):
            total += sum(weights)
            if (
                word in lexicon
                and next_word in lexicon
                and _are_close(lexicon.find_positions(word), lexicon.find_positions(next_word))
            ):
                weight += sum(weights)
        return weight / (total or 1.0)


def _are_close(positions: Sequence[int], other_positions: Sequence[int]) -> bool:
    return any(abs(one - other) <= _PHRASE_DISTANCE for one in positions for other in other_positions)


def rank_spans(
    questions: Sequence[tuple[str, float]],
    passages: Sequence[Passage],
    embeddings: Embeddings | None,
    *,
    limit: int | None = None,
) -> list[tuple[Span, float]]:
    """Return the sentences of the passages with their scores, best first. The scores have no fixed scale.

    Args:
        questions: Questions and their weights; a follow-up has a higher weight than the question before it.
        passages: The passages.
        embeddings: Embeddings that reorder the best sentences, or None to rank by words only.
        limit: Maximum number of sentences; None means all.
    """
    spans = collect_spans(passages)
    scores = [0.0] * len(spans)
    total = sum(weight for _, weight in questions)
    # "And for express?" asks for a figure too if the question before it does.
    is_figure_question = any(_is_figure_question(text) for text, _ in questions)
    for text, weight in questions:
        for index, score in enumerate(_score_by_words(text, spans, is_figure_question=is_figure_question)):
            scores[index] += weight * score / total
    ranked = sorted(range(len(spans)), key=lambda index: -scores[index])
    if embeddings is not None and spans:
        best = ranked[:_MAX_EMBEDDED]
        similarities = _calculate_similarities([spans[index] for index in best], questions, embeddings)
        for index, similarity in zip(best, similarities, strict=True):
            scores[index] += _SIMILARITY_WEIGHT * similarity
        ranked = sorted(best, key=lambda index: -scores[index]) + ranked[_MAX_EMBEDDED:]
    return [(spans[index], scores[index]) for index in ranked[:limit]]


def estimate_likelihoods(question: str, spans: Sequence[Span]) -> list[float]:
    """Return for each span the probability that it is the answer, given that one of the spans is."""
    scores = _score_by_words(question, spans, is_figure_question=_is_figure_question(question))
    highest = max(scores, default=0.0)
    powers = [math.exp(score - highest) for score in scores]
    total = sum(powers)
    return [power / total for power in powers]


def _is_figure_question(question: str) -> bool:
    return bool(_FIGURE_QUESTION.search(question))


def _score_by_words(question: str, spans: Sequence[Span], *, is_figure_question: bool) -> list[float]:
    """Return the score of each span, with the coefficients of the calibration."""
    coefficients = load_calibration().spans
    return [
        sum(coefficient * features[name] for name, coefficient in coefficients.items())
        for features in compute_span_features(question, spans, is_figure_question=is_figure_question)
    ]


def compute_span_features(
    question: str, spans: Sequence[Span], *, is_figure_question: bool | None = None
) -> list[dict[str, float]]:
    """Return the features of each span from which its score is computed.

    Features are shares of the question's words, relevance and rank of the passage, length, figures, and position.

    Args:
        question: The question.
        spans: The sentences.
        is_figure_question: True if the question asks for a number; None decides by its words.
    """
    terms = QuestionTerms.from_question(question)
    asks_figure = _is_figure_question(question) if is_figure_question is None else is_figure_question
    passages = {span.passage.number: span.passage for span in spans}
    passage_shares = {number: terms.calculate_share(p.heading, p.text) for number, p in passages.items()}
    relevance = _scale_relevance(list(passages.values()))
    return [
        {
            "words": terms.calculate_share(span.statement),
            "heading": terms.calculate_share(span.passage.heading, span.statement),
            "phrases": terms.calculate_phrase_share(span.statement),
            "passage": passage_shares[span.passage.number],
            "relevance": relevance[span.passage.number],
            "rank": 1 / span.passage.number,
            "length": min(len(build_lexicon(span.statement).words), _LONG_SENTENCE_WORDS) / _LONG_SENTENCE_WORDS,
            "figure": float(asks_figure and any(char.isdigit() for char in span.statement)),
            "opens": float(span.passage.start + span.start == 0),
            "introduces": float(span.text.endswith((":", "?"))),
        }
        for span in spans
    ]


def _scale_relevance(passages: Sequence[Passage]) -> dict[int, float]:
    """Return the relevance by passage number, scaled from 0 (lowest) to 1 (highest); 0 without scores."""
    scores = {passage.number: passage.relevance for passage in passages if passage.relevance is not None}
    low, high = min(scores.values(), default=0.0), max(scores.values(), default=0.0)
    return {p.number: (scores.get(p.number, low) - low) / (high - low) if high > low else 0.0 for p in passages}


def _calculate_similarities(
    spans: Sequence[Span], questions: Sequence[tuple[str, float]], embeddings: Embeddings
) -> list[float]:
    """Return the cosine between each span, with its last heading, and the weighted questions."""
    import numpy as np

    texts = [f"{span.passage.heading.split(' > ')[-1]}\n{span.statement}" for span in spans]
    vectors = np.array(embeddings.embed_documents(texts))
    query = sum(weight * np.array(embed_query(embeddings, text)) for text, weight in questions)
    lengths = np.linalg.norm(vectors, axis=1) * np.linalg.norm(query)
    similarities: list[float] = (vectors @ query / np.maximum(lengths, 1e-12)).tolist()
    return similarities
