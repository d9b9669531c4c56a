"""SamplingParams and GenerationRequest: invalid values are named."""

import math

import pytest

from langchain_gptoss.engine.request import GenerationRequest, SamplingParams
from langchain_gptoss.errors import GptOssError, InvalidInputError


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"temperature": -0.1}, "temperature is -0.1; it must be 0 or more"),
        ({"temperature": math.nan}, "temperature is nan"),
        ({"temperature": "hot"}, "temperature is 'hot'; it must be a number"),
        ({"temperature": None}, "temperature is None; it must be a number"),
        ({"top_p": 0.0}, "top_p is 0.0; it must be above 0 and at most 1"),
        ({"top_p": 1.01}, "top_p is 1.01"),
        ({"top_k": -1}, "top_k is -1; it must be 0"),
        ({"top_k": None}, "top_k is None; it must be a whole number"),
        ({"seed": 1.5}, "seed is 1.5; it must be a whole number"),
        ({"seed": 2**64}, r"seed is 18446744073709551616; it must be between -2\*\*63 and 2\*\*64 - 1"),
        ({"seed": -(2**63) - 1}, "seed is -9223372036854775809; it must be between"),
        ({"seed": 2**70}, "seed is 1180591620717411303424; it must be between"),
        ({"temperature": 10**400}, "; it must be 0 or more"),
        ({"logit_bias": {"9" * 5000: 1}}, "its keys are token ids"),
        ({"logit_bias": {10**30: 1}}, "its keys are token ids"),
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 or more"),
        ({"min_p": -0.1}, "min_p is -0.1; it must be between 0 and 1"),
        ({"min_p": 1.1}, "min_p is 1.1"),
        ({"min_p": math.nan}, "min_p is nan"),
        ({"min_p": None}, "min_p is None; it must be a number"),
        ({"frequency_penalty": 2.1}, "frequency_penalty is 2.1; it must be between -2 and 2"),
        ({"frequency_penalty": "high"}, "frequency_penalty is 'high'; it must be a number"),
        ({"presence_penalty": -2.5}, "presence_penalty is -2.5; it must be between -2 and 2"),
        ({"presence_penalty": math.nan}, "presence_penalty is nan"),
        ({"logit_bias": [1, 2]}, r"logit_bias is \[1, 2\]; it must map token ids to numbers"),
        ({"logit_bias": []}, r"logit_bias is \[\]"),
        ({"logit_bias": 3}, "logit_bias is 3"),
        ({"logit_bias": {5: 101}}, "logit_bias has 101 for the token 5; it must be a number between -100 and 100"),
        ({"logit_bias": {5: math.nan}}, "logit_bias has nan for the token 5"),
        ({"logit_bias": {5: "1"}}, "logit_bias has '1' for the token 5"),
        ({"logit_bias": {5: None}}, "logit_bias has None"),
        ({"logit_bias": {5: True}}, "logit_bias has True"),
        ({"logit_bias": {"word": 1}}, "logit_bias has the key 'word'; its keys are token ids"),
        ({"logit_bias": {-1: 1}}, "logit_bias has the key -1"),
        ({"logit_bias": {"1.5": 1}}, "logit_bias has the key '1.5'"),
        ({"logit_bias": {True: 1}}, "logit_bias has the key True"),
        ({"logit_bias": {"\u00b2": 1}}, "logit_bias has the key"),
        ({"logprobs": 21}, "logprobs is 21; it must be between 0 and 20"),
    ],
)
def test_invalid_sampling_parameter_is_named(params, message):
    with pytest.raises(InvalidInputError, match=message) as raised:
        SamplingParams(**params)
    assert isinstance(raised.value, GptOssError)
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("bias", "expected"),
    [
        (None, None),
        ({}, None),
        ({7: 1, 9: -100}, {7: 1.0, 9: -100.0}),
        ({"7": 0.5, " 9 ": 100}, {7: 0.5, 9: 100.0}),
    ],
)
def test_logit_bias_accepts_ids_as_numbers_and_as_texts(bias, expected):
    params = SamplingParams(logit_bias=bias)
    assert params.logit_bias == expected
    assert hash(params) == hash(SamplingParams())


def test_tokens_beyond_the_vocabulary_are_named():
    request = GenerationRequest(prompt_ids=(1,), sampling=SamplingParams(logit_bias={3: 1, 200: -1}))
    request.check_vocabulary(201)
    with pytest.raises(InvalidInputError, match="names the token 200; the ids of this model end at 199"):
        request.check_vocabulary(200)


def test_requested_tokens_beyond_the_vocabulary_are_named():
    request = GenerationRequest(prompt_ids=(1,), sampling=SamplingParams(logprob_ids=(3, 200)))
    request.check_vocabulary(201)
    with pytest.raises(InvalidInputError, match="logprob_ids names the token 200"):
        request.check_vocabulary(200)


def test_token_limit_is_the_smaller_of_context_and_max_tokens():
    request = GenerationRequest(prompt_ids=(1, 2, 3), sampling=SamplingParams(max_tokens=5))
    assert [request.compute_token_limit(length) for length in (4, 8, 100)] == [1, 5, 5]
    assert GenerationRequest(prompt_ids=(1, 2, 3)).compute_token_limit(100) == 97


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("deadline_s", 0),
        ("deadline_s", float("nan")),
        ("deadline_s", "soon"),
        ("priority", 1.5),
        ("cache_salt", 7),
        ("shared_tokens", -1),
    ],
)
def test_invalid_field_of_a_request_is_named(field, value):
    with pytest.raises(InvalidInputError, match=f"{field} is {value!r}"):
        GenerationRequest(prompt_ids=(1,), **{field: value})


@pytest.mark.parametrize("token_id", [-1, 10])
def test_prompt_token_outside_the_vocabulary_is_named(token_id):
    request = GenerationRequest(prompt_ids=(1, token_id))
    with pytest.raises(InvalidInputError, match=f"The prompt has the token {token_id}"):
        request.check_vocabulary(10)
