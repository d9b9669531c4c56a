"""The BM25 retriever: languages, filters, copies, scores, ids, threads."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from langchain_core.documents import Document
from langchain_tests.integration_tests import RetrieversIntegrationTests

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers import BM25Retriever
from langchain_gptoss.retrievers.bm25.index import BM25Index
from tests.unit_tests.retrievers.bm25.helpers import DOCUMENTS, create_retriever


class TestStandard(RetrieversIntegrationTests):
    @property
    def retriever_constructor(self):
        return BM25Retriever

    @property
    def retriever_constructor_params(self):
        index = BM25Index("en")
        index.add(DOCUMENTS)
        return {"index": index}

    @property
    def retriever_query_example(self):
        return "shipping"


def test_search_ignores_accents_case_endings_and_articles():
    found = BM25Retriever.from_texts(["L'indemnité de l'employé.", "Le congé parental."], language="fr")
    assert [d.page_content for d in found.invoke("INDEMNITES EMPLOYES")] == ["L'indemnité de l'employé."]


def test_language_is_detected_per_document_and_query():
    bm25 = BM25Retriever.from_texts(
        ["Les remboursements sont versés par la caisse.", "The refunds are paid by the insurance.", "TVA 5050"]
    )
    assert bm25.invoke("Quand est versé le remboursement ?")[0].page_content.startswith("Les remboursements")
    assert bm25.invoke("When is a refund paid?")[0].page_content.startswith("The refunds")
    assert bm25.invoke("tva")[0].page_content == "TVA 5050"
    assert bm25.invoke("remboursement")[0].page_content.startswith("Les remboursements")


def test_heading_is_searched_but_not_part_of_the_text():
    document = Document(page_content="It costs 5 euros.", metadata={"heading": "Shipping > Express"})
    found = BM25Retriever.from_documents([document], language="en").invoke("express")
    assert [d.page_content for d in found] == ["It costs 5 euros."]


def test_relevance_is_below_1_and_documents_without_a_query_word_are_left_out():
    found = create_retriever().invoke("express shipping")
    assert found[0].id == "a"
    assert "c" not in [d.id for d in found]
    scores = [d.metadata["relevance_score"] for d in found]
    assert scores == sorted(scores, reverse=True)
    assert all(0 < score < 1 for score in scores)
    unknown = create_retriever().invoke("express shipping xylophones zeppelins")
    assert unknown[0].metadata["relevance_score"] < scores[0]


def test_returned_documents_are_copies():
    bm25 = create_retriever()
    bm25.invoke("express")[0].metadata["year"] = 1900
    assert bm25.invoke("express")[0].metadata["year"] == 2023
    assert "relevance_score" not in bm25.get_by_ids(["a"])[0].metadata


@pytest.mark.parametrize(
    ("filter_", "ids"),
    [
        ({"year": 2024}, {"b"}),
        ({"year": {"$gte": 2023}}, {"a", "b"}),
        ({"$or": [{"year": 2023}, {"source": "nowhere"}]}, {"a"}),
        (lambda metadata: "year" not in metadata, {"d"}),
        ({"missing": 1}, set()),
        ({}, {"a", "b", "d"}),
    ],
)
def test_filter_limits_the_documents(filter_, ids):
    assert {d.id for d in create_retriever().invoke("shipping", filter=filter_)} == ids
    assert {d.id for d in create_retriever(filter=filter_).invoke("shipping")} == ids


def test_filter_in_the_call_is_combined_with_the_retrievers_own():
    bm25 = create_retriever(filter={"year": 2024})
    assert bm25.invoke("shipping", filter={"year": 2023}) == []


def test_filter_finds_the_lowest_of_many_documents():
    documents = [Document(page_content="shipping " * 3, metadata={"n": n}) for n in range(3000)]
    documents.append(Document(page_content="shipping and a very long text about other things " * 5, metadata={"n": -1}))
    bm25 = BM25Retriever.from_documents(documents, language="en", ids=[str(n) for n in range(3001)])
    assert [d.metadata["n"] for d in bm25.invoke("shipping", filter={"n": -1})] == [-1]


@pytest.mark.parametrize("bad", [{"filter": 5}, {"filter": {"year": {"$near": 1}}}, {"k": 0}])
def test_invalid_search_options_are_refused(bad):
    with pytest.raises(InvalidInputError):
        create_retriever().invoke("shipping", **bad)


def test_invalid_constructor_arguments_are_refused():
    with pytest.raises(ValueError, match="k is 0"):
        BM25Retriever(k=0)
    with pytest.raises(InvalidInputError, match="4 documents and 1 ids"):
        BM25Retriever.from_documents(DOCUMENTS, ids=["x"])
    with pytest.raises(InvalidInputError, match="b from 0 to 1"):
        BM25Retriever.from_documents(DOCUMENTS, b=2)
    with pytest.raises(InvalidInputError, match="1 texts and 2 metadatas"):
        BM25Retriever.from_texts(["x"], [{}, {}])


def test_an_empty_index_finds_nothing():
    empty = BM25Retriever()
    assert empty.invoke("anything") == []
    assert BM25Retriever.from_texts(["", "  "]).invoke("anything") == []
    empty.add_documents(DOCUMENTS)
    empty.delete()
    assert empty.invoke("shipping") == []


def test_score_documents_equals_the_scores_of_a_search():
    bm25 = create_retriever()
    found = {d.id: d.metadata["relevance_score"] for d in bm25.invoke("express shipping")}
    assert set(found) == {"a", "b", "d"}
    assert bm25.score_documents("express shipping", ["d", "c", "nowhere", "a"]) == {
        "d": found["d"],
        "c": 0.0,
        "a": found["a"],
    }
    filtered = create_retriever(filter={"year": 2024})
    expected = {d.id: d.metadata["relevance_score"] for d in filtered.invoke("express shipping")}
    assert filtered.score_documents("express shipping", ["a", "b"]) == {"b": expected["b"]}
    assert bm25.score_documents("express shipping", ["a", "b"], filter={"year": 2024}) == {"b": expected["b"]}
    assert bm25.score_documents("", ["a"]) == {"a": 0.0}
    assert BM25Retriever().score_documents("express", ["a"]) == {}


def test_scores_follow_added_and_deleted_documents():
    bm25 = create_retriever()
    before = bm25.score_documents("express shipping", ["a"])
    bm25.add_documents([Document(id="e", page_content="Express trains.")])
    after = bm25.score_documents("express shipping", ["a", "e"])
    assert after["a"] != before["a"]
    assert after["e"] > 0
    bm25.delete(["e"])
    assert bm25.score_documents("express shipping", ["a", "e"]) == before
    bm25.delete()
    assert bm25.score_documents("express shipping", ["a"]) == {}


def test_nested_metadata_is_copied_too():
    bm25 = BM25Retriever.from_texts(["Express."], [{"tags": ["x"], "of": {"a": 1}}], language="en")
    found = bm25.invoke("express")[0]
    found.metadata["tags"].append("y")
    found.metadata["of"]["a"] = 2
    assert bm25.invoke("express")[0].metadata["tags"] == ["x"]
    assert bm25.invoke("express")[0].metadata["of"] == {"a": 1}


def test_same_id_replaces_and_same_chunk_gets_the_same_id():
    bm25 = create_retriever()
    bm25.add_documents([Document(id="a", page_content="Bicycles.")])
    assert [d.id for d in bm25.invoke("bicycles")] == ["a"]
    assert bm25.invoke("express") == []
    unnamed = Document(page_content="Tandems.", metadata={"source": "x", "start": 3})
    assert bm25.add_documents([unnamed]) == bm25.add_documents([unnamed])
    assert len(bm25.index) == 5


def test_several_threads_add_search_and_delete():
    bm25 = create_retriever()

    def add_search_delete(n: int) -> int:
        bm25.add_documents([Document(id=f"t{n}", page_content=f"thread shipping {n}")])
        found = len(bm25.invoke("shipping", k=100))
        bm25.delete([f"t{n}"])
        return found

    with ThreadPoolExecutor(8) as pool:
        assert min(pool.map(add_search_delete, range(100))) >= 4
    assert len(bm25.invoke("shipping", k=100)) == 3
