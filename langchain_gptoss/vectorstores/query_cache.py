"""Cache of query vectors, so that a query is embedded once although several parts need its vector.

Searching and scoring are separate calls to a vector store, and embedding takes longer than both. The cache lasts for
one query of one retriever, or for one answer if its owner passes the vectors: other users' questions never share it, so
that the time of an answer does not tell whether somebody else has asked the same. It is visible to everything which the
block calls, threads and tasks included.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from langchain_core.embeddings import Embeddings


class QueryVectors:
    """Vectors of queries by embedding model and text."""

    def __init__(self) -> None:
        # The model is kept beside the vector, so that its id is not given to another model meanwhile.
        self._vectors: dict[tuple[int, str], tuple[Embeddings, list[float]]] = {}

    def find(self, embeddings: Embeddings, query: str) -> list[float] | None:
        """Return the vector of a query, None if it was not added."""
        found = self._vectors.get((id(embeddings), query))
        return found and found[1]

    def add(self, embeddings: Embeddings, query: str, vector: list[float]) -> None:
        """Add the vector of a query."""
        self._vectors[id(embeddings), query] = embeddings, vector


_CURRENT: ContextVar[QueryVectors | None] = ContextVar("langchain_gptoss_query_vectors", default=None)


@contextmanager
def cache_query_vectors(vectors: QueryVectors | None = None) -> Iterator[None]:
    """Within the block, embed each query once per embedding model.

    Args:
        vectors: Vectors to use and to add to. None uses those of the surrounding block, or new ones.
    """
    token = _CURRENT.set(vectors or _CURRENT.get() or QueryVectors())
    try:
        yield
    finally:
        _CURRENT.reset(token)


def embed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Return the vector of a query."""
    vectors = _CURRENT.get() or QueryVectors()
    vector = vectors.find(embeddings, query)
    if vector is None:
        vector = embeddings.embed_query(query)
        vectors.add(embeddings, query, vector)
    return vector


async def aembed_query(embeddings: Embeddings, query: str) -> list[float]:
    """Async version of `embed_query`."""
    vectors = _CURRENT.get() or QueryVectors()
    vector = vectors.find(embeddings, query)
    if vector is None:
        vector = await embeddings.aembed_query(query)
        vectors.add(embeddings, query, vector)
    return vector
