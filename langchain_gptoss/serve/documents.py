"""The text of an indexed document, rebuilt from its chunks, so that a citation can be shown in its context."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, HTTPException, Request
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss._flow import arun_flow
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.retrievers.source_documents import find_chunk_retriever, get_start, read_chunks
from langchain_gptoss.serve.caller import get_caller


@dataclass(frozen=True, kw_only=True)
class DocumentText:
    """A document as it was indexed.

    Attributes:
        source: The name that citations use.
        start: Offset of `text` in the extracted text of the source, in characters; citations count from there.
        text: The text. Gaps between chunks were not stored: they are filled with as many line ends, and with the
            heading of the second chunk if it is a new one and fits.
    """

    source: str
    start: int
    text: str


class DocumentReader:
    """Reads documents from the vector store behind a retriever, with the retriever's own filter.

    Args:
        retriever: The chatbot's retriever.
        access: The rule that decides who sees a document; None shows every document to everyone.
    """

    def __init__(self, retriever: BaseRetriever, access: Access | None) -> None:
        self._chunks = find_chunk_retriever(retriever)
        self._access = access

    async def aread(self, source: str, labels: Sequence[str]) -> DocumentText | None:
        """Return a document, or None if it does not exist or the caller may not see it.

        Args:
            source: Name of the document in citations.
            labels: The caller's access labels.
        """
        if self._chunks is None:
            return None
        filter = None if self._access is None else self._access.build_filter(labels)
        chunks = await arun_flow(read_chunks(self._chunks, [source], filter=filter))
        if self._access is not None:
            chunks = self._access.select_visible(chunks, labels)
        return _join_chunks(source, chunks) if chunks else None


def build_document_routes(reader: DocumentReader) -> APIRouter:
    """Return the route `/documents`."""
    router = APIRouter(tags=["Documents"])

    @router.get("/documents")
    async def read_document(request: Request, source: str) -> dict[str, Any]:
        """Return the text of a cited document, with the offset at which it starts."""
        document = await reader.aread(source, get_caller(request).access_labels)
        if document is None:  # also if the caller may not see it: the response must not differ
            raise HTTPException(404, "There is no such document here.")
        return dataclasses.asdict(document)

    return router


def _join_chunks(source: str, chunks: Sequence[Document]) -> DocumentText:
    start, text, last_heading = get_start(chunks[0].metadata), "", ""
    for chunk in chunks:
        offset = get_start(chunk.metadata) - start
        heading = str(chunk.metadata.get("heading") or "")
        new_heading = heading.rpartition(" > ")[2] if text and heading != last_heading else ""
        text += _fill_gap(offset - len(text), new_heading)
        text += chunk.page_content[len(text) - offset :]  # chunks may overlap
        last_heading = heading
    return DocumentText(source=source, start=start, text=text)


def _fill_gap(length: int, heading: str) -> str:
    """Return the text for a gap, exactly as long as the gap: citations count characters."""
    line_ends = length - len(heading) - 2
    return "\n\n" + heading + "\n" * line_ends if heading and line_ends >= 2 else "\n" * length
