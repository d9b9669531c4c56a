"""The conversation before a question."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss.chatbot.history import expand_follow_up, remove_citation_markers, split_by_budget
from tests.unit_tests.chatbot.fakes import STANDARD


def test_a_follow_up_is_searched_with_the_question_that_it_follows():
    history = [HumanMessage(STANDARD)]
    assert len(expand_follow_up("Et pour la livraison express ?", history)) == 2
    assert len(expand_follow_up("How long does it take?", history)) == 2
    assert expand_follow_up("and for express?", []) == [("and for express?", 1.0)]


def test_a_new_question_is_searched_alone():
    question = "When can an opened laptop be returned?"
    assert expand_follow_up(question, [HumanMessage(STANDARD)]) == [(question, 1.0)]


@pytest.mark.parametrize(
    "question",
    [
        "Is it possible to return an opened laptop?",
        "Why does the router restart at night?",
        "Le magasin de Namur est-il ouvert le lundi ?",
        "Y a-t-il un parking en face du magasin ?",
    ],
)
def test_a_complete_question_after_a_change_of_topic_is_searched_alone(question):
    history = [HumanMessage(STANDARD), AIMessage("It costs 4.90 euros."), HumanMessage("and for express?")]
    assert expand_follow_up(question, history) == [(question, 1.0)]


@pytest.mark.parametrize("question", ["Can you explain further?", "Et dans ce cas ?", "Is it insured?"])
def test_a_follow_up_is_searched_with_the_last_complete_question(question):
    history = [HumanMessage("When can a laptop be returned?"), HumanMessage(STANDARD), HumanMessage("and for express?")]
    assert [text for text, _ in expand_follow_up(question, history)] == [question, STANDARD]


def test_a_follow_up_of_a_follow_up_refers_to_the_first_question():
    history = [HumanMessage(STANDARD), HumanMessage("and for express?")]
    assert expand_follow_up("and abroad?", history)[1][0] == STANDARD


def test_a_long_conversation_keeps_its_end_from_a_question_on():
    messages = [HumanMessage("question " * 5), AIMessage("answer " * 5)] * 10
    excess, recent = split_by_budget(messages, 150)
    assert [*excess, *recent] == messages
    assert recent
    assert isinstance(recent[0], HumanMessage)
    assert split_by_budget(messages, 10_000) == ([], messages)
    assert split_by_budget(messages, 1) == (messages, [])
    assert split_by_budget([], 1) == ([], [])


def test_citation_markers_are_removed_and_other_brackets_stay():
    answer = "It costs 4.90. [1] It is quick. [?] See [note]."
    assert remove_citation_markers(answer) == "It costs 4.90. It is quick. See [note]."
