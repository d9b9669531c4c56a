"""Several answers to one request at the same time."""

import asyncio
from collections.abc import AsyncGenerator

import pytest

from langchain_gptoss.serve.openai.concurrency import merge_streams, run_together


class Ended:
    """Counts the streams and calls that have ended."""

    def __init__(self) -> None:
        self.count = 0


async def count_up(name: str, size: int, ended: Ended) -> AsyncGenerator[str, None]:
    try:
        for number in range(size):
            await asyncio.sleep(0)
            yield f"{name}{number}"
    finally:
        ended.count += 1


async def fail(ended: Ended) -> AsyncGenerator[str, None]:
    try:
        yield "one"
        raise ValueError("broken")
    finally:
        ended.count += 1


async def test_items_of_all_streams_come_in_their_order():
    ended = Ended()
    items = [item async for item in merge_streams([count_up("a", 5, ended), count_up("b", 3, ended)])]
    assert [item for item in items if item[0] == "a"] == [f"a{number}" for number in range(5)]
    assert [item for item in items if item[0] == "b"] == [f"b{number}" for number in range(3)]
    assert items.index("b0") < items.index("a4")
    assert ended.count == 2


async def test_a_caller_that_stops_reading_closes_all_streams():
    ended = Ended()
    merged = merge_streams([count_up("a", 10**9, ended), count_up("b", 10**9, ended)])
    async for _ in merged:
        break
    await merged.aclose()
    assert ended.count == 2


async def test_an_error_closes_the_other_streams():
    ended = Ended()
    with pytest.raises(ValueError, match="broken"):
        async for _ in merge_streams([count_up("a", 10**9, ended), fail(ended)]):
            pass
    assert ended.count == 2


async def test_calls_run_together_and_keep_their_order():
    started = asyncio.Event()

    async def wait() -> str:
        await started.wait()
        return "first"

    async def start() -> str:
        started.set()
        return "second"

    assert await run_together([wait(), start()]) == ["first", "second"]


async def test_a_failed_call_cancels_the_others():
    ended = Ended()

    async def wait() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            ended.count += 1

    async def break_off() -> None:
        await asyncio.sleep(0)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        await run_together([wait(), break_off()])
    assert ended.count == 1


async def test_streams_that_catch_the_cancellation_are_closed_too():
    are_waiting = [asyncio.Event(), asyncio.Event()]

    async def stream(is_waiting):
        try:
            for number in range(3):
                yield number
            is_waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            yield "late"
            yield "later"

    merged = merge_streams([stream(is_waiting) for is_waiting in are_waiting])
    for _ in range(4):  # the queue is full when both wait
        await anext(merged)
    await asyncio.wait_for(asyncio.gather(*(is_waiting.wait() for is_waiting in are_waiting)), 10)
    closing = asyncio.create_task(merged.aclose())
    done, _ = await asyncio.wait({closing}, timeout=10)
    assert done == {closing}
