"""Greedy answers of a real model are those of transformers' generate: alone, in a batch, with prefixes and drafts."""

import functools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners.torch_runner import TorchRunner
from langchain_gptoss.engine.scheduling.local_engine import LocalEngine

LENGTHS = (1, 5, 15, 16, 17, 37, 64, 90)  # shorter and longer than the sliding window (16)


def draw_prompt(length: int) -> tuple[int, ...]:
    return tuple(int(n) for n in torch.randint(3, 200, (length,), generator=torch.Generator().manual_seed(length)))


@pytest.fixture(scope="module")
def engine(tiny_checkpoint: Path) -> Iterator[LocalEngine]:
    model = load_model(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32"))
    runner = TorchRunner(model, cache_dtype=torch.float32)
    engine = LocalEngine(runner, context_length=512, cache_bytes=1024 * runner.cache_layout.token_bytes)
    yield engine
    engine.close()


@functools.cache  # generate() takes a second
def generate(transformers_model: Any, prompt: tuple[int, ...]) -> list[int]:
    ids = torch.tensor([prompt])
    generated = transformers_model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24, eos_token_id=None
    )
    return generated[0, len(prompt) :].tolist()


def answer(engine: LocalEngine, *prompts: tuple[int, ...], **options: Any) -> list[list[int]]:
    sampling = SamplingParams(temperature=0.0, max_tokens=24)
    streams = [engine.submit(GenerationRequest(prompt_ids=ids, sampling=sampling, **options)) for ids in prompts]
    return [list(stream) for stream in streams]


def test_alone_then_after_a_prefix_hit(transformers_model, engine):
    for prompt in map(draw_prompt, LENGTHS):
        expected = generate(transformers_model, prompt)
        assert answer(engine, prompt) == [expected]
        cached = engine.stats.cached_tokens
        assert answer(engine, prompt) == [expected]
        assert engine.stats.cached_tokens - cached == (len(prompt) - 1) // 16 * 16


def test_in_a_batch_of_eight(transformers_model, engine):
    prompts = [draw_prompt(length) for length in LENGTHS]
    expected = [generate(transformers_model, prompt) for prompt in prompts]
    assert len({tuple(tokens) for tokens in expected}) == 8
    assert answer(engine, *prompts, is_speculative=False) == expected


def test_with_drafts(transformers_model, engine, monkeypatch):
    monkeypatch.setattr(engine._times, "estimate_draft_cost", lambda _: 0.05)
    prompt = draw_prompt(37)
    expected = generate(transformers_model, prompt)
    accepted = engine.stats.accepted_tokens
    # The answer is in the prompt, so the lookup finds it; the reference reads the same prompt.
    repeated = (*prompt, *expected, *prompt)
    assert answer(engine, repeated) == [generate(transformers_model, repeated)]
    assert engine.stats.draft_tokens > 0
    assert engine.stats.accepted_tokens >= accepted


def test_under_memory_pressure(transformers_model, engine):
    """Ten requests of more than 114 tokens in a cache of 1,024."""
    prompts = [draw_prompt(90 + n) for n in range(10)]
    expected = [generate(transformers_model, prompt) for prompt in prompts]
    preempted = engine.stats.preempted
    assert answer(engine, *prompts) == expected
    assert engine.stats.preempted > preempted
