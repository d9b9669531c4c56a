"""The cache of query vectors."""

from langchain_gptoss.vectorstores.query_cache import QueryVectors, aembed_query, cache_query_vectors, embed_query
from tests.unit_tests.vectorstores.store_helpers import CountingEmbeddings


async def test_query_is_embedded_once_per_model_within_the_block():
    one, other = CountingEmbeddings("one"), CountingEmbeddings("other")
    with cache_query_vectors():
        with cache_query_vectors():  # nested blocks share one cache
            vector = embed_query(one, "red fox")
        assert embed_query(one, "red fox") == await aembed_query(one, "red fox") == vector
        await aembed_query(other, "red fox")
        assert embed_query(other, "red fox") == vector
        assert (one.count, other.count) == (1, 1)
        embed_query(one, "blue sky")
        assert one.count == 2


async def test_nothing_is_cached_outside_of_a_block():
    model = CountingEmbeddings("one")
    for _ in range(2):
        embed_query(model, "red fox")
        await aembed_query(model, "red fox")
    assert model.count == 4


async def test_vectors_that_are_passed_are_used_by_later_blocks():
    model, vectors = CountingEmbeddings("one"), QueryVectors()
    with cache_query_vectors(vectors):
        await aembed_query(model, "red fox")
    with cache_query_vectors(vectors):
        embed_query(model, "red fox")
    assert model.count == 1
    with cache_query_vectors(QueryVectors()):
        embed_query(model, "red fox")
    assert model.count == 2
