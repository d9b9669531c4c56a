"""Check of roles: who does what to whom, from where to where, which is larger, and which comes first."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import takewhile
from typing import Literal

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.cells import is_same_element
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import choose_home, find_main_verb, locate
from langchain_gptoss.text.analysis import Analysis, Token
from langchain_gptoss.text.quantities import Quantity
from langchain_gptoss.text.verbs import find_infinitive
from langchain_gptoss.text.word_lists import parse_words

_AGENT_MARKS = (["by"], ["par"])
_AUTHORS = parse_words("we nous")
_TEMPORAL = parse_words("before after avant apres from")
_PARTICLE_VERB = re.compile(r"\b(?:look\w*|ask\w*|nam\w*) $", re.IGNORECASE)  # "look after" is no order


_BE = parse_words("is are was were be been being est sont etait etaient ete etre sera seront fut furent")


# Relations whose two sides cannot be exchanged, and their converse.
COMPARATIVES = {
    "more": "less", "less": "more", "fewer": "more", "plus": "moins", "moins": "plus", "larger": "smaller",
    "smaller": "larger", "bigger": "smaller", "older": "younger", "younger": "older", "higher": "lower",
    "lower": "higher", "longer": "shorter", "shorter": "longer", "taller": "shorter", "faster": "slower",
    "slower": "faster", "heavier": "lighter", "lighter": "heavier", "cheaper": "dearer", "dearer": "cheaper",
    "better": "worse", "worse": "better", "before": "after", "after": "before", "avant": "apres", "apres": "avant",
    "above": "below", "below": "above", "superieur": "inferieur", "inferieur": "superieur", "earlier": "later",
    "later": "earlier", "north": "south", "south": "north", "west": "east", "nord": "sud", "sud": "nord",
    "wider": "narrower", "narrower": "wider", "warmer": "colder", "colder": "warmer", "deeper": "shallower",
    "newer": "older", "closer": "farther", "stronger": "weaker", "weaker": "stronger",
}  # fmt: skip


_FROM_TO = re.compile(
    r"\b(?:(?:from|de|du|des|depuis)\s+|d['’])(?P<source>(?:\w|[-'’])+(?:\s(?:\w|[-'’])+){0,3}?)\s+"
    r"(?:to|into|towards|à|au|aux|vers|pour|jusqu['’](?:à|au|aux))\s+(?P<goal>(?:\w|[-'’])+(?:\s(?:\w|[-'’])+){0,2})",
    re.IGNORECASE,
)


_FROM_TO_LABELS = re.compile(
    r"\b(?:départ|departure|from|origine?|arrivée|arrival|to|destination)\s*:\s*(?P<value>[^;|\n]+)", re.IGNORECASE
)


_GOAL = parse_words("to into towards a au aux vers")


_SOURCE = parse_words("from depuis")


@dataclass(frozen=True, kw_only=True)
class _Relation:
    """Two groups of words around a word that puts them in an order."""

    pivot: str
    first: tuple[Token | Quantity, ...]
    second: tuple[Token | Quantity, ...]
    clauses: frozenset[int] = frozenset()


@lru_cache(maxsize=8192)
def _find_relations(analysis: Analysis) -> tuple[_Relation, ...]:
    return (*_find_directions(analysis), *_find_comparisons(analysis))


def _list_elements(analysis: Analysis) -> list[Token | Quantity]:
    return [*analysis.content, *analysis.quantities]


def _find_directions(analysis: Analysis) -> Iterator[_Relation]:
    for match in _FROM_TO.finditer(analysis.text):
        source, goal = (
            tuple(
                element for element in _list_elements(analysis) if match.start(name) <= element.start < match.end(name)
            )
            for name in ("source", "goal")
        )
        first = tuple(element for element in source if not any(is_same_element(element, other) for other in goal))
        second = tuple(element for element in goal if not any(is_same_element(element, other) for other in source))
        if first and second:
            inside = [t.clauses for t in analysis.tokens if match.start() <= t.start < match.end()]
            yield _Relation(pivot="from", first=first, second=second, clauses=frozenset[int]().union(*inside))
    labelled = {match[0].lower()[0]: match for match in _FROM_TO_LABELS.finditer(analysis.text)}
    sides = [
        tuple(t for name in names if name in labelled for t in analysis.content
              if labelled[name].start("value") <= t.start < labelled[name].end())
        for names in ("dfo", "at")
    ]  # fmt: skip
    if all(sides):
        yield _Relation(pivot="from", first=sides[0], second=sides[1])


def _find_comparisons(analysis: Analysis) -> Iterator[_Relation]:
    for token in analysis.tokens:
        is_comparative = token.word in COMPARATIVES or _is_regular_comparative(analysis, token)
        if is_comparative and not token.is_unit and not _PARTICLE_VERB.search(analysis.text[: token.start]):
            near = [t for t in analysis.content if not t.clauses.isdisjoint(token.clauses)]
            yield _create_relation(token, near)


def _is_regular_comparative(analysis: Analysis, token: Token) -> bool:
    """Return True for "hotter" before "than"."""
    return token.word.endswith("er") and bool(re.match(r"\s+than\b", analysis.text[token.end :]))


def _create_relation(pivot: Token, near: Iterable[Token], *, is_passive: bool = False) -> _Relation:
    """Return a relation without the words that stand on both sides; the sides of a passive are exchanged."""
    before = [t for t in near if t.start < pivot.start]
    after = [t for t in near if t.start > pivot.start]
    first = tuple(t for t in before if not any(t.matches(other) for other in after))
    second = tuple(t for t in after if not any(t.matches(other) for other in before))
    return _Relation(
        pivot=pivot.word,
        clauses=pivot.clauses,
        first=second if is_passive else first,
        second=first if is_passive else second,
    )


def check_roles(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the two sides of a relation are not exchanged."""
    pairs = [
        (ours, theirs)
        for ours in _find_relations(alignment.claim.analysis)
        for theirs in _find_relations(alignment.evidence.analysis)
    ]
    # A comparison that agrees decides: "A uses more than B" is "B uses less than A".
    agrees = any(ours.pivot not in _TEMPORAL and _compare_roles(ours, theirs) == "kept" for ours, theirs in pairs)
    actions = [] if agrees else list(_list_action_pairs(alignment))
    home = _find_home(alignment)
    if any(_is_exchanged(ours, (*pairs, *actions), home) for ours, _ in (*pairs, *actions)):
        yield Conflict(kind="role", reason="the document has the roles the other way round", contradicts=True)
    elif token := _find_other_agent(alignment, actions):
        reason = f"the document says that somebody else than “{token.spelling}” does it"
        yield Conflict(kind="role", reason=reason, contradicts=True, is_weak=True)
    elif token := _find_other_direction(alignment):
        reason = f"the document has another direction for “{token.spelling}”"
        yield Conflict(kind="role", reason=reason, contradicts=True)
    elif token := _find_other_object(alignment):
        reason = f"the document says it of “{token.spelling}”"
        yield Conflict(kind="role", reason=reason, contradicts=True)


