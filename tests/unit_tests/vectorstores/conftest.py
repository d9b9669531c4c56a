"""Fixtures for the tests of vector stores."""

from collections.abc import Iterator

import faiss
import pytest


@pytest.fixture(autouse=True, scope="session")
def use_one_faiss_thread() -> Iterator[None]:
    """Let FAISS compute in one thread: on a busy machine, OpenMP threads spend most of the time waiting for another."""
    threads = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    yield
    faiss.omp_set_num_threads(threads)
