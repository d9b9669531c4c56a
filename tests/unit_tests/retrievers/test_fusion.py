"""Fusion of ranked lists: order, scale, missing scores, duplicates."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.retrievers.fusion import Fusion, RankedList, deduplicate
from tests import scale
from tests.unit_tests.retrievers.helpers import create_fixed, list_ids

FIRST, SECOND = (("a", 0.9), ("b", 0.8)), (("d", 0.9), ("c", 0.7))
SECOND_ALL = dict(SECOND) | {"a": 0.1, "b": 0.2}

scored_lists = st.lists(
    st.dictionaries(st.sampled_from("abcdefgh"), st.floats(-1, 1, allow_subnormal=False), max_size=8),
    min_size=1,
    max_size=3,
)


@settings(max_examples=scale(300))
@given(scored_lists, st.booleans())
def test_fusion_ranks_every_document_once_and_ignores_scale(lists, by_ranks):
    def create_lists(factor: float) -> list[RankedList]:
        return [
            RankedList(
                documents=[
                    Document(id=name, page_content=name, metadata={"relevance_score": score * factor})
                    for name, score in sorted(scores.items(), key=lambda item: -item[1])
                ],
                weight=1.0,
                is_cut=True,
            )
            for scores in lists
        ]

    found = Fusion(create_lists(1)).rank(by_ranks=by_ranks)
    assert Fusion(create_lists(1)).rank(by_ranks=by_ranks, k=2) == found[:2]
    assert sorted(list_ids(found)) == sorted({name for scores in lists for name in scores})
    points = [d.metadata["fused_score"] for d in found]
    assert points == sorted(points, reverse=True)
    assert all(math.isfinite(point) for point in points)
    doubled = {d.id: d.metadata["fused_score"] for d in Fusion(create_lists(2)).rank(by_ranks=by_ranks)}
    assert doubled == pytest.approx({d.id: d.metadata["fused_score"] for d in found}, abs=1e-6)


def test_documents_with_the_same_text_or_id_are_one():
    same = [
        Document(id=id_, page_content=text)
        for id_, text in (("1", "A b"), ("2", " A b\n"), ("1", "other"), (None, "A b"))
    ]
    assert list_ids(deduplicate(same)) == ["1"]
    assert len(deduplicate([Document(page_content="x"), Document(page_content="y")])) == 2


def test_missing_scores_are_estimated_unless_they_are_given_later():
    def calculate_relevance(scores: dict[str, float]) -> dict[str, float]:
        lists = [
            RankedList(documents=create_fixed(*pairs).documents, weight=1, is_cut=True) for pairs in (FIRST, SECOND)
        ]
        fusion = Fusion(lists)
        assert [fusion.find_unscored_ids(0), fusion.find_unscored_ids(1)] == [["d", "c"], ["a", "b"]]
        found = fusion.rank(later_scores=[scores, {"a": 0.1, "b": 0.2}])
        return {d.id: 2 * d.metadata["relevance_score"] - SECOND_ALL[d.id] for d in found}

    first, estimate = dict(FIRST), 0.8 - 2 * 0.05  # two standard deviations below the last score
    assert calculate_relevance({}) == pytest.approx({**first, "c": estimate, "d": estimate})
    assert calculate_relevance({"c": 0.2, "d": math.nan, "z": 9}) == pytest.approx({**first, "c": 0.2, "d": estimate})
