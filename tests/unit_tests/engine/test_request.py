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
        ({"max_tokens": 0}, "max_tokens is 0; it must be 1 or more"),
        ({"logprobs": 21}, "logprobs is 21; it must be between 0 and 20"),
    ],
)
def test_invalid_sampling_parameter_is_named(params, message):
    with pytest.raises(InvalidInputError, match=message) as raised:
        SamplingParams(**params)
    assert isinstance(raised.value, GptOssError)
    assert isinstance(raised.value, ValueError)


def test_token_limit_is_the_smaller_of_context_and_max_tokens():
    request = GenerationRequest(prompt_ids=(1, 2, 3), sampling=SamplingParams(max_tokens=5))
    assert [request.compute_token_limit(length) for length in (4, 8, 100)] == [1, 5, 5]
    assert GenerationRequest(prompt_ids=(1, 2, 3)).compute_token_limit(100) == 97
