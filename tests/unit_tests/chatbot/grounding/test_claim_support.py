"""Claim support: swapped numbers, names and units, negation, long sentences, and badly extracted text."""

import pytest

from langchain_gptoss.chatbot.grounding.citations import cite
from langchain_gptoss.chatbot.grounding.claim_support import find_supporting_span
from langchain_gptoss.chatbot.grounding.passages import rank_spans
from tests.unit_tests.chatbot.grounding.helpers import DELIVERY_SPANS, ENGLISH, EXPRESS, FRENCH, split_text


def quote_support(claim, question, text):
    span = find_supporting_span(claim, question, split_text(text))
    return None if span is None else span.text


@pytest.mark.parametrize(
    ("claim", "question", "quote"),
    [
        ("Larkspur was founded in 1999.", "When was Larkspur founded?", "Alice Martin founded"),
        ("Alice Martin founded Larkspur in 1999.", "Who founded Larkspur?", "Alice Martin founded"),
        ("Standard delivery takes 3 days.", "How long?", "Standard delivery"),
        ("Returns take 14 days.", "How long do returns take?", "Returns take"),
        ("The film won €5,000,000 at Cannes.", "How much did the film win?", "The film won"),
        ("Express delivery is not free from 50 euros.", "Is express delivery free?", "Express delivery"),
        ("Alice Martin left in 2005.", "When did Alice Martin leave?", "Alice Martin founded Larkspur in Bruges"),
    ],
)
def test_claims_of_the_passage_are_supported(claim, question, quote):
    assert quote_support(claim, question, ENGLISH).startswith(quote)


@pytest.mark.parametrize(
    ("claim", "question"),
    [
        ("Larkspur was founded in 1998.", "When was Larkspur founded?"),
        ("Larkspur was founded in Ghent in 1999.", "When was Larkspur founded?"),
        ("Bob Martin founded Larkspur in 1999.", "Who founded Larkspur?"),
        ("Bob founded Larkspur in 1999.", "Who founded Larkspur?"),
        ("Alice Martin left in 1999.", "When did Alice Martin leave?"),
        ("Standard delivery takes three weeks.", "How long does it take?"),
        ("Standard delivery costs 4.90 dollars.", "What does it cost?"),
        ("Standard delivery costs 49 euros.", "What does it cost?"),
        ("Express delivery is free from 50 euros.", "Is express delivery free?"),
        ("Returns do not take 14 days.", "How long do returns take?"),
        ("Returns take 14 hours.", "How long do returns take?"),
        ("The store opens after 9:00 on Monday 3 May.", "When does the store open?"),
        ("The store opens before 9:00 on Tuesday 3 May.", "When does the store open?"),
        ("The store opens before 9:00 on Monday 3 June.", "When does the store open?"),
        ("The film won 5 billion euros at Cannes.", "How much did the film win?"),
        ("The film won 5 million euros in Venice.", "How much did the film win?"),
        ("The battery weighs 20 pounds.", "How heavy is the battery?"),
        ("", "Anything?"),
        ("  \n ", "Anything?"),
        ("\x00\x07", "Anything?"),
    ],
)
def test_other_claims_are_not_supported(claim, question):
    assert quote_support(claim, question, ENGLISH) is None


@pytest.mark.parametrize(
    ("claim", "is_supported"),
    [
        ("La carte d'identité coûte 25 euros en cas de perte.", True),
        ("La carte d'identité coûte 25 dollars en cas de perte.", False),
        ("La carte d’identité coûte 52 € en cas de perte.", False),
        ("Le passeport n'est pas obligatoire pour l'Espagne.", True),
        ("Le passeport est obligatoire pour l'Espagne.", False),
        ("Le passeport n'est pas obligatoire pour l'Italie.", False),
        ("Le dossier est déposé à la préfecture de Lyon.", True),
        ("Le dossier est déposé à la préfecture de Paris.", False),
        ("L'amende peut atteindre 1\u202f500 euros.", True),
        ("L'amende peut atteindre 1500 €.", True),
        ("L'amende peut atteindre 15 000 euros.", False),
        ("Le coeur du dispositif est l'aide de la CAF.", True),
        ("Le coeur du dispositif est l'aide de la CPAM.", False),
    ],
)
def test_french_claims(claim, is_supported):
    question = "Combien peut atteindre l'amende ?" if "amende" in claim else "Le passeport est-il obligatoire ?"
    assert (quote_support(claim, question, FRENCH) is not None) is is_supported


@pytest.mark.parametrize(
    "text",
    [
        "The laptop can be re\u00adturned within 14\u00a0days with the \ufb01rst invoice.",
        "The laptop can be re-\nturned within 14 days with\nthe first invoice.",
        "The laptop can be returned\nwithin 14 days\nwith the first invoice.",
        "The laptop can be returned within\u2009\u200b14 days with the first invo\u200bice.",
        "The laptop can be retumed within 14 days with the first invoice.",  # as a scanner reads "returned"
    ],
)
def test_badly_extracted_text_supports_claims_and_is_quoted_unchanged(text):
    (sentence,) = split_text(text)
    span = find_supporting_span(
        "The laptop can be returned within 14 days with the first invoice.", "Returns?", [sentence]
    )
    assert span is not None
    assert span.text == text
    assert (
        find_supporting_span(
            "The laptop can be returned within 41 days with the first invoice.", "Returns?", [sentence]
        )
        is None
    )


def test_a_part_of_a_long_sentence_is_cited():
    clauses = [f"item number {n} of the list is delivered by the carrier on its usual round" for n in range(2, 9)]
    text = f"In general, {', '.join(clauses)}, the price of a spare battery is 35 euros, and so on for the rest."
    span = find_supporting_span(
        "The price of a spare battery is 35 euros.", "What does a battery cost?", split_text(text)
    )
    assert span.text == "the price of a spare battery is 35 euros"
    citation = cite(span, "x", number=1, verdict="supported")
    assert text[citation.start : citation.end] == citation.quote


def test_a_sentence_of_ten_thousand_words_supports_a_claim():
    text = "delivery " * 10_000 + "costs 4.90 euros."
    assert quote_support("Delivery costs 4.90 euros.", "What does delivery cost?", text) is not None


def test_a_claim_in_another_language_needs_the_figures_of_the_best_span():
    question = "Combien coûte la livraison standard ?"
    ranked = [span for span, _ in rank_spans([(question, 1.0)], [s.passage for s in split_text(ENGLISH)][:1], None)]
    assert ranked[0].text.startswith("Standard delivery")
    assert find_supporting_span("La livraison standard coûte 4,90 euros.", question, ranked) == ranked[0]
    assert find_supporting_span("La livraison standard coûte 4,50 euros.", question, ranked) is None
    assert find_supporting_span("La livraison standard coûte 4,90 dollars.", question, ranked) is None


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
def test_a_question_is_answered_by_the_matching_span(sentence, quote):
    span = find_supporting_span(sentence, EXPRESS, DELIVERY_SPANS)
    assert (span.text if span else None) == quote


def test_a_premise_of_the_question_needs_support():
    assert (
        find_supporting_span(
            "The student price of express delivery is 12.90 euros.", "Student price of express?", DELIVERY_SPANS
        )
        is None
    )


def test_yes_and_no_need_the_same_polarity():
    question = "Is store pickup free?"
    assert (
        find_supporting_span("Yes, store pickup is free.", question, DELIVERY_SPANS).text
        == "Store pickup is free in all stores."
    )
    assert find_supporting_span("No, store pickup is not free.", question, DELIVERY_SPANS) is None
