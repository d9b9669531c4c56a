"""LocalEngine: batches, prefixes, memory, ends of requests; on a runner that computes with token ids."""

import gc
import random
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from langchain_gptoss.engine import GenerationRequest, Grammar, SamplingParams
from langchain_gptoss.engine.batch import Batch
from langchain_gptoss.engine.kv_cache.saved_prefixes import PrefixStore
from langchain_gptoss.engine.scheduling.local_engine import LocalEngine
from langchain_gptoss.engine.token_stream import TokenStream
from langchain_gptoss.errors import (
    ContextLengthError,
    DeadlineError,
    EngineBusyError,
    GptOssError,
    GptOssForkError,
    GptOssMemoryError,
    InvalidInputError,
)
from tests.unit_tests.engine.scheduling.hash_runner import FAILING_ID, NAN_ID, HashRunner, generate
from tests.unit_tests.forked import call_forked, needs_fork

TOKEN_BYTES = HashRunner.cache_layout.token_bytes
PROMPT = tuple(random.Random(1).choices(range(40), k=70))
OTHER = tuple(random.Random(2).choices(range(40), k=25))


def create_engine(runner: HashRunner | None = None, *, cache_tokens: int = 4096, **options: Any) -> LocalEngine:
    """Return an engine that checks its cache before each step."""
    options = {"context_length": 512} | options
    engine = LocalEngine(runner or HashRunner(), cache_bytes=cache_tokens * TOKEN_BYTES, **options)
    plan_step = engine._scheduler.plan_step

    def check_and_plan(**arguments: Any) -> Any:
        engine._cache.check_integrity([sequence.blocks for sequence in engine._scheduler.running])
        return plan_step(**arguments)

    engine._scheduler.plan_step = check_and_plan  # type: ignore[method-assign]
    return engine


@pytest.fixture
def engine() -> Iterator[LocalEngine]:
    engine = create_engine()
    yield engine
    engine.close()


@pytest.fixture
def gate() -> Iterator[threading.Event]:
    """Holds the first pass of a runner, so that several requests arrive before it ends."""
    event = threading.Event()
    yield event
    event.set()


def wait_for(gate: threading.Event) -> Callable[[Batch], None]:
    return lambda _: None if gate.wait(30) else pytest.fail("the gate stayed closed")


def wait_until_running(engine: LocalEngine) -> None:
    deadline_s = time.monotonic() + 30
    while not engine.stats.running:
        assert time.monotonic() < deadline_s
        time.sleep(0.001)


def request(prompt: tuple[int, ...] = PROMPT, *, max_tokens: int = 40, **options: Any) -> GenerationRequest:
    sampling = SamplingParams(temperature=0.0, max_tokens=max_tokens)
    return GenerationRequest(**{"prompt_ids": prompt, "sampling": sampling} | options)


@pytest.mark.parametrize("length", [1, 15, 16, 17, 70, 400])
def test_greedy_answer_is_that_of_the_model(engine, length):
    prompt = (PROMPT * 6)[:length]
    stream = engine.submit(request(prompt))
    assert list(stream) == generate(prompt, 40)
    assert stream.finish_reason == "length"


def test_requests_that_overlap_share_forward_passes(gate):
    runner = HashRunner(before_pass=wait_for(gate))
    engine = create_engine(runner)
    streams = [engine.submit(request((n, *OTHER), max_tokens=200, is_speculative=False)) for n in range(8)]
    gate.set()
    assert [list(stream) for stream in streams] == [generate((n, *OTHER), 200) for n in range(8)]
    assert engine.steps < 500  # 8 * 200 one after another
    assert max(len(batch.chunks) for batch in runner.batches) == 8
    engine.close()


def test_prefix_is_read_once(engine):
    first = engine.submit(request())
    answer = list(first)
    assert first.cached_tokens == 0
    again = engine.submit(request())
    assert list(again) == answer
    assert again.cached_tokens == 64  # the full blocks of 70 tokens
    turn = engine.submit(request((*PROMPT, *answer, 7)))
    assert list(turn) == generate((*PROMPT, *answer, 7), 40)
    assert turn.cached_tokens == 96
    assert engine.stats.cached_tokens == 160
    assert engine.stats.prompt_tokens == 70 + 70 + 111


def test_equal_prompts_at_the_same_time_are_read_once(gate):
    runner = HashRunner(before_pass=wait_for(gate))
    engine = create_engine(runner)
    streams = [engine.submit(request((*PROMPT, n))) for n in range(6)]
    gate.set()
    assert [list(stream) for stream in streams] == [generate((*PROMPT, n), 40) for n in range(6)]
    assert sum(stream.cached_tokens for stream in streams) >= 4 * 64  # two may be in the first step
    engine.close()