def _find_home(alignment: Alignment) -> int:
    places = locate(alignment, alignment.tokens, alignment.quantities)
    return choose_home(places, len(alignment.evidence.analysis.clauses)) if places else 0


def _is_exchanged(ours: _Relation, pairs: Iterable[tuple[_Relation, _Relation]], home: int) -> bool:
    """Return True if the evidence has the sides of a relation exchanged, and nowhere as the claim has them.

    Where it has both, the relation in the clause of the claim's figure decides ("25 minutes from the airport to the
    harbour and 35 back"), or else the one with the claim's verb ("it is signed after the talk").
    """
    compared = [(theirs, _compare_roles(ours, theirs)) for first, theirs in pairs if first is ours]
    exchanged = [theirs for theirs, result in compared if result == "exchanged"]
    kept = [theirs for theirs, result in compared if result == "kept"]
    if not exchanged or not kept:
        return bool(exchanged)
    at_home = [any(home in relation.clauses for relation in found) for found in (exchanged, kept)]
    if at_home[0] != at_home[1]:
        return at_home[0]
    verbs = [e for e in (*ours.first, *ours.second) if isinstance(e, Token) and find_infinitive(e.word)]
    return any(_has_verb(theirs, verbs) for theirs in exchanged) and not any(_has_verb(t, verbs) for t in kept)


