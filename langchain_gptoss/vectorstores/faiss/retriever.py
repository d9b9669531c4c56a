"""The retriever of `FaissStore`, which says how relevant documents are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss.vectorstores.similarity import RELEVANCE


class FaissRetriever(VectorStoreRetriever):
    """A retriever whose documents carry their relevance, so that a chatbot can decline when nothing is near.

    `metadata["relevance_score"]` is set for the search types "similarity" and "similarity_score_threshold": the cosine,
    or for the other metrics the relevance in [0, 1]. `score_threshold` is compared with the relevance.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        options = self.search_kwargs | kwargs
        threshold = self._threshold(options)
        return self._scored(self.vectorstore.similarity_search_with_score(query, **options), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        options = self.search_kwargs | kwargs
        threshold = self._threshold(options)
        return self._scored(await self.vectorstore.asimilarity_search_with_score(query, **options), threshold)

    def relevance_of(self, query: str, ids: Sequence[str]) -> dict[str, float]:
        """Returns the relevance of documents for a query, however far from it they are.

        An id that the retriever cannot find is left out, because it is not there or its filter refuses it. Nothing is
        returned for search types other than "similarity", and where the store's vectors lie in a file.

        Args:
            query: The query.
            ids: Ids of documents.
        """
        if self.search_type != "similarity":
            return {}
        store: Any = self.vectorstore
        scores: dict[str, float] = store.scores_of(query, ids, filter=self.search_kwargs.get("filter"))
        near = self.vectorstore._select_relevance_score_fn()
        return {id_: _carried(score, near) for id_, score in scores.items()}

    def _threshold(self, options: dict[str, Any]) -> float:
        return options.pop("score_threshold") if self.search_type == "similarity_score_threshold" else 0.0

    def _scored(self, found: list[tuple[Document, float]], threshold: float) -> list[Document]:
        near = self.vectorstore._select_relevance_score_fn()
        kept = []
        for document, score in found:
            if near(score) >= threshold:
                document.metadata["relevance_score"] = _carried(score, near)
                kept.append(document)
        return kept


def _carried(score: float, near: Callable[[float], float]) -> float:
    """Returns the relevance that a document carries: below 0 too where it is the cosine."""
    return score if near is RELEVANCE["cosine"] else near(score)
