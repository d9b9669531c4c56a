"""GptOssLLM on a scripted engine: text in, text out, for one prompt and for several."""

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from openai_harmony import HarmonyEncodingName, load_harmony_encoding

from langchain_gptoss import GptOssLLM
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream
from langchain_gptoss.errors import ContextLengthError, InvalidInputError

HEADER = "<|channel|>final<|message|>"


def ids_of(text: str) -> list[int]:
    return ENCODING.encode(text, allowed_special="all")


class Engine(ScriptedEngine):
    """A scripted engine that keeps the streams it gave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams: list[TokenStream] = []

    def submit(self, request: GenerationRequest) -> TokenStream:
        self.streams.append(super().submit(request))
        return self.streams[-1]


@pytest.fixture
def make() -> Iterator[Callable[..., GptOssLLM]]:
    engines = []

    def make_model(*completions: str, context_length: int = 131_072, **options: Any) -> GptOssLLM:
        engines.append(Engine([ids_of(text) for text in completions], context_length=context_length))
        return GptOssLLM(model="gpt-oss-20b", engine=engines[-1], **options)

    yield make_model
    for engine in engines:
        engine.close()


ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
ANSWER = f"<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant{HEADER}Paris, of course.<|return|>"


def prompt_of(llm: GptOssLLM, index: int = 0) -> str:
    return ENCODING.decode(llm.engine.requests[index].prompt_ids)


def test_invoke_asks_as_a_user_and_leaves_the_reasoning_out(make):
    llm = make(ANSWER)
    assert llm.invoke("The capital of France?") == "Paris, of course."
    assert prompt_of(llm).endswith("<|start|>user<|message|>The capital of France?<|end|><|start|>assistant")


def test_raw_continues_the_prompt_as_it_stands(make):
    llm = make(" Paris, of course.<|endoftext|>", raw=True)
    assert llm.invoke("The capital of France is") == " Paris, of course."
    assert prompt_of(llm) == "The capital of France is"


def test_raw_is_streamed_too(make):
    assert len([text for text in make(" Paris, of course.", raw=True).stream("x") if text]) == 5


def test_raw_writes_control_tokens_as_text(make):
    llm = make("x", raw=True)
    llm.invoke("<|start|>system")
    assert not any(ENCODING.is_special_token(i) for i in llm.engine.requests[0].prompt_ids)


def test_generate_answers_every_prompt_in_order(make):
    llm = make(*(f"{HEADER}answer {n}<|return|>" for n in range(5)))
    result = llm.generate([f"question {n}" for n in range(5)])
    assert [generations[0].text for generations in result.generations] == [f"answer {n}" for n in range(5)]
    info = result.generations[2][0].generation_info
    assert info == {"finish_reason": "stop", "input_tokens": len(llm.engine.requests[2].prompt_ids), "output_tokens": 7}
    assert [prompt_of(llm, n).count(f"question {n}") for n in range(5)] == [1] * 5


async def test_agenerate_and_ainvoke(make):
    llm = make(*(f"{HEADER}answer {n}<|return|>" for n in range(3)))
    result = await llm.agenerate(["question"] * 2)
    assert [generations[0].text for generations in result.generations] == ["answer 0", "answer 1"]
    assert await llm.ainvoke("question") == "answer 2"


def test_stream(make):
    assert [text for text in make(ANSWER).stream("x") if text] == ["Paris", ",", " of", " course", "."]


async def test_astream(make):
    assert [text async for text in make(ANSWER).astream("x") if text] == ["Paris", ",", " of", " course", "."]


def test_stop_strings_and_max_tokens(make):
    llm = make(ANSWER, ANSWER, f"{HEADER}one two three<|return|>", stop=[" course"])
    assert llm.invoke("x") == "Paris, of"
    assert llm.invoke("x", stop=["aris, o"]) == "P"
    result = llm.generate(["x"], max_tokens=5)
    assert result.generations[0][0].text == "one two"
    assert result.generations[0][0].generation_info["finish_reason"] == "length"


async def test_the_beginning_of_a_stop_string_at_the_end_is_text(make):
    llm = make(*[f"{HEADER}one two<|return|>"] * 4, stop=["two!"])
    assert llm.invoke("x") == await llm.ainvoke("x") == "one two"
    assert "".join(llm.stream("x")) == "one two"
    assert "".join([text async for text in llm.astream("x")]) == "one two"


def test_unknown_options_are_refused(make):
    with pytest.raises(InvalidInputError, match="Unknown option 'best_of'"):
        make(ANSWER).invoke("x", best_of=3)


LONG = HEADER + "word " * 20_000


def paced(llm: GptOssLLM) -> GptOssLLM:
    """Makes the scripted engine take a millisecond for each token, as a model would."""
    replay = llm.engine._replay

    def slow(*args: Any) -> Any:
        for token_id in replay(*args):
            time.sleep(0.001)
            yield token_id

    llm.engine._replay = slow
    return llm


async def test_a_prompt_that_cannot_be_begun_ends_those_that_were(make):
    llm = paced(make(LONG, LONG, context_length=50_000))
    with pytest.raises(ContextLengthError):
        llm.generate(["short", "long " * 60_000])
    with pytest.raises(ContextLengthError):
        await llm.agenerate(["short", "long " * 60_000])
    assert [stream.is_cancelled for stream in llm.engine.streams] == [True, True]


def test_closing_the_stream_stops_the_generation(make):
    llm = paced(make(LONG))
    stream = llm.stream("x")
    next(stream)
    stream.close()
    assert llm.engine.streams[0].is_cancelled


async def test_cancelling_the_task_stops_every_generation(make):
    llm = paced(make(LONG, LONG))
    task = asyncio.create_task(llm.agenerate(["x", "y"]))
    while llm.engine.steps < 20:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert [stream.is_cancelled for stream in llm.engine.streams] == [True, True]


def test_what_tells_it_apart(make):
    llm = make(raw=True)
    assert llm._llm_type == "gptoss"
    assert llm._identifying_params["raw"] is True
    assert llm.get_num_tokens("Hello there, friend!") == 5
