"""GptOssLLM: text in, text out, for one prompt and for several."""

import asyncio
import time
from typing import Any

import pytest
from langchain_core.caches import InMemoryCache
from langchain_core.callbacks import BaseCallbackHandler

from langchain_gptoss import GptOssLLM
from langchain_gptoss.errors import ContextLengthError, InvalidInputError
from tests.unit_tests.scripted_models import (
    ENCODING,
    SlowEngine,
    build_completion_model,
    encode,
    read_prompt,
    write_answer,
    write_final,
)

ANSWER = write_answer("Paris, of course.")
PIECES = ["Paris", ",", " of", " course", "."]


def test_prompt_is_sent_as_a_user_message_and_reasoning_is_left_out():
    llm = build_completion_model(ANSWER)
    assert llm.invoke("The capital of France?") == "Paris, of course."
    assert read_prompt(llm).endswith("<|start|>user<|message|>The capital of France?<|end|><|start|>assistant")


def test_raw_continues_the_prompt():
    llm = build_completion_model(" Paris, of course.<|endoftext|>", " Paris, of course.", raw=True)
    assert llm.invoke("The capital of France is") == " Paris, of course."
    assert read_prompt(llm) == "The capital of France is"
    assert len([text for text in llm.stream("x") if text]) == 5


def test_raw_encodes_control_tokens_as_text():
    llm = build_completion_model("x", raw=True)
    llm.invoke("<|start|>system")
    assert not any(ENCODING.is_special_token(token_id) for token_id in llm.engine.requests[0].prompt_ids)


def test_generate_answers_every_prompt_in_order():
    llm = build_completion_model(*(write_final(f"answer {n}") for n in range(5)))
    result = llm.generate([f"question {n}" for n in range(5)])
    assert [generations[0].text for generations in result.generations] == [f"answer {n}" for n in range(5)]
    info = result.generations[2][0].generation_info
    prompt_tokens = len(llm.engine.requests[2].prompt_ids)
    assert info == {
        "finish_reason": "stop",
        "input_tokens": prompt_tokens,
        "cached_tokens": 0,
        "output_tokens": 7,
    }
    assert [read_prompt(llm, n).count(f"question {n}") for n in range(5)] == [1] * 5


async def test_agenerate_and_ainvoke():
    llm = build_completion_model(*(write_final(f"answer {n}") for n in range(3)))
    result = await llm.agenerate(["question"] * 2)
    assert [generations[0].text for generations in result.generations] == ["answer 0", "answer 1"]
    assert await llm.ainvoke("question") == "answer 2"


def test_stream():
    assert [text for text in build_completion_model(ANSWER).stream("x") if text] == PIECES


async def test_astream():
    assert [text async for text in build_completion_model(ANSWER).astream("x") if text] == PIECES


async def test_echo_puts_the_prompt_first():
    llm = build_completion_model(ANSWER, ANSWER, ANSWER, echo=True)
    assert llm.invoke("Q: ") == "Q: Paris, of course."
    assert list(llm.stream("Q: "))[:2] == ["Q: ", "Paris"]
    assert [text async for text in llm.astream("Q: ")][:2] == ["Q: ", "Paris"]


def test_stop_strings_and_max_tokens():
    llm = build_completion_model(ANSWER, ANSWER, write_final("one two three"), stop=[" course"])
    assert llm.invoke("x") == "Paris, of"
    assert llm.invoke("x", stop=["aris, o"]) == "P"
    result = llm.generate(["x"], max_tokens=5)
    assert result.generations[0][0].text == "one two"
    assert result.generations[0][0].generation_info["finish_reason"] == "length"


async def test_beginning_of_a_stop_string_at_the_end_is_text():
    llm = build_completion_model(*[write_final("one two")] * 4, stop=["two!"])
    assert llm.invoke("x") == await llm.ainvoke("x") == "one two"
    assert "".join(llm.stream("x")) == "one two"
    assert "".join([text async for text in llm.astream("x")]) == "one two"


def test_unknown_options_are_rejected():
    with pytest.raises(InvalidInputError, match="Unknown option 'best_of'"):
        build_completion_model(ANSWER).invoke("x", best_of=3)


@pytest.mark.parametrize(
    ("options", "other_options"),
    [
        ({"echo": False}, {"echo": True}),
        ({"base_url": None}, {"base_url": "http://host:8000/v1"}),
        ({"logprobs": False}, {"logprobs": True}),
    ],
)
def test_cache_distinguishes_the_options_of_the_constructor(options, other_options):
    cache = InMemoryCache()
    models = [build_completion_model(ANSWER, cache=cache, **values) for values in (options, other_options)]
    for llm in models:
        llm.invoke("q")
    assert [len(llm.engine.requests) for llm in models] == [1, 1]


async def test_cache_distinguishes_the_options_of_a_call():
    llm = build_completion_model(*(write_answer(letter) for letter in "ABC"), cache=InMemoryCache())
    assert [llm.invoke("q", seed=1), llm.invoke("q", seed=2), llm.invoke("q", seed=1)] == ["A", "B", "A"]
    assert await llm.ainvoke("q", seed=3) == "C"


class TokenCollector(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.texts.append(token)


async def test_callbacks_receive_text_that_was_held_back():
    handler = TokenCollector()
    llm = build_completion_model(*[write_answer("Hello the")] * 2)
    list(llm.stream("x", stop=["there"], config={"callbacks": [handler]}))
    assert "".join(handler.texts) == "Hello the"
    assert [text async for text in llm.astream("x", stop=["there"], config={"callbacks": [handler]})]
    assert "".join(handler.texts) == "Hello the" * 2


@pytest.fixture
def endless_llm():
    engine = SlowEngine([encode(write_final("word " * 20_000))] * 2, context_length=50_000)
    yield GptOssLLM(model="gpt-oss-20b", engine=engine)
    engine.close()


async def test_prompt_that_cannot_start_stops_the_others(endless_llm):
    prompts = ["short", "long " * 60_000]
    with pytest.raises(ContextLengthError):
        endless_llm.generate(prompts)
    with pytest.raises(ContextLengthError):
        await endless_llm.agenerate(prompts)
    assert [stream.is_cancelled for stream in endless_llm.engine.streams] == [True, True]


def test_closing_the_stream_stops_the_generation(endless_llm):
    stream = endless_llm.stream("x")
    next(stream)
    stream.close()
    assert endless_llm.engine.streams[0].is_cancelled


async def test_closing_the_async_stream_stops_the_generation(endless_llm):
    stream = endless_llm.astream("x")
    await anext(stream)
    await stream.aclose()
    assert endless_llm.engine.streams[0].is_cancelled


async def test_cancelling_the_task_stops_all_generations(endless_llm):
    task = asyncio.create_task(endless_llm.agenerate(["x", "y"]))
    deadline = time.monotonic() + 60
    while len(endless_llm.engine.streams) < 2 or endless_llm.engine.steps < 20:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [stream.is_cancelled for stream in endless_llm.engine.streams] == [True, True]


def test_identifying_parameters_and_token_counts():
    llm = build_completion_model(raw=True)
    assert llm._llm_type == "gptoss"
    assert llm._identifying_params["raw"] is True
    assert llm.get_num_tokens("Hello there, friend!") == 5
