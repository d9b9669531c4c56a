"""The score of claim support: how probably a claim without conflicts is supported."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True, kw_only=True)
class ScoreModel:
    """The score and its threshold.

    Attributes:
        threshold: Score from which a claim without conflicts is supported.
    """

    threshold: float

    def calculate(self, features: Mapping[str, float]) -> float:
        """Return the score of a claim and its evidence, from 0 to 1; `features` are those of `compute_features`."""
        return features["coverage"]


@lru_cache(maxsize=1)
def load_score_model() -> ScoreModel:
    """Return the score model of the package."""
    return ScoreModel(threshold=0.6)
