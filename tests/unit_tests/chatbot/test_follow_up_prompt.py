"""The prompt that completes a follow-up question."""

import pytest

from langchain_gptoss import ChatGptOss
from langchain_gptoss.chatbot.follow_up_prompt import FOLLOW_UP_PROMPT, fill_follow_up_prompt, limit_to_question
from langchain_gptoss.engine import ScriptedEngine
from tests.unit_tests.chatbot.fakes import build_model

TURNS = ["How much is standard delivery?", "It costs 5 euros."]


def format_prompt(question, texts, language):
    prompt = fill_follow_up_prompt(FOLLOW_UP_PROMPT, question, texts, language)
    return [str(message.text) for message in prompt.format_messages(question=question)]


@pytest.mark.parametrize(
    ("question", "language", "label"),
    [
        ("And for express delivery?", "fr", "Complete question:"),
        ("Et pour la livraison express ?", "en", "Question complète :"),
        ("42?", "fr", "Question complète :"),
        ("Und am Sonntag?", "de", "Complete question:"),
    ],
)
def test_the_task_has_the_language_of_the_question(question, language, label):
    task, message = format_prompt(question, TURNS, language)
    label = label.replace(" :", ":")
    assert message.endswith(f": {question}\n{label}")
    assert task.count(label) >= 5


def test_the_message_has_the_last_turns_shortened():
    texts = [f"text {number} " + "word " * 100 for number in range(6)]
    _, message = format_prompt("And on Sunday?", texts, "en")
    assert [f"text {number} " in message for number in range(6)] == [False, False, True, True, True, True]
    assert all(len(line) < 250 for line in message.splitlines())


def test_a_model_that_does_not_reason_writes_one_line():
    llm = ChatGptOss(model="demo", chat_format="plain", engine=ScriptedEngine([]), temperature=1.0)
    limited = limit_to_question(llm)
    assert (limited.temperature, limited.stop) == (0.0, ["\n"])
    assert limited.max_tokens < 100
    assert llm.temperature == 1.0


def test_models_that_reason_and_other_models_are_not_limited():
    for llm in (ChatGptOss(model="gpt-oss-20b", engine=ScriptedEngine([])), build_model("answer")):
        assert limit_to_question(llm) is llm
