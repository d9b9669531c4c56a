"""TorchRunner on a tiny random model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners import paged_attention
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import GptOssError, GptOssMemoryError
from tests.unit_tests.engine.runners.runner_contract import (
    BLOCKS,
    LONG,
    LONG_TABLE,
    SHORT,
    SHORT_TABLE,
    RunnerContract,
    chunk,
    forward,
)


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    return load_model(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32"))


class TestTorchRunner(RunnerContract):
    @pytest.fixture
    def runner(self, model: Any) -> Iterator[TorchRunner]:
        runner = TorchRunner(model, cache_dtype=torch.float32)
        runner.allocate_cache(BLOCKS)
        yield runner
        runner.close()

    @pytest.fixture
    def reference(self, transformers_model: Any) -> Any:
        return transformers_model

    def test_abort_stops_a_pass_before_its_next_layer(self, runner, model):
        visited: list[int] = []
        layers = model.model.layers
        hooks = [
            layers[0].register_forward_hook(lambda *_: runner.abort()),
            layers[1].register_forward_hook(lambda *_: visited.append(1)),
        ]
        try:
            with pytest.raises(Cancelled):
                forward(runner, chunk(LONG, LONG_TABLE))
        finally:
            for hook in hooks:
                hook.remove()
        assert visited == []
        assert len(forward(runner, chunk(LONG, LONG_TABLE))) == len(LONG)

    @pytest.mark.parametrize("has_flash_kernel", [True, False])
    def test_tiles_of_queries_give_the_same_logits(self, runner, has_flash_kernel, monkeypatch):
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        monkeypatch.setattr(paged_attention, "_has_flash_kernel", lambda _: has_flash_kernel)
        monkeypatch.setattr(paged_attention, "MAX_TILE_SCORES", 4 * len(LONG) * 5)  # 4 heads, 5 queries at a time
        monkeypatch.setattr(paged_attention, "MAX_TILE_MASK", len(LONG) * 5)
        torch.testing.assert_close(forward(runner, chunk(LONG, LONG_TABLE)), expected, atol=1e-4, rtol=1e-4)


class TestTorchRunnerWithoutFlashKernel(TestTorchRunner):
    """Other devices than a CPU have no kernel that never stores the scores."""

    @pytest.fixture(autouse=True)
    def _hide_flash_kernel(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(paged_attention, "_has_flash_kernel", lambda _: False)

    @pytest.mark.parametrize("max_tokens", [2**16, 90, 1])
    def test_single_tokens_of_many_sequences_get_their_logits_together(self, runner, max_tokens, monkeypatch):
        monkeypatch.setattr(paged_attention, "MAX_GROUP_TOKENS", max_tokens)  # one group, two groups, three groups
        for cache in runner._caches:
            cache.fill_(torch.nan)  # as memory that was never written may be
        middle, tables = LONG[:33], (LONG_TABLE, (5, 0, 13), SHORT_TABLE)
        prompts = LONG, middle, SHORT
        expected = [forward(runner, chunk(ids, table, logits=1)) for ids, table in zip(prompts, tables, strict=True)]
        chunks = [chunk(ids, table, len(ids) - 1) for ids, table in zip(prompts, tables, strict=True)]
        other = chunk(SHORT[:7], (21,), logits=0)
        together = forward(runner, chunks[0], other, *chunks[1:])
        torch.testing.assert_close(together, torch.cat(expected), atol=1e-4, rtol=1e-4)


def test_cache_of_a_float32_model_takes_half_the_memory(model, transformers_model):
    runner = TorchRunner(model)
    runner.allocate_cache(BLOCKS)
    with torch.inference_mode():
        expected = transformers_model(input_ids=torch.tensor([LONG]), use_cache=False).logits[0]
    torch.testing.assert_close(forward(runner, chunk(LONG, LONG_TABLE)), expected, atol=5e-3, rtol=5e-3)
    assert runner.cache_layout.dtype == "float16"
    assert runner.read_blocks([0]).nbytes == runner.cache_layout.block_bytes
    runner.close()


def test_a_pass_without_a_cache_is_an_error(model):
    runner = TorchRunner(model)
    with pytest.raises(GptOssError, match="no KV cache"):
        forward(runner, chunk(LONG, LONG_TABLE))
    runner.close()


def test_a_cache_beyond_the_address_space_is_a_memory_error(model):
    runner = TorchRunner(model)
    with pytest.raises(GptOssMemoryError, match="cannot be reserved"):
        runner.allocate_cache(2**45)
    runner.close()


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("DefaultCPUAllocator: can't allocate memory: 9 bytes")])
def test_memory_that_runs_out_in_a_pass_is_a_memory_error(model, error):
    runner = TorchRunner(model)
    runner.allocate_cache(BLOCKS)

    def fail(*_: object) -> None:
        raise error

    hook = model.model.layers[1].register_forward_pre_hook(fail)
    try:
        with pytest.raises(GptOssMemoryError, match="pass over 53 tokens"):
            forward(runner, chunk(LONG, LONG_TABLE))
    finally:
        hook.remove()
        runner.close()


def test_close_gives_the_model_its_attention_back(model):
    former = model.config._attn_implementation
    runner = TorchRunner(model, cache_dtype=torch.bfloat16)
    assert runner.cache_layout.dtype == "bfloat16"
    assert model.config._attn_implementation != former
    runner.close()
    runner.close()
    assert model.config._attn_implementation == former
    with pytest.raises(GptOssError, match="was closed"):
        forward(runner, chunk(LONG, LONG_TABLE))
