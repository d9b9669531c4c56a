"""An embedding model for tests, and descriptions of an index that can be compared."""

import hashlib
import os
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss.ingest import SyncReport, open_store, sync_documents
from langchain_gptoss.ingest.sync.manifest import Manifest

LONG_AGO = 1_600_000_000


class HashEmbeddings(Embeddings):
    """Eight numbers from a text's hash; counts the texts that it embeds."""

    def __init__(self, name: str = "hashed") -> None:
        self.model = name
        self.embedded = 0

    def embed_query(self, text: str) -> list[float]:
        """Return the vector of a text."""
        return [byte / 255 + 0.01 for byte in hashlib.sha256(text.encode()).digest()[:8]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts and count them."""
        self.embedded += len(texts)
        return [self.embed_query(text) for text in texts]


def write_file(path: Path, text: str | bytes, *, at: float = LONG_AGO) -> None:
    """Write a file with a time of change, in one step: a watcher must not see it half done."""
    path.parent.mkdir(parents=True, exist_ok=True)
    hidden = path.with_name(".new")
    hidden.write_bytes(text if isinstance(text, bytes) else text.encode())
    os.utime(hidden, (at, at))
    hidden.replace(path)


def synchronize(docs: Any, place: Path, embeddings: Embeddings | None = None, **options: Any) -> SyncReport:
    """Synchronize with `HashEmbeddings` by default, and without a progress bar."""
    return sync_documents(docs, place, embeddings=embeddings or HashEmbeddings(), on_progress=lambda _: None, **options)


def describe_index(place: Path) -> dict[str, Any]:
    """Return everything that can be seen of an index."""
    with Manifest(place / "sync.sqlite") as manifest:
        entries = manifest.read_entries()
    store = open_store(place, HashEmbeddings())
    ids = [id_ for entry in entries.values() for id_ in entry.chunk_ids]
    documents = store.get_by_ids(ids)
    assert len(documents) == len(ids) == len(store)
    results = [[d.id for d in store.similarity_search(text, 3)] for text in ("one", "two", "three")]
    rows = {source: (entry.file_hash, entry.state, entry.chunk_ids, entry.reason) for source, entry in entries.items()}
    return {"rows": rows, "documents": {d.id: (d.page_content, d.metadata) for d in documents}, "results": results}


def describe_new_index(docs: Path, folder: Path, **options: Any) -> dict[str, Any]:
    """Return the description of an index that is made of documents from the beginning."""
    synchronize(docs, folder / "new-index", **options)
    return describe_index(folder / "new-index")
