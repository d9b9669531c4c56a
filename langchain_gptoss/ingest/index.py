"""The whole way in one call: files become chunks, chunks become vectors, vectors become a store.

A chunk is embedded together with its headings, because a sentence such as "It costs 5 euros" is found by the
title it stands under; the store keeps the bare chunk, because a citation must point at the exact text of the
file.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import DocumentsError, InvalidInputError
from langchain_gptoss.ingest.lengths import token_counter
from langchain_gptoss.ingest.load import Source, load_documents
from langchain_gptoss.ingest.sources import Skipped
from langchain_gptoss.ingest.split import embedded_text, split_documents

if TYPE_CHECKING:
    from langchain_gptoss.vectorstores import FaissStore


def index_documents(
    documents: Source | Sequence[Source] | Sequence[Document],
    *,
    embeddings: Embeddings | None = None,
    max_chars: int | None = None,
    max_tokens: int | None = None,
    overlap: int = 0,
    on_skip: Callable[[Skipped], None] | None = None,
) -> FaissStore:
    """Returns an in-memory index of documents.

    Args:
        documents: A file, a folder, a pattern or a LangChain loader, or several, read as by `load_documents`; or
            documents that some other loader made.
        embeddings: The embedding model; by default the one that `load_embeddings()` picks.
        max_chars: The most characters in one chunk; 700 where `max_tokens` is not given.
        max_tokens: The most tokens of the embedding model in one chunk, in place of `max_chars`.
        overlap: How much of the chunk before it a chunk repeats, in characters or tokens.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Raises:
        DocumentsError: There is nothing to index.
        InvalidInputError: A limit cannot work.
        MissingDependencyError: The extra `rag` is not installed.
    """
    read = _read(documents, on_skip)
    if max_tokens is not None:
        embeddings = embeddings or _default_embeddings()
        count = token_counter(embeddings)
        chunks = split_documents(read, max_chars=max_chars, max_tokens=max_tokens, count=count, overlap=overlap)
    else:
        chunks = split_documents(read, max_chars=max_chars, overlap=overlap)
    if not chunks:
        raise DocumentsError("The documents hold no text besides headings. Add text, or choose another folder.")
    from langchain_gptoss.vectorstores import FaissStore

    embeddings = embeddings or _default_embeddings()
    store = FaissStore(embeddings)
    store.add_with_vectors(chunks, embeddings.embed_documents([embedded_text(chunk) for chunk in chunks]))
    return store


def _read(
    documents: Source | Sequence[Source] | Sequence[Document], on_skip: Callable[[Skipped], None] | None
) -> Sequence[Document]:
    if isinstance(documents, str | Path | BaseLoader):
        return load_documents(documents, on_skip=on_skip)
    given = [document for document in documents if isinstance(document, Document)]
    sources = [source for source in documents if not isinstance(source, Document)]
    if given and sources:
        raise InvalidInputError("Documents and sources are mixed. Give one kind, or load the sources first.")
    return load_documents(sources, on_skip=on_skip) if sources else given


def _default_embeddings() -> Embeddings:
    from langchain_gptoss.embeddings import load_embeddings

    return load_embeddings()
