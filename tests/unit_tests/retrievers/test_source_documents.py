"""Outlines of the indexed documents, and the chunks of one of them."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss._flow import run_flow
from langchain_gptoss.retrievers import BM25Retriever, HybridRetriever
from langchain_gptoss.retrievers.source_documents import find_chunk_retriever, list_outlines, read_chunks
from langchain_gptoss.vectorstores import FaissStore
from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings

DOCUMENTS = [
    Document("b", metadata={"source": "a.md", "title": "Guide", "heading": "Guide > Second > Deep", "start": 10}),
    Document("a", metadata={"source": "a.md", "title": "Guide", "heading": "Guide > First", "start": 5}),
    Document("c", metadata={"source": "a.md", "title": "Guide", "heading": "Guide > Second", "start": 15}),
    Document("d", metadata={"source": "dir/notes.txt", "language": "fr"}),
]


@pytest.fixture
def store():
    return FaissStore.from_documents(DOCUMENTS, WordEmbeddings("words"))


def test_outlines_have_titles_and_headings_in_order(store):
    retrievers = [store.as_retriever(), BM25Retriever.from_documents(DOCUMENTS)]
    for retriever in [*retrievers, HybridRetriever(retrievers=retrievers)]:
        first, second = list_outlines(retriever)
        assert (first.source, first.title, first.headings) == ("a.md", "Guide", ("First", "Second"))
        assert (second.title, second.language, second.headings) == ("notes", "fr", ())


def test_filters_hold_for_outlines(store):
    own = store.as_retriever(search_kwargs={"filter": {"source": "a.md"}})
    assert [outline.source for outline in list_outlines(own)] == ["a.md"]
    assert list_outlines(own, filter={"title": "Other"}) == []
    assert [outline.source for outline in list_outlines(store.as_retriever(), filter={"title": "Guide"})] == ["a.md"]


def test_chunks_of_documents_come_in_order(store):
    chunks = find_chunk_retriever(store.as_retriever(search_kwargs={"k": 1}))
    assert [chunk.page_content for chunk in run_flow(read_chunks(chunks, ["a.md"], filter=None))] == ["a", "b", "c"]
    found = run_flow(read_chunks(chunks, ["a.md", "dir/notes.txt"], filter={"title": "Guide"}))
    assert [chunk.page_content for chunk in found] == ["a", "b", "c"]
    assert find_chunk_retriever(BM25Retriever.from_documents(DOCUMENTS)) is None
