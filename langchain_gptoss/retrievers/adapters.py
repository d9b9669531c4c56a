"""Asking other retrievers: any vector store, retriever or Runnable, with `k`, a filter and scores where it has them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Annotated, Any, Protocol, runtime_checkable

from langchain_core.callbacks import (
    AsyncCallbackManagerForRetrieverRun,
    CallbackManagerForRetrieverRun,
    Callbacks,
)
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import Runnable, run_in_executor
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever
from pydantic import AfterValidator, BeforeValidator

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.fusion import RELEVANCE
from langchain_gptoss.vectorstores.filters import Filter, compile_filter
from langchain_gptoss.vectorstores.qdrant import QdrantRetriever, is_qdrant


class StoreRetriever(VectorStoreRetriever):
    """A retriever over any vector store whose documents carry `metadata["relevance_score"]` where the store has it.

    A store that does not say what its scores mean (LangChain's `NotImplementedError`) is searched without scores.
    """

    def _get_relevant_documents(
        self, query: str, *, run_manager: CallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        try:
            found = self.vectorstore.similarity_search_with_relevance_scores(query, **{**self.search_kwargs, **kwargs})
        except NotImplementedError:
            return super()._get_relevant_documents(query, run_manager=run_manager, **kwargs)
        return [_scored(document, score) for document, score in found]

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun, **kwargs: Any
    ) -> list[Document]:
        try:
            found = await self.vectorstore.asimilarity_search_with_relevance_scores(
                query, **{**self.search_kwargs, **kwargs}
            )
        except NotImplementedError:
            return await super()._aget_relevant_documents(query, run_manager=run_manager, **kwargs)
        return [_scored(document, score) for document, score in found]


class RunnableRetriever(BaseRetriever):
    """A retriever over any Runnable from a query to documents, such as a retriever that was given a config."""

    runnable: Runnable[Any, Any]

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(self.runnable.invoke(query, {"callbacks": run_manager.get_child()}))

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return list(await self.runnable.ainvoke(query, {"callbacks": run_manager.get_child()}))


def as_retriever(source: Any) -> BaseRetriever:
    """Returns a retriever over a vector store, a retriever, or a Runnable from a query to documents.

    Raises:
        InvalidInputError: It is none of them.
    """
    if isinstance(source, VectorStore):
        source = source.as_retriever()
    if type(source) is VectorStoreRetriever and is_qdrant(source.vectorstore):
        return QdrantRetriever(**{name: getattr(source, name) for name in type(source).model_fields})
    # This class exactly: what is derived from it has its own way of searching.
    if type(source) is VectorStoreRetriever and source.search_type == "similarity":
        return StoreRetriever(**{name: getattr(source, name) for name in type(source).model_fields})
    if isinstance(source, BaseRetriever):
        return source
    if isinstance(source, Runnable):
        return RunnableRetriever(runnable=source)
    raise InvalidInputError(
        f"{type(source).__name__} is no retriever. Give a LangChain vector store, a retriever, or a Runnable from a "
        "query to documents."
    )


AnyRetriever = Annotated[BaseRetriever, BeforeValidator(as_retriever)]
"""A field that takes whatever `as_retriever` does."""


def ask(
    retriever: BaseRetriever, query: str, *, k: int | None, filter: Filter | None, callbacks: Callbacks
) -> list[Document]:
    """Returns what a retriever finds, `k` documents at most; None leaves the number to the retriever.

    A retriever that does not take a filter is asked without, and what the filter refuses is left out afterwards.
    """
    options = _options(retriever, k, filter)
    return _kept(retriever.invoke(query, {"callbacks": callbacks}, **options), options, k, filter)


async def aask(
    retriever: BaseRetriever, query: str, *, k: int | None, filter: Filter | None, callbacks: Callbacks
) -> list[Document]:
    """Returns what `ask` does."""
    options = _options(retriever, k, filter)
    if options and type(retriever)._aget_relevant_documents is BaseRetriever._aget_relevant_documents:
        # LangChain's own async half takes no options: whoever wrote only the sync one is asked in a thread.
        return await run_in_executor(None, partial(ask, retriever, query, k=k, filter=filter, callbacks=callbacks))
    return _kept(await retriever.ainvoke(query, {"callbacks": callbacks}, **options), options, k, filter)


def counted(sides: Sequence[Any], weights: Sequence[float] | None) -> tuple[list[Any], list[float]]:
    """Returns the sides that are there and count something, with their weights.

    Raises:
        InvalidInputError: The numbers of sides and weights differ, a weight is below 0, or no side is left.
    """
    weights = [1.0] * len(sides) if weights is None else list(weights)
    if len(weights) != len(sides):
        raise InvalidInputError(f"There are {len(sides)} retrievers and {len(weights)} weights; give one each.")
    if any(not weight >= 0 for weight in weights):
        raise InvalidInputError(f"weights are {weights}; each must be 0 or more.")
    kept = [(side, weight) for side, weight in zip(sides, weights, strict=True) if side is not None and weight]
    if not kept:
        raise InvalidInputError("No retriever is left to ask. Give at least one, with a weight above 0.")
    return [side for side, _ in kept], [weight for _, weight in kept]


@runtime_checkable
class TellsRelevance(Protocol):
    """A retriever that can be asked how relevant any of its documents is, found or not."""

    def relevance_of(self, query: str, ids: Sequence[str], /) -> Mapping[str, float]:
        """Returns relevance by id, on the scale of the documents' `metadata["relevance_score"]`.

        What is left out (an id that is not there, or that the retriever's own filter refuses) is unknown. Whoever
        changes the scores in a class derived from such a retriever changes this method too.
        """


def relevance_of(retriever: BaseRetriever, query: str, ids: Sequence[str]) -> Mapping[str, float]:
    """Returns the relevance of documents by id, as far as the retriever tells it."""
    return retriever.relevance_of(query, ids) if ids and isinstance(retriever, TellsRelevance) else {}


async def arelevance_of(retriever: BaseRetriever, query: str, ids: Sequence[str]) -> Mapping[str, float]:
    """Returns what `relevance_of` does; the retriever is asked in a thread."""
    if not ids or not isinstance(retriever, TellsRelevance):
        return {}
    return await run_in_executor(None, retriever.relevance_of, query, ids)


def takes_filter(retriever: BaseRetriever) -> bool:
    """Returns whether a retriever can be told, in the call, which documents may be found."""
    return "filter" in _options(retriever, None, {})


def _options(retriever: BaseRetriever, k: int | None, filter: Filter | None) -> dict[str, Any]:
    parameters = inspect.signature(retriever._get_relevant_documents).parameters
    takes_any = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    wanted = {"k": k, "filter": filter}
    return {name: value for name, value in wanted.items() if value is not None and (takes_any or name in parameters)}


def _kept(found: list[Document], options: dict[str, Any], k: int | None, filter: Filter | None) -> list[Document]:
    if filter is not None and "filter" not in options:
        agrees = compile_filter(filter)
        found = [document for document in found if agrees(document.metadata)]
    return found[:k]


def _scored(document: Document, score: float) -> Document:
    metadata = {**document.metadata, RELEVANCE: float(score)}
    return Document(id=document.id, page_content=document.page_content, metadata=metadata)


def checked_k(k: int) -> int:
    """Returns a number of documents.

    Raises:
        InvalidInputError: It is below 1.
    """
    if k < 1:
        raise InvalidInputError(f"k is {k} and must be at least 1.")
    return k


Count = Annotated[int, AfterValidator(checked_k)]
"""A field that is 1 or more."""
