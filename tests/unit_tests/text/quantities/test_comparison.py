"""Quantities agree as wholes, in every notation, and in no other case."""

import pytest

from langchain_gptoss.text.quantities import (
    extract_quantities,
    has_same_quantities,
    is_rival_quantity,
)
from tests.unit_tests.text.quantities.pairs import DIFFERENT, SAME, list_pairs


def find_wrong_pairs(lines, *, expected):
    """Return the pairs that are judged wrongly, with what was found in them."""
    return [
        (claim, evidence, extract_quantities(claim), extract_quantities(evidence))
        for claim, evidence in list_pairs(lines)
        if has_same_quantities(claim, evidence) is not expected
    ]


@pytest.mark.parametrize("kind", SAME)
def test_evidence_states_the_claim_in_another_notation(kind):
    assert not find_wrong_pairs(SAME[kind], expected=True)


@pytest.mark.parametrize("kind", DIFFERENT)
def test_evidence_with_another_quantity_does_not_state_the_claim(kind):
    assert not find_wrong_pairs(DIFFERENT[kind], expected=False)


def test_there_are_as_many_kinds_of_false_pairs_as_of_true_ones():
    assert set(SAME) - set(DIFFERENT) == {"no number"}
    assert sum(len(list_pairs(lines)) for lines in SAME.values()) >= 400
    assert sum(len(list_pairs(lines)) for lines in DIFFERENT.values()) >= 350


def get_only(text):
    (quantity,) = (quantity for quantity in extract_quantities(text) if not quantity.is_implicit)
    return quantity


@pytest.mark.parametrize(
    ("claim", "evidence", "expected"),
    [
        ("20 €", "30 €", True),
        ("20 €", "20 $", True),
        ("20 €", "20 €", False),
        ("20", "20 €", False),
        ("20 €", "20 days", False),
        ("3 days", "2 weeks", True),
        ("3 years", "2 months", True),
        ("14 days", "2 weeks", False),
        ("3 km", "3 kg", False),
        ("3 doors", "4 doors", True),
        ("3 doors", "4 windows", False),
        ("3 turnips", "4 turnips", True),
        ("at least 3 years", "at most 3 years", True),
        ("5 days", "5 to 10 days", True),
        ("20 € per month", "20 € per year", True),
        ("in 2019", "in 2020", True),
        ("in 2019", "on 5 May", False),
        ("on 5 May", "on 6 May", True),
        ("on 5 May", "on 5 May 2025", False),
        ("lundi", "mardi", True),
        ("at 8 pm", "at 8 am", True),
        ("at 8 pm", "in 2019", False),
        ("version 3.1", "version 3.10", True),
        ("version 3.1", "article 12", False),
        ("FX-2207", "FX-2208", True),
        ("FX-2207", "ZZ-2208", False),
        ("the 2nd floor", "the 3rd floor", True),
        ("the 2nd floor", "the 3rd edition", False),
        ("every day", "every week", True),
    ],
)
def test_quantities_of_one_dimension_with_other_values_are_rivals(claim, evidence, expected):
    assert is_rival_quantity(get_only(claim), get_only(evidence)) is expected


@pytest.mark.parametrize(
    ("claim", "evidence"),
    [
        ("L'année 2025 compte 1 250 visiteurs.", "In 2025, 1,250 visitors came."),
        ("La maison a trois fenêtres.", "The house has three windows and a door."),
        ("Il y a 12 chaises dans la salle.", "There are 12 chairs in the room."),
    ],
)
def test_unknown_nouns_of_another_language_are_not_compared(claim, evidence):
    assert has_same_quantities(claim, evidence)


def test_a_week_supports_a_claim_but_needs_no_support():
    assert has_same_quantities("Such a week is rare.", "That is rare.")
    assert has_same_quantities("It takes 7 days.", "It takes a week.")
    assert not has_same_quantities("It takes a week.", "It takes 8 days.")
