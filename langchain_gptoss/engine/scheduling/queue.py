"""The requests that wait for a place in the batch."""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class _Entry(Generic[Item]):
    item: Item
    priority: int
    number: int
    arrival_s: float


class WaitingQueue(Generic[Item]):
    """Items in the order of priority and arrival, with a bound on being overtaken.

    An item that has waited longer than `max_wait_s` goes before all that have not, whatever their priority.
    """

    def __init__(self, *, max_wait_s: float = 30.0) -> None:
        """Create an empty queue.

        Args:
            max_wait_s: Time after which priority no longer counts, in seconds.
        """
        self._max_wait_s = max_wait_s
        self._entries: list[_Entry[Item]] = []
        self._returned: list[Item] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._returned)

    def __iter__(self) -> Iterator[Item]:
        """Return all items, in any order."""
        return chain(self._returned, (entry.item for entry in self._entries))

    def add(self, item: Item, *, priority: int, arrival_s: float) -> None:
        """Append an item.

        Args:
            item: The item.
            priority: A higher number goes first.
            arrival_s: Time of its arrival on a monotonic clock, in seconds.
        """
        self._count += 1
        self._entries.append(_Entry(item=item, priority=priority, number=self._count, arrival_s=arrival_s))

    def return_to_head(self, item: Item) -> None:
        """Put a preempted item before all others."""
        self._returned.append(item)

    def remove(self, item: Item) -> None:
        """Remove an item by identity; do nothing if it is not in the queue."""
        self._returned = [other for other in self._returned if other is not item]
        self._entries = [entry for entry in self._entries if entry.item is not item]

    def list_items(self, *, now_s: float) -> list[Item]:
        """Return all items, the next one first.

        Args:
            now_s: Time on the same clock as that of the arrivals, in seconds.
        """
        entries = sorted(self._entries, key=lambda entry: self._rank(entry, now_s))
        return [*reversed(self._returned), *(entry.item for entry in entries)]

    def _rank(self, entry: _Entry[Item], now_s: float) -> tuple[bool, int, int]:
        is_overdue = now_s - entry.arrival_s > self._max_wait_s
        return (not is_overdue, 0 if is_overdue else -entry.priority, entry.number)
