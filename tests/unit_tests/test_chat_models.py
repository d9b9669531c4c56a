"""ChatGptOss on a scripted engine: every way of calling it, and every way of leaving it."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessage, AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import ValidationError

from langchain_gptoss import ChatGptOss
from langchain_gptoss.engine import GenerationRequest, ScriptedEngine, TokenStream
from langchain_gptoss.errors import ContextLengthError, GptOssError, InvalidInputError

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)
ANSWER = (
    "<|channel|>analysis<|message|>They greet me.<|end|>"
    "<|start|>assistant<|channel|>final<|message|>Hello there, friend!<|return|>"
)


def ids_of(text: str) -> list[int]:
    return ENCODING.encode(text, allowed_special="all")


def final(text: str) -> list[int]:
    return ids_of(f"<|channel|>final<|message|>{text}<|return|>")


class Engine(ScriptedEngine):
    """A scripted engine that keeps the streams it gave."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.streams: list[TokenStream] = []

    def submit(self, request: GenerationRequest) -> TokenStream:
        self.streams.append(super().submit(request))
        return self.streams[-1]


Make = Callable[..., ChatGptOss]


@pytest.fixture
def make() -> Iterator[Make]:
    """Returns a function that makes a model which gives the completions, one for each call."""
    engines = []

    def make_model(*completions: str | list[int], context_length: int = 131_072, **options: Any) -> ChatGptOss:
        ids = [ids_of(text) if isinstance(text, str) else text for text in completions]
        engines.append(Engine(ids, context_length=context_length))
        return ChatGptOss(model="gpt-oss-20b", engine=engines[-1], **options)

    yield make_model
    for engine in engines:
        engine.close()


def check_answer(message: AIMessage) -> None:
    assert message.content == "Hello there, friend!"
    assert message.additional_kwargs["reasoning_content"] == "They greet me."
    assert message.response_metadata == {
        "finish_reason": "stop",
        "model_name": "gpt-oss-20b",
        "model_provider": "gptoss",
    }
    usage = message.usage_metadata
    assert usage["output_tokens"] == len(ids_of(ANSWER))
    assert usage["output_token_details"] == {"reasoning": len(ids_of("They greet me."))}
    assert usage["input_tokens"] > 10
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]


def test_invoke(make):
    llm = make(ANSWER)
    message = llm.invoke("Hello")
    check_answer(message)
    (request,) = llm.engine.requests
    assert request.prompt_ids == tuple(llm.format.render([HumanMessage("Hello")]))
    assert message.usage_metadata["input_tokens"] == len(request.prompt_ids)
    assert request.stop_ids == llm.format.stop_ids


async def test_ainvoke(make):
    check_answer(await make(ANSWER).ainvoke("Hello"))


def check_chunks(chunks: list[AIMessageChunk]) -> None:
    assert [chunk.content for chunk in chunks if chunk.content] == ["Hello", " there", ",", " friend", "!"]
    assert sum(chunk.usage_metadata is not None for chunk in chunks) == 1
    assert [chunk.chunk_position for chunk in chunks].index("last") == len(chunks) - 1
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    check_answer(whole)


def test_stream(make):
    check_chunks(list(make(ANSWER).stream("Hello")))


async def test_astream(make):
    check_chunks([chunk async for chunk in make(ANSWER).astream("Hello")])


def test_batch_and_chain(make):
    llm = make(*(final(str(n)) for n in range(20)))
    answers = llm.batch([f"Question {n}" for n in range(20)])
    assert sorted(int(answer.content) for answer in answers) == list(range(20))
    chain = ChatPromptTemplate.from_messages([("system", "Speak {language}."), ("human", "{question}")]) | make(ANSWER)
    check_answer(chain.invoke({"language": "French", "question": "Hello"}))


async def test_abatch(make):
    answers = await make(*(final(str(n)) for n in range(20))).abatch(["Question"] * 20)
    assert sorted(int(answer.content) for answer in answers) == list(range(20))


