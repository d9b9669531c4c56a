"""Chunks with what stands around them, joined so that every character keeps its place in the source."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.runnables import run_in_executor
from pydantic import Field, field_validator

from langchain_gptoss.retrievers.adapters import (
    AnyRetriever,
    Count,
    aask,
    ask,
    checked_k,
)
from langchain_gptoss.retrievers.bm25 import BM25Retriever
from langchain_gptoss.retrievers.fusion import distinct
from langchain_gptoss.vectorstores.filters import Filter, compile_filter

# Between neighbours stands white space, or a heading that is in no chunk. A longer gap is something left out.
_MAX_GAP = 300


Place = tuple[str, int, int]
"""A source and a character span in it."""


def place_of(document: Document) -> Place | None:
    """Returns a chunk's source and character span, or None where it has no exact span."""
    source, start = document.metadata.get("source"), document.metadata.get("start")
    if source is None or not isinstance(start, int):
        return None
    return str(source), start, start + len(document.page_content)


def window(
    hit: Document, chunks: Sequence[Document], *, before: int, after: int, section: bool, max_chars: int
) -> list[Document]:
    """Returns a hit and the chunks around it, in reading order.

    Args:
        hit: The chunk that was found.
        chunks: Chunks of its source, in any order.
        before: How many chunks before it.
        after: How many after it.
        section: All chunks under the hit's heading instead, whatever `before` and `after` say.
        max_chars: The most characters from the first chunk's beginning to the last one's end.
    """
    found = {place: chunk for chunk in [*chunks, hit] if (place := place_of(chunk))}
    ordered = [found[place] for place in sorted(found)]
    at = ordered.index(hit)
    spans = [place[1:] for place in sorted(found)]

    def fits(place: int, low: int, high: int) -> bool:
        if not 0 <= place < len(ordered):
            return False
        wanted = at - before <= place <= at + after
        if section:
            wanted = ordered[place].metadata.get("heading") == hit.metadata.get("heading")
        gap = max(right[0] - left[1] for left, right in pairwise(spans[low : high + 1]))
        length = max(end for _, end in spans[low : high + 1]) - spans[low][0]
        return wanted and gap <= _MAX_GAP and length <= max_chars

    low, high = at, at
    while True:
        left = fits(low - 1, low - 1, high)
        low -= left
        right = fits(high + 1, low, high + 1)
        high += right
        if not left and not right:
            return ordered[low : high + 1]


def joined(hit: Document, chunks: Sequence[Document]) -> Document:
    """Returns one document from the first chunk's beginning to the last one's end, with the hit's metadata.

    What stands between two chunks is not known here and becomes line ends, as many as it has characters: offsets of
    everything else stay those of the source.
    """
    start = min(chunk.metadata["start"] for chunk in chunks)
    text = ""
    for chunk in sorted(chunks, key=lambda chunk: chunk.metadata["start"]):
        at = chunk.metadata["start"] - start
        text += "\n" * (at - len(text))
        text += chunk.page_content[len(text) - at :]
    metadata = {**hit.metadata, "start": start, "end": start + len(text)}
    return Document(id=hit.id, page_content=text, metadata=metadata)


def passages(
    hits: Sequence[Document],
    chunks_of: Callable[[Document], Sequence[Document]],
    *,
    before: int,
    after: int,
    section: bool,
    max_chars: int,
) -> list[Document]:
    """Returns hits with what stands around them, in the order of the hits; no chunk is in two passages.

    Windows that overlap become one passage where that stays within `max_chars`. A hit without an exact place is
    returned as it is.

    Args:
        hits: Best first.
        chunks_of: Gives the chunks of a hit's source.
        before: As of `window`, and so are the others.
        after: How many chunks after a hit.
        section: All chunks under the hit's heading.
        max_chars: The most characters of a passage.
    """
    groups: list[tuple[Document, dict[Place, Document]]] = []
    used: set[Place] = set()

    def near(hit: Document, chunks: Sequence[Document]) -> dict[Place, Document]:
        found = window(hit, chunks, before=before, after=after, section=section, max_chars=max_chars)
        return {place: chunk for chunk in found if (place := place_of(chunk))}

    for hit in hits:
        place = place_of(hit)
        if place in used:
            continue
        chunks = chunks_of(hit) if place else []
        group = near(hit, chunks) if place else {}
        overlapping = next((other for _, other in groups if other.keys() & group.keys()), None)
        if overlapping is not None and _length([*overlapping, *group]) <= max_chars:
            overlapping.update(group)
        else:
            if overlapping is not None:
                group = near(hit, [chunk for chunk in chunks if place_of(chunk) not in used])
            groups.append((hit, group))
        used.update(group)
    return [joined(hit, list(group.values())) if group else hit for hit, group in groups]


