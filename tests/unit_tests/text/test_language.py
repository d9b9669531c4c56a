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


def test_identify_language_does_not_judge_other_scripts():
    assert identify_language("Товар можно вернуть в течение 14 дней. " * 20 + "The and of") is None


def test_identify_language_reads_the_middle_if_the_beginning_does_not_decide():
    table = "Chapter 1 ........ 12\n" * 150
    prose = "The goods can be returned within 14 days, and the money is paid back to you. " * 80
    assert identify_language(table) is None
    assert identify_language(table + prose) == "en"
