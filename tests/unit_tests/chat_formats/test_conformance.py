"""A call, its result and an answer for each case of OpenAI's compatibility test, as gpt-oss-20b writes them.

The tools, their parameters and the expected arguments are those of `compatibility-test/` in openai/gpt-oss; the words
are not. That test asks a live model; here the model's tokens are given, and the prompts are compared with those that
the reference library writes.
"""

import datetime
import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from langchain_core.messages import AIMessage, BaseMessage, HumanMessage
from langchain_core.runnables import Runnable
from langchain_core.tools import tool
from langchain_core.utils.function_calling import convert_to_openai_tool
from openai_harmony import Role
from pydantic import Field

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chat_formats.base import PromptOptions, Tool
from langchain_gptoss.chat_formats.harmony import renderer
from langchain_gptoss.engine import ScriptedEngine
from tests.unit_tests.chat_formats.harmony.reference import ENCODING, reference_ids

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "conformance.jsonl").read_text("utf-8").splitlines()
]


@tool(parse_docstring=True)
def get_weather(location: str) -> dict[str, Any]:
    """Looks up the weather of a place.

    Args:
        location: The place: a name or a postal code.
    """
    return {"location": location, "sky": "cloudless"}


@tool
def get_system_health() -> dict[str, Any]:
    """Tells whether the model's runtime is alive; worth asking before anything that must not fail."""
    return {"status": "fine", "uptime_hours": 103}


@tool(parse_docstring=True)
def markdown_to_html(markdown: str) -> dict[str, Any]:
    """Turns Markdown into safe HTML, for a browser.

    Args:
        markdown: The text as it was written.
    """
    return {"html": f"<pre>{markdown}</pre>"}


@tool(parse_docstring=True)
def detect_language(text: str) -> dict[str, Any]:
    """Finds the ISO code of the language of a text.

    Args:
        text: What to look at.
    """
    return {"text": text, "language": "und"}


@tool(parse_docstring=True)
def generate_chart(
    data: list[list[float]],
    chart_type: Literal["line", "bar", "scatter"],
    title: str = "",
    x_label: str = "",
    y_label: str = "",
) -> dict[str, Any]:
    """Draws a small chart of a table and returns it as a PNG in base64.

    Args:
        data: Rows of numbers.
        chart_type: How to draw them.
        title: What stands above.
        x_label: What stands under the x axis.
        y_label: What stands beside the y axis.
    """
    return {"png": f"{chart_type} of {len(data)} rows: {title}/{x_label}/{y_label}"}


@tool(parse_docstring=True)
def query_database(
    table: str,
    columns: list[str],
    filters: str = "",
    limit: Annotated[int, Field(ge=1, le=10_000)] = 100,
    order_by: str = "",
) -> dict[str, Any]:
    """Reads rows of the analytics database.

    Args:
        table: Where to read.
        columns: What to read.
        filters: A condition in SQL, without WHERE.
        limit: How many rows at most.
        order_by: The column to sort by.
    """
    return {"sql": f"SELECT {', '.join(columns)} FROM {table} | {filters} | {order_by} | {limit}", "rows": []}


TOOLS = {
    one.name: one
    for one in (get_weather, get_system_health, markdown_to_html, detect_language, generate_chart, query_database)
}
FUNCTIONS = [convert_to_openai_tool(one) for one in TOOLS.values()]

# The guide allows the recipient on either side of the channel, and several ways to say that the content is JSON.
HEADERS = [
    "<|channel|>commentary to=functions.{} <|constrain|>json",
    " to=functions.{}<|channel|>commentary <|constrain|>json",
    "<|channel|>commentary to=functions.{} json",
    " to=functions.{}<|channel|>commentary json",
    "<|channel|>commentary to=functions.{}",
    " to=functions.{}<|channel|>commentary",
    " to=functions.{}<|channel|>commentary<|constrain|>json",
]
SPELLINGS: list[Callable[[Any], str]] = [
    json.dumps,
    lambda arguments: json.dumps(arguments, ensure_ascii=False, separators=(",", ":")),
    lambda arguments: json.dumps(arguments, ensure_ascii=False, indent=2),
]