def _length(places: Sequence[Place]) -> int:
    return max(end for _, _, end in places) - min(start for _, start, _ in places)


Neighbours = BM25Retriever | Sequence[Document] | Callable[[str], Sequence[Document]]


class NeighbourRetriever(BaseRetriever):
    """Returns chunks together with what stands before and after them in their source.

    Small chunks are found best and larger passages are understood best. A hit and its neighbours become one document
    with the hit's id and metadata, whose `start` and `end` are those of the whole; windows that overlap become one.
    What stands between two chunks (white space, a heading) becomes line ends, as many as it has characters, so that
    every offset stays that of the source. A hit without `source` and `start` is returned as it is.

    Attributes:
        retriever: Finds the chunks: a vector store, a retriever or a Runnable from a query to documents.
        chunks: Where the neighbours are: all chunks, a `BM25Retriever` over them, or a function from a source to its
            chunks. A filter in the call holds for neighbours too.
        before: How many chunks before a hit.
        after: How many after it.
        section: All chunks under the hit's heading (its parent) in place of `before` and `after`.
        max_chars: The most characters of one passage.
        k: How many passages are returned, at most.
    """

    retriever: AnyRetriever
    chunks: Any
    before: int = Field(default=1, ge=0)
    after: int = Field(default=1, ge=0)
    section: bool = False
    max_chars: Count = 3000
    k: Count = 10

    @field_validator("chunks")
    @classmethod
    def _by_source(cls, chunks: Neighbours) -> Callable[[str], Sequence[Document]]:
        if isinstance(chunks, BM25Retriever):
            return chunks.index.of_source
        if callable(chunks):
            return chunks
        by_source: dict[str, list[Document]] = {}
        for chunk in chunks:
            by_source.setdefault(str(chunk.metadata.get("source")), []).append(chunk)
        return lambda source: by_source.get(source, [])

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        found = ask(self.retriever, query, k=self._hits(k), filter=filter, callbacks=run_manager.get_child())
        return self._passages(found, k, filter)

    async def _aget_relevant_documents(
        self,
        query: str,
        *,
        run_manager: AsyncCallbackManagerForRetrieverRun,
        k: int | None = None,
        filter: Filter | None = None,
    ) -> list[Document]:
        k = checked_k(self.k if k is None else k)
        callbacks = run_manager.get_child()
        found = await aask(self.retriever, query, k=self._hits(k), filter=filter, callbacks=callbacks)
        return await run_in_executor(None, self._passages, found, k, filter)

    def _hits(self, k: int) -> int:
        """Returns how many chunks may be needed for `k` passages: in the worst case, all of a window are hits."""
        return k * (3 if self.section else self.before + self.after + 1)

    def _passages(self, found: Sequence[Document], k: int, filter: Filter | None) -> list[Document]:
        agrees = compile_filter(filter) if filter is not None else None

        def chunks_of(hit: Document) -> list[Document]:
            chunks = self.chunks(str(hit.metadata.get("source")))
            return [chunk for chunk in chunks if agrees is None or agrees(chunk.metadata)]

        return passages(
            distinct(found),
            chunks_of,
            before=self.before,
            after=self.after,
            section=self.section,
            max_chars=self.max_chars,
        )[:k]
