"""LocalEngine on a tiny random model: the tokens of transformers' generate, alone and beside other requests."""

import functools
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from langchain_gptoss.engine import GenerationRequest, Grammar, SamplingParams
from langchain_gptoss.engine.loading import load_model, plan_checkpoint
from langchain_gptoss.engine.runners import local
from langchain_gptoss.engine.runners.local import LocalEngine
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError

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
def generate_reference(transformers_model: Any, prompt: tuple[int, ...], length: int = 40) -> list[int]:
    ids = torch.tensor([prompt])
    generated = transformers_model.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=length, eos_token_id=None
    )
    return generated[0, len(prompt) :].tolist()


@pytest.mark.parametrize("chunk", [7, 36, 37, 256])
def test_greedy_tokens_equal_those_of_generate(transformers_model, engine, monkeypatch, chunk):
    """Prompt and answer are longer than the sliding window (16), and the prompt is longer than most chunks."""
    monkeypatch.setattr(local, "_PREFILL_TOKENS", chunk)
    expected = generate_reference(transformers_model, PROMPT)
    assert len(set(expected)) > 5  # the test would prove little for a model that repeats one token
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY))
    assert list(stream) == expected
    assert stream.finish_reason == "length"
    assert engine.steps == -(-len(PROMPT) // chunk) + 39  # nothing is computed after the last token


def test_penalties_and_bias_apply_to_the_tokens_of_the_answer(engine):
    def generate(**options: Any) -> list[int]:
        params = SamplingParams(temperature=0.0, max_tokens=40, **options)
        return list(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=params)))

    plain = generate()
    assert len(set(plain)) < 40
    assert len(set(generate(presence_penalty=2.0, frequency_penalty=2.0))) > len(set(plain))
    assert plain[0] not in generate(logit_bias={plain[0]: -100})
    assert set(generate(logit_bias={str(plain[0]): 100})) == {plain[0]}


def test_bias_of_an_unknown_token_is_rejected(engine):
    request = GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(logit_bias={200: 1}))
    with pytest.raises(InvalidInputError, match="names the token 200; the ids of this model end at 199"):
        engine.submit(request)


def test_logits_equal_one_forward_pass_over_the_whole_sequence(transformers_model, engine, monkeypatch):
    monkeypatch.setattr(local, "_PREFILL_TOKENS", 7)
    recorded: list[torch.Tensor] = []
    forward = engine._forward
    monkeypatch.setattr(engine, "_forward", lambda *args: recorded.append(forward(*args)) or recorded[-1])
    answer = list(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    with torch.inference_mode():
        expected = transformers_model(input_ids=torch.tensor([[*PROMPT, *answer]]), use_cache=False).logits[0]
    torch.testing.assert_close(torch.stack(recorded[-40:]), expected[len(PROMPT) - 1 : -1], atol=1e-4, rtol=1e-4)


def test_overlapping_requests_get_the_same_tokens_as_alone(engine, monkeypatch):
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


def test_stop_token_ends_the_answer(transformers_model, engine):
    expected = generate_reference(transformers_model, PROMPT)
    stop = expected[10]
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY, stop_ids=frozenset({stop})))
    assert list(stream) == expected[: expected.index(stop) + 1]
    assert stream.finish_reason == "stop"


def test_cancelling_stops_the_forward_passes(engine):
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(temperature=0.0)))
    for _ in range(3):
        next(stream)
    stream.cancel()
    # Another request is answered, so the thread has checked the first one again.
    assert len(list(engine.submit(GenerationRequest(prompt_ids=OTHER, sampling=GREEDY)))) == 40
    passes = engine.steps
    assert passes < 400  # the context allows 475
    engine.close()
    assert engine.steps == passes


def test_cancelling_during_the_prompt_stops_the_prefill(engine, monkeypatch):
    monkeypatch.setattr(local, "_PREFILL_TOKENS", 1)
    forward = engine._forward
    started, streams = threading.Event(), []

    def cancel_at_the_third(*args: Any) -> torch.Tensor:
        started.wait(10)
        if engine.steps == 2:
            streams[0].cancel()
        return forward(*args)

    monkeypatch.setattr(engine, "_forward", cancel_at_the_third)
    streams.append(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    started.set()
    assert list(streams[0]) == []
    assert len(list(engine.submit(GenerationRequest(prompt_ids=OTHER, sampling=SamplingParams(max_tokens=1))))) == 1
    assert engine.steps == 3 + len(OTHER)


def test_cancelling_within_a_chunk_stops_before_the_next_layer(engine, model):
    streams, layers = [], model.model.layers
    started = threading.Event()
    visited: list[int] = []

    def cancel(*_: Any) -> None:
        started.wait(10)
        visited.append(0)
        streams[0].cancel()

    hooks = [layers[0].register_forward_hook(cancel), layers[1].register_forward_hook(lambda *_: visited.append(1))]
    streams.append(engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=GREEDY)))
    started.set()
    assert list(streams[0]) == []
    engine.close()  # waits for the step in progress
    for hook in hooks:
        hook.remove()
    assert visited == [0]


def test_error_in_the_model_reaches_only_its_own_stream(engine, monkeypatch):
    broken = GenerationRequest(prompt_ids=(1, 2, 10_000), sampling=GREEDY)  # no such token
    fine = GenerationRequest(prompt_ids=OTHER, sampling=GREEDY)
    streams = engine.submit(broken), engine.submit(fine)
    with pytest.raises(IndexError):
        list(streams[0])
    assert len(list(streams[1])) == 40


def test_context_limits_the_answer(model):
    engine = LocalEngine(model, context_length=50)
    stream = engine.submit(GenerationRequest(prompt_ids=PROMPT, sampling=SamplingParams(temperature=0.0)))
    assert len(list(stream)) == 13
    assert stream.finish_reason == "length"
    with pytest.raises(ContextLengthError):
        engine.submit(GenerationRequest(prompt_ids=PROMPT * 2))
    engine.close()


def test_close_cancels_and_frees_the_model(model):
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


def test_grammar_without_a_checkpoint_folder_is_rejected(engine):
    request = GenerationRequest(prompt_ids=PROMPT, grammar=Grammar(lark='start: "a"'))
    with pytest.raises(InvalidInputError, match="no tokenizer"):
        engine.submit(request)
