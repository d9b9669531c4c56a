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
