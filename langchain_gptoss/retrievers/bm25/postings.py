"""An inverted index with BM25 scores, as arrays that grow by segments.

Scores are computed at query time, because adding or deleting one document changes the weight of every term in all
others. So the cost of an update depends on its own documents only, and no query waits for a rebuild. This module knows
rows and term ids only; documents and text are in `index`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from langchain_gptoss._optional import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Ints = NDArray[np.int64]
    Rows = NDArray[np.int32]
    Floats = NDArray[np.float32]
    Flags = NDArray[np.bool_]

_BATCH_DOCUMENTS = 20_000  # documents that become one segment at a time; limits the memory for sorting
_MERGE_RATIO = 4  # a segment is merged with the one before it unless that one is so many times larger


@dataclass(frozen=True)
class Segment:
    """Postings of some rows, ordered by term and then by row.

    Attributes:
        terms: Ids of the terms that occur, ascending.
        starts: Index of the first posting of each term, and the number of postings at the end.
        rows: The row of each posting.
        counts: Number of occurrences of the term in the row's document.
    """

    terms: Rows
    starts: Ints
    rows: Rows
    counts: Floats

    def find_postings(self, term: int) -> tuple[Rows, Floats] | None:
        """Return the rows with a term and its counts in them, or None."""
        place = int(self.terms.searchsorted(term))
        if place == len(self.terms) or self.terms[place] != term:
            return None
        span = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return self.rows[span], self.counts[span]


class Postings:
    """An inverted index with BM25 scores (Robertson et al.; idf as in Lucene, which is never negative).

    Args:
        k1: Saturation of term frequency: with a higher value, more occurrences of a term still count.
        b: Length normalization, from 0 (none) to 1 (full).
    """

    def __init__(self, *, k1: float, b: float) -> None:
        np = require("numpy", extra="rag")
        self.k1, self.b = k1, b
        self.segments: list[Segment] = []
        self.lengths: Floats = np.zeros(0, dtype=np.float32)  # number of terms of each row's document
        self.alive: Flags = np.zeros(0, dtype=np.bool_)
        self._norm: Floats | None = None

    def __len__(self) -> int:
        return int(self.alive.sum())

    def add(self, documents: Sequence[Sequence[int]]) -> None:
        """Add documents, each as a sequence of term ids, in the next rows."""
        np = require("numpy", extra="rag")
        for at in range(0, len(documents), _BATCH_DOCUMENTS):
            batch = documents[at : at + _BATCH_DOCUMENTS]
            lengths = np.array([len(terms) for terms in batch], dtype=np.float32)
            self.segments.append(_build_segment(batch, first_row=len(self.lengths)))
            self.lengths = np.concatenate([self.lengths, lengths])
            self.alive = np.concatenate([self.alive, np.ones(len(batch), dtype=np.bool_)])
            self._merge(_MERGE_RATIO)
        self._norm = None

    def remove(self, rows: Iterable[int]) -> None:
        """Remove rows from all later searches."""
        self.alive[list(rows)] = False
        self._norm = None

    def compact(self) -> tuple[Postings, list[int]]:
        """Return postings in one segment without the removed rows, and the old row of each new row."""
        np = require("numpy", extra="rag")
        kept = np.flatnonzero(self.alive)
        renumbered = np.full(len(self.alive), -1, dtype=np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        compacted = Postings(k1=self.k1, b=self.b)
        compacted.lengths, compacted.alive = self.lengths[kept], np.ones(len(kept), dtype=np.bool_)
        self._merge(math.inf)
        for segment in self.segments:
            alive = self.alive[segment.rows]
            terms = _repeat_terms(segment)[alive]
            compacted.segments = [_group_postings(terms, renumbered[segment.rows[alive]], segment.counts[alive])]
        return compacted, kept.tolist()

    def score_rows(self, groups: Sequence[Sequence[int]], included: Flags | None = None) -> tuple[Floats, float]:
        """Return the BM25 score of every row, 0 for rows left out, and a limit that no score can reach.

        Args:
            groups: The words of the query, each as the ids of its alternative terms; -1 for an unknown term.
            included: The rows to score; None for all. The other rows change no score: the number of documents, the
                mean length and the frequencies of terms are those of the included rows.
        """
        np = require("numpy", extra="rag")
        scores, limit = np.zeros(len(self.lengths), dtype=np.float32), 0.0
        scored = self.alive if included is None else self.alive & included
        count, norm = int(np.count_nonzero(scored)), self._get_length_norm(None if included is None else scored)
        for group in groups:
            heaviest = 0.0
            for term in group:
                rows, counts = self._find_rows(term, scored)
                idf = math.log(1 + (count - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += np.float32(idf) * counts / (counts + norm[rows])
                # An alternative that occurs nowhere is a stem in the wrong language and must not raise the limit.
                heaviest = max(heaviest, idf if len(rows) or len(group) == 1 else 0.0)
            limit += heaviest or math.log(1 + (count + 0.5) / 0.5)
        return scores, limit

    def _find_rows(self, term: int, scored: Flags) -> tuple[Rows, Floats]:
        np = require("numpy", extra="rag")
        parts = [postings for segment in self.segments if (postings := segment.find_postings(term))]
        if not parts:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        rows, counts = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        is_scored = scored[rows]
        return rows[is_scored], counts[is_scored]

    def _get_length_norm(self, scored: Flags | None) -> Floats:
        """Return the length norm of every row, with the mean length of the scored rows; None for all."""
        if scored is not None:
            return self._compute_length_norm(scored)
        if self._norm is None:
            self._norm = self._compute_length_norm(self.alive)
        return self._norm

    def _compute_length_norm(self, scored: Flags) -> Floats:
        mean = float(self.lengths[scored].mean()) if scored.any() else 1.0
        norm: Floats = self.k1 * (1 - self.b + self.b * self.lengths / (mean or 1.0))
        return norm

    def _merge(self, ratio: float) -> None:
        np = require("numpy", extra="rag")
        while len(self.segments) > 1 and len(self.segments[-2].rows) < ratio * len(self.segments[-1].rows) + 1:
            pair = [self.segments.pop(-2), self.segments.pop()]
            terms = np.concatenate([_repeat_terms(segment) for segment in pair])
            rows = np.concatenate([segment.rows for segment in pair])
            counts = np.concatenate([segment.counts for segment in pair])
            order = terms.argsort(kind="stable")
            self.segments.append(_group_postings(terms[order], rows[order], counts[order]))


def _build_segment(documents: Sequence[Sequence[int]], *, first_row: int) -> Segment:
    np = require("numpy", extra="rag")
    lengths = [len(terms) for terms in documents]
    terms = np.fromiter((term for document in documents for term in document), dtype=np.int64, count=sum(lengths))
    rows = np.repeat(np.arange(len(documents), dtype=np.int64), lengths)
    pairs, counts = np.unique(terms * len(documents) + rows, return_counts=True)
    terms, rows = np.divmod(pairs, len(documents))
    return _group_postings(terms.astype(np.int32), (rows + first_row).astype(np.int32), counts.astype(np.float32))


def _group_postings(posting_terms: Rows, rows: Rows, counts: Floats) -> Segment:
    """Return a segment of postings that are ordered by term.

    Args:
        posting_terms: The term of each posting.
        rows: The row of each posting.
        counts: The count of each posting.
    """
    np = require("numpy", extra="rag")
    terms, starts = np.unique(posting_terms, return_index=True)
    return Segment(terms=terms, starts=np.append(starts, len(posting_terms)).astype(np.int64), rows=rows, counts=counts)


def _repeat_terms(segment: Segment) -> Rows:
    """Return the term of each posting."""
    np = require("numpy", extra="rag")
    terms: Rows = np.repeat(segment.terms, np.diff(segment.starts))
    return terms
