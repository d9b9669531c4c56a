"""What is found in a text, and where."""

from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.text.quantities import extract_quantities, has_same_quantities, is_same_quantity
from tests.unit_tests.text.quantities.pairs import DIFFERENT, SAME, list_pairs

SENTENCES = sorted(
    {text for lines in (*SAME.values(), *DIFFERENT.values()) for pair in list_pairs(lines) for text in pair}
)
# Pieces of quantities in any order: more likely to meet than letters drawn at random.
PIECES = st.sampled_from(
    """- − – 5 12 1,234 1.5 1'234 0,125 2025 2025-02-01 ½ 1/2 10⁴ 3×10^8 € $ £ k€ % ‰ °C km/h m² kg days jours an ans
    per par month mois à de to from between entre at least au moins plus moins de until jusqu'au 5 May mai 1er 8 pm 20 h
    8h30 9:00 17:00 UTC noon every tous les two vingt-cinq million art. L. 145-1 v2.1 FX-2207 04 72 10 30 30 §5 ( ) . ,
    and et or ou not ne pas XIXe siècle 1990s Q1 lundi Monday half demi dozen une about environ n° +""".split()  # noqa: SIM905
)


def get_texts(text):
    return [text[quantity.start : quantity.end] for quantity in extract_quantities(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The balance is −250 euros today.", ["−250 euros"]),
        (
            "It lasts at least 3 years, and costs from €5 to €10 per month.",
            ["at least 3 years", "from €5 to €10 per month"],
        ),
        (
            "Le dépôt ouvre le 1er\u202ffévrier 2025 à 8\u00a0h\u00a030.",
            ["ouvre le 1er\u202ffévrier 2025", "8\u00a0h\u00a030"],
        ),
        ("L’œuvre coûte 1\u202f234,56\u00a0€ TTC.", ["1\u202f234,56\u00a0€ TTC"]),
        ("so\u00adft 2 ki\u00adlos", ["2 ki\u00adlos"]),
        ("Une somme de 50  milliers\nd'euros", ["50  milliers\nd'euros"]),
        ("Article L. 145-1, version 3.10, FX-2207", ["Article L. 145-1", "version 3.10", "FX-2207"]),
        ("1. Open the box.\n2. Take 3 screws.", ["3 screws"]),
        ("As shown in [12], it is true.", []),
        ("", []),
        ("One may march to the second hand shop for a while.", []),
    ],
)
def test_spans_are_those_of_the_text_as_given(text, expected):
    assert get_texts(text) == expected


@pytest.mark.parametrize(
    ("text", "kind", "low", "high", "unit", "rate"),
    [
        ("5 to 10 days", "amount", 5, 10, "day", ""),
        ("at most 3 years", "amount", None, 3, "year", ""),
        ("more than 30 kg", "amount", 30, None, "kg", ""),
        ("20 € par personne et par nuit", "amount", 20, 20, "EUR", "night/person"),
        ("50 km/h", "amount", 50, 50, "km", "hour"),
        ("twenty-five", "amount", 25, 25, "", ""),
        ("12 turnips", "amount", 12, 12, "turnip", ""),
        ("8:30 pm", "time", 1230, 1230, "", ""),
        ("the 3rd floor", "ordinal", 3, 3, "floor", ""),
        ("twice a week", "amount", 2, 2, "time", "week"),
    ],
)
def test_the_parts_of_a_quantity_are_read(text, kind, low, high, unit, rate):
    (quantity,) = extract_quantities(text)
    assert (quantity.kind, quantity.unit, quantity.rate) == (kind, unit, rate)
    assert (quantity.low, quantity.high) == tuple(None if end is None else Fraction(end) for end in (low, high))


def test_a_sentence_states_its_own_quantities():
    assert [sentence for sentence in SENTENCES if not has_same_quantities(sentence, sentence)] == []


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        st.text(max_size=60), st.lists(PIECES, max_size=12).map(" ".join), st.lists(PIECES, max_size=6).map("".join)
    )
)
def test_any_text_has_quantities_with_valid_spans_that_agree_with_themselves(text):
    quantities = extract_quantities(text)
    ends = [0]
    for quantity in quantities:
        assert 0 <= quantity.start < quantity.end <= len(text)
        assert is_same_quantity(quantity, quantity)
        ends.append(quantity.end)
    assert [quantity.start for quantity in quantities] == sorted(quantity.start for quantity in quantities)
    assert has_same_quantities(text, text)


@pytest.mark.parametrize("piece", ["1.", "a.", "1 ", "5 € ", "vingt et un ", "maximum a ", "A1-", "FR76 ", "\n", "("])
def test_long_repetitions_are_read(piece):
    text = piece * (2000 // len(piece))
    assert all(0 <= quantity.start < quantity.end <= len(text) for quantity in extract_quantities(text))
