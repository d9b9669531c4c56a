"""Prompts that users replace."""

import pytest

from langchain_gptoss import create_chatbot
from langchain_gptoss.chatbot import ChatbotPrompts
from langchain_gptoss.chatbot.prompts import PASSAGES_PROMPT, build_answer_rule
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


@pytest.mark.parametrize(
    ("question", "language", "rule"),
    [
        (EXPRESS, "en", "one whole sentence, or a few if needed, in English,"),
        ("Combien coûte la livraison express ?", "fr", "une phrase complète, ou quelques-unes au besoin, en français,"),
        (
            "Combien coûte la livraison express ?",
            "en",
            "one whole sentence, or a few if needed, in the language of the question,",
        ),
    ],
)
def test_the_rule_beside_the_question_asks_for_a_whole_sentence_in_its_language(question, language, rule):
    assert rule in build_answer_rule(question, language)


def test_the_rule_stands_between_the_passages_and_the_question():
    llm = build_model(EXPRESS_ANSWER)
    create_chatbot(llm, build_retriever()).invoke(EXPRESS)
    prompt = llm.read_prompt(0)
    assert prompt.index("12.90 euros") < prompt.index("one whole sentence") < prompt.index(f"Question: {EXPRESS}")


def test_the_model_is_not_asked_for_citations():
    llm = build_model(EXPRESS_ANSWER)
    create_chatbot(llm, build_retriever()).invoke(EXPRESS)
    prompt = llm.read_prompt(0)
    assert prompt.count("[1]") == 1  # the number of the passage
    assert not any(word in prompt.lower() for word in ("cite", "citation", "bracket", "marker"))


@pytest.mark.parametrize(
    ("options", "is_whole"), [({}, False), ({"excerpt_chars": 0}, True), ({"excerpt_chars": 4000}, True)]
)
def test_the_model_reads_excerpts_of_long_passages(options, is_whole):
    filler = " ".join(f"Shelf {number} holds {number} boxes of paper." for number in range(60))
    llm = build_model(EXPRESS_ANSWER)
    output = create_chatbot(llm, build_retriever(f"{filler} {EXPRESS_ANSWER}"), **options).invoke(EXPRESS)
    prompt = llm.read_prompt(0)
    assert EXPRESS_ANSWER in prompt
    assert (filler in prompt) == is_whole
    assert len(prompt) < 2000 or is_whole
    assert output.citations[0].quote == EXPRESS_ANSWER
