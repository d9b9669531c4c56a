"""Numbers of a config that the arithmetic cannot use."""

import math

import pytest

from langchain_gptoss.models.checkpoint_numbers import find_number_problem


@pytest.mark.parametrize(
    ("config", "problem"),
    [
        ({"rms_norm_eps": math.nan}, "rms_norm_eps is nan and must be a finite number"),
        ({"rms_norm_eps": math.inf}, "rms_norm_eps is inf"),
        ({"rms_norm_eps": 0}, "rms_norm_eps is 0 and must be a number from 1e-30 to 1"),
        ({"rms_norm_eps": -1e-5}, "rms_norm_eps is -1e-05"),
        ({"rms_norm_eps": "1e-5"}, "rms_norm_eps is '1e-5'"),
        ({"rms_norm_eps": True}, "rms_norm_eps is True"),
        ({"rms_norm_eps": 10**400}, "rms_norm_eps is 1000"),
        ({"rope_theta": -1.0}, "rope_theta is -1.0"),
        ({"swiglu_limit": math.nan}, "swiglu_limit is nan"),
        ({"unknown": {"deep": [1.0, math.inf]}}, "unknown.deep[1] is inf"),
        ({"partial_rotary_factor": 0.5}, "partial_rotary_factor is 0.5 and must be a number from 1 to 1"),
        ({"rope_parameters": {"partial_rotary_factor": 0.0625}}, "rope_parameters.partial_rotary_factor is 0.0625"),
        ({"rope_scaling": {"partial_rotary_factor": 2}}, "rope_scaling.partial_rotary_factor is 2"),
        ({"rope_parameters": {"full": {"factor": 0}}}, "rope_parameters.full.factor is 0"),
        ({"rope_parameters": {"original_max_position_embeddings": -1}}, "original_max_position_embeddings is -1"),
        ({"sliding_window": -1}, "sliding_window is -1 and must be a whole number from 1"),
        ({"sliding_window": 2**40}, "sliding_window is 1099511627776"),
        ({"sliding_window": 1.5}, "sliding_window is 1.5"),
        ({"head_dim": 33}, "head_dim is 33 and must be even"),
    ],
)
def test_problems_are_named(config, problem):
    assert problem in str(find_number_problem(config))


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"rms_norm_eps": 1e-5, "rope_theta": 150_000, "swiglu_limit": 7.0, "sliding_window": 128, "head_dim": 64},
        {"rope_parameters": {"rope_type": "yarn", "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0}},
        {"rope_scaling": None, "sliding_window": None, "attention_dropout": 0.0, "layer_types": ["full_attention"]},
    ],
)
def test_published_numbers_pass(config):
    assert find_number_problem(config) is None
