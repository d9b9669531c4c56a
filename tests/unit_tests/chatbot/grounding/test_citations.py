"""Citations: quotable spans and exact offsets."""

from langchain_gptoss.chatbot.grounding.citations import can_answer, cite, select_quotable_spans
from tests.unit_tests.chatbot.grounding.helpers import DELIVERY_SPANS, ENGLISH, EXPRESS, SHIPPING, split_text


def test_spans_that_do_not_answer_are_not_quotable():
    assert select_quotable_spans("Who painted the Mona Lisa?", split_text(ENGLISH)) == []
    assert select_quotable_spans("Anything?", []) == []


def test_the_best_span_is_quotable():
    assert can_answer(DELIVERY_SPANS[1], EXPRESS)
    assert select_quotable_spans(EXPRESS, [DELIVERY_SPANS[1], DELIVERY_SPANS[0]])[0] == DELIVERY_SPANS[1]


def test_citation_offsets_are_those_of_the_source():
    citation = cite(DELIVERY_SPANS[1], "It costs 12.90 euros.", number=2, verdict="supported")
    assert (citation.number, citation.source, citation.heading) == (2, "shipping.md", "Delivery > Prices")
    assert SHIPPING[citation.start - 100 : citation.end - 100] == citation.quote == DELIVERY_SPANS[1].text
