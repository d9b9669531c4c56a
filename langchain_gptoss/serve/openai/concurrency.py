"""Several answers to one request at the same time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Coroutine, Sequence
from contextlib import aclosing
from typing import Any, TypeVar

from langchain_gptoss.serve.closable_queue import ClosableQueue

Item = TypeVar("Item")

_END = object()


async def run_together(calls: Sequence[Coroutine[Any, Any, Item]]) -> list[Item]:
    """Return the results of all calls; if one fails or the caller is cancelled, the others are cancelled."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        await _cancel(tasks)


async def merge_streams(streams: Sequence[AsyncGenerator[Item, None]]) -> AsyncGenerator[Item, None]:
    """Yield the items of several async generators as they come.

    If one fails or the caller stops reading, the others are closed.

    Args:
        streams: Async generators. A task of its own runs each, because LangChain's context variables must be reset in
            the context that set them.

    Raises:
        Exception: The error of one of them.
    """
    queue = ClosableQueue[Any](maxsize=len(streams))
    tasks = [asyncio.create_task(_fill_queue(stream, queue)) for stream in streams]
    running = len(tasks)
    try:
        while running:
            item = await queue.get()
            if isinstance(item, Exception):
                raise item
            if item is _END:
                running -= 1
            else:
                yield item
    finally:
        queue.close()
        await _cancel(tasks)


async def _fill_queue(stream: AsyncGenerator[Any, None], queue: asyncio.Queue[Any]) -> None:
    try:
        async with aclosing(stream):
            async for item in stream:
                await queue.put(item)
    except Exception as error:
        await queue.put(error)
    else:
        await queue.put(_END)


async def _cancel(tasks: Sequence[asyncio.Task[Any]]) -> None:
    """Cancel the tasks that are not done, and wait until they have ended."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
