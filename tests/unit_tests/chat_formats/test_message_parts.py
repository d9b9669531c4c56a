"""Reasoning and tool calls of messages, wherever integrations keep them."""

import pytest
from langchain_core.messages import AIMessage

from langchain_gptoss.chat_formats.message_parts import ToolCall, read_calls, read_reasoning

TEXT_BLOCK = {"type": "text", "text": "Rain."}


@pytest.mark.parametrize(
    "fields",
    [
        {"reasoning_content": "Hm."},
        {"reasoning": "Hm."},
        {"thinking": "Hm."},
        {"reasoning_content": "", "reasoning": "Hm."},
        {"reasoning_content": None, "reasoning": {"text": "Hm."}},
        {"reasoning_content": "Hm.", "reasoning": "Another."},
        {"reasoning": {"id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], "type": "reasoning"}},
        {"reasoning": {"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}], "summary": []}},
        {"reasoning": ["H", "m."]},
        {"reasoning": [{"type": "reasoning", "reasoning": "Hm."}]},
        {"reasoning_details": [{"type": "reasoning.text", "text": "Hm.", "index": 0, "format": "unknown"}]},
        {"reasoning_details": [{"type": "reasoning.summary", "summary": "Hm."}]},
        {
            "reasoning_details": [
                {"type": "reasoning.encrypted", "data": "x"},
                {"type": "reasoning.text", "text": "Hm."},
            ]
        },
        {"reasoning": "Hm.", "reasoning_details": [{"type": "reasoning.text", "text": "Hm."}]},
    ],
)
def test_reasoning_is_read_under_each_name(fields):
    assert read_reasoning(AIMessage("Rain.", additional_kwargs=fields)) == "Hm."


@pytest.mark.parametrize(
    "blocks",
    [
        [{"type": "reasoning", "reasoning": "Hm."}],
        [{"type": "thinking", "thinking": "Hm.", "signature": "x"}],
        [{"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]}],
        [{"type": "reasoning", "content": [{"type": "reasoning_text", "text": "Hm."}]}],
        [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}],
    ],
)
def test_reasoning_is_read_from_blocks(blocks):
    assert read_reasoning(AIMessage([*blocks, TEXT_BLOCK])) == "Hm."


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"reasoning": None},
        {"reasoning": {"effort": "low", "summary": "auto"}},
        {"reasoning": 3, "reasoning_details": [None, 4, {"type": "reasoning.encrypted", "data": "x"}]},
        {"reasoning_details": {}},
    ],
)
def test_other_values_are_no_reasoning(fields):
    assert read_reasoning(AIMessage([TEXT_BLOCK], additional_kwargs=fields)) == ""


def openai_call(arguments, name="f"):
    return {"id": "1", "type": "function", "function": {"name": name, "arguments": arguments}}


def invalid_call(name, arguments):
    return {"name": name, "args": arguments, "id": "1", "error": None, "type": "invalid_tool_call"}


@pytest.mark.parametrize(
    ("message", "name", "arguments"),
    [
        (AIMessage("", tool_calls=[{"name": "f", "args": {"a": "é"}, "id": "1"}]), "f", '{"a":"é"}'),
        (AIMessage("", tool_calls=[{"name": "f", "args": {}, "id": "1"}]), "f", "{}"),
        (AIMessage("", invalid_tool_calls=[invalid_call("f", '{"a": 1')]), "f", '{"a": 1'),
        (AIMessage("", invalid_tool_calls=[invalid_call("f", "[1]")]), "f", "[1]"),
        (AIMessage("", invalid_tool_calls=[invalid_call("f", "")]), "f", ""),
        (AIMessage("", invalid_tool_calls=[invalid_call("f", None)]), "f", ""),
        (AIMessage("", invalid_tool_calls=[invalid_call(None, "{}")]), "unknown", "{}"),
        (AIMessage("", additional_kwargs={"tool_calls": [openai_call('{"a":1}')]}), "f", '{"a":1}'),
        (AIMessage("", additional_kwargs={"tool_calls": [openai_call('{"a":')]}), "f", '{"a":'),
        (AIMessage("", additional_kwargs={"tool_calls": [openai_call("")]}), "f", ""),
        (AIMessage("", additional_kwargs={"tool_calls": [openai_call(None)]}), "f", "{}"),
        (AIMessage([{"type": "tool_use", "id": "1", "name": "f", "input": {"a": 1}}]), "f", '{"a":1}'),
        (AIMessage([{"type": "tool_call", "id": "1", "name": "f", "args": {"a": 1}}]), "f", '{"a":1}'),
        (AIMessage([invalid_call("f", '{"a"')]), "f", '{"a"'),
        (AIMessage([{"type": "function_call", "call_id": "1", "id": "fc", "name": "f", "arguments": "{"}]), "f", "{"),
    ],
)
def test_calls_are_read_as_the_model_wrote_them(message, name, arguments):
    assert read_calls(message) == (ToolCall(id="1", name=name, arguments=arguments),)


def test_call_in_two_places_is_one_call():
    call = {"name": "f", "args": {}, "id": "1"}
    message = AIMessage(
        [{"type": "tool_use", "id": "1", "name": "f", "input": {}}],
        tool_calls=[call],
        additional_kwargs={"tool_calls": [openai_call("{}")]},
    )
    assert len(read_calls(message)) == 1
