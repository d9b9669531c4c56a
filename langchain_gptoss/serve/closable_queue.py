"""A queue whose reader may leave."""

import asyncio
from typing import TypeVar

Item = TypeVar("Item")


class ClosableQueue(asyncio.Queue[Item]):
    """A queue that drops items after `close`, so that a writer does not wait for a reader that has left.

    Cancelling the writer is not enough: a generator may catch the cancellation, and end or fail after it, which the
    writer reports to the queue.
    """

    def __init__(self, maxsize: int) -> None:
        super().__init__(maxsize)
        self._is_closed = False

    async def put(self, item: Item) -> None:
        """Add an item, and wait for a free place; without effect on a closed queue."""
        if not self._is_closed:
            await super().put(item)

    def close(self) -> None:
        """Drop the items from now on. Cancel a writer that may wait for a place after this."""
        self._is_closed = True
