"""Checks of conditions and strength: "only if", "all", "must", "is planned"."""

from __future__ import annotations

from collections.abc import Iterator

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import is_claimed, select_home_sentence
from langchain_gptoss.text.polarity import (
    find_polarities,
    find_restricted_words,
    has_end,
    has_strong_condition,
    is_unconditional,
    measure_strength,
)
from langchain_gptoss.text.word_lists import parse_words

_WHILE = parse_words("while when tant pendant lorsque quand")


def check_condition(alignment: Alignment) -> Iterator[Conflict]:
    """Check that a condition of the evidence is part of the claim or of the question."""
    claim, evidence = alignment.claim.analysis, alignment.evidence.analysis
    polarities = zip(evidence.clauses, find_polarities(evidence), strict=True)
    conditions = [clause for clause, polarity in polarities if polarity.is_condition]
    theirs_restricted = measure_strength(evidence.text, evidence.words).is_restricted
    theirs_strong, ours_strong = has_strong_condition(evidence.text), has_strong_condition(claim.text)
    is_conditional = ours_strong or any(polarity.is_condition for polarity in find_polarities(claim))
    if is_unconditional(claim.text):
        if (conditions or theirs_strong) and not is_unconditional(evidence.text):
            yield Conflict(kind="condition", reason="the document names a condition", contradicts=True)
    elif ours_strong and not conditions and not theirs_strong and not evidence.words & _WHILE and not theirs_restricted:
        yield Conflict(kind="condition", reason="the document names no such condition", contradicts=False)
    elif not is_conditional:
        for clause in conditions:
            words = [t for t in evidence.content if clause.start <= t.start < clause.end]
            known = (*claim.tokens, *alignment.claim.question.tokens)
            named = [t for t in words if any(t.matches(other) for other in known)]
            if words and (not named or theirs_strong):
                text = " ".join(evidence.text[clause.start : clause.end].split()).strip(" .")
                reason = f"the document names a condition: “{text}”"
                yield Conflict(kind="condition", reason=reason, contradicts=False)
                return


def check_strength(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the claim is not stronger than the evidence: "all" for "some", "must" for "may"."""
    claim, evidence = alignment.claim.analysis, select_home_sentence(alignment)
    ours, theirs = measure_strength(claim.text, claim.words), measure_strength(evidence.text, evidence.words)
    restricted = find_restricted_words(evidence)
    checks: tuple[tuple[bool, str], ...] = (
        (ours.is_universal and theirs.is_partial and not theirs.is_universal, "the document does not say it of all"),
        (ours.is_partial and theirs.is_universal and not theirs.is_partial, "the document says it of all"),
        (
            ours.is_obligation and theirs.is_option and not theirs.is_obligation,
            "the document speaks of a possibility, not of an obligation",
        ),
        (
            theirs.is_obligation and ours.is_option and not ours.is_obligation and not theirs.is_option,
            "the document speaks of an obligation, not of a possibility",
        ),
        (theirs.is_hedged and not ours.is_hedged and not ours.is_future, "the document does not state it as a fact"),
        (theirs.is_past and not ours.is_past and not ours.is_perfect, "the document says it of the past"),
        (
            ours.is_present and not theirs.is_present and has_end(evidence.text),
            "the document says it of the past",
        ),
        (theirs.is_future and not ours.is_future and not ours.is_hedged, "the document says it of the future"),
        (ours.is_only and not theirs.is_restricted, "the document names no such restriction"),
        (
            bool(restricted) and not ours.is_restricted and not any(is_claimed(t, alignment) for t in restricted),
            "the document restricts it",
        ),
        (ours.is_universal and theirs.is_restricted and not theirs.is_universal, "the document restricts it"),
    )
    for is_conflict, reason in checks:
        if is_conflict:
            yield Conflict(kind="strength", reason=reason, contradicts=False)
