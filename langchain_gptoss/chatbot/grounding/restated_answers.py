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
from langchain_gptoss.chatbot.grounding.conflicts import Conflict, ConflictKind
from langchain_gptoss.chatbot.grounding.statements import is_of_other_statement
from langchain_gptoss.text.analysis import Analysis, Token
from langchain_gptoss.text.polarity import find_polarities
from langchain_gptoss.text.sentences import find_sentences

# Words of the question that the evidence does not have.
_PARAPHRASED: tuple[ConflictKind, ...] = ("name", "subject", "word")
# What a long sentence, which says several things, often seems to say of something else.
_DISTANT: tuple[ConflictKind, ...] = ("binding", "strength", "condition")
_SCORED: tuple[ConflictKind, ...] = (*_PARAPHRASED, *_DISTANT, "role", "negation")
_MIN_LONG_EVIDENCE = 9  # content words from which a sentence may put the question's words in others
_MIN_NEW_SHARE = 0.7  # of the words that an answer adds, names and figures aside, which must all be there
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


def is_restatement(alignment: Alignment, conflicts: Sequence[Conflict]) -> bool:
    """Return True if a sentence answers an open question, and what it adds to it stands in the evidence.

    A short statement puts nothing in other words: what it says of a phone screen is not said of a laptop screen. So the
    rules alone judge by it. The names of the question must stand in the passage.

    Args:
        alignment: The answer and its evidence.
        conflicts: The conflicts between them.
    """
    claim, evidence = alignment.claim, alignment.evidence
    if not is_open_question(claim.question.text) or claim.is_denied or not _has_news(alignment):
        return False
    if evidence.is_translated or evidence.span.row or len(evidence.analysis.content) < _MIN_LONG_EVIDENCE:
        return False
    if not all(is_tolerable(conflict, alignment) for conflict in conflicts) or _count_sentences(evidence) > 1:
        return False
    names, missing = _list_names(alignment)
    return not missing or len(missing) < len(names)


def is_tolerable(conflict: Conflict, alignment: Alignment) -> bool:
    """Return True for a conflict that an answer which repeats its question may have with a long sentence."""
    if conflict.kind == "negation":
        return not _has_denied_news(alignment)
    if conflict.is_weak or conflict.kind == "binding":
        return not is_of_other_statement(alignment)
    return conflict.kind in (*_PARAPHRASED, *_DISTANT)


def _has_news(alignment: Alignment) -> bool:
    """Return True if the evidence has what the answer adds: all names and figures, and most of the other words."""
    new, quantities = list_new_tokens(alignment), list_new_quantities(alignment)
    if not new and not quantities:
        return False
    names = [token for token in new if token.is_name]
    return (
        all(alignment.tokens[token] for token in names)
        and all(alignment.quantities[quantity] for quantity in quantities)
        and _share_new(alignment, new) >= _MIN_NEW_SHARE
    )


def _share_new(alignment: Alignment, new: Sequence[Token]) -> float:
    return _share(new, [bool(alignment.tokens[token]) for token in new]) if new else 1.0


def _has_denied_news(alignment: Alignment) -> bool:
    """Return True if the claim denies, or the evidence denies in a clause with something that the claim adds."""
    if alignment.claim.is_negated:
        return True
    analysis = alignment.evidence.analysis
    polarities = find_polarities(analysis)
    places = [token.clauses for new in list_new_tokens(alignment) for token in alignment.tokens[new]]
    places += [analysis.find_clauses(q) for new in list_new_quantities(alignment) for q in alignment.quantities[new]]
    return any(polarities[clause].is_negated for clauses in places for clause in clauses if clause < len(polarities))


def _list_names(alignment: Alignment) -> tuple[list[Token], list[Token]]:
    """Return the first words of the question's names, and of those that the passage lacks.

    A part of a name is enough: "Lovelace" for "Ada Lovelace".
    """
    text, passage = alignment.claim.question.text, [alignment.evidence.passage]
    runs: list[list[Token]] = []
    for token in (token for token in alignment.claim.question.content if token.is_name):
        if runs and not text[runs[-1][-1].end : token.start].strip():
            runs[-1].append(token)
        else:
            runs.append([token])
    missing = [run[0] for run in runs if not any(_has(token, passage) for token in run)]
    return [run[0] for run in runs], missing


