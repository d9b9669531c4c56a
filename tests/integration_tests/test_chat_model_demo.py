"""ChatGptOss with the real demo model: LangChain's own integration suite, threads, and a free event loop."""

import asyncio
import threading
import time
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss import ChatGptOss, GptOssLLM

from tests.integration_tests.demo_suite import DemoSuite  # isort: skip

QUESTION = "What is the capital of France?"


class TestStandard(DemoSuite):
    """LangChain's own integration suite, every feature on."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "demo", "max_tokens": 60}


def test_paris(demo_llm):
    message = demo_llm.invoke(QUESTION)
    assert "Paris" in message.content
    assert message.response_metadata == {
        "finish_reason": "stop",
        "model_name": "demo",
        "model_provider": "gptoss",
    }
    assert message.usage_metadata["input_tokens"] == len(demo_llm.format.render([HumanMessage(QUESTION)]))


def test_the_conversation_is_remembered(demo_llm):
    conversation = [HumanMessage("My name is Bertrand."), AIMessage("Nice to meet you, Bertrand!")]
    assert "Bertrand" in demo_llm.invoke([*conversation, HumanMessage("What is my name?")]).content


def test_a_completion_continues_the_text(demo_llm):
    assert "Paris" in GptOssLLM(model="demo", raw=True, max_tokens=8).invoke("The capital of France is")


def test_models_of_one_checkpoint_share_the_engine(demo_llm):
    assert GptOssLLM(model="demo").running_engine is demo_llm.running_engine
    assert ChatGptOss(model="demo", temperature=0.5).running_engine is demo_llm.running_engine


def test_a_seed_repeats_an_answer(demo_llm):
    llm = ChatGptOss(model="demo", temperature=1.0, max_tokens=20)
    answers = [llm.invoke("Tell me something.", seed=seed).content for seed in (1, 1, 2)]
    assert answers[0] == answers[1] != answers[2]


def test_two_threads_stream_at_once(demo_llm):
    """Each gets the answer it gets alone, and neither waits for the other to end."""
    questions = ["Describe the sea in a few sentences.", "Describe a mountain in a few sentences."]
    alone = [demo_llm.invoke(question, max_tokens=40).content for question in questions]
    times: list[list[float]] = [[], []]
    answers = ["", ""]

    def listen(index: int) -> None:
        for chunk in demo_llm.stream(questions[index], max_tokens=40):
            times[index].append(time.monotonic())
            answers[index] += chunk.text

    threads = [threading.Thread(target=listen, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == alone
    assert max(times[0][0], times[1][0]) < min(times[0][-1], times[1][-1])


async def test_the_event_loop_stays_free(demo_llm):
    demo_llm.load()
    stalls = []

    async def tick() -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.005)
            stalls.append(time.monotonic() - before - 0.005)

    ticking = asyncio.create_task(tick())
    await asyncio.sleep(0)
    answers = await asyncio.gather(*(demo_llm.ainvoke("Describe the sea.", max_tokens=40) for _ in range(2)))
    ticking.cancel()
    assert answers[0].content == answers[1].content
    assert len(stalls) > 20
    assert max(stalls) < 0.05


def test_leaving_a_stream_stops_the_model(demo_llm):
    stream = demo_llm.stream("Write a long story about a fox.")
    for _ in range(3):
        next(stream)
    stream.close()
    time.sleep(0.3)  # for the step in progress
    steps = demo_llm.running_engine.steps
    time.sleep(0.5)
    assert demo_llm.running_engine.steps == steps


async def test_cancelling_a_task_stops_the_model(demo_llm):
    before = demo_llm.running_engine.steps
    task = asyncio.create_task(demo_llm.ainvoke("Write a long story about a fox."))
    while demo_llm.running_engine.steps < before + 4:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await asyncio.sleep(0.3)
    steps = demo_llm.running_engine.steps
    await asyncio.sleep(0.5)
    assert demo_llm.running_engine.steps == steps
