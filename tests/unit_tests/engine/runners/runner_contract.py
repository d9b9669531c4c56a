"""Tests of the runner interface; the tests of each runner inherit them and provide `runner` and `reference`."""

from typing import Any

import numpy as np
import pytest
import torch

from langchain_gptoss.engine.batch import Batch, SequenceChunk
from langchain_gptoss.engine.runners.base import Runner

BLOCKS = 24
LONG = tuple(int(n) for n in torch.randint(3, 200, (53,), generator=torch.Generator().manual_seed(1)))
SHORT = tuple(int(n) for n in torch.randint(3, 200, (21,), generator=torch.Generator().manual_seed(2)))
LONG_TABLE, SHORT_TABLE = (7, 2, 19, 4), (11, 3)


def chunk(
    ids: tuple[int, ...], table: tuple[int, ...], start: int = 0, end: int | None = None, logits: int = -1
) -> Any:
    new = ids[start:end]
    count = len(new) if logits < 0 else logits
    return SequenceChunk(token_ids=new, start=start, block_table=table, logit_count=count)


def forward(runner: Runner, *chunks: SequenceChunk) -> torch.Tensor:
    return runner.forward(Batch(chunks=chunks))


class RunnerContract:
    """Subclasses define the fixtures `runner` (with BLOCKS blocks) and `reference` (a model run by transformers)."""

    tolerance = 1e-4

    def check_equal(self, runner: Runner, actual: torch.Tensor, expected: torch.Tensor) -> None:
        limit = 0.0 if runner.is_batch_invariant else self.tolerance
        torch.testing.assert_close(actual, expected, atol=limit, rtol=limit)

    def test_logits_equal_those_of_transformers(self, runner, reference):
        with torch.inference_mode():
            expected = reference(input_ids=torch.tensor([LONG]), use_cache=False).logits[0]
        actual = forward(runner, chunk(LONG, LONG_TABLE))
        assert actual.dtype == torch.float32
        torch.testing.assert_close(actual, expected, atol=self.tolerance, rtol=self.tolerance)

    @pytest.mark.parametrize("size", [1, 7, 16, 52])
    def test_chunks_give_the_logits_of_the_whole(self, runner, size):
        whole = forward(runner, chunk(LONG, LONG_TABLE))
        parts = [forward(runner, chunk(LONG, LONG_TABLE, start, start + size)) for start in range(0, len(LONG), size)]
        self.check_equal(runner, torch.cat(parts), whole)

    def test_sequences_in_a_batch_get_the_logits_that_they_get_alone(self, runner):
        long, short = forward(runner, chunk(LONG, LONG_TABLE)), forward(runner, chunk(SHORT, SHORT_TABLE))
        forward(runner, chunk(LONG, LONG_TABLE, 0, 40), chunk(SHORT, SHORT_TABLE, 0, 20))
        together = forward(runner, chunk(SHORT, SHORT_TABLE, 20), chunk(LONG, LONG_TABLE, 40))
        self.check_equal(runner, together, torch.cat((short[20:], long[40:])))

    def test_places_of_the_blocks_do_not_change_the_logits(self, runner):
        expected = forward(runner, chunk(LONG, (0, 1, 2, 3)))
        torch.testing.assert_close(forward(runner, chunk(LONG, (23, 5, 14, 9))), expected, atol=0, rtol=0)

    def test_tokens_can_be_overwritten(self, runner):
        """As after a draft that was rejected."""
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        forward(runner, chunk((*LONG[:40], *SHORT[:8]), LONG_TABLE))
        self.check_equal(runner, forward(runner, chunk(LONG, LONG_TABLE, 40)), expected[40:])

    def test_copied_blocks_continue_a_sequence(self, runner):
        expected = forward(runner, chunk(LONG, LONG_TABLE))[48:]
        data = runner.read_blocks(LONG_TABLE[:3])
        assert data.dtype == np.uint8
        assert data.shape == (3, runner.cache_layout.block_bytes)
        forward(runner, chunk(SHORT, LONG_TABLE[:2]))  # the copy must not change with the cache
        data.flags.writeable = False
        runner.write_blocks((20, 21, 0), data)
        np.testing.assert_array_equal(runner.read_blocks((20, 21, 0)), data)
        self.check_equal(runner, forward(runner, chunk(LONG, (20, 21, 0, 13), 48)), expected)

    def test_only_requested_logits_are_returned(self, runner):
        full = forward(runner, chunk(LONG, LONG_TABLE), chunk(SHORT, SHORT_TABLE))
        assert full.shape == (len(LONG) + len(SHORT), runner.vocabulary_size)
        none = forward(runner, chunk(LONG, LONG_TABLE, logits=0), chunk(SHORT, SHORT_TABLE, logits=0))
        assert none.shape == (0, runner.vocabulary_size)
        some = forward(runner, chunk(LONG, LONG_TABLE, logits=1), chunk(SHORT, SHORT_TABLE, logits=3))
        self.check_equal(runner, some, torch.cat((full[len(LONG) - 1 : len(LONG)], full[-3:])))

    def test_abort_between_passes_does_nothing(self, runner):
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        runner.abort()
        self.check_equal(runner, forward(runner, chunk(LONG, LONG_TABLE)), expected)
