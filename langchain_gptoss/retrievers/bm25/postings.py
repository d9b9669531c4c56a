"""Which document holds which term how often, and BM25 over it: arrays that grow by segments.

Scores are computed when they are asked for and not when a document is added, because adding or deleting one document
changes the weight of every term in every other. So an update costs what it adds, and no query waits for a rebuild.
Nothing of documents or of text is known here: rows and term ids only.
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

_BATCH = 20_000  # documents that become one segment at a time: bounds the memory that sorting takes
_GROWTH = 4  # a segment is merged with the one before it unless that is this many times larger


@dataclass(frozen=True)
class Segment:
    """Postings of some rows, ordered by term and then by row.

    Attributes:
        terms: The terms that occur, ascending.
        starts: Where each term's postings begin; one more at the end.
        rows: The row of each posting.
        counts: How often the term occurs in it.
    """

    terms: Rows
    starts: Ints
    rows: Rows
    counts: Floats

    def of(self, term: int) -> tuple[Rows, Floats] | None:
        """Returns the rows that hold a term and how often, or None."""
        place = int(self.terms.searchsorted(term))
        if place == len(self.terms) or self.terms[place] != term:
            return None
        span = slice(int(self.starts[place]), int(self.starts[place + 1]))
        return self.rows[span], self.counts[span]


class Postings:
    """An inverted index with BM25 scores (Robertson et al.; idf as in Lucene, so that it is never negative).

    Args:
        k1: How soon more occurrences of a term stop counting.
        b: How much longer documents are held back, from 0 to 1.
    """

    def __init__(self, *, k1: float, b: float) -> None:
        np = require("numpy", extra="rag")
        self.k1, self.b = k1, b
        self.segments: list[Segment] = []
        self.lengths: Floats = np.zeros(0, dtype=np.float32)  # terms in each row's document
        self.alive: Flags = np.zeros(0, dtype=np.bool_)
        self._norm: Floats | None = None

    def __len__(self) -> int:
        return int(self.alive.sum())

    def add(self, documents: Sequence[Sequence[int]]) -> None:
        """Adds documents, each as its term ids, in the rows that come next."""
        np = require("numpy", extra="rag")
        for at in range(0, len(documents), _BATCH):
            batch = documents[at : at + _BATCH]
            lengths = np.array([len(terms) for terms in batch], dtype=np.float32)
            self.segments.append(_segment(batch, first_row=len(self.lengths)))
            self.lengths = np.concatenate([self.lengths, lengths])
            self.alive = np.concatenate([self.alive, np.ones(len(batch), dtype=np.bool_)])
            self._merge(_GROWTH)
        self._norm = None

    def remove(self, rows: Iterable[int]) -> None:
        """Takes rows out of every later search."""
        self.alive[list(rows)] = False
        self._norm = None

    def compacted(self) -> tuple[Postings, list[int]]:
        """Returns postings in one segment without the rows that were removed, and the old row of each new one."""
        np = require("numpy", extra="rag")
        kept = np.flatnonzero(self.alive)
        renumbered = np.full(len(self.alive), -1, dtype=np.int32)
        renumbered[kept] = np.arange(len(kept), dtype=np.int32)
        fresh = Postings(k1=self.k1, b=self.b)
        fresh.lengths, fresh.alive = self.lengths[kept], np.ones(len(kept), dtype=np.bool_)
        self._merge(math.inf)
        for segment in self.segments:
            living = self.alive[segment.rows]
            owners = _owners(segment)[living]
            fresh.segments = [_grouped(owners, renumbered[segment.rows[living]], segment.counts[living])]
        return fresh, kept.tolist()

    def scores(self, groups: Sequence[Sequence[int]]) -> tuple[Floats, float]:
        """Returns a BM25 score for every row, 0 for removed ones, and the limit that no score can reach.

        Args:
            groups: The query's words, each as the ids of the terms it may stand under; a term that the index does not
                know is -1.
        """
        np = require("numpy", extra="rag")
        scores, limit = np.zeros(len(self.lengths), dtype=np.float32), 0.0
        count, norm = len(self), self._length_norm()
        for group in groups:
            heaviest = 0.0
            for term in group:
                rows, counts = self._living(term)
                idf = math.log(1 + (count - len(rows) + 0.5) / (len(rows) + 0.5))
                scores[rows] += np.float32(idf) * counts / (counts + norm[rows])
                # An alternative that occurs nowhere is a stem of the wrong language, not a word that is missing.
                heaviest = max(heaviest, idf if len(rows) or len(group) == 1 else 0.0)
            limit += heaviest or math.log(1 + (count + 0.5) / 0.5)
        return scores, limit

    def _living(self, term: int) -> tuple[Rows, Floats]:
        np = require("numpy", extra="rag")
        found = [postings for segment in self.segments if (postings := segment.of(term))]
        if not found:
            return np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.float32)
        rows, counts = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
        living = self.alive[rows]
        return rows[living], counts[living]

    def _length_norm(self) -> Floats:
        if self._norm is None:
            mean = float(self.lengths[self.alive].mean()) if len(self) else 1.0
            self._norm = self.k1 * (1 - self.b + self.b * self.lengths / (mean or 1.0))
        return self._norm

    def _merge(self, growth: float) -> None:
        np = require("numpy", extra="rag")
        while len(self.segments) > 1 and len(self.segments[-2].rows) < growth * len(self.segments[-1].rows) + 1:
            pair = [self.segments.pop(-2), self.segments.pop()]
            owners = np.concatenate([_owners(segment) for segment in pair])
            rows = np.concatenate([segment.rows for segment in pair])
            counts = np.concatenate([segment.counts for segment in pair])
            order = owners.argsort(kind="stable")
            self.segments.append(_grouped(owners[order], rows[order], counts[order]))


def _segment(documents: Sequence[Sequence[int]], *, first_row: int) -> Segment:
    np = require("numpy", extra="rag")
    lengths = [len(terms) for terms in documents]
    terms = np.fromiter((term for document in documents for term in document), dtype=np.int64, count=sum(lengths))
    rows = np.repeat(np.arange(len(documents), dtype=np.int64), lengths)
    pairs, counts = np.unique(terms * len(documents) + rows, return_counts=True)
    owners, rows = np.divmod(pairs, len(documents))
    return _grouped(owners.astype(np.int32), (rows + first_row).astype(np.int32), counts.astype(np.float32))


def _grouped(owners: Rows, rows: Rows, counts: Floats) -> Segment:
    """Returns a segment of postings that are ordered by term."""
    np = require("numpy", extra="rag")
    terms, starts = np.unique(owners, return_index=True)
    return Segment(terms=terms, starts=np.append(starts, len(owners)).astype(np.int64), rows=rows, counts=counts)


def _owners(segment: Segment) -> Rows:
    np = require("numpy", extra="rag")
    owners: Rows = np.repeat(segment.terms, np.diff(segment.starts))
    return owners
