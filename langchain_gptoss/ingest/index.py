"""The whole way in one call: files become chunks, chunks become vectors, vectors become a store.

A chunk is embedded together with its headings, because a sentence such as "It costs 5 euros" is found by the
title it stands under; the store keeps the bare chunk, because a citation must point at the exact text of the
file.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest.load import Skipped, load_documents
from langchain_gptoss.ingest.split import split_documents
from langchain_gptoss.vectorstores import FaissStore


def index_documents(
    documents: str | Path | Sequence[Document],
    *,
    embeddings: Embeddings | None = None,
    max_chars: int = 700,
    on_skip: Callable[[Skipped], None] | None = None,
) -> FaissStore:
    """Returns an in-memory index of documents.

    Args:
        documents: A file or a folder, read as by `load_documents`; or documents that some other loader made.
        embeddings: The embedding model; by default the one that `load_embeddings()` picks.
        max_chars: The most characters in one chunk.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Raises:
        DocumentsError: There is nothing to index.
        InvalidInputError: `max_chars` is below 1.
        MissingDependencyError: The extra `rag` is not installed.
    """
    if isinstance(documents, str | Path):
        documents = load_documents(documents, on_skip=on_skip)
    chunks = split_documents(documents, max_chars=max_chars)
    if not chunks:
        raise DocumentsError("The documents hold no text besides headings. Add text, or choose another folder.")
    if embeddings is None:
        from langchain_gptoss.embeddings import load_embeddings

        embeddings = load_embeddings()
    store = FaissStore(embeddings)
    store.add_embedded(chunks, embeddings.embed_documents([_embedded_text(chunk) for chunk in chunks]))
    return store


def _embedded_text(chunk: Document) -> str:
    heading = chunk.metadata["heading"] or chunk.metadata.get("title")
    return f"{heading}\n{chunk.page_content}" if heading else chunk.page_content
