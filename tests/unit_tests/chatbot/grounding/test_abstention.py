"""Abstention: signals, confidence, and the reason of a decision."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.abstention import calculate_probability, compute_signals, judge
from langchain_gptoss.chatbot.grounding.calibration import load_calibration
from langchain_gptoss.chatbot.grounding.passages import collect_passages
from tests.unit_tests.chatbot.grounding.helpers import EXPRESS, create_passages


@pytest.mark.parametrize("scores", [(), (0.7, 0.3, 0.2), (0.45, 0.2, 0.1), (0.93, 0.80, 0.79)])
def test_the_scale_of_scores_does_not_matter(scores):
    passages = create_passages(*scores)
    assert judge(EXPRESS, passages).is_answerable
    assert not judge("Do you sell gift cards for weddings?", passages).is_answerable
    assert not judge("Who painted the Mona Lisa?", passages).is_answerable


def test_the_reason_names_missing_words():
    judgement = judge("Do you sell gift cards?", create_passages())
    assert not judgement.is_answerable
    assert judgement.reason.startswith(f"Declined: confidence {judgement.confidence:.2f} below 0.50: ")
    assert judgement.reason.endswith("no passage contains “sell”, “gift”, “cards”.")
    assert judge(EXPRESS, create_passages()).reason.startswith("Answered: confidence 0.")
    assert judge(EXPRESS, []).reason.endswith("nothing was found.")


def test_a_question_without_words_and_a_search_without_results_are_declined():
    assert judge("???", create_passages()).confidence < 0.1
    assert judge(EXPRESS, []).confidence < 0.1
    assert compute_signals("", create_passages()) == {}


def test_decline_below_replaces_the_threshold():
    confidence = judge(EXPRESS, create_passages()).confidence
    assert judge(EXPRESS, create_passages(), decline_below=confidence).is_answerable
    assert not judge(EXPRESS, create_passages(), decline_below=confidence + 0.001).is_answerable


def test_signals_show_missing_names_and_the_lead_of_the_best_passage():
    unknown = compute_signals("When does the store in Brussels open?", create_passages(0.5, 0.4, 0.3))
    assert unknown["names_missing"] == unknown["names_nowhere"] == 1.0
    assert 0 < unknown["passage"] < 1
    assert unknown["margin"] == pytest.approx((0.5 - 0.35) / 0.65)
    known = compute_signals("When does the store in Ghent open?", create_passages(0.5, 0.4, 0.3))
    assert known["names_missing"] == 0.0
    assert known["sentence"] > unknown["sentence"]
    assert known["phrases"] > unknown["phrases"]


def test_scores_decide_about_passages_in_another_language():
    question = "Qui paie les frais de retour ?"
    near, far = judge(question, create_passages(0.9, 0.3, 0.2)), judge(question, create_passages(0.2, 0.19, 0.18))
    assert near.is_answerable
    assert not far.is_answerable


@pytest.mark.parametrize("text", ["SKU 4711 4712", "Horaires : 9 h - 18 h", "Open 9-18", "Le Bistro"])
def test_a_short_passage_does_not_count_as_translated(text):
    passages = collect_passages([Document(text, metadata={"source": "a.md", "relevance_score": 0.9})], limit=1)
    for question in ("Quel est le prix de la livraison express ?", EXPRESS):
        signals = compute_signals(question, passages)
        expected = calculate_probability(load_calibration().judge["scored"], signals)
        assert judge(question, passages).confidence == expected


def test_a_passage_in_another_language_counts_as_translated():
    text = "La livraison express est de douze euros, et elle prend un jour dans toutes les villes de ce pays."
    passages = collect_passages([Document(text, metadata={"source": "a.md", "relevance_score": 0.95})], limit=1)
    signals = compute_signals(EXPRESS, passages)
    translated = calculate_probability(load_calibration().judge["translated"], signals)
    scored = calculate_probability(load_calibration().judge["scored"], signals)
    assert judge(EXPRESS, passages).confidence == max(translated, scored)
    assert translated != scored
