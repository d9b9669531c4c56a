"""The multilingual demo embedding model passes LangChain's standard suite and matches texts across languages."""

import numpy as np
import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import EmbeddingsIntegrationTests

from langchain_gptoss import BM25Retriever, FaissStore, HybridRetriever, load_embeddings
from langchain_gptoss.models.demo_multilingual_encoder import UniversalSentenceEmbeddings


class TestStandard(EmbeddingsIntegrationTests):
    @property
    def embeddings_class(self):
        return UniversalSentenceEmbeddings


@pytest.fixture(scope="module")
def embeddings():
    return load_embeddings("demo-multilingual")


def test_translations_have_similar_vectors(embeddings):
    vectors = np.array(
        embeddings.embed_documents(["Combien coûte la livraison ?", "How much is shipping?", "Le chat dort au soleil."])
    )
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(3), abs=1e-5)
    assert vectors[0] @ vectors[1] > 0.6 > 0.4 > vectors[0] @ vectors[2]


def test_french_questions_find_english_passages(embeddings):
    chunks = [
        Document(id="ship", page_content="Express shipping costs 12 euros."),
        Document(id="back", page_content="Returned goods are refunded within 14 days."),
    ]
    store = FaissStore(embeddings)
    store.add_documents(chunks)
    hybrid = HybridRetriever(retrievers=[BM25Retriever.from_documents(chunks), store], k=1)
    assert hybrid.invoke("Combien coûte l'expédition rapide ?")[0].id == "ship"
