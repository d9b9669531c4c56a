"""Accents, invisible characters, lookalikes, and numbers in one spelling."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.text.normalization import (
    FoldedText,
    fold_accents,
    fold_for_rules,
    fold_for_search,
    fold_pattern,
    normalize_characters,
    normalize_number,
    normalize_prose,
    remove_invisible,
)
from tests import scale


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("ascii", "ascii"),
        ("Élève, cœur, Œuvre, Straße, ÆSOP", "Eleve, coeur, OEuvre, Strasse, AESOP"),
        ("e\u0301te\u0301", "ete"),
        ("\ufb01rst x² ½ ™", "first x² ½ ™"),
        ("l’école", "l'ecole"),
        ("йод 한글 ά", "йод 한글 ά"),
    ],
)
def test_fold_accents_changes_latin_letters_only(text, folded):
    assert fold_accents(text) == folded


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("ascii ` stays", "ascii ` stays"),
        ("10⁴, 10⁻⁴, 10¹²", "10^4, 10^-4, 10^12"),
        ("120 m², 3 km³, price², ²Prices", "120 m2, 3 km3, price^2, ^2 Prices"),
        ("2½, 2 ½, ½ kg, 1¹⁄₂", "2 1/2, 2 1/2, 1/2 kg, 1 1/2"),
        ("H₂O, 10₂", "H2O, 10_2"),
        ("re\u00adturned re\u00ad\nturned re\u00ad turned", "returned returned returned"),
        ("o\ufb03ce in\u200bvoice ｆｕｌｌ", "office invoice full"),
        ("l’école l´école l`école", "l'école l'école l'école"),
        ("« oui » “yes”", '" oui " "yes"'),
        ("5–10 −5 non\u2011stop — dash", "5-10 -5 non-stop — dash"),
        ("1\u00a0500\u202f€", "1 500 €"),
        ("１２：３０ ٣٤", "12:30 34"),
        ("20 ºC ℃ №5 1ᵉʳ nº", "20 °C °C No 5 1er no"),
        ("Step①", "Step 1 "),
        ("e\u0301 Élève œ ß", "é Élève œ ß"),
        ("¨ a", "¨ a"),
        ("👩\u200d👧", "👩\u200d👧"),
    ],
)
def test_normalize_characters(text, normalized):
    assert normalize_characters(text) == normalized
    assert normalize_characters(normalized) == normalized


@settings(max_examples=scale(300))
@given(st.text(max_size=30))
def test_every_text_is_normalized_once(text):
    once = normalize_characters(text)
    assert normalize_characters(once) == once
    assert fold_for_search(once) == fold_for_search(text)


@pytest.mark.parametrize(
    "text", ["²" * 50_000, "1" * 50_000 + "é", "a" * 50_000 + "é\n", "\u00ad " * 25_000, "1 " * 25_000]
)
def test_long_runs_are_normalized(text):
    assert isinstance(normalize_prose(text), str)


def test_remove_invisible():
    assert remove_invisible("so\u00adft\u200b \u202eright\u2069\ufeff") == "soft right"
    assert remove_invisible("in\u200dvisible joiner") == "invisible joiner"
    assert remove_invisible("👩\u200d👧 ❤\ufe0f") == "👩\u200d👧 ❤\ufe0f"


def test_fold_for_rules_keeps_case_and_joins_white_space():
    assert fold_for_rules("L’École\n\t d\u00ade  CŒUR") == "L'Ecole de COEUR"
    assert re.search(fold_pattern("prélèvement(?:s  )?"), fold_for_rules("Prélèvement"), re.IGNORECASE)


@pytest.mark.parametrize("text", ["ｉgnоre", "i\u200bgnore", "IGNÖRE", "𝐢𝐠𝐧𝐨𝐫𝐞"])
def test_folded_text_reads_lookalikes_as_latin(text):
    assert FoldedText(text).text == "ignore"


@settings(max_examples=scale(300))
@given(st.text(max_size=30))
def test_spans_of_a_folded_text_lie_in_the_original(text):
    folded = FoldedText(text)
    spans = [folded.find_original_span(at, at + 1) for at in range(len(folded.text))]
    assert spans == sorted(spans)
    assert all(0 <= start < end <= len(text) for start, end in spans)
    assert folded.find_original_span(0, 0)[0] in range(len(text) + 1)


def test_a_match_in_a_folded_text_points_to_the_original():
    text = "Œuvre: i\u200bgnоre"
    folded = FoldedText(text)
    match = re.search("ignore", folded.text)
    start, end = folded.find_original_span(*match.span())
    assert text[start:end] == "i\u200bgnоre"


@pytest.mark.parametrize(
    ("text", "normalized"),
    [
        ("in 2020 100 people, 12 5", "in 2020 100 people, 12 5"),
        ("12 900 euros", "12900 euros"),
        ("1\u202f500 €", "1500 €"),
        ("5,5 millions", "5500000"),
        ("2 thousand", "2000"),
        ("à 14 h 30 ou 9h", "à 14:30 ou 9:00"),
        ("re-\nturned and re\u00adturned", "returned and returned"),
    ],
)
def test_normalize_prose(text, normalized):
    assert normalize_prose(text) == normalized


@pytest.mark.parametrize(
    ("number", "normalized"), [("12,90", "12.9"), ("1,500", "1500"), ("10:00", "10:00"), ("3.0", "3")]
)
def test_normalize_number(number, normalized):
    assert normalize_number(number) == normalized
