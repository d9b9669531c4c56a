"""Check that a claim is not put together from statements about different subjects."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from langchain_gptoss.chatbot.grounding.alignment import COST_WORDS, Alignment, is_money
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import (
    choose_home,
    find_main_verb,
    find_unclaimed,
    is_claimed,
    is_label,
    is_subject,
    is_verb,
    locate,
    select_elements,
    show_quantity,
)
from langchain_gptoss.text.analysis import PRONOUNS, Analysis, Token
from langchain_gptoss.text.polarity import find_polarities
from langchain_gptoss.text.quantities import Quantity, is_rival_quantity
from langchain_gptoss.text.verbs import is_light_verb


def check_binding(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the claim is not put together from clauses that say different things of different subjects."""
    if len(alignment.evidence.analysis.clauses) < 2:
        return
    for group in alignment.claim.groups:
        if conflict := _find_mixture(alignment, *select_elements(alignment, group)):
            yield conflict
            return


def _find_mixture(alignment: Alignment, tokens: Sequence[Token], quantities: Sequence[Quantity]) -> Conflict | None:
    places = locate(alignment, tokens, quantities)
    if not places:
        return None
    evidence = alignment.evidence.analysis
    home = choose_home(places, len(evidence.clauses))
    if crossed := _find_crossed_names(alignment, places):
        return crossed
    unclaimed = [t for index in _list_statement(evidence, home) for t in find_unclaimed(alignment, index)]
    if conflict := _find_other_reference(alignment, home, unclaimed):
        return conflict
    polarities = find_polarities(evidence)
    for element, clauses in places.items():
        if home in clauses or (isinstance(element, Token) and is_light_verb(element.word)):
            continue
        if isinstance(element, Token) and element.word in COST_WORDS and _has_price(evidence, home):
            continue
        if all(polarities[clause].is_exception for clause in clauses):
            continue  # the check of denials compares exceptions
        other = min(clauses, key=lambda clause: abs(clause - home))
        owner = _find_other_owner(alignment, element, home, other, unclaimed)
        if owner:
            spelling = (
                element.spelling if isinstance(element, Token) else show_quantity(alignment.claim.analysis, element)
            )
            reason = f"the document says it of “{owner}”, and “{spelling}” belongs to another statement"
            return Conflict(kind="binding", reason=reason, contradicts=False)
    return None


def _list_statement(evidence: Analysis, home: int) -> tuple[int, ...]:
    """Return a clause, with the one after it for a clause such as "After 1912," that only says when or where."""
    clause = evidence.clauses[home]
    is_adverbial = clause.verb is None and evidence.text[: clause.end].rstrip().endswith(",")
    following = evidence.clauses[home + 1 : home + 2]
    has_main = bool(following) and following[0].sentence == clause.sentence and following[0].verb is not None
    return (home, home + 1) if is_adverbial and has_main and not following[0].opener else (home,)


def _has_price(evidence: Analysis, home: int) -> bool:
    return any(is_money(quantity) and home in evidence.find_clauses(quantity) for quantity in evidence.quantities)


def _find_other_reference(alignment: Alignment, home: int, unclaimed: Sequence[Token]) -> Conflict | None:
    """Return a conflict if the evidence refers back in its first sentence, and states the rest of somebody else."""
    evidence = alignment.evidence.analysis
    clause = evidence.clauses[home]
    if not alignment.needs_earlier or not clause.sentence:
        return None
    end = evidence.tokens[clause.verb].start if clause.verb is not None else clause.end
    owner = next((t.spelling for t in unclaimed if t.start < end or t.is_name), "")
    if not owner:
        return None
    return Conflict(kind="binding", reason=f"the document says it of “{owner}”", contradicts=False)


