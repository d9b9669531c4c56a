"""Prefixes are found by tokens and salt, and the least recently used ones go first."""

import pytest

from langchain_gptoss.engine.batch import BLOCK_TOKENS
from langchain_gptoss.engine.kv_cache.block_pool import BlockPool
from langchain_gptoss.engine.kv_cache.prefix_tree import PrefixTree
from langchain_gptoss.errors import GptOssError


def build_tokens(text: str) -> list[int]:
    """Return one block of tokens for each letter."""
    return [ord(letter) for letter in text for _ in range(BLOCK_TOKENS)]


@pytest.fixture
def pool():
    return BlockPool(32)


@pytest.fixture
def tree(pool):
    return PrefixTree(pool)


def insert(tree, pool, text, **options):
    """Store a sequence as a request does that computes all of it, and return its blocks after it has ended."""
    blocks = pool.allocate(len(text))
    tree.insert(build_tokens(text), blocks, **options)
    tree.release(blocks)
    tree.check_integrity()
    return blocks


def find(tree, text, **options):
    """Return the blocks of a beginning without keeping them."""
    blocks = tree.match(build_tokens(text), **options)
    tree.check_integrity()
    tree.release(blocks)
    tree.check_integrity()
    return blocks


def test_the_longest_stored_beginning_is_found(tree, pool):
    blocks = insert(tree, pool, "abcd")
    assert find(tree, "abcd") == blocks
    assert find(tree, "abxd") == blocks[:2]
    assert find(tree, "abcdef") == blocks
    assert find(tree, "bcd") == []
    assert tree.match(build_tokens("ab")[:-1]) == blocks[:1]


def test_a_partly_filled_block_is_not_stored(tree, pool):
    blocks = pool.allocate(2)
    tree.insert(build_tokens("ab")[:-1], blocks)
    assert find(tree, "ab") == blocks[:1]
    assert not tree.has_block(blocks[1])


def test_sequences_share_the_blocks_of_their_common_beginning(tree, pool):
    first = insert(tree, pool, "abc")
    shared = tree.match(build_tokens("abd"))
    own = pool.allocate(1)
    tree.insert(build_tokens("abd"), shared + own)
    assert shared == first[:2]
    tree.release(shared + own)
    assert find(tree, "abd") == first[:2] + own
    assert tree.reusable_count == 4


def test_an_existing_node_keeps_its_block_and_the_second_request_its_own(tree, pool):
    first = pool.allocate(2)
    second = pool.allocate(3)
    tree.insert(build_tokens("ab"), first)
    tree.insert(build_tokens("abc"), second)
    tree.check_integrity()
    assert find(tree, "abc") == [*first, second[2]]
    tree.release(first)
    # The second request holds the block of "c", so the first two blocks stay although nobody holds them.
    assert tree.reusable_count == 0
    assert tree.evict(3) == 0
    tree.release(second)
    tree.check_integrity()
    assert tree.reusable_count == 3
    assert pool.free_count == 32 - 3


def test_other_salts_find_only_the_shared_beginning(tree, pool):
    options = {"shared_tokens": 2 * BLOCK_TOKENS + 5}
    blocks = insert(tree, pool, "abcd", salt="one", **options)
    assert find(tree, "abcd", salt="one", **options) == blocks
    assert find(tree, "abcd", salt="two", **options) == blocks[:2]
    assert find(tree, "abcd", salt=None) == blocks[:2]
    assert find(tree, "abcd", salt="one") == []


def test_a_salt_does_not_find_the_prompts_of_requests_without_one(tree, pool):
    blocks = insert(tree, pool, "ab")
    assert find(tree, "ab", salt="one") == []
    assert find(tree, "ab", salt="") == []
    assert find(tree, "ab", salt="one", shared_tokens=BLOCK_TOKENS) == blocks[:1]


def test_eviction_takes_the_least_recently_used_leaves_first(tree, pool):
    old = insert(tree, pool, "abc")
    new = insert(tree, pool, "xyz")
    assert find(tree, "ab") == old[:2]
    assert tree.evict(1) == 1
    assert find(tree, "abc") == old[:2]  # "c" was not used again
    assert tree.evict(2) == 2
    assert find(tree, "xyz") == new[:1]
    assert find(tree, "ab") == old[:2]
    assert tree.evict(10) == 3
    assert pool.free_count == 32


def test_blocks_that_a_request_holds_are_not_evicted(tree, pool):
    insert(tree, pool, "abc")
    held = tree.match(build_tokens("ab"))
    assert tree.reusable_count == 1
    assert tree.evict(3) == 1
    tree.check_integrity()
    assert tree.match(build_tokens("abc")) == held


def test_a_growing_sequence_is_stored_step_by_step(tree, pool):
    tokens, blocks = build_tokens("abcdef"), pool.allocate(6)
    for count in range(len(tokens) + 1):
        tree.insert(tokens[:count], blocks)
    tree.check_integrity()
    assert find(tree, "abcdef") == blocks


def test_a_stored_block_with_other_tokens_is_refused(tree, pool):
    blocks = pool.allocate(2)
    tree.insert(build_tokens("a"), blocks)
    with pytest.raises(GptOssError, match="other tokens"):
        tree.insert(build_tokens("b"), blocks)


def test_check_integrity_finds_wrong_counts(tree, pool):
    blocks = pool.allocate(1)
    tree.insert(build_tokens("a"), blocks)
    pool.release(blocks[0])  # past the tree
    with pytest.raises(GptOssError, match="wrong counts"):
        tree.check_integrity()
