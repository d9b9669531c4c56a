"""The index behind `BM25Retriever`: documents and their postings, under one lock."""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.bm25.persistence import SavedIndex, read_index, write_index
from langchain_gptoss.retrievers.bm25.postings import Postings
from langchain_gptoss.retrievers.bm25.row_masks import RowMasks
from langchain_gptoss.text.terms import TermAnalyser
from langchain_gptoss.vectorstores.filters import Filter, Node

if TYPE_CHECKING:
    from langchain_gptoss.retrievers.bm25.postings import Flags, Floats

# The defaults of bm25s and of Lucene's users. On PIAF, nDCG@10 varies by less than 0.01 for k1 from 1.2 to 2.
K1, B = 1.5, 0.75
_IMMUTABLE = frozenset({str, int, float, bool, type(None)})


class BM25Index:
    """Documents and their postings, in memory. Several threads may use it at once.

    Args:
        language: ISO 639-1 code of the documents. None detects English and French for each document that has no
            `metadata["language"]`.
        k1: Saturation of term frequency: with a higher value, more occurrences of a word still count.
        b: Length normalization, from 0 (none) to 1 (full).

    Raises:
        InvalidInputError: There is no stemmer for the language, or `k1` or `b` is out of range.
        MissingDependencyError: The extra `rag` is not installed.
    """

    def __init__(self, language: str | None = None, *, k1: float = K1, b: float = B) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise InvalidInputError(f"k1 is {k1} and b is {b}.", hint="Use k1 of 0 or more and b from 0 to 1.")
        self._analyser = TermAnalyser(language)
        self._lock = threading.RLock()
        self._k1, self._b = k1, b
        self._clear()

    def _clear(self) -> None:
        self._postings = Postings(k1=self._k1, b=self._b)
        self._documents: list[Document | None] = []  # by row; None for a deleted document
        self._rows: dict[str, int] = {}
        self._by_source: dict[str, set[str]] = {}
        self._terms: dict[str, int] = {}
        # Scores of the last query: hybrid search scores the same query twice.
        self._last_scores: tuple[Sequence[Sequence[str]], Node | None, Floats, float] | None = None
        self._row_masks = RowMasks()

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # `index or default` must not replace an empty index

    @property
    def language(self) -> str | None:
        """The language of all documents, or None if it is detected."""
        return self._analyser.language

    def add(self, documents: Iterable[Document], *, ids: Sequence[str] | None = None) -> list[str]:
        """Add documents. A document with an id that exists replaces the old one.

        Args:
            documents: The documents. A document without an id gets one made from its source, start and text.
            ids: Ids that replace the documents' own.

        Returns:
            The ids, in the order of the documents.

        Raises:
            InvalidInputError: The numbers of documents and ids differ.
        """
        documents = list(documents)
        if ids is not None and len(ids) != len(documents):
            raise InvalidInputError(
                f"There are {len(documents)} documents and {len(ids)} ids.", hint="Give one id per document."
            )
        all_ids = list(ids) if ids is not None else [document.id or _make_id(document) for document in documents]
        by_id = dict(zip(all_ids, documents, strict=True))
        analysed = [
            self._analyser.analyse_document(_get_searched_text(document), language=_get_declared_language(document))
            for document in by_id.values()
        ]
        with self._lock:
            self._remove(by_id)
            first_row = len(self._documents)
            numbers = self._terms
            self._postings.add([[numbers.setdefault(term, len(numbers)) for term in terms] for terms in analysed])
            for row, (id_, document) in enumerate(by_id.items(), first_row):
                self._documents.append(_copy_document(document, id_=id_))
                self._rows[id_] = row
                self._by_source.setdefault(_get_source(document), set()).add(id_)
        return all_ids

    def delete(self, ids: Sequence[str] | None = None) -> None:
        """Delete the documents with these ids, or all documents if `ids` is None. Unknown ids are ignored."""
        with self._lock:
            if ids is None:
                self._clear()
            else:
                self._remove(ids)

    def _remove(self, ids: Iterable[str]) -> None:
        self._last_scores = None
        rows = [self._rows.pop(id_) for id_ in dict.fromkeys(ids) if id_ in self._rows]
        for row in rows:
            document = self._documents[row]
            assert document is not None  # its row was in use
            self._documents[row] = None
            same_source = self._by_source[_get_source(document)]
            same_source.discard(str(document.id))
            if not same_source:
                del self._by_source[_get_source(document)]
        self._postings.remove(rows)
        if rows and len(self._rows) < len(self._documents) // 2:
            self._compact()

    def _compact(self) -> None:
        """Drop the rows of deleted documents. The caller holds the lock."""
        self._last_scores = None
        self._row_masks = RowMasks()
        self._postings, rows = self._postings.compact()
        self._documents = [self._documents[row] for row in rows]
        self._rows = {str(document.id): row for row, document in enumerate(self._documents) if document}

    def get_by_ids(self, ids: Sequence[str]) -> list[Document]:
        """Return the documents with these ids, in their order. Unknown ids are ignored."""
        with self._lock:
            return [self._copy_row(self._rows[id_]) for id_ in ids if id_ in self._rows]

    def get_by_source(self, source: str) -> list[Document]:
        """Return the documents of one source, in no particular order."""
        with self._lock:
            return [self._copy_row(self._rows[id_]) for id_ in self._by_source.get(source, ())]

    def search(self, query: str, k: int, filters: Sequence[Filter | None] = ()) -> list[tuple[Document, float]]:
        """Return the best documents with their relevance in [0, 1), best first.

        Relevance is the BM25 score divided by a limit that no document can reach for this query: the sum of its words'
        weights. A document of mean length that has each word once gets 0.4. Documents without any word of the query are
        not returned.

        Args:
            query: The query.
            k: Maximum number of documents.
            filters: Conditions on documents, all of which must hold. Scores are computed as if there were no other
                documents, so that they reveal nothing about documents that a caller may not see.

        Raises:
            InvalidInputError: `k` is below 1, or a filter is not valid.
        """
        if k < 1:
            raise InvalidInputError(f"k is {k}.", hint="Use 1 or more.")
        words = self._analyser.analyse_query(query)
        with self._lock:
            scores, limit, _ = self._score_rows(words, filters)
            return [(self._copy_row(row), float(scores[row]) / limit) for row in _select_best_rows(scores, k)]

    def score_documents(
        self, query: str, ids: Sequence[str], filters: Sequence[Filter | None] = ()
    ) -> dict[str, float]:
        """Return the relevance of documents by id, as in `search`; 0 for a document without a word of the query.

        Args:
            query: The query.
            ids: Ids of documents. Unknown ids, and documents that a filter excludes, are left out.
            filters: Conditions on documents, all of which must hold.

        Raises:
            InvalidInputError: A filter is not valid.
        """
        words = self._analyser.analyse_query(query)
        with self._lock:
            scores, limit, mask = self._score_rows(words, filters)
            rows = {id_: self._rows[id_] for id_ in ids if id_ in self._rows}
            return {id_: float(scores[row]) / (limit or 1.0) for id_, row in rows.items() if mask is None or mask[row]}

    def iterate_metadata(self) -> Iterator[dict[str, Any]]:
        """Yield a copy of the metadata of every document."""
        with self._lock:
            documents = [document for document in self._documents if document is not None]
        yield from (dict(document.metadata) for document in documents)

    def _score_rows(
        self, words: Sequence[Sequence[str]], filters: Sequence[Filter | None]
    ) -> tuple[Floats, float, Flags | None]:
        """Return the score of every row, the limit that no score can reach, and the rows that match; None for all.

        The caller holds the lock.
        """
        given = [filter_ for filter_ in filters if filter_ is not None]
        node, mask = self._row_masks.build(given, self._documents) if given else (None, None)
        last = self._last_scores
        is_repeatable = mask is None or node is not None
        if is_repeatable and last is not None and (last[0], last[1]) == (words, node):
            return last[2], last[3], mask
        groups = [[self._terms.get(term, -1) for term in word] for word in words]
        scores, limit = self._postings.score_rows(groups, mask)
        self._last_scores = (words, node, scores, limit) if is_repeatable else None
        return scores, limit, mask

    def _copy_row(self, row: int) -> Document:
        document = self._documents[row]
        assert document is not None  # callers pass rows in use
        return _copy_document(document, id_=str(document.id))

    def save(self, folder: str | Path) -> None:
        """Save the index in a folder, and replace an index that is there.

        After a crash the folder has either the old index or the new one.

        Raises:
            InvalidInputError: The metadata of a document cannot be written as JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        with self._lock:
            self._compact()
            saved = SavedIndex(
                language=self.language,
                documents=[document for document in self._documents if document is not None],
                terms=list(self._terms),
                postings=self._postings,
            )
            write_index(Path(folder).resolve(), saved)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Return a saved index.

        The documents of an index that an earlier version saved are analysed again, because this version may split their
        words differently; saving the index makes later loads fast again.

        Raises:
            IndexStoreError: There is no index, it is damaged, or a newer version wrote it.
        """
        saved = read_index(Path(folder).resolve())
        index = cls(saved.language, k1=saved.postings.k1, b=saved.postings.b)
        if not saved.has_current_terms:
            index.add(saved.documents)
            return index
        index._postings = saved.postings
        index._documents = list(saved.documents)
        index._terms = {term: number for number, term in enumerate(saved.terms)}
        for row, document in enumerate(saved.documents):
            index._rows[str(document.id)] = row
            index._by_source.setdefault(_get_source(document), set()).add(str(document.id))
        return index


