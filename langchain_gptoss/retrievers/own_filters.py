"""The filter that a retriever applies on its own, as a condition on metadata."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables.base import RunnableBindingBase
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.bm25 import BM25Retriever
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import Filter, combine_filters, compile_filter
from langchain_gptoss.vectorstores.qdrant import is_qdrant


def iterate_inner_retrievers(retriever: Any) -> Iterator[BaseRetriever]:
    """Yield the retrievers that the fields of a retriever hold, alone, in lists, or bound to a config."""
    for name in type(retriever).model_fields:
        value = getattr(retriever, name)
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, BaseRetriever):
                yield part
            elif isinstance(part, RunnableBindingBase):
                yield from iterate_inner_retrievers(part)


def iterate_retrievers(retriever: BaseRetriever) -> Iterator[BaseRetriever]:
    """Yield a retriever and all retrievers inside it."""
    yield retriever
    for part in iterate_inner_retrievers(retriever):
        yield from iterate_retrievers(part)


def iterate_metadata(retriever: BaseRetriever) -> Iterator[Mapping[str, Any]]:
    """Yield the metadata of the documents of each `FaissStore` and BM25 index under a retriever."""
    seen: set[int] = set()
    for part in iterate_retrievers(retriever):
        store: Any = getattr(part, "vectorstore", None) if isinstance(part, VectorStoreRetriever) else None
        if isinstance(part, BM25Retriever):
            store = part.index
        if id(store) not in seen and hasattr(store, "iterate_metadata"):
            seen.add(id(store))
            yield from store.iterate_metadata()


def get_own_filter(retriever: BaseRetriever) -> Filter | None:
    """Return a filter that holds for every document which a retriever can return; None if all documents can be.

    A filter in the form of another store, which cannot be read here, becomes a filter that no document matches.
    """
    if isinstance(retriever, VectorStoreRetriever):
        return _read_store_filter(retriever)
    own = retriever.filter if isinstance(retriever, BM25Retriever) else None
    inner = [get_own_filter(part) for part in iterate_inner_retrievers(retriever)]
    if any(filter is None for filter in inner):
        return own
    combined: Filter | None = combine_filters(own, _accept_any([filter for filter in inner if filter is not None]))
    return combined


def _accept_any(filters: list[Filter]) -> Filter | None:
    if len(filters) < 2:
        return filters[0] if filters else None
    predicates = [compile_filter(filter) for filter in filters]
    return lambda metadata: any(accepts(metadata) for accepts in predicates)


def _read_store_filter(retriever: VectorStoreRetriever) -> Filter | None:
    own, store = retriever.search_kwargs.get("filter"), retriever.vectorstore
    if own is None:
        return None
    has_known_form = isinstance(own, Mapping) or (callable(own) and (isinstance(store, FaissStore) or is_qdrant(store)))
    try:
        return compile_filter(own) if has_known_form else _reject_all
    except InvalidInputError:
        return _reject_all


def _reject_all(_metadata: Mapping[str, Any]) -> bool:
    return False
