"""Checks of the parts of a claim: its figures, names, subject and words must stand in the evidence."""

from __future__ import annotations

import re
from collections.abc import Iterator

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.claims import QUESTION_TYPE_WORDS
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import (
    choose_home,
    find_main_verb,
    is_claimed,
    is_in,
    locate,
    show_quantity,
)
from langchain_gptoss.chatbot.grounding.conflicts.roles import COMPARATIVES
from langchain_gptoss.text.analysis import PRONOUNS, Analysis, Token
from langchain_gptoss.text.polarity import find_opposites
from langchain_gptoss.text.quantities import Quantity, is_rival_quantity
from langchain_gptoss.text.verbs import find_infinitive, is_decisive_verb, is_light_verb
from langchain_gptoss.text.word_lists import parse_words

_PLAIN_NUMBER = re.compile(r"\d+(?:[.,]\d+)?")
_MIN_COVERAGE = 0.7  # of a claim whose verb the evidence does not have
_MAX_MISSING_SHARE = 0.15  # of a claim's words, light verbs aside


def check_quantities(alignment: Alignment) -> Iterator[Conflict]:
    """Check that every quantity of the claim is stated as a whole."""
    evidence = alignment.evidence.analysis
    for quantity, stated in alignment.quantities.items():
        if stated and all(_has_other_order(alignment, quantity, other) for other in stated):
            reason = f"the document says “{show_quantity(evidence, stated[0])}”, the other way round"
            yield Conflict(kind="quantity", reason=reason, contradicts=True)
    for quantity in alignment.missing_quantities:
        if quantity.is_implicit:
            continue
        ours = show_quantity(alignment.claim.analysis, quantity)
        rivals = [other for other in evidence.quantities if is_rival_quantity(quantity, other)]
        if rivals:
            reason = f"the document says “{show_quantity(evidence, rivals[0])}”, not “{ours}”"
            yield Conflict(kind="quantity", reason=reason, contradicts=True)
        else:
            yield Conflict(kind="quantity", reason=f"the document does not state “{ours}” here", contradicts=False)


def _has_other_order(alignment: Alignment, quantity: Quantity, other: Quantity) -> bool:
    """Return True if two equal ranges go in opposite directions: "from 12 to 19" and "from 19 to 12"."""
    if quantity.low == quantity.high or other not in alignment.evidence.analysis.quantities:
        return False
    ours, theirs = (
        [float(number.replace(",", ".")) for number in _PLAIN_NUMBER.findall(show_quantity(analysis, each))[:2]]
        for analysis, each in ((alignment.claim.analysis, quantity), (alignment.evidence.analysis, other))
    )
    return len(ours) == 2 and sorted(ours) == sorted(theirs) and (ours[0] < ours[1]) != (theirs[0] < theirs[1])


def check_names(alignment: Alignment) -> Iterator[Conflict]:
    """Check that every name of the claim stands in the evidence, its heading, or what it refers back to."""
    for token in alignment.missing:
        if token.is_name or (token.is_initial and _is_named(token, alignment)):
            yield Conflict(kind="name", reason=f"“{token.spelling}” is not named there", contradicts=False)
    resolved = [t for t in alignment.in_context if t.is_name and not is_in(t, alignment.evidence.context)]
    if resolved:
        others = [t for t in alignment.evidence.analysis.tokens if t.is_name and not is_claimed(t, alignment)]
        if others and not _has_pronoun_subject(alignment.evidence.analysis):
            reason = f"the document says it of “{others[0].spelling}”, not of “{resolved[0].spelling}”"
            yield Conflict(kind="name", reason=reason, contradicts=True)


def _is_named(token: Token, alignment: Alignment) -> bool:
    """Return True if a word with a capital letter at the beginning of a sentence is written as a name elsewhere."""
    claim = alignment.claim
    following = [t for t in claim.analysis.tokens if t.start > token.start][:1]
    if following and following[0].is_name:
        return True
    others = (*claim.question.tokens, *alignment.evidence.passage.tokens)
    return any(other.is_name and other.word == token.word for other in others) or (
        any(t.is_name or t.is_initial for t in alignment.evidence.analysis.content)
        and find_infinitive(token.word) is None
        and not any(other.word == token.word for other in others)
    )


def _has_pronoun_subject(analysis: Analysis) -> bool:
    """Return True if a sentence has a pronoun for its subject."""
    verb = analysis.clauses[0].verb
    opening = analysis.tokens[: verb if verb is not None else 3]
    return any(token.word in PRONOUNS for token in opening)


def check_subject(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the claim's subject stands in the evidence, or is what its pronoun or heading refers to."""
    missing = [
        token
        for token in alignment.claim.subject
        if token in alignment.missing and token.word not in (_GENERIC_SUBJECTS | QUESTION_TYPE_WORDS)
    ]
    if missing:
        words = " ".join(token.spelling for token in missing)
        yield Conflict(kind="subject", reason=f"“{words}” is not mentioned there", contradicts=False)


_GENERIC_SUBJECTS = parse_words(
    """people person customer customers user users visitor visitors client clients usager usagers personne personnes
    everyone anyone information document documents answer reponse passage text texte"""
)


def check_words(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the words of the claim stand in the evidence; long claims may have some others."""
    essential = [
        token
        for token in alignment.tokens
        if not token.is_name
        and not is_light_verb(token.word)
        and token.word not in (QUESTION_TYPE_WORDS | _GENERIC_SUBJECTS)
        and not _has_converse(token, alignment.evidence.analysis)
    ]
    missing = [t for t in alignment.missing if t in essential]
    if len(missing) == 1 and _can_be_dropped(missing[0], alignment):
        return
    if len(missing) > _MAX_MISSING_SHARE * len(essential):
        words = ", ".join(f"“{token.spelling}”" for token in missing[:3])
        yield Conflict(kind="word", reason=f"the document does not say {words} there", contradicts=False)


def _can_be_dropped(token: Token, alignment: Alignment) -> bool:
    """Return True if a missing word is only another verb for what the evidence says with a verb of little meaning.

    "The trust has reserved 2 million for it" for "The trust set 2 million aside for it". Verbs that end, change or
    prove something are never dropped, nor is a verb where the evidence has another one: it may be another event.
    """
    claim = alignment.claim.analysis
    is_verb = any(find_main_verb(claim, clause) == token for clause in claim.clauses)
    if alignment.coverage < _MIN_COVERAGE or not is_verb or is_decisive_verb(token.word):
        return False
    evidence = alignment.evidence.analysis
    places = locate(alignment, alignment.tokens, alignment.quantities)
    if not places:
        return False
    home = choose_home(places, len(evidence.clauses))
    if any(home not in clauses for clauses in places.values()):
        return False
    verb = find_main_verb(evidence, evidence.clauses[home])
    return verb is None or is_light_verb(verb.word) or is_claimed(verb, alignment)


def _has_converse(token: Token, analysis: Analysis) -> bool:
    """Return True if a text has the converse of a word, which other checks compare: "larger" for "smaller"."""
    return COMPARATIVES.get(token.word, "") in analysis.words or bool(
        find_opposites([token], analysis.tokens, is_binary=True)
    )
