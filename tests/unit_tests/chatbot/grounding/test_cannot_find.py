"""Sentences by which a model says that it finds no answer."""

import pytest

from langchain_gptoss.chatbot.grounding.cannot_find import is_cannot_find


@pytest.mark.parametrize(
    "sentence",
    [
        "I cannot find this in the documents.",
        "I could not find any information about the rent.",
        "The passages do not mention the price.",
        "The documents don't say who the director is.",
        "There is no information about the rent of a plot in the passages.",
        "I don't know.",
        "The price is not mentioned.",
        "The provided context does not specify the opening hours.",
        "Je ne trouve pas cette information.",
        "Les documents ne précisent pas le prix.",
        "Le passage ne mentionne aucun tarif.",
        "Aucune information n'est donnée sur le loyer.",
        "Je ne sais pas.",
        "Le prix n'est pas indiqué.",
        "Il n'est pas précisé dans les documents qui dirige l'école.",
    ],
)
def test_a_model_that_finds_nothing(sentence):
    assert is_cannot_find(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Dogs are not allowed in the park.",
        "The warranty does not cover damage caused by a fall.",
        "You cannot return opened software.",
        "The museum is not open on Mondays.",
        "Nothing may be posted on the gates.",
        "Les chiens ne sont pas admis.",
        "On ne trouve pas de place libre en piano cette année.",
        "La garantie ne couvre pas les chutes.",
        "Le service des eaux ne fournit pas de compteur.",
        "Il n'y a pas de parking.",
    ],
)
def test_a_denial_is_an_answer(sentence):
    assert not is_cannot_find(sentence)
