"""Sampler: distribution, top_k, top_p, temperature, seeds; log-probabilities."""

import math
from collections import Counter

import pytest
import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.sampling import Sampler, compute_logprobs

SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def draw(logits: torch.Tensor, times: int = 300, **params: object) -> Counter[int]:
    sampler = Sampler(SamplingParams(seed=0, **params))
    return Counter(sampler.sample(logits) for _ in range(times))


def test_temperature_zero_chooses_the_most_likely_token():
    logits = torch.randn(1000, generator=torch.Generator().manual_seed(3))
    assert set(draw(logits, temperature=0.0, top_p=0.1, top_k=3)) == {int(logits.argmax())}


def test_same_seed_repeats_the_tokens_and_another_seed_does_not():
    logits = torch.zeros(1000)
    runs = []
    for seed in (1, 1, 2):
        sampler = Sampler(SamplingParams(seed=seed))
        runs.append([sampler.sample(logits) for _ in range(20)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(set(runs[0])) > 10


def test_seed_gives_the_same_tokens_beside_other_samplers():
    logits = torch.zeros(1000)
    alone = Sampler(SamplingParams(seed=1))
    expected = [alone.sample(logits) for _ in range(10)]
    first, second = Sampler(SamplingParams(seed=1)), Sampler(SamplingParams(seed=2))
    mixed = []
    for _ in range(10):
        mixed.append(first.sample(logits))
        second.sample(logits)
        torch.rand(3)
    assert mixed == expected


def test_answers_without_a_seed_differ():
    logits = torch.zeros(100_000)
    assert len({Sampler(SamplingParams()).sample(logits) for _ in range(5)}) > 1


def test_temperature_one_samples_from_the_model_s_distribution():
    counts = draw(SHARES, times=4000, temperature=1.0)
    for token, share in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


def test_low_temperature_sharpens_and_high_temperature_flattens():
    cold, hot = draw(SHARES, temperature=0.3), draw(SHARES, temperature=5.0)
    assert cold[0] > 240
    assert hot[3] > 30


@pytest.mark.parametrize(
    ("top_k", "allowed"), [(1, {0}), (2, {0, 1}), (3, {0, 1, 2}), (4, {0, 1, 2, 3}), (99, {0, 1, 2, 3})]
)
def test_top_k_limits_the_tokens(top_k, allowed):
    assert set(draw(SHARES, times=600, temperature=1.0, top_k=top_k)) == allowed


@pytest.mark.parametrize(
    ("top_p", "allowed"),
    [
        (0.01, {0}),
        (0.49, {0}),
        (0.6, {0, 1}),  # 0.5 is not enough, so the next token is included
        (0.9, {0, 1, 2}),
        (0.96, {0, 1, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_top_p_includes_the_token_that_reaches_it(top_p, allowed):
    assert set(draw(SHARES, times=600, temperature=1.0, top_p=top_p)) == allowed


def test_top_p_applies_after_top_k():
    # Of 0.5 and 0.3 the first has 62 %.
    assert set(draw(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.6)) == {0}
    assert set(draw(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.65)) == {0, 1}


@pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-45, 1e-300, 5e-324])
def test_lowest_temperatures_choose_the_most_likely_token(temperature):
    assert set(draw(torch.tensor([3.0, 30.0, -40.0]), times=5, temperature=temperature)) == {1}


@pytest.mark.parametrize("temperature", [1e30, 1e300, math.inf])
def test_highest_temperatures_choose_evenly(temperature):
    assert set(draw(torch.tensor([3.0, 30.0, -40.0]), times=60, temperature=temperature)) == {0, 1, 2}


def test_infinite_and_extreme_logits():
    logits = torch.tensor([-torch.inf, 3e38, -3e38, 3e38])
    assert set(draw(logits, times=60, temperature=0.7, top_p=0.999)) == {1, 3}
    assert set(draw(torch.tensor([0.0]), times=2, top_p=1e-9, top_k=1)) == {0}
    assert set(draw(torch.tensor([1.0, 0.0]).bfloat16(), times=60)) == {0, 1}


def test_logprobs_are_those_of_the_model():
    logprobs = compute_logprobs(SHARES, 2, 2)
    assert logprobs.chosen == pytest.approx(math.log(0.15))
    assert [token_id for token_id, _ in logprobs.top] == [0, 1]
    assert [value for _, value in logprobs.top] == pytest.approx([math.log(0.5), math.log(0.3)])
