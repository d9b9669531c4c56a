"""The text of an indexed document, put together from its chunks, so that a citation can be shown where it stands."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore, VectorStoreRetriever

from langchain_gptoss._flow import arun_flow
from langchain_gptoss.chatbot.access import Access
from langchain_gptoss.retrievers.adapters import as_retriever, query_retriever

_CHUNKS = 10_000
_QUERY = "text"  # any will do: all chunks of the source are asked for


@dataclass(frozen=True, kw_only=True)
class DocumentText:
    """A document as it was indexed.

    Attributes:
        source: What citations call it.
        start: The offset of `text` in the source's extracted text, in characters; citations count from there.
        text: The text. What stands between two chunks was not kept: there are as many line ends, and among them the
            heading of the second chunk, where it is another one and has room.
    """

    source: str
    start: int
    text: str


class DocumentReader:
    """Reads documents out of the vector store behind a retriever.

    Args:
        retriever: The chatbot's.
        access: Who may see what, or None.
    """

    def __init__(self, retriever: BaseRetriever, access: Access | None) -> None:
        store = _store(retriever)
        self._chunks = None if store is None else as_retriever(store)
        self._access = access

    async def read(self, source: str, labels: Sequence[str]) -> DocumentText | None:
        """Returns a document, or None where there is no such, or the caller may not see it."""
        if self._chunks is None:
            return None
        filter: dict[str, Any] = {"source": source}
        if self._access is not None:
            filter = {"$and": [filter, self._access.build_filter(labels)]}
        found = await arun_flow(query_retriever(self._chunks, _QUERY, k=_CHUNKS, filter=filter, callbacks=None))
        if self._access is not None:
            found = self._access.select_visible(found, labels)
        return _joined(source, found) if found else None


def _store(retriever: Any) -> VectorStore | None:
    """Returns the first vector store that a retriever, or one of those behind it, asks."""
    if isinstance(retriever, VectorStoreRetriever):
        return retriever.vectorstore
    inner = [*getattr(retriever, "retrievers", []), getattr(retriever, "retriever", None)]
    return next((store for each in inner if each is not None and (store := _store(each)) is not None), None)


def _joined(source: str, chunks: Sequence[Document]) -> DocumentText:
    ordered = sorted(chunks, key=lambda chunk: int(chunk.metadata.get("start") or 0))
    first = int(ordered[0].metadata.get("start") or 0)
    text, above = "", ""
    for chunk in ordered:
        offset = int(chunk.metadata.get("start") or 0) - first
        heading = str(chunk.metadata.get("heading") or "")
        text += _between(offset - len(text), heading.rpartition(" > ")[2] if text and heading != above else "")
        text += chunk.page_content[len(text) - offset :]
        above = heading
    return DocumentText(source=source, start=first, text=text)


def _between(length: int, heading: str) -> str:
    """Returns what fills a gap, exactly as long as it: citations count characters."""
    ends = length - len(heading) - 2
    return "\n\n" + heading + "\n" * ends if heading and ends >= 2 else "\n" * length
