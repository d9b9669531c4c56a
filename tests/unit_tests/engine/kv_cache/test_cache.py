"""The cache keeps its budget, and sequences that share blocks read what they would have computed."""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from langchain_gptoss.engine.batch import BLOCK_TOKENS
from langchain_gptoss.engine.kv_cache.cache import PagedCache
from langchain_gptoss.errors import GptOssMemoryError
from tests import scale
from tests.unit_tests.engine.kv_cache.fakes import LAYOUT, MemoryRunner

BLOCK_COUNT = 12


def build_cache(block_count: int = BLOCK_COUNT) -> PagedCache:
    return PagedCache(MemoryRunner(), budget_bytes=block_count * LAYOUT.block_bytes)


def run_sequence(cache: PagedCache, tokens: list[int], **options) -> int:
    """Compute and store a sequence, end it, and return the number of its tokens that were cached."""
    blocks, cached_count = cache.start(tokens, **options)
    assert cache.grow(blocks, len(tokens))
    cache.store(tokens, blocks, **options)
    cache.check_integrity()
    cache.release(blocks)
    cache.check_integrity()
    return cached_count


def test_the_budget_decides_the_number_of_blocks():
    runner = MemoryRunner()
    cache = PagedCache(runner, budget_bytes=7 * LAYOUT.block_bytes + LAYOUT.block_bytes // 2)
    assert cache.block_count == len(runner.memory) == 7


def test_a_budget_below_a_few_blocks_is_refused_with_the_memory_that_would_do():
    with pytest.raises(GptOssMemoryError, match=r"0.00154 MB .* at least 0.00205 MB"):
        build_cache(3)


def test_one_token_is_left_to_compute():
    cache = build_cache()
    tokens = list(range(3 * BLOCK_TOKENS))
    assert run_sequence(cache, tokens) == 0
    assert run_sequence(cache, tokens) == 2 * BLOCK_TOKENS
    assert run_sequence(cache, [*tokens, 1]) == 3 * BLOCK_TOKENS
    assert cache.start([]) == ([], 0)
    assert cache.start([1]) == ([], 0)


def test_blocks_are_counted_as_used_reusable_or_free():
    cache = build_cache()
    run_sequence(cache, list(range(3 * BLOCK_TOKENS + 1)))
    assert (cache.used_count, cache.reusable_count) == (0, 3)
    blocks, _ = cache.start(list(range(2 * BLOCK_TOKENS + 1)))
    assert cache.grow(blocks, 4 * BLOCK_TOKENS)
    assert (cache.used_count, cache.reusable_count) == (4, 1)


def test_growing_appends_only_missing_blocks():
    cache = build_cache()
    blocks: list[int] = []
    assert cache.grow(blocks, 0)
    assert blocks == []
    assert cache.grow(blocks, 1)
    first = list(blocks)
    assert cache.grow(blocks, BLOCK_TOKENS)
    assert blocks == first
    assert cache.grow(blocks, BLOCK_TOKENS + 1)
    assert len(blocks) == 2
    assert blocks[:1] == first


def test_growing_evicts_no_more_than_it_needs():
    cache = build_cache()
    for start in range(4):
        run_sequence(cache, [start] * (3 * BLOCK_TOKENS))
    assert cache.reusable_count == BLOCK_COUNT
    blocks: list[int] = []
    assert cache.grow(blocks, 4 * BLOCK_TOKENS)
    assert cache.reusable_count == BLOCK_COUNT - 4
    assert run_sequence(cache, [3] * (3 * BLOCK_TOKENS + 1)) == 3 * BLOCK_TOKENS


def test_a_sequence_beyond_the_budget_changes_nothing():
    cache = build_cache()
    tokens = [1] * (5 * BLOCK_TOKENS)
    run_sequence(cache, tokens)
    blocks: list[int] = []
    assert cache.grow(blocks, 6 * BLOCK_TOKENS)
    before = list(blocks)
    assert not cache.grow(blocks, (BLOCK_COUNT + 1) * BLOCK_TOKENS)
    assert blocks == before
    assert cache.reusable_count == 5
    assert cache.grow(blocks, BLOCK_COUNT * BLOCK_TOKENS)
    assert cache.reusable_count == 0


def test_many_blocks_are_evicted_one_by_one_in_order():
    cache = build_cache(5_000)
    for start in range(10):
        run_sequence(cache, [start] * (500 * BLOCK_TOKENS))
    blocks: list[int] = []
    for count in range(1, 4_501):
        assert cache.grow(blocks, count * BLOCK_TOKENS)
    assert run_sequence(cache, [9] * (500 * BLOCK_TOKENS)) == 499 * BLOCK_TOKENS


class _Sequence:
    def __init__(self, tokens, salt, shared_tokens, blocks, computed_count):
        self.tokens, self.salt, self.shared_tokens = tokens, salt, shared_tokens
        self.blocks, self.computed_count = blocks, computed_count

    @property
    def options(self):
        return {"salt": self.salt, "shared_tokens": self.shared_tokens}


LETTERS = st.text("ab", max_size=5)
SALTS = st.sampled_from([None, "", "one", "two"])


class CacheMachine(RuleBasedStateMachine):
    """Random requests over a small cache.

    `contents` has, for each block, the tokens up to its end of the sequence that wrote it and the salt of that
    sequence: what a block with the keys and values of these tokens depends on.
    """

    def __init__(self) -> None:
        super().__init__()
        self.cache = build_cache()
        self.sequences: list[_Sequence] = []
        self.contents: dict[int, tuple[tuple[int, ...], str | None]] = {}

    @rule(letters=LETTERS, rest=st.integers(1, BLOCK_TOKENS), salt=SALTS, shared=st.integers(0, 4 * BLOCK_TOKENS))
    def start(self, letters, rest, salt, shared):
        tokens = [ord(letter) for letter in letters for _ in range(BLOCK_TOKENS)] + [0] * rest
        blocks, cached_count = self.cache.start(tokens, salt=salt, shared_tokens=shared)
        assert cached_count == len(blocks) * BLOCK_TOKENS < len(tokens)
        for index, block in enumerate(blocks):
            end = (index + 1) * BLOCK_TOKENS
            content, owner = self.contents[block]
            assert content == tuple(tokens[:end])
            assert owner == salt or end <= shared
        self.sequences.append(_Sequence(tokens, salt, shared, blocks, cached_count))

    @precondition(lambda self: self.sequences)
    @rule(data=st.data(), count=st.integers(1, 3 * BLOCK_TOKENS))
    def compute(self, data, count):
        sequence = data.draw(st.sampled_from(self.sequences))
        end = min(sequence.computed_count + count, len(sequence.tokens))
        before = list(sequence.blocks)
        state = (self.cache.used_count, self.cache.reusable_count)
        if not self.cache.grow(sequence.blocks, end):
            assert sequence.blocks == before
            assert (self.cache.used_count, self.cache.reusable_count) == state
            return
        assert sequence.blocks[: len(before)] == before
        for index in range(sequence.computed_count // BLOCK_TOKENS, -(-end // BLOCK_TOKENS)):
            # Whoever else could read the block would read other tokens from here on.
            block = sequence.blocks[index]
            assert sum(block in other.blocks for other in self.sequences) == 1
            block_end = (index + 1) * BLOCK_TOKENS
            owner = None if block_end <= sequence.shared_tokens else sequence.salt
            self.contents[block] = (tuple(sequence.tokens[: min(end, block_end)]), owner)
        sequence.computed_count = end
        self.cache.store(sequence.tokens[:end], sequence.blocks, **sequence.options)

    @precondition(lambda self: self.sequences)
    @rule(data=st.data(), letter=st.sampled_from("ab"))
    def append(self, data, letter):
        sequence = data.draw(st.sampled_from(self.sequences))
        sequence.tokens.extend([ord(letter)] * (BLOCK_TOKENS - len(sequence.tokens) % BLOCK_TOKENS + 1))

    @precondition(lambda self: self.sequences)
    @rule(data=st.data())
    def end(self, data):
        index = data.draw(st.integers(0, len(self.sequences) - 1))
        self.cache.release(self.sequences.pop(index).blocks)

    @invariant()
    def references_and_budget_agree(self):
        self.cache.check_integrity([sequence.blocks for sequence in self.sequences])
        held = {block for sequence in self.sequences for block in sequence.blocks}
        assert len(held) <= self.cache.used_count <= BLOCK_COUNT
        assert 0 <= self.cache.reusable_count <= BLOCK_COUNT - self.cache.used_count

    def teardown(self):
        while self.sequences:
            self.cache.release(self.sequences.pop().blocks)
        assert self.cache.used_count == 0
        assert self.cache.grow([], BLOCK_COUNT * BLOCK_TOKENS)


CacheMachine.TestCase.settings = settings(max_examples=scale(60), stateful_step_count=40, deadline=None)
TestRandomRequests = CacheMachine.TestCase
