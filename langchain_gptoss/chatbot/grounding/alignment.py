"""Alignment of a claim with evidence: which words and figures of the claim stand where in a few sentences."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

from langchain_gptoss.chatbot.grounding.calibration import weigh_word
from langchain_gptoss.chatbot.grounding.claims import Claim
from langchain_gptoss.chatbot.grounding.passages import Span
from langchain_gptoss.text.analysis import PRONOUNS, Analysis, Token
from langchain_gptoss.text.quantities import Quantity, is_same_quantity
from langchain_gptoss.text.roots import are_related, find_root
from langchain_gptoss.text.verbs import find_infinitive, is_auxiliary, is_light_verb
from langchain_gptoss.text.word_lists import parse_words

_KEY_LETTERS = 4
_MIN_MISREAD_LETTERS = 6
_MISREAD = (("rn", "m"), ("cl", "d"), ("vv", "w"), ("ii", "u"), ("li", "h"), ("0", "o"), ("1", "l"))
COST_WORDS = parse_words("cost costs price fee coute coutent cout prix tarif")
"""Words that a price states without being written: "A jar is sold at 3 euros"."""
QUANTITY_WEIGHT = 1.5
_CURRENCY_LETTERS = 3  # ISO 4217
_NAME_WEIGHT = 1.2
_PERSON_WORDS = parse_words("people person persons personne personnes")
_STATEMENT_END = re.compile(r"[;!?:]|\.(?=\s|$)|$")
_ENDS_VALUE = re.compile(r"\s*(?:[.;,|\n)]|$)")
# Beginnings of the words by which a label names a rate.
_RATE_WORDS = {
    "month": parse_words("month mensuel moi"),
    "year": parse_words("year annual annuel anne"),
    "week": parse_words("week hebdomadair semain"),
    "day": parse_words("dai day journ jour quotidien"),
    "hour": parse_words("hour horair heur"),
    "person": parse_words("person"),
    "night": parse_words("night nuit nuite"),
}
_LIGHT_VERB_SHARE = 0.2  # of the weight of a noun, for verbs that say little by themselves


class TokenIndex:
    """The words of a text, found by a word that means the same.

    Args:
        analysis: The text.
    """

    def __init__(self, analysis: Analysis) -> None:
        self._by_key: dict[str | int, list[Token]] = {}
        for token in analysis.tokens:
            # A function word with a capital letter may be a name: "the Plus plan".
            if token.is_content or token.is_unit or token.spelling[0].isupper():
                for key in _list_keys(token):
                    self._by_key.setdefault(key, []).append(token)
        self._by_shape = {
            _fold_misread(token.word): token for token in analysis.tokens if len(token.word) >= _MIN_MISREAD_LETTERS
        }

    def find(self, token: Token) -> list[Token]:
        """Return the words that mean the same as a word of a claim, in order."""
        found = {
            other.start: other
            for key in _list_keys(token)
            for other in self._by_key.get(key, ())
            if token.matches(other)
        }
        if not found and len(token.word) >= _MIN_MISREAD_LETTERS and not token.is_name:
            misread = self._by_shape.get(_fold_misread(token.word))
            found = {misread.start: misread} if misread is not None else {}
        return [found[start] for start in sorted(found)]


def _list_keys(token: Token) -> list[str | int]:
    """Return keys of which two words that mean the same have one in common."""
    return [token.root[:_KEY_LETTERS], *token.groups]


@lru_cache(maxsize=8192)
def index_tokens(analysis: Analysis) -> TokenIndex:
    """Return the index of a text; it is cached, because one answer looks into the same sentences many times."""
    return TokenIndex(analysis)


def _fold_misread(word: str) -> str:
    """Return a word with letters merged that a scanner confuses: "retumed" is "returned"."""
    for pair, letter in _MISREAD:
        word = word.replace(pair, letter)
    return word


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One to three sentences that follow each other, with what they refer to.

    Attributes:
        span: The sentences in their passage.
        analysis: The sentences.
        context: Heading, lead-in and column names, which belong to what the sentences say.
        lead_in: The lead-in alone, None if there is none.
        earlier: The sentences before them in the passage, the nearest first.
        topic: What the passage is about: its heading, the subject of its first sentence, and its lead-ins.
        passage: The whole passage with its heading; of a very long one, the beginning.
        is_translated: True if the passage is in another language than the claim.
    """

    span: Span
    analysis: Analysis
    context: Analysis
    lead_in: Analysis | None
    earlier: Sequence[Analysis]
    topic: Analysis
    passage: Analysis
    is_translated: bool

    @cached_property
    def passage_roots(self) -> frozenset[str]:
        """Roots of all words of the passage."""
        return frozenset(token.root for token in self.passage.tokens)


