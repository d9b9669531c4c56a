"""The answer stream: sentences are cited, marked, left out or replaced by quotations."""

import pytest

from langchain_gptoss.chatbot.grounding.answer_stream import AnswerStream
from langchain_gptoss.chatbot.grounding.passages import rank_spans
from langchain_gptoss.chatbot.small_models import BriefAnswerStream
from tests.unit_tests.chatbot.grounding.helpers import DELIVERY_SPANS, ENGLISH, EXPRESS, split_text


def test_an_answer_in_another_language_without_figures_is_replaced_by_a_quotation():
    question = "Combien coûte la livraison standard ?"
    ranked = [span for span, _ in rank_spans([(question, 1.0)], [s.passage for s in split_text(ENGLISH)][:1], None)]
    stream = AnswerStream(question=question, language="fr", spans=ranked, strict=True)
    shown = "".join([*stream.feed("Elle est très bon marché pour tout le monde."), *stream.finish()])
    assert shown.startswith("Les documents disent : « Standard delivery costs 4.90 euros")
    assert stream.citations[0].verdict == "quoted"


def test_citation_markers_of_the_model_are_replaced():
    stream = AnswerStream(question="How long do returns take?", language="en", spans=split_text(ENGLISH), strict=False)
    text = "Returns take 14 days [9]. The moon is cheese [1-3]. In [2020] nothing happened."
    shown = "".join([*stream.feed(text), *stream.finish()])
    assert shown == "Returns take 14 days. [1] The moon is cheese. [?] In [2020] nothing happened. [?]"
    assert stream.unsupported == ["The moon is cheese.", "In [2020] nothing happened."]


def test_a_quotation_is_shown_on_one_line_and_cited_unchanged():
    text = "Returns of opened laptops\ntake fourteen days."
    stream = AnswerStream(
        question="How long do returns of opened laptops take?", language="en", spans=split_text(text), strict=True
    )
    assert list(stream.finish()) == ["The documents say: “Returns of opened laptops take fourteen days.” [1]"]
    assert stream.citations[0].quote == text


def test_nothing_is_quoted_if_quotations_are_not_allowed():
    question, spans = (
        "How long do returns of opened laptops take?",
        split_text("Returns of opened laptops take 14 days."),
    )
    for may_quote in (True, False):
        stream = AnswerStream(question=question, language="en", spans=spans, strict=True, may_quote=may_quote)
        assert bool([*stream.feed("The moon is cheese."), *stream.finish()]) is may_quote


def test_yes_waits_for_the_sentence_after_it():
    stream = AnswerStream(question="Is delivery free?", language="en", spans=split_text(ENGLISH), strict=False)
    assert list(stream.feed("Yes. ")) == []
    assert stream.is_bare
    assert stream.restart() == "Yes. "
    stream.complete("Yes.")
    assert stream.is_bare


@pytest.mark.parametrize("size", [1, 7, 5000])
def test_an_endless_sentence_is_cut(size):
    text = "returns and returns of the same " * 100
    stream = BriefAnswerStream(
        question="How long do returns take?", language="en", spans=split_text(ENGLISH), strict=True
    )
    fed_chars = 0
    for start in range(0, len(text), size):
        if stream.is_done:
            break
        list(stream.feed(text[start : start + size]))
        fed_chars += size
    assert stream.is_done
    assert fed_chars <= (5000 if size == 5000 else 2100)


def test_a_brief_stream_is_done_after_a_supported_sentence():
    stream = BriefAnswerStream(question=EXPRESS, language="en", spans=DELIVERY_SPANS, strict=True)
    shown = [piece for text in ["The answer is 12.90 euros. ", "And ", "so on"] for piece in stream.feed(text)]
    assert shown == ["The answer is 12.90 euros. [1]"]
    assert stream.is_done
    assert list(stream.finish()) == []


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("strict", [True, False])
def test_the_size_of_the_pieces_does_not_matter(size, strict):
    text = "The moon is cheese [2]. Express delivery costs 12.90 euros [1, 2]. \nStore pickup is free!  Bye"
    stream = AnswerStream(question=EXPRESS, language="en", spans=DELIVERY_SPANS, strict=strict)
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    shown = "".join([piece for part in pieces for piece in stream.feed(part)] + list(stream.finish()))
    expected = {
        True: "Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2]",
        False: "The moon is cheese. [?] Express delivery costs 12.90 euros. [1]\nStore pickup is free! [2] Bye [?]",
    }
    assert shown == expected[strict]


@pytest.mark.parametrize("size", [1, 2, 5, 1000])
def test_paragraphs_and_list_marks_are_kept(size):
    text = "Express delivery costs 12.90 euros.\n\n- The moon is cheese.\n- Store pickup is free in all stores.\n"
    stream = AnswerStream(
        question="How much do express delivery and store pickup cost?", language="en", spans=DELIVERY_SPANS, strict=True
    )
    pieces = [text[i : i + size] for i in range(0, len(text), size)]
    shown = "".join([piece for part in pieces for piece in stream.feed(part)] + list(stream.finish()))
    assert shown == "Express delivery costs 12.90 euros. [1]\n\n- Store pickup is free in all stores. [2]"