def _count_sentences(evidence: Evidence) -> int:
    return sum(1 for _ in find_sentences(evidence.span.text))


def compute_restatement_features(alignment: Alignment, conflicts: Sequence[Conflict]) -> dict[str, float]:
    """Return the features of an answer that repeats its question, and of its evidence.

    - near, around, passage: weighted share of the question in the evidence, in its neighbourhood, in the passage;
    - elsewhere: the share that stands in the passage, but not near the evidence;
    - names_near: share of the question's names that the neighbourhood lacks;
    - names_missing: share of them that the passage lacks;
    - new: logarithm of the number of words and figures that the answer adds;
    - found: share of these words that the evidence has;
    - spread: words between the first and the last of them in the evidence, for each of them;
    - distance: words between them and the nearest word of the question, at most 1;
    - length: logarithm of the number of content words of the evidence;
    - conflict_name and others: 1 if there is a conflict of this kind.

    Args:
        alignment: The answer and its evidence.
        conflicts: The conflicts between them.
    """
    kinds = {conflict.kind for conflict in conflicts}
    claim, evidence = alignment.claim, alignment.evidence
    words = claim.question.content
    around = [evidence.analysis, evidence.context, *evidence.earlier[:_EARLIER]]
    near, nearby, passage = (
        [_has(token, texts) for token in words]
        for texts in ([evidence.analysis, evidence.context], around, [evidence.passage, *around])
    )
    names = [here for token, here in zip(words, nearby, strict=True) if token.is_name]
    new, (all_names, missing_names) = list_new_tokens(alignment), _list_names(alignment)
    count = len(new) + len(list_new_quantities(alignment))
    shares = {"near": _share(words, near), "around": _share(words, nearby), "passage": _share(words, passage)}
    return {
        **shares,
        "elsewhere": shares["passage"] - shares["around"],
        "names_near": names.count(False) / max(1, len(names)),
        "names_missing": len(missing_names) / max(1, len(all_names)),
        "new": math.log1p(count),
        "found": _share_new(alignment, new),
        "spread": _measure_spread(alignment, new),
        "distance": _measure_distance(alignment, new),
        "length": math.log1p(len(evidence.analysis.content)),
        **{f"conflict_{kind}": float(kind in kinds) for kind in _SCORED},
    }


def _has(token: Token, texts: Sequence[Analysis]) -> bool:
    # "the Norman army" has the Normans.
    return any(token.matches(other) or token.root == other.root for text in texts for other in text.tokens)


def _share(words: Sequence[Token], found: Sequence[bool]) -> float:
    total = sum(map(weigh_token, words))
    return sum(weigh_token(word) for word, is_found in zip(words, found, strict=True) if is_found) / (total or 1.0)


def _measure_spread(alignment: Alignment, new: Sequence[Token]) -> float:
    """Return the distance over which the new words are spread in the evidence, divided by their number, at most 1."""
    places = {token.start: place for place, token in enumerate(alignment.evidence.analysis.content)}
    found = [[places[t.start] for t in alignment.tokens[word] if t.start in places] for word in new]
    firsts = [each[0] for each in found if each]
    return min(1.0, (max(firsts) - min(firsts) + 1 - len(firsts)) / 10) if len(firsts) > 1 else 0.0


def _measure_distance(alignment: Alignment, new: Sequence[Token]) -> float:
    """Return the words of the evidence between what is new and the nearest word of the question, divided by ten."""
    analysis = alignment.evidence.analysis
    starts = [token.start for token in analysis.tokens]
    places = [starts.index(t.start) for word in new for t in alignment.tokens[word] if t.start in starts]
    for quantity in list_new_quantities(alignment):
        places += [sum(start < found.start for start in starts) for found in alignment.quantities[quantity]]
    asked = [
        place
        for place, token in enumerate(analysis.tokens)
        if token.is_content and any(token.matches(other) for other in alignment.claim.question.content)
    ]
    gaps = [abs(first - second) - 1 for first in places for second in asked]
    return min(1.0, max(0, min(gaps)) / 10) if gaps else 1.0
