"""Retrievers with known answers, and a cross-encoder that counts common words."""

import re

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.retrievers import BaseRetriever
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_gptoss.retrievers import BM25Retriever
from langchain_gptoss.vectorstores import FaissStore

TEXTS = [f"Shipping to zone {n} costs {n} euros." for n in range(12)]
DOCUMENTS = [Document(id=f"d{n}", page_content=text, metadata={"n": n}) for n, text in enumerate(TEXTS)]
EMBEDDING = DeterministicFakeEmbedding(size=8)


def create_bm25(**options) -> BM25Retriever:
    """Return a BM25 retriever of `DOCUMENTS`."""
    return BM25Retriever.from_documents(DOCUMENTS, language="en", **options)


def create_store() -> FaissStore:
    """Return a store of `DOCUMENTS`."""
    store = FaissStore(EMBEDDING)
    store.add_documents(DOCUMENTS)
    return store


class FixedRetriever(BaseRetriever):
    """Returns the same documents for every query, and takes neither `k` nor a filter."""

    documents: list[Document]

    def _get_relevant_documents(self, query, *, run_manager):
        return [document.model_copy(deep=True) for document in self.documents]


def create_fixed(*pairs: tuple[str, float | None]) -> FixedRetriever:
    """Return a retriever of documents with these ids and scores; the id is the text too."""
    return FixedRetriever(
        documents=[
            Document(id=name, page_content=name, metadata={} if score is None else {"relevance_score": score})
            for name, score in pairs
        ]
    )


class OverlapEncoder:
    """A cross-encoder whose score is a tenth of the number of common words."""

    def predict(self, pairs):
        """Return the score of each pair of query and passage."""
        return [len(set(q.lower().split()) & set(re.findall(r"\w+", p.lower()))) / 10 for q, p in pairs]


class RetrieverSuite(RetrieversIntegrationTests):
    """LangChain's standard tests."""

    @property
    def retriever_query_example(self):
        """A query with results."""
        return "shipping costs"


def list_ids(documents) -> list[str]:
    """Return the ids of documents."""
    return [document.id for document in documents]
