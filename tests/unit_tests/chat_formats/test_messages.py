"""Messages of all providers as harmony prompts."""

import pytest
from langchain_core.messages import (
    AIMessage,
    BaseMessage,
    ChatMessage,
    FunctionMessage,
    HumanMessage,
    RemoveMessage,
    SystemMessage,
    ToolMessage,
)

from langchain_gptoss.chat_formats.harmony import HarmonyFormat
from langchain_gptoss.chat_formats.messages import (
    AssistantTurn,
    TextTurn,
    ToolResultTurn,
    read_known_parts,
    read_messages,
)
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.scripted_models import ENCODING

FORMAT = HarmonyFormat()
CALL = {"name": "get_weather", "args": {}, "id": "1"}


def render(messages: list[BaseMessage]) -> str:
    return ENCODING.decode(FORMAT.render(messages))


@pytest.mark.parametrize(
    ("messages", "message"),
    [
        ([], "There are no messages"),
        ([ToolMessage("4", tool_call_id="1")], "no AI message before it makes that call"),
        ([ChatMessage("x", role="critic")], "A chat message cannot be written"),
        ([HumanMessage([{"type": "image_url", "image_url": {"url": "data:,"}}])], "block of type 'image_url'"),
        ([HumanMessage([{"type": "image", "url": "x"}])], "block of type 'image'"),
    ],
)
def test_messages_that_cannot_be_written_are_rejected(messages, message):
    with pytest.raises(InvalidInputError, match=message):
        FORMAT.render(messages)


@pytest.mark.parametrize(
    ("blocks", "expected"),
    [
        ([{"type": "thinking", "thinking": "T"}, {"type": "redacted_thinking", "data": "x"}], "<|message|>T<|end|>"),
        (
            [
                {"type": "reasoning", "summary": [{"type": "summary_text", "text": "S"}]},
                {"type": "function_call", "name": "get_weather", "arguments": "{}", "call_id": "1"},
            ],
            "<|channel|>analysis<|message|>S<|end|>",
        ),
        ([{"type": "refusal", "refusal": "No."}], "<|message|>No.<|end|>"),
        ([{"type": "non_standard", "value": {}}, {"type": "text", "text": "A"}], "<|message|>A<|end|>"),
        ([{"type": "tool_use", "id": "1", "name": "get_weather", "input": '{"a":1}'}], '<|message|>{"a":1}<|call|>'),
    ],
)
def test_blocks_of_other_providers_are_read(blocks, expected):
    calls = [] if blocks[0]["type"] == "tool_use" else [CALL]
    messages = [HumanMessage("q"), AIMessage(blocks, tool_calls=calls), ToolMessage("rain", tool_call_id="1")]
    assert expected in render(messages)


@pytest.mark.parametrize("content", [None, "", [], [None], "rain", ["rain"], [{"type": "text", "text": "rain"}]])
def test_tool_results_in_human_messages_are_read(content):
    result = HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": content}])
    prompt = render([HumanMessage("q"), AIMessage("", tool_calls=[CALL]), result])
    written = f" to=assistant<|channel|>commentary<|message|>{'rain' if content and content != [None] else ''}<|end|><|start|>assistant"
    assert f"<|start|>functions.get_weather{written}" in prompt


def test_number_as_a_tool_result_is_text():
    result = HumanMessage([{"type": "tool_result", "tool_use_id": "1", "content": 0}])
    assert "commentary<|message|>0<|end|>" in render([HumanMessage("q"), AIMessage("", tool_calls=[CALL]), result])


def test_tool_results_with_blocks_and_invalid_calls_are_written():
    invalid = {"name": "get_time", "args": "{oops", "id": "2", "error": None, "type": "invalid_tool_call"}
    message = AIMessage("", tool_calls=[CALL], invalid_tool_calls=[invalid])
    results = [ToolMessage([{"type": "text", "text": "rain"}], tool_call_id="1"), ToolMessage("?", tool_call_id="2")]
    prompt = render([HumanMessage("Both?"), message, *results])
    assert "to=functions.get_time <|constrain|>json<|message|>{oops<|call|>" in prompt
    assert "<|message|>rain<|end|>" in prompt


def test_arguments_are_compact_unescaped_json():
    message = AIMessage("", tool_calls=[{"name": "get_weather", "args": {"city": "Ny-Ålesund"}, "id": "1"}])
    prompt = render([HumanMessage("x"), message, ToolMessage("cold", tool_call_id="1")])
    assert '<|message|>{"city":"Ny-Ålesund"}<|call|>' in prompt


def test_chat_messages_are_converted_by_their_role():
    roles = {"developer": "Be brief.", "user": "Hi", "assistant": "Hello."}
    prompt = render([ChatMessage(role=role, content=text) for role, text in roles.items()])
    assert prompt.endswith(
        "# Instructions\n\nBe brief.<|end|><|start|>user<|message|>Hi<|end|>"
        "<|start|>assistant<|channel|>final<|message|>Hello.<|end|><|start|>assistant"
    )


IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}
CALLING = AIMessage("", tool_calls=[CALL], additional_kwargs={"reasoning_content": "Hm."})
RESULT = ToolMessage("rain", tool_call_id="1")


@pytest.mark.parametrize(
    ("messages", "turns"),
    [
        ([], []),
        ([RESULT], [ToolResultTurn(name="unknown", text="rain")]),
        ([ToolMessage("rain", tool_call_id="9", name="f")], [ToolResultTurn(name="f", text="rain")]),
        (
            [
                HumanMessage(
                    [{"type": "tool_result", "tool_use_id": "9", "content": [{"type": "text", "text": "rain"}]}]
                )
            ],
            [ToolResultTurn(name="unknown", text="rain")],
        ),
        ([FunctionMessage("rain", name="f")], [TextTurn(role="user", text="rain")]),
        ([ChatMessage("No.", role="critic")], [TextTurn(role="user", text="No.")]),
        ([RemoveMessage(id="1")], [TextTurn(role="user", text="")]),
        ([HumanMessage([IMAGE, {"type": "text", "text": "What is it?"}])], [TextTurn(role="user", text="What is it?")]),
        ([AIMessage([IMAGE])], [AssistantTurn()]),
        ([SystemMessage([{}, "Be brief."])], [TextTurn(role="system", text="Be brief.")]),
    ],
)
def test_parts_of_a_conversation_are_read_without_errors(messages, turns):
    assert read_known_parts(messages) == turns


@pytest.mark.parametrize(
    "conversation",
    [
        [HumanMessage("q"), CALLING, RESULT],
        [HumanMessage("q"), CALLING, RESULT, AIMessage("It rains."), HumanMessage("r"), CALLING, RESULT],
        [HumanMessage("q"), AIMessage("a")],
    ],
)
def test_conversation_from_its_end_backwards_has_the_same_turns(conversation):
    turns = read_messages(conversation)
    backwards = read_known_parts(conversation[::-1])
    assert read_known_parts(conversation) == turns
    assert backwards in (turns, turns[::-1])