def test_salts_separate_all_but_the_shared_beginning(engine):
    list(engine.submit(request(cache_salt="ana", shared_tokens=33)))
    other = engine.submit(request(cache_salt="ben", shared_tokens=33))
    assert list(other) == generate(PROMPT, 40)
    assert other.cached_tokens == 32
    own = engine.submit(request(cache_salt="ana", shared_tokens=33))
    list(own)
    assert own.cached_tokens == 64
    unsalted = engine.submit(request())
    list(unsalted)
    assert unsalted.cached_tokens == 32


def test_memory_pressure_changes_no_token():
    """Eight answers of 100 tokens need five times the cache."""
    engine = create_engine(cache_tokens=192, context_length=192)
    prompts = [tuple(random.Random(n).choices(range(40), k=20 + 5 * n)) for n in range(8)]
    streams = [engine.submit(request(prompt, max_tokens=100)) for prompt in prompts]
    assert [list(stream) for stream in streams] == [generate(prompt, 100) for prompt in prompts]
    assert engine.stats.preempted > 0
    assert engine.stats.cache_bytes == 192 * TOKEN_BYTES
    engine.close()


def test_old_prefixes_make_room():
    engine = create_engine(cache_tokens=512)
    for n in range(10):
        assert list(engine.submit(request((n, *PROMPT), max_tokens=9))) == generate((n, *PROMPT), 9)
    recent = engine.submit(request((9, *PROMPT), max_tokens=9))
    list(recent)
    assert recent.cached_tokens == 64
    old = engine.submit(request((0, *PROMPT), max_tokens=9))
    assert list(old) == generate((0, *PROMPT), 9)
    assert old.cached_tokens == 0
    engine.close()


def test_drafts_save_passes_and_change_no_token():
    prompt = (*OTHER, *OTHER, *OTHER)
    steps = {}
    for is_speculative in (True, False):
        engine = create_engine()
        engine._times.estimate_draft_cost = lambda _: 0.05  # the hash costs the same for each token
        stream = engine.submit(request(prompt, max_tokens=200, is_speculative=is_speculative))
        assert list(stream) == generate(prompt, 200)
        steps[is_speculative] = engine.steps
        stats = engine.stats
        assert stats.generated_tokens == 200
        assert (stats.accepted_tokens > 0) == is_speculative
        assert engine.steps == 200 - stats.accepted_tokens
        engine.close()
    assert steps[True] < steps[False]


@pytest.mark.parametrize("temperature", [0.7, 1.5])
def test_seed_gives_the_same_tokens_alone_with_others_and_with_drafts(gate, temperature):
    def sample(seed: int) -> dict[str, Any]:
        return {"sampling": SamplingParams(temperature=temperature, seed=seed, max_tokens=60)}

    plain = create_engine()
    alone = [list(plain.submit(request(is_speculative=False, **sample(seed)))) for seed in range(4)]
    plain.close()
    engine = create_engine(HashRunner(before_pass=wait_for(gate)))
    engine._times.estimate_draft_cost = lambda _: 0.05
    streams = [engine.submit(request(**sample(seed))) for seed in range(4)]
    gate.set()
    assert [list(stream) for stream in streams] == alone
    assert len({tuple(answer) for answer in alone}) == 4
    engine.close()


def test_running_answer_goes_on_while_a_long_prompt_is_read():
    runner = HashRunner(before_pass=lambda _: time.sleep(0.001))
    engine = create_engine(runner, context_length=4096, cache_tokens=8192)
    running = engine.submit(request(max_tokens=400, is_speculative=False))
    for _ in range(5):
        next(running)
    long = engine.submit(request(OTHER * 100, max_tokens=1))
    list(long)
    list(running)
    mixed = [batch for batch in runner.batches if batch.token_count > 1 and batch.logit_count]
    assert len([batch for batch in mixed if len(batch.chunks) == 2]) > 4
    engine.close()


def test_short_prompt_does_not_wait_for_a_long_one(gate):
    runner = HashRunner(before_pass=wait_for(gate))
    engine = create_engine(runner, context_length=4096, cache_tokens=8192, prefill_tokens=32)
    long, short = engine.submit(request(OTHER * 100, max_tokens=1)), engine.submit(request(PROMPT, max_tokens=1))
    gate.set()
    assert (len(list(long)), len(list(short))) == (1, 1)
    first_answer = next(number for number, batch in enumerate(runner.batches) if batch.logit_count)
    assert first_answer < 20  # the long prompt takes 79
    engine.close()


