"""ScriptedEngine: completions in order, stop tokens, limits, errors."""

import threading
from collections.abc import Iterator

import pytest
from langchain_core.exceptions import ContextOverflowError

from langchain_gptoss.engine import GenerationRequest, SamplingParams, ScriptedEngine
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError


def create_request(*, stop_ids: frozenset[int] = frozenset(), **sampling: object) -> GenerationRequest:
    return GenerationRequest(prompt_ids=(1, 2, 3), sampling=SamplingParams(**sampling), stop_ids=stop_ids)


@pytest.fixture
def engine() -> Iterator[ScriptedEngine]:
    engine = ScriptedEngine([[10, 11, 12, 13], [20, 21]], context_length=10)
    yield engine
    engine.close()


def test_completions_are_replayed_in_order(engine):
    first, second = engine.submit(create_request()), engine.submit(create_request())
    assert (list(first), list(second)) == ([10, 11, 12, 13], [20, 21])
    assert (first.finish_reason, second.finish_reason) == ("stop", "stop")
    assert engine.steps == 6
    assert [request.prompt_ids for request in engine.requests] == [(1, 2, 3)] * 2


def test_stop_token_ends_the_answer(engine):
    stream = engine.submit(create_request(stop_ids=frozenset({12, 99})))
    assert list(stream) == [10, 11, 12]
    assert stream.finish_reason == "stop"


@pytest.mark.parametrize("max_tokens", [1, 3, 4])
def test_max_tokens_limits_the_answer(engine, max_tokens):
    stream = engine.submit(create_request(max_tokens=max_tokens))
    assert len(list(stream)) == max_tokens
    assert stream.finish_reason == "length"


def test_stop_token_at_the_limit_counts_as_stop(engine):
    stream = engine.submit(create_request(max_tokens=2, stop_ids=frozenset({11})))
    assert list(stream) == [10, 11]
    assert stream.finish_reason == "stop"


def test_context_limits_the_answer():
    engine = ScriptedEngine([list(range(50))], context_length=10)
    stream = engine.submit(create_request(max_tokens=40))
    assert len(list(stream)) == 7
    assert stream.finish_reason == "length"
    engine.close()


def test_prompt_that_leaves_one_token_is_accepted(engine):
    assert len(list(engine.submit(GenerationRequest(prompt_ids=tuple(range(9)))))) == 1


@pytest.mark.parametrize("length", [10, 11])
def test_prompt_that_fills_the_context_is_rejected(engine, length):
    with pytest.raises(ContextLengthError, match=f"has {length} tokens .* holds 10") as raised:
        engine.submit(GenerationRequest(prompt_ids=tuple(range(length))))
    assert isinstance(raised.value, ContextOverflowError)
    assert (raised.value.prompt_tokens, raised.value.context_length) == (length, 10)
    assert engine.requests == []


def test_empty_prompt_is_rejected(engine):
    with pytest.raises(InvalidInputError, match="no tokens"):
        engine.submit(GenerationRequest(prompt_ids=()))


def test_call_beyond_the_last_completion_is_an_error(engine):
    engine.submit(create_request())
    engine.submit(create_request())
    with pytest.raises(GptOssError, match="called 3 times and has 2 completions"):
        engine.submit(create_request())


def test_many_threads_get_one_completion_each():
    engine = ScriptedEngine([[n] for n in range(64)])
    answers: list[int] = []
    threads = [threading.Thread(target=lambda: answers.extend(engine.submit(create_request()))) for _ in range(64)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == list(range(64))
    engine.close()


def test_closed_engine_rejects_requests(engine):
    engine.close()
    engine.close()
    with pytest.raises(GptOssError, match="was closed"):
        engine.submit(create_request())
