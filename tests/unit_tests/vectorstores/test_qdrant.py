"""Filters of FaissStore translated into Qdrant's."""

import uuid
from collections.abc import Iterator

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_qdrant import QdrantVectorStore
from qdrant_client import models

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers.adapters import as_retriever
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.filters import compile_filter
from langchain_gptoss.vectorstores.qdrant import (
    add_with_vectors,
    translate_filter,
)
from tests import scale
from tests.unit_tests.vectorstores.contract_helpers import (
    IDS,
    QUERY,
    open_qdrant,
)
from tests.unit_tests.vectorstores.store_helpers import WordEmbeddings

FIELDS = ("a", "b", "a.b", "é x", "n-1")
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([0.0, 1.0, -2.0, 0.5, 2.5, 2.0**53]),
    st.sampled_from(["", "a", "ab", "b", "é", "1", "A"]),
)
ITEMS = st.one_of(SCALARS, st.lists(SCALARS, max_size=2), st.dictionaries(st.sampled_from("ab"), SCALARS, max_size=1))
VALUES = st.one_of(
    SCALARS,
    st.lists(ITEMS, min_size=1, max_size=3),  # Qdrant cannot distinguish an empty list from a missing field
    st.dictionaries(st.sampled_from("ab"), st.one_of(SCALARS, st.lists(SCALARS, min_size=1, max_size=2)), max_size=2),
)
METADATA = st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4)
NUMBERS = st.one_of(st.integers(-3, 3), st.sampled_from([0.5, 1.0, 2.5]))
OPERATORS = st.one_of(
    st.builds(lambda name, value: {name: value}, st.sampled_from(["$eq", "$ne", "$contains"]), SCALARS),
    st.builds(lambda name, value: {name: value}, st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), NUMBERS),
    st.builds(lambda name, value: {name: value}, st.sampled_from(["$in", "$nin"]), st.lists(SCALARS, max_size=3)),
    st.builds(lambda value: {"$exists": value}, st.booleans()),
)
CONDITIONS = st.one_of(
    SCALARS,
    OPERATORS,
    st.builds(lambda one, other: {**one, **other}, OPERATORS, OPERATORS),
    st.builds(lambda one: {"$not": one}, OPERATORS),
)
ANY_FILTER = st.recursive(
    st.dictionaries(st.sampled_from(FIELDS), CONDITIONS, max_size=2),
    lambda inner: st.one_of(
        st.builds(lambda parts: {"$and": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda parts: {"$or": parts}, st.lists(inner, min_size=1, max_size=3)),
        st.builds(lambda part: {"$not": part}, inner),
    ),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def two_stores() -> Iterator[tuple[FaissStore, QdrantVectorStore]]:
    small = WordEmbeddings("small", 4)
    theirs = open_qdrant(":memory:", [], small)
    yield FaissStore(small), theirs
    theirs.client.close()


@settings(max_examples=scale(200), deadline=None)
@example(  # a key with dots goes before a path
    metadatas=[{"a.b": 1, "a": {"b": 2}}, {"a": {"b": 2}}, {"a.b": None, "a": {"b": 2}}],
    filters=[{"a.b": 2}, {"a.b": {"$gt": 1}}, {"a.b": {"$ne": 1}}, {"a.b": {"$exists": True}}],
)
@example(  # an item is not an item's item, and a text is no list
    metadatas=[{"a": [["b"]]}, {"a": ["b"]}, {"a": "b"}, {"a": "abc"}, {"a": ["abc"]}, {"a": [[1]]}, {"a": [1.0]}],
    filters=[{"a": {"$contains": "b"}}, {"a": {"$contains": 1}}, {"a": "b"}, {"a": {"$in": ["b"]}}, {"a": 1}],
)
@example(
    metadatas=[{}, {"a": None}, {"a": [None]}, {"a": [None, 1]}, {"a": [[]]}, {"a": {}}, {"a": True}, {"a": 1}],
    filters=[
        {"a": None},
        {"a": {"$ne": None}},
        {"a": {"$contains": None}},
        {"a": {"$exists": True}},
        {"a": {"$exists": False}},
        {"a": {"$ne": 1}},
        {"a": True},
        {"a": {"$nin": []}},
        {"a": {"$in": []}},
    ],
)
@given(metadatas=st.lists(METADATA, min_size=1, max_size=12), filters=st.lists(ANY_FILTER, min_size=1, max_size=8))
def test_filter_matches_the_same_documents_in_every_store(two_stores, metadatas, filters):
    ours, theirs = two_stores
    ids = [uuid.UUID(int=number + 1).hex for number in range(len(metadatas))]
    documents = [Document(id=i, page_content="x", metadata=m) for i, m in zip(ids, metadatas, strict=True)]
    ours.delete()
    theirs.client.delete("c", models.Filter())
    ours.add_with_vectors(documents, [[1.0, 0, 0, 0]] * len(ids))
    add_with_vectors(theirs, documents, [[1.0, 0, 0, 0]] * len(ids))
    for filter in filters:
        agrees = compile_filter(filter)
        expected = {id_ for id_, metadata in zip(ids, metadatas, strict=True) if agrees(metadata)}
        there = theirs.similarity_search("x", k=50, filter=translate_filter(filter))
        assert {uuid.UUID(document.metadata["_id"]).hex for document in there} == expected
        assert {document.id for document in ours.similarity_search("x", k=50, filter=filter)} == expected


@pytest.mark.parametrize("filter", [{"a": {"$exists": True}}, {"a": {"$ne": 5}}, {"a": {"$nin": [5]}}])
def test_qdrant_treats_an_empty_list_as_missing(filter):
    store = open_qdrant(":memory:", [Document("x", id=IDS[0], metadata={"a": []})])
    assert compile_filter(filter)({"a": []})
    assert store.similarity_search("x", filter=translate_filter(filter)) == []
    store.client.close()


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        (lambda metadata: True, "filter is a function, which Qdrant does not support"),
        ("lang = 'fr'", "filter is a str"),
        ({"date": {"$gte": "2024-05-31"}}, "compare strings by their order, which it does not support. Store a number"),
        ({"tags": ["a", "b"]}, "compare with a whole list"),
        ({"where": {"$in": [{"page": 3}]}}, "compare with a whole dict"),
        ({"n": float("nan")}, "compare with NaN"),
        ({"n": {"$lt": float("inf")}}, "compare exactly with inf"),
        ({"n": 2**60}, "below 2\\*\\*53"),
        ({'a"b': 1}, "cannot filter on a field with the name"),
        ({"": 1}, "cannot filter on a field with the name"),
        ({"lang": {"$regex": "f.*"}}, r"Unknown filter operator '\$regex'"),
    ],
)
def test_filters_that_qdrant_does_not_support_are_rejected(make_store, filter, message):
    with pytest.raises(InvalidInputError, match=message):
        translate_filter(filter)
    if not isinstance(filter, str):
        with pytest.raises(InvalidInputError, match=message):
            as_retriever(make_store("qdrant memory")).invoke(QUERY, filter=filter)


def test_contains_needs_a_client_with_substring_matches(monkeypatch):
    monkeypatch.delattr(models, "MatchSubstring")
    assert translate_filter({"a": "b"})
    with pytest.raises(InvalidInputError, match="Update qdrant-client"):
        translate_filter({"a": {"$contains": "b"}})
