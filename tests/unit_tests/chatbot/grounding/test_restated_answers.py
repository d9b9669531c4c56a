"""Answers that repeat their question: supported by what they add, and never by a statement about something else."""

import pytest

from langchain_gptoss.chatbot.grounding.claim_support import compute_restatement_candidates, judge_claim
from langchain_gptoss.chatbot.grounding.restated_answers import load_restatement_model
from tests.unit_tests.chatbot.grounding.helpers import split_text

CASTLE = (
    "In 1318, Gerold of Brenn travelled to the northern valleys with forty riders to take the castle of Astor from its "
    "lords, but failed. He died two years later."
)
SIEGE = (
    "In the spring of 1318 the army of Brenn, weakened by hunger and desertion, besieged the fort of Astor, whose lords "
    "had refused the tribute."
)
PRICES = (
    "- The replacement of a phone screen costs 129 euros.\n- International delivery to France costs 9.90 euros.\n"
    "Phones have a two-year warranty. Standard delivery costs 4.90 euros."
)
TIMES = "In winter the castle closes at 4 pm, in summer at 8 pm. Storage boxes for parchment are kept at 45 % humidity."


def is_supported(claim, question, text, **options):
    return judge_claim(claim, question, split_text(text), **options).verdict == "supported"


def test_the_words_of_the_question_may_stand_in_the_document_in_other_words():
    question = "Which fort did the army of Brenn attack in the spring campaign?"
    claim = "The army of Brenn attacked the fort of Astor in the spring campaign."
    assert is_supported(claim, question, SIEGE)
    assert not is_supported(claim, question, SIEGE, accepts_restatements=False)
    assert not is_supported(claim.replace("Astor", "Kelm"), question, SIEGE)


@pytest.mark.parametrize(
    ("question", "claim", "text"),
    [
        ("How much is a new laptop screen?", "A new laptop screen costs 129 euros.", PRICES),
        ("How much does delivery to Spain cost?", "Delivery to Spain costs 9.90 euros.", PRICES),
        ("What is the warranty period of televisions?", "Televisions have a two-year warranty.", PRICES),
        ("How much is express delivery?", "Express delivery costs 4.90 euros.", PRICES),
        ("When does the castle close in summer?", "During summer the castle closes at 4 pm.", TIMES),
        ("At what humidity are the photographs kept?", "The photographs are kept at a humidity of 45 %.", TIMES),
        ("Who took the castle of Kelm?", "Gerold of Brenn took the castle of Kelm.", CASTLE),
    ],
)
def test_a_statement_about_something_else_supports_nothing(question, claim, text):
    assert not is_supported(claim, question, text)


def test_an_answer_that_adds_nothing_is_no_candidate():
    question = "When did Gerold of Brenn travel to the valleys?"
    assert not compute_restatement_candidates("Gerold of Brenn travelled to the valleys.", question, split_text(CASTLE))


def test_a_question_about_something_at_a_time_does_not_ask_for_a_time():
    text = "When the seeds are planted and begin to sprout, some of the shoots become long-lived perennial shrubs."
    question = "When the seeds begin to sprout, what do some of the shoots become?"
    assert is_supported("Some of the shoots become long-lived perennial shrubs.", question, text)


def test_steps_answer_a_question_for_steps():
    text = "The recipient of the gift must declare the gift to the tax office and pay the duties."
    question = "What are the tax formalities for a gift?"
    assert is_supported("The recipient must declare the gift to the tax office and pay the duties.", question, text)


def test_the_fitted_threshold_is_a_probability_and_more_of_the_question_is_better():
    model = load_restatement_model()
    assert 0 < model.threshold < 1
    assert model.coefficients["near"] > 0
