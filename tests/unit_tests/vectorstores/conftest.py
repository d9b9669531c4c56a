"""Fixtures for the tests of vector stores."""

import warnings
from collections.abc import Iterator

import faiss
import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import VectorStore

from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.vectorstores.contract_helpers import DOCUMENTS, MODEL, StoreFactory, open_qdrant


@pytest.fixture(autouse=True, scope="session")
def use_one_faiss_thread() -> Iterator[None]:
    """Let FAISS compute in one thread: on a busy machine, OpenMP threads spend most of the time waiting for another."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)


@pytest.fixture
def make_store(tmp_path) -> Iterator[StoreFactory]:
    """Return a function that makes a store; Qdrant clients are closed after the test."""
    qdrant_stores = []

    def make(kind: str, documents: list[Document] = DOCUMENTS) -> VectorStore:
        if kind == "faiss":
            store = FaissStore(MODEL)
            store.add_documents(documents)
            return store
        location = ":memory:" if "memory" in kind else tmp_path / f"q{len(qdrant_stores)}"
        # The first folder that qdrant-client opens leaves a connection of its own unclosed, a warning since Python 3.13.
        with warnings.catch_warnings(action="ignore", category=ResourceWarning):
            qdrant_stores.append(open_qdrant(location, documents))
        return qdrant_stores[-1]

    yield make
    for store in qdrant_stores:
        store.client.close()
