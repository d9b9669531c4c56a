"""Negation and opposites."""

from langchain_gptoss.text.polarity import has_opposite_meaning, is_negated


def test_is_negated():
    assert is_negated("It cannot be returned.")
    assert is_negated("It isn't free.")
    assert is_negated("Ce n’est pas possible.")
    assert not is_negated("It can be returned.")


def test_the_nearest_clause_decides_about_negation():
    evidence = "Standard delivery is free, express delivery is not."
    assert not has_opposite_meaning("Standard delivery is free.", evidence)
    assert has_opposite_meaning("Standard delivery is not free.", evidence)


def test_opposite_words_contradict_unless_evidence_has_both():
    assert has_opposite_meaning("It is mandatory.", "It is optional.")
    assert has_opposite_meaning("It is optional.", "It is mandatory.")
    assert not has_opposite_meaning("It is mandatory.", "It is mandatory before noon and optional after.")
