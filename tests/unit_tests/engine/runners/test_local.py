"""LocalEngine on a tiny random gpt_oss model: the tokens of transformers' own generate, alone and in company."""

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine import GenerationRequest, SamplingParams
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners import local
from langchain_gptoss.engine.runners.local import LocalEngine
from langchain_gptoss.errors import ContextLengthError, GptOssError

GREEDY = SamplingParams(temperature=0.0, max_tokens=40)
PROMPT = tuple(int(n) for n in torch.randint(3, 200, (37,), generator=torch.Generator().manual_seed(5)))
OTHER = tuple(int(n) for n in torch.randint(3, 200, (11,), generator=torch.Generator().manual_seed(6)))


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> Any:
    return load_model(tiny_checkpoint, plan_checkpoint(tiny_checkpoint, device="cpu", dtype="float32"))


@pytest.fixture
def engine(model: Any, tiny_checkpoint: Path) -> Iterator[LocalEngine]:
    engine = LocalEngine(model, context_length=512)
    yield engine
    engine.close()


@functools.cache  # generate() takes two seconds
def reference(transformers_model: Any, prompt: tuple[int, ...], length: int = 40) -> list[int]:
    ids = torch.tensor([prompt])
    made = transformers_model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=length, eos_token_id=None
    )
    return made[0, len(prompt) :].tolist()


@pytest.mark.parametrize("piece", [7, 36, 37, 256])
def test_greedy_tokens_equal_those_of_generate(transformers_model, engine, monkeypatch, piece):
    """The prompt is longer than a piece of the prefill and, like the answer, than the sliding window (16)."""
    monkeypatch.setattr(local, "_PREFILL_TOKENS", piece)
    expected = reference(transformers_model, PROMPT)
    assert len(set(expected)) > 5  # a model that repeats one token would prove little
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY))
    assert list(stream) == expected
    assert stream.finish_reason == "length"
    assert engine.steps == -(-len(PROMPT) // piece) + 39  # nothing is computed for a token that nobody asked for


def test_every_logit_equals_a_forward_pass_over_the_whole_sequence(transformers_model, engine, monkeypatch):
    monkeypatch.setattr(local, "_PREFILL_TOKENS", 7)
    seen: list[torch.Tensor] = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda *args: seen.append(forward(*args)) or seen[-1])
    made = list(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    with torch.inference_mode():
        whole = transformers_model(input_ids=torch.tensor([[*PROMPT, *made]]), use_cache=False).logits[0]
    torch.testing.assert_close(torch.stack(seen[-40:]), whole[len(PROMPT) - 1 : -1], atol=1e-4, rtol=1e-4)


def test_requests_side_by_side_get_the_tokens_they_get_alone(engine, monkeypatch):
    monkeypatch.setattr(local, "_PREFILL_TOKENS", 7)
    sampled = SamplingParams(temperature=1.0, seed=11, max_tokens=30)
    requests = [
        GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY),
        GenerationRequest(prompt_ids=OTHER, sampling=GREEDY),
        GenerationRequest(prompt_ids=OTHER, sampling=sampled),
    ]
    alone = [list(engine.submit(request)) for request in requests]
    together = [engine.submit(request) for request in requests]
    assert [list(stream) for stream in together] == alone
    assert alone[1] != alone[2]


def test_a_stop_token_ends_the_answer(transformers_model, engine):
    expected = reference(transformers_model, PROMPT)
    stop = expected[10]
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY, stop_ids=frozenset({stop})))
    assert list(stream) == expected[: expected.index(stop) + 1]
    assert stream.finish_reason == "stop"


def test_leaving_stops_the_forward_passes(engine):
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(temperature=0.0)))
    for _ in range(3):
        next(stream)
    stream.cancel()
    # Another request is answered, so the thread has looked at the first one since.
    assert len(list(engine.submit(GenerationRequest(prompt_ids=OTHER, sampling=GREEDY)))) == 40
    passes = engine.steps
    assert passes < 300  # of the 475 that the context allows
    engine.close()
    assert engine.steps == passes


def test_leaving_during_the_prompt_stops_the_prefill(engine, monkeypatch):
    monkeypatch.setattr(local, "_PREFILL_TOKENS", 1)
    forward = engine._forward
    started, streams = threading.Event(), []

    def leave_at_the_third(*args: Any) -> torch.Tensor:
        started.wait(10)
        if engine.steps == 2:
            streams[0].cancel()
        return forward(*args)

    monkeypatch.setattr(engine, "_forward", leave_at_the_third)
    streams.append(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    started.set()
    assert list(streams[0]) == []
    assert len(list(engine.submit(GenerationRequest(prompt_ids=OTHER, sampling=SamplingParams(max_tokens=1))))) == 1
    assert engine.steps == 3 + len(OTHER)


def test_leaving_in_the_middle_of_a_piece_stops_it_before_the_next_layer(engine, model):
    streams, layers = [], model.model.layers
    started = threading.Event()
    passed: list[int] = []

    def leave(*_: Any) -> None:
        started.wait(10)
        passed.append(0)
        streams[0].cancel()

    hooks = [layers[0].register_forward_hook(leave), layers[1].register_forward_hook(lambda *_: passed.append(1))]
    streams.append(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    started.set()
    assert list(streams[0]) == []
    engine.close()  # waits for the step in progress
    for hook in hooks:
        hook.remove()
    assert passed == [0]


def test_an_error_in_the_model_reaches_its_listener_only(engine, monkeypatch):
    broken = GenerationRequest(prompt_ids=(1, 2, 10_000), sampling=GREEDY)  # no such token
    fine = GenerationRequest(prompt_ids=OTHER, sampling=GREEDY)
    streams = engine.submit(broken), engine.submit(fine)
    with pytest.raises(IndexError):
        list(streams[0])
    assert len(list(streams[1])) == 40


def test_the_context_is_kept(model):
    engine = LocalEngine(model, context_length=50)
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(temperature=0.0)))
    assert len(list(stream)) == 13
    assert stream.finish_reason == "length"
    with pytest.raises(ContextLengthError):
        engine.submit(GenerationRequest(prompt_ids=PROMPT * 2))
    engine.close()


def test_close_ends_what_runs_and_frees_the_model(model):
    engine = LocalEngine(model, context_length=512)
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(temperature=0.0)))
    next(stream)
    engine.close()
    engine.close()
    list(stream)
    assert stream.finish_reason == "cancelled"
    assert engine._model is None
    with pytest.raises(GptOssError, match="was closed"):
        engine.submit(GenerationRequest(prompt_ids=PROMPT))


def test_the_registry_loads_a_checkpoint_once_and_again_after_close(tiny_checkpoint, monkeypatch):
    from langchain_gptoss.engine import registry

    monkeypatch.setattr(registry, "_local", [])
    first = registry.get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    assert registry.get_local_engine(tiny_checkpoint / ".", device="cpu", dtype="float32") is first
    assert registry.get_local_engine(tiny_checkpoint) is first
    assert registry.get_local_engine(tiny_checkpoint, dtype="float32", max_context=512) is first
    assert registry.get_local_engine(tiny_checkpoint, device="cpu", dtype="bfloat16") is not first
    shorter = registry.get_local_engine(tiny_checkpoint, max_context=100)
    assert (first.context_length, shorter.context_length) == (512, 100)
    registry.close_all()
    with pytest.raises(GptOssError, match="was closed"):
        first.submit(GenerationRequest(prompt_ids=PROMPT))
    again = registry.get_local_engine(tiny_checkpoint, device="cpu", dtype="float32")
    assert again is not first
    assert len(list(again.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))) == 40
    registry.close_all()
