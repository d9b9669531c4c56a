"""TorchRunner on a tiny random model."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners import torch_runner
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.engine.token_stream import Cancelled
from langchain_gptoss.errors import GptOssError
from tests.unit_tests.engine.runners.runner_contract import BLOCKS, LONG, LONG_TABLE, RunnerContract, chunk, forward


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    return load_model(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32"))


class TestTorchRunner(RunnerContract):
    @pytest.fixture
    def runner(self, model: Any) -> Iterator[TorchRunner]:
        runner = TorchRunner(model)
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

    def test_tiles_of_queries_give_the_same_logits(self, runner, monkeypatch):
        expected = forward(runner, chunk(LONG, LONG_TABLE))
        monkeypatch.setattr(torch_runner, "_MAX_SCORES", 4 * len(LONG) * 5)  # 4 heads, 5 queries at a time
        torch.testing.assert_close(forward(runner, chunk(LONG, LONG_TABLE)), expected, atol=1e-4, rtol=1e-4)


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