@dataclass(frozen=True, kw_only=True)
class Alignment:
    """Words and quantities of a claim, each with its matches in the evidence.

    Attributes:
        claim: The claim.
        evidence: The evidence.
        tokens: The words of the evidence that match each content word of the claim; empty lists for missing ones.
        in_context: Content words of the claim that only the heading, the lead-in or an earlier subject has.
        quantities: The quantities of the evidence that agree with each quantity of the claim.
    """

    claim: Claim
    evidence: Evidence
    tokens: Mapping[Token, Sequence[Token]]
    in_context: frozenset[Token]
    quantities: Mapping[Quantity, Sequence[Quantity]]

    @cached_property
    def missing(self) -> tuple[Token, ...]:
        """Content words of the claim that neither the evidence nor its context has."""
        return tuple(t for t, found in self.tokens.items() if not found and t not in self.in_context)

    @cached_property
    def missing_quantities(self) -> tuple[Quantity, ...]:
        """Quantities of the claim that the evidence does not state."""
        return tuple(quantity for quantity, found in self.quantities.items() if not found)

    @cached_property
    def needs_earlier(self) -> bool:
        """True if a subject of the claim stands only in a sentence before the evidence."""
        context = index_tokens(self.evidence.context)
        return any(not context.find(token) for token in self.in_context)

    @cached_property
    def coverage(self) -> float:
        """Share of the claim that the evidence has, weighted by rarity, from 0 to 1."""
        return self.calculate_share(self.tokens, self.quantities)

    def calculate_share(self, tokens: Iterable[Token], quantities: Iterable[Quantity] = ()) -> float:
        """Return the weighted share of words and quantities that the evidence has; 1 if there are none."""
        parts = [(weigh_token(token), bool(self.tokens[token]) or token in self.in_context) for token in tokens]
        parts += [(QUANTITY_WEIGHT, bool(self.quantities[quantity])) for quantity in quantities]
        total = sum(weight for weight, _ in parts)
        return sum(weight for weight, is_found in parts if is_found) / total if total else 1.0


def weigh_token(token: Token) -> float:
    """Return the weight of a word: rare words and names count more than common ones, and verbs less than nouns."""
    if token.is_name:
        return _NAME_WEIGHT
    weight = 0.25 + 0.75 * weigh_word(token.word)
    return weight * (_LIGHT_VERB_SHARE if is_light_verb(token.word) else 1.0)


def align(claim: Claim, evidence: Evidence) -> Alignment:
    """Return what evidence has of a claim."""
    index, context = index_tokens(evidence.analysis), index_tokens(evidence.context)
    tokens = {token: index.find(token) for token in claim.content}
    tokens |= _find_short_names(claim, evidence, tokens)
    has_money = any(is_money(quantity) for quantity in evidence.analysis.quantities)
    in_context = {
        token
        for token, found in tokens.items()
        if not found and (context.find(token) or (has_money and token.word in COST_WORDS))
    }
    in_context |= _resolve_subjects(claim, evidence, {t for t, found in tokens.items() if not found} - in_context)
    stated = [*evidence.analysis.quantities, *evidence.context.quantities]
    quantities = {
        quantity: [
            other
            for other in stated
            if (is_same_quantity(quantity, other) and not _has_other_noun(claim, quantity, other, evidence))
            or _is_labelled(quantity, other, evidence)
            or _is_named_apart(quantity, other, claim, evidence)
        ]
        for quantity in claim.analysis.quantities
    }
    return Alignment(
        claim=claim, evidence=evidence, tokens=tokens, in_context=frozenset(in_context), quantities=quantities
    )


def _has_other_noun(claim: Claim, quantity: Quantity, other: Quantity, evidence: Evidence) -> bool:
    """Return True if a bare number counts something else than the evidence: "4 members" and "four deputies"."""
    if quantity.unit or not other.noun or other not in evidence.analysis.quantities:
        return False
    counted = next((t for t in claim.analysis.tokens if t.start >= quantity.end), None)
    if counted is None or not counted.is_content or claim.analysis.text[quantity.end : counted.start].strip():
        return False
    units = [t for t in evidence.analysis.tokens if t.is_unit and other.start <= t.start < other.end]
    return bool(units) and not any(counted.matches(unit) for unit in units)


