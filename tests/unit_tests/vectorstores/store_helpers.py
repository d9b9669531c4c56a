"""Shared by the tests of vector stores: embeddings without a model, filled stores, and brute force to compare with."""

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


class WordEmbeddings(Embeddings):
    """Hashes words into a few dimensions, under a model name."""

    def __init__(self, model_name: str, size: int = SIZE) -> None:
        self.model_name, self.size = model_name, size

    def embed_query(self, text: str) -> list[float]:
        """Return the counts of the words of a text, hashed into the dimensions."""
        vector = [0.0] * self.size
        for word in re.findall(r"\w+", text.lower()):
            vector[hashlib.sha256(word.encode()).digest()[0] % self.size] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts."""
        return [self.embed_query(text) for text in texts]


class CountingEmbeddings(WordEmbeddings):
    """Counts the queries that it embeds."""

    def __init__(self, model_name: str) -> None:
        super().__init__(model_name)
        self.count = 0

    def embed_query(self, text: str) -> list[float]:
        """Count the query and return its vector."""
        self.count += 1
        return super().embed_query(text)

    async def aembed_query(self, text: str) -> list[float]:
        """Async version of `embed_query`."""
        return self.embed_query(text)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """Return the vectors of texts, without counting them."""
        return [super(CountingEmbeddings, self).embed_query(text) for text in texts]


def normalize(vectors: np.ndarray) -> np.ndarray:
    """Return vectors scaled to length 1."""
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def fill_store(count: int, *, seed: int = 0, **options) -> tuple[FaissStore, dict[str, np.ndarray]]:
    """Return a store with random vectors and the metadata `group`, and the vectors by id."""
    vectors = np.random.default_rng(seed).normal(size=(count, SIZE))
    store = FaissStore(EMBEDDING, **options)
    documents = [Document(id=f"d{i}", page_content=f"text {i}", metadata={"group": i % 7}) for i in range(count)]
    store.add_with_vectors(documents, vectors)
    return store, {document.id: vector for document, vector in zip(documents, vectors, strict=True)}


def search_by_brute_force(
    vectors: dict[str, np.ndarray], query: list[float], k: int, metric: str = "cosine"
) -> list[tuple[str, float]]:
    """Return the ids and scores of the k nearest vectors, nearest first."""
    matrix, target = np.array(list(vectors.values())), np.array(query)
    if metric == "l2":
        scores = np.linalg.norm(matrix - target, axis=1)
        order = np.argsort(scores, kind="stable")[:k]
    else:
        scores = normalize(matrix) @ normalize(target) if metric == "cosine" else matrix @ target
        order = np.argsort(-scores, kind="stable")[:k]
    ids = list(vectors)
    return [(ids[row], float(scores[row])) for row in order]


def assert_same_results(results: list[tuple[Document, float]], expected: list[tuple[str, float]]) -> None:
    """Check ids and scores of a search."""
    assert [document.id for document, _ in results] == [id_ for id_, _ in expected]
    assert [score for _, score in results] == pytest.approx([score for _, score in expected], abs=1e-4)


def compute_overlap(results: list[tuple[Document, float]], expected: list[tuple[str, float]]) -> float:
    """Return the share of the expected ids that a search has returned."""
    ids = {document.id for document, _ in results}
    return len(ids & {id_ for id_, _ in expected}) / max(1, len(expected))
