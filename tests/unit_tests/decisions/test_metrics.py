"""Brier score, log loss, calibration error and reliability table."""

import math

import pytest

from langchain_gptoss.decisions import (
    build_reliability_table,
    compute_brier_score,
    compute_calibration_error,
    compute_log_loss,
)
from langchain_gptoss.errors import InvalidInputError


def test_the_brier_score_is_the_mean_squared_difference():
    assert compute_brier_score([1.0, 0.0], [True, False]) == 0
    assert compute_brier_score([0.8, 0.4], [True, True]) == pytest.approx((0.04 + 0.36) / 2)


def test_the_log_loss_of_an_impossible_outcome_is_finite():
    assert compute_log_loss([0.5, 0.25], [True, False]) == pytest.approx(-(math.log(0.5) + math.log(0.75)) / 2)
    assert 20 < compute_log_loss([0.0], [True]) < 30


def test_the_table_has_mean_and_frequency_of_each_range():
    table = build_reliability_table([0.1, 0.3, 0.9, 1.0], [False, True, True, True], bins=2)
    assert [(entry.lower, entry.upper, entry.count) for entry in table] == [(0.0, 0.5, 2), (0.5, 1.0, 2)]
    assert [entry.mean_probability for entry in table] == pytest.approx([0.2, 0.95])
    assert [entry.frequency for entry in table] == pytest.approx([0.5, 1.0])


def test_the_calibration_error_weighs_the_ranges_by_their_predictions():
    assert compute_calibration_error([0.1, 0.3, 0.9, 1.0], [False, True, True, True], bins=2) == pytest.approx(
        (2 * 0.3 + 2 * 0.05) / 4
    )


def test_unequal_lengths_are_refused():
    for function in (compute_brier_score, compute_log_loss, build_reliability_table, compute_calibration_error):
        with pytest.raises(InvalidInputError, match="1 probabilities and 2 outcomes"):
            function([0.5], [True, False])
        with pytest.raises(InvalidInputError, match="0 probabilities"):
            function([], [])
    with pytest.raises(InvalidInputError, match="bins is 0"):
        build_reliability_table([0.5], [True], bins=0)
