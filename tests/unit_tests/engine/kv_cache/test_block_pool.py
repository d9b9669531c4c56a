"""Blocks are handed out once, counted, and used again before untouched ones."""

import pytest

from langchain_gptoss.engine.kv_cache.block_pool import BlockPool
from langchain_gptoss.errors import GptOssError, GptOssMemoryError


def test_all_blocks_are_handed_out_once():
    pool = BlockPool(5)
    blocks = pool.allocate(2) + pool.allocate(3)
    assert sorted(blocks) == [0, 1, 2, 3, 4]
    assert pool.free_count == 0
    pool.check_integrity([1] * 5)


def test_more_blocks_than_are_free_are_refused_and_nothing_changes():
    pool = BlockPool(3)
    pool.allocate(1)
    with pytest.raises(GptOssMemoryError, match=r"3 blocks .* 2 of 3 are free"):
        pool.allocate(3)
    assert pool.free_count == 2
    assert len(pool.allocate(2)) == 2


def test_released_blocks_are_handed_out_before_untouched_ones():
    pool = BlockPool(10)
    used = pool.allocate(3)
    for block in used:
        pool.release(block)
    assert set(pool.allocate(4)) == {*used, 3}


def test_a_shared_block_is_free_after_its_last_release():
    pool = BlockPool(1)
    (block,) = pool.allocate(1)
    assert pool.share(block) == 2
    assert pool.release(block) == 1
    assert pool.free_count == 0
    assert pool.release(block) == 0
    assert pool.free_count == 1


@pytest.mark.parametrize("block", [0, 2, -1, 7])
def test_a_block_that_nobody_holds_is_neither_shared_nor_released(block):
    pool = BlockPool(3)
    for released in pool.allocate(1):
        pool.release(released)
    for change in (pool.share, pool.release):
        with pytest.raises(GptOssError, match="nobody holds"):
            change(block)
    pool.check_integrity([0, 0, 0])


def test_check_integrity_finds_a_missing_holder():
    pool = BlockPool(2)
    pool.allocate(1)
    with pytest.raises(GptOssError, match=r"Block 0 .* 1 references and 0 holders"):
        pool.check_integrity([0, 0])


def test_check_integrity_finds_a_block_that_is_free_and_used():
    pool = BlockPool(2)
    (block,) = pool.allocate(1)
    pool._released.append(block)
    with pytest.raises(GptOssError, match=r"Block 0 .* is free"):
        pool.check_integrity()
