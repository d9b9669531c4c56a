"""Quantities agree as wholes, in every notation, and in no other case."""

import pytest

from langchain_gptoss.text.quantities import (
    extract_quantities,
    has_same_quantities,
)
from tests.unit_tests.text.quantities.pairs import DIFFERENT, SAME, list_pairs


@pytest.mark.parametrize(("kind", "claim", "evidence"), list_pairs(SAME))
def test_evidence_states_the_claim_in_another_notation(kind, claim, evidence):
    assert has_same_quantities(claim, evidence), (extract_quantities(claim), extract_quantities(evidence))


@pytest.mark.parametrize(("kind", "claim", "evidence"), list_pairs(DIFFERENT))
def test_evidence_with_another_quantity_does_not_state_the_claim(kind, claim, evidence):
    assert not has_same_quantities(claim, evidence), (extract_quantities(claim), extract_quantities(evidence))