def test_messages_reach_the_prompt(make):
    llm = make(ANSWER)
    llm.invoke([SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("And?")])
    prompt = ENCODING.decode(llm.engine.requests[0].prompt_ids)
    assert "# Instructions\n\nBe brief." in prompt
    assert prompt.endswith("<|message|>Hi.<|end|><|start|>user<|message|>And?<|end|><|start|>assistant")


@pytest.mark.parametrize(
    ("own", "given", "written"), [(None, None, "medium"), ("high", None, "high"), ("high", "low", "low")]
)
def test_reasoning_effort(make, own, given, written):
    llm = make(ANSWER, reasoning_effort=own)
    llm.invoke("Hello", **({"reasoning_effort": given} if given else {}))
    assert f"Reasoning: {written}" in ENCODING.decode(llm.engine.requests[0].prompt_ids)


@pytest.mark.parametrize("stop", ["there", "lo there", "o th", ", friend!", "!"])
def test_a_stop_string_across_tokens_ends_the_answer(make, stop):
    llm = make([*ids_of(ANSWER)[:-1], *ids_of(" More" * 200)])
    message = llm.invoke("Hello", stop=["never", stop])
    assert message.content == "Hello there, friend!".partition(stop)[0]
    assert message.response_metadata["finish_reason"] == "stop"
    assert llm.engine.streams[0].is_cancelled
    assert message.usage_metadata["output_tokens"] <= len(ids_of(ANSWER))


async def test_a_stop_string_in_async(make):
    message = await make(ANSWER).ainvoke("Hello", stop=[" there"])
    assert message.content == "Hello"


def test_stop_strings_of_the_constructor_and_of_the_call(make):
    llm = make(ANSWER, ANSWER, ANSWER, stop=[" there"])
    assert llm.invoke("Hello").content == "Hello"
    assert llm.invoke("Hello", stop=[","]).content == "Hello there"
    assert llm.bind(stop=[]).invoke("Hello").content == "Hello there, friend!"


def test_a_stop_string_does_not_cut_the_reasoning(make):
    message = make(ANSWER).invoke("Hello", stop=["greet"])
    assert message.content == "Hello there, friend!"


def test_the_beginning_of_a_stop_string_at_the_end_is_text(make):
    assert make(final("Hello there")).invoke("Hello", stop=["there!"]).content == "Hello there"


def test_an_empty_stop_string_is_refused(make):
    with pytest.raises(InvalidInputError, match="stop string is empty"):
        make(ANSWER).invoke("Hello", stop=[""])


@pytest.mark.parametrize("options", [{"own": 5}, {"given": 5}, {"own": 50, "given": 5}])
def test_max_tokens(make, options):
    llm = make(final("one two three four five six"), max_tokens=options.get("own"))
    message = llm.invoke("Count", **({"max_tokens": options["given"]} if "given" in options else {}))
    assert message.content == "one two"  # three tokens are the header
    assert message.response_metadata["finish_reason"] == "length"
    assert message.usage_metadata["output_tokens"] == 5


def test_sampling_reaches_the_engine(make):
    llm = make(ANSWER, ANSWER, temperature=0.3, top_p=0.9, top_k=40, seed=7)
    llm.invoke("Hello")
    llm.invoke("Hello", temperature=0, seed=8, max_tokens=3)
    first, second = (request.sampling for request in llm.engine.requests)
    assert (first.temperature, first.top_p, first.top_k, first.seed, first.max_tokens) == (0.3, 0.9, 40, 7, None)
    assert (second.temperature, second.top_p, second.top_k, second.seed, second.max_tokens) == (0, 0.9, 40, 8, 3)


