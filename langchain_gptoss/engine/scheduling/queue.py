"""The requests that wait for a place in the batch."""

from dataclasses import dataclass
from typing import Generic, TypeVar

Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class _Entry(Generic[Item]):
    item: Item
    priority: int
    number: int
    arrival_s: float


class WaitingQueue(Generic[Item]):
    """Items in the order of priority and arrival, with a bound on their number and on being overtaken.

    An item that has waited longer than `max_wait_s` goes before all that have not, whatever their priority. The owner
    guards it with a lock if several threads use it.
    """

    def __init__(self, *, max_items: int, max_wait_s: float = 30.0) -> None:
        """Create an empty queue.

        Args:
            max_items: Maximum number of items from `add`; items that return to the head are not refused.
            max_wait_s: Time after which priority no longer counts, in seconds.
        """
        self._max_items = max_items
        self._max_wait_s = max_wait_s
        self._entries: list[_Entry[Item]] = []
        self._returned: list[Item] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._entries) + len(self._returned)

    def add(self, item: Item, *, priority: int, now_s: float) -> bool:
        """Append an item; return False if the queue is full.

        Args:
            item: The item.
            priority: A higher number goes first.
            now_s: Time on a monotonic clock, in seconds.
        """
        if len(self) >= self._max_items:
            return False
        self._count += 1
        self._entries.append(_Entry(item=item, priority=priority, number=self._count, arrival_s=now_s))
        return True

    def return_to_head(self, item: Item) -> None:
        """Put a preempted item before all others."""
        self._returned.append(item)

    def peek(self, *, now_s: float) -> Item | None:
        """Return the next item and leave it in the queue; None if the queue is empty."""
        if self._returned:
            return self._returned[-1]
        return min(self._entries, key=lambda entry: self._rank(entry, now_s)).item if self._entries else None

    def remove(self, item: Item) -> bool:
        """Remove an item by identity; return False if it is not in the queue."""
        count = len(self)
        self._returned = [other for other in self._returned if other is not item]
        self._entries = [entry for entry in self._entries if entry.item is not item]
        return len(self) < count

    def list_items(self) -> list[Item]:
        """Return all items, in no particular order."""
        return [*self._returned, *(entry.item for entry in self._entries)]

    def _rank(self, entry: _Entry[Item], now_s: float) -> tuple[bool, int, int]:
        is_overdue = now_s - entry.arrival_s > self._max_wait_s
        return (not is_overdue, 0 if is_overdue else -entry.priority, entry.number)
