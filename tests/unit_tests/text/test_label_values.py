"""Access labels as people write them become lists of texts."""

import pytest

from langchain_gptoss.text.label_values import describe_value, normalize_labels

LABELS = [
    (["hr"], ["hr"]),
    (["hr", "sales", "hr"], ["hr", "sales"]),
    (("hr", "ventes"), ["hr", "ventes"]),
    ({"b", "a"}, ["a", "b"]),
    ("hr", ["hr"]),
    ("hr, sales,", ["hr", "sales"]),
    ("non-public", ["non-public"]),
    (" Direction générale ", ["Direction générale"]),
    ("HR", ["HR"]),
    (7, ["7"]),
    (["public", 2024], ["public", "2024"]),
    ([" hr ", ""], ["hr"]),
    ([], []),
    ("", []),
    (",", []),
]
OTHERS = [None, True, 1.5, ["hr", None], ["hr", ["it"]], [True], [1.5], {"read": ["hr"]}, [{"hr": 1}], object()]


@pytest.mark.parametrize(("value", "labels"), LABELS)
def test_texts_numbers_and_lists_become_labels(value, labels):
    assert normalize_labels(value) == labels


@pytest.mark.parametrize("value", OTHERS)
def test_other_values_are_not_understood(value):
    assert normalize_labels(value) is None


def test_a_description_is_short_and_names_the_kind():
    assert describe_value("hr") == "'hr' (a text)"
    assert describe_value(None) == "None (empty)"
    assert len(describe_value(["x" * 100])) < 70
