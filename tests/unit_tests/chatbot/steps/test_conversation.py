"""The question that is searched for: follow-ups are completed, and the model is asked only where it is needed."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage

from langchain_gptoss import create_chatbot
from tests.unit_tests.chatbot.fakes import build_model, build_retriever

MUSEUM = [HumanMessage("When does the toy museum open?"), AIMessage("The toy museum opens at 9 a.m. on Saturdays.")]
MUSEE = [HumanMessage("À quelle heure ouvre le musée de la Dentelle ?"), AIMessage("Le musée ouvre à 9 h le samedi.")]


def search(question, history, *answers):
    """Return the question that is searched for, and the number of times that the model was asked for it."""
    llm = build_model(*answers)
    bot = create_chatbot(llm, build_retriever("Nothing of it."), decline_below=1.0)
    output = bot.invoke({"question": question, "chat_history": history})
    return output.standalone_question, len(llm.prompts)


@pytest.mark.parametrize(
    ("question", "history", "complete"),
    [
        ("Is there a student discount?", MUSEUM, "Is there a student discount at the toy museum?"),
        ("Are dogs allowed?", MUSEUM, "Are dogs allowed in the toy museum?"),
        ("Y a-t-il un tarif réduit ?", MUSEE, "Y a-t-il un tarif réduit au musée de la Dentelle ?"),
        ("Y a-t-il un tarif réduit ?", MUSEE, "Quel est le tarif réduit au musée de la Dentelle ?"),
        ("Faut-il réserver ?", MUSEE, "Faut-il réserver pour le musée de la Dentelle ?"),
    ],
)
def test_a_short_question_that_names_nothing_is_completed_from_the_conversation(question, history, complete):
    assert search(question, history, complete) == (complete, 1)


@pytest.mark.parametrize(
    "answer",
    [
        "Who may donate blood?",
        "Who may donate blood on Saturdays?",
        "When does the toy museum open?",
        "Who may donate?",
        "Who may donate to the museum?",
        "You may donate blood at 18.",
        "",
    ],
)
def test_a_complete_question_stays_as_it_is_if_the_model_adds_no_topic(answer):
    assert search("Who may donate blood?", MUSEUM, answer) == ("Who may donate blood?", 1)


def test_a_completion_that_is_not_usable_shows_that_the_question_needs_the_one_before_it():
    question = "Is a medical certificate required?"
    answer = "Which medical certificate do visitors of the toy museum need to bring?"
    assert search(question, MUSEUM, answer) == (f"When does the toy museum open? {question}", 1)


@pytest.mark.parametrize(
    "question",
    [
        "Who invented the steam engine in Birmingham?",
        "How much is the late fee for a borrowed film?",
        "Quelle est la pénalité de retard pour un film emprunté ?",
        "Thank you!",
    ],
)
def test_the_model_is_not_asked_about_a_clearly_complete_question(question):
    assert search(question, MUSEUM) == (question, 0)


def test_without_a_conversation_the_model_is_not_asked():
    assert search("Are dogs allowed?", []) == ("Are dogs allowed?", 0)
