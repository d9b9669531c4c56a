"""Statistics of a filtered BM25 search are those of the matching documents: hidden ones reveal nothing."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.retrievers import BM25Retriever, HybridRetriever
from langchain_gptoss.retrievers.bm25.row_masks import RowMasks

VISIBLE = [
    Document(f"Express delivery number {n} costs {n} euros.", id=f"v{n}", metadata={"source": f"{n}", "team": "all"})
    for n in range(5)
]
HIDDEN = [
    Document(
        "The zebrafish project costs a million euros and delivery is express.", id=f"h{n}", metadata={"team": "hr"}
    )
    for n in range(20)
]
FILTERS = [{"team": "all"}, lambda metadata: metadata.get("team") == "all"]
QUERIES = ["express delivery", "express delivery zebrafish", "express delivery unicorn", "million euros", "costs"]


def get_scores(retriever, query, **options):
    return {document.id: document.metadata["relevance_score"] for document in retriever.invoke(query, **options)}


@pytest.mark.parametrize("filter_", FILTERS, ids=["dict", "function"])
@pytest.mark.parametrize("query", QUERIES)
def test_scores_are_those_of_an_index_without_the_hidden_documents(query, filter_):
    alone = get_scores(BM25Retriever.from_documents(VISIBLE), query)
    everything = [*HIDDEN[:10], *VISIBLE, *HIDDEN[10:]]
    filled = BM25Retriever.from_documents(everything)
    own = BM25Retriever(index=filled.index, filter=filter_)
    assert get_scores(filled, query, filter=filter_) == pytest.approx(alone)
    assert get_scores(own, query) == pytest.approx(alone)
    assert filled.score_documents(query, [*alone, "h1"], filter=filter_) == pytest.approx(alone)


def test_a_word_of_hidden_documents_is_like_a_word_of_none():
    filled = BM25Retriever.from_documents([*VISIBLE, *HIDDEN])
    known, unknown = (get_scores(filled, f"express {word}", filter=FILTERS[0]) for word in ("zebrafish", "unicorn"))
    assert known == unknown


def test_hybrid_search_scores_with_the_filter_of_the_call():
    def build(documents):
        words = BM25Retriever.from_documents(documents)
        return HybridRetriever(retrievers=[words, BM25Retriever.from_documents(documents, k1=1.2)], depth=2, k=2)

    alone = get_scores(build(VISIBLE), "express delivery zebrafish")
    assert get_scores(build([*VISIBLE, *HIDDEN]), "express delivery zebrafish", filter=FILTERS[0]) == alone


def test_changes_of_the_documents_are_seen_by_filters_that_were_used_before():
    retriever = BM25Retriever.from_documents(VISIBLE[:2], k=50)
    options = {"filter": FILTERS[0]}
    assert set(get_scores(retriever, "express", **options)) == {"v0", "v1"}
    retriever.add_documents([*VISIBLE[2:], *HIDDEN])
    assert set(get_scores(retriever, "express", **options)) == {"v0", "v1", "v2", "v3", "v4"}
    retriever.add_documents([Document(VISIBLE[0].page_content, id="v0", metadata={"team": "hr"})])  # a new label
    assert set(get_scores(retriever, "express", **options)) == {"v1", "v2", "v3", "v4"}
    retriever.delete([document.id for document in HIDDEN])  # rows are renumbered
    assert set(get_scores(retriever, "express", **options)) == {"v1", "v2", "v3", "v4"}


def test_masks_of_functions_are_computed_each_time():
    masks, allowed = RowMasks(), {"1"}
    for expected in ([False, True], [True, False]):
        node, mask = masks.build([lambda metadata: metadata["source"] in allowed], VISIBLE[:2])
        assert (node, mask.tolist()) == (None, expected)
        allowed.symmetric_difference_update({"0", "1"})


@pytest.mark.parametrize("value", [{"hr"}, ["public", {"hr"}], object(), b"x", [["public"]], {"a": {"b"}}])
def test_values_that_are_no_json_match_nothing(value):
    retriever = BM25Retriever.from_documents([Document("express delivery", metadata={"access": value})])
    for condition in ({"$contains_any": ["hr"]}, {"$in": ["hr"]}, {"$contains": "hr"}):
        assert retriever.invoke("express", filter={"access": condition}) == []
