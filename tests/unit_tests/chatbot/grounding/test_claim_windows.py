"""Windows of sentences: what one, two, three and five of them have of a claim."""

import pytest

from langchain_gptoss.chatbot.grounding.claim_windows import WINDOW_SIZES, compute_window_features
from langchain_gptoss.chatbot.grounding.claims import parse_claim
from tests.unit_tests.chatbot.grounding.helpers import split_text

TEXT = (
    "The heron nests in tall reeds. Its eggs are pale blue. Young birds leave after fifty days. "
    "Foxes rarely reach the nest. Wind is the main danger."
)


def compute(claim, text=TEXT, question="What about herons?"):
    return compute_window_features(parse_claim(claim, question), split_text(text))


@pytest.mark.parametrize(
    ("claim", "complete_from"),
    [
        ("The heron nests in tall reeds.", 1),
        ("The heron nests in reeds and its eggs are blue.", 2),
        ("The heron nests in reeds, its eggs are blue and young birds leave after fifty days.", 3),
        ("The heron nests in reeds, its eggs are blue, and wind is the main danger.", 5),
    ],
)
def test_a_claim_is_complete_from_the_window_that_holds_its_sentences(claim, complete_from):
    features = compute(claim)
    assert [features[f"window_{n}"] == pytest.approx(1) for n in WINDOW_SIZES] == [
        n >= complete_from for n in WINDOW_SIZES
    ]
    assert [features[f"missing_{n}"] == 0 for n in WINDOW_SIZES] == [n >= complete_from for n in WINDOW_SIZES]
    assert features["anywhere"] == pytest.approx(1)
    assert features["nowhere"] == 0


def test_larger_windows_never_have_less():
    features = compute("Young herons leave the reeds of Finland after ninety days.")
    shares = [features[f"window_{n}"] for n in WINDOW_SIZES]
    assert shares == sorted(shares)
    assert features["names_5"] == features["figures_5"] == 1
    assert features["nowhere"] > 0


def test_words_of_the_question_do_not_count_as_new():
    features = compute("The heron nests in the attic.", question="Where does the heron nest?")
    assert features["window_1"] > 0
    assert features["new_1"] == 0


def test_neighbours_must_stand_in_order():
    text = "Pale blue eggs lie there."
    assert (
        compute("Pale blue eggs lie there.", text)["pairs_1"] > compute("Eggs lie there, blue, pale.", text)["pairs_1"]
    )
