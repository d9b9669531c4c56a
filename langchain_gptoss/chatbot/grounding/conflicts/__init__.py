"""Conflicts between a claim and the sentences that share its words.

Each check returns reasons that people can read. A conflict keeps a claim from being shown as supported.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.conflicts.base import CONFLICT_KINDS, Conflict, ConflictKind
from langchain_gptoss.chatbot.grounding.conflicts.binding import check_binding
from langchain_gptoss.chatbot.grounding.conflicts.columns import check_columns
from langchain_gptoss.chatbot.grounding.conflicts.denial import check_negation, check_opposites
from langchain_gptoss.chatbot.grounding.conflicts.facts import check_names, check_quantities, check_subject, check_words
from langchain_gptoss.chatbot.grounding.conflicts.roles import check_roles
from langchain_gptoss.chatbot.grounding.conflicts.strength import check_condition, check_strength

_CHECKS: tuple[Callable[[Alignment], Iterable[Conflict]], ...] = (
    check_quantities,
    check_names,
    check_subject,
    check_words,
    check_binding,
    check_columns,
    check_roles,
    check_negation,
    check_opposites,
    check_condition,
    check_strength,
)

__all__ = ["CONFLICT_KINDS", "Conflict", "ConflictKind", "find_conflicts"]


def find_conflicts(alignment: Alignment) -> list[Conflict]:
    """Return all conflicts between a claim and the evidence that is aligned with it."""
    return [conflict for check in _CHECKS for conflict in check(alignment)]
