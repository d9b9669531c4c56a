"""The embedding model under a retriever."""

from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_gptoss import BM25Retriever, HybridRetriever, NeighbourRetriever
from langchain_gptoss.retrievers.adapters import as_retriever, find_embeddings

DOCUMENTS = [Document("Apples are red.", metadata={"source": "a.md", "start": 0})]
EMBEDDINGS = DeterministicFakeEmbedding(size=4)
STORE = InMemoryVectorStore(EMBEDDINGS)
BM25 = BM25Retriever.from_documents(DOCUMENTS)


def test_it_is_found_under_any_retriever():
    hybrid = HybridRetriever(retrievers=[BM25, STORE])
    for retriever in (
        STORE.as_retriever(),
        as_retriever(STORE),
        hybrid,
        NeighbourRetriever(retriever=hybrid, chunks=DOCUMENTS),
        as_retriever(hybrid.with_config(tags=["a"])),
    ):
        assert find_embeddings(retriever) is EMBEDDINGS


def test_a_retriever_without_vectors_has_none():
    assert find_embeddings(BM25) is None
    assert find_embeddings(HybridRetriever(retrievers=[BM25])) is None