def _find_other_agent(alignment: Alignment, pairs: Iterable[tuple[_Relation, _Relation]]) -> Token | None:
    """Return the subject of the claim if the evidence has it elsewhere, and another subject with the same verb."""
    for ours, theirs in pairs:
        own = [e for e in ours.first if isinstance(e, Token) and alignment.tokens.get(e)]
        if not own or len(own) < len(ours.first) or not theirs.first or _count_shared(ours.first, theirs.first):
            continue
        if _count_shared(own, theirs.second):
            continue
        return own[0]
    return None


def _has_verb(relation: _Relation, verbs: Sequence[Token]) -> bool:
    return any(is_same_element(verb, element) for verb in verbs for element in (*relation.first, *relation.second))


def _list_action_pairs(alignment: Alignment) -> Iterator[tuple[_Relation, _Relation]]:
    """Yield the verbs of the claim with the same verbs of the evidence, each with the words around it."""
    for token, found in alignment.tokens.items():
        ours = _describe_action(alignment.claim.analysis, token, is_verb=False)
        for other in found if ours else ():
            theirs = _describe_action(alignment.evidence.analysis, other, is_verb=True)
            if ours and theirs and not _has_author_subject(alignment.evidence.analysis, other):
                same = _Relation(pivot=ours.pivot, first=theirs.first, second=theirs.second)
                yield ours, same


def _has_author_subject(analysis: Analysis, verb: Token) -> bool:
    """Return True for "we ship": who the authors are stands elsewhere, and the words before are no subject."""
    before = [t.word for t in analysis.tokens if t.start < verb.start][-2:]
    return not _AUTHORS.isdisjoint(before)


# By language: "a" is a verb in French. French "le" and "la" also stand before verbs, as pronouns.
_DETERMINERS = {
    "en": parse_words("the a an this that its their"),
    "fr": parse_words("un une des du ce cet cette ces leurs son sa ses"),
}
_PREPOSITIONS = {
    "en": parse_words("in at on of from with under near"),
    "fr": parse_words("dans sur du des au aux chez avec sous"),
}


def _describe_action(analysis: Analysis, token: Token, *, is_verb: bool) -> _Relation | None:
    """Return a verb with the words before and after it in its clause, None if the word is no verb there."""
    index = next(i for i, other in enumerate(analysis.tokens) if other.start == token.start)
    earlier, later = analysis.tokens[max(0, index - 3) : index], analysis.tokens[index + 1 : index + 6]
    near_words = [t.word for t in earlier]
    if not is_verb and _is_after_noun_mark(near_words, analysis.language):
        return None
    is_participle = bool(set(near_words[-1:]) & _BE) or (
        bool(set(near_words) & _BE) and token.word != find_infinitive(token.word)
    )
    # "a series created by Ada": the agent follows, also without "was".
    is_reduced = (
        bool(index) and token.word != find_infinitive(token.word) and [t.word for t in later[:1]] in _AGENT_MARKS
    )
    is_passive = is_reduced or (
        is_participle
        and any(
            t.word in ("by", "par") and not any(q.start <= t.start < q.end for q in analysis.quantities) for t in later
        )
    )
    if is_participle and not is_passive:
        return None  # "are accepted" without an agent
    is_verb |= any(clause.verb == index or find_main_verb(analysis, clause) == token for clause in analysis.clauses)
    if not (is_verb or is_passive or find_infinitive(token.word)):
        return None
    group = next((g for g in analysis.groups if not g.isdisjoint(token.clauses)), token.clauses)
    near = [t for t in analysis.content if not t.clauses.isdisjoint(group)]
    return _create_relation(token, near, is_passive=is_passive)


