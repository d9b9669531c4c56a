"""An embedding model for tests, and a picture of a synchronised index that can be compared."""

import hashlib
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langchain_gptoss.ingest import open_store
from langchain_gptoss.ingest.sync.manifest import Manifest


class Hashed(Embeddings):
    """Eight numbers of a text's hash; counts what it embedded."""

    def __init__(self, name: str = "hashed") -> None:
        self.model = name
        self.embedded = 0

    def embed_query(self, text: str) -> list[float]:
        return [byte / 255 + 0.01 for byte in hashlib.sha256(text.encode()).digest()[:8]]

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.embedded += len(texts)
        return [self.embed_query(text) for text in texts]


def picture(place: Path) -> dict[str, Any]:
    """Returns everything that can be seen of an index."""
    with Manifest(place / "sync.sqlite") as manifest:
        entries = manifest.entries()
    store = open_store(place, Hashed())
    ids = [id_ for entry in entries.values() for id_ in entry.chunk_ids]
    documents = store.get_by_ids(ids)
    assert len(documents) == len(ids) == len(store)
    found = [[d.id for d in store.similarity_search(text, 3)] for text in ("one", "two", "three")]
    rows = {source: (entry.file_hash, entry.state, entry.chunk_ids, entry.reason) for source, entry in entries.items()}
    return {"rows": rows, "documents": {d.id: (d.page_content, d.metadata) for d in documents}, "found": found}
