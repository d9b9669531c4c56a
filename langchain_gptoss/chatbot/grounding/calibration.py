"""Calibration: the weights of abstention and of sentence ranking, as data with their origin.

`scripts/calibrate.py` fits them and writes `calibration.json`.
"""

import json
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

STEM_LETTERS = 6  # first letters of a word that are counted; the rest is mostly an ending
_COMMONNESS = 0.4  # a word in 2.5 of 1,000 questions has half the weight of a rare one


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """Fitted values.

    Attributes:
        threshold: Confidence below which a question is declined.
        quote_threshold: Confidence from which a passage is quoted if no sentence of the model is supported.
        reading_threshold: Confidence below which a model that reads whole passages is not asked. It is lower, because
            such a model says that it finds no answer, and the check refuses what it makes up.
        reading_quote_threshold: Confidence below which nothing is quoted in place of what such a model wrote.
        judge: Coefficients of the confidence: with the retriever's scores, without them, and for passages in another
            language than the question.
        spans: Coefficients of the score of a sentence.
        common: Occurrences of a word in 1,000 questions, by its first six letters; missing words are rare.
        provenance: Data, split, date, and results on data that was not used for the fit.
    """

    threshold: float
    quote_threshold: float
    reading_threshold: float
    reading_quote_threshold: float
    judge: dict[str, dict[str, float]]
    spans: dict[str, float]
    common: dict[str, float]
    provenance: dict[str, Any]


@lru_cache(maxsize=1)
def load_calibration() -> Calibration:
    """Return the calibration of the package."""
    text = files("langchain_gptoss.chatbot.grounding").joinpath("calibration.json").read_text(encoding="utf-8")
    return Calibration(**json.loads(text))


@lru_cache(maxsize=8192)
def weigh_word(word: str) -> float:
    """Return the weight of a question's word, from near 0 for a word of many questions to 1 for a rare one."""
    return 1 / (1 + _COMMONNESS * load_calibration().common.get(word[:STEM_LETTERS], 0.0))
