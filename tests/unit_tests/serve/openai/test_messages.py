"""Messages of a request as LangChain's messages."""

import json
from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.chat_formats import load_chat_format
from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.messages import SentMessage, convert_messages


def convert(*messages: dict[str, Any]) -> list[Any]:
    return convert_messages([SentMessage.model_validate_json(json.dumps(message)) for message in messages])


def write_call(arguments: Any, **fields: Any) -> dict[str, Any]:
    function = {"name": "find", "arguments": arguments, **fields}
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "c1", "type": "function", "function": function}],
    }


def test_roles_and_names():
    messages = convert(
        {"role": "system", "content": "a"},
        {"role": "developer", "content": "b", "name": None},
        {"role": "user", "content": "c", "name": "ann"},
        {"role": "assistant", "content": "d", "reasoning": "because", "refusal": None, "sources": [], "audio": None},
    )
    assert [type(message) for message in messages] == [SystemMessage, SystemMessage, HumanMessage, AIMessage]
    assert [message.text for message in messages] == ["a", "b", "c", "d"]
    assert messages[2].name == "ann"
    assert messages[3].additional_kwargs == {"reasoning_content": "because"}


@pytest.mark.parametrize("role", ["system", "developer", "user", "assistant"])
def test_text_parts_are_read(role):
    one, several = [{"type": "text", "text": "a"}], [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]
    assert convert({"role": role, "content": one})[0].content == "a"
    assert convert({"role": role, "content": several})[0].content == several


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "input_audio", "input_audio": {"data": "", "format": "wav"}},
        {"type": "file", "file": {"file_id": "f"}},
    ],
)
def test_other_parts_are_refused_by_name(part):
    with pytest.raises(RequestRefused, match="reads text only") as raised:
        convert({"role": "user", "content": [{"type": "text", "text": "a"}, part]})
    assert raised.value.response.param == "messages[0].content[1].type"


@pytest.mark.parametrize(
    ("arguments", "args"),
    [
        ("", {}),
        ("  \n", {}),
        (None, {}),
        ("{}", {}),
        ('{"a": 1}', {"a": 1}),
        ({"a": 1}, {"a": 1}),
        ('{"a": "x\ny"}', {"a": "x\ny"}),
    ],
)
def test_arguments_are_read(arguments, args):
    [message] = convert(write_call(arguments))
    assert [call["args"] for call in message.tool_calls] == [args]
    assert message.invalid_tool_calls == []


@pytest.mark.parametrize(
    "arguments", ['{"city": ', "Paris", "[1]", "5", "null", '"a"', '{"a": "\\ud800"}', "[" * 50_000]
)
def test_arguments_that_are_no_object_become_an_invalid_call_that_the_model_sees(arguments):
    messages = convert(
        {"role": "user", "content": "a"}, write_call(arguments), {"role": "tool", "tool_call_id": "c1", "content": "no"}
    )
    assert messages[1].tool_calls == []
    assert [call["args"] for call in messages[1].invalid_tool_calls] == [arguments]
    chat_format = load_chat_format(None, "harmony")
    prompt = b"".join(chat_format.decode_token(token_id) for token_id in chat_format.render(messages)).decode()
    assert arguments[:100] in prompt


def test_results_belong_to_calls():
    [_, result] = convert(
        write_call("{}"), {"role": "tool", "tool_call_id": "c1", "content": [{"type": "text", "text": "r"}]}
    )
    assert (type(result), result.content, result.tool_call_id) == (ToolMessage, "r", "c1")
    assert convert(write_call("{}"), {"role": "tool", "tool_call_id": "c1", "content": None})[1].content == ""


def test_function_calls_of_the_older_form_are_read():
    call = {"role": "assistant", "content": None, "function_call": {"name": "find", "arguments": '{"a": 1}'}}
    result = {"role": "function", "name": "find", "content": "r"}
    first, first_result, second, second_result = convert(call, result, call, result)
    assert [first.tool_calls[0]["args"], second.tool_calls[0]["args"]] == [{"a": 1}, {"a": 1}]
    assert first_result.tool_call_id == first.tool_calls[0]["id"]
    assert second_result.tool_call_id == second.tool_calls[0]["id"] != first.tool_calls[0]["id"]


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ({"role": "user"}, "messages[0].content"),
        ({"role": "system", "content": None}, "messages[0].content"),
        ({"role": "tool", "content": "a"}, "messages[0].tool_call_id"),
        ({"role": "tool", "content": "a", "tool_call_id": "c9"}, "messages[0].tool_call_id"),
        ({"role": "function", "content": "a"}, "messages[0].name"),
        ({"role": "function", "content": "a", "name": "find"}, "messages[0].name"),
        ({"role": "user", "content": [{"type": "text"}]}, "messages[0].content[0].text"),
    ],
)
def test_an_incomplete_message_is_refused_by_name(message, param):
    with pytest.raises(RequestRefused) as raised:
        convert(message)
    assert raised.value.response.param == param
