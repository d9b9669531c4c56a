"""Sampler: distribution, filters, temperature, penalties, bias, seeds; log-probabilities."""

import math
from collections import Counter

import numpy as np
import numpy.typing as npt
import pytest
import torch

from langchain_gptoss.engine.request import SamplingParams
from langchain_gptoss.engine.sampling import Sampler, compute_logprobs
from langchain_gptoss.errors import GptOssError

SHARES = np.log(np.array([0.5, 0.3, 0.15, 0.05], dtype=np.float32))
Logits = npt.NDArray[np.float32]


def create_logits(*values: float) -> Logits:
    return np.array(values, dtype=np.float32)


def draw(logits: Logits, times: int = 300, **params: object) -> Counter[int]:
    sampler = Sampler(SamplingParams(seed=0, **params))
    return Counter(sampler.sample(logits) for _ in range(times))


def test_temperature_zero_chooses_the_most_likely_token():
    logits = np.random.default_rng(3).normal(size=1000).astype(np.float32)
    assert set(draw(logits, temperature=0.0, top_p=0.1, top_k=3)) == {int(logits.argmax())}


def test_same_seed_repeats_the_tokens_and_another_seed_does_not():
    logits = np.zeros(1000, dtype=np.float32)
    runs = []
    for seed in (1, 1, 2):
        sampler = Sampler(SamplingParams(seed=seed))
        runs.append([sampler.sample(logits) for _ in range(20)])
    assert runs[0] == runs[1]
    assert runs[0] != runs[2]
    assert len(set(runs[0])) > 10


def test_seed_gives_the_same_tokens_beside_other_samplers():
    logits = np.zeros(1000, dtype=np.float32)
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
    logits = np.zeros(100_000, dtype=np.float32)
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


def test_shares_in_the_nucleus_are_those_of_the_model():
    counts = draw(SHARES, times=4000, temperature=1.0, top_p=0.9)
    for token, share in enumerate([0.5, 0.3, 0.15]):
        assert counts[token] / 4000 == pytest.approx(share / 0.95, abs=0.03)


def test_equally_likely_tokens_are_all_in_the_nucleus():
    assert set(draw(create_logits(1.0, 1.0, 1.0, -5.0), times=100, top_p=0.1)) == {0, 1, 2}


def test_top_p_does_not_depend_on_min_p():
    # Without the last token, which min_p excludes, the first two would be enough.
    assert set(draw(SHARES, times=600, temperature=1.0, top_p=0.83, min_p=0.2)) == {0, 1, 2}


def test_large_vocabulary_is_sampled_by_its_shares():
    logits = np.full(10_001, -math.inf, dtype=np.float32)
    shares = {3: 0.4, 255: 0.1, 256: 0.2, 9_999: 0.05, 10_000: 0.25}
    logits[list(shares)] = np.log(list(shares.values()))
    counts = draw(logits, times=4000, temperature=1.0)
    assert set(counts) == set(shares)
    for token, share in shares.items():
        assert counts[token] / 4000 == pytest.approx(share, abs=0.03)


@pytest.mark.parametrize("value", [math.nan, math.inf])
@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logits_that_are_not_numbers_are_refused(value, temperature):
    with pytest.raises(GptOssError, match="not numbers"):
        draw(create_logits(0.0, 1.0, value, 2.0), times=1, temperature=temperature)


def test_top_p_applies_after_top_k():
    # Of 0.5 and 0.3 the first has 62 %.
    assert set(draw(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.6)) == {0}
    assert set(draw(SHARES, times=600, temperature=1.0, top_k=2, top_p=0.65)) == {0, 1}


@pytest.mark.parametrize(
    ("min_p", "allowed"),
    [(0.0, {0, 1, 2, 3}), (0.09, {0, 1, 2, 3}), (0.11, {0, 1, 2}), (0.29, {0, 1, 2}), (0.31, {0, 1}), (1.0, {0})],
)
def test_min_p_is_relative_to_the_most_likely_token(min_p, allowed):
    assert set(draw(SHARES, times=600, temperature=1.0, min_p=min_p)) == allowed


def test_min_p_applies_after_temperature():
    # At temperature 2 the shares are 1 : 0.77 : 0.55 : 0.32.
    assert set(draw(SHARES, times=600, temperature=2.0, min_p=0.31)) == {0, 1, 2, 3}


def choose_greedily(logits: list[float], times: int, **params: object) -> list[int]:
    sampler = Sampler(SamplingParams(temperature=0.0, **params))
    return [sampler.sample(create_logits(*logits)) for _ in range(times)]


def test_presence_penalty_counts_a_token_once():
    # 3.0 falls to 2.0 with the first use and stays there, above 1.9 and below 2.5.
    assert choose_greedily([3.0, 2.5, 1.9], 6, presence_penalty=1.0) == [0, 1, 0, 0, 0, 0]


def test_frequency_penalty_counts_each_use():
    # After each round both logits are 1 lower, and the first one always has a lead of a half.
    assert choose_greedily([3.0, 2.5, -9.0], 6, frequency_penalty=1.0) == [0, 1, 0, 1, 0, 1]


