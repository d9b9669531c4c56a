"""Documents that are found by their words: the index behind `BM25Retriever`.

It keeps documents and postings together, under one lock, and knows how they lie on disk (`bm25_files`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import threading
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Self

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.bm25.persistence import Saved, read_index, write_index
from langchain_gptoss.retrievers.bm25.postings import Postings
from langchain_gptoss.text.terms import TermAnalyser
from langchain_gptoss.vectorstores.filters import Filter, compile_filter

if TYPE_CHECKING:
    from langchain_gptoss.retrievers.bm25.postings import Floats

# As bm25s and Lucene's users have them; on PIAF nDCG@10 varies by less than 0.01 for k1 from 1.2 to 2.
K1, B = 1.5, 0.75
_UNCHANGING = frozenset({str, int, float, bool, type(None)})
_SORTED_FIRST = 1000  # of all documents that hold a word of the query; a filter may need more


class BM25Index:
    """Documents and their postings, in memory. May be used from several threads.

    Args:
        language: ISO 639-1 code of the documents, or None to detect it (English and French) for each document that
            does not carry it in `metadata["language"]`.
        k1: How soon more occurrences of a word stop counting.
        b: How much longer documents are held back, from 0 to 1.

    Raises:
        InvalidInputError: The language is not stemmed, or `k1` or `b` is out of range.
        MissingDependencyError: The extra `rag` is not installed.
    """

    def __init__(self, language: str | None = None, *, k1: float = K1, b: float = B) -> None:
        if k1 < 0 or not 0 <= b <= 1:
            raise InvalidInputError(f"k1 is {k1} and b is {b}; k1 must be 0 or more and b between 0 and 1.")
        self._analyser = TermAnalyser(language)
        self._lock = threading.RLock()
        self._k1, self._b = k1, b
        self._clear()

    def _clear(self) -> None:
        self._postings = Postings(k1=self._k1, b=self._b)
        self._documents: list[Document | None] = []  # by row; None where it was deleted
        self._rows: dict[str, int] = {}
        self._by_source: dict[str, set[str]] = {}
        self._terms: dict[str, int] = {}
        self._last: tuple[Sequence[Sequence[str]], Floats, float] | None = None  # a hybrid query asks twice

    def __len__(self) -> int:
        return len(self._rows)

    def __bool__(self) -> bool:
        return True  # an empty index is an index: `index or default` must not drop it

    @property
    def language(self) -> str | None:
        """The language of all documents, or None where it is detected."""
        return self._analyser.language

    def add(self, documents: Iterable[Document], *, ids: Sequence[str] | None = None) -> list[str]:
        """Adds documents; an id that is already there is replaced.

        Args:
            documents: The documents. One without an id gets one made of its source, place and text.
            ids: Ids in place of the documents' own.

        Returns:
            The ids, in the order of the documents.

        Raises:
            InvalidInputError: The numbers of documents and ids differ.
        """
        documents = list(documents)
        if ids is not None and len(ids) != len(documents):
            raise InvalidInputError(f"There are {len(documents)} documents and {len(ids)} ids; give one each.")
        named = list(ids) if ids is not None else [document.id or _content_id(document) for document in documents]
        last = dict(zip(named, documents, strict=True))
        texts = [
            self._analyser.analyse_document(_indexed(document), language=_told_language(document))
            for document in last.values()
        ]
        with self._lock:
            self._remove(last)
            first = len(self._documents)
            known = self._terms
            self._postings.add([[known.setdefault(term, len(known)) for term in terms] for terms in texts])
            for row, (id_, document) in enumerate(last.items(), first):
                self._documents.append(_copy(document, id_=id_))
                self._rows[id_] = row
                self._by_source.setdefault(_source(document), set()).add(id_)
        return named

    def delete(self, ids: Sequence[str] | None = None) -> None:
        """Deletes documents, all of them where `ids` is None; an id that is not there is no error."""
        with self._lock:
            if ids is None:
                self._clear()
            else:
                self._remove(ids)

    def _remove(self, ids: Iterable[str]) -> None:
        self._last = None
        rows = [self._rows.pop(id_) for id_ in dict.fromkeys(ids) if id_ in self._rows]
        for row in rows:
            document = self._documents[row]
            assert document is not None  # its row was in use
            self._documents[row] = None
            owned = self._by_source[_source(document)]
            owned.discard(str(document.id))
            if not owned:
                del self._by_source[_source(document)]
        self._postings.remove(rows)
        if rows and len(self._rows) < len(self._documents) // 2:
            self._compact()

    def _compact(self) -> None:
        """Forgets the rows of deleted documents. The caller holds the lock."""
        self._last = None
        self._postings, rows = self._postings.compacted()
        self._documents = [self._documents[row] for row in rows]
        self._rows = {str(document.id): row for row, document in enumerate(self._documents) if document}

    def get_by_ids(self, ids: Sequence[str]) -> list[Document]:
        """Returns the documents with these ids, in their order; an id that is not there is left out."""
        with self._lock:
            return [self._copy_of(self._rows[id_]) for id_ in ids if id_ in self._rows]

    def of_source(self, source: str) -> list[Document]:
        """Returns the documents of one source, in no particular order."""
        with self._lock:
            return [self._copy_of(self._rows[id_]) for id_ in self._by_source.get(source, ())]

    def search(self, query: str, k: int, filters: Sequence[Filter | None] = ()) -> list[tuple[Document, float]]:
        """Returns the best documents and their relevance in [0, 1), best first.

        Relevance is the BM25 score divided by the limit that no document can reach for this query, the sum of its
        words' weights: a document of mean length that holds each word once has 0.4. Documents without any word of the
        query are not returned.

        Args:
            query: The query.
            k: How many documents, at most.
            filters: Which documents may be found: all filters must agree. They cannot change scores, so they are
                asked from the best document on until `k` are found.

        Raises:
            InvalidInputError: `k` is below 1, or a filter cannot be understood.
        """
        if k < 1:
            raise InvalidInputError(f"k is {k} and must be at least 1.")
        allowed = [compile_filter(filter_) for filter_ in filters if filter_ is not None]
        words = self._analyser.analyse_query(query)
        with self._lock:
            scores, limit = self._scores(words)
            found: list[tuple[Document, float]] = []
            for row in _descending(scores, k if not allowed else max(k, _SORTED_FIRST)):
                document = self._documents[row]
                if document is not None and all(agrees(document.metadata) for agrees in allowed):
                    found.append((self._copy_of(row), float(scores[row]) / limit))
                    if len(found) == k:
                        break
            return found

    def relevance_of(self, query: str, ids: Sequence[str], filters: Sequence[Filter | None] = ()) -> dict[str, float]:
        """Returns the relevance of some documents as `search` does, 0 where they have no word of the query.

        Args:
            query: The query.
            ids: Ids of documents. One that is not there, or that a filter refuses, is left out.
            filters: Which documents may be found: all filters must agree.

        Raises:
            InvalidInputError: A filter cannot be understood.
        """
        allowed = [compile_filter(filter_) for filter_ in filters if filter_ is not None]
        words = self._analyser.analyse_query(query)
        with self._lock:
            scores, limit = self._scores(words)
            rows = {id_: self._rows[id_] for id_ in ids if id_ in self._rows}
            return {
                id_: float(scores[row]) / (limit or 1.0)
                for id_, row in rows.items()
                if (document := self._documents[row]) and all(agrees(document.metadata) for agrees in allowed)
            }

    def _scores(self, words: Sequence[Sequence[str]]) -> tuple[Floats, float]:
        """Returns the score of every row, and the limit that none can reach. The caller holds the lock."""
        if self._last is None or self._last[0] != words:
            groups = [[self._terms.get(term, -1) for term in word] for word in words]
            self._last = words, *self._postings.scores(groups)
        return self._last[1:]

    def _copy_of(self, row: int) -> Document:
        document = self._documents[row]
        assert document is not None  # rows are looked up among documents in use
        return _copy(document, id_=str(document.id))

    def save(self, folder: str | Path) -> None:
        """Saves the index, in place of the one that is there; a crash leaves the old one or the new one.

        Raises:
            InvalidInputError: A document's metadata cannot be written as JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        with self._lock:
            self._compact()
            saved = Saved(
                language=self.language,
                documents=[document for document in self._documents if document is not None],
                terms=list(self._terms),
                postings=self._postings,
            )
            write_index(Path(folder).resolve(), saved)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Returns a saved index.

        Raises:
            IndexStoreError: There is none, it is damaged, or a newer version wrote it.
        """
        saved = read_index(Path(folder).resolve())
        index = cls(saved.language, k1=saved.postings.k1, b=saved.postings.b)
        index._postings = saved.postings
        index._documents = list(saved.documents)
        index._terms = {term: number for number, term in enumerate(saved.terms)}
        for row, document in enumerate(saved.documents):
            index._rows[str(document.id)] = row
            index._by_source.setdefault(_source(document), set()).add(str(document.id))
        return index


def _descending(scores: Floats, first: int) -> Iterator[int]:
    """Yields the rows with a score, best first and by row where scores tie: some `first`, and only then the rest."""
    np = require("numpy", extra="rag")
    rows = np.flatnonzero(scores > 0)
    if len(rows) > first:
        lowest = np.partition(scores[rows], -first)[-first]
        near = rows[scores[rows] >= lowest]
        yield from near[np.argsort(-scores[near], kind="stable")].tolist()
        rows = rows[scores[rows] < lowest]
    yield from rows[np.argsort(-scores[rows], kind="stable")].tolist()


def _indexed(document: Document) -> str:
    """Returns what of a document is searched: a sentence such as "It costs 5 euros" is found by its heading."""
    heading = document.metadata.get("heading") or document.metadata.get("title")
    return f"{heading}\n{document.page_content}" if heading else document.page_content


def _source(document: Document) -> str:
    return str(document.metadata.get("source", ""))


def _content_id(document: Document) -> str:
    """Returns an id that the same text at the same place of the same source always has."""
    key = json.dumps([_source(document), str(document.metadata.get("start")), document.page_content])
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def _copy(document: Document, *, id_: str) -> Document:
    # A deep copy of what cannot change takes longer than scoring the document.
    metadata = {
        name: value if type(value) in _UNCHANGING else copy.deepcopy(value) for name, value in document.metadata.items()
    }
    return Document(id=id_, page_content=document.page_content, metadata=metadata)


def _told_language(document: Document) -> str | None:
    """Returns the language that a document says it is in, as an ISO 639-1 code: "fr" for "fr-FR"."""
    told = document.metadata.get("language") or document.metadata.get("lang")
    return told.lower()[:2] if isinstance(told, str) else None
