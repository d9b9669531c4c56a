"""Adapters to other retrievers: vector stores, retrievers and Runnables, with `k`, a filter, and scores."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import AfterValidator, BeforeValidator

from langchain_gptoss._flow import Flow, arun_flow, call, run_flow
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.fusion import RELEVANCE
from langchain_gptoss.vectorstores.filters import Filter, compile_filter
from langchain_gptoss.vectorstores.qdrant import QdrantRetriever, is_qdrant


class StoreRetriever(VectorStoreRetriever):
    """Retriever over any vector store that puts the relevance of each document in `metadata["relevance_score"]`.

    A store that does not define the meaning of its scores (LangChain's `NotImplementedError`) is searched without
    scores.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        try:
            return run_flow(self._search_with_scores(query, kwargs))
        except NotImplementedError:
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        try:
            return await arun_flow(self._search_with_scores(query, kwargs))
        except NotImplementedError:
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)

    def _search_with_scores(self, query: str, options: Mapping[str, Any]) -> Flow[list[Document]]:
        store, options = self.vectorstore, {**self.search_kwargs, **options}
        results = yield from call(
            lambda: store.similarity_search_with_relevance_scores(query, **options),
            lambda: store.asimilarity_search_with_relevance_scores(query, **options),
        )
        return [_add_relevance(document, score) for document, score in results]