def test_penalties_add_up():
    # 3.0 falls by 1.5, then by 0.5 each time: 1.5, 1.0, 0.5.
    assert choose_greedily([3.0, 1.2, 0.9], 5, frequency_penalty=0.5, presence_penalty=1.0) == [0, 0, 1, 0, 2]


def test_negative_penalties_favour_repetition():
    logits = np.zeros(50, dtype=np.float32)
    sampler = Sampler(SamplingParams(seed=3, presence_penalty=-2.0, frequency_penalty=-2.0))
    tokens = [sampler.sample(logits) for _ in range(60)]
    assert len(set(tokens[-20:])) == 1


def test_penalties_change_the_distribution_as_defined():
    sampler = Sampler(SamplingParams(seed=1, presence_penalty=0.7, frequency_penalty=0.4))
    logits = np.zeros(3, dtype=np.float32)
    counts = Counter()
    for _ in range(6):  # the difference of the sampler's logits equals that of the definition
        expected = [-0.4 * counts[token] - 0.7 * (counts[token] > 0) for token in range(3)]
        if counts:
            assert sampler._adjustment.tolist() == pytest.approx(expected, abs=1e-6)
        counts[sampler.sample(logits)] += 1


def test_tokens_of_one_answer_do_not_count_in_another():
    params = SamplingParams(temperature=0.0, presence_penalty=2.0)
    logits = create_logits(1.0, 0.5)
    assert Sampler(params).sample(logits) == Sampler(params).sample(logits) == 0


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_logit_bias_forbids_and_forces_tokens(temperature):
    assert set(draw(SHARES, times=50, temperature=temperature, logit_bias={3: 100})) == {3}
    assert set(draw(SHARES, times=300, temperature=temperature, logit_bias={0: -100})) <= {1, 2, 3}
    assert 0 not in draw(SHARES, times=300, temperature=temperature, logit_bias={0: -100})


def test_logit_bias_is_added_before_temperature():
    # At temperature 2, a bias of 2 is a factor of e.
    counts = draw(np.zeros(2, dtype=np.float32), times=4000, temperature=2.0, logit_bias={1: 2.0})
    assert counts[1] / 4000 == pytest.approx(math.e / (1 + math.e), abs=0.03)


def test_logit_bias_and_penalties_cannot_undo_a_mask():
    masked = create_logits(-math.inf, 1.0, -math.inf, 0.0)
    options = {"logit_bias": {0: 100, 1: -100}, "presence_penalty": -2.0, "frequency_penalty": -2.0}
    for temperature in (0.0, 1.0, 50.0):
        assert set(draw(masked, times=100, temperature=temperature, **options)) <= {1, 3}
    only = create_logits(-math.inf, 1.0)
    assert set(draw(only, times=20, temperature=1.0, logit_bias={0: 100, 1: -100}, presence_penalty=2.0)) == {1}


def test_logits_are_not_changed():
    logits = create_logits(1.0, 0.5)
    draw(logits, times=5, temperature=0.0, logit_bias={1: 3.0}, frequency_penalty=1.0)
    assert logits.tolist() == [1.0, 0.5]


@pytest.mark.parametrize("temperature", [1e-6, 1e-38, 1e-45, 1e-300, 5e-324])
def test_lowest_temperatures_choose_the_most_likely_token(temperature):
    assert set(draw(create_logits(3.0, 30.0, -40.0), times=5, temperature=temperature)) == {1}


@pytest.mark.parametrize("temperature", [1e30, 1e300, math.inf])
def test_highest_temperatures_choose_evenly(temperature):
    assert set(draw(create_logits(3.0, 30.0, -40.0), times=60, temperature=temperature)) == {0, 1, 2}


def test_infinite_and_extreme_logits():
    logits = create_logits(-math.inf, 3e38, -3e38, 3e38)
    assert set(draw(logits, times=60, temperature=0.7, top_p=0.999)) == {1, 3}
    assert set(draw(create_logits(0.0), times=2, top_p=1e-9, top_k=1)) == {0}


def test_logprobs_are_those_of_the_model():
    logprobs = compute_logprobs(SHARES, 2, 2)
    assert logprobs.chosen == pytest.approx(math.log(0.15))
    assert [token_id for token_id, _ in logprobs.top] == [0, 1]
    assert [value for _, value in logprobs.top] == pytest.approx([math.log(0.5), math.log(0.3)])


@pytest.mark.parametrize("seed", [-(2**63), -1, 0, 2**63, 2**64 - 1])
def test_every_valid_seed_is_repeatable(seed):
    logits = np.zeros(1000, dtype=np.float32)
    first, second = (Sampler(SamplingParams(seed=seed)).sample(logits) for _ in range(2))
    assert first == second


def test_logprobs_of_requested_tokens_are_reported_however_unlikely_they_are():
    logprobs = compute_logprobs(SHARES, 0, 1, (3, 1))
    assert [token_id for token_id, _ in logprobs.top] == [0]
    assert [token_id for token_id, _ in logprobs.requested] == [3, 1]
    assert [value for _, value in logprobs.requested] == pytest.approx([math.log(0.05), math.log(0.3)])
