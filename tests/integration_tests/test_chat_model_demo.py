"""ChatGptOss with the real demo model: LangChain's standard integration tests, threads, and a free event loop."""

import asyncio
import threading
import time
from itertools import pairwise
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss import ChatGptOss, GptOssLLM

from tests.integration_tests.demo_suite import DemoSuite  # isort: skip

QUESTION = "What is the capital of France?"


class TestStandard(DemoSuite):
    """LangChain's standard integration tests, every feature on."""

    @property
    def chat_model_params(self) -> dict[str, Any]:
        return {"model": "demo", "max_tokens": 40}


def test_answer_has_text_and_metadata(demo_llm):
    message = demo_llm.invoke(QUESTION)
    assert "Paris" in message.content
    assert message.response_metadata == {
        "finish_reason": "stop",
        "model_name": "demo",
        "model_provider": "gptoss",
    }
    assert message.usage_metadata["input_tokens"] == len(demo_llm.format.render([HumanMessage(QUESTION)]))


def test_earlier_messages_are_remembered(demo_llm):
    conversation = [HumanMessage("My name is Bertrand."), AIMessage("Nice to meet you, Bertrand!")]
    assert "Bertrand" in demo_llm.invoke([*conversation, HumanMessage("What is my name?")]).content


def test_completion_continues_the_text(demo_llm):
    assert "Paris" in GptOssLLM(model="demo", raw=True, max_tokens=8).invoke("The capital of France is")


def test_models_of_one_checkpoint_share_the_engine(demo_llm):
    assert GptOssLLM(model="demo").running_engine is demo_llm.running_engine
    assert ChatGptOss(model="demo", temperature=0.5).running_engine is demo_llm.running_engine


def test_seed_repeats_an_answer(demo_llm):
    llm = ChatGptOss(model="demo", temperature=1.0, max_tokens=10)
    answers = [llm.invoke("Tell me something.", seed=seed).content for seed in (1, 1, 2, 3)]
    assert answers[0] == answers[1]
    assert len(set(answers)) > 1


def test_two_threads_stream_side_by_side(demo_llm):
    """Each thread gets the same answer as alone, and neither waits for the end of the other."""
    questions = ["Describe the sea in a few sentences.", "Describe a mountain in a few sentences."]
    expected = [demo_llm.invoke(question, max_tokens=40).content for question in questions]
    times: list[list[float]] = [[], []]
    answers = ["", ""]
    barrier = threading.Barrier(2)

    def consume(index: int) -> None:
        barrier.wait()
        for chunk in demo_llm.stream(questions[index], max_tokens=40):
            times[index].append(time.monotonic())
            answers[index] += chunk.text

    threads = [threading.Thread(target=consume, args=(index,)) for index in (0, 1)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == expected
    assert max(times[0][0], times[1][0]) < min(times[0][-1], times[1][-1])


async def test_event_loop_runs_while_a_token_is_computed(demo_llm):
    demo_llm.load()
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.0005)
            ticks += 1

    ticking = asyncio.create_task(tick())
    ticks_at_chunk = [ticks async for _ in demo_llm.astream("Describe the sea.", max_tokens=40)]
    ticking.cancel()
    # A loop that waits for the model ticks once per token at most.
    assert max(after - before for before, after in pairwise(ticks_at_chunk)) >= 3


def check_stopped(demo_llm: ChatGptOss) -> None:
    """Check that the engine finishes the step in progress at most."""
    steps = demo_llm.running_engine.steps
    time.sleep(0.5)
    assert demo_llm.running_engine.steps <= steps + 1


def test_closing_a_stream_stops_the_model(demo_llm):
    stream = demo_llm.stream("Write a long story about a fox.")
    for _ in range(3):
        next(stream)
    stream.close()
    check_stopped(demo_llm)


async def test_cancelling_a_task_stops_the_model(demo_llm):
    steps = demo_llm.running_engine.steps
    task = asyncio.create_task(demo_llm.ainvoke("Write a long story about a fox."))
    while demo_llm.running_engine.steps < steps + 4:
        await asyncio.sleep(0.02)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    check_stopped(demo_llm)
