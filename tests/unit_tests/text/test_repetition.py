"""Repetitions at the end of a sequence."""

import random

import pytest

from langchain_gptoss.text.repetition import Repetition, find_repetitions


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("a", []),
        ("abc", []),
        ("aa", [(1, 1)]),
        ("xababa", [(2, 3), (4, 1)]),
        ("abcabc", [(3, 3)]),
        ("abcdab", [(4, 2)]),
    ],
)
def test_each_period_counts_the_repeated_items_at_the_end(text, expected):
    assert list(find_repetitions(text)) == [Repetition(period=period, count=count) for period, count in expected]


def test_counts_equal_those_of_a_direct_comparison():
    choose = random.Random(5)
    for _ in range(50):
        items = [choose.randrange(2) for _ in range(choose.randrange(1, 60))]
        found = {repetition.period: repetition.count for repetition in find_repetitions(items)}
        for period in range(1, len(items)):
            pairs = zip(reversed(items), reversed(items[:-period]), strict=False)
            count = next((index for index, (last, earlier) in enumerate(pairs) if last != earlier), len(items) - period)
            assert found.get(period, 0) == count
