"""A long sentence makes several statements: what one of them says is not said of the subject of another one."""

import pytest

from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from tests.unit_tests.chatbot.grounding.helpers import split_text

OFFICES = (
    "The office of the agency in Lyon sells flats and houses in all districts of the town, and the office of the agency "
    "in Metz rents furnished rooms to students and travellers."
)
MAYOR = (
    "The mayor and the whole council appointed Clara Nunn as head of the town library after Peter Holt retired early."
)
GATES = (
    "After months of hunger and disease in the crowded streets, the keepers of the eastern gate, who had received no "
    "pay since the harvest, opened it and let the army of Brenn enter the town."
)
FACULTY = (
    "The faculty of Brenn includes scholars such as the biologist Oda Wills, the chemists Elia Cory, Dudo Herrick and "
    "Gero White, the physicists Lisa Rand and Roy Glaub, the poet Joan Field, and the Dante scholar Piet Vos."
)


def is_supported(claim, question, text):
    return judge_claim(claim, question, split_text(text)).verdict == "supported"


@pytest.mark.parametrize(
    ("question", "claim", "text"),
    [
        ("Which office rents furnished rooms?", "The office that rents furnished rooms is in Lyon.", OFFICES),
        ("Who was appointed head of the library?", "Peter Holt has been appointed head of the library.", MAYOR),
    ],
)
def test_another_statement_of_the_sentence_does_not_answer(question, claim, text):
    assert not is_supported(claim, question, text)


@pytest.mark.parametrize(
    ("question", "claim", "text"),
    [
        ("Which office rents furnished rooms?", "The office that rents furnished rooms is in Metz.", OFFICES),
        ("What Dante scholar is a member at Brenn?", "The Dante scholar Piet Vos is a member at Brenn.", FACULTY),
        ("Who let the army of Brenn come in?", "The keepers of the eastern gate let the army of Brenn come in.", GATES),
    ],
)
def test_the_statement_with_the_words_of_the_question_answers(question, claim, text):
    assert is_supported(claim, question, text)
