"""The BM25 retriever: find documents by their words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, Self

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import Field

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import (
    Count,
)
from langchain_gptoss.retrievers.bm25.index import K1, B, BM25Index
from langchain_gptoss.retrievers.fusion import RELEVANCE
from langchain_gptoss.vectorstores.filters import Filter


class BM25Retriever(BaseRetriever):
    """Finds documents by their words (BM25), without accents and endings, in the documents' language.

    Documents can be added and deleted at any time at the cost of those documents alone; there is no index to rebuild.
    Each document returned is a copy and carries its relevance, from 0 to 1, in `metadata["relevance_score"]`: its share
    of the score that no document can reach. A document that shares no word with the query is not returned.

    Attributes:
        index: The documents. Retrievers with different `k` or `filter` may share one.
        k: How many documents are returned, at most.
        filter: Which documents may be found, in addition to a filter given in the call.
    """

    index: BM25Index = Field(default_factory=BM25Index)
    k: Count = 10
    filter: Any = None

    @classmethod
    def from_documents(
        cls,
        documents: Iterable[Document],
        *,
        language: str | None = None,
        ids: Sequence[str] | None = None,
        k1: float = K1,
        b: float = B,
        **kwargs: Any,
    ) -> Self:
        """Returns a retriever over some documents.

        Args:
            documents: The documents. One without an id gets one made of its source, place and text. `heading` or
                `title` in their metadata is searched as well.
            language: ISO 639-1 code of a language that Snowball stems, such as `"fr"`, or None to detect it (English
                and French) for each document that does not carry it in `metadata["language"]`, and for each query.
            ids: Ids in place of the documents' own.
            k1: How soon more occurrences of a word stop counting.
            b: How much longer documents are held back, from 0 to 1.
            **kwargs: `k`, `filter`, and what every LangChain retriever takes.

        Raises:
            InvalidInputError: The language is not stemmed, numbers differ, or `k1` or `b` is out of range.
            MissingDependencyError: The extra `rag` is not installed.
        """
        index = BM25Index(language, k1=k1, b=b)
        index.add(documents, ids=ids)
        return cls(index=index, **kwargs)

    @classmethod
    def from_texts(cls, texts: Iterable[str], metadatas: Iterable[dict[str, Any]] | None = None, **kwargs: Any) -> Self:
        """Returns a retriever over some texts; further arguments are those of `from_documents`."""
        texts = list(texts)
        given = [{} for _ in texts] if metadatas is None else list(metadatas)
        if len(given) != len(texts):
            raise InvalidInputError(f"There are {len(texts)} texts and {len(given)} metadatas; give one each.")
        documents = [Document(page_content=text, metadata=data) for text, data in zip(texts, given, strict=True)]
        return cls.from_documents(documents, **kwargs)

    def add_documents(self, documents: Iterable[Document], *, ids: Sequence[str] | None = None) -> list[str]:
        """Adds documents and returns their ids; an id that is already there is replaced."""
        return self.index.add(documents, ids=ids)

    def delete(self, ids: Sequence[str] | None = None) -> None:
        """Deletes documents, all of them where `ids` is None; an id that is not there is no error."""
        self.index.delete(ids)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Returns the documents with these ids, in their order; an id that is not there is left out."""
        return self.index.get_by_ids(ids)

    def save(self, folder: str | Path) -> None:
        """Saves the documents and their index, in place of what was saved there; no pickle.

        A crash leaves the old index or the new one. `k` and `filter` are not saved.

        Raises:
            InvalidInputError: A document's metadata cannot be written as JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        self.index.save(folder)

    @classmethod
    def load(cls, folder: str | Path, **kwargs: Any) -> Self:
        """Returns a retriever over a saved index; further arguments are `k`, `filter` and those of every retriever.

        Raises:
            IndexStoreError: There is none, it is damaged, or a newer version wrote it.
        """
        return cls(index=BM25Index.load(folder), **kwargs)

    def relevance_of(self, query: str, ids: Sequence[str]) -> dict[str, float]:
        """Returns the relevance of documents for a query, 0 for one that shares no word with it.

        Args:
            query: The query.
            ids: Ids of documents. One that is not there, or that the retriever's filter refuses, is left out.
        """
        return self.index.relevance_of(query, ids, [self.filter])

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        found = self.index.search(query, self.k if k is None else k, [self.filter, filter])
        for document, relevance in found:
            document.metadata[RELEVANCE] = relevance
        return [document for document, _ in found]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        return await run_in_executor(None, self._get_relevant_documents, query, k=k, filter=filter)
