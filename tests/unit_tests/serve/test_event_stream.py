"""Server-sent events of an answer: chunks, errors, pauses, and closing."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.serve import event_stream
from langchain_gptoss.serve.event_stream import stream_events

OPTIONS: dict[str, Any] = {"path": "/chatbot/ask", "format_chunk": lambda chunk: f"data: {chunk}\n\n"}


class Source:
    """Yields numbers, then an error if there is one, and notes that it was closed."""

    def __init__(self, count: int, error: Exception | None = None, pause_after: int | None = None) -> None:
        self.count, self.error, self.pause_after = count, error, pause_after
        self.may_continue, self.is_closed = asyncio.Event(), False

    async def iterate(self) -> AsyncIterator[int]:
        try:
            for number in range(self.count):
                if number == self.pause_after:
                    await self.may_continue.wait()
                yield number
            if self.error is not None:
                raise self.error
        finally:
            self.is_closed = True


async def start(source: Source) -> Any:
    return await stream_events(source.iterate(), last_event="event: end\n\n", **OPTIONS)


async def collect(response: Any) -> str:
    parts = [part async for part in response.body_iterator]
    return b"".join(part if isinstance(part, bytes) else part.encode() for part in parts).decode()


@pytest.mark.parametrize("count", [0, 1, 3])
async def test_all_chunks_and_the_last_event_are_sent(count):
    source = Source(count)
    text = await collect(await start(source))
    assert text == "".join(f"data: {number}\n\n" for number in range(count)) + "event: end\n\n"
    assert source.is_closed


async def test_an_error_before_the_first_chunk_is_raised():
    source = Source(0, InvalidInputError("no"))
    with pytest.raises(InvalidInputError, match="no"):
        await start(source)
    assert source.is_closed


async def test_a_later_error_becomes_an_event():
    text = await collect(await start(Source(2, InvalidInputError("no"))))
    assert text.startswith("data: 0\n\ndata: 1\n\nevent: error\r\n")
    assert '"message": "no"' in text
    assert "event: end" not in text


@pytest.mark.parametrize("pause_after", [0, 1])
async def test_comments_are_sent_during_a_pause(monkeypatch, pause_after):
    monkeypatch.setattr(event_stream, "PING_INTERVAL_S", 0.01)
    source = Source(2, pause_after=pause_after)
    response, parts = await start(source), []
    async for part in response.body_iterator:
        parts.append(part)
        if parts.count(": ping\n\n") == 3:
            source.may_continue.set()
    assert parts.count(": ping\n\n") >= 3
    assert [part for part in parts if part.startswith("data")] == ["data: 0\n\n", "data: 1\n\n"]


async def test_a_response_that_is_cancelled_closes_its_source():
    source = Source(5, pause_after=1)
    response, is_started = await start(source), asyncio.Event()

    async def receive() -> dict[str, Any]:
        await asyncio.get_running_loop().create_future()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        if message["type"] == "http.response.body":
            is_started.set()

    task = asyncio.create_task(response({"type": "http", "asgi": {"spec_version": "2.3"}}, receive, send))
    await is_started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.is_closed


async def test_cancelling_the_wait_for_the_first_chunk_closes_the_source():
    source = Source(1, pause_after=0)
    task = asyncio.create_task(start(source))
    await asyncio.sleep(0)  # lets the task start
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert source.is_closed


@pytest.mark.parametrize("error", [None, RuntimeError("late")])
async def test_a_generator_that_catches_the_cancellation_is_closed_too(error):
    is_waiting = asyncio.Event()

    async def iterate() -> AsyncIterator[int]:
        yield 0
        yield 1
        try:
            is_waiting.set()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if error is not None:
                raise error from None
        yield 2

    reader = event_stream._ChunkReader(iterate())
    assert await reader.read() == 0
    await is_waiting.wait()  # the queue is full, and nobody reads it any more
    closing = asyncio.create_task(reader.aclose())
    done, _ = await asyncio.wait({closing}, timeout=10)
    assert done == {closing}
