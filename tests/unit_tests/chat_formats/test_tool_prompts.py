"""Tools, tool calls and response formats in plain prompts."""

import json

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.chat_formats.base import PromptOptions, ResponseFormat, Tool
from langchain_gptoss.chat_formats.messages import read_messages
from langchain_gptoss.chat_formats.tool_prompts import write_turns

TOOL = Tool(name="f", description="Does it.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}})


def write(messages, **options):
    return write_turns(read_messages(messages), PromptOptions(**options))


def test_tools_are_described_in_the_system_message():
    ((role, text), question) = write([SystemMessage("Be brief."), HumanMessage("x")], tools=(TOOL,))
    assert role == "system"
    assert text.startswith("Be brief.\n\nYou have these tools:\n")
    assert json.loads(text.splitlines()[3])["name"] == "f"
    assert "<tool_call>" in text
    assert question == ("user", "x")


def test_required_call_is_asked_for_without_tags():
    (role, text), _ = write([HumanMessage("x")], tools=(TOOL,), tool_choice="any")
    assert role == "system"
    assert "Answer with one call and nothing else" in text
    assert "<tool_call>" not in text


def test_prompt_shows_all_tools_and_names_the_allowed_ones():
    other = Tool(name="g", description="Other.", parameters={"type": "object"})
    for choice in ("auto", "any"):
        (_, text), _ = write([HumanMessage("x")], tools=(TOOL, other), tool_choice=choice, allowed_tools=("g",))
        assert '"name": "f"' in text
        assert '"name": "g"' in text
        assert text.endswith("Call only g this time.")
    (_, text), _ = write([HumanMessage("x")], tools=(TOOL, other))
    assert "this time" not in text


def test_response_format_is_shown():
    response_format = ResponseFormat(name="x", schema={"type": "array"})
    (_, text), _ = write([HumanMessage("x")], response_format=response_format)
    assert text == 'Answer with JSON that follows this schema, and with nothing else:\n{"type": "array"}'


def test_calls_and_results_of_the_history_are_text():
    call = AIMessage("I look.", tool_calls=[{"name": "f", "args": {"a": 1}, "id": "1"}])
    turns = write([HumanMessage("x"), call, ToolMessage("2", tool_call_id="1")])
    assert turns[1:] == [
        ("assistant", 'I look.\n<tool_call>{"name": "f", "arguments": {"a":1}}</tool_call>'),
        ("user", "Result of f: 2"),
    ]
