"""One generation: stop strings, log-probabilities, cancellation, errors of the engine."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenLogprobs, TokenStream
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import (
    PREAMBLE,
    SlowEngine,
    build_chat_model,
    encode,
    get_weather,
    write_answer,
    write_call,
    write_final,
)

ANSWER = write_answer("Hello there, friend!")


@pytest.mark.parametrize("stop", ["there", "lo there", "o th", ", friend!", "!"])
def test_stop_string_across_tokens_ends_the_answer(stop):
    llm = build_chat_model(ANSWER.removesuffix("<|return|>") + " More" * 200)
    message = llm.invoke("Hello", stop=["never", stop])
    assert message.content == "Hello there, friend!".partition(stop)[0]
    assert message.response_metadata["finish_reason"] == "stop"
    assert llm.engine.streams[0].is_cancelled
    assert message.usage_metadata["output_tokens"] <= len(encode(ANSWER))


def test_stop_strings_of_a_call_replace_those_of_the_constructor():
    llm = build_chat_model(ANSWER, ANSWER, ANSWER, stop=[" there"])
    assert llm.invoke("Hello").content == "Hello"
    assert llm.invoke("Hello", stop=",").content == "Hello there"
    assert llm.bind(stop=[]).invoke("Hello").content == "Hello there, friend!"


def test_stop_string_does_not_cut_the_reasoning():
    assert build_chat_model(ANSWER).invoke("Hello", stop=["see"]).content == "Hello there, friend!"


def test_beginning_of_a_stop_string_at_the_end_is_text():
    assert build_chat_model(write_final("Hello there")).invoke("Hello", stop=["there!"]).content == "Hello there"


def test_separator_of_two_messages_is_not_a_stop_string():
    llm = build_chat_model(PREAMBLE + write_answer("A\n\nB"))
    assert llm.invoke("x", stop=["\n\n"]).content == "I look.\n\nA"


@pytest.mark.parametrize("stop", [[""], [5]])
def test_invalid_stop_strings_are_rejected(stop):
    with pytest.raises(InvalidInputError, match="stop"):
        build_chat_model(ANSWER).invoke("Hello", stop=stop)


@pytest.mark.parametrize("role", ["user", "system", "functions.get_weather to=assistant<|channel|>commentary"])
def test_a_made_up_message_stops_the_engine(role):
    answer = write_final("Hello").replace("<|return|>", "<|end|>")
    llm = build_chat_model(f"{answer}<|start|>{role}<|message|>" + "More? " * 500)
    message = llm.invoke("x")
    assert (message.content, message.response_metadata["finish_reason"]) == ("Hello", "stop")
    assert llm.engine.streams[0].is_cancelled
    assert message.usage_metadata["output_tokens"] < 30


@pytest.mark.parametrize(
    ("completion", "max_tokens", "reason"),
    [
        (write_call("get_weather", "{}"), None, "tool_calls"),
        (write_call("search_web", "{}"), None, "tool_calls"),
        (write_call("get_weather", "{oops"), None, "tool_calls"),
        (write_call("get_weather", "{}", "<|end|><|start|>user<|message|>Thanks"), None, "tool_calls"),
        (write_call("get_weather", "{}", ""), None, "length"),
        (write_call("get_weather", ""), len(encode(write_call("get_weather", ""))) - 1, "length"),
        (write_call("get_weather", "{}"), len(encode(write_call("get_weather", "{}"))) - 1, "length"),
        (write_call("search_web", "{}"), len(encode(write_call("search_web", "{}"))) - 1, "length"),
        (write_answer("Hello"), 3, "length"),
        (write_answer("Hello"), None, "stop"),
    ],
)
def test_the_finish_reason_tells_whether_the_model_ended_its_call(completion, max_tokens, reason):
    llm = build_chat_model(completion, max_tokens=max_tokens).bind_tools([get_weather])
    assert llm.invoke("x").response_metadata["finish_reason"] == reason


@pytest.mark.parametrize(("sends_stop_token", "reason"), [(True, "length"), (False, "tool_calls")])
def test_a_call_of_an_engine_that_hides_its_stop_tokens_is_complete(monkeypatch, sends_stop_token, reason):
    monkeypatch.setattr(TokenStream, "sends_stop_token", sends_stop_token)
    message = build_chat_model(write_call("get_weather", "{}", "")).bind_tools([get_weather]).invoke("x")
    assert message.response_metadata["finish_reason"] == reason
    assert bool(message.tool_calls) == (reason == "tool_calls")


class LogprobsEngine(ScriptedEngine):
    """A scripted engine that reports a log-probability with each token."""

    def submit(self, request: GenerationRequest) -> TokenStream:
        stream = TokenStream()
        for token_id in super().submit(request):
            stream.put(token_id, TokenLogprobs(chosen=-0.5, top=((token_id, -0.5),)))
        stream.finish("stop")
        return stream


@pytest.mark.parametrize("stop", [None, ["over!"]])
@pytest.mark.parametrize("text", ["Hé 🦜🦜", "Hello ove", "🦜 over and over"])
def test_all_tokens_of_the_answer_have_log_probabilities(text, stop):
    def join_bytes(entries: list[dict[str, Any]]) -> str:
        assert all(entry["top_logprobs"][0]["bytes"] == entry["bytes"] for entry in entries)
        return bytes(byte for entry in entries for byte in entry["bytes"]).decode()

    options: dict[str, Any] = {"model": "gpt-oss-20b", "logprobs": True}
    llm = ChatGptOss(engine=LogprobsEngine([encode(write_answer(text))]), **options)
    message = llm.invoke("x", stop=stop)
    assert join_bytes(message.response_metadata["logprobs"]["content"]) == message.content == text
    completion_llm = GptOssLLM(engine=LogprobsEngine([encode(write_answer(text))]), **options)
    ((generation,),) = completion_llm.generate(["x"], stop=stop).generations
    assert join_bytes(generation.generation_info["logprobs"]["content"]) == generation.text == text


# More than a minute of tokens.
LONG = encode(write_final("word " * 100_000))


@pytest.fixture
def endless_llm() -> Iterator[ChatGptOss]:
    engine = SlowEngine([LONG] * 5)
    yield ChatGptOss(model="gpt-oss-20b", engine=engine)
    engine.close()


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def check_stopped(engine: SlowEngine) -> None:
    """Check that the engine makes at most one more token, the one in progress."""
    wait_for(lambda: bool(engine.streams) and engine.streams[0].is_cancelled)
    steps = engine.steps
    time.sleep(0.1)
    assert engine.steps <= steps + 1


def test_closing_the_stream_stops_the_generation(endless_llm):
    stream = endless_llm.stream("Go on")
    next(stream)
    stream.close()
    check_stopped(endless_llm.engine)


async def test_closing_the_async_stream_stops_the_generation(endless_llm):
    stream = endless_llm.astream("Go on")
    await anext(stream)
    await stream.aclose()
    check_stopped(endless_llm.engine)


@pytest.mark.parametrize("method", ["ainvoke", "astream"])
async def test_cancelling_the_task_stops_the_generation(endless_llm, method):
    async def consume() -> None:
        if method == "ainvoke":
            await endless_llm.ainvoke("Go on")
        else:
            async for _ in endless_llm.astream("Go on"):
                pass

    task = asyncio.create_task(consume())
    while endless_llm.engine.steps < 10:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    check_stopped(endless_llm.engine)


async def test_cancelling_the_task_before_the_start_stops_the_generation():
    may_start, has_entered = threading.Event(), threading.Event()

    class BlockedEngine(SlowEngine):
        def submit(self, request: GenerationRequest) -> TokenStream:
            has_entered.set()
            may_start.wait(60)
            return super().submit(request)

    engine = BlockedEngine([LONG])
    task = asyncio.create_task(ChatGptOss(model="gpt-oss-20b", engine=engine).ainvoke("Go on"))
    while not has_entered.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_start.set()
    while not (engine.streams and engine.streams[0].is_cancelled):
        await asyncio.sleep(0.01)
    check_stopped(engine)
    engine.close()


def test_error_of_the_engine_is_raised(monkeypatch):
    llm = build_chat_model(ANSWER)

    def fail(*_: object) -> Iterator[int]:
        yield from encode(ANSWER)[:-3]
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(llm.engine, "_replay", fail)
    with pytest.raises(RuntimeError, match="out of cheese"):
        list(llm.stream("Hello"))
