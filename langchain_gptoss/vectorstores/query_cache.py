"""A query is embedded once, however many parts of a retriever want its vector.

Searching and scoring are separate calls to a vector store, and embedding takes longer than both. What is remembered
lives as long as one query of one retriever, and is seen by what that query calls, in threads and tasks too.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.embeddings import Embeddings

# The model is kept beside the vector, so that its id is not given to another one meanwhile.
_Known = dict[tuple[int, str], tuple[Embeddings, list[float]]]
_KNOWN: ContextVar[_Known | None] = ContextVar("langchain_gptoss_query_vectors", default=None)


@contextmanager
def embedded_once() -> Iterator[None]:
    """Within it, `embed_query` asks a model about each query once."""
    if _KNOWN.get() is not None:
        yield
        return
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def embed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Returns a query's vector."""
    known = _KNOWN.get()
    if known is None:
        return embeddings.embed_query(query)
    key = (id(embeddings), query)
    if key not in known:
        known[key] = embeddings, embeddings.embed_query(query)
    return known[key][1]


async def aembed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Returns a query's vector, by the model's own async method."""
    known = _KNOWN.get()
    if known is None:
        return await embeddings.aembed_query(query)
    key = (id(embeddings), query)
    if key not in known:
        known[key] = embeddings, await embeddings.aembed_query(query)
    return known[key][1]