def _compare_roles(ours: _Relation, theirs: _Relation) -> Literal["kept", "exchanged", ""]:
    """Compare two relations; an empty string if they are of different kinds or share too little."""
    if COMPARATIVES.get(ours.pivot) == theirs.pivot or COMPARATIVES.get(theirs.pivot) == ours.pivot:
        first, second = theirs.second, theirs.first
    elif ours.pivot == theirs.pivot:
        first, second = theirs.first, theirs.second
    else:
        return ""
    crossed = min(_count_only(ours.first, second, first), _count_only(ours.second, first, second))
    if crossed:
        return "exchanged"  # also if both sides have other words in common
    kept = min(_count_shared(ours.first, first), _count_shared(ours.second, second))
    exchanged = min(_count_shared(ours.first, second), _count_shared(ours.second, first))
    return "kept" if kept else "exchanged" if exchanged else ""


def _count_only(
    ours: Iterable[Token | Quantity], theirs: Sequence[Token | Quantity], others: Sequence[Token | Quantity]
) -> int:
    """Return the number of elements that stand on one side of a relation and not on its other side."""
    return sum(
        any(is_same_element(element, other) for other in theirs)
        and not any(is_same_element(element, other) for other in others)
        for element in ours
    )


def _count_shared(ours: Iterable[Token | Quantity], theirs: Sequence[Token | Quantity]) -> int:
    return sum(any(is_same_element(element, other) for other in theirs) for element in ours)


def _find_other_direction(alignment: Alignment) -> Token | None:
    """Return a word that the claim has as the goal and the evidence as the source, or the other way round."""
    evidence = alignment.evidence.analysis
    directions = [r for r in _find_relations(evidence) if r.pivot == "from"]
    own = [r for r in _find_relations(alignment.claim.analysis) if r.pivot == "from"]
    if not directions or own:
        return None
    for token, found in alignment.tokens.items():
        marker = _find_marker(alignment.claim.analysis, token)
        for other in found:
            for relation in directions:
                if (marker in _GOAL and other in relation.first) or (marker in _SOURCE and other in relation.second):
                    return token
    return None


def _find_marker(analysis: Analysis, token: Token) -> str:
    """Return the preposition of direction at most two words before a word, "" if there is none."""
    before = [t.word for t in analysis.tokens if t.start < token.start][-2:]
    return next((word for word in reversed(before) if word in _GOAL or word in _SOURCE), "")


def _is_after_noun_mark(words: Sequence[str], language: str) -> bool:
    """Return True after a determiner or shortly after a preposition: "the repair", "in the Brussels store"."""
    before, near = frozenset(words[-1:]), frozenset(words)
    return not before.isdisjoint(_DETERMINERS.get(language, ())) or not near.isdisjoint(_PREPOSITIONS.get(language, ()))


# Words with which the object of a verb ends. "of" and "de" are left out: "the city of Rome", "la ville de Dijon".
_OBJECT_ENDS = {
    "en": parse_words(
        """with in at on from for to by near under during after before into against between as since until about over
        through without within behind beside along across around toward towards who which that where when while because
        then but"""
    ),
    "fr": parse_words(
        """avec dans sur chez sous pour par en a au aux vers contre entre comme depuis jusque jusqu apres avant pendant
        sans devant derriere qui que qu ou dont quand puis mais car"""
    ),
}


def _find_other_object(alignment: Alignment) -> Token | None:
    """Return the object that the evidence has for a verb of the claim, if the claim has another name there.

    "Duvray left Geneva" is not what "Duvray left Lausanne for a post in Geneva" says.
    """
    for token, found in alignment.tokens.items():
        ours = _list_object_names(alignment.claim.analysis, token)
        if not ours or not all(alignment.tokens.get(name) for name in ours):
            continue
        theirs = [name for other in found for name in _list_object_names(alignment.evidence.analysis, other)]
        if theirs and not any(name.matches(other) for name in ours for other in theirs):
            return theirs[0]
    return None


def _list_object_names(analysis: Analysis, verb: Token) -> list[Token]:
    """Return the names in the object of a verb, which follows it without a preposition."""
    if not any(find_main_verb(analysis, clause) == verb for clause in analysis.clauses):
        return []
    ends = _OBJECT_ENDS.get(analysis.language, _OBJECT_ENDS["en"])
    after = takewhile(lambda token: token.word not in ends, (t for t in analysis.tokens if t.start > verb.start))
    return [token for token in after if token.is_name]