def test_priority_decides_who_starts_first(gate):
    runner = HashRunner(before_pass=wait_for(gate))
    engine = create_engine(runner, max_running=1)
    streams = [engine.submit(request((0, *OTHER)))]
    wait_until_running(engine)
    streams += [engine.submit(request((n, *OTHER), priority=priority)) for n, priority in ((1, 0), (2, 3), (3, 0))]
    gate.set()
    for stream in streams:
        list(stream)
    starts = [chunk.token_ids[0] for batch in runner.batches for chunk in batch.chunks if chunk.start == 0]
    assert starts == [0, 2, 1, 3]
    engine.close()


def test_full_queue_refuses_with_a_time_to_wait(gate):
    engine = create_engine(HashRunner(before_pass=wait_for(gate)), max_running=1, max_waiting=2)
    streams = [engine.submit(request())]
    wait_until_running(engine)
    streams += [engine.submit(request()) for _ in range(2)]
    with pytest.raises(EngineBusyError, match="2 requests wait") as caught:
        engine.submit(request())
    assert caught.value.retry_after_s >= 1
    assert engine.stats.rejected == 1
    gate.set()
    assert [len(list(stream)) for stream in streams] == [40] * 3
    engine.close()


def test_deadline_ends_a_running_and_a_waiting_request():
    engine = create_engine(HashRunner(before_pass=lambda _: time.sleep(0.002)), max_running=1)
    running = engine.submit(request(max_tokens=400, deadline_s=0.3))
    waiting = engine.submit(request(deadline_s=0.05))
    later = engine.submit(request())
    with pytest.raises(DeadlineError, match=r"after 0\.3 seconds"):
        list(running)
    with pytest.raises(DeadlineError, match=r"after 0\.05 seconds"):
        list(waiting)
    assert list(later) == generate(PROMPT, 40)
    assert engine.stats.finished == {"deadline": 2, "length": 1}
    engine.close()


@pytest.mark.parametrize(("token_id", "message"), [(FAILING_ID, "this context fails"), (NAN_ID, "not numbers")])
def test_failure_ends_only_its_own_request(gate, token_id, message):
    engine = create_engine(HashRunner(before_pass=wait_for(gate)))
    streams = [engine.submit(request(prompt)) for prompt in (PROMPT, (*OTHER, token_id), OTHER)]
    gate.set()
    with pytest.raises((RuntimeError, GptOssError), match=message):
        list(streams[1])
    assert list(streams[0]) == generate(PROMPT, 40)
    assert list(streams[2]) == generate(OTHER, 40)
    assert engine.stats.finished == {"failed": 1, "length": 2}
    engine.close()


def test_cancelled_request_makes_no_more_passes(engine):
    stream = engine.submit(request(max_tokens=400))
    for _ in range(3):
        next(stream)
    stream.cancel()
    assert len(list(engine.submit(request(OTHER)))) == 40
    steps = engine.steps
    assert steps < 300
    assert engine.stats.finished == {"cancelled": 1, "length": 1}


def test_pass_that_nobody_waits_for_is_aborted():
    streams: list[TokenStream] = []
    started = threading.Event()

    def cancel(batch: Batch) -> None:
        started.wait(30)
        streams[0].cancel()

    runner = HashRunner(before_pass=cancel)
    engine = create_engine(runner)
    streams.append(engine.submit(request()))
    started.set()
    assert list(streams[0]) == []
    assert len(list(engine.submit(request(OTHER)))) == 40
    assert runner.ids[0, 0] == OTHER[0]  # the first pass wrote nothing
    engine.close()


def test_close_ends_every_stream_with_an_error(gate):
    runner = HashRunner(before_pass=wait_for(gate))
    engine = create_engine(runner, max_running=1)
    streams = [engine.submit(request()) for _ in range(3)]
    closer = threading.Thread(target=engine.close)
    closer.start()
    while not engine._is_closed:
        time.sleep(0.001)
    gate.set()
    closer.join(30)
    for stream in streams:
        with pytest.raises(GptOssError, match="was closed"):
            list(stream)
    engine.close()
    assert runner.is_closed
    assert not [thread for thread in threading.enumerate() if thread.name == "gptoss-model"]
    with pytest.raises(GptOssError, match="was closed"):
        engine.submit(request())


