"""Verifiers take support away, and never give it."""

import pytest

from langchain_gptoss.chatbot.grounding.claim_support import judge_claim
from langchain_gptoss.chatbot.grounding.verifiers import create_verifier
from langchain_gptoss.errors import InvalidInputError
from tests.unit_tests.chatbot.grounding.helpers import split_text

TEXT = "The adult ticket costs 12 euros. The museum is open on Sundays."


class FixedVerifier:
    def __init__(self, probability):
        self.probability = probability
        self.calls = []

    def verify(self, claim, evidence, question):
        self.calls.append((claim, evidence, question))
        return self.probability


class SpanDetector:
    def __init__(self, spans):
        self.spans = spans

    def predict(self, *, context, question, answer, output_format):
        assert output_format == "spans"
        return self.spans


def judge(claim, verifier):
    return judge_claim(claim, "How much is an adult ticket?", split_text(TEXT), verifier=create_verifier(verifier))


def test_a_verifier_takes_support_away():
    assert judge("The adult ticket costs 12 euros.", None).verdict == "supported"
    judgement = judge("The adult ticket costs 12 euros.", FixedVerifier(0.1))
    assert (judgement.verdict, judgement.score) == ("not found", 0.1)
    assert "verifier" in judgement.reason
    assert judge("The adult ticket costs 12 euros.", FixedVerifier(0.9)).verdict == "supported"


def test_a_verifier_is_not_asked_about_claims_that_the_rules_refuse():
    verifier = FixedVerifier(1.0)
    assert judge("The adult ticket costs 13 euros.", verifier).verdict == "contradicted"
    assert not verifier.calls


def test_a_detector_of_unsupported_spans_is_a_verifier():
    assert judge("The adult ticket costs 12 euros.", SpanDetector([])).verdict == "supported"
    spans = [{"start": 0, "end": 5, "confidence": 0.8}]
    assert judge("The adult ticket costs 12 euros.", SpanDetector(spans)).verdict == "not found"


def test_other_objects_are_refused():
    with pytest.raises(InvalidInputError, match="is not a verifier"):
        create_verifier(3)
