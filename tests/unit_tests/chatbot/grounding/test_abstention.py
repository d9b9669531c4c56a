"""Declining: what the confidence is made of, that it is the same on every scale, and that it says why."""

import pytest
from langchain_core.documents import Document

from langchain_gptoss.chatbot.grounding.abstention import judge, signals
from langchain_gptoss.chatbot.grounding.calibration import calibration, word_weight
from langchain_gptoss.chatbot.grounding.passages import likelihoods, nearest_spans, passages_of, spans_of

TEXTS = [
    "Standard delivery costs 4.90 euros. Express delivery costs 12.90 euros and takes one working day.",
    "Opened laptops can be returned within 14 days. Refunds are paid within 7 days.",
    "The store in Ghent opens at 10:00. The store in Antwerp is closed on Sunday.",
]
EXPRESS = "How much does express delivery cost?"


def passages(*scores, texts=TEXTS):
    scored = [{"relevance_score": score} for score in scores] or [{}] * len(texts)
    return passages_of(
        [
            Document(text, metadata={"source": f"{n}.md", **score})
            for n, (text, score) in enumerate(zip(texts, scored, strict=True))
        ],
        limit=8,
    )


@pytest.mark.parametrize("scores", [(), (0.7, 0.3, 0.2), (0.45, 0.2, 0.1), (0.93, 0.80, 0.79)])
def test_the_scale_of_the_scores_does_not_matter(scores):
    given = passages(*scores)
    assert judge(EXPRESS, given).answerable
    assert not judge("Do you sell gift cards for weddings?", given).answerable
    assert not judge("Who painted the Mona Lisa?", given).answerable


def test_the_reason_names_what_stands_nowhere():
    judgement = judge("Do you sell gift cards?", passages())
    assert not judgement.answerable
    assert judgement.reason.startswith(f"Declined: confidence {judgement.confidence:.2f} below 0.50: ")
    assert "“gift”" in judgement.reason
    assert "stand in no passage" in judgement.reason
    assert judge(EXPRESS, passages()).reason.startswith("Answered: confidence 0.")
    assert judge(EXPRESS, []).reason.endswith("nothing was found.")


def test_a_question_without_words_and_a_search_without_results_are_declined():
    assert judge("???", passages()).confidence < 0.1
    assert judge(EXPRESS, []).confidence < 0.1
    assert signals("", passages()) == {}


def test_the_limit_can_be_moved():
    confidence = judge(EXPRESS, passages()).confidence
    assert judge(EXPRESS, passages(), decline_below=confidence).answerable
    assert not judge(EXPRESS, passages(), decline_below=confidence + 0.001).answerable


def test_signals():
    found = signals("When does the store in Brussels open?", passages(0.5, 0.4, 0.3))
    assert found["names_missing"] == found["names_nowhere"] == 1.0
    assert 0 < found["passage"] < 1
    assert found["margin"] == pytest.approx((0.5 - 0.35) / 0.65)
    known = signals("When does the store in Ghent open?", passages(0.5, 0.4, 0.3))
    assert known["names_missing"] == 0.0
    assert known["sentence"] > found["sentence"]
    assert known["phrases"] > found["phrases"]


def test_a_question_in_another_language_goes_by_the_scores():
    question = "Qui paie les frais de retour ?"
    near, far = judge(question, passages(0.9, 0.3, 0.2)), judge(question, passages(0.2, 0.19, 0.18))
    assert near.answerable
    assert not far.answerable


def test_common_words_count_less():
    assert word_weight("year") < word_weight("laptop") <= 1
    assert word_weight("nombre") < word_weight("zzyzx") == 1


def test_the_calibration_says_where_it_comes_from():
    shipped = calibration()
    assert shipped.threshold == 0.5
    assert {"date", "script", "data", "split", "questions"} <= shipped.provenance.keys()
    assert set(shipped.judge) == {"scored", "unscored", "translated"}
    for name in ("passage", "margin"):
        assert shipped.judge["scored"][name] > 0
    assert shipped.judge["scored"]["names_missing"] < 0


def test_spans_are_ranked_and_likelihoods_add_up_to_one():
    given = passages(0.5, 0.4, 0.3)
    assert nearest_spans([(EXPRESS, 1.0)], given, None)[0][0].text.startswith("Express delivery costs 12.90")
    chances = likelihoods(EXPRESS, spans_of(given))
    assert sum(chances) == pytest.approx(1)
    assert max(chances) == chances[1]
    assert likelihoods(EXPRESS, []) == []


def test_only_the_first_sentences_are_embedded():
    class Counting:
        def __init__(self):
            self.texts = []

        def embed_documents(self, texts):
            self.texts += texts
            return [[1.0, 0.0] if "return" in text else [0.0, 1.0] for text in texts]

        def embed_query(self, text):
            return [1.0, 0.0]

    long = (
        " ".join(f"Delivery number {n} costs {n} euros." for n in range(200)) + " Laptops can be returned for a cost."
    )
    embeddings = Counting()
    ranked = nearest_spans([("What does a return cost?", 1.0)], passages(texts=[long]), embeddings)
    assert len(embeddings.texts) <= 8
    assert ranked[0][0].text.startswith("Laptops")
    assert len(ranked) == 201
