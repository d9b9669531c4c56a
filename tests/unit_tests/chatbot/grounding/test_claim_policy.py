"""The policy of claim support: which conflicts veto a claim whatever its score, and which a long claim may have."""

import pytest

from langchain_gptoss.chatbot.grounding import claim_support
from langchain_gptoss.chatbot.grounding.claim_score import ScoreModel
from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from tests.unit_tests.chatbot.grounding.helpers import split_text

PASSAGE = (
    "The municipal swimming pool in Ostrava reopened in 2019 after a renovation of the roof, the changing rooms and the "
    "filtering plant, which was paid for by the region."
)
QUESTION = "What is known about the swimming pool?"
# Several words of the claim are not in the passage, so it has a conflict of words.
LONG = (
    "The municipal swimming pool in Ostrava reopened in 2019 after a thorough, costly, lengthy overhaul of the roof, the "
    "changing rooms and the filtering plant."
)


def create_model(score):
    log_odds = {"high": 5.0, "low": -5.0}[score]
    return ScoreModel(threshold=0.5, long_threshold=0.7, features=(), base=log_odds, trees=(), provenance={})


def judge(monkeypatch, claim, score, passage=PASSAGE):
    monkeypatch.setattr(claim_support, "load_score_model", lambda: create_model(score))
    return judge_claim(claim, QUESTION, split_text(passage), accepts_restatements=False)


def test_a_long_claim_may_have_other_words_if_its_score_is_high(monkeypatch):
    assert judge(monkeypatch, LONG, "high").verdict == "supported"
    assert judge(monkeypatch, LONG, "low").verdict != "supported"


def test_a_short_claim_may_not_have_other_words(monkeypatch):
    assert judge(monkeypatch, "The pool has a gleaming, airy roof.", "high").verdict != "supported"
    assert judge(monkeypatch, "The swimming pool in Ostrava reopened in 2019.", "high").verdict == "supported"


@pytest.mark.parametrize(
    ("word", "other"),
    [
        ("2019", "2018"),
        ("Ostrava", "Olomouc"),
        ("reopened", "did not reopen"),
    ],
)
def test_figures_names_and_denial_veto_long_claims_too(monkeypatch, word, other):
    claim = LONG.replace(word, other)
    assert claim != LONG
    assert judge(monkeypatch, claim, "high").verdict != "supported"


def test_a_claim_without_conflicts_needs_the_threshold(monkeypatch):
    claim = "The municipal swimming pool in Ostrava reopened in 2019."
    assert judge(monkeypatch, claim, "high").verdict == "supported"
    assert judge(monkeypatch, claim, "low").verdict in ("partly", "not found")
