"""Server-sent events: an answer as a stream of events."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from enum import Enum
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from fastapi.responses import StreamingResponse

from langchain_gptoss.serve.closable_queue import ClosableQueue
from langchain_gptoss.serve.error_responses import ErrorResponse, build_error_response

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

PING_INTERVAL_S = 15.0
"""Seconds without a chunk after which a comment is sent: proxies close connections that are silent for a minute."""

_PING = ": ping\n\n"
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}  # the second one is for nginx
Chunk = TypeVar("Chunk")


class _Signal(Enum):
    """Results of reading that are not chunks."""

    PAUSE = "no chunk has come for a while"
    END = "all chunks have been read"


async def stream_events(
    chunks: AsyncIterator[Chunk],
    *,
    path: str,
    format_chunk: Callable[[Chunk], str],
    last_event: str,
    build_error: Callable[[Exception], ErrorResponse] = build_error_response,
) -> StreamingResponse:
    """Return a response that sends chunks as server-sent events.

    It waits for the first chunk, so that an error before it gets its own status code. Later errors become an event.
    The chunks are closed when the response ends, for any reason.

    Args:
        chunks: The chunks of an answer.
        path: The path of the request; it decides the form of an error event.
        format_chunk: Returns the event for a chunk.
        last_event: Sent after the last chunk.
        build_error: Returns the response to an error.

    Raises:
        Exception: The error of `chunks`, if it comes before the first chunk.
    """
    reader = _ChunkReader(chunks)
    try:
        first = await reader.read()
    except BaseException:
        await reader.aclose()
        raise
    return _EventStreamResponse(
        _write_events(reader, first, path, format_chunk, last_event, build_error), reader.aclose
    )


async def _write_events(
    reader: _ChunkReader[Chunk],
    item: Chunk | _Signal,
    path: str,
    format_chunk: Callable[[Chunk], str],
    last_event: str,
    build_error: Callable[[Exception], ErrorResponse],
) -> AsyncIterator[str | bytes]:
    try:
        while item is not _Signal.END:
            yield _PING if isinstance(item, _Signal) else format_chunk(item)
            item = await reader.read()
        yield last_event
    except Exception as error:
        yield build_error(error).to_last_events(path)


class _EventStreamResponse(StreamingResponse):
    """A stream that is closed in every case, even if it was never started."""

    def __init__(self, events: AsyncIterator[str | bytes], aclose: Callable[[], Awaitable[None]]) -> None:
        super().__init__(events, media_type="text/event-stream", headers=_HEADERS)
        self._aclose = aclose

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._aclose()


class _ChunkReader(Generic[Chunk]):
    """Reads chunks in a task of its own, so that a read can time out without cancelling the generator.

    One task runs the whole generator, because LangChain's context variables must be reset in the context that set them.
    """

    def __init__(self, chunks: AsyncIterator[Chunk]) -> None:
        self._chunks = chunks
        self._queue = ClosableQueue[Chunk | _Signal | Exception](maxsize=1)
        self._task = asyncio.create_task(self._fill_queue())

    async def read(self) -> Chunk | _Signal:
        """Return the next chunk, END after the last one, or PAUSE if none comes for `PING_INTERVAL_S`.

        Raises:
            Exception: The error of the generator.
        """
        try:
            async with asyncio.timeout(PING_INTERVAL_S):
                item = await self._queue.get()
        except TimeoutError:
            return _Signal.PAUSE
        if isinstance(item, Exception):
            raise item
        return item

    async def aclose(self) -> None:
        """Stop the generator and wait until it is closed."""
        self._queue.close()
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _fill_queue(self) -> None:
        try:
            async for chunk in self._chunks:
                await self._queue.put(chunk)
        except Exception as error:
            await self._queue.put(error)
        else:
            await self._queue.put(_Signal.END)
        finally:
            aclose: Any = getattr(self._chunks, "aclose", None)
            if aclose is not None:
                await aclose()
