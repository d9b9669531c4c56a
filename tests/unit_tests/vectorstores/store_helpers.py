"""What the tests of FaissStore share: embeddings that need no model, filled stores, brute force as the judge."""

import hashlib
import re

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding, Embeddings

from langchain_gptoss.vectorstores import FaissStore

SIZE = 8
EMBEDDING = DeterministicFakeEmbedding(size=SIZE)
METRICS = ("cosine", "inner_product", "l2")


class Named(Embeddings):
    """Words hashed into a few dimensions, under a model name."""

    def __init__(self, model_name: str, size: int = SIZE) -> None:
        self.model_name, self.size = model_name, size

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * self.size
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % self.size] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        return [self.embed_query(text) for text in texts]


def unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def filled(count: int, *, seed: int = 0, **options) -> tuple[FaissStore, dict[str, np.ndarray]]:
    vectors = np.random.default_rng(seed).normal(size=(count, SIZE))
    store = FaissStore(EMBEDDING, **options)
    documents = [Document(id=f"d{i}", page_content=f"text {i}", metadata={"group": i % 7}) for i in range(count)]
    store.add_embedded(documents, vectors)
    return store, {document.id: vector for document, vector in zip(documents, vectors, strict=True)}


def brute_force(
    vectors: dict[str, np.ndarray], query: list[float], k: int, metric: str = "cosine"
) -> list[tuple[str, float]]:
    target = np.array(query)
    scores = {
        "cosine": lambda vector: float(unit(vector) @ unit(target)),
        "inner_product": lambda vector: float(vector @ target),
        "l2": lambda vector: float(np.linalg.norm(vector - target)),
    }[metric]
    found = [(id_, scores(vector)) for id_, vector in vectors.items()]
    return sorted(found, key=lambda item: item[1] if metric == "l2" else -item[1])[:k]


def assert_same(found: list[tuple[Document, float]], expected: list[tuple[str, float]]) -> None:
    assert [document.id for document, _ in found] == [id_ for id_, _ in expected]
    assert [score for _, score in found] == pytest.approx([score for _, score in expected], abs=1e-4)


def overlap(found: list[tuple[Document, float]], expected: list[tuple[str, float]]) -> float:
    ids = {document.id for document, _ in found}
    return len(ids & {id_ for id_, _ in expected}) / max(1, len(expected))
