"""Polarity: negations and their scope, exceptions, conditions, strength and opposites."""

import pytest

from langchain_gptoss.text.analysis import analyse
from langchain_gptoss.text.polarity import (
    find_opposites,
    find_polarities,
    has_strong_condition,
    is_unconditional,
    measure_strength,
)


def is_denied(text, language):
    return any(polarity.is_negated for polarity in find_polarities(analyse(text, language)))


@pytest.mark.parametrize(
    ("text", "language", "denied"),
    [
        ("It cannot be returned.", "en", True),
        ("It isn't free.", "en", True),
        ("Nobody is admitted.", "en", True),
        ("Nothing is charged before dispatch.", "en", True),
        ("No dogs are allowed.", "en", True),
        ("Smoking is prohibited.", "en", True),
        ("Nothing is forbidden.", "en", False),
        ("It can be returned.", "en", False),
        ("It serves not only the campus but also the stadium.", "en", False),
        ("It arrives no later than 5 May.", "en", False),
        ("See rule No. 5 of the list.", "en", False),
        ("The fund supports non-profit clubs.", "en", False),
        ("Ce n’est pas possible.", "fr", True),
        ("Personne n'est admis.", "fr", True),
        ("Rien n'est facturé.", "fr", True),
        ("Le chèque n'est plus accepté.", "fr", True),
        ("La carte ne coûte que 8 euros.", "fr", False),
        ("Le tarif est de 8 euros par personne.", "fr", False),
        ("Il dessert non seulement la gare mais aussi l'hôpital.", "fr", False),
    ],
)
def test_denials(text, language, denied):
    assert is_denied(text, language) is denied


def test_a_negation_holds_for_its_clause():
    polarities = find_polarities(analyse("Standard delivery is free, express delivery is not.", "en"))
    assert [polarity.is_negated for polarity in polarities] == [False, True]


def test_a_negation_before_a_colon_holds_for_the_list():
    assert find_polarities(analyse("The warranty does not cover: damage that is caused by a fall.", "en"))[
        -1
    ].is_negated


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("All shops open on Sunday except the bakery.", "en"),
        ("Tous les commerces ouvrent, sauf la poissonnerie.", "fr"),
        ("Les médicaments sont remboursés, à l’exception des compléments.", "fr"),
        ("Le terrain est loué, à moins qu'un match n'ait lieu.", "fr"),
    ],
)
def test_exceptions_are_clauses_of_their_own(text, language):
    polarities = find_polarities(analyse(text, language))
    assert [polarity.is_exception for polarity in polarities] == [False, True]


def test_conditions():
    assert find_polarities(analyse("You may leave if you have paid.", "en"))[-1].is_condition
    assert has_strong_condition("Le prêt est accordé à condition que le dossier soit complet.")
    assert is_unconditional("It is refunded even if it is dirty.")
    assert not is_unconditional("It is refunded if it is clean.")


def test_strength():
    assert measure("Members must pay.").is_obligation
    assert measure("Some flats have a cellar.").is_partial
    assert measure("All flats have a cellar.").is_universal
    assert measure("Le projet coûterait 30 millions d'euros.", "fr").is_hedged
    assert measure("The club used to train here.").is_past
    assert measure("It is free for students only.").is_restricted
    assert not measure("Pay at the desk.").is_obligation


def measure(text, language="en"):
    analysis = analyse(text, language)
    return measure_strength(analysis.text, analysis.words)


@pytest.mark.parametrize(
    ("claim", "evidence", "is_binary", "pair"),
    [
        ("It is mandatory.", "It is optional.", True, ("mandatory", "optional")),
        ("The shop opens at nine.", "The closure is at nine.", True, ("opens", "closure")),
        ("It is mandatory.", "It is mandatory before noon and optional after.", True, None),
        ("It is in the north.", "It is in the south.", False, ("north", "south")),
        ("It is open.", "It is large.", True, None),
    ],
)
def test_opposites(claim, evidence, is_binary, pair):
    ours, theirs = analyse(claim, "en").tokens, analyse(evidence, "en").tokens
    assert find_opposites(ours, theirs, is_binary=is_binary) == pair
