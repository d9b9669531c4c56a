"""Prompts that users replace."""

import pytest

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import ChatbotPrompts
from langchain_gptoss.chatbot.prompts import PASSAGES_PROMPT
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chatbot.fakes import EXPRESS, EXPRESS_ANSWER, build_model, build_retriever


def test_a_replaced_prompt_is_used_and_changes_the_version():
    passages = PASSAGES_PROMPT.from_messages([("system", "Mine. {context}"), ("human", "{question}")])
    llm = build_model(EXPRESS_ANSWER)
    bot = create_chatbot(llm, build_retriever(), prompts=ChatbotPrompts(passages=passages))
    version = bot.invoke(EXPRESS).metadata["prompt_version"]
    assert llm.read_prompt(0).startswith("Mine. ")
    assert version != ChatbotPrompts().version


@pytest.mark.parametrize(
    ("name", "template", "message"),
    [
        ("passages", "{context}", r"lacks the variable \{question\}"),
        (
            "passages",
            "{context} {question} {mood}",
            r"unknown variable \{mood\}. .* braces of the text twice: \{\{ and",
        ),
        ("summary", "{words}", r"lacks the variable \{conversation\}"),
    ],
)
def test_a_template_with_wrong_variables_raises_an_error(name, template, message):
    with pytest.raises(InvalidInputError, match=message):
        ChatbotPrompts(**{name: PASSAGES_PROMPT.from_template(template)})
