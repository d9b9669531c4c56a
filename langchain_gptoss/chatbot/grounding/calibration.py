"""The weights behind abstention and the order of sentences: data, fitted by `scripts/calibrate.py`, with its origin."""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

STEM = 6  # letters of a word that are counted; what follows is an ending more often than not
_COMMONNESS = 0.4  # a word that is in 2.5 of a thousand questions counts half


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """What was fitted.

    Attributes:
        threshold: The confidence below which a question is declined.
        quote_threshold: The confidence from which a passage is quoted where no sentence of the model is supported.
        judge: Coefficients of the confidence: with the retriever's scores, without them, and for passages in another
            language than the question's.
        spans: Coefficients of a sentence's score.
        common: How many of a thousand questions hold a word, by its first six letters; what is not there is rare.
        provenance: The data, their split, the date, and how well the fit does on what it was not fitted on.
    """

    threshold: float
    quote_threshold: float
    judge: dict[str, dict[str, float]]
    spans: dict[str, float]
    common: dict[str, float]
    provenance: dict[str, Any]


@lru_cache(maxsize=1)
def calibration() -> Calibration:
    """Returns what the package ships."""
    text = files("langchain_gptoss.chatbot.grounding").joinpath("calibration.json").read_text(encoding="utf-8")
    return Calibration(**json.loads(text))


@lru_cache(maxsize=8192)
def word_weight(word: str) -> float:
    """Returns what a word of a question counts, from near 0 for a word of many questions to 1 for a rare one."""
    return 1 / (1 + _COMMONNESS * calibration().common.get(word[:STEM], 0.0))