def _find_crossed_names(alignment: Alignment, places: Mapping[Token | Quantity, frozenset[int]]) -> Conflict | None:
    """Return a conflict if two names come from two clauses that both have a name that the claim does not have."""
    owners: dict[int, Token] = {}
    for element, clauses in places.items():
        if isinstance(element, Token) and element.is_name and len(clauses) == 1:
            owners.setdefault(min(clauses), element)
    if len(owners) < 2:
        return None
    others = {index: [t for t in find_unclaimed(alignment, index) if t.is_name] for index in owners}
    crossed = [index for index, names in others.items() if names]
    if len(crossed) < 2:
        return None
    first, second = crossed[:2]
    reason = (
        f"the document has “{owners[first].spelling}” with “{others[first][0].spelling}”, "
        f"and “{owners[second].spelling}” with “{others[second][0].spelling}”"
    )
    return Conflict(kind="binding", reason=reason, contradicts=False)


def _find_other_owner(
    alignment: Alignment, element: Token | Quantity, home: int, other: int, unclaimed: Sequence[Token]
) -> str:
    """Return the word of which the home clause speaks in place of an element of another clause, "" if there is none."""
    evidence = alignment.evidence.analysis
    everything, unclaimed = unclaimed, [token for token in unclaimed if not is_label(evidence, token)]
    clause = evidence.clauses[home]
    verb_start = evidence.tokens[clause.verb].start if clause.verb is not None else clause.end
    subject = [t for t in unclaimed if t.start < verb_start or t.is_name]
    is_name = isinstance(element, Token) and (element.is_name or any(t.is_name for t in alignment.tokens[element]))
    is_owner = is_name or (isinstance(element, Token) and is_subject(alignment, element, other))
    if is_owner and subject:
        return subject[0].spelling
    if is_owner and (between := _find_subject_between(alignment, other, home)):
        return between
    ours = [q for q in evidence.quantities if home in evidence.find_clauses(q)]
    theirs = [q for q in evidence.quantities if other in evidence.find_clauses(q)]
    stated = {id(q) for found in alignment.quantities.values() for q in found}
    if everything and any(is_rival_quantity(q, r) and id(r) not in stated for q in ours for r in theirs):
        return everything[0].spelling
    if isinstance(element, Quantity):
        rival = next((q for q in ours if is_rival_quantity(element, q) and id(q) not in stated), None)
        if rival is not None:
            return show_quantity(evidence, rival)
    elif is_verb(alignment, element, other):
        verb = find_main_verb(evidence, clause)
        if verb is not None and not is_claimed(verb, alignment):
            return verb.spelling
    is_same_sentence = evidence.clauses[other].sentence == clause.sentence
    if unclaimed and not is_same_sentence and not (is_owner and other < home):
        return unclaimed[0].spelling
    if is_name and other > home and not is_same_sentence:
        sentence = [t for t in evidence.tokens if evidence.clauses[min(t.clauses)].sentence == clause.sentence]
        return next((t.spelling for t in sentence if t.word in PRONOUNS), sentence[0].spelling if sentence else "")
    if unclaimed and evidence.clauses[other].verb is None and find_unclaimed(alignment, other):
        return unclaimed[0].spelling
    other_verb = evidence.clauses[other].verb
    if not unclaimed or other_verb is None or (theirs and all(id(q) in stated for q in theirs)):
        return ""
    predicate = [t for t in evidence.content if t.clauses == {other} and t.start > evidence.tokens[other_verb].start]
    return unclaimed[0].spelling if predicate and not any(is_claimed(t, alignment) for t in predicate) else ""


def _find_subject_between(alignment: Alignment, other: int, home: int) -> str:
    """Return a name or subject of a sentence between two clauses that the claim does not have, "" if there is none."""
    evidence = alignment.evidence.analysis
    first, last = sorted((evidence.clauses[other].sentence, evidence.clauses[home].sentence))
    for clause in evidence.clauses:
        is_before_home = clause.sentence == last and clause.start < evidence.clauses[home].start
        if first < clause.sentence < last or (first < last and is_before_home):
            end = evidence.tokens[clause.verb].start if clause.verb is not None else clause.end
            inside = [t for t in evidence.content if clause.start <= t.start < clause.end]
            found = [t for t in inside if (t.start < end or t.is_name) and not is_claimed(t, alignment)]
            if found:
                return found[0].spelling
    return ""
