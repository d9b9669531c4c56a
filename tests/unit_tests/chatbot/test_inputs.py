"""Reading of a chatbot's input and caller."""

import pytest
from langchain_core.messages import HumanMessage

from langchain_gptoss.chatbot import ChatbotInput
from langchain_gptoss.chatbot.caller import Caller, read_caller
from langchain_gptoss.chatbot.inputs import parse_input
from langchain_gptoss.errors import InvalidInputError


@pytest.mark.parametrize(
    "value",
    ["How?", {"question": "How?"}, ChatbotInput(question="How?"), {"question": " How?\u200b ", "chat_history": None}],
)
def test_a_question_comes_as_string_dict_or_model(value):
    assert parse_input(value) == ChatbotInput(question="How?")


def test_messages_of_the_history_are_kept_or_converted():
    message = HumanMessage("Before")
    assert parse_input({"question": "How?", "chat_history": [message]}).chat_history[0] is message
    assert parse_input({"question": "How?", "chat_history": [("human", "Before")]}).chat_history == [message]


@pytest.mark.parametrize("value", ["", "   ", {"question": ""}, {"question": 5}, {}, None, 5])
def test_an_empty_question_raises_an_error(value):
    with pytest.raises(InvalidInputError, match="The question is empty"):
        parse_input(value)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"question": "x", "session_id": 5}, "session_id is 5"),
        ({"question": "x", "sesion_id": "a"}, "unknown fields: 'sesion_id'. Known fields are question"),
        ({"question": "x", "chat_history": [5]}, "chat_history cannot be read"),
        ("a\0b", "binary data"),
        ("\x01\x02\x03\x04", "binary data"),
        ("\u200b\u202e", "empty"),
        ("x" * 100_001, "at most 100000"),
    ],
)
def test_an_unusable_input_raises_an_error(value, message):
    with pytest.raises(InvalidInputError, match=message):
        parse_input(value)


def test_the_caller_is_read_from_the_configuration():
    config = {"configurable": {"user_id": "ada", "access_labels": ["hr", "it"]}}
    assert read_caller(config, "monday") == Caller(user_id="ada", access_labels=("hr", "it"), session_id="monday")
    assert read_caller({}, None) == Caller(user_id="anonymous", access_labels=(), session_id=None)


@pytest.mark.parametrize("labels", ["board", [5], [["board"]]])
def test_access_labels_must_be_a_list_of_strings(labels):
    with pytest.raises(InvalidInputError, match="access_labels is"):
        read_caller({"configurable": {"access_labels": labels}}, None)
