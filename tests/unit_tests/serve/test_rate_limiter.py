"""Limits on requests a minute."""

import pytest

from langchain_gptoss.serve.rate_limiter import RateLimiter


def test_a_minutes_requests_are_allowed_at_once():
    limiter = RateLimiter()
    assert [limiter.take("a", 3, now=0.0) for _ in range(3)] == [0.0, 0.0, 0.0]
    assert limiter.take("a", 3, now=0.0) == pytest.approx(20.0)
    assert limiter.take("b", 3, now=0.0) == 0.0
    assert limiter.take("a", 3, now=15.0) == pytest.approx(5.0)
    assert limiter.take("a", 3, now=20.1) == 0.0
    assert limiter.take("a", 3, now=20.1) > 0
    assert [limiter.take("a", 3, now=10_000.0) for _ in range(4)][2:] == [0.0, pytest.approx(20.0)]


def test_the_number_of_callers_is_bounded():
    limiter = RateLimiter()
    for number in range(10_050):
        limiter.take(str(number), 1, now=0.0)
    assert limiter.take("10049", 1, now=0.0) > 0
    assert limiter.take("0", 1, now=0.0) == 0.0
