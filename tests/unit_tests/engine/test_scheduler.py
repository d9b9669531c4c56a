"""Scheduler and ScriptedEngine: side by side, stopped within a step, and one failure stays alone."""

import threading
import time
from collections.abc import Iterator

import pytest
from langchain_core.exceptions import ContextOverflowError

from langchain_gptoss.engine import GenerationRequest, SamplingParams, ScriptedEngine
from langchain_gptoss.engine.scheduler import Generation, Scheduler
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError


@pytest.fixture
def scheduler() -> Iterator[Scheduler]:
    scheduler = Scheduler("test-model")
    yield scheduler
    scheduler.close()


class Log:
    """Generations that write down every step they take."""

    def __init__(self) -> None:
        self.steps: list[str] = []
        self.closed: list[str] = []

    def generation(self, name: str, length: int | None, gate: threading.Event | None = None) -> Generation:
        try:
            if gate is not None:
                gate.wait(10)
            made = 0
            while length is None or made < length:
                self.steps.append(name)
                yield made
                made += 1
            return "stop"
        finally:
            self.closed.append(name)


def test_a_long_generation_does_not_delay_a_short_one(scheduler):
    log, gate = Log(), threading.Event()
    long = scheduler.submit(log.generation("long", 1000, gate))
    short = scheduler.submit(log.generation("short", 10))
    gate.set()
    assert list(short) == list(range(10))
    assert len(list(long)) == 1000
    before = log.steps[: [i for i, name in enumerate(log.steps) if name == "short"][-1]]
    assert before.count("long") <= 12  # a step each, in turn


def test_steps_without_a_token_are_not_handed_out(scheduler):
    def prefill() -> Generation:
        yield None
        yield None
        yield 5
        return "length"

    stream = scheduler.submit(prefill())
    assert list(stream) == [5]
    assert stream.finish_reason == "length"


def test_cancel_stops_before_the_next_step(scheduler):
    steps = 0
    may_go_on, took_step = threading.Semaphore(0), threading.Semaphore(0)

    def slow() -> Generation:
        nonlocal steps
        while True:
            may_go_on.acquire(timeout=10)
            steps += 1
            took_step.release()
            yield steps

    stream = scheduler.submit(slow())
    for _ in range(3):
        may_go_on.release()
        took_step.acquire(timeout=10)
    stream.cancel()
    may_go_on.release(5)  # for the step in which it may wait already, and more
    scheduler.close()
    assert steps <= 4
    assert list(stream) == []


def test_cancel_closes_the_generation(scheduler):
    log = Log()
    stream = scheduler.submit(log.generation("endless", None))
    next(stream)
    stream.cancel()
    other = scheduler.submit(log.generation("other", 3))
    assert len(list(other)) == 3
    assert log.closed == ["endless", "other"]


def test_an_error_in_one_generation_leaves_the_others(scheduler):
    log, gate = Log(), threading.Event()

    def broken() -> Generation:
        yield 1
        raise RuntimeError("this one only")

    healthy = scheduler.submit(log.generation("healthy", 20, gate))
    failing = scheduler.submit(broken())
    gate.set()
    assert next(failing) == 1
    with pytest.raises(RuntimeError, match="this one only"):
        next(failing)
    assert len(list(healthy)) == 20
    assert len(list(scheduler.submit(log.generation("later", 5)))) == 5


def test_a_generation_that_fails_while_it_is_closed_leaves_the_thread_alive(scheduler):
    def stubborn() -> Generation:
        try:
            while True:
                yield 1
        finally:
            raise RuntimeError("cannot let go")

    stream = scheduler.submit(stubborn())
    next(stream)
    stream.cancel()
    assert len(list(scheduler.submit(Log().generation("later", 5)))) == 5


def test_close_ends_everything_and_is_safe_twice():
    scheduler = Scheduler("test-model", max_active=2)
    log = Log()
    streams = [scheduler.submit(log.generation(str(n), None)) for n in range(4)]  # two of them wait
    next(streams[0])
    scheduler.close()
    scheduler.close()
    steps = len(log.steps)
    for stream in streams:
        for _ in stream:
            pass
        assert stream.finish_reason == "cancelled"
    time.sleep(0.05)
    assert len(log.steps) == steps
    assert not [thread for thread in threading.enumerate() if thread.name == "test-model"]
    with pytest.raises(GptOssError, match="was closed"):
        scheduler.submit(log.generation("late", 1))


