"""Retrievers over vector stores whose filters have another form than this package's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss._flow import Flow, arun_flow, call, run_flow
from langchain_gptoss.retrievers.fusion import RELEVANCE
from langchain_gptoss.vectorstores.filters import Filter, compile_filter

MAX_CANDIDATES = 10_000
"""Number of documents in which documents that match a filter are looked for, if the store cannot apply the filter."""
_GROWTH = 4
_DEFAULT_K = 4  # of LangChain's vector stores


class StoreRetriever(VectorStoreRetriever):
    """Retriever over any vector store that puts the relevance of each document in `metadata["relevance_score"]`.

    A filter in `search_kwargs` has the store's own form and is applied by the store. A filter in the call has this
    package's form and holds in addition: it is applied to what the store finds, and more is asked for until there are
    enough documents, up to `MAX_CANDIDATES`. A store that does not define the meaning of its scores (LangChain's
    `NotImplementedError`), and `mmr`, give no scores.
    """

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        return run_flow(self._find(query, filter, {**self.search_kwargs, **kwargs}))

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        filter: Filter | None = None,
        **kwargs: Any,
    ) -> list[Document]:
        return await arun_flow(self._find(query, filter, {**self.search_kwargs, **kwargs}))

    def _find(self, query: str, filter: Filter | None, options: Mapping[str, Any]) -> Flow[list[Document]]:
        if filter is None:
            return (yield from self._search(query, options))

        def search(count: int) -> Flow[list[Document]]:
            widened = {**options, "k": count}
            if self.search_type == "mmr":
                widened["fetch_k"] = max(count, options.get("fetch_k", 0))
            return self._search(query, widened)

        return (yield from search_matching(search, filter, options.get("k") or _DEFAULT_K))

    def _search(self, query: str, options: Mapping[str, Any]) -> Flow[list[Document]]:
        store = self.vectorstore
        if self.search_type == "mmr":
            found: list[Document] = yield from call(
                lambda: store.max_marginal_relevance_search(query, **options),
                lambda: store.amax_marginal_relevance_search(query, **options),
            )
            return found
        try:
            results = yield from call(
                lambda: store.similarity_search_with_relevance_scores(query, **options),
                lambda: store.asimilarity_search_with_relevance_scores(query, **options),
            )
        except NotImplementedError:
            if self.search_type != "similarity":
                raise
            return (
                yield from call(
                    lambda: store.similarity_search(query, **options),
                    lambda: store.asimilarity_search(query, **options),
                )
            )
        return [_add_relevance(document, score) for document, score in results]


def select_matching(
    documents: Sequence[Document], filter: Filter, on_rejected: Callable[[Document], None] | None = None
) -> list[Document]:
    """Return the documents that match a filter.

    Args:
        documents: The documents.
        filter: Condition on their metadata.
        on_rejected: Called with each of the other documents.
    """
    accepts, matching = compile_filter(filter), []
    for document in documents:
        if accepts(document.metadata):
            matching.append(document)
        elif on_rejected is not None:
            on_rejected(document)
    return matching


def search_matching(
    search: Callable[[int], Flow[list[Document]]],
    filter: Filter,
    k: int,
    on_rejected: Callable[[Document], None] | None = None,
) -> Flow[list[Document]]:
    """Return up to `k` documents that match a filter, from a search that cannot apply it.

    Args:
        search: Returns as many documents as it is asked for, or all, best first.
        filter: Condition on the documents' metadata.
        k: Maximum number of documents.
        on_rejected: Called with each document that does not match, perhaps several times.
    """
    count = k
    while True:
        found = yield from search(count)
        matching = select_matching(found, filter, on_rejected)
        if len(matching) >= k or len(found) < count or count >= MAX_CANDIDATES:
            return matching[:k]
        count = min(count * _GROWTH, MAX_CANDIDATES)


def _add_relevance(document: Document, score: float) -> Document:
    metadata = {**document.metadata, RELEVANCE: float(score)}
    return Document(id=document.id, page_content=document.page_content, metadata=metadata)
