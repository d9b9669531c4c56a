"""Fusion of several ranked lists into one: pure functions over documents and scores.

Scores of different retrievers have different scales, so the scores of each list are standardized over the candidates of
the query before they are added. Ranks would ignore the size of the scores: on French questions, reciprocal rank fusion
of BM25 with weak embeddings ranks worse than BM25 alone (docs/retrieval.md has the figures).
"""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Mapping, Sequence
from dataclasses import dataclass

from langchain_core.documents import Document

from langchain_gptoss.vectorstores.similarity import RELEVANCE_KEY

RELEVANCE = RELEVANCE_KEY
FUSED = "fused_score"
# Cormack, Clarke and Büttcher, SIGIR 2009: "Reciprocal rank fusion outperforms Condorcet".
RRF_CONSTANT = 60
# Distance of documents that a list lacks and that its retriever cannot score, below the last document of the list, in
# standard deviations of its scores. With 0, a document in only one list would gain because the other list
# lacks it. Chosen on half of PIAF, together with `depth` (benchmarks/README).
_MISSING_DEVIATIONS = 2.0
_NUMBER = (int, float)  # a constant, because it is needed for every candidate


@dataclass(frozen=True, kw_only=True)
class RankedList:
    """The documents that one retriever returned for a query.

    Attributes:
        documents: Best first.
        weight: Weight of the list in the sum.
        is_cut: True if the retriever may have left out documents because no more were requested.
    """

    documents: Sequence[Document]
    weight: float
    is_cut: bool


class DocumentKeys:
    """Keys of documents; documents with the same id or the same text have the same key."""

    def __init__(self) -> None:
        self._by_id: dict[str, int] = {}
        self._by_text: dict[str, int] = {}

    def assign(self, document: Document) -> int:
        """Return the key of a document."""
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

    @property
    def by_id(self) -> Mapping[str, int]:
        """Keys by the ids of the documents that have got one."""
        return self._by_id


def deduplicate(documents: Sequence[Document]) -> list[Document]:
    """Return the documents without those whose id or text occurred before."""
    keys = DocumentKeys()
    first: dict[int, Document] = {}
    for document in documents:
        first.setdefault(keys.assign(document), document)
    return list(first.values())


def drop_seen(ids: Mapping[str, int], seen: Container[int]) -> list[str]:
    """Return the ids whose key is not among the keys that were seen."""
    return [id_ for id_, key in ids.items() if key not in seen]


