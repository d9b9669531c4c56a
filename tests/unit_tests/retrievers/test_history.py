"""Follow-up questions: rewriting, checks of the rewriting, and the question that is searched for."""

import asyncio

import pytest
from langchain_core.documents import Document
from langchain_core.language_models import FakeListChatModel
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.retrievers import BaseRetriever

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.retrievers import HistoryAwareRetriever
from langchain_gptoss.retrievers.rewriting_checks import find_fault
from tests.unit_tests.retrievers.helpers import RetrieverSuite, create_store


class TestHistoryAware(RetrieverSuite):
    @property
    def retriever_constructor(self):
        return HistoryAwareRetriever

    @property
    def retriever_constructor_params(self):
        return {"retriever": create_store(), "llm": FakeListChatModel(responses=["unused"])}


HISTORY = [
    HumanMessage("How much is standard shipping?"),
    AIMessage("Standard shipping costs 5 euros."),
]


class EchoRetriever(BaseRetriever):
    """Returns the query as a document."""

    def _get_relevant_documents(self, query, *, run_manager):
        return [Document(page_content=query)]


def search_follow_up(answer: str, question: str, history=HISTORY) -> str:
    aware = HistoryAwareRetriever(retriever=EchoRetriever(), llm=FakeListChatModel(responses=[answer]))
    sync = aware.invoke({"question": question, "chat_history": history})[0].page_content
    assert asyncio.run(aware.ainvoke({"question": question, "chat_history": history}))[0].page_content == sync
    return sync


@pytest.mark.parametrize(
    "answer",
    [
        "How much is express shipping?",
        'Complete question: "How much is express shipping?"',
        "How much is express shipping?\nBecause...",
        "How much is express shipping",
    ],
)
def test_a_follow_up_is_rewritten(answer):
    assert search_follow_up(answer, "And express?") == "How much is express shipping?"


@pytest.mark.parametrize(
    "answer",
    [
        "",
        "   \n ",
        "Express shipping costs 12 euros.",
        "Combien coûte la livraison express ?",
        "Who wrote Hamlet?",
        "How much is standard shipping?",
        "How much is express shipping? " * 10,
        "And express?",
        "And what about express?",
        "And the express?",
    ],
)
def test_an_unusable_rewriting_is_replaced_by_both_questions(answer):
    assert search_follow_up(answer, "And express?") == "How much is standard shipping? And express?"


@pytest.mark.parametrize(
    ("question", "echo"),
    [
        ("Can you explain further?", "Can you explain further, please?"),
        ("How long does it take?", "How long does it take?"),
        ("Et dans ce cas ?", "Que se passe-t-il dans ce cas ?"),
    ],
)
def test_a_rewriting_that_only_echoes_the_follow_up_is_replaced_by_both_questions(question, echo):
    assert search_follow_up(echo, question) == f"How much is standard shipping? {question}"


@pytest.mark.parametrize("answer", ["", "Who wrote Hamlet?", "What is the capital of France?", "It is Rome."])
def test_a_complete_question_stays_alone_if_its_rewriting_is_unusable(answer):
    question = "What is the capital of Italy?"
    history = [*HISTORY, HumanMessage("And express?"), AIMessage("Express costs 12 euros.")]
    assert search_follow_up(answer, question, history) == question


def test_an_unusable_rewriting_is_replaced_by_the_last_complete_question_and_the_follow_up():
    history = [*HISTORY, HumanMessage("And express?"), AIMessage("Express costs 12 euros.")]
    assert search_follow_up("", "And abroad?", history) == "How much is standard shipping? And abroad?"


def test_a_follow_up_in_french_is_rewritten_in_french():
    history = [HumanMessage("Combien coûte la livraison standard ?"), AIMessage("Elle coûte 5 euros.")]
    assert (
        search_follow_up("Combien coûte la livraison express ?", "Et en express ?", history)
        == "Combien coûte la livraison express ?"
    )
    english = search_follow_up("How much is express shipping?", "Et en express ?", history)
    assert english == "Combien coûte la livraison standard ? Et en express ?"


def test_without_a_conversation_the_model_is_not_called():
    class FailingModel(FakeListChatModel):
        def _call(self, *args, **kwargs):
            raise AssertionError("called")

    aware = HistoryAwareRetriever(retriever=EchoRetriever(), llm=FailingModel(responses=[""]))
    for question in ("x?", {"question": "x?"}, {"input": "x?", "chat_history": []}):
        assert aware.invoke(question)[0].page_content == "x?"
    assert aware.rewrite_question("x?").reason == "There is no conversation before it."
    for bad in ("", {"question": " "}, {}, 5):
        with pytest.raises(InvalidInputError, match="question is empty"):
            aware.invoke(bad)


