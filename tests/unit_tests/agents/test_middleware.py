"""An agent goes on after tool calls that cannot be made."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_gptoss.agents import InvalidToolCallMiddleware
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import (
    build_chat_model,
    get_time,
    get_weather,
    read_prompt,
    write_answer,
    write_call,
)

MADE_UP = write_call("search_web", '{"q":"Nantes"}')
VALID = write_call("get_weather", '{"city":"Nantes"}')
ANSWER = write_answer("It rains.")


def build_agent(*completions: str, **options: Any) -> tuple[Any, Any]:
    llm = build_chat_model(*completions)
    return create_agent(llm, [get_weather, get_time], middleware=[InvalidToolCallMiddleware(**options)]), llm


def ask(agent: Any) -> list[BaseMessage]:
    return agent.invoke({"messages": [HumanMessage("Weather?")]})["messages"][1:]


@pytest.mark.parametrize(
    ("completion", "reason"),
    [
        (MADE_UP, "There is no tool 'search_web'. The offered tools are: get_time, get_weather."),
        (write_call("get_weather", "Nantes"), "not a JSON object"),
        (write_call("get_weather", '{"city":"Nan', ""), "cut off"),
    ],
)
def test_the_model_reads_the_error_and_goes_on(completion, reason):
    agent, llm = build_agent(completion, VALID, ANSWER)
    messages = ask(agent)
    assert [message.type for message in messages] == ["ai", "tool", "ai", "tool", "ai"]
    assert messages[1].status == "error"
    assert reason in messages[1].content
    assert reason in read_prompt(llm, 1)
    assert messages[-1].content == "It rains."


async def test_async_and_streaming_agents_go_on():
    agent, _ = build_agent(MADE_UP, ANSWER)
    answer = await agent.ainvoke({"messages": [HumanMessage("Weather?")]})
    assert answer["messages"][-1].content == "It rains."
    agent, _ = build_agent(MADE_UP, ANSWER)
    texts = [chunk.text async for chunk, _ in agent.astream({"messages": [HumanMessage("?")]}, stream_mode="messages")]
    assert "".join(texts).endswith("It rains.")


def test_an_invalid_call_beside_a_valid_one_is_answered_once():
    both = write_call("search_web", "{}", "<|end|>") + "<|start|>assistant" + VALID
    agent, _ = build_agent(both, ANSWER)
    messages = ask(agent)
    results = {message.name: message.status for message in messages if isinstance(message, ToolMessage)}
    assert results == {"search_web": "error", "get_weather": "success"}
    assert len(messages) == 4


@pytest.mark.parametrize(("max_retries", "calls"), [(0, 1), (1, 2), (2, 3)])
def test_the_loop_ends_after_some_failures_in_a_row(max_retries, calls):
    agent, llm = build_agent(*[MADE_UP] * 5, max_retries=max_retries)
    assert ask(agent)[-1].invalid_tool_calls
    assert len(llm.engine.requests) == calls


def test_a_valid_call_in_between_starts_the_count_again():
    agent, _ = build_agent(MADE_UP, VALID, MADE_UP, ANSWER, max_retries=1)
    assert ask(agent)[-1].content == "It rains."


def test_valid_answers_are_left_alone():
    agent, _ = build_agent(VALID, ANSWER)
    assert [message.type for message in ask(agent)] == ["ai", "tool", "ai"]


def test_a_negative_number_is_refused():
    with pytest.raises(InvalidInputError, match="max_retries is -1"):
        InvalidToolCallMiddleware(max_retries=-1)
