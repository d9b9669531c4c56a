"""Chunks together with their neighbours in the source, joined so that every character keeps its offset."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

from langchain_core.callbacks import (
    Callbacks,
)
from langchain_core.documents import Document
from pydantic import Field, field_validator

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.retrievers.adapters import AnyRetriever, Count, check_k, query_retriever
from langchain_gptoss.retrievers.bm25 import BM25Retriever
from langchain_gptoss.retrievers.flow_retriever import FlowRetriever
from langchain_gptoss.retrievers.fusion import deduplicate
from langchain_gptoss.retrievers.own_filters import get_own_filter
from langchain_gptoss.vectorstores.filters import Filter, combine_filters, compile_filter

# Between two neighbours is white space, or a heading that belongs to no chunk. A longer gap means that text is missing.
_MAX_GAP_CHARS = 300
_SECTION_HITS = 3  # chunks requested per passage if passages are whole sections


Place = tuple[str, int, int]
"""A source and a character span in it."""


def find_place(document: Document) -> Place | None:
    """Return the source and the character span of a chunk, or None if its metadata does not give them."""
    source, start = document.metadata.get("source"), document.metadata.get("start")
    if source is None or not isinstance(start, int):
        return None
    return str(source), start, start + len(document.page_content)


def _get_part(chunk: Document) -> tuple[Any, ...]:
    """Return what tells the parts of an e-mail apart: what it says must not be joined with what it quotes."""
    return tuple(chunk.metadata.get(name) for name in ("quoted", "quoted_from", "attachment"))


def select_window(
    hit: Document, chunks: Sequence[Document], *, before: int, after: int, section: bool, max_chars: int
) -> list[Document]:
    """Return a hit and the chunks around it in the same part of an e-mail or file, in reading order.

    Args:
        hit: The chunk that was found.
        chunks: Chunks of its source, in any order.
        before: Number of chunks before it.
        after: Number of chunks after it.
        section: Select all chunks under the hit's heading and ignore `before` and `after`.
        max_chars: Maximum number of characters from the start of the first chunk to the end of the last one.
    """
    by_place = {place: chunk for chunk in [*chunks, hit] if (place := find_place(chunk))}
    ordered = [by_place[place] for place in sorted(by_place)]
    hit_index = ordered.index(hit)
    spans = [place[1:] for place in sorted(by_place)]

    def fits(index: int, low: int, high: int) -> bool:
        if not 0 <= index < len(ordered):
            return False
        if _get_part(ordered[index]) != _get_part(hit):
            return False
        is_selected = hit_index - before <= index <= hit_index + after
        if section:
            is_selected = ordered[index].metadata.get("heading") == hit.metadata.get("heading")
        gap = max(right[0] - left[1] for left, right in pairwise(spans[low : high + 1]))
        length = max(end for _, end in spans[low : high + 1]) - spans[low][0]
        return is_selected and gap <= _MAX_GAP_CHARS and length <= max_chars

    low, high = hit_index, hit_index
    while True:
        grows_left = fits(low - 1, low - 1, high)
        low -= grows_left
        grows_right = fits(high + 1, low, high + 1)
        high += grows_right
        if not grows_left and not grows_right:
            return ordered[low : high + 1]


def join_chunks(hit: Document, chunks: Sequence[Document]) -> Document:
    """Return one document from the start of the first chunk to the end of the last one, with the hit's metadata.

    The text between two chunks is unknown. It becomes line ends, one per character, so that all offsets stay those of
    the source.
    """
    start = min(chunk.metadata["start"] for chunk in chunks)
    text = ""
    for chunk in sorted(chunks, key=lambda chunk: chunk.metadata["start"]):
        at = chunk.metadata["start"] - start
        text += "\n" * (at - len(text))
        text += chunk.page_content[len(text) - at :]
    metadata = {**hit.metadata, "start": start, "end": start + len(text)}
    # The lead-in of a hit within a list is part of the passage, or is that of the first chunk.
    metadata.pop("lead_in", None)
    first = min(chunks, key=lambda chunk: chunk.metadata["start"])
    if "lead_in" in first.metadata:
        metadata["lead_in"] = first.metadata["lead_in"]
    return Document(id=hit.id, page_content=text, metadata=metadata)


def build_passages(
    hits: Sequence[Document],
    get_chunks: Callable[[Document], Sequence[Document]],
    *,
    before: int,
    after: int,
    section: bool,
    max_chars: int,
) -> list[Document]:
    """Return the hits with their neighbours, in the order of the hits; no chunk is in two passages.

    Windows that overlap become one passage if it stays within `max_chars`. A hit without an exact place is returned
    unchanged.

    Args:
        hits: Chunks, best first.
        get_chunks: Returns the chunks of a hit's source.
        before: Number of chunks before a hit.
        after: Number of chunks after a hit.
        section: Take all chunks under the hit's heading and ignore `before` and `after`.
        max_chars: Maximum number of characters of a passage.
    """
    groups: list[tuple[Document, dict[Place, Document]]] = []
    used: set[Place] = set()

    def select_neighbours(hit: Document, chunks: Sequence[Document]) -> dict[Place, Document]:
        window = select_window(hit, chunks, before=before, after=after, section=section, max_chars=max_chars)
        return {place: chunk for chunk in window if (place := find_place(chunk))}

    for hit in hits:
        place = find_place(hit)
        if place in used:
            continue
        chunks = get_chunks(hit) if place else []
        group = select_neighbours(hit, chunks) if place else {}
        overlapping = next((other for _, other in groups if other.keys() & group.keys()), None)
        if overlapping is not None and _measure_length([*overlapping, *group]) <= max_chars:
            overlapping.update(group)
        else:
            if overlapping is not None:
                group = select_neighbours(hit, [chunk for chunk in chunks if find_place(chunk) not in used])
            groups.append((hit, group))
        used.update(group)
    return [join_chunks(hit, list(group.values())) if group else hit for hit, group in groups]


def _measure_length(places: Sequence[Place]) -> int:
    """Return the number of characters from the first place's start to the last one's end."""
    return max(end for _, _, end in places) - min(start for _, start, _ in places)


def _read_from_bm25(chunks: BM25Retriever) -> Callable[[str], Sequence[Document]]:
    """Return a function from a source to its chunks that the retriever's own filter accepts."""
    if chunks.filter is None:
        return chunks.index.get_by_source
    accepts = compile_filter(chunks.filter)
    return lambda source: [chunk for chunk in chunks.index.get_by_source(source) if accepts(chunk.metadata)]