def test_close_in_the_middle_of_a_round_ends_those_not_yet_stepped():
    scheduler = Scheduler("test-model")
    queued = threading.Event()

    def closing() -> Generation:
        queued.wait(10)
        yield 1
        scheduler.close()  # between the first generation's step and the second's
        yield 2

    def endless() -> Generation:
        while True:
            yield 1

    streams = [scheduler.submit(closing()), scheduler.submit(endless())]
    queued.set()
    for stream in streams:
        reader = threading.Thread(target=list, args=(stream,), daemon=True)
        reader.start()
        reader.join(5)
        assert not reader.is_alive()
        assert stream.finish_reason == "cancelled"


def test_close_before_anything_ran():
    Scheduler("test-model").close()
    assert not [thread for thread in threading.enumerate() if thread.name == "test-model"]


def test_only_so_many_are_live_and_the_rest_follow():
    scheduler = Scheduler("test-model", max_active=2)
    live = most = 0

    def counted() -> Generation:
        nonlocal live, most
        live += 1
        most = max(most, live)
        yield from range(5)
        live -= 1
        return "stop"

    streams = [scheduler.submit(counted()) for _ in range(7)]
    assert [len(list(stream)) for stream in streams] == [5] * 7
    assert most == 2
    scheduler.close()


def request(**options: object) -> GenerationRequest:
    stop_ids = options.pop("stop_ids", frozenset())
    return GenerationRequest(prompt_ids=(1, 2, 3), sampling=SamplingParams(**options), stop_ids=stop_ids)


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine([[10, 11, 12, 13], [20, 21]], context_length=10)
    yield engine
    engine.close()


def test_scripted_engine_replays_in_order(engine):
    first, second = engine.submit(request()), engine.submit(request())
    assert (list(first), list(second)) == ([10, 11, 12, 13], [20, 21])
    assert (first.finish_reason, second.finish_reason) == ("stop", "stop")
    assert engine.steps == 6
    assert [asked.prompt_ids for asked in engine.requests] == [(1, 2, 3)] * 2


def test_scripted_engine_ends_with_the_stop_token(engine):
    stream = engine.submit(request(stop_ids=frozenset({12, 99})))
    assert list(stream) == [10, 11, 12]
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize(("max_tokens", "made"), [(1, 1), (3, 3), (4, 4)])
def test_scripted_engine_keeps_to_max_tokens(engine, max_tokens, made):
    stream = engine.submit(request(max_tokens=max_tokens))
    assert len(list(stream)) == made
    assert stream.finish_reason == "length"


def test_a_stop_token_at_the_limit_is_a_stop(engine):
    stream = engine.submit(request(max_tokens=2, stop_ids=frozenset({11})))
    assert list(stream) == [10, 11]
    assert stream.finish_reason == "stop"


def test_the_context_ends_the_answer():
    engine = ScriptedEngine([list(range(50))], context_length=10)
    stream = engine.submit(request(max_tokens=40))
    assert len(list(stream)) == 7
    assert stream.finish_reason == "length"
    engine.close()


@pytest.mark.parametrize(("length", "fits"), [(9, True), (10, False), (11, False)])
def test_a_prompt_must_leave_room_for_a_token(engine, length, fits):
    asked = GenerationRequest(prompt_ids=tuple(range(length)))
    if fits:
        assert len(list(engine.submit(asked))) == 1
        return
    with pytest.raises(ContextLengthError, match=f"has {length} tokens .* holds 10") as caught:
        engine.submit(asked)
    assert isinstance(caught.value, ContextOverflowError)
    assert (caught.value.prompt_tokens, caught.value.context_length) == (length, 10)
    assert engine.requests == []


def test_an_empty_prompt_is_refused(engine):
    with pytest.raises(InvalidInputError, match="no tokens"):
        engine.submit(GenerationRequest(prompt_ids=()))


def test_one_call_too_many_is_said(engine):
    engine.submit(request())
    engine.submit(request())
    with pytest.raises(GptOssError, match="called 3 times and has 2 completions"):
        engine.submit(request())


def test_many_threads_get_one_completion_each():
    engine = ScriptedEngine([[n] for n in range(64)])
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.extend(engine.submit(request()))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(64))
    engine.close()


def test_a_closed_engine_refuses(engine):
    engine.close()
    engine.close()
    with pytest.raises(GptOssError, match="was closed"):
        engine.submit(request())
