"""Postings: segments are merged."""

from langchain_gptoss.retrievers.bm25.postings import Postings


def test_segments_are_merged():
    postings = Postings(k1=1.5, b=0.75)
    for n in range(300):
        postings.add([[n % 7, n % 11, 3]])
    assert len(postings.segments) < 10
