"""Language detection: the best guess, the guess with a default, and the certain answer."""

import pytest

from langchain_gptoss.text.language import choose_language, detect_language, identify_language


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("Combien coûte la livraison ?", "fr"),
        ("Combien coûte la livraison express ?", "fr"),
        ("How much is shipping?", "en"),
        ("indemnités kilométriques", "fr"),
        ("booking flights", "en"),
        ("Wie lange dauert die Lieferung und was kostet sie?", "de"),
        ("Öffnungszeiten", None),
        ("12345", None),
        ("", None),
    ],
)
def test_detect_language(text, language):
    assert detect_language(text) == language
    assert choose_language(text) == (language or "en")


def test_identify_language_needs_several_function_words():
    assert identify_language("The goods can be returned within 14 days, and the money is paid back to you.") == "en"
    assert identify_language("Les marchandises peuvent être rendues dans les 14 jours, et elles sont payées.") == "fr"
    assert identify_language("Die Ware kann innerhalb von 14 Tagen zurückgegeben werden, und das Geld wird") == "de"
    assert identify_language("SKU 4711 4712 4713") is None


@pytest.mark.parametrize(
    "text",
    [
        "Data in Paris",
        "Opening hours",
        "On the Road",
        "Le Monde et La Poste",
        "Prix du service de base",
        "John Smith, Marie de la Tour, Jean Le Goff, Anne du Pont",
        "Price list 2024: 30 EUR, 40 EUR",
        "Name: Ada\nCity: La Rochelle\nStreet: rue de la Paix",
        "The warranty is two years. La garantie est de deux ans. You can return it. Vous pouvez le rendre.",
        "The shop is open on Sundays, and it is free. " * 5
        + "Le magasin est ouvert le dimanche, et il est gratuit. " * 5,
        "",
    ],
)
def test_a_text_in_doubt_has_no_language(text):
    assert identify_language(text) is None


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("The shop is open on Sundays and it is free.", "en"),
        ("Vous pouvez rendre les articles dans les trente jours.", "fr"),
        (
            "The so\u00adft hy\u00adphens a\u00adnd li\ufb01ts a\u200bre n\u00adot in th\u00ade way o\u00adf t\u00adhe la\u00adnguage.",
            "en",
        ),
    ],
)
def test_a_sentence_has_a_language(text, language):
    assert identify_language(text) == language


@pytest.mark.parametrize("text", ["laser printer", "websites", "management", "Manchester", "Namur"])
def test_endings_that_both_languages_have_decide_nothing(text):
    assert detect_language(text) is None


def test_identify_language_does_not_judge_other_scripts():
    assert identify_language("Товар можно вернуть в течение 14 дней. " * 20 + "The and of") is None


def test_identify_language_reads_the_middle_if_the_beginning_does_not_decide():
    table = "Chapter 1 ........ 12\n" * 150
    prose = "The goods can be returned within 14 days, and the money is paid back to you. " * 80
    assert identify_language(table) is None
    assert identify_language(table + prose) == "en"
