"""GeneratorLoop: generations take turns, stop within one step, and fail independently."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from langchain_gptoss.engine.runners.generator_loop import Generation, GeneratorLoop
from langchain_gptoss.errors import GptOssError, GptOssForkError
from tests.unit_tests.forked import call_forked, needs_fork


@pytest.fixture
def loop() -> Iterator[GeneratorLoop]:
    loop = GeneratorLoop("test-model")
    yield loop
    loop.close()


class Log:
    """Generations that record their steps."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.closed: list[str] = []

    def generate(self, name: str, length: int | None, gate: threading.Event | None = None) -> Generation:
        try:
            if gate is not None:
                gate.wait(10)
            count = 0
            while length is None or count < length:
                self.steps.append(name)
                yield count
                count += 1
            return "stop"
        finally:
            self.closed.append(name)


def test_a_long_generation_does_not_delay_a_short_one(loop):
    log, gate = Log(), threading.Event()
    long = loop.submit(log.generate("long", 1000, gate))
    short = loop.submit(log.generate("short", 10))
    gate.set()
    assert list(short) == list(range(10))
    assert len(list(long)) == 1000
    before = log.steps[: [i for i, name in enumerate(log.steps) if name == "short"][-1]]
    assert before.count("long") <= 12  # they alternate


def test_steps_without_a_token_put_nothing_on_the_stream(loop):
    def prefill() -> Generation:
        yield None
        yield None
        yield 5
        return "length"

    stream = loop.submit(prefill())
    assert list(stream) == [5]
    assert stream.finish_reason == "length"


def test_cancel_stops_before_the_next_step(loop):
    steps = 0
    permits, finished_steps = threading.Semaphore(0), threading.Semaphore(0)

    def slow() -> Generation:
        nonlocal steps
        while True:
            permits.acquire(timeout=10)
            steps += 1
            finished_steps.release()
            yield steps

    stream = loop.submit(slow())
    for _ in range(3):
        permits.release()
        finished_steps.acquire(timeout=10)
    stream.cancel()
    permits.release(5)  # the generation may already wait in its fourth step
    loop.close()
    assert steps <= 4
    assert list(stream) == []


def test_cancel_closes_the_generation(loop):
    log = Log()
    stream = loop.submit(log.generate("endless", None))
    next(stream)
    stream.cancel()
    other = loop.submit(log.generate("other", 3))
    assert len(list(other)) == 3
    assert log.closed == ["endless", "other"]


def test_error_in_one_generation_does_not_affect_others(loop):
    log, gate = Log(), threading.Event()

    def broken() -> Generation:
        yield 1
        raise RuntimeError("this one only")

    healthy = loop.submit(log.generate("healthy", 20, gate))
    failing = loop.submit(broken())
    gate.set()
    assert next(failing) == 1
    with pytest.raises(RuntimeError, match="this one only"):
        next(failing)
    assert len(list(healthy)) == 20
    assert len(list(loop.submit(log.generate("later", 5)))) == 5


def test_generation_that_fails_on_close_does_not_end_the_thread(loop):
    def stubborn() -> Generation:
        try:
            while True:
                yield 1
        finally:
            raise RuntimeError("cannot close")

    stream = loop.submit(stubborn())
    next(stream)
    stream.cancel()
    assert len(list(loop.submit(Log().generate("later", 5)))) == 5


def test_close_ends_everything_with_an_error_and_may_be_repeated():
    loop = GeneratorLoop("test-model", max_active=2)
    log = Log()
    streams = [loop.submit(log.generate(str(n), None)) for n in range(4)]  # two of them are queued
    next(streams[0])
    loop.close()
    loop.close()
    steps = len(log.steps)
    for stream in streams:
        with pytest.raises(GptOssError, match="was closed while it answered"):
            list(stream)
    assert not [thread for thread in threading.enumerate() if thread.name == "test-model"]
    assert len(log.steps) == steps
    with pytest.raises(GptOssError, match="was closed"):
        loop.submit(log.generate("late", 1))


def test_close_during_a_round_ends_the_other_generations():
    loop = GeneratorLoop("test-model")
    queued = threading.Event()

    def closing() -> Generation:
        queued.wait(10)
        yield 1
        loop.close()  # between the first generation's step and the second's
        yield 2

    def endless() -> Generation:
        while True:
            yield 1

    streams = [loop.submit(closing()), loop.submit(endless())]
    queued.set()
    for stream in streams:
        with ThreadPoolExecutor(1) as pool, pytest.raises(GptOssError, match="was closed while it answered"):
            pool.submit(list, stream).result(timeout=30)


def test_close_before_the_first_generation_starts_no_thread():
    GeneratorLoop("test-model").close()
    assert not [thread for thread in threading.enumerate() if thread.name == "test-model"]


def test_number_of_active_generations_is_limited():
    loop = GeneratorLoop("test-model", max_active=2)
    active = largest = 0

    def count_active() -> Generation:
        nonlocal active, largest
        active += 1
        largest = max(largest, active)
        yield from range(5)
        active -= 1
        return "stop"

    streams = [loop.submit(count_active()) for _ in range(7)]
    assert [len(list(stream)) for stream in streams] == [5] * 7
    assert largest == 2
    loop.close()


@needs_fork
@pytest.mark.parametrize("is_used", [True, False])
def test_a_forked_process_is_refused_at_once(loop, is_used):
    log = Log()
    if is_used:
        list(loop.submit(log.generate("a", 2)))
    assert isinstance(call_forked(lambda: list(loop.submit(log.generate("b", 2)))), GptOssForkError)
    assert call_forked(loop.close) is None
    assert list(loop.submit(log.generate("c", 2))) == [0, 1]


@needs_fork
def test_a_fork_during_a_submission_does_not_wait_for_its_lock(loop):
    with loop._lock:
        assert isinstance(call_forked(lambda: loop.submit(Log().generate("a", 2))), GptOssForkError)
        assert call_forked(loop.close) is None