ChunkSource = BM25Retriever | Sequence[Document] | Callable[[str], Sequence[Document]]
"""All chunks, a retriever over them, or a function from a source to its chunks."""


class NeighbourRetriever(FlowRetriever):
    """Returns chunks together with the text before and after them in their source.

    Small chunks are easier to find and larger passages are easier to understand. A hit and its neighbours become one
    document with the hit's id and metadata; `start` and `end` are those of the passage. Windows that overlap become one
    passage. The text between two chunks (white space, a heading) becomes line ends, one per character, so that every
    offset stays that of the source. A hit without `source` and `start` in its metadata is returned unchanged.

    Attributes:
        retriever: Finds the chunks: a vector store, a retriever or a Runnable from a query to documents.
        chunks: Provides the neighbours: all chunks, a `BM25Retriever` over them, or a function from a source to its
            chunks. A filter in the call, the filter of `retriever` and that of `chunks` apply to neighbours too.
        before: Number of chunks before a hit.
        after: Number of chunks after a hit.
        section: Take all chunks under the hit's heading and ignore `before` and `after`.
        max_chars: Maximum number of characters of one passage.
        k: Maximum number of passages.
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
    def _convert_to_function(cls, chunks: ChunkSource) -> Callable[[str], Sequence[Document]]:
        if isinstance(chunks, BM25Retriever):
            return _read_from_bm25(chunks)
        if callable(chunks):
            return chunks
        by_source: dict[str, list[Document]] = {}
        for chunk in chunks:
            by_source.setdefault(str(chunk.metadata.get("source")), []).append(chunk)
        return lambda source: by_source.get(source, [])

    def _retrieve(
        self, query: str, *, callbacks: Callbacks, k: int | None = None, filter: Filter | None = None
    ) -> Flow[list[Document]]:
        k = check_k(self.k if k is None else k)
        # In the worst case all chunks of a window are hits.
        hits_per_passage = _SECTION_HITS if self.section else self.before + self.after + 1
        hits = yield from query_retriever(
            self.retriever, query, k=k * hits_per_passage, filter=filter, callbacks=callbacks
        )
        passages = yield from call(lambda: self._build_passages(hits, filter))
        return passages[:k]

    def _build_passages(self, hits: Sequence[Document], filter: Filter | None) -> list[Document]:
        combined = combine_filters(get_own_filter(self.retriever), filter)
        accepts = compile_filter(combined) if combined is not None else None

        def get_chunks(hit: Document) -> list[Document]:
            chunks = self.chunks(str(hit.metadata.get("source")))
            return [chunk for chunk in chunks if accepts is None or accepts(chunk.metadata)]

        return build_passages(
            deduplicate(hits),
            get_chunks,
            before=self.before,
            after=self.after,
            section=self.section,
            max_chars=self.max_chars,
        )
