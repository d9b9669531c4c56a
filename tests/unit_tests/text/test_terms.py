"""Search terms: words, stems, and documents of several languages."""

import pytest

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.terms import TermAnalyser, split_words


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("L'école d'Évry, jusqu'à aujourd'hui", ["ecole", "evry", "a", "aujourdhui"]),
        ("the school’s arc-en-ciel isn't", ["the", "school", "arc", "en", "ciel", "isnt"]),
        ("cœur ÆSOP Straße", ["coeur", "aesop", "strasse"]),
        ("the \ufb01rst", ["the", "first"]),
        ("йод", ["йод"]),
        ("", []),
        ("--- … !", []),
    ],
)
def test_split_words(text, expected):
    assert split_words(text) == expected


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("re\u00adturned", "returned"),
        ("re\u00ad\nturned", "returned"),
        ("o\ufb03ce", "office"),
        ("in\u200bvoice", "invoice"),
        ("in\u2060voice", "invoice"),
        ("E\u0301cole", "école"),
        ("\u0130stanbul", "istanbul"),
        ("\u0131spanak", "ispanak"),
        ("STRA\u1e9eE", "strasse"),
        ("\u0141ód\u017a", "lodz"),
        ("k\u00f8benhavn", "kobenhavn"),
        ("non\u2011payment", "non-payment"),
        ("l\u2019école", "l'école"),
        ("l\u00b4école", "l'ecole"),
        ("\uff29\uff33\uff2f \uff19\uff10\uff10\uff11", "iso 9001"),
        ("\u0662\u0660\u0662\u0665", "2025"),
        ("\ufee3\ufeae\ufea3\ufe92\ufe8e", "\u0645\u0631\u062d\u0628\u0627"),
        ("\u0645\u064e\u0631\u0652\u062d\u064e\u0628\u064b\u0627", "\u0645\u0631\u062d\u0628\u0627"),
        ("Windows\u2122", "windows"),
        ("120 m\u00b2", "120 m2"),
        ("H\u2082O", "h2o"),
        ("\u3390", "hz"),
        ("wait\u2026now", "wait now"),
    ],
)
def test_what_looks_the_same_is_the_same_term(written, typed):
    assert split_words(written) == split_words(typed)


@pytest.mark.parametrize(
    ("text", "word", "absent"),
    [
        ("10\u2074 hosts", "10", "104"),
        ("2\u00bd hours", "2", "212"),
        ("the price\u00b2", "price", "price2"),
        ("1\u202f500 \u20ac", "1500", "15"),
        ("1,500 dollars", "1500", "15"),
        ("2020 100 people", "2020", "2020100"),
        ("infor-\nmation", "information", "mation-"),
        ("self-\nservice", "self", "self-"),
        ("\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939\u093f\u0928\u094d\u0926\u0940", "\u0939"),
    ],
)
def test_numbers_and_broken_words_are_found_as_they_are_meant(text, word, absent):
    words = split_words(text)
    assert word in words
    assert absent not in words


def test_a_declared_language_decides_over_detection():
    analyser = TermAnalyser(None)
    assert analyser.analyse_document("xyzzys", language="fr") == ["xyzzy"]
    assert analyser.analyse_document("xyzzys", language="en") == ["xyzzi"]


def test_a_word_of_unknown_language_gets_the_stems_of_both_languages():
    assert TermAnalyser(None).analyse_query("xyzzys") == [("xyzzi", "xyzzy")]
    assert TermAnalyser(None).analyse_document("xyzzys tva") == ["xyzzi", "xyzzy", "tva"]


def test_a_language_without_a_stemmer_is_refused():
    with pytest.raises(InvalidInputError, match="Use one of ar, ca"):
        TermAnalyser("xx")
