"""Flows: the same generator under the sync and the async driver."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator

import pytest

from langchain_gptoss._flow import Flow, arun_flow, call, consume, gather, run_flow


def run_both(make_flow):
    """Return the result of a flow, which must be the same under both drivers."""
    result = run_flow(make_flow())
    assert asyncio.run(arun_flow(make_flow())) == result
    return result


async def return_async(value):
    return value


def add(first: int, second: int) -> Flow[int]:
    left = yield from call(lambda: first, lambda: return_async(first))
    right = yield from call(lambda: second)
    return left + right


def raise_error():
    raise ConnectionError("no route")


def test_calls_return_their_results_to_the_flow():
    assert run_both(lambda: add(2, 3)) == 5


def test_a_flow_without_calls_returns_at_once():
    def flow() -> Flow[str]:
        return "done"
        yield

    assert run_both(flow) == "done"


def test_the_async_driver_calls_the_async_form():
    flow = call(lambda: "sync", lambda: return_async("async"))
    assert asyncio.run(arun_flow(flow)) == "async"


def test_gather_keeps_the_order_of_the_flows():
    assert run_both(lambda: gather(add(number, 1) for number in range(5))) == [1, 2, 3, 4, 5]


def test_gather_runs_async_calls_concurrently():
    async def run() -> list[None]:
        barrier = asyncio.Barrier(3)
        return await arun_flow(gather(call(lambda: None, barrier.wait) for _ in range(3)))

    assert sorted(asyncio.run(run())) == [0, 1, 2]


def test_an_error_of_a_call_can_be_handled_in_the_flow():
    def flow() -> Flow[str]:
        try:
            yield from call(raise_error)
        except ConnectionError as error:
            return f"handled: {error}"
        return "no error"

    assert run_both(flow) == "handled: no route"


def test_an_error_that_the_flow_does_not_handle_reaches_the_caller():
    def flow() -> Flow[None]:
        yield from call(raise_error)

    with pytest.raises(ConnectionError, match="no route"):
        run_flow(flow())
    with pytest.raises(ConnectionError, match="no route"):
        asyncio.run(arun_flow(flow()))


def test_stop_iteration_in_a_call_does_not_end_the_flow_silently():
    empty: Iterator[int] = iter(())

    def flow() -> Flow[int]:
        value = yield from call(lambda: next(empty))
        return value

    with pytest.raises(RuntimeError, match="StopIteration"):
        run_flow(flow())


class Numbers:
    """Streams that count how many items were produced and whether they were closed."""

    def __init__(self) -> None:
        self.produced, self.is_closed = 0, False

    def stream(self) -> Iterator[int]:
        try:
            while True:
                self.produced += 1
                yield self.produced
        finally:
            self.is_closed = True

    async def astream(self) -> AsyncIterator[int]:
        try:
            while True:
                self.produced += 1
                yield self.produced
        finally:
            self.is_closed = True


@pytest.mark.parametrize("run", [run_flow, lambda flow: asyncio.run(arun_flow(flow))], ids=["sync", "async"])
def test_a_stream_is_closed_when_enough_was_taken(run):
    numbers, taken = Numbers(), []

    def take(number: int) -> bool:
        taken.append(number)
        return number == 3

    run(consume(numbers.stream, numbers.astream, take))
    assert taken == [1, 2, 3]
    assert numbers.produced == 3
    assert numbers.is_closed


@pytest.mark.parametrize("run", [run_flow, lambda flow: asyncio.run(arun_flow(flow))], ids=["sync", "async"])
def test_an_error_while_taking_closes_the_stream(run):
    numbers = Numbers()

    def take(number: int) -> bool:
        raise KeyError(number)

    with pytest.raises(KeyError):
        run(consume(numbers.stream, numbers.astream, take))
    assert numbers.produced == 1
    assert numbers.is_closed


async def test_items_are_taken_in_a_thread_if_that_is_slow():
    threads = []

    def take(number: int) -> bool:
        threads.append(threading.current_thread() is threading.main_thread())
        return number == 2

    for is_slow in (False, True):
        numbers = Numbers()
        await arun_flow(consume(numbers.stream, numbers.astream, take, is_slow=is_slow))
        assert numbers.is_closed
    assert threads == [True, True, False, False]


async def test_cancelling_reaches_the_flow():
    cleaned_up = []

    def flow() -> Flow[None]:
        try:
            yield from call(lambda: None, lambda: asyncio.sleep(60))
        finally:
            cleaned_up.append(True)

    task = asyncio.create_task(arun_flow(flow()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert cleaned_up == [True]