def _select_best_rows(scores: Floats, k: int) -> list[int]:
    """Return up to `k` rows with a score above 0, best first; equal scores in the order of rows."""
    np = require("numpy", extra="rag")
    rows = np.flatnonzero(scores > 0)
    if len(rows) > k:  # sort no more rows than needed
        rows = rows[scores[rows] >= np.partition(scores[rows], -k)[-k]]
    best: list[int] = rows[np.argsort(-scores[rows], kind="stable")][:k].tolist()
    return best


def _get_searched_text(document: Document) -> str:
    """Return heading, lead-in and text.

    A sentence such as "It costs 5 euros" is found by the words of its heading, a list item by those of its lead-in.
    """
    heading = document.metadata.get("heading") or document.metadata.get("title")
    return "\n".join(str(part) for part in (heading, document.metadata.get("lead_in"), document.page_content) if part)


def _get_source(document: Document) -> str:
    return str(document.metadata.get("source", ""))


def _make_id(document: Document) -> str:
    """Return an id that depends only on source, start and text."""
    key = json.dumps([_get_source(document), str(document.metadata.get("start")), document.page_content])
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _copy_document(document: Document, *, id_: str) -> Document:
    # A deep copy of immutable values would take longer than scoring the document.
    metadata = {
        name: value if type(value) in _IMMUTABLE else copy.deepcopy(value) for name, value in document.metadata.items()
    }
    return Document(id=id_, page_content=document.page_content, metadata=metadata)


def _get_declared_language(document: Document) -> str | None:
    """Return the ISO 639-1 code in a document's metadata, "fr" for "fr-FR"; None if there is none."""
    language = document.metadata.get("language") or document.metadata.get("lang")
    return language.lower()[:2] if isinstance(language, str) else None
