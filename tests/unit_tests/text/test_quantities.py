"""Numbers with their units, and dates."""

from langchain_gptoss.text.quantities import extract_dates, extract_quantities, has_same_quantities


def test_numbers_have_their_units():
    text = "It costs €12.90 or takes 5 working days, 5 million euros, 20 %, 1 500 km and deux ans."
    quantities = extract_quantities(text)
    assert quantities["12.9"] == {"euro"}
    assert quantities["5"] == {"day"}
    assert quantities["5000000"] == {"euro"}
    assert quantities["20"] == {"%"}
    assert quantities["1500"] == {"km"}
    assert quantities["2"] == {"year"}


def test_numbers_have_one_spelling():
    assert set(extract_quantities("12,90 euros, two days, 1,500 points and 10:00")) == {"12.9", "2", "1500", "10:00"}
    assert extract_quantities("12.90") == extract_quantities("12,90")
    assert extract_quantities("14h30") == extract_quantities("14:30")


def test_same_quantities_need_a_common_unit_where_both_state_one():
    assert has_same_quantities("5 jours", "it takes 5 days")
    assert not has_same_quantities("5 jours", "it takes 5 hours")
    assert has_same_quantities("it takes 5", "it takes 5 hours")
    assert not has_same_quantities("5 days", "it takes 6 days")


def test_extract_dates_finds_months_and_days_in_both_languages():
    assert extract_dates("Le 3 mai 2020, un lundi") == extract_dates("Monday, 3 May 2020") == {"may", "monday"}
    assert extract_dates("You may march") == set()
