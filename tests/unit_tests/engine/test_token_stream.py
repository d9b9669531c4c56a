"""TokenStream: one producer, one reader in a thread or on an event loop; both may stop at any time."""

import asyncio
import gc
import threading
import time

import pytest

from langchain_gptoss.engine.token_stream import TokenStream
from langchain_gptoss.errors import GptOssForkError
from tests.unit_tests.forked import call_forked, needs_fork


def produce(stream: TokenStream, ids: list[int], error: BaseException | None = None) -> threading.Thread:
    def run() -> None:
        for token_id in ids:
            time.sleep(0.001)  # so that the reader must wait for some tokens
            stream.put(token_id)
        if error is None:
            stream.finish("stop")
        else:
            stream.fail(error)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def test_sync_reader_gets_every_token_in_order():
    stream = TokenStream()
    thread = produce(stream, list(range(50)))
    assert list(stream) == list(range(50))
    assert stream.finish_reason == "stop"
    thread.join()


async def test_async_reader_gets_every_token_in_order():
    stream = TokenStream()
    thread = produce(stream, list(range(50)))
    assert [token_id async for token_id in stream] == list(range(50))
    assert stream.finish_reason == "stop"
    thread.join()


def test_tokens_before_the_first_read_are_kept():
    stream = TokenStream()
    stream.put(1)
    stream.put(2)
    stream.finish("length")
    assert list(stream) == [1, 2]
    assert list(stream) == []
    assert stream.finish_reason == "length"


def test_sync_reader_gets_the_error_after_the_tokens():
    stream = TokenStream()
    produce(stream, [1, 2], ValueError("broken")).join()
    assert (next(stream), next(stream)) == (1, 2)
    with pytest.raises(ValueError, match="broken"):
        next(stream)


async def test_waiting_async_reader_gets_the_error():
    stream = TokenStream()
    thread = produce(stream, [1], ValueError("broken"))
    assert await anext(stream) == 1
    with pytest.raises(ValueError, match="broken"):
        await anext(stream)
    thread.join()


def test_cancel_from_another_thread_wakes_a_sync_reader():
    stream = TokenStream()
    stream.put(1)
    assert next(stream) == 1
    timer = threading.Timer(0.05, stream.cancel)
    timer.start()
    assert list(stream) == []
    assert stream.is_cancelled
    assert stream.finish_reason == "cancelled"
    timer.join()


async def test_cancel_from_another_thread_wakes_an_async_reader():
    stream = TokenStream()
    timer = threading.Timer(0.05, stream.cancel)
    timer.start()
    async with asyncio.timeout(60):
        assert [token_id async for token_id in stream] == []
    timer.join()


def test_cancelled_stream_drops_unread_tokens():
    stream = TokenStream()
    stream.put(1)
    stream.cancel()
    stream.put(2)
    assert list(stream) == []


def test_cancelled_stream_hides_a_later_error():
    stream = TokenStream()
    stream.cancel()
    stream.fail(ValueError("nobody reads"))
    assert list(stream) == []


def test_cancel_after_the_end_keeps_the_finish_reason():
    stream = TokenStream()
    stream.finish("length")
    stream.cancel()
    stream.finish("stop")
    assert stream.finish_reason == "length"


def test_end_of_the_with_block_cancels():
    with TokenStream() as stream:
        assert not stream.is_cancelled
    assert stream.is_cancelled


def test_producer_survives_a_reader_with_a_closed_event_loop():
    stream = TokenStream()
    loop = asyncio.new_event_loop()
    task = loop.create_task(anext(stream))
    loop.run_until_complete(asyncio.sleep(0.01))  # the task waits now
    task.cancel()
    loop.run_until_complete(asyncio.gather(task, return_exceptions=True))
    loop.close()
    stream.put(1)
    stream.finish("stop")
    assert list(stream) == [1]  # another reader may continue


async def test_stream_is_usable_after_a_cancelled_task():
    stream = TokenStream()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await anext(stream)
    stream.put(7)  # wakes the task that no longer waits
    assert await anext(stream) == 7
    gc.collect()


@needs_fork
def test_an_answer_that_was_begun_before_a_fork_is_refused_in_the_child():
    stream = TokenStream()
    stream.put(1)
    assert isinstance(call_forked(lambda: list(stream)), GptOssForkError)
    assert isinstance(call_forked(lambda: asyncio.run(anext(aiter(stream)))), GptOssForkError)
    with stream._lock:
        assert call_forked(stream.cancel) is None
    stream.finish("stop")
    assert list(stream) == [1]
