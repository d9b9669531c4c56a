"""Requests of OpenAI's API: nulls, unknown fields, wrong types."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.chat_requests import ChatCompletionRequest
from langchain_gptoss.serve.openai.requests import build_ignored_fields_header, list_ignored_fields, parse_request

MESSAGES: list[Any] = [{"role": "user", "content": "Hello"}]
SCHEMA = {"type": "object", "properties": {"size": {"enum": [1, None], "default": None}}}
TOOLS = [{"type": "function", "function": {"name": name, "parameters": SCHEMA}} for name in ("find", "book")]


def parse(**fields: Any) -> ChatCompletionRequest:
    body = json.dumps({"model": "m", "messages": MESSAGES, **fields})
    return parse_request(body.encode(), ChatCompletionRequest)


def refuse(**fields: Any) -> Any:
    with pytest.raises(RequestRefused) as raised:
        parse(**fields).get_model_options()
    return raised.value.response


@pytest.mark.parametrize("name", sorted(set(ChatCompletionRequest.model_fields) - {"model", "messages"}))
def test_null_means_the_default(name):
    request = parse(**{name: None})
    assert request == parse()
    assert request.get_model_options() == {}
    assert list_ignored_fields(request) == []


@pytest.mark.parametrize(
    ("fields", "options"),
    [
        ({"stream_options": {"include_usage": None}}, {}),
        ({"response_format": {"type": "text"}}, {}),
        ({"response_format": {"type": "text", "json_schema": None}}, {}),
        ({"tools": []}, {}),
        ({"tools": [], "tool_choice": "auto"}, {}),
        ({"stop": []}, {}),
        ({"stop": ""}, {}),
        ({"stop": ["", "b"]}, {"stop": ["b"]}),
        ({"stop": list("abcdef")}, {"stop": list("abcdef")}),
        ({"temperature": 0}, {"temperature": 0}),
        ({"max_tokens": 5.0}, {"max_tokens": 5}),
        ({"max_tokens": 5, "max_completion_tokens": 7}, {"max_tokens": 7}),
        ({"top_k": -1, "min_p": 0}, {"top_k": 0, "min_p": 0}),
        ({"logit_bias": {}}, {}),
        ({"logit_bias": {"17": -100}}, {"logit_bias": {17: -100}}),
        ({"logprobs": True, "top_logprobs": 0}, {"logprobs": True}),
        ({"logprobs": False, "top_logprobs": 0}, {}),
        ({"user": "u", "metadata": {"a": None}, "store": True}, {}),
        ({"response_format": {"type": "json_object"}}, {"response_format": {"type": "json_object"}}),
        (
            {"response_format": {"type": "json_object", "schema": SCHEMA}},
            {"response_format": {"type": "json_schema", "json_schema": {"name": "answer", "schema": SCHEMA}}},
        ),
        (
            {
                "response_format": {
                    "type": "json_schema",
                    "json_schema": {"name": "a", "schema": SCHEMA, "strict": None},
                }
            },
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": SCHEMA}}},
        ),
        (
            {"functions": [{"name": "find", "parameters": SCHEMA}], "function_call": {"name": "find"}},
            {
                "tools": TOOLS[:1],
                "tool_choice": {"type": "function", "function": {"name": "find"}},
                "parallel_tool_calls": False,
            },
        ),
    ],
)
def test_options_are_read(fields, options):
    assert parse(**fields).get_model_options() == options


@pytest.mark.parametrize(
    "choice",
    [
        {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [TOOLS[0]]}},
        {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "find"}]},
        {"type": "allowed_tools", "mode": "required", "tools": [{"name": "find", "type": None}], "allowed_tools": None},
    ],
)
def test_both_forms_of_allowed_tools_are_read(choice):
    allowed = [{"type": "function", "function": {"name": "find"}}]
    assert parse(tools=TOOLS, tool_choice=choice).get_model_options()["tool_choice"] == {
        "type": "allowed_tools",
        "allowed_tools": {"mode": "required", "tools": allowed},
    }


def test_nulls_in_a_schema_keep_their_meaning():
    assert parse(tools=TOOLS).get_model_options()["tools"] == TOOLS


@pytest.mark.parametrize(
    ("fields", "param", "code"),
    [
        ({"messages": None}, "messages", "missing_required_parameter"),
        ({"model": None}, "model", "missing_required_parameter"),
        ({"model": 5}, "model", "invalid_type"),
        ({"messages": "Hello"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "empty_array"),
        ({"messages": ["Hello"]}, "messages[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": [5]}]}, "messages[0].content[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": 5}]}]}, None, "invalid_type"),
        ({"messages": [*MESSAGES, {"content": "a"}]}, "messages[1].role", "missing_required_parameter"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": "0.5"}, "temperature", "invalid_type"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"temperature": 2.5}, "temperature", "decimal_above_max_value"),
        ({"temperature": -1}, "temperature", "integer_below_min_value"),
        ({"top_p": 1.5}, "top_p", "decimal_above_max_value"),
        ({"max_tokens": 0}, "max_tokens", "integer_below_min_value"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_tokens": "10"}, "max_tokens", "invalid_type"),
        ({"n": 0}, "n", "integer_below_min_value"),
        ({"n": 9}, "n", "integer_above_max_value"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": True}, "stream_options", "invalid_type"),
        ({"stream_options": {"include_usage": "no"}}, "stream_options.include_usage", "invalid_type"),
        ({"stop": 5}, "stop", "invalid_type"),
        ({"stop": ["a", 5]}, "stop[1]", "invalid_type"),
        ({"seed": 2**70}, "seed", "integer_above_max_value"),
        ({"top_logprobs": 3}, "top_logprobs", "invalid_value"),
        ({"logprobs": 3}, "logprobs", "invalid_type"),
        ({"logit_bias": {"word": 1}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": 101}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": "much"}}, "logit_bias", "invalid_value"),
        ({"logit_bias": {"5": True}}, "logit_bias", "invalid_value"),
        ({"logit_bias": [1]}, "logit_bias", "invalid_type"),
        ({"reasoning_effort": "extreme"}, "reasoning_effort", "invalid_value"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": [{"type": "web_search", "function": {"name": "a"}}]}, "tools[0].type", "invalid_value"),
        ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter"),
        ({"tools": [{"function": {"name": "a", "parameters": "b"}}]}, "tools[0].function.parameters", "invalid_type"),
        ({"tools": TOOLS, "tool_choice": "sing"}, "tool_choice", "invalid_value"),
        ({"tools": TOOLS, "tool_choice": 5}, "tool_choice", "invalid_type"),
        ({"tools": TOOLS, "tool_choice": {"type": "function"}}, "tool_choice.name", "missing_required_parameter"),
        ({"tools": TOOLS, "tool_choice": {"function": {"name": "sing"}}}, "tool_choice", "invalid_value"),
        ({"tool_choice": "required"}, "tool_choice", "invalid_value"),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": [{"name": "sing"}]}},
            "tool_choice",
            "invalid_value",
        ),
        (
            {"tools": TOOLS, "tool_choice": {"type": "allowed_tools", "mode": "auto", "tools": []}},
            "tool_choice.tools",
            "empty_array",
        ),
        ({"functions": [{"name": "find"}], "tools": TOOLS}, "functions", "invalid_value"),
        ({"functions": [{"name": "find"}], "function_call": {"name": "sing"}}, "function_call", "invalid_value"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
        ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema", "missing_required_parameter"),
        (
            {"response_format": {"type": "json_schema", "json_schema": {"name": "a"}}},
            "response_format.json_schema.schema",
            "missing_required_parameter",
        ),
        ({"modalities": ["text", "audio"]}, "modalities[1]", "invalid_value"),
    ],
)
def test_a_wrong_value_is_refused_by_name(fields, param, code):
    response = refuse(**fields)
    assert response.status_code == 400
    assert response.code == code
    if param is not None:
        assert response.param == param
        assert response.param in response.message


@pytest.mark.parametrize(
    "body", ["", "{", "null", "[1]", '"a"', "[" * 50_000, '{"model": NaN}', '{"model": "\\ud800"}']
)
def test_a_body_that_is_no_request_is_refused(body):
    with pytest.raises(RequestRefused) as raised:
        parse_request(body.encode(), ChatCompletionRequest)
    assert raised.value.response.status_code == 400


def test_a_long_array_is_read_up_to_its_first_wrong_item():
    with pytest.raises(RequestRefused) as raised:
        parse(messages=[*MESSAGES, *[5] * 1000])
    assert raised.value.response.param == "messages[1]"
    cause = raised.value.__context__
    assert isinstance(cause, ValidationError)
    assert cause.error_count() == 1


def test_unknown_fields_are_listed_with_their_place_and_without_nulls():
    request = parse(
        colour="red",
        mood=None,
        stream_options={"speed": 5, "mood": None},
        messages=[{"role": "user", "content": [{"type": "text", "text": "a", "cache_control": {}}], "mood": "x"}] * 2,
        tools=[{"type": "function", "function": {"name": "a", "mood": 1, "strict": None}, "mood": None}],
    )
    assert sorted(list_ignored_fields(request)) == [
        "colour",
        "messages[].content[].cache_control",
        "messages[].mood",
        "stream_options.speed",
        "tools[].function.mood",
    ]


def test_the_header_of_ignored_fields_is_short_ascii():
    assert build_ignored_fields_header([]) == {}
    assert build_ignored_fields_header(["a", "b[].c", "a"]) == {"X-Ignored-Fields": "a, b[].c"}
    [value] = build_ignored_fields_header(
        ["é\r\nSet-Cookie: a=b", *(f"field{i}" for i in range(99)), "x" * 999]
    ).values()
    assert value.isascii()
    assert value.isprintable()
    assert len(value) < 1000
    assert value.endswith("...")
