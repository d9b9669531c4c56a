"""The BM25 retriever: search by words."""

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
from langchain_gptoss.retrievers.adapters import Count
from langchain_gptoss.retrievers.bm25.index import K1, B, BM25Index
from langchain_gptoss.retrievers.fusion import RELEVANCE
from langchain_gptoss.vectorstores.filters import Filter


class BM25Retriever(BaseRetriever):
    """Finds documents by their words (BM25). Accents and endings are ignored, by the rules of the document's language.

    Documents can be added and deleted at any time; the cost depends on these documents only, and nothing is rebuilt.
    Each returned document is a copy with its relevance, from 0 to 1, in `metadata["relevance_score"]`: its share of the
    score that no document can reach. Documents that share no word with the query are not returned. With a filter,
    scores are computed over the matching documents alone.

    Attributes:
        index: The documents. Retrievers with different `k` or `filter` can share one.
        k: Maximum number of documents.
        filter: Condition on documents, in addition to a filter in the call.
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
        """Return a retriever over documents.

        Args:
            documents: The documents. A document without an id gets one made from its source, start and text. `heading`
                or `title` in the metadata is searched too.
            language: ISO 639-1 code of a language that Snowball stems, such as `"fr"`. None detects English and French,
                for each query and for each document that has no `metadata["language"]`.
            ids: Ids that replace the documents' own.
            k1: Saturation of term frequency: with a higher value, more occurrences of a word still count.
            b: Length normalization, from 0 (none) to 1 (full).
            **kwargs: `k`, `filter`, and the arguments of every LangChain retriever.

        Raises:
            InvalidInputError: There is no stemmer for the language, the numbers of documents and ids differ, or `k1` or
                `b` is out of range.
            MissingDependencyError: The extra `rag` is not installed.
        """
        index = BM25Index(language, k1=k1, b=b)
        index.add(documents, ids=ids)
        return cls(index=index, **kwargs)

    @classmethod
    def from_texts(cls, texts: Iterable[str], metadatas: Iterable[dict[str, Any]] | None = None, **kwargs: Any) -> Self:
        """Return a retriever over texts.

        Args:
            texts: The texts.
            metadatas: Metadata of each text; None means no metadata.
            **kwargs: The other arguments of `from_documents`.

        Raises:
            InvalidInputError: As for `from_documents`, or the numbers of texts and metadatas differ.
        """
        texts = list(texts)
        metadatas = [{} for _ in texts] if metadatas is None else list(metadatas)
        if len(metadatas) != len(texts):
            raise InvalidInputError(
                f"There are {len(texts)} texts and {len(metadatas)} metadatas.", hint="Give one metadata per text."
            )
        documents = [Document(page_content=text, metadata=data) for text, data in zip(texts, metadatas, strict=True)]
        return cls.from_documents(documents, **kwargs)

    def add_documents(self, documents: Iterable[Document], *, ids: Sequence[str] | None = None) -> list[str]:
        """Add documents and return their ids. A document with an id that exists replaces the old one."""
        return self.index.add(documents, ids=ids)

    def delete(self, ids: Sequence[str] | None = None) -> None:
        """Delete the documents with these ids, or all documents if `ids` is None. Unknown ids are ignored."""
        self.index.delete(ids)

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """Return the documents with these ids, in their order. Unknown ids are ignored."""
        return self.index.get_by_ids(ids)

    def save(self, folder: str | Path) -> None:
        """Save the documents and their index in a folder, and replace an index that is there. No pickle is used.

        After a crash the folder has either the old index or the new one. `k` and `filter` are not saved.

        Raises:
            InvalidInputError: The metadata of a document cannot be written as JSON.
            StorageError: The disk is full or the folder cannot be written.
        """
        self.index.save(folder)

    @classmethod
    def load(cls, folder: str | Path, **kwargs: Any) -> Self:
        """Return a retriever over a saved index.

        Args:
            folder: The folder of `save`.
            **kwargs: `k`, `filter`, and the arguments of every LangChain retriever.

        Raises:
            IndexStoreError: There is no index, it is damaged, or a newer version wrote it.
        """
        return cls(index=BM25Index.load(folder), **kwargs)

    def score_documents(self, query: str, ids: Sequence[str], *, filter: Filter | None = None) -> dict[str, float]:
        """Return the relevance of documents by id; 0 for a document that shares no word with the query.

        Args:
            query: The query.
            ids: Ids of documents. Unknown ids, and documents that a filter excludes, are left out.
            filter: Condition on documents, in addition to the retriever's own.
        """
        return self.index.score_documents(query, ids, [self.filter, filter])

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun | None = None,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        hits = self.index.search(query, self.k if k is None else k, [self.filter, filter])
        for document, relevance in hits:
            document.metadata[RELEVANCE] = relevance
        return [document for document, _ in hits]

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        return await run_in_executor(None, self._get_relevant_documents, query, k=k, filter=filter)
