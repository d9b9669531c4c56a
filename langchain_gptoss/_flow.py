"""One implementation for sync and async code.

A flow is a generator that yields the calls it needs and returns a result. Two drivers make the calls: `run_flow` in
their sync form, `arun_flow` in their async form. The logic between the calls is written once. httpx's `Auth.auth_flow`
works the same way.

    def summarize(llm: BaseChatModel, prompt: PromptValue) -> Flow[str]:
        message = yield from call(lambda: llm.invoke(prompt), lambda: llm.ainvoke(prompt))
        return str(message.text)

    run_flow(summarize(llm, prompt))
    await arun_flow(summarize(llm, prompt))

An error of a call is raised in the flow, at the `yield from`, so that the flow can handle it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar

from langchain_core.runnables import run_in_executor

T = TypeVar("T")
Item = TypeVar("Item")


class Request(Protocol):
    """A call that a flow requests, in its sync and its async form."""

    def run(self) -> Any:
        """Make the call and return the result."""

    async def arun(self) -> Any:
        """Async version of `run`."""


Flow: TypeAlias = Generator[Request, Any, T]
"""A generator that yields requests, receives their results, and returns a `T`."""


@dataclass(frozen=True, slots=True)
class _Call:
    function: Callable[[], Any]
    async_function: Callable[[], Awaitable[Any]] | None

    def run(self) -> Any:
        """Return the result of the function."""
        return self.function()

    async def arun(self) -> Any:
        """Async version of `run`."""
        if self.async_function is None:
            return await run_in_executor(None, self.function)
        return await self.async_function()


@dataclass(frozen=True, slots=True)
class _Consumption:
    open_stream: Callable[[], Iterator[Any]]
    open_async_stream: Callable[[], AsyncIterator[Any]]
    take: Callable[[Any], bool]
    is_slow: bool

    def run(self) -> None:
        """Read the stream."""
        stream = self.open_stream()
        try:
            for item in stream:
                if self.take(item):
                    return
        finally:  # The producer stops now, not when the garbage is collected.
            if close := getattr(stream, "close", None):
                close()

    async def arun(self) -> None:
        """Async version of `run`."""
        stream = self.open_async_stream()
        try:
            async for item in stream:
                if await run_in_executor(None, self.take, item) if self.is_slow else self.take(item):
                    return
        finally:
            if aclose := getattr(stream, "aclose", None):
                await aclose()


@dataclass(frozen=True, slots=True)
class _Gathering:
    flows: tuple[Flow[Any], ...]

    def run(self) -> list[Any]:
        """Return the results of the flows, one after the other."""
        return [run_flow(flow) for flow in self.flows]

    async def arun(self) -> list[Any]:
        """Return the results of the flows, which run concurrently."""
        return list(await asyncio.gather(*map(arun_flow, self.flows)))


def call(function: Callable[[], T], async_function: Callable[[], Awaitable[T]] | None = None) -> Flow[T]:
    """Request a function call and return its result.

    Args:
        function: Called by the sync driver.
        async_function: Called and awaited by the async driver. None calls `function` in a thread.
    """
    result: T = yield _Call(function, async_function)
    return result


def consume(
    open_stream: Callable[[], Iterator[Item]],
    open_async_stream: Callable[[], AsyncIterator[Item]],
    take: Callable[[Item], bool],
    *,
    is_slow: bool = False,
) -> Flow[None]:
    """Request that a stream is read, and closed as soon as it ends or is not needed any more.

    Args:
        open_stream: Opens the stream for the sync driver.
        open_async_stream: Opens the stream for the async driver.
        take: Receives each item and returns True if the rest is not needed. An error that it raises ends the stream.
        is_slow: True if `take` may block; the async driver calls it in a thread then.
    """
    yield _Consumption(open_stream, open_async_stream, take, is_slow)


def gather(flows: Iterable[Flow[T]]) -> Flow[list[T]]:
    """Request the results of several flows, in order: one after the other in sync code, concurrently in async code."""
    results: list[T] = yield _Gathering(tuple(flows))
    return results


def run_flow(flow: Flow[T]) -> T:
    """Run a flow with the sync form of its requests and return its result."""
    try:
        request = next(flow)
        while True:
            try:
                result = request.run()
            except BaseException as error:  # The flow decides how to handle an error.
                request = flow.throw(error)
            else:
                request = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()


async def arun_flow(flow: Flow[T]) -> T:
    """Async version of `run_flow`. The code between two requests runs on the event loop and must be short."""
    try:
        request = next(flow)
        while True:
            try:
                result = await request.arun()
            except BaseException as error:  # Also a cancellation, so that the flow can clean up.
                request = flow.throw(error)
            else:
                request = flow.send(result)
    except StopIteration as end:
        value: T = end.value
        return value
    finally:
        flow.close()