def _is_labelled(quantity: Quantity, other: Quantity, evidence: Evidence) -> bool:
    """Return True if a label, a subject or a heading names the unit or rate that a number lacks.

    "Seats: 4" states "4 seats", and "15 €" in the column "Monthly price" states "15 euros per month".
    """
    analysis = evidence.analysis
    if not other.unit and not quantity.rate and is_same_quantity(replace(quantity, unit="", noun=False), other):
        before = [q for q in analysis.quantities if q.end <= other.start and q.unit == quantity.unit]
        if before and _ENDS_VALUE.match(analysis.text, other.end):
            return True  # "The north covers 14 hectares and the south 9"
    if not other.unit and not _ENDS_VALUE.match(analysis.text, other.end):
        return False  # "four members": the noun is the unit
    if other not in analysis.quantities or (other.unit and other.rate):
        return False
    bare = quantity if other.unit else replace(quantity, unit="", noun=False)
    if bare == quantity and not quantity.rate:
        return False
    if not is_same_quantity(bare if other.rate else replace(bare, rate=""), other):
        return False
    clauses = analysis.find_clauses(other)
    near = [t for t in analysis.tokens if t.is_content and not t.clauses.isdisjoint(clauses)]
    words = [token.root for token in (*near, *evidence.context.tokens)]
    names_unit = bool(other.unit) or any(are_related(_find_unit_root(quantity, analysis), root) for root in words)
    rates = _RATE_WORDS.get(quantity.rate, frozenset())
    names_rate = bool(other.rate) or not quantity.rate or any(root.startswith(tuple(rates)) for root in words if rates)
    return names_unit and names_rate


def _is_named_apart(quantity: Quantity, other: Quantity, claim: Claim, evidence: Evidence) -> bool:
    """Return True if a sentence says after its number what the number counts.

    "Of these, 73 represent districts and are known as district members" states "73 district members". What follows
    another number is not what this one counts.
    """
    analysis = evidence.analysis
    if other not in analysis.quantities or not quantity.unit or is_money(quantity):
        return False
    bare = replace(quantity, unit="", noun=False)
    if not is_same_quantity(bare, replace(other, unit="", noun=False)) or not _has_verb_after(other, analysis):
        return False
    units = [t for t in claim.analysis.tokens if t.is_unit and quantity.start <= t.start < quantity.end]
    clauses = analysis.find_clauses(other)
    numbers = [
        q.start for q in analysis.quantities if q.start > other.start and clauses.isdisjoint(analysis.find_clauses(q))
    ]
    end = min(
        [*numbers, *(each.start() for each in _STATEMENT_END.finditer(analysis.text) if each.start() > other.end)]
    )
    of_others = frozenset[int]().union(*(analysis.find_clauses(q) for q in analysis.quantities)) - clauses
    said = [t for t in analysis.tokens if other.start <= t.start < end]
    near = [t for t in analysis.tokens if t in said or (t.start < other.start and t.clauses.isdisjoint(of_others))]
    apart = [t for t in analysis.tokens if t not in near]
    return all(t.word in _PERSON_WORDS or _has_match(t, said) for t in units) and not any(
        _has_match(t, apart) and not _has_match(t, near) for t in claim.content
    )


def _has_match(token: Token, others: Iterable[Token]) -> bool:
    return any(token.matches(other) for other in others)


def _has_verb_after(quantity: Quantity, analysis: Analysis) -> bool:
    """Return True if a verb follows a number, which the number then is the subject of: "41 work", "38 sont élus"."""
    after = next((t for t in analysis.tokens if t.end > quantity.start and not t.word[0].isdigit()), None)
    if after is None or analysis.text[quantity.start : after.start].strip(" 0123456789.,\u00a0\u202f"):
        return False
    # After a number an English noun is a plural, so a form without an ending is a verb.
    is_verb = find_infinitive(after.word) == after.word if analysis.language == "en" else is_auxiliary(after.word)
    return is_auxiliary(after.word) or is_verb


def _find_unit_root(quantity: Quantity, analysis: Analysis) -> str:
    return find_root(quantity.unit.lower().split(" ")[0], analysis.language)


