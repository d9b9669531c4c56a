"""Several ranked lists into one: pure functions over documents and scores.

Scores of different retrievers have different scales, so each side is standardised over the candidates of the query
before sides are added. Ranks would throw away how sure a side is: on French questions, reciprocal rank fusion of BM25
with a weak dense side ranks worse than BM25 alone (docs/retrieval.md has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean, pstdev

from langchain_core.documents import Document

RELEVANCE = "relevance_score"
FUSED = "fused_score"
# Cormack, Clarke and Büttcher, SIGIR 2009: "Reciprocal rank fusion outperforms Condorcet".
RRF_CONSTANT = 60
# How far below the last document that a side returned those lie that it did not, in deviations of its scores. At 0 a
# document of one side alone gains from the other's ignorance. Chosen on half of PIAF, with `depth` (benchmarks/README).
_UNSEEN = 2.0


@dataclass(frozen=True, kw_only=True)
class Side:
    """What one retriever found for a query.

    Attributes:
        documents: Best first.
        weight: What it counts.
        cut: Whether it may have left out documents because it was asked for no more.
    """

    documents: Sequence[Document]
    weight: float
    cut: bool


class Distinct:
    """Gives documents keys, the same key to documents with the same id or the same text."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_text: dict[str, int] = {}

    def key(self, document: Document) -> int:
        """Returns the document's key."""
        text, id_ = document.page_content.strip(), document.id
        key = self._by_text.get(text, -1)
        if key < 0 and id_ is not None:
            key = self._by_id.get(id_, -1)
        if key < 0:
            key = len(self._by_text)
        self._by_text.setdefault(text, key)
        if id_ is not None:
            self._by_id.setdefault(id_, key)
        return key


def distinct(documents: Sequence[Document]) -> list[Document]:
    """Returns the documents without those whose id or text came before."""
    keys = Distinct()
    first: dict[int, Document] = {}
    for document in documents:
        first.setdefault(keys.key(document), document)
    return list(first.values())


def scores_of(documents: Sequence[Document]) -> list[float] | None:
    """Returns the documents' scores, higher is better, or None where one of them has none."""
    for name in (FUSED, RELEVANCE):
        found = [document.metadata.get(name) for document in documents]
        scores = [float(score) for score in found if isinstance(score, int | float) and math.isfinite(score)]
        if len(scores) == len(documents):
            return scores
    return None


def fuse(sides: Sequence[Side], *, by_ranks: bool) -> list[Document]:
    """Returns the documents of all sides, best first, each once.

    They are copies. Each carries `fused_score`, by which they are ordered, and `relevance_score`, the weighted mean of
    what the sides say, where a side says it.

    Args:
        sides: What was found.
        by_ranks: Reciprocal rank fusion instead of standardised scores.
    """
    keys = Distinct()
    ranked = [_first_places([keys.key(document) for document in side.documents]) for side in sides]
    candidates = dict.fromkeys(key for places in ranked for key in places)
    fused = dict.fromkeys(candidates, 0.0)
    for side, places in zip(sides, ranked, strict=True):
        points = _rank_points(places) if by_ranks else _standardised(side, places, list(candidates))
        for key, value in points.items():
            fused[key] += side.weight * value
    relevance = _mean_relevance(sides, ranked, list(candidates))
    order = sorted(candidates, key=lambda key: -fused[key])
    return [_document(sides, ranked, key, fused[key], relevance.get(key)) for key in order]


def _first_places(keys: Sequence[int]) -> dict[int, int]:
    places: dict[int, int] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, place)
    return places


def _rank_points(places: dict[int, int]) -> dict[int, float]:
    return {key: 1 / (RRF_CONSTANT + 1 + place) for key, place in places.items()}


def _standardised(side: Side, places: dict[int, int], candidates: Sequence[int]) -> dict[int, float]:
    """Returns scores with mean 0 and deviation 1 over all candidates.

    A side without scores is read by rank: the first counts 1 and later ones less by the discount of nDCG.
    """
    given = scores_of(side.documents)
    scores = [1 / math.log2(2 + place) for place in range(len(side.documents))] if given is None else given
    values = _with_floor(scores, side, places, candidates)
    mean, deviation = fmean(values.values()) if values else 0.0, pstdev(values.values()) if values else 0.0
    return {key: (value - mean) / deviation if deviation else 0.0 for key, value in values.items()}


def _with_floor(
    scores: Sequence[float], side: Side, places: dict[int, int], candidates: Sequence[int]
) -> dict[int, float]:
    """Returns a score for every candidate, what a side did not return lower than the last that it did.

    Where scores are never negative, 0 is the lowest; a side that returned less than it was asked for knows nothing of
    the others, which is 0.
    """
    lowest = min(scores, default=0.0)
    floor = lowest - _UNSEEN * pstdev(scores) if side.cut and scores else min(0.0, lowest)
    if lowest >= 0:
        floor = max(0.0, floor)
    return {key: scores[places[key]] if key in places else floor for key in candidates}


def _mean_relevance(
    sides: Sequence[Side], ranked: Sequence[dict[int, int]], candidates: Sequence[int]
) -> dict[int, float]:
    total, weights = dict.fromkeys(candidates, 0.0), 0.0
    for side, places in zip(sides, ranked, strict=True):
        relevances = [document.metadata.get(RELEVANCE) for document in side.documents]
        scores = [float(score) for score in relevances if isinstance(score, int | float)]
        if scores and len(scores) == len(side.documents):
            weights += side.weight
            for key, score in _with_floor(scores, side, places, candidates).items():
                total[key] += side.weight * score
    return {key: value / weights for key, value in total.items()} if weights else {}


def _document(
    sides: Sequence[Side], ranked: Sequence[dict[int, int]], key: int, fused: float, relevance: float | None
) -> Document:
    document = next(side.documents[places[key]] for side, places in zip(sides, ranked, strict=True) if key in places)
    metadata = {**document.metadata, FUSED: fused}
    metadata.pop(RELEVANCE, None)
    if relevance is not None:
        metadata[RELEVANCE] = relevance
    return Document(id=document.id, page_content=document.page_content, metadata=metadata)
