"""Tool calls of answers in OpenAI's form."""

import json

import pytest
from langchain_core.messages import AIMessage, AIMessageChunk
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk

from langchain_gptoss.serve.openai.model_completion import choose_finish_reason
from langchain_gptoss.serve.openai.tool_calls import CallStream, build_calls

VALID = tool_call(name="find", args={"q": "é"}, id="a")
INVALID = invalid_tool_call(name="sing", args='{"q": ', id="b", error="broken")
ANSWER = AIMessage("", tool_calls=[VALID], invalid_tool_calls=[INVALID])


def test_valid_and_invalid_calls_are_delivered():
    assert build_calls(ANSWER)["tool_calls"] == [
        {"id": "a", "type": "function", "function": {"name": "find", "arguments": '{"q": "é"}'}},
        {"id": "b", "type": "function", "function": {"name": "sing", "arguments": '{"q": '}},
    ]
    assert build_calls(AIMessage("text")) == {}


def test_the_older_form_has_one_call():
    assert build_calls(ANSWER, as_function=True) == {"function_call": {"name": "find", "arguments": '{"q": "é"}'}}


@pytest.mark.parametrize("as_function", [False, True])
def test_chunks_add_up(as_function):
    stream = CallStream(as_function=as_function)
    pieces = [
        tool_call_chunk(name="find", args="", id="a", index=1000),
        tool_call_chunk(name=None, args='{"q": ', id=None, index=1000),
        tool_call_chunk(name=None, args="1}", id=None, index=1000),
        tool_call_chunk(name="sing", args="la", id="b", index=1001),
    ]
    assert not stream.has_calls
    deltas = [stream.build_delta(AIMessageChunk("", tool_call_chunks=[piece])) for piece in pieces]
    assert stream.has_calls
    if as_function:
        calls = [delta["function_call"] for delta in deltas if delta]
        assert [call.get("name") for call in calls] == ["find", None, None]
        assert json.loads("".join(call["arguments"] for call in calls)) == {"q": 1}
        return
    calls = [delta["tool_calls"][0] for delta in deltas]
    assert [call["index"] for call in calls] == [0, 0, 0, 1]
    assert [call.get("id") for call in calls] == ["a", None, None, "b"]
    assert [call["function"]["arguments"] for call in calls] == ["", '{"q": ', "1}", "la"]


def test_a_model_that_does_not_stream_sends_whole_calls():
    calls = CallStream().build_delta(ANSWER)["tool_calls"]
    assert [(call["index"], call["id"], call["function"]["name"]) for call in calls] == [
        (0, "a", "find"),
        (1, "b", "sing"),
    ]
    assert CallStream().build_delta(AIMessage("text")) == {}


@pytest.mark.parametrize(
    ("reason", "has_calls", "expected"),
    [
        ("stop", False, "stop"),
        ("stop", True, "tool_calls"),
        ("tool_calls", True, "tool_calls"),
        ("tool_calls", False, "stop"),
        ("length", True, "length"),
        ("length", False, "length"),
        ("max_tokens", False, "length"),
        ("content_filter", False, "content_filter"),
        ("cancelled", False, "stop"),
        (None, True, "tool_calls"),
        (None, False, "stop"),
    ],
)
def test_the_finish_reason_names_calls_only_if_there_are_some(reason, has_calls, expected):
    assert choose_finish_reason(reason, has_calls) == expected


def test_the_older_form_has_its_own_finish_reason():
    assert choose_finish_reason("stop", True, as_function=True) == "function_call"
    assert choose_finish_reason("stop", False, as_function=True) == "stop"
