"""Features of a claim and its evidence, from which the score is computed."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from langchain_gptoss.chatbot.grounding.alignment import Alignment, weigh_token
from langchain_gptoss.chatbot.grounding.conflicts import CONFLICT_KINDS, Conflict
from langchain_gptoss.text.analysis import Token
from langchain_gptoss.text.verbs import find_infinitive

_MAX_DISTANCE = 3  # content words between two words that belong together


def compute_features(alignment: Alignment, conflicts: Sequence[Conflict]) -> dict[str, float]:
    """Return the features of a claim and its evidence by name.

    - coverage, own: weighted share of the claim, and of its words that the question does not have, in the evidence;
    - missing, rarest_missing: weight of the words that are missing, and of the rarest of them;
    - missing_nouns, missing_verbs: share of the nouns and adjectives, and of the verbs, that are missing;
    - order, run: share of neighbouring words that are neighbours in the evidence, and the longest such run;
    - names, figures: number of names and quantities in the claim;
    - length, evidence, sentences: content words of claim and evidence (logarithms), and sentences of the evidence;
    - passage: weighted share of the claim in the whole passage;
    - question: weighted share of the question in evidence and claim;
    - context: share of the claim that only heading, lead-in or earlier sentences have;
    - bare: 1 for a claim that is read together with its question;
    - one feature for each kind of conflict, and the number of those that contradict.
    """
    claim, evidence = alignment.claim, alignment.evidence
    words = list(alignment.tokens)
    new = [t for t in claim.own if not any(t.matches(other) for other in claim.question.content)]
    order, run = _compare_order(alignment, words)
    missing = [weigh_token(token) for token in alignment.missing]
    verbs = [t for t in words if not t.is_name and find_infinitive(t.word)]
    nouns = [t for t in words if not t.is_name and t not in verbs]
    features = {
        "coverage": alignment.coverage,
        "own": alignment.calculate_share(new, alignment.quantities),
        "missing": sum(missing),
        "rarest_missing": max(missing, default=0.0),
        "missing_nouns": 1 - alignment.calculate_share(nouns),
        "missing_verbs": 1 - alignment.calculate_share(verbs),
        "order": order,
        "run": run,
        "names": float(sum(token.is_name for token in words)),
        "figures": float(len(alignment.quantities)),
        "length": math.log1p(len(words) + len(alignment.quantities)),
        "evidence": math.log1p(len(evidence.analysis.content)),
        "sentences": float(evidence.analysis.clauses[-1].sentence + 1),
        "passage": _share_passage(alignment, words),
        "question": _share_question(alignment),
        "context": len(alignment.in_context) / (len(words) or 1),
        "bare": float(claim.is_bare),
        "contradictions": float(sum(conflict.contradicts for conflict in conflicts)),
    }
    kinds = [conflict.kind for conflict in conflicts]
    return features | {f"conflict_{kind}": float(kinds.count(kind)) for kind in CONFLICT_KINDS}


def _share_passage(alignment: Alignment, words: Sequence[Token]) -> float:
    roots = alignment.evidence.passage_roots
    total = sum(weigh_token(token) for token in words) or 1.0
    found = [t for t in words if alignment.tokens[t] or t in alignment.in_context or t.root in roots]
    return sum(weigh_token(token) for token in found) / total


def _compare_order(alignment: Alignment, words: Sequence[Token]) -> tuple[float, float]:
    """Return the share of neighbours that stay neighbours, and the longest run in the same order."""
    positions = {token.start: place for place, token in enumerate(alignment.evidence.analysis.content)}
    places = [[positions[t.start] for t in alignment.tokens[word] if t.start in positions] for word in words]
    near = sum(any(abs(a - b) <= _MAX_DISTANCE for a in first for b in second) for first, second in pairwise(places))
    longest = length = 0
    last: Sequence[int] = ()
    for place in places:
        following = [p for p in place if any(0 < p - q <= _MAX_DISTANCE for q in last)]
        length = length + 1 if following else int(bool(place))
        last = following or place
        longest = max(longest, length)
    count = max(1, len(words) - 1)
    return near / count if len(words) > 1 else 1.0, longest / max(1, len(words))


def _share_question(alignment: Alignment) -> float:
    claim, evidence = alignment.claim, alignment.evidence
    parts = [
        (
            weigh_token(token),
            any(token.matches(t) for t in (*claim.own, *evidence.analysis.tokens, *evidence.context.tokens)),
        )
        for token in claim.question.content
    ]
    total = sum(weight for weight, _ in parts)
    return sum(weight for weight, found in parts if found) / total if total else 1.0
