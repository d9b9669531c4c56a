"""Several ranked lists into one: pure functions over documents and scores.

Scores of different retrievers have different scales, so each side is standardised over the candidates of the query
before sides are added. Ranks would throw away how sure a side is: on French questions, reciprocal rank fusion of BM25
with a weak dense side ranks worse than BM25 alone (docs/retrieval.md has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from langchain_gptoss.vectorstores.similarity import RELEVANCE_KEY

RELEVANCE = RELEVANCE_KEY
FUSED = "fused_score"
# Cormack, Clarke and Büttcher, SIGIR 2009: "Reciprocal rank fusion outperforms Condorcet".
RRF_CONSTANT = 60
# How far below the last document that a side returned those lie that it did not and cannot score, in deviations of its
# scores. At 0 a document of one side alone gains from the other's ignorance. Chosen on half of PIAF, with `depth`
# (benchmarks/README).
_UNSEEN = 2.0
_NUMBER = (int, float)  # made once: it is asked for every candidate


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

    def ids(self) -> Mapping[str, int]:
        """Returns the key of each id that was seen."""
        return self._by_id


def distinct(documents: Sequence[Document]) -> list[Document]:
    """Returns the documents without those whose id or text came before."""
    keys = Distinct()
    first: dict[int, Document] = {}
    for document in documents:
        first.setdefault(keys.key(document), document)
    return list(first.values())


class Fusion:
    """What several sides found for one query, each document once, to be put into one order.

    Documents that a side did not return can be given the score that it has for them: `unseen` says which they are, and
    `ordered` takes the scores.

    Args:
        sides: What was found.
    """

    def __init__(self, sides: Sequence[Side]) -> None:
        keys = Distinct()
        self._sides = sides
        self._places = [_first_places([keys.key(document) for document in side.documents]) for side in sides]
        self._candidates = list(dict.fromkeys(key for places in self._places for key in places))
        self._ids = keys.ids()
        self._fused = [_scores(side.documents, FUSED) for side in sides]
        self._relevance = [_scores(side.documents, RELEVANCE) for side in sides]

    def unseen(self, number: int) -> list[str]:
        """Returns the ids of candidates that a side did not return though it may have a relevance for them.

        There are none where it returned all that it had, or is not judged by relevance.
        """
        if not self._sides[number].cut or self._fused[number] is not None or self._relevance[number] is None:
            return []
        places = self._places[number]
        return [id_ for id_, key in self._ids.items() if key not in places]

    def ordered(
        self, *, by_ranks: bool = False, unseen: Sequence[Mapping[str, float]] = (), k: int | None = None
    ) -> list[Document]:
        """Returns the documents, best first.

        They are copies. Each carries `fused_score`, by which they are ordered, and `relevance_score`, the weighted mean
        of what the sides say, where a side says it.

        Args:
            by_ranks: Reciprocal rank fusion instead of standardised scores.
            unseen: For each side, the relevance of documents that it did not return, by id. One that is not there
                counts as if it lay below the last that the side returned.
            k: How many documents; None means all.
        """
        fused, total, weights = [0.0] * len(self._candidates), [0.0] * len(self._candidates), 0.0
        for number, side in enumerate(self._sides):
            later = unseen[number] if unseen else {}
            given = self._relevance[number]
            relevance = self._for_all(number, given, later) if given else None
            if relevance is not None:
                weights += side.weight
                total = [sum_ + side.weight * value for sum_, value in zip(total, relevance, strict=True)]
            points = self._rank_points(number) if by_ranks else self._points(number, relevance)
            fused = [sum_ + side.weight * value for sum_, value in zip(fused, points, strict=True)]
        best = sorted(range(len(fused)), key=lambda at: -fused[at])[:k]
        return [
            self._document(self._candidates[at], fused[at], total[at] / weights if weights else None) for at in best
        ]

    def _rank_points(self, number: int) -> list[float]:
        places = self._places[number]
        return [1 / (RRF_CONSTANT + 1 + places[key]) if key in places else 0.0 for key in self._candidates]

    def _points(self, number: int, relevance: Sequence[float] | None) -> list[float]:
        """Returns standardised scores of all candidates.

        A side without scores is read by rank: the first counts 1 and later ones less by the discount of nDCG.
        """
        own = self._fused[number]
        if own is None and relevance is not None:
            return _standardised(relevance)
        if own is None:
            own = [1 / math.log2(2 + place) for place in range(len(self._sides[number].documents))]
        return _standardised(self._for_all(number, own, {}))

    def _for_all(self, number: int, scores: Sequence[float], later: Mapping[str, float]) -> list[float]:
        """Returns a score for every candidate: what the side gave, gave later, or a floor."""
        places, floor = self._places[number], _floor(scores, cut=self._sides[number].cut)
        known = {self._ids[id_]: score for id_, score in later.items() if id_ in self._ids and math.isfinite(score)}
        return [scores[places[key]] if key in places else known.get(key, floor) for key in self._candidates]

    def _document(self, key: int, fused: float, relevance: float | None) -> Document:
        sides = zip(self._sides, self._places, strict=True)
        document = next(side.documents[places[key]] for side, places in sides if key in places)
        metadata = {**document.metadata, FUSED: fused}
        metadata.pop(RELEVANCE, None)
        if relevance is not None:
            metadata[RELEVANCE] = relevance
        return Document(id=document.id, page_content=document.page_content, metadata=metadata)


def _first_places(keys: Sequence[int]) -> dict[int, int]:
    places: dict[int, int] = {}
    for place, key in enumerate(keys):
        places.setdefault(key, place)
    return places


def _scores(documents: Sequence[Document], name: str) -> list[float] | None:
    """Returns the documents' scores under a name, higher is better, or None where one of them has none."""
    found = [document.metadata.get(name) for document in documents]
    scores = [float(score) for score in found if isinstance(score, _NUMBER) and math.isfinite(score)]
    return scores if len(scores) == len(documents) else None


def _floor(scores: Sequence[float], *, cut: bool) -> float:
    """Returns the score of documents that a side did not return, lower than the last that it did.

    Where scores are never negative, 0 is the lowest; a side that returned less than it was asked for knows nothing of
    the others, which is 0.
    """
    lowest = min(scores, default=0.0)
    if not cut or not scores:
        return min(0.0, lowest)
    _, deviation = _moments(scores)
    floor = lowest - _UNSEEN * deviation
    return max(0.0, floor) if lowest >= 0 else floor


def _standardised(values: Sequence[float]) -> list[float]:
    """Returns values with mean 0 and deviation 1; 0 for all where they are the same."""
    mean, deviation = _moments(values)
    return [(value - mean) / deviation if deviation else 0.0 for value in values]


def _moments(values: Sequence[float]) -> tuple[float, float]:
    """Returns mean and standard deviation: `statistics.pstdev` is exact, and takes longer than a search."""
    if not values or min(values) == max(values):
        return (values[0] if values else 0.0), 0.0
    mean = math.fsum(values) / len(values)
    most = max(abs(value - mean) for value in values)  # squares of tiny numbers would be 0
    return mean, most * math.sqrt(math.fsum(((value - mean) / most) ** 2 for value in values) / len(values))
