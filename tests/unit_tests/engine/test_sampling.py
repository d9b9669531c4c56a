"""SamplingParams and Sampler: what is drawn, from which tokens, and that it can be drawn again."""

import math
from collections import Counter

import pytest
import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.sampling import Sampler
from langchain_gptoss.errors import GptOssError, InvalidInputError

SHARES = torch.tensor([0.5, 0.3, 0.15, 0.05]).log()


def drawn(logits: torch.Tensor, times: int = 300, **params: object) -> Counter[int]:
    sampler = Sampler(SamplingParams(seed=0, **params))
    return Counter(sampler(logits) for _ in range(times))


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be 0 or more"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0 and at most 1"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_k": -1}, "top_k is -1; it must be 0"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 or more"),
    ],
)
def test_values_that_cannot_work_are_named(params, message):
    with pytest.raises(InvalidInputError, match=message) as caught:
        SamplingParams(**params)
    assert isinstance(caught.value, GptOssError)
    assert isinstance(caught.value, ValueError)


def test_temperature_zero_takes_the_likeliest():
    logits = torch.randn(1000, generator=torch.Generator().manual_seed(3))
    assert set(drawn(logits, temperature=0.0, top_p=0.1, top_k=3)) == {int(logits.argmax())}


def test_a_seed_gives_the_same_tokens_again_and_another_seed_others():
    logits = torch.zeros(1000)
    runs = []
    for seed in (1, 1, 2):
        sampler = Sampler(SamplingParams(seed=seed))
        runs.append([sampler(logits) for _ in range(20)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(set(runs[0])) > 10


def test_a_seed_is_not_disturbed_by_others():
    logits = torch.zeros(1000)
    alone = Sampler(SamplingParams(seed=1))
    expected = [alone(logits) for _ in range(10)]
    first, second = Sampler(SamplingParams(seed=1)), Sampler(SamplingParams(seed=2))
    mixed = []
    for _ in range(10):
        mixed.append(first(logits))
        second(logits)
        torch.rand(3)
    assert mixed == expected


def test_without_a_seed_answers_differ():
    logits = torch.zeros(100_000)
    assert len({Sampler(SamplingParams())(logits) for _ in range(5)}) > 1


def test_the_model_s_own_distribution_at_temperature_one():
    counts = drawn(SHARES, times=4000, temperature=1.0)
    for token, share in enumerate([0.5, 0.3, 0.15, 0.05]):
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


def test_temperature_sharpens_and_flattens():
    cold, hot = drawn(SHARES, temperature=0.3), drawn(SHARES, temperature=5.0)
    assert cold[0] > 240
    assert hot[3] > 30


@pytest.mark.parametrize(
    ("top_k", "allowed"), [(1, {0}), (2, {0, 1}), (3, {0, 1, 2}), (4, {0, 1, 2, 3}), (99, {0, 1, 2, 3})]
)
def test_top_k(top_k, allowed):
    assert set(drawn(SHARES, times=600, temperature=1.0, top_k=top_k)) == allowed


@pytest.mark.parametrize(
    ("top_p", "allowed"),
    [
        (0.01, {0}),
        (0.49, {0}),
        (0.6, {0, 1}),  # 0.5 is not enough: the token that crosses the share is in
        (0.9, {0, 1, 2}),
        (0.96, {0, 1, 2, 3}),
        (1.0, {0, 1, 2, 3}),
    ],
)
def test_top_p_includes_the_token_that_crosses(top_p, allowed):
    assert set(drawn(SHARES, times=600, temperature=1.0, top_p=top_p)) == allowed


def test_top_p_counts_among_what_top_k_left():
    # Of 0.5 and 0.3 the first holds 62 %.
    assert set(drawn(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.6)) == {0}
    assert set(drawn(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.65)) == {0, 1}


@pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-45, 1e-300, 5e-324])
def test_the_lowest_temperatures_take_the_likeliest(temperature):
    assert set(drawn(torch.tensor([3.0, 30.0, -40.0]), times=5, temperature=temperature)) == {1}


@pytest.mark.parametrize("temperature", [1e30, 1e300, math.inf])
def test_the_highest_temperatures_draw_evenly(temperature):
    assert set(drawn(torch.tensor([3.0, 30.0, -40.0]), times=60, temperature=temperature)) == {0, 1, 2}


def test_extreme_logits():
    logits = torch.tensor([-torch.inf, 3e38, -3e38, 3e38])
    assert set(drawn(logits, times=60, temperature=0.7, top_p=0.999)) == {1, 3}
    assert set(drawn(torch.tensor([0.0]), times=2, top_p=1e-9, top_k=1)) == {0}
    assert set(drawn(torch.tensor([1.0, 0.0]).bfloat16(), times=60)) == {0, 1}
