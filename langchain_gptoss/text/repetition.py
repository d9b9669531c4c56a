"""Repetition at the end of a sequence of tokens or sentences."""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Repetition:
    """A sequence ends with items that repeat the items before them.

    Attributes:
        period: Distance between an item and its repetition; "a b a b a" has the period 2.
        count: Number of items at the end that equal the item one period earlier; "a b a b a" has 3.
    """

    period: int
    count: int


def find_repetitions(items: Sequence[Hashable]) -> Iterator[Repetition]:
    """Yield the repetitions at the end of a sequence, by increasing period.

    The time is linear in the length of the sequence (the Z algorithm on the reversed sequence).

    Args:
        items: The sequence.
    """
    items = items[::-1]
    length = len(items)
    counts = [0] * length
    start = end = 0  # the match that reaches furthest: items[start:end] equals items[: end - start]
    for period in range(1, length):
        count = min(end - period, counts[period - start]) if period < end else 0
        while period + count < length and items[count] == items[period + count]:
            count += 1
        counts[period] = count
        if period + count > end:
            start, end = period, period + count
        if count:
            yield Repetition(period=period, count=count)
