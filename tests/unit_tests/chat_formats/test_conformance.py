"""A call, its result and an answer for each case of OpenAI's compatibility test, as gpt-oss-20b writes them.

The tools, their parameters and the expected arguments are those of `compatibility-test/` in openai/gpt-oss; the texts
are new. That test runs a live model; here the model's tokens are scripted, and the prompts are compared with those of
the reference library.
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
from tests import IS_THOROUGH
from tests.unit_tests.chat_formats.harmony.reference import ENCODING, render_reference
from tests.unit_tests.scripted_models import encode

CASES = [
    json.loads(line) for line in (Path(__file__).parent / "data" / "conformance.jsonl").read_text("utf-8").splitlines()
]


@tool(parse_docstring=True)
def get_weather(location: str) -> dict[str, Any]:
    """Look up the weather of a place.

    Args:
        location: The place: a name or a postal code.
    """
    return {"location": location, "sky": "cloudless"}


@tool
def get_system_health() -> dict[str, Any]:
    """Check that the model runtime is alive; useful before anything that must not fail."""
    return {"status": "fine", "uptime_hours": 103}


@tool(parse_docstring=True)
def markdown_to_html(markdown: str) -> dict[str, Any]:
    """Convert Markdown to safe HTML for a browser.

    Args:
        markdown: The source text.
    """
    return {"html": f"<pre>{markdown}</pre>"}


@tool(parse_docstring=True)
def detect_language(text: str) -> dict[str, Any]:
    """Find the ISO code of the language of a text.

    Args:
        text: The text to examine.
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
    """Draw a small chart of a table and return it as a PNG in base64.

    Args:
        data: Rows of numbers.
        chart_type: Kind of chart.
        title: Title above the chart.
        x_label: Label of the x axis.
        y_label: Label of the y axis.
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
    """Read rows of the analytics database.

    Args:
        table: Name of the table.
        columns: Names of the columns.
        filters: A condition in SQL, without WHERE.
        limit: Maximum number of rows.
        order_by: Column to sort by.
    """
    return {"sql": f"SELECT {', '.join(columns)} FROM {table} | {filters} | {order_by} | {limit}", "rows": []}


TOOLS = {
    one.name: one
    for one in (get_weather, get_system_health, markdown_to_html, detect_language, generate_chart, query_database)
}
FUNCTIONS = [convert_to_openai_tool(one) for one in TOOLS.values()]

# The guide allows the recipient on either side of the channel and several notations of the content type JSON.
HEADERS = [
    "<|channel|>commentary to=functions.{} <|constrain|>json",
    " to=functions.{}<|channel|>commentary <|constrain|>json",
    "<|channel|>commentary to=functions.{} json",
    " to=functions.{}<|channel|>commentary json",
    "<|channel|>commentary to=functions.{}",
    " to=functions.{}<|channel|>commentary",
    " to=functions.{}<|channel|>commentary<|constrain|>json",
]
JSON_WRITERS: list[Callable[[Any], str]] = [
    json.dumps,
    lambda arguments: json.dumps(arguments, ensure_ascii=False, separators=(",", ":")),
    lambda arguments: json.dumps(arguments, ensure_ascii=False, indent=2),
]


def write_call(case: dict[str, Any], header: str, write_json: Callable[[Any], str] = json.dumps) -> list[int]:
    """Return the tokens of the call of a case."""
    return encode(
        f"<|channel|>analysis<|message|>{write_reasoning(case)}<|end|><|start|>assistant"
        f"{header.format(case['tool'])}<|message|>{write_json(case['arguments'])}<|call|>"
    )


def write_reasoning(case: dict[str, Any]) -> str:
    return f"This one is for {case['tool']}. Nothing else is needed."


async def call_model(method: str, llm: Runnable, messages: list[BaseMessage]) -> AIMessage:
    if method == "invoke":
        return llm.invoke(messages)
    if method == "ainvoke":
        return await llm.ainvoke(messages)
    chunks = list(llm.stream(messages)) if method == "stream" else [chunk async for chunk in llm.astream(messages)]
    return sum(chunks[1:], chunks[0])


def render_with_library(messages: list[BaseMessage]) -> list[int]:
    tools = tuple(Tool(**function["function"]) for function in FUNCTIONS)
    return render_reference(messages, PromptOptions(tools=tools), "2026-02-03")


@pytest.fixture(autouse=True)
def fixed_date(monkeypatch):
    class Date(datetime.date):
        @classmethod
        def today(cls) -> datetime.date:
            return datetime.date(2026, 2, 3)

    monkeypatch.setattr(renderer, "date", Date)


def test_number_of_cases_is_the_published_one():
    assert len(CASES) == 30
    assert [sum(case["tool"] == name for case in CASES) for name in TOOLS] == [5] * 6


METHODS = ["invoke", "ainvoke", "stream", "astream"]


@pytest.mark.parametrize(
    ("number", "method"),
    [
        pytest.param(number, method, id=f"{number}-{CASES[number]['tool']}-{method}")
        for number in range(30)
        for method in (METHODS if IS_THOROUGH else [METHODS[number % 4]])
    ],
)
async def test_call_result_and_answer_of_a_case(number, method):
    case = CASES[number]
    answer = f"Done, {case['tool']} has spoken: été 🌞."
    completions = [
        write_call(case, HEADERS[number % len(HEADERS)], JSON_WRITERS[number % len(JSON_WRITERS)]),
        encode(
            f"<|channel|>analysis<|message|>That is all.<|end|><|start|>assistant<|channel|>final<|message|>{answer}<|return|>"
        ),
    ]
    engine = ScriptedEngine(completions)
    tools = FUNCTIONS if number % 2 else list(TOOLS.values())
    llm = ChatGptOss(model="gpt-oss-20b", engine=engine).bind_tools(tools)
    question = HumanMessage(case["question"])

    calling = await call_model(method, llm, [question])
    (call,) = calling.tool_calls
    assert (call["name"], call["args"]) == (case["tool"], case["arguments"])
    assert calling.invalid_tool_calls == []
    assert calling.content == ""
    assert calling.additional_kwargs["reasoning_content"] == write_reasoning(case)
    assert calling.response_metadata["finish_reason"] == "tool_calls"
    assert "repairs" not in calling.response_metadata

    result = TOOLS[case["tool"]].invoke(call)
    final = await call_model(method, llm, [question, calling, result])
    assert final.content == answer
    assert final.tool_calls == []
    assert final.additional_kwargs["reasoning_content"] == "That is all."
    assert final.response_metadata["finish_reason"] == "stop"

    # Expected from the case, not from what the model class returned.
    expected = AIMessage(
        "",
        additional_kwargs={"reasoning_content": write_reasoning(case)},
        tool_calls=[{"name": case["tool"], "args": case["arguments"], "id": call["id"]}],
    )
    first, second = (request.prompt_ids for request in engine.requests)
    assert ENCODING.decode(first) == ENCODING.decode(render_with_library([question]))
    assert list(first) == render_with_library([question])
    assert ENCODING.decode(second) == ENCODING.decode(render_with_library([question, expected, result]))
    assert list(second) == render_with_library([question, expected, result])


@pytest.mark.parametrize("header", HEADERS)
def test_headers_are_valid_in_the_reference_library(header):
    case = CASES[-1]
    reasoning, calling = ENCODING.parse_messages_from_completion_tokens(write_call(case, header), Role.ASSISTANT)
    assert reasoning.content[0].text == write_reasoning(case)
    assert calling.recipient == f"functions.{case['tool']}"
    assert json.loads(calling.content[0].text) == case["arguments"]


@pytest.mark.parametrize("header", HEADERS)
def test_all_tools_are_called_under_every_header(header):
    for name in TOOLS:
        case = next(case for case in reversed(CASES) if case["tool"] == name)
        llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([write_call(case, header)]))
        (call,) = llm.bind_tools(list(TOOLS.values())).invoke(case["question"]).tool_calls
        assert (call["name"], call["args"]) == (name, case["arguments"])
