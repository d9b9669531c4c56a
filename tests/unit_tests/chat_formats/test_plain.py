"""Prompts for base models."""

from langchain_core.messages import AIMessage, HumanMessage, SystemMessage

from langchain_gptoss.chat_formats.plain import PlainFormat
from tests.unit_tests.chat_formats.byte_tokenizer import build_tokenizer

TOKENIZER = build_tokenizer()
FORMAT = PlainFormat(TOKENIZER, stop_ids=frozenset({0}))


def test_single_message_is_continued():
    assert TOKENIZER.decode(FORMAT.render([HumanMessage("Once upon")])) == "Once upon"


def test_conversation_is_labelled():
    conversation = [SystemMessage("Be brief."), HumanMessage("Hello"), AIMessage("Hi."), HumanMessage("été 🎉?")]
    prompt = TOKENIZER.decode(FORMAT.render(conversation))
    assert prompt == "Be brief.\n\nUser: Hello\n\nAssistant: Hi.\n\nUser: été 🎉?\n\nAssistant:"
