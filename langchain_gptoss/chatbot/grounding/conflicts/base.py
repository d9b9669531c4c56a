"""A conflict between a claim and evidence, with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

ConflictKind = Literal[
    "quantity", "name", "subject", "word", "answer", "binding", "role", "negation", "exception", "condition", "strength"
]


CONFLICT_KINDS: tuple[ConflictKind, ...] = get_args(ConflictKind)


@dataclass(frozen=True, kw_only=True)
class Conflict:
    """A reason why evidence does not support a claim.

    Attributes:
        kind: What differs.
        reason: A clause for people.
        contradicts: True if the evidence states something else, False if it does not state the claim.
        is_weak: True if a long sentence that says several things often has this conflict by chance.
    """

    kind: ConflictKind
    reason: str
    contradicts: bool
    is_weak: bool = False
