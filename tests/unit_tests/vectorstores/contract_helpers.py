"""Shared by the tests that compare FaissStore and Qdrant: documents, filters, and a Qdrant store."""

import uuid
from collections.abc import Callable
from pathlib import Path

from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore
from langchain_qdrant import QdrantVectorStore
from qdrant_client import QdrantClient, models

from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings

SIZE = 64
MODEL = WordEmbeddings("words", SIZE)
KINDS = ("faiss", "qdrant memory", "qdrant folder")
StoreFactory = Callable[..., VectorStore]
"""Makes a store of a kind with documents."""

TEXTS = [
    "Standard delivery costs 4.90 euros and takes three working days.",
    "Express delivery costs 12.90 euros and takes one working day.",
    "Store pickup is free in all stores.",
    "Un colis perdu est remboursé sous trente jours.",
    "La livraison express coûte 12,90 euros.",
    "An opened laptop can be returned within 14 days.",
]
IDS = [uuid.uuid5(uuid.NAMESPACE_URL, text).hex for text in TEXTS]
METADATAS = [
    {"source": "a.md", "start": 0, "lang": "en", "year": 2023, "tags": ["price", "time"], "access": ["public"]},
    {"source": "a.md", "start": 66, "lang": "en", "year": 2024, "tags": ["price"], "access": ["hr"]},
    {"source": "a.md", "start": 130, "lang": "en", "year": 2025.5, "access": ["public", "hr"]},
    {"source": "b.md", "start": 0, "lang": "fr", "year": 2024, "about": {"topic": "loss", "n": None}},
    {"source": "b.md", "start": 48, "lang": "fr", "draft": True},
    {"source": "c.md", "start": 0, "year": "2024"},
]
DOCUMENTS = [
    Document(id=id_, page_content=text, metadata=metadata)
    for id_, text, metadata in zip(IDS, TEXTS, METADATAS, strict=True)
]
QUERY = "How much does express delivery cost?"
FILTERS = [
    {"lang": "fr"},
    {"lang": "en", "year": {"$gte": 2024}},
    {"year": {"$ne": 2024}},
    {"tags": {"$contains": "time"}},
    {"access": {"$contains": "public"}},
    {"access": {"$contains_any": ["public", "hr"]}},
    {"tags": {"$contains_any": ["time", 1, None, True]}},
    {"tags": {"$contains_any": []}},
    {"$or": [{"lang": {"$in": ["fr", "de"]}}, {"draft": {"$exists": False}, "year": "2024"}]},
    {"$not": {"lang": "en"}},
    {"about.topic": "loss", "about.n": None},
    {"source": {"$nin": ["a.md"]}},
]


def open_qdrant(location: str | Path, documents: list[Document] = DOCUMENTS, model=MODEL) -> QdrantVectorStore:
    """Return a store in a new Qdrant database."""
    client = QdrantClient(":memory:") if location == ":memory:" else QdrantClient(path=str(location))
    size = len(model.embed_query("x"))
    client.create_collection("c", vectors_config=models.VectorParams(size=size, distance=models.Distance.COSINE))
    store = QdrantVectorStore(client, "c", model)
    if documents:
        store.add_documents(documents, ids=[document.id for document in documents])
    return store
