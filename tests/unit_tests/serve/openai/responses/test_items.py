"""Items of the Responses API become messages in the order in which a model writes them."""

from typing import Any

import pytest
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage, ToolMessage

from langchain_gptoss.serve.error_responses import RequestRefused
from langchain_gptoss.serve.openai.responses.items import convert_items, normalize_input

KEY = "0" * 32
USER = {"role": "user", "content": "Hello"}


def convert(*items: Any, instructions: str | None = None) -> list[Any]:
    """Return messages without the fields that these tests do not look at."""
    return [simplify(message) for message in convert_items(normalize_input(list(items), KEY), instructions)]


def simplify(message: Any) -> Any:
    if isinstance(message, AIMessage):
        calls = [(call["name"], call["args"]) for call in [*message.tool_calls, *message.invalid_tool_calls]]
        return message.additional_kwargs.get("reasoning_content", ""), message.content, calls
    return type(message), message.content


def reason(text: str, place: str = "content") -> dict[str, Any]:
    kind = {"content": "reasoning_text", "summary": "summary_text"}[place]
    return {"type": "reasoning", "id": "rs_1", "summary": [], place: [{"type": kind, "text": text}]}


def call(name: str, arguments: Any = "{}") -> dict[str, Any]:
    return {"type": "function_call", "call_id": f"call_{name}", "name": name, "arguments": arguments}