def test_fault_of_the_engine_itself_leaves_no_reader_waiting():
    engine = create_engine()

    def fail(**_: Any) -> None:
        raise RuntimeError("a fault")

    engine._scheduler.plan_step = fail  # type: ignore[method-assign]
    with pytest.raises(RuntimeError, match="a fault"):
        list(engine.submit(request()))
    with pytest.raises(GptOssError, match="was closed"):
        engine.submit(request())


@pytest.mark.parametrize(
    ("broken", "kind", "message"),
    [
        ({"prompt": ()}, InvalidInputError, "no tokens"),
        ({"prompt": (1, 50)}, InvalidInputError, "The prompt has the token 50"),
        ({"prompt": (1, -1)}, InvalidInputError, "The prompt has the token -1"),
        ({"prompt": PROMPT * 8}, ContextLengthError, "560"),
        ({"sampling": SamplingParams(logit_bias={50: 1})}, InvalidInputError, "names the token 50"),
        ({"grammar": Grammar(lark='start: "a"')}, InvalidInputError, "no tokenizer"),
    ],
)
def test_request_that_cannot_work_is_refused_at_once(engine, broken, kind, message):
    with pytest.raises(kind, match=message):
        engine.submit(request(**broken))
    assert engine.steps == 0


def test_cache_smaller_than_a_context_is_refused():
    with pytest.raises(GptOssMemoryError, match="does not hold one context of 512 tokens"):
        create_engine(cache_tokens=500)


@needs_fork
@pytest.mark.parametrize("is_used", [True, False])
def test_forked_process_is_refused_at_once(engine, is_used):
    if is_used:
        list(engine.submit(request()))
    assert isinstance(call_forked(lambda: engine.submit(request())), GptOssForkError)
    assert call_forked(engine.close) is None
    assert len(list(engine.submit(request()))) == 40


def test_one_debug_line_per_request(engine, caplog):
    with caplog.at_level("DEBUG", logger="langchain_gptoss"):
        list(engine.submit(request()))
        list(engine.submit(request()))
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert "70 prompt tokens (64 from the cache), 40 new tokens" in lines[1]
    assert all(str(PROMPT[0]) + ", " + str(PROMPT[1]) not in line for line in lines)  # no content


