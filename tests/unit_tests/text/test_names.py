"""Names, found by their capital letters."""

from langchain_gptoss.text.names import extract_names


def test_names_are_capital_words_within_sentences_and_acronyms():
    assert extract_names("Who founded the Red Cross in Geneva?") == ("red", "cross", "geneva")
    assert extract_names("L'ONU a été créée par Franklin D. Roosevelt.") == ("onu", "franklin", "d", "roosevelt")


def test_first_words_days_and_months_are_no_names():
    assert extract_names("Paris is large. Monday too. It rains in May.") == ()
