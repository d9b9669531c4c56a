"""A decision model that judges whether passages answer a question, combined with the confidence of the rules.

The rules decide first and cost nothing. The model is asked only about passages that they accept, in one pass, and both
are combined by fitted weights (`passage_judge.json`). So it can decline more questions, and none of those answered
before without it changes.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from langchain_core.decisions import BaseDecisionModel, ClassifierRequest, ClassifierResponse, Noul
from langchain_core.language_models.chat_models import BaseChatModel
from langchain_core.runnables import RunnableConfig

from langchain_gptoss._flow import Flow, call
from langchain_gptoss.chatbot.grounding.passages import Passage
from langchain_gptoss.decisions import as_decision_model
from langchain_gptoss.errors import InvalidInputError

_MIN_PROBABILITY = 1e-6
_NAME = "answered"  # name of the question to the decision model


@dataclass(frozen=True, kw_only=True)
class PassageWeights:
    """Fitted values.

    Attributes:
        weights: Coefficients of the log odds: "constant", "rules" and "judge".
        threshold: Probability below which a question is declined.
        provenance: Data, model, date, and results on data that was not used for the fit.
    """

    weights: Mapping[str, float]
    threshold: float
    provenance: Mapping[str, Any]

    def combine(self, *, rules: float, judge: float) -> float:
        """Return the probability that the passages answer the question.

        Args:
            rules: Confidence of the rules, from 0 to 1.
            judge: The decision model's probability of yes.
        """
        weights = self.weights
        logit = weights["constant"] + weights["rules"] * _to_log_odds(rules) + weights["judge"] * _to_log_odds(judge)
        return 1 / (1 + math.exp(-logit))


@lru_cache(maxsize=1)
def load_passage_weights() -> PassageWeights:
    """Return the weights of the package."""
    text = files("langchain_gptoss.chatbot.grounding").joinpath("passage_judge.json").read_text(encoding="utf-8")
    return PassageWeights(**json.loads(text))


class PassageJudge:
    """Asks a decision model whether passages answer a question."""

    def __init__(self, model: BaseDecisionModel, weights: PassageWeights | None = None) -> None:
        """Store the parts.

        Args:
            model: The decision model.
            weights: Weights of rules and model; None means those of the package.
        """
        self._model = model
        self._weights = weights or load_passage_weights()

    @property
    def threshold(self) -> float:
        """Probability below which a question is declined."""
        return self._weights.threshold

    def judge(
        self, question: str, passages: Sequence[Passage], confidence: float, config: RunnableConfig
    ) -> Flow[float]:
        """Return the probability that the passages answer the question.

        Args:
            question: The question, complete without the conversation.
            passages: The passages that the rules accept.
            confidence: Confidence of the rules.
            config: LangChain's configuration of the run.
        """
        text = "\n\n".join(f"{passage.heading}\n{passage.text}".strip() for passage in passages)
        decision = Noul(instructions=f"Does the text state the answer to this question: {question}")
        request = ClassifierRequest(state=text, questions={_NAME: decision})
        model = self._model
        response: ClassifierResponse = yield from call(
            lambda: model.invoke(request, config), lambda: model.ainvoke(request, config)
        )
        return self._weights.combine(rules=confidence, judge=response.nouls[_NAME].noul)


def create_passage_judge(judge: Any, llm: BaseChatModel, *, is_able: bool) -> PassageJudge | None:
    """Return the judge of a chatbot; None leaves the decision to the rules.

    Args:
        judge: A decision model, a `ChatGptOss`, False for none, or True for the chatbot's own model.
        llm: The chatbot's own model.
        is_able: False if that model is too small to judge; True as `judge` then means none.

    Raises:
        InvalidInputError: The judge cannot decide.
    """
    if judge is False or judge is None or (judge is True and not is_able):
        return None
    model = as_decision_model(llm if judge is True else judge)
    if model is None:
        raise InvalidInputError(
            f"{type(llm if judge is True else judge).__name__} is no decision model.",
            hint="Pass judge=GptOssDecisions(...), or leave it out.",
        )
    return PassageJudge(model)


def _to_log_odds(probability: float) -> float:
    probability = min(max(probability, _MIN_PROBABILITY), 1 - _MIN_PROBABILITY)
    return math.log(probability / (1 - probability))
