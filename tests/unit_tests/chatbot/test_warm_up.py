"""The beginnings of the prompts are read before the first question."""

import logging

from langchain_core.prompts import ChatPromptTemplate

from langchain_gptoss import ChatGptOss, create_chatbot
from langchain_gptoss.chatbot import ChatbotPrompts
from langchain_gptoss.chatbot.warm_up import list_shared_beginnings
from langchain_gptoss.engine import ScriptedEngine
from tests.unit_tests.chatbot.fakes import (
    EXPRESS,
    EXPRESS_ANSWER,
    build_model,
    build_retriever,
    build_scripted_model,
    load_encoding,
)


def build_bot(llm, **options):
    return create_chatbot(llm, build_retriever(), **{"focus": 0, "decline_below": 0.0, **options})


def test_the_prompts_of_questions_begin_with_what_was_read():
    llm = build_scripted_model("a", "b", "c", EXPRESS_ANSWER)
    bot = build_bot(llm)
    bot.warm_up()
    read = list(llm.engine.requests)
    assert len(read) == 3  # instructions, and the task of follow-ups in two languages
    assert {request.sampling.max_tokens for request in read} == {1}
    assert {request.priority for request in read} == {-1}
    bot.invoke(EXPRESS, {"configurable": {"cache_salt": "alice"}})
    answered = llm.engine.requests[-1]
    assert any(
        answered.prompt_ids[: answered.shared_tokens] == request.prompt_ids[: answered.shared_tokens]
        for request in read
    )
    texts = [load_encoding().decode(request.prompt_ids) for request in read]
    assert [sum(part in text for text in texts) for part in ("Last question:", "Dernière question:")] == [1, 1]


def test_beginnings_with_questions_or_passages_are_not_read():
    passages = ChatPromptTemplate.from_messages([("system", "{context}"), ("human", "{question}")])
    condense = ChatPromptTemplate.from_messages([("system", "Rewrite."), ("human", "{question}")])
    prompts = ChatbotPrompts(passages=passages, condense=condense)
    bot = build_bot(build_scripted_model(), prompts=prompts)
    assert [message.text for message in list_shared_beginnings(bot.settings)] == ["Rewrite."]


def test_nothing_is_read_for_small_models_and_models_of_others():
    llm = build_scripted_model()
    build_bot(llm, focus=1).warm_up()
    assert llm.engine.requests == []
    model = build_model()
    build_bot(model).warm_up()
    assert model.prompts == []


def test_a_failure_is_logged(caplog):
    llm = ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([], context_length=4))
    with caplog.at_level(logging.WARNING):
        build_bot(llm).warm_up()
    assert "not read before the first question" in caplog.text