def test_the_catalogue_s_temperature_where_none_is_given(make):
    llm = make(ANSWER)
    llm.invoke("Hello")
    assert llm.engine.requests[0].sampling.temperature == 1.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temprature": 1}, "Unknown option 'temprature'. Did you mean 'temperature'"),
        ({"top_p": 0}, "top_p is 0"),
        ({"max_tokens": -1}, "max_tokens is -1"),
        ({"reasoning_effort": "max"}, "reasoning_effort is 'max'"),
    ],
)
def test_options_that_cannot_work_are_refused(make, options, message):
    with pytest.raises(InvalidInputError, match=message):
        make(ANSWER).invoke("Hello", **options)


@pytest.mark.parametrize(
    "options",
    [
        {"temprature": 1},
        {"temperature": -1},
        {"top_p": 0},
        {"max_tokens": 0},
        {"reasoning_effort": "max"},
        {"device": "tpu"},
    ],
)
def test_fields_that_cannot_work_are_refused(options):
    with pytest.raises(ValidationError, match=next(iter(options))):
        ChatGptOss(model="gpt-oss-20b", **options)


def test_no_messages_and_images_are_refused(make):
    llm = make(ANSWER)
    with pytest.raises(InvalidInputError, match="There are no messages"):
        llm.invoke([])
    with pytest.raises(InvalidInputError, match="read text only"):
        llm.invoke([HumanMessage([{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}])])
    assert llm.engine.requests == []


async def test_a_prompt_that_is_too_long_is_langchain_s_own_error(make):
    llm = make(ANSWER, context_length=20)
    for call in (lambda: llm.invoke("Hello " * 50), lambda: list(llm.stream("Hello " * 50))):
        with pytest.raises(ContextOverflowError, match="context holds 20") as caught:
            call()
        assert isinstance(caught.value, ContextLengthError)
    with pytest.raises(ContextOverflowError):
        await llm.ainvoke("Hello " * 50)


LONG = final("word " * 100_000)


def until_it_stands_still(engine: ScriptedEngine) -> int:
    steps = -1
    while steps != engine.steps:
        steps = engine.steps
        time.sleep(0.05)
    return steps


class Paced(Engine):
    """Takes a millisecond for each token, as a model would."""

    def _replay(self, *args: Any) -> Any:
        generation = super()._replay(*args)
        while True:
            time.sleep(0.001)
            try:
                token_id = next(generation)
            except StopIteration as end:
                return end.value
            yield token_id


@pytest.fixture
def endless() -> Iterator[ChatGptOss]:
    engine = Paced([LONG] * 5)
    yield ChatGptOss(model="gpt-oss-20b", engine=engine)
    engine.close()


def test_closing_the_stream_stops_the_generation(endless):
    stream = endless.stream("Go on")
    next(stream)
    stream.close()
    assert endless.engine.streams[0].is_cancelled
    assert until_it_stands_still(endless.engine) < 500


async def test_closing_the_async_stream_stops_the_generation(endless):
    stream = endless.astream("Go on")
    await anext(stream)
    await stream.aclose()
    assert endless.engine.streams[0].is_cancelled
    assert until_it_stands_still(endless.engine) < 500


@pytest.mark.parametrize("way", ["ainvoke", "astream"])
async def test_cancelling_the_task_stops_the_generation(endless, way):
    async def listen() -> None:
        if way == "ainvoke":
            await endless.ainvoke("Go on")
        else:
            async for _ in endless.astream("Go on"):
                pass

    task = asyncio.create_task(listen())
    while endless.engine.steps < 10:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert endless.engine.streams[0].is_cancelled
    assert until_it_stands_still(endless.engine) < 1000


async def test_cancelling_the_task_while_the_answer_is_begun_stops_the_generation():
    may_start, entered = threading.Event(), threading.Event()

    class SlowToStart(Paced):
        def submit(self, request: GenerationRequest) -> TokenStream:
            entered.set()
            may_start.wait(10)
            return super().submit(request)

    engine = SlowToStart([LONG])
    task = asyncio.create_task(ChatGptOss(model="gpt-oss-20b", engine=engine).ainvoke("Go on"))
    while not entered.is_set():
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    may_start.set()
    while not engine.streams:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    assert engine.streams[0].is_cancelled
    assert until_it_stands_still(engine) < 500
    engine.close()


