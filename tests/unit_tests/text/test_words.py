"""Content words: function words, synonyms, endings, and lookup in a text."""

import pytest

from langchain_gptoss.text.words import (
    build_lexicon,
    calculate_coverage,
    extract_content_words,
    extract_words_with_spelling,
    find_missing_words,
    is_same_word,
)


def test_content_words_leave_out_function_words_and_merge_synonyms():
    assert extract_content_words("How much does the Express delivery cost?") == ["express", "shipping", "cost"]
    assert extract_content_words("Combien coûte l’expédition à l'étranger ?") == ["cost", "shipping", "etranger"]
    assert extract_content_words("The school's two 1,500 points") == ["school", "2", "1,500", "points"]


def test_content_words_keep_their_spelling_beside_them():
    assert extract_words_with_spelling("L'École coûte cher") == [
        ("École", "ecole"),
        ("coûte", "cost"),
        ("cher", "cher"),
    ]


def test_decomposed_and_composed_accents_are_equal():
    assert extract_content_words("e\u0301te\u0301 à l’école") == extract_content_words("été à l'école")


def test_same_word_ignores_endings_and_number_formats():
    assert is_same_word("cost", "costs")
    assert is_same_word("return", "returned")
    assert not is_same_word("open", "unopened")
    assert is_same_word("12,90", "12.9")
    assert not is_same_word("12", "dozen")


def test_missing_words_lower_the_coverage():
    assert find_missing_words(["gift", "cards"], "We sell cards.") == ["gift"]
    assert calculate_coverage(["gift", "cards"], "We sell cards.") == 0.5
    assert calculate_coverage([], "anything") == 0


def test_an_amount_of_money_counts_as_the_word_cost():
    assert find_missing_words(extract_content_words("How much does it cost?"), "Express shipping is $9.99.") == []


def test_lexicon_finds_words_with_other_endings_and_their_positions():
    lexicon = build_lexicon("Returned goods: the return of goods au cœur")
    assert "coeur" in lexicon
    assert lexicon.find_positions("returns") == [0, 2]
    assert lexicon.find_positions("absent") == []


@pytest.mark.parametrize(
    ("written", "typed"),
    [
        ("The goods can be re\u00adturned to the o\ufb03ce.", "The goods can be returned to the office."),
        ("Le re\u0301sultat de l\u2019e\u0301cole", "Le résultat de l'école"),
        ("Il co\u00fbte 1\u202f500\u00a0\u20ac", "Il coûte 1 500 €"),
        ("\uff11\uff12 \uff44\uff41\uff59\uff53", "12 days"),
        ("non\u2011payment", "non-payment"),
    ],
)
def test_claims_and_documents_have_the_same_words(written, typed):
    assert extract_content_words(written) == extract_content_words(typed)


def test_superscripts_are_no_digits_of_the_number():
    assert "104" not in extract_content_words("There are 10\u2074 of them")
    assert "212" not in extract_content_words("It takes 2\u00bd hours")