def test_thousand_requests_end_in_their_allowed_ways_and_leave_no_memory():
    """Random lengths, arrivals, cancellations, deadlines and failures, in a cache that is often full."""
    rng = random.Random(0)
    runner = HashRunner()
    runner.batches = deque(maxlen=1)  # it must not remember them all
    engine = create_engine(runner, cache_tokens=1024, context_length=256, max_running=16)
    common = [tuple(rng.choices(range(40), k=48)) for _ in range(3)]
    ends: list[bool] = []

    def use(number: int) -> None:
        own = random.Random(number)
        kind = own.choice(["plain"] * 5 + ["cancel", "deadline", "fail", "nan", "sample"])
        prompt = (*own.choice(common)[: own.randint(1, 48)], *own.choices(range(40), k=own.randint(0, 60)))
        if kind in {"fail", "nan"}:
            prompt += (FAILING_ID if kind == "fail" else NAN_ID,)
        options: dict[str, Any] = {"max_tokens": own.randint(1, 60), "priority": own.randint(-1, 1)}
        if kind == "sample":
            options["sampling"] = SamplingParams(max_tokens=options["max_tokens"], seed=number)
        if kind == "deadline":
            options["deadline_s"] = own.choice([0.001, 0.05, 60.0])
        if own.random() < 0.3:
            options |= {"cache_salt": own.choice("ab"), "shared_tokens": own.randint(0, 48)}
        stream = engine.submit(request(prompt, **options))
        tokens: list[int] = []
        error: Exception | None = None
        try:
            for token in stream:
                tokens.append(token)
                if kind == "cancel" and len(tokens) >= own.randint(1, 5):
                    stream.cancel()
        except Exception as caught:
            error = caught
        if kind in {"plain", "deadline"}:
            assert tokens == generate(prompt, options["max_tokens"])[: len(tokens)]
        is_complete = error is None and len(tokens) == options["max_tokens"] and stream.finish_reason == "length"
        ends.append(
            {
                "plain": is_complete,
                "sample": is_complete,
                "cancel": error is None,
                "deadline": is_complete or isinstance(error, DeadlineError),
                "fail": isinstance(error, RuntimeError),
                "nan": isinstance(error, GptOssError),
            }[kind]
        )

    def run(numbers: range) -> None:
        for number in numbers:
            use(number)

    def run_all(numbers: range) -> int:
        """Use 25 threads, and return the resident memory afterwards, in bytes."""
        workers = [threading.Thread(target=run, args=(numbers[first::25],)) for first in range(25)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join(120)
        gc.collect()
        return int(psutil.Process().memory_info().rss)

    used_early = run_all(range(250))
    assert run_all(range(250, 1000)) < 1.02 * used_early
    assert ends == [True] * 1000
    stats = engine.stats
    assert sum(stats.finished.values()) == 1000
    assert (stats.running, stats.waiting, stats.used_bytes) == (0, 0, 0)
    assert stats.cached_tokens > 0
    engine._cache.check_integrity([])
    engine.close()
    assert not [thread for thread in threading.enumerate() if thread.name == "gptoss-model"]


def test_logprobs_are_delivered_with_their_tokens(engine):
    sampling = SamplingParams(temperature=0.0, max_tokens=3, logprobs=2)
    stream = engine.submit(request(sampling=sampling))
    for token in stream:
        assert stream.logprobs is not None
        assert stream.logprobs.top[0] == (token, stream.logprobs.chosen)


def test_requested_logprobs_are_delivered_with_each_token(engine):
    sampling = SamplingParams(temperature=0.0, max_tokens=2, logprobs=20, logprob_ids=(5, 6))
    stream = engine.submit(request(sampling=sampling))
    for _ in stream:
        assert stream.logprobs is not None
        assert [token_id for token_id, _ in stream.logprobs.requested] == [5, 6]
        reported = dict(stream.logprobs.top)
        for token_id, value in stream.logprobs.requested:
            assert value == reported.get(token_id, value)


def test_stop_token_ends_the_answer(engine):
    expected = generate(PROMPT, 40)
    stop = expected[10]
    stream = engine.submit(request(stop_ids=frozenset({stop})))
    assert list(stream) == expected[: expected.index(stop) + 1]
    assert stream.finish_reason == "stop"


def test_penalties_and_bias_apply_to_the_tokens_of_the_answer(engine):
    def answer(**options: Any) -> list[int]:
        sampling = SamplingParams(temperature=0.0, max_tokens=40, **options)
        return list(engine.submit(request(sampling=sampling)))

    plain = answer()
    assert len(set(answer(presence_penalty=2.0, frequency_penalty=2.0))) > len(set(plain))
    assert plain[0] not in answer(logit_bias={plain[0]: -100})
    assert set(answer(logit_bias={str(plain[0]): 100})) == {plain[0]}


def create_store(folder: Path, **options: Any) -> PrefixStore:
    options = {"max_bytes": 100_000, "model_digest": "a", "arithmetic": "hash"} | options
    return PrefixStore(folder, layout=HashRunner.cache_layout, **options)


def test_saved_prompt_is_not_read_again_by_the_next_process(tmp_path):
    folder = tmp_path / "prefixes"
    first = create_engine(prefix_store=create_store(folder))
    list(first.submit(request()))
    first.close()  # saves what was not saved yet
    second = create_engine(prefix_store=create_store(folder))
    stream = second.submit(request((*PROMPT, 3)))
    assert list(stream) == generate((*PROMPT, 3), 40)
    assert stream.cached_tokens == 64
    second.close()
    other_model = create_engine(prefix_store=create_store(folder, model_digest="b"))
    stream = other_model.submit(request())
    assert list(stream) == generate(PROMPT, 40)
    assert stream.cached_tokens == 0
    other_model.close()


def test_only_the_shared_beginning_of_a_salted_prompt_is_saved(tmp_path):
    folder = tmp_path / "prefixes"
    first = create_engine(prefix_store=create_store(folder))
    list(first.submit(request(cache_salt="ana", shared_tokens=40)))
    first.close()
    second = create_engine(prefix_store=create_store(folder))
    stream = second.submit(request(cache_salt="ana", shared_tokens=40))
    list(stream)
    assert stream.cached_tokens == 32
    second.close()


def test_failure_to_save_or_load_ends_no_request(tmp_path, caplog):
    store = create_store(tmp_path / "prefixes")
    store.save = store.load = lambda *_, **__: 1 / 0  # type: ignore[method-assign]
    engine = create_engine(prefix_store=store)
    assert list(engine.submit(request())) == generate(PROMPT, 40)
    engine.close()
    assert "A saved prompt was not loaded." in caplog.text
    assert "A prompt was not saved." in caplog.text
