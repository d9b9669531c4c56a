"""Checks of negation, exceptions and opposites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import (
    choose_home,
    has_same_subject,
    is_subject,
    locate,
    select_elements,
)
from langchain_gptoss.text.analysis import Analysis, Token
from langchain_gptoss.text.polarity import Polarity, find_opposites, find_polarities
from langchain_gptoss.text.quantities import Quantity
from langchain_gptoss.text.word_lists import parse_words


def check_negation(alignment: Alignment) -> Iterator[Conflict]:
    """Check that claim and evidence deny, or affirm, the same."""
    claim, evidence = alignment.claim, alignment.evidence
    ours, theirs = find_polarities(claim.analysis), find_polarities(evidence.analysis)
    lead_in = evidence.lead_in is not None and any(p.is_negated for p in find_polarities(evidence.lead_in))
    if find_opposites(claim.analysis.tokens, evidence.analysis.tokens, is_binary=True):
        lead_in = not lead_in
    claim_excepts = any(polarity.is_exception for polarity in ours)
    is_exception_used = False
    if claim_excepts and any(polarity.is_exception for polarity in theirs):
        return
    for number, group in enumerate(claim.groups):
        places = locate(alignment, *select_elements(alignment, group))
        if not places:
            continue
        main = {
            element: frozenset(c for c in clauses if not theirs[c].is_exception) for element, clauses in places.items()
        }
        excepted = [element for element, clauses in main.items() if not clauses]
        is_exception_used |= bool(excepted)
        home = _find_predicate(alignment, main if any(main.values()) else places)
        denies = (theirs[home].is_negated != bool(excepted)) != lead_in
        is_negated = any(ours[index].is_negated for index in group) != (claim.is_denied and number == 0)
        if is_negated != denies:
            yield _describe_denial(excepted, denies=denies)
            return
        if conflict := _find_other_denial(alignment, main, home, theirs):
            yield conflict
            return
    if not is_exception_used and not claim_excepts and any(polarity.is_exception for polarity in theirs):
        exception = next(c for c, p in zip(evidence.analysis.clauses, theirs, strict=True) if p.is_exception)
        text = evidence.analysis.text[exception.start : exception.end].strip(" .")
        yield Conflict(kind="exception", reason=f"the document makes an exception: “{text}”", contradicts=False)


def _find_predicate(alignment: Alignment, places: Mapping[Token | Quantity, frozenset[int]]) -> int:
    """Return the clause of the evidence that has what the claim says.

    It is the clause that has most of the claim. If the claim's predicate stands only in clauses after it that say more
    of the same subject ("The shop is small and has no parking."), it is the first of those.
    """
    evidence, claim = alignment.evidence.analysis, alignment.claim.analysis
    home = choose_home(places, len(evidence.clauses))
    verb = next((clause.verb for clause in claim.clauses if clause.verb is not None), None)
    start = claim.tokens[verb].start if verb is not None else 0
    said = [clauses for element, clauses in places.items() if element.start > start and clauses]
    if verb is None or not said or any(home in clauses for clauses in said):
        return home
    later = [index for index in frozenset[int]().union(*said) if index > home]
    return next((index for index in sorted(later) if has_same_subject(evidence, evidence.clauses[index])), home)


def _describe_denial(excepted: Sequence[Token | Quantity], *, denies: bool) -> Conflict:
    if excepted:
        name = next((element.spelling for element in excepted if isinstance(element, Token)), "it")
        return Conflict(kind="exception", reason=f"the document makes an exception of “{name}”", contradicts=True)
    reason = "the document denies it" if denies else "the document does not deny it"
    return Conflict(kind="negation", reason=reason, contradicts=True)


def _find_other_denial(
    alignment: Alignment,
    places: Mapping[Token | Quantity, frozenset[int]],
    home: int,
    polarities: Sequence[Polarity],
) -> Conflict | None:
    """Return a conflict if a part of the claim stands only where the evidence denies, and the rest where it affirms."""
    for element, clauses in places.items():
        if not isinstance(element, Token) or not clauses or home in clauses:
            continue
        if any(polarities[c].is_negated == polarities[home].is_negated for c in clauses):
            continue
        has_verb = alignment.evidence.analysis.clauses[min(clauses)].verb is not None
        if not has_verb or not is_subject(alignment, element, min(clauses)):
            reason = f"the document denies another part of it, on “{element.spelling}”"
            return Conflict(kind="negation", reason=reason, contradicts=True)
    return None


def check_opposites(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the evidence has neither the opposite of a word of the claim, nor its word with "without"."""
    claim, evidence = alignment.claim.analysis, alignment.evidence.analysis
    if pair := find_opposites(claim.tokens, evidence.tokens, is_binary=False):
        reason = f"the document says “{pair[1]}”, not “{pair[0]}”"
        yield Conflict(kind="negation", reason=reason, contradicts=True)
    for token, found in alignment.tokens.items():
        if found and all(_is_excluded(evidence, o) != _is_excluded(claim, token) for o in found):
            reason = (
                f"the document says it {'without' if not _is_excluded(claim, token) else 'with'} “{token.spelling}”"
            )
            yield Conflict(kind="negation", reason=reason, contradicts=True)
            return


_LACKING = parse_words("missing lacking absent manque manquent manquant absente absents absentes")


def _is_excluded(analysis: Analysis, token: Token) -> bool:
    """Return True for a word shortly after "without", or before "is missing"."""
    near = [t for t in analysis.tokens if not t.clauses.isdisjoint(token.clauses)]
    before = [t.word for t in near if t.start < token.start]
    after = [t.word for t in near if t.start > token.start]
    return any(word in ("without", "sans") for word in before[-3:]) or any(word in _LACKING for word in after[:2])
