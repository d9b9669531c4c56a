"""The answer stream and the support of its sentences, on two small documents."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.answer_stream import Draft
from langchain_gptoss.chatbot.grounding.citations import supporting_span
from langchain_gptoss.chatbot.grounding.passages import nearest_spans, passages_of, spans_of
from tests.unit_tests.chatbot.fakes import EXPRESS

SHIPPING = (
    "Standard delivery costs 4.90 euros and takes three to five working days.\n"
    "- Express delivery costs 12.90 euros and takes one working day.\n"
    "- Store pickup is free in all stores."
)
RETURNS = "An opened laptop can be returned within 14 days. Opened in-ear headphones cannot be returned."
DOCUMENTS = [
    Document(SHIPPING, metadata={"source": "shipping.md", "heading": "Delivery > Prices", "start": 100}),
    Document(RETURNS, metadata={"source": "returns.md", "heading": "Returns", "start": 0, "page": 3}),
]
SPANS = spans_of(passages_of(DOCUMENTS, limit=4))


@pytest.mark.parametrize(
    ("sentence", "quote"),
    [
        ("The answer is 12.90 euros.", "Express delivery costs 12.90 euros and takes one working day."),
        ("Express delivery costs 12,90 euros.", "Express delivery costs 12.90 euros and takes one working day."),
        ("The answer is 4.90 euros.", None),  # the price of something else
        ("Express delivery costs 13.90 euros.", None),
        ("How much does express delivery cost?", None),  # a question is no answer
        ("Express delivery has a cost.", None),  # nothing beyond the question
        ("Express delivery does not cost 12.90 euros.", None),
        ("Hello!", None),
        ("", None),
    ],
)
def test_a_sentence_is_supported_by_a_span_with_its_words_and_numbers(sentence, quote):
    span = supporting_span(sentence, EXPRESS, SPANS)
    assert (span.text if span else None) == quote


def test_words_from_the_question_need_support_too():
    assert (
        supporting_span("The student price of express delivery is 12.90 euros.", "Student price of express?", SPANS)
        is None
    )


def test_a_supporting_span_has_the_same_negation():
    question = "Is store pickup free?"
    assert supporting_span("Yes, store pickup is free.", question, SPANS).text == "Store pickup is free in all stores."
    assert supporting_span("No, store pickup is not free.", question, SPANS) is None


def test_spans_are_ranked_by_words_without_embeddings():
    ranked = nearest_spans([(EXPRESS, 1.0)], passages_of(DOCUMENTS, limit=4), None, limit=2)
    assert ranked[0][0].text.startswith("Express delivery costs")
    assert ranked[0][1] > ranked[1][1]


def test_a_brief_answer_ends_after_the_first_supported_sentence():
    draft = Draft(question=EXPRESS, language="en", spans=SPANS, strict=True, brief=True)
    shown = [piece for text in ["The answer is 12.90 euros. ", "And ", "so on"] for piece in draft.feed(text)]
    assert shown == ["The answer is 12.90 euros. [1]"]
    assert draft.done
    assert list(draft.finish()) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("strict", [True, False])
def test_the_size_of_the_chunks_changes_nothing(size, strict):
    text = "The moon is cheese [2]. Express delivery costs 12.90 euros [1, 2]. \nStore pickup is free!  Bye"
    draft = Draft(question=EXPRESS, language="en", spans=SPANS, strict=strict)
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    shown = "".join([piece for chunk in chunks for piece in draft.feed(chunk)] + list(draft.finish()))
    expected = {
        True: "Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2]",
        False: "The moon is cheese. [?] Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2] Bye [?]",
    }
    assert shown == expected[strict]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_paragraphs_and_lists_are_kept(size):
    text = "Express delivery costs 12.90 euros.\n\n- The moon is cheese.\n- Store pickup is free in all stores.\n"
    draft = Draft(
        question="How much do express delivery and store pickup cost?", language="en", spans=SPANS, strict=True
    )
    chunks = [text[i : i + size] for i in range(0, len(text), size)]
    shown = "".join([piece for chunk in chunks for piece in draft.feed(chunk)] + list(draft.finish()))
    assert shown == "Express delivery costs 12.90 euros. [1]\n\n- Store pickup is free in all stores. [2]"
