"""Metrics of answers."""

import pytest

from langchain_gptoss.evals import GoldSpan, Share
from langchain_gptoss.evals.metrics import (
    measure_abstention,
    measure_citation_validity,
    measure_gold_in_passages,
    measure_gold_in_quotes,
)
from tests.unit_tests.evals.helpers import TEXT, create_output, create_question


def test_wilson_interval():
    low, high = Share(hits=95, total=100).interval
    assert (round(low, 3), round(high, 3)) == (0.888, 0.978)
    assert Share(hits=0, total=0).value == 0
    assert Share(hits=0, total=0).interval == (0.0, 1.0)
    assert Share(hits=10, total=10).interval[1] == 1.0
    assert Share(hits=10, total=10).interval[0] < 0.8


def test_abstention_precision_and_recall():
    questions = [create_question(answerable=a) for a in (True, True, True, False, False)]
    outputs = [create_output(abstained=a) for a in (False, False, True, True, False)]
    metrics = measure_abstention(questions, outputs)
    assert (metrics.precision.value, metrics.recall.value) == (0.5, 0.5)
    assert metrics.false_declines == Share(hits=1, total=3)
    assert metrics.f1 == 0.5
    assert measure_abstention([], []).f1 == 0


def test_citation_is_valid_if_its_quote_is_at_its_offsets():
    wrong = create_output(start=1, end=36)
    elsewhere = create_output(quote="Something else.")
    assert measure_citation_validity([create_output(), wrong, elsewhere], {"a.md": TEXT}) == Share(hits=1, total=3)
    assert measure_citation_validity([create_output()], {}) == Share(hits=0, total=1)


@pytest.mark.parametrize(
    ("gold", "cited", "quoted"),
    [
        (GoldSpan(text="4.90 euros", source="a.md", start=24), True, True),
        (GoldSpan(text="12.90 euros", source="a.md", start=59), True, False),
        (GoldSpan(text="4.90 euros", source="b.md", start=24), False, False),
        (GoldSpan(text="4.90 EUROS"), True, True),
        (GoldSpan(text="12.90  euros"), True, False),
        (GoldSpan(text="99 euros"), False, False),
        (GoldSpan(text="x" * 20, source="a.md", start=len(TEXT) - 5), False, False),
    ],
)
def test_gold_answer_in_passages_and_quotes(gold, cited, quoted):
    asked = [create_question(gold=(gold,))]
    assert measure_gold_in_passages(asked, [create_output()]).hits == cited
    assert measure_gold_in_quotes(asked, [create_output()]).hits == quoted
    assert measure_gold_in_passages(asked, [create_output(abstained=True)]) == Share(hits=0, total=1)
