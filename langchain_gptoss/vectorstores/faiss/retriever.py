"""The retriever of `FaissStore`, which returns the relevance of each document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss.vectorstores.filters import Filter, combine_filters
from langchain_gptoss.vectorstores.similarity import RELEVANCE_FUNCTIONS, RELEVANCE_KEY


class FaissRetriever(VectorStoreRetriever):
    """A retriever that returns the relevance of each document, so that a chatbot can abstain if nothing is relevant.

    A filter in the call holds in addition to the retriever's own, for every search type.

    For the search types "similarity" and "similarity_score_threshold", `metadata["relevance_score"]` is the cosine, or
    for other metrics the relevance in [0, 1]. `score_threshold` is compared with the relevance.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            return super()._get_relevant_documents(query, run_manager=run_manager, **self._add_own_filter(kwargs))
        options, threshold = self._split_options(kwargs)
        return self._add_relevance(self.vectorstore.similarity_search_with_score(query, **options), threshold)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        if self.search_type == "mmr":
            options = self._add_own_filter(kwargs)
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **options)
        options, threshold = self._split_options(kwargs)
        return self._add_relevance(await self.vectorstore.asimilarity_search_with_score(query, **options), threshold)

    def score_documents(self, query: str, ids: Sequence[str], *, filter: Filter | None = None) -> dict[str, float]:
        """Return the relevance of given documents for a query, however far from it they are.

        Unknown ids and documents that do not match both filters are left out. The result is empty for search
        types other than "similarity", and if the store's vectors are in a file.

        Args:
            query: The query.
            ids: Ids of documents.
            filter: Condition on documents, in addition to the retriever's own.
        """
        if self.search_type != "similarity":
            return {}
        store: Any = self.vectorstore
        scores: dict[str, float] = store.score_documents(query, ids, **self._add_own_filter({"filter": filter}))
        return {id_: self._get_reported_score(score) for id_, score in scores.items()}

    def _add_own_filter(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return the options of a call with a filter that includes the retriever's own."""
        return {**options, "filter": combine_filters(self.search_kwargs.get("filter"), options.get("filter"))}

    def _split_options(self, kwargs: Mapping[str, Any]) -> tuple[dict[str, Any], float]:
        """Return the options of the search, and the lowest relevance of a result."""
        options = {**self.search_kwargs, **self._add_own_filter(kwargs)}
        has_threshold = self.search_type == "similarity_score_threshold"
        return options, options.pop("score_threshold") if has_threshold else 0.0

    def _add_relevance(self, results: list[tuple[Document, float]], threshold: float) -> list[Document]:
        compute_relevance = self.vectorstore._select_relevance_score_fn()
        documents = []
        for document, score in results:
            if compute_relevance(score) >= threshold:
                document.metadata[RELEVANCE_KEY] = self._get_reported_score(score)
                documents.append(document)
        return documents

    def _get_reported_score(self, score: float) -> float:
        """Return the relevance in the metadata, which unlike `score_threshold` is negative for a negative cosine."""
        compute_relevance = self.vectorstore._select_relevance_score_fn()
        return score if compute_relevance is RELEVANCE_FUNCTIONS["cosine"] else compute_relevance(score)
