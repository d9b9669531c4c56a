"""The indexed documents behind a retriever: their titles and headings, and the chunks of one of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import PurePosixPath
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStoreRetriever

from langchain_gptoss._flow import Flow
from langchain_gptoss.retrievers.adapters import as_retriever, query_retriever
from langchain_gptoss.retrievers.own_filters import get_own_filter, iterate_metadata, iterate_retrievers
from langchain_gptoss.vectorstores.filters import Filter, combine_filters, compile_filter

MAX_CHUNKS = 10_000
"""Maximum number of chunks that are read at a time."""
_MAX_LISTED_CHUNKS = 200_000  # reading the metadata of so many takes seconds
_QUERY = "text"  # the text does not matter: all chunks of the source are requested


@dataclass(frozen=True, kw_only=True)
class DocumentOutline:
    """A document as its chunks describe it.

    Attributes:
        source: The name that citations use.
        title: The title; the name of the file if there is none.
        language: ISO 639-1 code, or None if it is not known.
        headings: The highest headings below the title, in order.
    """

    source: str
    title: str
    language: str | None
    headings: tuple[str, ...]


def list_outlines(retriever: BaseRetriever, *, filter: Filter | None = None) -> list[DocumentOutline]:
    """Return the outlines of the documents that a retriever searches, in the order of the index.

    The result is empty if its stores cannot list their documents.

    Args:
        retriever: The retriever; its own filter holds.
        filter: Condition on the metadata of chunks, in addition.
    """
    combined = combine_filters(get_own_filter(retriever), filter)
    accepts = None if combined is None else compile_filter(combined)
    chunks: dict[str, list[dict[str, Any]]] = {}
    for metadata in islice(iterate_metadata(retriever), _MAX_LISTED_CHUNKS):
        source = str(metadata.get("source") or "")
        if source and (accepts is None or accepts(metadata)):
            chunks.setdefault(source, []).append(dict(metadata))
    return [_describe(source, sorted(each, key=get_start)) for source, each in chunks.items()]


def find_chunk_retriever(retriever: BaseRetriever) -> BaseRetriever | None:
    """Return a retriever over the first vector store under a retriever, with the same filter of its own, or None."""
    found = next((each for each in iterate_retrievers(retriever) if isinstance(each, VectorStoreRetriever)), None)
    if found is None:
        return None
    own_filter = found.search_kwargs.get("filter")
    return as_retriever(
        found.vectorstore.as_retriever(search_kwargs={} if own_filter is None else {"filter": own_filter})
    )


def read_chunks(
    chunk_retriever: BaseRetriever, sources: Sequence[str], *, filter: Filter | None
) -> Flow[list[Document]]:
    """Return the chunks of documents, in the order of `sources` and of the text; one search finds them.

    Args:
        chunk_retriever: The result of `find_chunk_retriever`.
        sources: Names of the documents.
        filter: Condition on the metadata of chunks, or None.
    """
    named = {"source": sources[0] if len(sources) == 1 else {"$in": list(sources)}}
    conditions: Filter | None = combine_filters(named, filter)
    chunks = yield from query_retriever(chunk_retriever, _QUERY, k=MAX_CHUNKS, filter=conditions, callbacks=None)
    places = {source: place for place, source in enumerate(sources)}
    return sorted(
        chunks, key=lambda chunk: (places.get(str(chunk.metadata.get("source")), 0), get_start(chunk.metadata))
    )


def get_start(metadata: dict[str, Any]) -> int:
    """Return the offset of a chunk in its source, 0 if it is not known."""
    start = metadata.get("start")
    return start if isinstance(start, int) else 0


def _describe(source: str, chunks: list[dict[str, Any]]) -> DocumentOutline:
    title = next((str(chunk["title"]) for chunk in chunks if chunk.get("title")), "") or PurePosixPath(source).stem
    language = next((str(chunk["language"]) for chunk in chunks if chunk.get("language")), None)
    headings = dict.fromkeys(heading for chunk in chunks for heading in _list_headings(chunk, title))
    return DocumentOutline(source=source, title=title, language=language, headings=tuple(headings))


def _list_headings(chunk: dict[str, Any], title: str) -> Iterator[str]:
    path = [part.strip() for part in str(chunk.get("heading") or "").split(" > ") if part.strip()]
    yield from [part for part in path if part != title][:1]
