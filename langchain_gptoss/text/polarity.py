"""Polarity of English and French sentences: negation, and words with opposite meanings.

Two sentences can share nearly all words and say the opposite.
"""

from __future__ import annotations

import re

from langchain_gptoss.text.words import extract_content_words

_NEGATIONS = frozenset("no not never cannot nor without none aucun aucune jamais ne sans non pas".split())  # noqa: SIM905

# Each line is a pair of opposites. A claim with a word of one side contradicts evidence that has only the other side.
_OPPOSITES = (
    ("before avant", "after apres"),
    ("more plus", "less fewer moins"),
    ("minimum least", "maximum most"),
    ("above over dessus", "below under dessous"),
    ("required mandatory compulsory obligatoire", "optional voluntary facultatif facultative"),
    ("allowed permitted autorise autorisee autorises", "forbidden prohibited banned interdit interdite interdits"),
    ("increase increased rise rose hausse augmente", "decrease decreased fall fell baisse diminue"),
    ("first premier premiere", "last dernier derniere"),
    ("north nord", "south sud"),
    ("east est", "west ouest"),
    ("accepted accepte acceptee", "refused rejected refuse refusee"),
    ("free gratuit gratuite gratuits", "paid payant payante payants"),
    ("open ouvert ouverte", "closed ferme fermee"),
    ("always toujours", "never jamais"),
    ("won gagne", "lost perdu"),
    ("born ne nee", "died mort morte"),
    ("with avec", "without sans"),
)  # fmt: skip
# "plus" also means "no longer" in French, "est" is "is" and "east", and the rest are too common to oppose anything.
_AMBIGUOUS = frozenset("plus est ne over more most least under".split())  # noqa: SIM905
_SIDES = [
    tuple(frozenset(word for word in side.split() if word not in _AMBIGUOUS) for side in pair) for pair in _OPPOSITES
]
_CLAUSE_END = re.compile(
    r"[;:]\s|,\s|\s(?:but|however|whereas|while|mais|cependant|tandis que|alors que)\s", re.IGNORECASE
)


def is_negated(text: str) -> bool:
    """Return True if a sentence has a negation, such as "not", "n't" or "sans"."""
    lowered = text.lower().replace("’", "'")
    return bool(_NEGATIONS & set(re.findall(r"[^\W\d_]+", lowered))) or "n't" in lowered


def has_opposite_meaning(claim: str, evidence: str) -> bool:
    """Return True if only one of claim and evidence is negated, or if evidence has the opposite of a claim's word.

    Of evidence with several clauses, the clause that shares most words with the claim decides about negation: "Standard
    delivery is free, express is not" does not contradict "Standard delivery is free".
    """
    claim_words = set(re.findall(r"[^\W\d_]+", " ".join(extract_content_words(claim))))
    if is_negated(claim) != is_negated(_find_nearest_clause(claim, evidence)):
        return True
    evidence_words = set(extract_content_words(evidence))
    return any(
        (claim_words & first and evidence_words & second and not evidence_words & first)
        or (claim_words & second and evidence_words & first and not evidence_words & second)
        for first, second in _SIDES
    )


def _find_nearest_clause(claim: str, evidence: str) -> str:
    clauses = [clause for clause in _CLAUSE_END.split(evidence) if extract_content_words(clause)]
    if len(clauses) < 2:
        return evidence
    claim_words = set(extract_content_words(claim))
    shared = [len(claim_words & set(extract_content_words(clause))) for clause in clauses]
    best = max(shared)
    if shared.count(best) > 1 or best < len(claim_words) / 2:  # the claim covers several clauses
        return evidence
    return clauses[shared.index(best)]
