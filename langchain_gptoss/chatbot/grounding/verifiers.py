"""Optional models that judge a supported sentence a second time, such as a hallucination detector.

The rules decide first. A verifier can only take support away: what the rules refuse stays refused.
"""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from langchain_core.decisions import BaseDecisionModel, ClassifierRequest, Noul

from langchain_gptoss.errors import InvalidInputError

MIN_PROBABILITY = 0.5
"""Probability below which a verifier takes support away."""


@runtime_checkable
class ClaimVerifier(Protocol):
    """A model that knows how probably evidence supports a claim."""

    def verify(self, claim: str, evidence: str, question: str) -> float:
        """Return the probability that evidence supports a claim, from 0 to 1.

        Args:
            claim: A sentence of the answer.
            evidence: The sentences of the document, after their heading and lead-in.
            question: The question.
        """


class DecisionVerifier:
    """A verifier from a decision model: one pass over the evidence, the claim and the question.

    Args:
        model: The decision model.
    """

    def __init__(self, model: BaseDecisionModel) -> None:
        self._model = model

    def verify(self, claim: str, evidence: str, question: str) -> float:
        """Return the probability that the evidence states the claim, and that the claim answers the question."""
        instructions = f"Does the text state this, and does it answer the question {question!r}: {claim}"
        request = ClassifierRequest(state=evidence, questions={"supported": Noul(instructions=instructions)})
        return self._model.invoke(request).nouls["supported"].noul


class SpanDetectorVerifier:
    """A verifier from a detector of unsupported spans, such as lettucedetect's `HallucinationDetector`.

    Args:
        detector: An object with `predict(context=[...], question=..., answer=..., output_format="spans")`. It returns
            the unsupported spans of the answer as dictionaries with `confidence`.
    """

    def __init__(self, detector: Any) -> None:
        self._detector = detector

    def verify(self, claim: str, evidence: str, question: str) -> float:
        """Return 1 less the highest confidence of an unsupported span."""
        spans = self._detector.predict(context=[evidence], question=question, answer=claim, output_format="spans")
        return 1 - max((float(span.get("confidence", 1.0)) for span in spans), default=0.0)


def create_verifier(model: Any) -> ClaimVerifier | None:
    """Return a verifier for a model, None for None.

    Args:
        model: A `ClaimVerifier`, a decision model, or a detector with `predict`, as `SpanDetectorVerifier` takes it.

    Raises:
        InvalidInputError: The model is of another type.
    """
    if model is None or isinstance(model, ClaimVerifier):
        return model
    if isinstance(model, BaseDecisionModel):
        return DecisionVerifier(model)
    if callable(getattr(model, "predict", None)):
        return SpanDetectorVerifier(model)
    raise InvalidInputError(
        f"{type(model).__name__} is not a verifier.",
        hint="Pass an object with verify(claim, evidence, question), or a detector with predict(...).",
    )
