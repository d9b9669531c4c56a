"""Chunks with their neighbours: windows, sections, gaps, and exact offsets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langchain_gptoss.ingest import split_documents
from langchain_gptoss.retrievers import BM25Retriever, NeighbourRetriever
from tests import scale
from tests.unit_tests.retrievers.helpers import EMBEDDING, FixedRetriever, RetrieverSuite, create_bm25


class TestNeighbours(RetrieverSuite):
    @property
    def retriever_constructor(self):
        return NeighbourRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": create_bm25(), "chunks": create_bm25()}


SOURCE = "# Shipping\n\nStandard is 5 euros.\n\n## Express\n\nIt takes a day.\n\nIt costs 12 euros.\n\n## Returns\n\nFourteen days."


def split_source() -> list[Document]:
    return split_documents([Document(page_content=SOURCE, metadata={"source": "s.md"})], max_chars=22)


def retrieve_passage(hit: str, **options) -> Document:
    chunks = split_source()
    found = FixedRetriever(documents=[chunk for chunk in chunks if hit in chunk.page_content])
    (passage,) = NeighbourRetriever(retriever=found, chunks=chunks, **options).invoke("x")
    return passage


def assert_exact(passage: Document) -> None:
    start, end = passage.metadata["start"], passage.metadata["end"]
    assert len(passage.page_content) == end - start
    for line in filter(None, passage.page_content.split("\n")):
        at = start + passage.page_content.index(line)
        assert SOURCE[at : at + len(line)] == line


def test_a_hit_comes_with_its_neighbours_or_its_section():
    passage = retrieve_passage("takes a day")
    assert passage.page_content.split("\n")[0] == "Standard is 5 euros."
    assert passage.page_content.endswith("It costs 12 euros.")
    assert passage.metadata["heading"] == "Shipping > Express"
    assert_exact(passage)
    assert retrieve_passage("takes a day", before=0, after=0).page_content == "It takes a day."
    section = retrieve_passage("takes a day", section=True)
    assert section.page_content == "It takes a day.\n\nIt costs 12 euros."
    assert_exact(section)

    assert len(retrieve_passage("takes a day", before=9, after=9, max_chars=40).page_content) <= 40


def test_what_an_email_says_is_not_joined_with_what_it_quotes():
    parts = [("The drill is on 12 June.", None), ("The drill is on 6 June.", "reply"), ("It is on deck B.", None)]
    chunks, start = [], 0
    for text, quoted in parts:
        metadata = {"source": "a.eml", "start": start, **({"quoted": quoted} if quoted else {})}
        chunks.append(Document(page_content=text, metadata=metadata))
        start += len(text) + 2
    for hit in chunks:
        (passage,) = NeighbourRetriever(retriever=FixedRetriever(documents=[hit]), chunks=chunks).invoke("x")
        assert passage.page_content == hit.page_content


@settings(max_examples=scale(300))
@given(st.integers(0, 3), st.integers(0, 5), st.integers(0, 5), st.booleans(), st.integers(10, 200))
def test_offsets_stay_those_of_the_source(at, before, after, section, max_chars):
    chunks = split_source()
    hit = chunks[at]
    options = {"before": before, "after": after, "section": section, "max_chars": max_chars}
    (passage,) = NeighbourRetriever(retriever=FixedRetriever(documents=[hit]), chunks=chunks, **options).invoke("x")
    assert_exact(passage)
    assert hit.page_content in passage.page_content
    assert len(passage.page_content) <= max(max_chars, len(hit.page_content))


async def test_overlapping_windows_become_one_passage():
    chunks = split_source()
    bm25 = BM25Retriever.from_documents(chunks, language="en")
    expanded = NeighbourRetriever(retriever=bm25, chunks=bm25)
    for found in (expanded.invoke("takes costs"), await expanded.ainvoke("takes costs")):
        assert len(found) == 1
        assert_exact(found[0])
        assert found[0].metadata["relevance_score"] > 0


def test_filter_applies_to_neighbours_and_long_gaps_end_a_passage():
    pieces = [
        Document(page_content=f"p{n}", metadata={"source": "s", "start": n * 10, "team": n % 2}) for n in range(4)
    ]
    far = Document(page_content="far", metadata={"source": "s", "start": 9000, "team": 1})
    expanded = NeighbourRetriever(
        retriever=FixedRetriever(documents=[pieces[1]]), chunks=[*pieces, far], before=9, after=9
    )
    (passage,) = expanded.invoke("x", filter={"team": 1})
    assert passage.page_content.split() == ["p1", "p3"]
    (passage,) = expanded.invoke("x")
    assert passage.page_content.split() == ["p0", "p1", "p2", "p3"]


def test_text_of_overlapping_chunks_is_not_repeated():
    text = "one two three four"
    pieces = [
        Document(page_content=text[a:b], metadata={"source": "s", "start": a}) for a, b in ((0, 7), (4, 13), (8, 18))
    ]
    (passage,) = NeighbourRetriever(
        retriever=FixedRetriever(documents=[pieces[1]]), chunks=lambda source: pieces
    ).invoke("x")
    assert passage.page_content == text


@pytest.mark.parametrize("own", ["retriever", "chunks", "both"])
def test_neighbours_match_the_own_filters_of_retriever_and_chunks(own):
    pieces = [
        Document(page_content=f"part {n}", id=str(n), metadata={"source": "s", "start": n * 10, "tenant": "ab"[n == 2]})
        for n in range(4)
    ]
    filtered, full = (BM25Retriever.from_documents(pieces, filter=filter_) for filter_ in ({"tenant": "a"}, None))
    expanded = NeighbourRetriever(
        retriever=FixedRetriever(documents=[pieces[1]]) if own == "chunks" else filtered,
        chunks=full if own == "retriever" else filtered,
        after=9,
    )
    found = expanded.invoke("part 1", k=1)
    assert found[0].page_content.split() == ["part", "0", "part", "1", "part", "3"]
    assert expanded.invoke("part 1", filter={"tenant": "b"}) == []


def test_a_filter_in_the_form_of_another_store_gives_no_neighbours():
    pieces = [Document(page_content=f"part {n}", metadata={"source": "s", "start": n * 10, "n": n}) for n in range(3)]
    store = InMemoryVectorStore(EMBEDDING)
    store.add_documents(pieces)
    retriever = store.as_retriever(search_kwargs={"filter": lambda document: document.metadata["n"] == 1})
    (found,) = NeighbourRetriever(retriever=retriever, chunks=pieces).invoke("part")
    assert found.page_content == "part 1"
