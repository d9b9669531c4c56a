"""Lookup of words and quantities of a claim in the clauses of the evidence."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import pairwise

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.text.analysis import Analysis, Clause, Token, analyse
from langchain_gptoss.text.quantities import Quantity
from langchain_gptoss.text.verbs import find_infinitive, is_auxiliary
from langchain_gptoss.text.word_lists import parse_words

_LABEL_END = re.compile(r"(?:\s\w+){0,2}:\s")


_PARTICIPLE_ENDINGS = ("ed", "e", "es", "ee", "ees", "i", "is", "it", "ie", "u", "us", "ue", "en", "t")


_DEMONSTRATIVES = parse_words("this that these those such ce cet cette ces")


def show_quantity(analysis: Analysis, quantity: Quantity) -> str:
    """Return a quantity as the text has it."""
    return " ".join(analysis.text[quantity.start : quantity.end].split())


def is_in(token: Token, analysis: Analysis) -> bool:
    """Return True if a text has a word that means the same."""
    return any(token.matches(other) for other in analysis.tokens)


def is_claimed(token: Token, alignment: Alignment) -> bool:
    """Return True if a word of the evidence stands in the claim."""
    return any(other.matches(token) for other in alignment.claim.analysis.tokens)


def select_elements(alignment: Alignment, group: frozenset[int]) -> tuple[list[Token], list[Quantity]]:
    """Return the words and the quantities of some clauses of the claim."""
    claim = alignment.claim.analysis
    tokens = [token for token in alignment.tokens if not token.clauses.isdisjoint(group)]
    clause = claim.clauses[min(group)]
    verb_start = claim.tokens[clause.verb].start if clause.verb is not None else clause.start
    if min(group) and not any(clause.start <= token.start < verb_start for token in tokens):
        # "... and has no club" says it of the subject before.
        tokens += [token for token in alignment.claim.subject if token in alignment.tokens]
    return tokens, [q for q in alignment.quantities if not claim.find_clauses(q).isdisjoint(group)]


def locate(
    alignment: Alignment, tokens: Iterable[Token], quantities: Iterable[Quantity]
) -> dict[Token | Quantity, frozenset[int]]:
    """Return the clauses of the evidence in which words and quantities of the claim stand."""
    evidence = alignment.evidence.analysis
    places: dict[Token | Quantity, frozenset[int]] = {}
    for token in tokens:
        places[token] = frozenset[int]().union(*(other.clauses for other in alignment.tokens[token]))
    for quantity in quantities:
        places[quantity] = frozenset[int]().union(*map(evidence.find_clauses, alignment.quantities[quantity]))
    return {element: clauses for element, clauses in places.items() if clauses}


def choose_home(places: Mapping[Token | Quantity, frozenset[int]], count: int) -> int:
    """Return the clause that has most of the claim; quantities count double, because they are what is claimed."""
    scores = [
        sum(
            (2.0 if isinstance(element, Quantity) else 1.0) / len(clauses)
            for element, clauses in places.items()
            if index in clauses
        )
        for index in range(count)
    ]
    verbs = [
        clauses for element, clauses in places.items() if isinstance(element, Token) and find_infinitive(element.word)
    ]
    # Of two equal clauses the one with the claim's verb is home, not the one with its subject.
    return max(range(count), key=lambda index: (scores[index], {index} in verbs, -index))


def find_unclaimed(alignment: Alignment, home: int) -> list[Token]:
    """Return the content words of a clause that neither claim nor question has.

    A word after "this" or "that" refers to something named before and is left out.
    """
    evidence = alignment.evidence.analysis
    references = {following.start for token, following in pairwise(evidence.tokens) if token.word in _DEMONSTRATIVES}
    return [
        token
        for token in evidence.tokens
        if (token.is_content or token.is_unit)
        and token.clauses == {home}
        and token.start not in references
        and not is_claimed(token, alignment)
        and not any(token.matches(other) for other in alignment.claim.question.tokens)
        and not (token.is_unit and _is_stated(token, alignment))
    ]


def _is_stated(token: Token, alignment: Alignment) -> bool:
    """Return True if a word is part of a quantity that the claim states."""
    return any(other.start <= token.start < other.end for found in alignment.quantities.values() for other in found)


def is_label(analysis: Analysis, token: Token) -> bool:
    """Return True for the name of a column: "Price: 22 €"."""
    rest = analysis.text[token.end :]
    return bool(_LABEL_END.match(rest))


def is_verb(alignment: Alignment, token: Token, clause_index: int) -> bool:
    """Return True if a word of the claim is the main verb of a clause of the evidence."""
    evidence = alignment.evidence.analysis
    verb = find_main_verb(evidence, evidence.clauses[clause_index])
    return verb is not None and verb in alignment.tokens[token]


def find_main_verb(analysis: Analysis, clause: Clause) -> Token | None:
    """Return the verb of a clause without its auxiliaries, None if it has no other verb."""
    if clause.verb is None:
        return None
    near = [t for t in analysis.tokens[clause.verb : clause.verb + 4] if t.end <= clause.end]
    known = next((t for t in near if t.is_content and find_infinitive(t.word)), None)
    if known is not None or not is_auxiliary(near[0].word):
        return known
    return next((t for t in near[1:3] if t.is_content and t.word.endswith(_PARTICIPLE_ENDINGS)), None)


def is_subject(alignment: Alignment, token: Token, clause_index: int) -> bool:
    """Return True if a word of the claim stands before the verb of a clause of the evidence."""
    evidence = alignment.evidence.analysis
    clause = evidence.clauses[clause_index]
    end = evidence.tokens[clause.verb].start if clause.verb is not None else clause.end
    return any(clause.start <= other.start < end for other in alignment.tokens[token])


def has_same_subject(analysis: Analysis, clause: Clause) -> bool:
    """Return True for a clause without a subject of its own: "and commanded the army"."""
    if clause.verb is None or not clause.opener:
        return False
    end = analysis.tokens[clause.verb].start
    return not any(token.is_content for token in analysis.tokens if clause.start <= token.start < end)


def select_home_sentence(alignment: Alignment) -> Analysis:
    """Return the sentence of the evidence that has most of the claim."""
    evidence = alignment.evidence.analysis
    places = locate(alignment, alignment.tokens, alignment.quantities)
    if not places or evidence.clauses[-1].sentence == evidence.clauses[0].sentence:
        return evidence
    home = evidence.clauses[choose_home(places, len(evidence.clauses))]
    parts = [clause for clause in evidence.clauses if clause.sentence == home.sentence]
    return analyse(evidence.text[parts[0].start : parts[-1].end].strip(), evidence.language)
