"""The index: scores against bm25s, and changes in any order."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.retrievers.bm25.index import BM25Index
from tests import scale
from tests.unit_tests.retrievers.bm25.helpers import make_texts


@settings(max_examples=scale(40), deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["add", "delete"]), st.lists(st.tuples(st.integers(0, 12), st.integers(0, 400)))),
        max_size=8,
    )
)
def test_a_changed_index_equals_a_new_one(steps):
    index, expected_texts = BM25Index("en"), {}
    for action, pairs in steps:
        texts = {str(id_): make_texts(1, seed)[0] for id_, seed in pairs}
        if action == "add":
            index.add([Document(id=id_, page_content=text) for id_, text in texts.items()])
            expected_texts |= texts
        else:
            index.delete(list(texts))
            expected_texts = {id_: text for id_, text in expected_texts.items() if id_ not in texts}
    new = BM25Index("en")
    new.add([Document(id=id_, page_content=text) for id_, text in expected_texts.items()])
    for query in make_texts(3, 7):
        found, expected = ({d.id: score for d, score in i.search(query, 50)} for i in (index, new))
        assert found == pytest.approx(expected, rel=1e-5)
    assert len(index) == len(expected_texts)


def test_scores_equal_those_of_bm25s():
    bm25s = pytest.importorskip("bm25s")
    texts = make_texts(200, 0)
    reference = bm25s.BM25(method="lucene", k1=1.5, b=0.75)
    reference.index([text.split() for text in texts], show_progress=False)
    index = BM25Index("en")
    for at in range(0, 200, 17):
        index.add([Document(id=str(n), page_content=texts[n]) for n in range(at, min(at + 17, 200))])
    for query in make_texts(20, 1):
        expected = reference.get_scores(query.split())
        found = index.search(query, 200)
        scale = found[0][1] / expected.max()
        assert [score for _, score in found] == pytest.approx([expected[int(d.id)] * scale for d, _ in found], rel=1e-4)
        assert len(found) == (expected > 0).sum()


def test_deleted_rows_are_dropped():
    index = BM25Index("en")
    index.add([Document(id=str(n), page_content=f"word{n}") for n in range(100)])
    index.delete([str(n) for n in range(60)])
    assert len(index._documents) == len(index) == 40
    assert [d.id for d, _ in index.search("word77", 5)] == ["77"]