def answer(text: str) -> dict[str, Any]:
    content = [{"type": "output_text", "text": text, "annotations": []}]
    return {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": content}


def give(name: str, output: Any) -> dict[str, Any]:
    return {"type": "function_call_output", "call_id": f"call_{name}", "output": output}


@pytest.mark.parametrize(
    ("items", "messages"),
    [
        ([USER], [(HumanMessage, "Hello")]),
        ([{"type": "message", **USER}], [(HumanMessage, "Hello")]),
        ([{"type": None, **USER}], [(HumanMessage, "Hello")]),
        (
            [{"role": "developer", "content": "Be brief."}, USER],
            [(SystemMessage, "Be brief."), (HumanMessage, "Hello")],
        ),
        (
            [{"role": "system", "content": [{"type": "input_text", "text": "Sois bref."}]}],
            [(SystemMessage, "Sois bref.")],
        ),
        ([{"role": "user", "content": [{"type": "input_text", "text": t} for t in "ab"]}], [(HumanMessage, "ab")]),
        ([{"role": "user", "content": []}], [(HumanMessage, "")]),
        ([{"role": "assistant", "content": "Bonjour"}], [("", "Bonjour", [])]),
        ([{"role": "assistant", "content": [{"type": "refusal", "refusal": "No."}]}], [("", "No.", [])]),
        ([reason("Hm."), answer("Yes.")], [("Hm.", "Yes.", [])]),
        ([reason("Hm.", "summary"), answer("Yes.")], [("Hm.", "Yes.", [])]),
        ([reason("Hm."), call("f")], [("Hm.", "", [("f", {})])]),
        ([reason("Hm."), answer("I look."), call("f")], [("Hm.", "I look.", [("f", {})])]),
        ([call("f"), call("g")], [("", "", [("f", {}), ("g", {})])]),
        ([reason("a"), call("f"), reason("b"), call("g")], [("a", "", [("f", {})]), ("b", "", [("g", {})])]),
        ([answer("a"), answer("b")], [("", "a", []), ("", "b", [])]),
        ([call("f"), answer("Done.")], [("", "", [("f", {})]), ("", "Done.", [])]),
        ([reason("a"), reason("b"), answer("c")], [("a\n\nb", "c", [])]),
        ([reason(""), answer("c")], [("", "c", [])]),
        ([{"type": "reasoning", "id": "rs_1", "summary": []}, answer("c")], [("", "c", [])]),
        ([{"type": "reasoning", "encrypted_content": "gAAAAABo"}, answer("c")], [("", "c", [])]),
        ([{"type": "reasoning", "encrypted_content": None}, answer("c")], [("", "c", [])]),
        ([call("f", '{"a": 1}'), give("f", "ok")], [("", "", [("f", {"a": 1})]), (ToolMessage, "ok")]),
        (
            [call("f"), give("f", [{"type": "input_text", "text": "o"}, {"type": "input_text", "text": "k"}])],
            [("", "", [("f", {})]), (ToolMessage, "ok")],
        ),
        ([call("f", '{"a":')], [("", "", [("f", '{"a":')])]),
        ([call("f", "[1]")], [("", "", [("f", "[1]")])]),
        ([call("f", "")], [("", "", [("f", {})])]),
        ([call("f", None)], [("", "", [("f", {})])]),
        ([call("f"), USER, answer("a")], [("", "", [("f", {})]), (HumanMessage, "Hello"), ("", "a", [])]),
    ],
)
def test_items_become_messages(items, messages):
    assert convert(*items) == messages


def test_the_instructions_come_first():
    assert convert(USER, instructions="Be brief.") == [(SystemMessage, "Be brief."), (HumanMessage, "Hello")]


def test_calls_and_results_keep_their_ids():
    messages = convert_items(normalize_input([call("f"), call("g", "x"), give("f", "a"), give("g", "b")], KEY))
    assert messages[0].tool_calls[0]["id"] == messages[1].tool_call_id == "call_f"
    assert messages[0].invalid_tool_calls[0]["id"] == messages[2].tool_call_id == "call_g"


def test_items_get_ids_types_and_parts():
    items = normalize_input([USER, answer("a"), call("f"), give("f", "ok"), {"id": "msg_7"}], KEY)
    ids = [f"msg_{KEY}i0", "msg_1", f"fc_{KEY}i2", f"fco_{KEY}i3", "msg_7"]
    assert [item["id"] for item in items] == ids
    types = ["message", "message", "function_call", "function_call_output", "item_reference"]
    assert [item["type"] for item in items] == types
    assert items[0]["content"] == [{"type": "input_text", "text": "Hello"}]
    assert normalize_input("Hello", KEY) == items[:1]


@pytest.mark.parametrize(
    ("item", "part"),
    [
        (5, "is not an object"),
        ({}, "type is None"),
        ({"type": "computer_call", "call_id": "a"}, "type is 'computer_call'"),
        ({"type": "message", "content": "a"}, "role is None"),
        ({"role": "tool", "content": "a"}, "role is 'tool'"),
        ({"role": "user"}, "must be a text or a list of parts"),
        ({"role": "user", "content": ["a"]}, "is of type None"),
        ({"role": "user", "content": [{"type": "input_file", "file_id": "a"}]}, "is of type 'input_file'"),
        ({"role": "user", "content": [{"type": "input_text"}]}, "text is None"),
        ({"type": "reasoning", "content": "a"}, "must be a list of parts"),
        ({"type": "reasoning", "summary": [{"type": "summary_text"}]}, "text is None"),
        ({"type": "function_call", "name": "f"}, "call_id is None"),
        ({"type": "function_call", "name": "f", "call_id": "a", "arguments": {}}, "arguments must be a text"),
        ({"type": "function_call_output", "output": "a"}, "call_id is None"),
        ({"type": "function_call_output", "call_id": "a", "output": 5}, "must be a text or a list of parts"),
        ({"type": "item_reference"}, "id is None"),
    ],
)
def test_an_invalid_item_is_refused_by_its_place(item, part):
    with pytest.raises(RequestRefused, match=part) as raised:
        normalize_input([USER, item], KEY)
    assert raised.value.response.param.startswith("input[1]")
    assert raised.value.response.status_code == 400


def test_the_output_of_an_unknown_call_is_refused():
    with pytest.raises(RequestRefused, match="No tool call found for function call output with call_id call_g"):
        convert(call("f"), give("g", "a"))
