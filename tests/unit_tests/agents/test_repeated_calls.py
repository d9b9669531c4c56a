"""An agent does not make the same call again, and ends with what it has."""

from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.messages import BaseMessage, HumanMessage, ToolMessage

from langchain_gptoss.agents import InvalidToolCallMiddleware, RepeatedToolCallMiddleware
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import build_chat_model, read_prompt, write_answer, write_call

NANTES = write_call("count_visitors", '{"city":"Nantes"}')
OSLO = write_call("count_visitors", '{"city":"Oslo"}')
ANSWER = write_answer("There are seven.")
TOLD = "You have already called count_visitors with these arguments. Do not call it again. Its result was:\n"


class Agent:
    """An agent whose model gives the completions in turn, and whose tool counts its calls."""

    def __init__(self, *completions: str, middleware: Any = None, **options: Any) -> None:
        self.llm = build_chat_model(*completions)
        self.calls: list[str] = []
        self.graph = create_agent(
            self.llm, [self.count_visitors], middleware=middleware or [RepeatedToolCallMiddleware(**options)]
        )

    def count_visitors(self, city: str) -> str:
        """Count the visitors of a city."""
        self.calls.append(city)
        if city == "Atlantis":
            raise ValueError("no such city")
        return f"{len(self.calls)} in {city}"

    def ask(self) -> list[BaseMessage]:
        """Return the messages after the question."""
        return self.graph.invoke({"messages": [HumanMessage("How many?")]})["messages"][1:]


def test_a_repeated_call_is_not_made_and_the_model_is_told():
    agent = Agent(NANTES, NANTES, ANSWER)
    messages = agent.ask()
    assert agent.calls == ["Nantes"]
    assert [message.type for message in messages] == ["ai", "tool", "ai", "tool", "ai"]
    assert messages[3].text == f"{TOLD}1 in Nantes"
    assert TOLD in read_prompt(agent.llm, 2)
    assert messages[-1].text == "There are seven."


async def test_async_agents_are_told_too():
    agent = Agent(NANTES, NANTES, NANTES, ANSWER)
    state = await agent.graph.ainvoke({"messages": [HumanMessage("How many?")]})
    assert agent.calls == ["Nantes"]
    assert state["messages"][-1].text == "There are seven."
    assert "Do not call tools any more." in read_prompt(agent.llm, 3)


def test_other_arguments_and_later_questions_are_no_repetition():
    agent = Agent(NANTES, OSLO, ANSWER, NANTES, ANSWER)
    messages = [HumanMessage("How many?")]
    for _ in range(2):
        messages = [*agent.graph.invoke({"messages": messages})["messages"], HumanMessage("And now?")]
    assert agent.calls == ["Nantes", "Oslo", "Nantes"]


def test_equal_calls_in_one_answer_are_made_once():
    both = write_call("count_visitors", '{"city":"Nantes"}', "<|end|>") + "<|start|>assistant" + NANTES
    agent = Agent(both, NANTES, ANSWER)
    agent.ask()
    assert set(agent.calls) == {"Nantes"}
    assert len(agent.calls) <= 2  # they run at the same time, so neither has the other's result


@pytest.mark.parametrize(("max_repeats", "requests"), [(1, 3), (2, 4), (3, 5)])
def test_after_some_repetitions_the_model_must_answer_without_tools(max_repeats, requests):
    agent = Agent(*[NANTES] * (max_repeats + 1), ANSWER, max_repeats=max_repeats)
    messages = agent.ask()
    assert agent.calls == ["Nantes"]
    assert len(agent.llm.engine.requests) == requests
    assert messages[-1].text == "There are seven."
    assert "Do not call tools any more." in read_prompt(agent.llm, requests - 1)
    assert "Do not call tools any more." not in read_prompt(agent.llm, requests - 2)


def test_a_model_that_still_calls_ends_with_the_last_result():
    agent = Agent(*[NANTES] * 6, max_repeats=1)
    messages = agent.ask()
    assert len(agent.llm.engine.requests) == 3
    assert messages[-1].text == "1 in Nantes"
    assert not messages[-1].tool_calls
    assert not messages[-1].invalid_tool_calls


def test_an_empty_answer_to_a_result_is_asked_again_without_tools():
    agent = Agent(NANTES, write_answer(""), ANSWER)
    messages = agent.ask()
    assert [message.type for message in messages] == ["ai", "tool", "ai"]
    assert messages[-1].text == "There are seven."
    assert "Do not call tools any more." in read_prompt(agent.llm, 2)


def test_an_empty_answer_without_results_stays():
    assert Agent(write_answer("")).ask()[-1].text == ""


def test_the_number_of_rounds_is_limited():
    agent = Agent(*[write_call("count_visitors", f'{{"city":"{n}"}}') for n in range(3)], ANSWER, max_rounds=3)
    assert agent.ask()[-1].text == "There are seven."
    assert agent.calls == ["0", "1", "2"]
    assert "Do not call tools any more." in read_prompt(agent.llm, 3)


def test_tools_whose_result_changes_are_called_again():
    agent = Agent(*[NANTES] * 4, ANSWER, repeatable_tools=["count_visitors"])
    agent.ask()
    assert agent.calls == ["Nantes"] * 4


def test_a_failed_call_may_be_made_again():
    from langchain.agents.middleware import ToolErrorMiddleware

    agent = Agent(
        *[write_call("count_visitors", '{"city":"Atlantis"}')] * 3,
        ANSWER,
        middleware=[RepeatedToolCallMiddleware(), ToolErrorMiddleware(on_error=lambda error, _: str(error))],
    )
    messages = agent.ask()
    assert agent.calls == ["Atlantis"] * 3
    assert all(message.status == "error" for message in messages if isinstance(message, ToolMessage))


def test_it_works_beside_the_other_middleware():
    unknown = write_call("search", "{}")
    agent = Agent(
        unknown, NANTES, NANTES, ANSWER, middleware=[InvalidToolCallMiddleware(), RepeatedToolCallMiddleware()]
    )
    assert agent.ask()[-1].text == "There are seven."
    assert agent.calls == ["Nantes"]


@pytest.mark.parametrize("options", [{"max_repeats": 0}, {"max_rounds": 0}])
def test_numbers_below_one_are_refused(options):
    with pytest.raises(InvalidInputError, match="must be 1 or more"):
        RepeatedToolCallMiddleware(**options)