class Fusion:
    """Several ranked lists of one query, to be merged into one list in which each document occurs once.

    A document that a list does not have can still get the score of that list's retriever: `find_unscored_ids` returns
    these documents, and `rank` takes the scores.

    Args:
        lists: The ranked lists.
    """

    def __init__(self, lists: Sequence[RankedList]) -> None:
        keys = DocumentKeys()
        self._lists = lists
        self._ranks = [_find_first_ranks(map(keys.assign, ranked.documents)) for ranked in lists]
        self._candidates = list(dict.fromkeys(key for ranks in self._ranks for key in ranks))
        self._ids = keys.by_id
        self._fused = [_read_scores(ranked.documents, FUSED) for ranked in lists]
        self._relevance = [_read_scores(ranked.documents, RELEVANCE) for ranked in lists]

    def find_unscored_ids(self, number: int) -> list[str]:
        """Return the ids of candidates that a list lacks although its retriever may have a relevance for them.

        The result is empty if the list is complete, or if it is not ordered by relevance.

        Args:
            number: Index of the list.
        """
        if not self._lists[number].is_cut or self._fused[number] is not None or self._relevance[number] is None:
            return []
        return drop_seen(self._ids, self._ranks[number])

    def rank(
        self, *, by_ranks: bool = False, later_scores: Sequence[Mapping[str, float]] = (), k: int | None = None
    ) -> list[Document]:
        """Return copies of the documents, best first.

        Each copy has its sum in `metadata["fused_score"]`, which decides the order, and the weighted mean of the lists'
        relevance in `metadata["relevance_score"]` if a list has one.

        Args:
            by_ranks: Use reciprocal rank fusion in place of standardized scores.
            later_scores: For each list, relevance by id of documents that it lacks. A document without a score counts
                as if it were below the end of the list.
            k: Maximum number of documents; None means all.
        """
        fused, total, weights = [0.0] * len(self._candidates), [0.0] * len(self._candidates), 0.0
        for number, ranked in enumerate(self._lists):
            later = later_scores[number] if later_scores else {}
            scores = self._relevance[number]
            relevance = self._score_all_candidates(number, scores, later) if scores else None
            if relevance is not None:
                weights += ranked.weight
                total = [sum_ + ranked.weight * value for sum_, value in zip(total, relevance, strict=True)]
            points = self._calculate_rank_points(number) if by_ranks else self._calculate_points(number, relevance)
            fused = [sum_ + ranked.weight * value for sum_, value in zip(fused, points, strict=True)]
        best = sorted(range(len(fused)), key=lambda at: -fused[at])[:k]
        return [
            self._copy_document(self._candidates[at], fused[at], total[at] / weights if weights else None)
            for at in best
        ]

    def _calculate_rank_points(self, number: int) -> list[float]:
        ranks = self._ranks[number]
        return [1 / (RRF_CONSTANT + 1 + ranks[key]) if key in ranks else 0.0 for key in self._candidates]

    def _calculate_points(self, number: int, relevance: Sequence[float] | None) -> list[float]:
        """Return the standardized scores of all candidates.

        A list without scores is read by rank: its first document counts 1, and later ones get the discount of nDCG.
        """
        scores = self._fused[number]
        if scores is None and relevance is not None:
            return _standardize(relevance)
        if scores is None:
            scores = [1 / math.log2(2 + rank) for rank in range(len(self._lists[number].documents))]
        return _standardize(self._score_all_candidates(number, scores, {}))

    def _score_all_candidates(self, number: int, scores: Sequence[float], later: Mapping[str, float]) -> list[float]:
        """Return one score per candidate: from the list, else from `later`, else the estimate for missing ones."""
        ranks, missing = self._ranks[number], estimate_missing_score(scores, is_cut=self._lists[number].is_cut)
        known = {self._ids[id_]: score for id_, score in later.items() if id_ in self._ids and math.isfinite(score)}
        return [scores[ranks[key]] if key in ranks else known.get(key, missing) for key in self._candidates]

    def _copy_document(self, key: int, fused: float, relevance: float | None) -> Document:
        lists = zip(self._lists, self._ranks, strict=True)
        document = next(ranked.documents[ranks[key]] for ranked, ranks in lists if key in ranks)
        metadata = {**document.metadata, FUSED: fused}
        metadata.pop(RELEVANCE, None)
        if relevance is not None:
            metadata[RELEVANCE] = relevance
        return Document(id=document.id, page_content=document.page_content, metadata=metadata)


def _find_first_ranks(keys: Iterable[int]) -> dict[int, int]:
    ranks: dict[int, int] = {}
    for rank, key in enumerate(keys):
        ranks.setdefault(key, rank)
    return ranks


def _read_scores(documents: Sequence[Document], name: str) -> list[float] | None:
    """Return the scores under a metadata key, higher is better; None unless all documents have a finite one."""
    values = [document.metadata.get(name) for document in documents]
    scores = [float(value) for value in values if isinstance(value, _NUMBER) and math.isfinite(value)]
    return scores if len(scores) == len(documents) else None


def estimate_missing_score(scores: Sequence[float], *, is_cut: bool) -> float:
    """Return the score of documents that a list does not have, below the lowest score of the list.

    If scores are never negative, 0 is the lowest. A list that is not cut says nothing about other documents: they get
    0, or the lowest score if that is negative.

    Args:
        scores: The scores of the list.
        is_cut: True if the retriever may have left out documents because no more were requested.
    """
    lowest = min(scores, default=0.0)
    if not is_cut or not scores:
        return min(0.0, lowest)
    _, deviation = _calculate_moments(scores)
    estimate = lowest - _MISSING_DEVIATIONS * deviation
    return max(0.0, estimate) if lowest >= 0 else estimate


def _standardize(values: Sequence[float]) -> list[float]:
    """Return the values with mean 0 and standard deviation 1; all 0 if they are equal."""
    mean, deviation = _calculate_moments(values)
    return [(value - mean) / deviation if deviation else 0.0 for value in values]


def _calculate_moments(values: Sequence[float]) -> tuple[float, float]:
    """Return mean and standard deviation. `statistics.pstdev` is exact and takes longer than a search."""
    if not values or min(values) == max(values):
        return (values[0] if values else 0.0), 0.0
    mean = math.fsum(values) / len(values)
    largest = max(abs(value - mean) for value in values)  # dividing by it keeps squares of tiny numbers above 0
    return mean, largest * math.sqrt(math.fsum(((value - mean) / largest) ** 2 for value in values) / len(values))
