"""`ChatGptOss` and `GptOssLLM` on scripted tokens: what LangChain sees of a model."""

import asyncio
import time

import pytest
from langchain_core.exceptions import ContextOverflowError
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_tests.unit_tests import ChatModelUnitTests
from openai_harmony import HarmonyEncodingName, load_harmony_encoding
from pydantic import ValidationError

from langchain_gptoss import ChatGptOss, GptOssLLM
from langchain_gptoss.engine import ScriptedEngine
from langchain_gptoss.engine.base import Request
from langchain_gptoss.engine.scheduler import Generation
from langchain_gptoss.errors import InvalidInputError

ENCODING = load_harmony_encoding(HarmonyEncodingName.HARMONY_GPT_OSS)


def ids(answer: str, thoughts: str = "") -> list[int]:
    analysis = f"<|channel|>analysis<|message|>{thoughts}<|end|><|start|>assistant" if thoughts else ""
    return ENCODING.encode(f"{analysis}<|channel|>final<|message|>{answer}<|return|>", allowed_special="all")


def scripted(*completions: list[int], **fields) -> ChatGptOss:
    return ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine(completions), **fields)


class SlowEngine(ScriptedEngine):
    """Takes a millisecond for a token, so that somebody can leave in the middle."""

    def _replay(self, completion: list[int], request: Request, limit: int) -> Generation:
        replay = super()._replay(completion, request, limit)
        while True:
            time.sleep(0.001)
            try:
                yield next(replay)
            except StopIteration as end:
                return end.value


class TestStandard(ChatModelUnitTests):
    """LangChain's own unit suite; tools and structured output are not there yet."""

    @property
    def chat_model_class(self) -> type[ChatGptOss]:
        return ChatGptOss

    @property
    def chat_model_params(self) -> dict:
        return {"model": "gpt-oss-20b", "engine": ScriptedEngine([])}

    @property
    def has_tool_calling(self) -> bool:
        return False

    @property
    def has_structured_output(self) -> bool:
        return False


def test_an_answer_with_reasoning_usage_and_metadata():
    message = scripted(ids("Paris 🙂.", thoughts="Easy.")).invoke("Capital of France?")
    assert message.content == "Paris 🙂."
    assert message.additional_kwargs["reasoning_content"] == "Easy."
    assert message.response_metadata["finish_reason"] == "stop"
    assert message.response_metadata["model_name"] == "gpt-oss-20b"
    usage = message.usage_metadata
    assert usage["output_tokens"] == len(ids("Paris 🙂.", thoughts="Easy."))
    assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
    assert usage["output_token_details"]["reasoning"] == len(ENCODING.encode("Easy."))


async def test_stream_batch_and_async_agree():
    llm = scripted(*[ids("One two three.")] * 5)
    chunks = list(llm.stream("Count."))
    whole = chunks[0]
    for chunk in chunks[1:]:
        whole += chunk
    assert isinstance(whole, AIMessageChunk)
    assert len([chunk for chunk in chunks if chunk.text]) > 2
    assert whole.content == "One two three."
    assert chunks[-1].chunk_position == "last"
    assert (await llm.ainvoke("Count.")).content == "One two three."
    assert "".join([chunk.text async for chunk in llm.astream("Count.")]) == "One two three."
    assert [message.content for message in llm.batch(["a", "b"])] == ["One two three."] * 2


def test_what_the_model_is_asked():
    engine = ScriptedEngine([ids("ok")])
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine, reasoning_effort="low", top_p=0.5)
    llm.invoke([SystemMessage("Be brief."), HumanMessage("Hi <|end|>")], temperature=0.2, seed=3)
    request = engine.requests[0]
    prompt = ENCODING.decode(request.prompt_ids)
    assert "Reasoning: low" in prompt
    assert "# Instructions\n\nBe brief." in prompt
    assert request.prompt_ids.count(200007) == 3  # system, developer, user; not the one that the user wrote
    assert (request.sampling.temperature, request.sampling.top_p, request.sampling.seed) == (0.2, 0.5, 3)
    assert request.sampling.top_k == 0


def test_stop_strings_and_limits():
    llm = scripted(ids("One two three four."), ids("One two three four."), ids("One two three four."))
    assert llm.invoke("Count.", stop=["ee f"]).content == "One two thr"
    message = llm.invoke("Count.", max_tokens=4)
    assert message.response_metadata["finish_reason"] == "length"
    assert message.usage_metadata["output_tokens"] == 4
    assert llm.bind(stop=[" two"]).invoke("Count.").content == "One"


def test_bad_input_is_refused_before_anything_is_generated():
    engine = ScriptedEngine([ids("ok")], context_length=60)
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine)
    image = HumanMessage([{"type": "image_url", "image_url": {"url": "data:,x"}}])
    with pytest.raises(InvalidInputError, match="Unknown option 'temprature'"):
        llm.invoke("Hi", temprature=1)
    with pytest.raises(InvalidInputError, match="max_tokens is -1"):
        llm.invoke("Hi", max_tokens=-1)
    with pytest.raises(InvalidInputError, match="A stop string is empty"):
        llm.invoke("Hi", stop=[""])
    with pytest.raises(InvalidInputError, match="image_url"):
        llm.invoke([image])
    with pytest.raises(InvalidInputError, match="There are no messages"):
        llm.invoke([])
    with pytest.raises(ContextOverflowError, match="the model's context holds 60"):
        llm.invoke("word " * 100)
    with pytest.raises(ValidationError, match="modle"):
        ChatGptOss(modle="demo")
    assert engine.requests == []


def test_closing_a_stream_stops_the_model():
    engine = SlowEngine([ids("word " * 2000)])
    stream = ChatGptOss(model="gpt-oss-20b", engine=engine).stream("Talk.")
    next(stream)
    stream.close()
    time.sleep(0.05)
    steps = engine.steps
    time.sleep(0.05)
    assert engine.steps == steps < 1000


async def test_cancelling_a_task_stops_the_model():
    engine = SlowEngine([ids("word " * 2000)])
    task = asyncio.create_task(ChatGptOss(model="gpt-oss-20b", engine=engine).ainvoke("Talk."))
    while engine.steps < 5:
        await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.05)
    steps = engine.steps
    await asyncio.sleep(0.05)
    assert engine.steps == steps < 1000


async def test_completions():
    engine = ScriptedEngine([ids("one"), ids("two"), ids("three"), ENCODING.encode("Paris."), ids("five")])
    llm = GptOssLLM(model="gpt-oss-20b", engine=engine)
    result = llm.generate(["a", "b"])
    assert [generations[0].text for generations in result.generations] == ["one", "two"]
    assert result.generations[0][0].generation_info["finish_reason"] == "stop"
    assert "".join(llm.stream("c")) == "three"
    raw = GptOssLLM(model="gpt-oss-20b", engine=engine, raw=True)
    raw.invoke("The capital of France is")
    assert list(engine.requests[-1].prompt_ids) == ENCODING.encode("The capital of France is")
    assert await llm.ainvoke("e") == "five"
