"""Index documents in one call: load, split, embed, store.

A chunk is embedded together with its headings, because a sentence such as "It costs 5 euros" is found by the title
above it. The store keeps the chunk's own text, because a citation must point at the exact text of the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import DocumentsError, DocumentWarning, InvalidInputError
from langchain_gptoss.ingest.access_labels import create_label_options
from langchain_gptoss.ingest.lengths import create_token_counter
from langchain_gptoss.ingest.load import Source, label_each, load_documents
from langchain_gptoss.ingest.sources import FileWarning, SkippedFile
from langchain_gptoss.ingest.split import format_for_embedding, split_documents

if TYPE_CHECKING:
    from langchain_gptoss.vectorstores import FaissStore


def index_documents(
    documents: Source | Sequence[Source] | Sequence[Document],
    *,
    embeddings: Embeddings | None = None,
    max_chars: int | None = None,
    max_tokens: int | None = None,
    overlap: int = 0,
    access: str | None = None,
    labels: Sequence[str] | None = None,
    on_skip: Callable[[SkippedFile], None] | None = None,
) -> FaissStore:
    """Return an in-memory index of documents.

    Args:
        documents: A file, a folder, a pattern or a LangChain loader, or several of these, as in `load_documents`; or
            Documents of another loader.
        embeddings: The embedding model; by default the one that `load_embeddings()` chooses.
        max_chars: Maximum number of characters in one chunk; 700 if `max_tokens` is not given.
        max_tokens: Maximum number of tokens of the embedding model in one chunk, in place of `max_chars`.
        overlap: Maximum length that a chunk repeats of the previous chunk, in characters or tokens.
        access: Metadata field with access labels, as in `load_documents`.
        labels: Labels of documents without their own, as in `load_documents`.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Raises:
        DocumentsError: There is nothing to index.
        InvalidInputError: A limit is out of range, or Documents and sources are mixed.
        MissingDependencyError: The extra `rag` is not installed.
    """
    loaded = _load_sources(documents, on_skip, access, labels)
    if max_tokens is None:
        chunks = split_documents(loaded, max_chars=max_chars, overlap=overlap)
    else:
        embeddings = embeddings or _load_default_embeddings()
        chunks = split_documents(
            loaded,
            max_chars=max_chars,
            max_tokens=max_tokens,
            count_tokens=create_token_counter(embeddings),
            overlap=overlap,
        )
    if not chunks:
        raise DocumentsError("The documents have no text besides headings.", hint="Add text, or choose another folder.")
    from langchain_gptoss.vectorstores import FaissStore

    embeddings = embeddings or _load_default_embeddings()
    store = FaissStore(embeddings)
    store.add_with_vectors(chunks, embeddings.embed_documents([format_for_embedding(chunk) for chunk in chunks]))
    return store


def _load_sources(
    documents: Source | Sequence[Source] | Sequence[Document],
    on_skip: Callable[[SkippedFile], None] | None,
    access: str | None,
    labels: Sequence[str] | None,
) -> Sequence[Document]:
    if isinstance(documents, str | Path | BaseLoader):
        return load_documents(documents, access=access, labels=labels, on_skip=on_skip)
    loaded = [document for document in documents if isinstance(document, Document)]
    sources = [source for source in documents if not isinstance(source, Document)]
    if loaded and sources:
        raise InvalidInputError(
            "Documents and sources are mixed.", hint="Give only one kind, or load the sources first."
        )
    if sources:
        return load_documents(sources, access=access, labels=labels, on_skip=on_skip)
    label_warnings: list[FileWarning] = []
    labelled = label_each(loaded, create_label_options(access, labels), label_warnings)
    for warning in label_warnings:
        warnings.warn(str(warning), DocumentWarning, stacklevel=3)
    return labelled


def _load_default_embeddings() -> Embeddings:
    from langchain_gptoss.embeddings import load_embeddings

    return load_embeddings()