def test_a_conversation_without_an_earlier_question_leaves_the_question_unchanged():
    assert search_follow_up("", "And express?", [SystemMessage("Be kind."), AIMessage("Hello!")]) == "And express?"


def test_the_reason_names_the_fault():
    aware = HistoryAwareRetriever(retriever=EchoRetriever(), llm=FakeListChatModel(responses=["Hm."]))
    rewritten = aware.rewrite_question({"question": "And express?", "chat_history": HISTORY})
    assert rewritten.reason.startswith("The model's question does not end with a question mark")


INVOICES = [HumanMessage("How long is invoice 4711 kept?"), AIMessage("Ada Brandt keeps invoice 4711 for 10 years.")]


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("Since when is it 2009?", "leaves out the number 2014"),
        ("Was the invoice sent again in 2014?", "leaves out 'lost'"),
        ("Was invoice 4712 lost in 2014?", "has the number 4712, which nobody mentioned"),
        ("Is invoice 4711 of Ada Brandt from 2014?", "leaves out 'lost'"),
        ("Was the invoice lost by the postman or burnt in 2014?", "has the words 'postman' and 'burnt'"),
        ("Was the invoice of Mira Tolson lost in 2014?", "has the name 'mira', which nobody mentioned"),
        ("How long is invoice 4711 kept? Was it lost in 2014?", "is more than one question"),
    ],
)
def test_a_rewriting_that_loses_or_invents_something_is_not_used(answer, fault):
    aware = HistoryAwareRetriever(retriever=EchoRetriever(), llm=FakeListChatModel(responses=[answer]))
    rewritten = aware.rewrite_question({"question": "Was it lost in 2014?", "chat_history": INVOICES})
    assert rewritten.reason.startswith(f"The model's question {fault}")
    assert rewritten.question == "How long is invoice 4711 kept? Was it lost in 2014?"


def test_a_rewriting_has_what_is_asked():
    history = [HumanMessage("Where is the flower market held?"), AIMessage("The flower market is held in Lamar Park.")]
    assert search_follow_up("Where is the flower market held in Lamar Park?", "And the price?", history) == (
        "Where is the flower market held? And the price?"
    )
    assert search_follow_up("What is the cost of the flower market?", "And the price?", history) == (
        "What is the cost of the flower market?"
    )


def test_a_rewriting_may_have_the_names_and_numbers_of_the_conversation():
    answer = "Did Ada Brandt lose invoice 4711 in 2014?"
    assert search_follow_up(answer, "Did she lose it in 2014?", INVOICES) == answer


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (["Combien coûte la livraison express ?"], "Combien coûte la livraison express ?"),
        (["How much is express shipping?", "Combien coûte la livraison ?"], "Combien coûte la livraison ? {}"),
        (
            ["Combien coûte le standard shipping express ?", "Combien coûte la livraison ?"],
            "Combien coûte la livraison ? {}",
        ),
        (["Et en express ?", "Standard shipping costs 5 euros."], "How much is standard shipping? {}"),
        (["Et en express ?", "Combien coûtent 5 livraisons ?"], "How much is standard shipping? {}"),
    ],
)
def test_a_follow_up_in_another_language_is_searched_for_in_one_language(answers, expected):
    llm = FakeListChatModel(responses=answers)
    aware = HistoryAwareRetriever(retriever=EchoRetriever(), llm=llm)
    found = aware.invoke({"question": "Et en express ?", "chat_history": HISTORY})[0].page_content
    assert found == expected.format("Et en express ?")


@pytest.mark.parametrize(
    ("question", "rewritten", "is_usable"),
    [
        ("Combien coûte l'envoi express ?", "Quel est l'envoi express pour un ordinateur ?", False),
        ("Combien coûte l'envoi express ?", "Quel est le prix de l'envoi express pour un ordinateur ?", True),
        ("When does it open?", "Where does the museum open?", False),
        ("When does it open?", "At what time does the museum open?", True),
        ("Where is the exit?", "Which exit has the museum?", True),
        ("Where is the exit?", "Has the museum an exit?", False),
    ],
)
def test_a_rewritten_question_asks_for_the_same_kind_of_thing(question, rewritten, is_usable):
    conversation = "Combien coûte un ordinateur ?" if "envoi" in question else "How much is a ticket for the museum?"
    fault = find_fault(rewritten, question, conversation, conversation)
    assert fault is None if is_usable else "does not ask" in str(fault)
