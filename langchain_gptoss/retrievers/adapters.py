"""Adapters to other retrievers: vector stores, retrievers and Runnables, with `k`, a filter, and scores."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Protocol, runtime_checkable

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun, Callbacks
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import AfterValidator, BeforeValidator

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.store_retriever import StoreRetriever, search_matching, select_matching
from langchain_gptoss.vectorstores import FaissRetriever, FaissStore
from langchain_gptoss.vectorstores.filters import Filter
from langchain_gptoss.vectorstores.qdrant import QdrantRetriever, is_qdrant


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
    # Exactly this class: a derived class has its own way of searching.
    if type(source) is VectorStoreRetriever:
        return _choose_store_retriever(source.vectorstore)(
            **{name: getattr(source, name) for name in type(source).model_fields}
        )
    if isinstance(source, BaseRetriever):
        return _convert_inner_retrievers(source)
    if isinstance(source, Runnable):
        return RunnableRetriever(runnable=source)
    raise InvalidInputError(
        f"{type(source).__name__} is not a retriever.",
        hint="Pass a LangChain vector store, a retriever, or a Runnable from a query to documents.",
    )


def _choose_store_retriever(store: VectorStore) -> type[VectorStoreRetriever]:
    if is_qdrant(store):
        return QdrantRetriever
    return FaissRetriever if isinstance(store, FaissStore) else StoreRetriever


def _convert_inner_retrievers(retriever: BaseRetriever) -> BaseRetriever:
    """Return a retriever whose inner retrievers over vector stores keep their own filter when a call has one.

    LangChain's own retrievers over stores replace it. A retriever without such parts is returned as it is.
    """
    changes: dict[str, Any] = {}
    for name in type(retriever).model_fields:
        value = getattr(retriever, name)
        if isinstance(value, list):
            parts = [as_retriever(part) if isinstance(part, BaseRetriever) else part for part in value]
            if any(new is not old for new, old in zip(parts, value, strict=True)):
                changes[name] = parts
        elif isinstance(value, BaseRetriever) and (converted := as_retriever(value)) is not value:
            changes[name] = converted
    return retriever.model_copy(update=changes) if changes else retriever


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


_DEFAULT_K = 4  # of LangChain's vector stores

AnyRetriever = Annotated[BaseRetriever, BeforeValidator(as_retriever)]
"""A pydantic field that accepts everything that `as_retriever` accepts."""


def query_retriever(
    retriever: BaseRetriever,
    query: str,
    *,
    k: int | None,
    filter: Filter | None,
    callbacks: Callbacks,
    on_rejected: Callable[[Document], None] | None = None,
) -> Flow[list[Document]]:
    """Return the documents that a retriever finds for a query, best first.

    A retriever that takes no filter is queried without it. The filter is applied to the documents in any case.

    Args:
        retriever: The retriever.
        query: The query.
        k: Maximum number of documents; None leaves it to the retriever.
        filter: Condition on the documents' metadata, or None for all documents.
        callbacks: Callbacks for the retriever's run.
        on_rejected: Called with each document that the retriever returned although it does not match the filter.
    """
    config = RunnableConfig(callbacks=callbacks)
    if filter is not None and _has_replaceable_filter(retriever):
        limit = k or getattr(retriever, "search_kwargs", {}).get("k") or _DEFAULT_K

        def search(count: int) -> Flow[list[Document]]:
            return _call_retriever(retriever, query, config, {"k": count})

        return (yield from search_matching(search, filter, limit, on_rejected))
    options = _select_options(retriever, k=k, filter=filter)
    documents = yield from _call_retriever(retriever, query, config, options)
    if isinstance(filter, Mapping) or callable(filter):
        documents = select_matching(documents, filter, on_rejected)
    return documents[:k]


def _has_replaceable_filter(retriever: BaseRetriever) -> bool:
    """Return True if a filter in the call would replace the retriever's own, or have a meaning that is not known."""
    combining = FaissRetriever | QdrantRetriever | StoreRetriever
    return isinstance(retriever, VectorStoreRetriever) and not isinstance(retriever, combining)


def _call_retriever(
    retriever: BaseRetriever, query: str, config: RunnableConfig, options: Mapping[str, Any]
) -> Flow[list[Document]]:
    # LangChain's default async method takes no options. A retriever with only a sync method runs in a thread instead.
    is_sync_only = type(retriever)._aget_relevant_documents is BaseRetriever._aget_relevant_documents
    documents: list[Document] = yield from call(
        lambda: retriever.invoke(query, config, **options),
        None if options and is_sync_only else lambda: retriever.ainvoke(query, config, **options),
    )
    return documents


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
        changes the scores of documents must change this method too. A method with a keyword `filter` gets the filter of
        the query.
        """


def score_candidates(
    retriever: BaseRetriever, query: str, ids: Sequence[str], filter: Filter | None = None
) -> Flow[Mapping[str, float]]:
    """Return the relevance of documents by id; empty if the retriever cannot score them.

    The async driver calls the retriever in a thread.
    """
    if not ids or not isinstance(retriever, SupportsScoring):
        return {}
    takes_filter = filter is not None and "filter" in inspect.signature(retriever.score_documents).parameters
    options: dict[str, Any] = {"filter": filter} if takes_filter else {}
    return (yield from call(lambda: retriever.score_documents(query, ids, **options)))


def supports_filter(retriever: BaseRetriever) -> bool:
    """Return True if a retriever accepts a filter in the call."""
    return "filter" in _select_options(retriever, k=None, filter={})


def _select_options(retriever: BaseRetriever, *, k: int | None, filter: Filter | None) -> dict[str, Any]:
    """Return the options that are not None and that the retriever accepts."""
    parameters = inspect.signature(retriever._get_relevant_documents).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    options = {"k": k, "filter": filter}
    return {name: value for name, value in options.items() if value is not None and (takes_any or name in parameters)}


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