class RunnableRetriever(BaseRetriever):
    """Retriever over any Runnable from a query to documents, such as a retriever bound to a config."""

    runnable: Runnable[Any, Any]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(self.runnable.invoke(query, {"callbacks": run_manager.get_child()}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return list(await self.runnable.ainvoke(query, {"callbacks": run_manager.get_child()}))


def as_retriever(source: Any) -> BaseRetriever:
    """Return a retriever over a vector store, a retriever, or a Runnable from a query to documents.

    Raises:
        InvalidInputError: `source` is of another type.
    """
    if isinstance(source, VectorStore):
        source = source.as_retriever()
    if type(source) is VectorStoreRetriever and is_qdrant(source.vectorstore):
        return QdrantRetriever(**{name: getattr(source, name) for name in type(source).model_fields})
    # Exactly this class: a derived class has its own way of searching.
    if type(source) is VectorStoreRetriever and source.search_type == "similarity":
        return StoreRetriever(**{name: getattr(source, name) for name in type(source).model_fields})
    if isinstance(source, BaseRetriever):
        return source
    if isinstance(source, Runnable):
        return RunnableRetriever(runnable=source)
    raise InvalidInputError(
        f"{type(source).__name__} is not a retriever.",
        hint="Pass a LangChain vector store, a retriever, or a Runnable from a query to documents.",
    )


def find_embeddings(retriever: Any) -> Embeddings | None:
    """Return the embedding model of the first vector store under a retriever, or None.

    Args:
        retriever: A retriever; its fields may hold other retrievers, alone or in lists.
    """
    if isinstance(retriever, VectorStore):
        return retriever.embeddings
    if isinstance(retriever, list | tuple):
        parts = list(retriever)
    elif isinstance(retriever, BaseRetriever | RunnableBindingBase):
        parts = [getattr(retriever, name) for name in type(retriever).model_fields]
    else:
        return None
    return next((found for part in parts if (found := find_embeddings(part)) is not None), None)


AnyRetriever = Annotated[BaseRetriever, BeforeValidator(as_retriever)]
"""A pydantic field that accepts everything that `as_retriever` accepts."""


def query_retriever(
    retriever: BaseRetriever, query: str, *, k: int | None, filter: Filter | None, callbacks: Callbacks
) -> Flow[list[Document]]:
    """Return the documents that a retriever finds for a query, best first.

    A retriever that takes no filter is queried without it, and the filter is applied to its documents.

    Args:
        retriever: The retriever.
        query: The query.
        k: Maximum number of documents; None leaves it to the retriever.
        filter: Condition on the documents' metadata, or None for all documents.
        callbacks: Callbacks for the retriever's run.
    """
    options = _select_options(retriever, k=k, filter=filter)
    config = RunnableConfig(callbacks=callbacks)
    # LangChain's default async method takes no options. A retriever with only a sync method runs in a thread instead.
    is_sync_only = type(retriever)._aget_relevant_documents is BaseRetriever._aget_relevant_documents
    documents = yield from call(
        lambda: retriever.invoke(query, config, **options),
        None if options and is_sync_only else lambda: retriever.ainvoke(query, config, **options),
    )
    if filter is not None and "filter" not in options:
        accepts = compile_filter(filter)
        documents = [document for document in documents if accepts(document.metadata)]
    return documents[:k]


def select_active_retrievers(
    retrievers: Sequence[Any], weights: Sequence[float] | None
) -> tuple[list[Any], list[float]]:
    """Return the retrievers that are not None and have a weight above 0, with their weights.

    Args:
        retrievers: Retrievers; None marks an unused one.
        weights: One weight per retriever; None means 1 for each.

    Raises:
        InvalidInputError: The numbers of retrievers and weights differ, a weight is negative, or no retriever is left.
    """
    weights = [1.0] * len(retrievers) if weights is None else list(weights)
    if len(weights) != len(retrievers):
        raise InvalidInputError(
            f"There are {len(retrievers)} retrievers and {len(weights)} weights.", hint="Give one weight per retriever."
        )
    if any(not weight >= 0 for weight in weights):
        raise InvalidInputError(f"weights is {weights}.", hint="Use numbers of 0 or more.")
    active = [
        (retriever, weight)
        for retriever, weight in zip(retrievers, weights, strict=True)
        if retriever is not None and weight
    ]
    if not active:
        raise InvalidInputError("There is no retriever to query.", hint="Give at least one, with a weight above 0.")
    return [retriever for retriever, _ in active], [weight for _, weight in active]


@runtime_checkable
class SupportsScoring(Protocol):
    """A retriever that can score any of its documents for a query, also documents that it did not return."""

    def score_documents(self, query: str, ids: Sequence[str], /) -> Mapping[str, float]:
        """Return relevance by document id, on the scale of `metadata["relevance_score"]`.

        Documents that do not exist, or that the retriever's own filter excludes, are left out. A derived class that
        changes the scores of documents must change this method too.
        """


def score_candidates(retriever: BaseRetriever, query: str, ids: Sequence[str]) -> Flow[Mapping[str, float]]:
    """Return the relevance of documents by id; empty if the retriever cannot score them.

    The async driver calls the retriever in a thread.
    """
    if not ids or not isinstance(retriever, SupportsScoring):
        return {}
    return (yield from call(lambda: retriever.score_documents(query, ids)))


def supports_filter(retriever: BaseRetriever) -> bool:
    """Return True if a retriever accepts a filter in the call."""
    return "filter" in _select_options(retriever, k=None, filter={})


def _select_options(retriever: BaseRetriever, *, k: int | None, filter: Filter | None) -> dict[str, Any]:
    """Return the options that are not None and that the retriever accepts."""
    parameters = inspect.signature(retriever._get_relevant_documents).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    options = {"k": k, "filter": filter}
    return {name: value for name, value in options.items() if value is not None and (takes_any or name in parameters)}


def _add_relevance(document: Document, score: float) -> Document:
    metadata = {**document.metadata, RELEVANCE: float(score)}
    return Document(id=document.id, page_content=document.page_content, metadata=metadata)


def check_k(k: int) -> int:
    """Return a number of documents unchanged.

    Raises:
        InvalidInputError: It is below 1.
    """
    if k < 1:
        raise InvalidInputError(f"k is {k}.", hint="Use 1 or more.")
    return k


Count = Annotated[int, AfterValidator(check_k)]
"""A pydantic field that is 1 or more."""
