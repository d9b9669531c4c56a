"""Answers that repeat their question, such as "Roger de Tosny failed to do what he set out to do in 1018.".

Most of their words are the question's, and documents put the same thing in other words. So what such an answer adds
must stand in one piece of evidence, and a fitted score decides whether that piece answers the question: by the share of
the question that stands there, by the part of the question that stands elsewhere, and by conflicts.
`scripts/fit_restated_answers.py` fits it and writes `restated_answers.json`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

from langchain_gptoss.chatbot.grounding.alignment import Alignment, Evidence, weigh_token
from langchain_gptoss.chatbot.grounding.answer_fit import is_open_question, list_new_quantities, list_new_tokens
from langchain_gptoss.chatbot.grounding.conflicts import ConflictKind
from langchain_gptoss.text.analysis import Analysis, Token

# The only conflicts that a restated answer may have: words of the question that the evidence does not have.
_PARAPHRASED: tuple[ConflictKind, ...] = ("name", "subject", "word")
_MIN_LONG_EVIDENCE = 9  # content words from which a sentence may put the question's words in others
_EARLIER = 2  # sentences before the evidence that may name what it is about


@dataclass(frozen=True, kw_only=True)
class RestatementModel:
    """The score and its threshold.

    Attributes:
        threshold: Probability from which an answer is supported.
        coefficients: Coefficients of the features, and "constant".
        provenance: Data, split, date, and results on data that was not used for the fit.
    """

    threshold: float
    coefficients: Mapping[str, float]
    provenance: Mapping[str, Any]

    def calculate(self, features: Mapping[str, float]) -> float:
        """Return the probability that the evidence answers the question as the sentence says."""
        logit = sum(
            coefficient * (1.0 if name == "constant" else features[name])
            for name, coefficient in self.coefficients.items()
        )
        return 1 / (1 + math.exp(-logit))


@lru_cache(maxsize=1)
def load_restatement_model() -> RestatementModel:
    """Return the model of the package."""
    text = files("langchain_gptoss.chatbot.grounding").joinpath("restated_answers.json").read_text(encoding="utf-8")
    return RestatementModel(**json.loads(text))


def is_restatement(alignment: Alignment, kinds: Sequence[ConflictKind]) -> bool:
    """Return True if a sentence answers an open question, and all that it adds to it stands in the evidence.

    A short statement puts nothing in other words: what it says of a phone screen is not said of a laptop screen. So the
    rules alone judge by it. The names of the question must stand in the passage.

    Args:
        alignment: The answer and its evidence.
        kinds: The kinds of conflict between them.
    """
    claim = alignment.claim
    new, quantities = list_new_tokens(alignment), list_new_quantities(alignment)
    if not is_open_question(claim.question.text) or not (new or quantities):
        return False
    evidence = alignment.evidence
    if len(evidence.analysis.content) < _MIN_LONG_EVIDENCE or not set(kinds) <= set(_PARAPHRASED):
        return False
    if evidence.is_translated or claim.is_denied or evidence.span.row or _count_sentences(evidence) > 1:
        return False
    if any(token.is_name and not _has(token, [evidence.passage]) for token in claim.question.content):
        return False
    return all(alignment.tokens[token] for token in new) and all(alignment.quantities[each] for each in quantities)


def _count_sentences(evidence: Evidence) -> int:
    return evidence.analysis.clauses[-1].sentence + 1


def compute_restatement_features(alignment: Alignment, kinds: Sequence[ConflictKind]) -> dict[str, float]:
    """Return the features of an answer that repeats its question, and of its evidence.

    - near, around, passage: weighted share of the question in the evidence, in its neighbourhood, in the passage;
    - elsewhere: the share that stands in the passage, but not near the evidence;
    - names_near: share of the question's names that the neighbourhood lacks;
    - new: logarithm of the number of words and figures that the answer adds;
    - spread: words between the first and the last of them in the evidence, for each of them;
    - conflict_name, conflict_subject, conflict_word: 1 if a name, a subject or another word of the sentence is missing.

    Args:
        alignment: The answer and its evidence.
        kinds: The kinds of conflict between them.
    """
    claim, evidence = alignment.claim, alignment.evidence
    words = claim.question.content
    around = [evidence.analysis, evidence.context, *evidence.earlier[:_EARLIER]]
    near, nearby, passage = (
        [_has(token, texts) for token in words]
        for texts in ([evidence.analysis, evidence.context], around, [evidence.passage, *around])
    )
    names = [here for token, here in zip(words, nearby, strict=True) if token.is_name]
    new = list_new_tokens(alignment)
    count = len(new) + len(list_new_quantities(alignment))
    shares = {"near": _share(words, near), "around": _share(words, nearby), "passage": _share(words, passage)}
    return {
        **shares,
        "elsewhere": shares["passage"] - shares["around"],
        "names_near": names.count(False) / max(1, len(names)),
        "new": math.log1p(count),
        "spread": _measure_spread(alignment, new),
        **{f"conflict_{kind}": float(kind in kinds) for kind in _PARAPHRASED},
    }


def _has(token: Token, texts: Sequence[Analysis]) -> bool:
    return any(token.matches(other) for text in texts for other in text.tokens)


def _share(words: Sequence[Token], found: Sequence[bool]) -> float:
    total = sum(map(weigh_token, words))
    return sum(weigh_token(word) for word, is_found in zip(words, found, strict=True) if is_found) / (total or 1.0)


def _measure_spread(alignment: Alignment, new: Sequence[Token]) -> float:
    """Return the distance over which the new words are spread in the evidence, divided by their number, at most 1."""
    places = {token.start: place for place, token in enumerate(alignment.evidence.analysis.content)}
    found = [[places[t.start] for t in alignment.tokens[word] if t.start in places] for word in new]
    firsts = [each[0] for each in found if each]
    return min(1.0, (max(firsts) - min(firsts) + 1 - len(firsts)) / 10) if len(firsts) > 1 else 0.0
