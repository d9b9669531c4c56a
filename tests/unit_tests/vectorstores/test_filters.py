"""Metadata filters of FaissStore: the meaning of each operator, the index over all documents, invalid filters."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.vectorstores import FaissStore
from langchain_gptoss.vectorstores.faiss import filter_index
from langchain_gptoss.vectorstores.faiss.filter_index import FilterIndex
from langchain_gptoss.vectorstores.filters import matches, parse_filter
from tests import scale
from tests.unit_tests.vectorstores.store_helpers import EMBEDDING, SIZE, fill_store

METADATA = {
    "fr24": {"lang": "fr", "year": 2024, "tags": ["tax", "law"], "author": {"name": "Zoé"}, "ok": True},
    "fr20": {"lang": "fr", "year": 2020.5, "tags": [], "date": "2020-06-01", "ok": 1},
    "en": {"lang": "en", "year": "2024", "tags": "tax office", "author": "Zoé", "date": "2024-01-31", "ok": False},
    "null": {"lang": None, "year": None, "author": {"name": None}, "a.b": 1},
    "bare": {},
    "big": {"year": 2**60, "a": {"b": 1}, "ok": 0},
}


@pytest.fixture(scope="module")
def store() -> FaissStore:
    return FaissStore.from_texts(list(METADATA), EMBEDDING, list(METADATA.values()), ids=list(METADATA))


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({}, set(METADATA)),
        ({"lang": "fr"}, {"fr24", "fr20"}),
        ({"lang": "fr", "year": 2024}, {"fr24"}),
        ({"year": 2024.0}, {"fr24"}),
        ({"lang": None}, {"null"}),
        ({"nowhere": 1}, set()),
        ({"ok": True}, {"fr24"}),
        ({"ok": 1}, {"fr20"}),
        ({"ok": {"$in": [False, 1]}}, {"en", "fr20"}),
        ({"tags": []}, {"fr20"}),
        ({"tags": ["tax", "law"]}, {"fr24"}),
        ({"tags": "tax"}, set()),
        ({"author": {"name": "Zoé"}}, {"fr24"}),
        ({"author.name": "Zoé"}, {"fr24"}),
        ({"author.name": {"$exists": True}}, {"fr24", "null"}),
        ({"author.name.x": {"$exists": True}}, set()),
        ({"a.b": 1}, {"null", "big"}),
        ({"lang": {"$eq": "fr"}}, {"fr24", "fr20"}),
        ({"lang": {"$ne": "fr"}}, {"en", "null"}),
        ({"year": {"$gte": 2024}}, {"fr24", "big"}),
        ({"year": {"$gt": 2024}}, {"big"}),
        ({"year": {"$lt": 2024}}, {"fr20"}),
        ({"year": {"$lte": 2024, "$gt": 2020.5}}, {"fr24"}),
        ({"year": {"$gt": 2**60 - 1}}, {"big"}),
        ({"year": {"$gte": 2**60 + 1}}, set()),
        ({"year": {"$gte": float("nan")}}, set()),
        ({"year": {"$gte": "2024"}}, {"en"}),
        ({"date": {"$gte": "2024"}}, {"en"}),
        ({"date": {"$gt": "2024-01-31"}}, set()),
        ({"date": {"$lte": "2024-01-31"}}, {"en", "fr20"}),
        ({"date": {"$lt": "2024-01-31"}}, {"fr20"}),
        ({"lang": {"$in": ["fr", None]}}, {"fr24", "fr20", "null"}),
        ({"lang": {"$in": {"en"}}}, {"en"}),
        ({"lang": {"$in": []}}, set()),
        ({"lang": {"$nin": ["fr", None]}}, {"en"}),
        ({"lang": {"$nin": []}}, {"fr24", "fr20", "en", "null"}),
        ({"tags": {"$contains": "tax"}}, {"fr24", "en"}),
        ({"tags": {"$contains": "ta"}}, {"en"}),
        ({"tags": {"$contains": 1}}, set()),
        ({"tags": {"$contains_any": ["tax", "other"]}}, {"fr24"}),
        ({"tags": {"$contains_any": ["ta", 1]}}, set()),
        ({"tags": {"$contains_any": []}}, set()),
        ({"lang": {"$exists": False}}, {"bare", "big"}),
        ({"lang": {"$not": {"$eq": "fr"}}}, {"en", "null", "bare", "big"}),
        ({"$not": {"lang": "fr"}}, {"en", "null", "bare", "big"}),
        ({"$or": [{"lang": "en"}, {"year": {"$gte": 2024}}]}, {"en", "fr24", "big"}),
        ({"$and": [{"lang": "fr"}, {"$not": {"tags": []}}]}, {"fr24"}),
        ({"$or": [{"lang": "en"}], "year": 2024}, set()),
        (lambda metadata: metadata.get("lang") == "fr", {"fr24", "fr20"}),
    ],
)
def test_filter_matches_the_expected_documents(store, filter, expected):
    assert {document.id for document in store.similarity_search("q", 99, filter=filter)} == expected
    if not callable(filter):
        node = parse_filter(filter)
        assert {id_ for id_, metadata in METADATA.items() if matches(node, metadata)} == expected


@pytest.mark.parametrize(
    ("filter", "message"),
    [
        ({"year": {"$gtee": 1}}, r"'\$gtee'. Did you mean \$gte\?"),
        ({"year": {"$equals": 1}}, r"Did you mean \$eq\?"),
        ({"$adn": []}, r"Did you mean \$and\?"),
        ({"$nor": [{}]}, r"Did you mean \$or\?"),
        ({"$zzzz": 1}, r"Unknown filter operator '\$zzzz'. The operators here are \$and, \$or, \$not"),
        ({"$eq": 1}, r"\$eq needs a field"),
        ({"a": {"$and": []}}, "Unknown filter operator"),
        ({"a": {"$gt": 1, "b": 2}}, "mixes operators and plain keys"),
        ({"a": {"$gt": None}}, r"\$gt on 'a' compares numbers or strings.*ISO strings"),
        ({"a": {"$gt": True}}, "compares numbers or strings"),
        ({"a": {"$in": "text"}}, "takes a list of values"),
        ({"a": {"$exists": 1}}, "takes True or False"),
        ({"a": {"$not": 1}}, r"For a value, use \$ne"),
        ({"a": {1, 2}}, "metadata cannot hold"),
        ({"$and": []}, r"\$and takes a list of filters"),
        ({"$or": {"a": 1}}, r"\$or takes a list of filters"),
        ({"$or": ["a"]}, r"\$or takes filters"),
        ({"$not": [1]}, r"\$not takes filters"),
        ({1: 2}, "field of the filter is 1. Field names must be strings"),
        ([("a", 1)], "filter is a list"),
        ("a", "filter is a str"),
    ],
)
def test_invalid_filters_are_rejected(store, filter, message):
    with pytest.raises(InvalidInputError, match=message):
        store.similarity_search("q", filter=filter)


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([0.5, 2.0, 2**60])
    | st.sampled_from(["", "a", "ab"]),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=3,
)
ORDERED = st.integers(-3, 3) | st.sampled_from([0.5, 2**60, 2**60 + 1, "", "a", "b"])
CONDITION = st.one_of(
    VALUES.map(lambda value: {"$eq": value}),
    st.tuples(st.sampled_from(["$ne", "$contains"]), VALUES).map(lambda pair: dict([pair])),
    st.lists(VALUES, max_size=3).map(lambda values: {"$contains_any": values}),
    st.tuples(st.sampled_from(["$in", "$nin"]), st.lists(VALUES, max_size=3)).map(lambda pair: dict([pair])),
    st.tuples(st.sampled_from(["$gt", "$gte", "$lt", "$lte"]), ORDERED).map(lambda pair: dict([pair])),
    st.booleans().map(lambda value: {"$exists": value}),
)
FILTERS = st.recursive(
    st.dictionaries(st.sampled_from(["a", "b", "a.b"]), CONDITION, max_size=2),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$and": parts}),
        st.lists(inner, min_size=1, max_size=2).map(lambda parts: {"$or": parts}),
        inner.map(lambda part: {"$not": part}),
    ),
    max_leaves=4,
)


@settings(max_examples=scale(300), deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from("ab"), VALUES), max_size=8), st.lists(FILTERS, max_size=3))
def test_filter_index_agrees_with_matching_one_document_at_a_time(documents, filters):
    index = FilterIndex(lambda start, stop: iter([(n, documents[n]) for n in range(start, stop)]))
    for filter in filters:
        node = parse_filter(filter)
        for stop in (len(documents) // 2, len(documents)):
            assert index.build_mask(node, stop).tolist() == [matches(node, metadata) for metadata in documents[:stop]]


def test_filters_see_added_and_deleted_documents():
    store, _ = fill_store(40)
    chance = random.Random(0)
    truth = {f"d{i}": i % 7 for i in range(40)}
    for step in range(30):
        ids = [f"d{chance.randrange(60)}" for _ in range(3)]
        if step % 3 == 2:
            store.delete(ids)
            truth = {id_: group for id_, group in truth.items() if id_ not in ids}
        else:
            store.add_texts(ids, [{"group": step % 7}] * 3, ids=ids)
            truth |= dict.fromkeys(ids, step % 7)
        for filter in ({"group": {"$gte": 3}}, lambda metadata: metadata["group"] >= 3):
            found = {document.id for document in store.similarity_search("q", 99, filter=filter)}
            assert found == {id_ for id_, group in truth.items() if group >= 3}
    store.delete()
    assert store.similarity_search("q", filter={"group": 1}) == []
    store.add_with_vectors([Document(id="n", page_content="n", metadata={"group": 1})], [[1.0] * (SIZE + 1)])
    assert len(store.similarity_search_by_vector([1.0] * (SIZE + 1), filter={"group": 1})) == 1


def test_answer_to_a_filter_is_cached_until_the_store_changes(monkeypatch):
    store, _ = fill_store(20)
    masks = []
    build_mask = FilterIndex.build_mask
    monkeypatch.setattr(FilterIndex, "build_mask", lambda self, *rest: masks.append(1) or build_mask(self, *rest))
    for _ in range(3):
        store.similarity_search("q", filter={"group": {"$in": [1, 2]}})
    assert len(masks) == 1
    store.delete(["d1"])
    assert "d1" not in {d.id for d in store.similarity_search("q", 99, filter={"group": {"$in": [1, 2]}})}
    assert len(masks) == 2


def test_filters_work_on_more_fields_than_there_are_columns(monkeypatch):
    monkeypatch.setattr(filter_index, "MAX_COLUMNS", 5)
    store = FaissStore.from_texts(["a"], EMBEDDING, [{f"f{n}": n for n in range(8)}])
    for turn in range(2):
        for n in range(8):
            assert len(store.similarity_search("q", filter={f"f{n}": n + turn})) == 1 - turn


def test_function_as_filter_may_use_the_store():
    store, _ = fill_store(10)

    def has_group_of_d3(metadata):
        return metadata["group"] == store.get_by_ids(["d3"])[0].metadata["group"]

    assert {d.id for d in store.similarity_search("q", 9, filter=has_group_of_d3)} == {"d3"}


def test_function_as_filter_sees_documents_that_it_adds():
    store, _ = fill_store(3)
    calls = []

    def add_document(metadata):
        if not calls:
            calls.append(1)
            store.add_texts(["late"], [{"group": 0}], ids=["late"])
        return True

    assert {d.id for d in store.similarity_search("q", 9, filter=add_document)} == {"d0", "d1", "d2", "late"}


LANGUAGES = {
    "fr": {"language": "fr"},
    "en": {"language": "en", "year": 2024},
    "missing": {"year": 2024},
    "null": {"language": None},
    "empty": {"language": ""},
    "undetermined": {"language": "und"},
}
UNKNOWN = {"missing", "null", "empty", "undetermined"}


@pytest.mark.parametrize(
    ("filter", "expected"),
    [
        ({"language": "fr"}, {"fr"} | UNKNOWN),
        ({"language": {"$eq": "en"}}, {"en"} | UNKNOWN),
        ({"language": {"$in": ["fr", "de"]}}, {"fr"} | UNKNOWN),
        ({"language": {"$ne": "fr"}}, {"en"} | UNKNOWN),
        ({"language": {"$nin": ["fr"]}}, {"en"} | UNKNOWN),
        ({"language": {"$not": {"$eq": "fr"}}}, {"en"} | UNKNOWN),
        ({"$not": {"language": "fr"}}, {"en"} | UNKNOWN),
        ({"$not": {"$not": {"language": "fr"}}}, {"fr"} | UNKNOWN),
        ({"language": "fr", "year": 2024}, {"missing"}),
        ({"$or": [{"language": "fr"}, {"year": 2024}]}, {"fr", "en"} | UNKNOWN),
        ({"language": {"$exists": True, "$eq": "fr"}}, {"fr", "null", "empty", "undetermined"}),
        ({"language": {"$exists": False}}, {"missing"}),
    ],
)
def test_a_language_filter_keeps_documents_of_unknown_language(filter, expected):
    store = FaissStore.from_texts(list(LANGUAGES), EMBEDDING, list(LANGUAGES.values()), ids=list(LANGUAGES))
    assert {each.page_content for each in store.similarity_search("x", k=99, filter=filter)} == expected
    tree = parse_filter(filter)
    assert {name for name, metadata in LANGUAGES.items() if matches(tree, metadata)} == expected
