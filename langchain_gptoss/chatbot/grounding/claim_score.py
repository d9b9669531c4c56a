"""The score of claim support: the calibrated probability that the documents state a claim.

A sum of small decision trees over rule features. `scripts/fit_claim_support.py` fits them and writes
`claim_support.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

# A node is (feature, threshold, left, right) with the indexes of two further nodes, or (value,).
Node = Sequence[float]


@dataclass(frozen=True, kw_only=True)
class ScoreModel:
    """The score and its thresholds.

    Attributes:
        threshold: Score from which a claim without conflicts is supported.
        long_threshold: Score from which a long claim is supported if its only conflicts are soft ones.
        features: Names of the features, in the order of the trees' indexes.
        base: Log odds before the first tree.
        trees: Nodes of each tree, the root first; each leaf adds its value to the log odds.
        provenance: Data, split, date, and results on data that was not used for the fit.
    """

    threshold: float
    long_threshold: float
    features: Sequence[str]
    base: float
    trees: Sequence[Sequence[Node]]
    provenance: Mapping[str, Any]

    def calculate(self, features: Mapping[str, float]) -> float:
        """Return the score of a claim and its evidence, from 0 to 1.

        Args:
            features: Those of `compute_features` and `compute_window_features`.
        """
        values = [features[name] for name in self.features]
        log_odds = self.base + sum(_evaluate_tree(tree, values) for tree in self.trees)
        return 1 / (1 + math.exp(-log_odds))


def _evaluate_tree(tree: Sequence[Node], values: Sequence[float]) -> float:
    node = tree[0]
    while len(node) > 1:
        feature, threshold, left, right = node
        node = tree[int(left if values[int(feature)] <= threshold else right)]
    return node[0]


@lru_cache(maxsize=1)
def load_score_model() -> ScoreModel:
    """Return the score model of the package."""
    text = files("langchain_gptoss.chatbot.grounding").joinpath("claim_support.json").read_text(encoding="utf-8")
    return ScoreModel(**json.loads(text))
