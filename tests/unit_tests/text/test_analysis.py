"""Analysis: content words, names, clauses, and the words that belong to them."""

import pytest

from langchain_gptoss.text.analysis import analyse
from langchain_gptoss.text.roots import are_related, find_root
from langchain_gptoss.text.synonyms import find_synonym_groups
from langchain_gptoss.text.verbs import find_infinitive, is_auxiliary, is_light_verb


def list_clauses(text, language="en"):
    analysis = analyse(text, language)
    return [analysis.text[clause.start : clause.end].strip() for clause in analysis.clauses]


def test_content_words_leave_out_function_words_and_quantities():
    analysis = analyse("The adult ticket costs 12 euros in winter.", "en")
    assert [token.spelling for token in analysis.content] == ["adult", "ticket", "costs", "winter"]


def test_names_are_words_with_a_capital_letter_inside_a_sentence():
    analysis = analyse("Parking in Namur is free. The line B stops at the ONU.", "en")
    assert [token.spelling for token in analysis.tokens if token.is_name] == ["Namur", "B", "ONU"]


def test_names_must_be_equal_but_for_accents_and_case():
    first, second, third = analyse("See Étienne, ETIENNE and Etiennette.", "fr").content[-3:]
    assert first.matches(second)
    assert not first.matches(third)


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        (
            "The adult ticket costs 12 euros and the child ticket 6 euros.",
            ["The adult ticket costs 12 euros", "and the child ticket 6 euros."],
        ),
        ("In Namur, parking is free.", ["In Namur, parking is free."]),
        ("The library, the pool and the gym are free.", ["The library, the pool and the gym are free."]),
        ("Ines Walder wrote the report and Tom Berger reviewed it.", ["Ines Walder wrote the report",
                                                                    "and Tom Berger reviewed it."]),
    ],
)  # fmt: skip
def test_clauses(text, clauses):
    assert list_clauses(text) == clauses


def test_clauses_without_a_verb_repeat_the_one_before():
    clauses = list_clauses("Royan traite les dossiers de location et Saintes les dossiers de vente.", "fr")
    assert clauses == ["Royan traite les dossiers de location", "et Saintes les dossiers de vente."]


def test_the_season_is_no_participle():
    assert "été" in [token.spelling for token in analyse("En été, la piscine ouvre à 9 h.", "fr").content]
    assert "été" not in [token.spelling for token in analyse("La piscine a été ouverte.", "fr").content]


@pytest.mark.parametrize(
    ("first", "second", "language", "related"),
    [
        ("deliver", "deliveries", "en", True),
        ("pay", "payment", "en", True),
        ("bought", "buy", "en", True),
        ("contract", "contrast", "en", False),
        ("station", "state", "en", False),
        ("price", "prize", "en", False),
        ("rembourse", "remboursement", "fr", True),
        ("ecrites", "ecrire", "fr", True),
        ("cours", "courts", "fr", False),
    ],
)
def test_related_roots(first, second, language, related):
    assert are_related(find_root(first, language), find_root(second, language)) is related


def test_synonyms_have_a_group_in_common_across_languages():
    fee, price = (find_synonym_groups(find_root(word, "en"), "en") for word in ("fee", "prices"))
    assert fee & price & find_synonym_groups(find_root("tarifs", "fr"), "fr")
    assert not fee & find_synonym_groups(find_root("parking", "en"), "en")


def test_verbs():
    assert find_infinitive("takes") == "take"
    assert find_infinitive("vendues") == "vendre"
    assert find_infinitive("table") is None
    assert is_auxiliary("doit")
    assert is_light_verb("stood")
    assert not is_light_verb("renovated")
