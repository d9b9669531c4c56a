"""index_documents: from files to search results with exact offsets."""

import hashlib
import re
import sys
import types
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

import langchain_gptoss
from langchain_gptoss.errors import DocumentsError, InvalidInputError
from langchain_gptoss.ingest import index_documents
from langchain_gptoss.vectorstores import FaissStore

HANDBOOK = Path(langchain_gptoss.__file__).parent / "samples" / "handbook"


class WordEmbeddings(Embeddings):
    """Embeddings that hash word stems into 512 dimensions and record the texts."""

    def __init__(self) -> None:
        self.texts: list[str] = []

    def embed_query(self, text: str) -> list[float]:
        vector = [0.0] * 512
        for word in set(re.findall(r"\w{4,}", text.lower())):
            vector[int(hashlib.sha256(word[:5].encode()).hexdigest(), 16) % 512] += 1.0
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        self.texts.extend(texts)
        return [self.embed_query(text) for text in texts]


@pytest.mark.parametrize(
    ("language", "question", "source", "answer"),
    [
        ("en", "How long is the return code valid?", "returns.md", "The return code is valid for 10 days"),
        ("fr", "Comment demander la garantie par e-mail ?", "garantie.md", "repairs@larkspur.example"),
    ],
)
def test_results_are_slices_of_their_files(language, question, source, answer):
    store = index_documents(HANDBOOK / language, embeddings=WordEmbeddings())
    results = store.as_retriever(search_kwargs={"k": 3}).invoke(question)
    assert any(answer in document.page_content for document in results)
    best = results[0]
    assert best.metadata["source"] == source
    assert best.metadata["relevance_score"] > 0
    text = (HANDBOOK / language / source).read_bytes().decode()
    assert text[best.metadata["start"] : best.metadata["end"]] == best.page_content
    assert best.id == best.metadata["chunk_id"]


def test_headings_are_embedded_and_not_stored(tmp_path):
    (tmp_path / "a.md").write_text("# Prices\n## Repairs\nIt costs 5 euros.")
    (tmp_path / "b.txt").write_text("No heading.")
    words = WordEmbeddings()
    store = index_documents(tmp_path, embeddings=words)
    assert words.texts == ["Prices > Repairs\nIt costs 5 euros.", "b\nNo heading."]
    assert [d.page_content for d in store.similarity_search("repairs prices", 1)] == ["It costs 5 euros."]


def test_limits_and_on_skip_are_passed_on(tmp_path):
    (tmp_path / "a.md").write_text("one two three four")
    (tmp_path / "b.md").write_text("")
    skipped = []
    assert len(index_documents(tmp_path, embeddings=WordEmbeddings(), max_chars=8, on_skip=skipped.append)) == 3
    assert [skip.source for skip in skipped] == ["b.md"]
    with pytest.raises(InvalidInputError, match="max_chars"):
        index_documents(tmp_path, embeddings=WordEmbeddings(), max_chars=0)


def test_documents_with_only_headings_are_rejected(tmp_path):
    (tmp_path / "a.md").write_text("# Only\n## Headings")
    with pytest.raises(DocumentsError, match="no text besides headings"):
        index_documents(tmp_path, embeddings=WordEmbeddings())


def test_default_embeddings_are_loaded_only_if_there_are_chunks(tmp_path, monkeypatch):
    words, calls = WordEmbeddings(), []
    module = types.ModuleType("langchain_gptoss.embeddings")
    module.load_embeddings = lambda: calls.append(1) or words
    monkeypatch.setitem(sys.modules, "langchain_gptoss.embeddings", module)
    with pytest.raises(DocumentsError):
        index_documents(tmp_path)
    assert calls == []
    (tmp_path / "a.md").write_text("text")
    store = index_documents(tmp_path)
    assert isinstance(store, FaissStore)
    assert store.embeddings is words


def test_max_tokens_counts_with_the_embedding_model(tmp_path):
    class CountingEmbeddings(WordEmbeddings):
        def get_num_tokens(self, text: str) -> int:
            return len(text.split())

    (tmp_path / "a.md").write_text("one two three four")
    assert len(index_documents(tmp_path, embeddings=CountingEmbeddings(), max_tokens=3)) == 2


def test_documents_and_sources_cannot_be_mixed(tmp_path):
    (tmp_path / "a.md").write_text("text")
    with pytest.raises(InvalidInputError, match="mixed"):
        index_documents([Document(page_content="text"), tmp_path], embeddings=WordEmbeddings())