def call(case: dict[str, Any], header: str, spelled: Callable[[Any], str] = json.dumps) -> list[int]:
    """Returns the model's tokens for a case's call."""
    return ids_of(
        f"<|channel|>analysis<|message|>{thought(case)}<|end|><|start|>assistant"
        f"{header.format(case['tool'])}<|message|>{spelled(case['arguments'])}<|call|>"
    )


def thought(case: dict[str, Any]) -> str:
    return f"This one is for {case['tool']}. Nothing else is needed."


def ids_of(text: str) -> list[int]:
    return ENCODING.encode(text, allowed_special="all")


async def asked(way: str, llm: Runnable, messages: list[BaseMessage]) -> AIMessage:
    if way == "invoke":
        return llm.invoke(messages)
    if way == "ainvoke":
        return await llm.ainvoke(messages)
    chunks = list(llm.stream(messages)) if way == "stream" else [chunk async for chunk in llm.astream(messages)]
    return sum(chunks[1:], chunks[0])


def reference(messages: list[BaseMessage]) -> list[int]:
    tools = tuple(Tool(**written["function"]) for written in FUNCTIONS)
    return reference_ids(messages, PromptOptions(tools=tools), "2026-02-03")


@pytest.fixture(autouse=True)
def today(monkeypatch):
    class Date(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2026, 2, 3)

    monkeypatch.setattr(renderer, "date", Date)


def test_the_cases_are_the_published_number():
    assert len(CASES) == 30
    assert [sum(case["tool"] == name for case in CASES) for name in TOOLS] == [5] * 6


@pytest.mark.parametrize("way", ["invoke", "ainvoke", "stream", "astream"])
@pytest.mark.parametrize("number", range(30), ids=lambda number: f"{number}-{CASES[number]['tool']}")
async def test_a_case(number, way):
    case = CASES[number]
    answer = f"Done, {case['tool']} has spoken: été 🌞."
    completions = [
        call(case, HEADERS[number % len(HEADERS)], SPELLINGS[number % len(SPELLINGS)]),
        ids_of(
            f"<|channel|>analysis<|message|>That is all.<|end|><|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
        ),
    ]
    engine = ScriptedEngine(completions)
    offered = FUNCTIONS if number % 2 else list(TOOLS.values())
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine).bind_tools(offered)
    question = HumanMessage(case["question"])

    calling = await asked(way, llm, [question])
    (made,) = calling.tool_calls
    assert (made["name"], made["args"]) == (case["tool"], case["arguments"])
    assert calling.invalid_tool_calls == []
    assert calling.content == ""
    assert calling.additional_kwargs["reasoning_content"] == thought(case)
    assert calling.response_metadata["finish_reason"] == "tool_calls"
    assert "repairs" not in calling.response_metadata

    result = TOOLS[case["tool"]].invoke(made)
    final = await asked(way, llm, [question, calling, result])
    assert final.content == answer
    assert final.tool_calls == []
    assert final.additional_kwargs["reasoning_content"] == "That is all."
    assert final.response_metadata["finish_reason"] == "stop"

    # Expected from the case, not from what the model class returned.
    expected = AIMessage(
        "",
        additional_kwargs={"reasoning_content": thought(case)},
        tool_calls=[{"name": case["tool"], "args": case["arguments"], "id": made["id"]}],
    )
    first, second = (request.prompt_ids for request in engine.requests)
    assert ENCODING.decode(first) == ENCODING.decode(reference([question]))
    assert list(first) == reference([question])
    assert ENCODING.decode(second) == ENCODING.decode(reference([question, expected, result]))
    assert list(second) == reference([question, expected, result])


@pytest.mark.parametrize("header", HEADERS)
def test_every_header_is_one_that_the_library_reads(header):
    case = CASES[-1]
    thinking, calling = ENCODING.parse_messages_from_completion_tokens(call(case, header), Role.ASSISTANT)
    assert thinking.content[0].text == thought(case)
    assert calling.recipient == f"functions.{case['tool']}"
    assert json.loads(calling.content[0].text) == case["arguments"]


@pytest.mark.parametrize("header", HEADERS)
@pytest.mark.parametrize("name", TOOLS)
def test_every_tool_is_called_under_every_header(name, header):
    case = next(case for case in reversed(CASES) if case["tool"] == name)
    llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([call(case, header)]))
    (made,) = llm.bind_tools(list(TOOLS.values())).invoke(case["question"]).tool_calls
    assert (made["name"], made["args"]) == (name, case["arguments"])