def test_an_error_in_the_engine_is_raised(make, monkeypatch):
    llm = make(ANSWER)

    def broken(*_: object) -> Iterator[int]:
        yield from ids_of(ANSWER)[:-3]
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(llm.engine, "_replay", broken)
    chunks = []
    with pytest.raises(RuntimeError, match="out of cheese"):
        chunks.extend(chunk.content for chunk in llm.stream("Hello"))


def test_a_closed_engine_is_said(make):
    llm = make(ANSWER)
    llm.engine.close()
    with pytest.raises(GptOssError, match="was closed"):
        llm.invoke("Hello")


class Tokens(BaseCallbackHandler):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def on_llm_new_token(self, token: str, **kwargs: Any) -> None:
        self.texts.append(token)


@pytest.mark.parametrize("way", ["invoke", "stream"])
def test_callbacks_get_every_token_once(make, way):
    handler = Tokens()
    result = getattr(make(ANSWER), way)("Hello", config={"callbacks": [handler]})
    if way == "stream":
        list(result)
    assert [text for text in handler.texts if text] == ["Hello", " there", ",", " friend", "!"]


async def test_async_callbacks_get_every_token_once(make):
    handler = Tokens()
    await make(ANSWER).ainvoke("Hello", config={"callbacks": [handler]})
    assert [text for text in handler.texts if text] == ["Hello", " there", ",", " friend", "!"]


async def test_events(make):
    events = [event async for event in make(ANSWER).astream_events("Hello")]
    texts = [event["data"]["chunk"].content for event in events if event["event"] == "on_chat_model_stream"]
    assert "".join(texts) == "Hello there, friend!"


def test_what_tracing_sees(make):
    llm = make(ANSWER, temperature=0.5, max_tokens=9, stop=["x"])
    assert llm._get_ls_params() == {
        "ls_provider": "gptoss",
        "ls_model_type": "chat",
        "ls_model_name": "gpt-oss-20b",
        "ls_temperature": 0.5,
        "ls_max_tokens": 9,
        "ls_stop": ["x"],
    }
    per_call = llm._get_ls_params(stop=["y"], temperature=0, max_tokens=3)
    assert (per_call["ls_temperature"], per_call["ls_max_tokens"], per_call["ls_stop"]) == (0, 3, ["y"])
    assert make(ANSWER)._get_ls_params()["ls_temperature"] == 1.0
    assert llm._llm_type == "gptoss-chat"
    assert llm._identifying_params["model"] == "gpt-oss-20b"


def test_the_model_name_is_the_catalogue_s(make):
    engine = Engine([final("Hi")])
    message = ChatGptOss(model="OPENAI/gpt-oss-20b", engine=engine).invoke("Hello")
    assert message.response_metadata["model_name"] == "gpt-oss-20b"
    engine.close()


def test_tokens_are_counted_with_the_model_s_own_vocabulary(make):
    llm = make()
    assert llm.get_num_tokens("Hello there, friend!") == 5
    assert llm.get_token_ids("<|end|>") != [200007]


def test_the_docstring_example_of_the_engine():
    engine = ScriptedEngine([[200005, 17196, 200008, 12194, 200002]])
    assert ChatGptOss(model="gpt-oss-20b", engine=engine).invoke("Hello").content == "Hi"
    engine.close()


def test_making_a_model_loads_nothing(monkeypatch):
    def loaded(*_: object, **__: object) -> None:
        raise AssertionError("it was loaded")

    monkeypatch.setattr("langchain_gptoss.language_models.options.get_local_engine", loaded)
    monkeypatch.setattr("langchain_gptoss.language_models.options.locate_checkpoint", loaded)
    llm = ChatGptOss(model="gpt-oss-120b")
    assert "gpt-oss-120b" in repr(llm)
    llm._get_ls_params()
