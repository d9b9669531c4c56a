"""Cache of query vectors, so that a query is embedded once although several parts of a retriever need its vector.

Searching and scoring are separate calls to a vector store, and embedding takes longer than both. The cache lasts for
one query of one retriever. It is visible to everything which that query calls, threads and tasks included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.embeddings import Embeddings

# The model is kept beside the vector, so that its id is not given to another model meanwhile.
_Cache = dict[tuple[int, str], tuple[Embeddings, list[float]]]
_CACHE: ContextVar[_Cache | None] = ContextVar("langchain_gptoss_query_vectors", default=None)


@contextmanager
def cache_query_vectors() -> Iterator[None]:
    """Within the block, embed each query once per embedding model."""
    if _CACHE.get() is not None:
        yield
        return
    token = _CACHE.set({})
    try:
        yield
    finally:
        _CACHE.reset(token)


def embed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Return the vector of a query."""
    cache, key = _CACHE.get(), (id(embeddings), query)
    if cache is None:
        return embeddings.embed_query(query)
    if key not in cache:
        cache[key] = embeddings, embeddings.embed_query(query)
    return cache[key][1]


async def aembed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Async version of `embed_query`."""
    cache, key = _CACHE.get(), (id(embeddings), query)
    if cache is None:
        return await embeddings.aembed_query(query)
    if key not in cache:
        cache[key] = embeddings, await embeddings.aembed_query(query)
    return cache[key][1]
