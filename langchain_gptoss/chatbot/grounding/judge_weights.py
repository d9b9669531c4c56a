"""Fitted weights that combine the probabilities of rules and of decision models."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

_MIN_PROBABILITY = 1e-6
_CONSTANT = "constant"


@dataclass(frozen=True, kw_only=True)
class JudgeWeights:
    """Fitted values.

    Attributes:
        weights: Coefficients of the log odds of each probability by its name, and "constant".
        threshold: Combined probability below which an answer is declined.
        closed_threshold: The same for a question whose answer may be yes or no: a model that is asked whether the text
            states the answer tends to give the answer itself.
        quote_threshold: Combined probability from which documents are quoted if no sentence of the model is supported.
        provenance: Data, model, date, and results on data that was not used for the fit.
    """

    weights: Mapping[str, float]
    threshold: float
    closed_threshold: float
    quote_threshold: float
    provenance: Mapping[str, Any]

    def combine(self, **probabilities: float) -> float:
        """Return the combined probability.

        Args:
            **probabilities: A probability for each weight.
        """
        logit = self.weights[_CONSTANT] + sum(
            weight * _to_log_odds(probabilities[name]) for name, weight in self.weights.items() if name != _CONSTANT
        )
        return 1 / (1 + math.exp(-logit))


@cache
def load_judge_weights(name: str) -> JudgeWeights:
    """Return weights of the package.

    Args:
        name: Name of the file, such as `"passage_judge"`.
    """
    text = files("langchain_gptoss.chatbot.grounding").joinpath(f"{name}.json").read_text(encoding="utf-8")
    return JudgeWeights(**json.loads(text))


def _to_log_odds(probability: float) -> float:
    probability = min(max(probability, _MIN_PROBABILITY), 1 - _MIN_PROBABILITY)
    return math.log(probability / (1 - probability))