def is_money(quantity: Quantity) -> bool:
    """Return True for an amount of money: its unit is the code of a currency."""
    return len(quantity.unit) == _CURRENCY_LETTERS and quantity.unit.isupper()


def _find_short_names(
    claim: Claim, evidence: Evidence, tokens: Mapping[Token, Sequence[Token]]
) -> dict[Token, list[Token]]:
    """Return the words of longer names that the evidence leaves out, each with the part of the name that it has.

    Whoever asks about "Larkspur Electronics" means the "Larkspur" of the document, if the document has no other name
    with this word: "Larkspur Travel", "Paul Brandt" for "Ada Brandt".
    """
    short: dict[Token, list[Token]] = {}
    asked = _list_names(claim.question)
    for name in _list_names(claim.analysis):
        missing = [token for token in name if token in tokens and not tokens[token]]
        found = [other for token in name for other in tokens.get(token, ()) if other.is_name or other.is_initial]
        is_asked = any([t.word for t in name] == [t.word for t in other] for other in asked)
        if missing and found and is_asked and not _has_namesake(name, evidence):
            short |= dict.fromkeys(missing, found)
    return short


def _has_namesake(name: Sequence[Token], evidence: Evidence) -> bool:
    """Return True if a passage has a word of a name in another name."""
    words = {token.word for token in name}
    others = [[t.word for t in other] for text in (evidence.passage, evidence.context) for other in _list_names(text)]
    return any(not words.isdisjoint(other) and not words.issuperset(other) for other in others)


@lru_cache(maxsize=2048)
def _list_names(analysis: Analysis) -> tuple[tuple[Token, ...], ...]:
    """Return the runs of words with capital letters that follow each other."""
    runs: list[list[Token]] = []
    for token in analysis.tokens:
        if not (token.is_name or (token.is_initial and (token.is_content or token.is_unit))):
            continue
        if runs and not analysis.text[runs[-1][-1].end : token.start].strip():
            runs[-1].append(token)
        else:
            runs.append([token])
    return tuple(map(tuple, runs))


def _resolve_subjects(claim: Claim, evidence: Evidence, missing: set[Token]) -> set[Token]:
    """Return the missing words that the evidence refers back to.

    The evidence refers back if it begins with a pronoun, or if its own subject is part of the claim. Then the subject
    and the names of the claim may stand in the nearest sentence before it that has one of them. What the whole passage
    is about is known without being repeated, too.
    """
    candidates = missing & (set(claim.subject) | {token for token in claim.content if token.is_name})
    parts = [evidence.analysis, *([evidence.lead_in] if evidence.lead_in else [])]
    if not missing or not any(_can_refer_back(claim, part) for part in parts):
        return set()
    found: set[Token] = set()
    for analysis in evidence.earlier:
        index = index_tokens(analysis)
        found = {token for token in candidates if index.find(token)}
        has_others = any(token.is_name and not _is_claimed(token, claim) for token in analysis.tokens)
        if found and has_others and not any(token.word in PRONOUNS for token in evidence.analysis.subject):
            found = set()  # that sentence speaks of somebody else
        if found:
            break
        if any(token.is_name for token in analysis.tokens):
            break
    if any(token.is_name and not _is_claimed(token, claim) for token in evidence.analysis.tokens):
        return found
    others = [t for part in evidence.earlier for t in part.tokens if t.is_name and not _is_claimed(t, claim)]
    topic = index_tokens(evidence.topic)
    return found | {
        token
        for token in missing
        if find_infinitive(token.word) is None and not (others and token.is_name) and topic.find(token)
    }


def _is_claimed(token: Token, claim: Claim) -> bool:
    return any(token.matches(other) for other in claim.analysis.tokens)


def _can_refer_back(claim: Claim, analysis: Analysis) -> bool:
    """Return True if the first subject of a text is a pronoun, missing, or a part of the claim."""
    subject = analysis.subject
    if any(token.word in PRONOUNS for token in subject):
        return True
    end = subject[-1].end if subject else 0
    if not subject and all(clause.verb is None for clause in analysis.clauses):
        subject, end = analysis.tokens, len(analysis.text)
    is_claimed = all(_is_claimed(token, claim) for token in subject if token.is_content or token.is_unit)
    others = [quantity for quantity in analysis.quantities if quantity.start < end]
    return is_claimed and all(any(is_same_quantity(own, q) for own in claim.analysis.quantities) for q in others)
