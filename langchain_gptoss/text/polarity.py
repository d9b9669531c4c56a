"""Polarity of clauses: negation, exception, condition, strength and opposites, in English and French.

Two sentences can share nearly all words and say the opposite. Each cue holds for its clause, or for what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

from langchain_gptoss.text.analysis import Analysis, Clause, Token
from langchain_gptoss.text.roots import find_root
from langchain_gptoss.text.word_lists import parse_words

_NEGATIONS = parse_words(
    """no not never cannot nor none nobody nothing nowhere neither unable impossible hardly rarely seldom pas jamais
    aucun aucune rien non ni guere nul nulle nullement impossible lacks lack fails fail prohibited forbidden
    banned interdit interdite interdits interdites exclu exclue exclus exclues excluded refused refuse refusee
    refuses refusees denied hors"""
)
_LEXICAL_NEGATIONS = parse_words(
    """unable impossible lacks lack fails fail prohibited forbidden banned interdit interdite interdits interdites
    exclu exclue exclus exclues excluded refused refuse refusee refuses refusees denied hors"""
)
# These are negations only with "ne": "par personne", "plus grand" and "un point" are none.
_WITH_NE = parse_words("personne plus point rien aucun aucune")
_NE = frozenset(("ne", "n"))
# "not only ... but also", "no later than" and "non seulement" deny nothing.
_EXEMPT_AFTER = {
    "not": frozenset(("only", "just", "merely", "until", "before")),
    "non": frozenset(("seulement", "loin")),
    "no": frozenset(("later", "more", "less", "fewer", "sooner", "doubt", "matter")),
    "pas": frozenset(("seulement", "moins", "avant")),
    "nothing": frozenset(("but",)),
}
EXCEPTIONS = parse_words("except excepted excluding unless save sauf excepte exceptee hormis hors sinon apart besides")
"""Words that open an exception; "à l'exception" and "with the exception" are found by their noun."""
_EXCEPTION_NOUNS = frozenset(("exception", "exclusion"))
_CONDITIONS = frozenset(("if", "unless", "provided", "si", "providing"))
_STRONG_CONDITIONS = re.compile(
    r"\b(?:only (?:if|when|with|for|on|after|by|in|during)|unless|provided (?:that)?|as long as|on condition"
    r"|subject to|"
    r"à condition|sous réserve|à moins (?:qu|de |d['’])|sauf si|(?:seulement|uniquement) (?:si|en cas|avec|sur)"
    r"|dès lors que|pourvu)",
    re.IGNORECASE,
)
_NOW = re.compile(r"\b(?:today|now|currently|nowadays|aujourd['’]hui|actuellement|désormais)\b", re.IGNORECASE)
_CONDITIONAL = re.compile(r"\bmay have\b|\b\w{2,}r(?:ait|aient)\b", re.IGNORECASE)  # French: "coûterait"
_PERFECT = parse_words("a ont ai avons avez avait avaient ete fut furent had was were did has have")
_UNTIL = re.compile(r"\b(?:until|till|jusqu['’])", re.IGNORECASE)
_UNCONDITIONAL = re.compile(r"\b(?:even if|même si|regardless|irrespective|quel(?:le)?s? que)\b", re.IGNORECASE)
_UNIVERSALS = parse_words(
    """all every each always everyone everybody everything any tous toutes tout toute chaque toujours whole entire
    entier integralement completely fully"""
)  # fmt: skip
_PARTIALS = parse_words(
    """some several certain certaines certains most many few sometimes often usually plupart quelques plusieurs
    parfois souvent generalement majorite part partie half moitie"""
)  # fmt: skip
_STRONG_MODALS = parse_words(
    """must required mandatory compulsory obligatory doit doivent devra devront obligatoire obligatoires faut oblige
    tenu tenus obliged shall"""
)  # fmt: skip
_WEAK_MODALS = parse_words(
    """may optional voluntary facultatif facultative facultatifs recommended should recommande recommandee conseille
    conseillee invited encouraged devrait devraient can could peut peuvent pourra pourront possible libre"""
)  # fmt: skip
_HEDGES = parse_words(
    """believes believe thinks seems appears suggests croit pense estime semble might perhaps maybe possibly probably
    likely planned plans expected proposed considering considers suspects suspected alleged allegedly reportedly
    hopes hope rumoured pourrait pourraient peut-etre probablement prevu prevue envisage envisagee envisagent
    propose soupconne soupconnent aurait auraient serait seraient espere draft would could estimated supposed
    intends unconfirmed"""
)  # fmt: skip
_IMPERFECT = re.compile(r"\b(?!fait\b|lait\b|trait\b)\w{2,}(?<!r)ai(?:t|ent)\b", re.IGNORECASE)
_PAST = parse_words("formerly naguere former previously autrefois ancien ancienne jadis anciennement auparavant")
_FUTURE = parse_words("will planned going sera seront aura auront prochainement bientot upcoming")

# Each line is a pair of opposites: of binary ones, the denial of one is the other ("not open" is "closed").
_BINARY_OPPOSITES = (
    ("required mandatory compulsory obligatoire", "optional voluntary facultatif facultative"),
    ("allowed permitted authorised authorized autorise autorisee", "forbidden prohibited banned interdit interdite"),
    (
        "increase increased rise rose rises grew grow hausse augmente augmentation augmenter",
        "decrease decreased fall fell drop dropped falls reduced baisse diminue diminution baisser diminuer",
    ),
    ("accepted accept accepts accepte acceptee acceptes", "refused refuses rejected refuse refusee refuses"),
    ("free gratuit gratuite gratuits gratuitement gratuites", "paid paying payant payante payants payantes"),
    (
        "open opens opened opening ouvert ouverte ouvre ouverts ouverture",
        "closed closes close closing closure ferme fermee fermes fermeture",
    ),
    ("included inclus incluse compris comprise", "excluded exclu exclue exclus supplement extra"),
    ("same meme identique", "different differents differente"),
    ("public", "private prive privee"),
)
_OPPOSITES = (
    ("before avant", "after apres"),
    ("minimum", "maximum"),
    ("above dessus", "below dessous"),
    ("north northern nord", "south southern sud"),
    ("east eastern", "west western ouest"),
    ("won wins win gagne remporte", "lost loses lose perd perdu"),
    ("born birth naissance", "died death mort deces"),
    ("with avec", "without sans"),
    ("arrival arrives arrive arrivee arrivent", "departure departs depart leaves partent"),
    ("left gauche", "right droite"),
    ("buy buys bought acheter achete", "sell sells sold vend vendre vendu"),
    ("lend lends lent prete preter", "borrow borrows borrowed emprunte emprunter"),
    ("first premier premiere", "last dernier derniere"),
    ("upper superieur", "lower inferieur"),
    ("inside interieur dedans", "outside exterieur dehors"),
    ("hot chaud chaude", "cold froid froide"),
    ("daytime", "night nuit"),
    ("import imports importe", "export exports exporte"),
    ("upload", "download"),
    ("teacher teachers enseignant enseignants", "student students pupil pupils etudiant etudiants eleve eleves"),
    ("adult adults adulte adultes", "child children enfant enfants"),
    ("tenant tenants locataire locataires", "landlord landlords bailleur proprietaire"),
    ("summer ete", "winter hiver"),
    ("morning matin", "evening soir afternoon"),
)  # fmt: skip


# "jour" is a day, not only daytime, and "est" is "is".
_AMBIGUOUS_ROOTS = parse_words("day jour est ete without with same first last left ferm") - {"ferm"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Polarity:
    """Negation, exception and condition of a clause.

    Attributes:
        negations: Number of its negations; an even number affirms.
        is_exception: True if the clause is an exception from the clause before it.
        is_condition: True if the clause is a condition of another one.
    """

    negations: int
    is_exception: bool
    is_condition: bool

    @property
    def is_negated(self) -> bool:
        """True if the clause denies."""
        return self.negations % 2 == 1


@lru_cache(maxsize=8192)
def find_polarities(analysis: Analysis) -> tuple[Polarity, ...]:
    """Return the polarity of each clause of a text."""
    # Two negative particles are one negation ("ne ... aucun"), but "nothing is forbidden" denies twice.
    denied: list[set[bool]] = [set() for _ in analysis.clauses]
    for index in _find_negations(analysis):
        for clause in analysis.tokens[index].clauses & frozenset(range(len(denied))):
            denied[clause].add(analysis.tokens[index].word in _LEXICAL_NEGATIONS)
    negations = [len(kinds) for kinds in denied]
    _extend_over_lists(analysis, negations)
    return tuple(
        Polarity(
            negations=count,
            is_exception=_has_opener(analysis, clause, EXCEPTIONS) or _has_exception_noun(analysis, clause),
            is_condition=clause.opener in _CONDITIONS,
        )
        for clause, count in zip(analysis.clauses, negations, strict=True)
    )


# "No. 5" is a number, and "non-self molecules" are a kind of molecules.
_NO_NEGATION_BEFORE = {"no": ".", "non": "-"}


def _find_negations(analysis: Analysis) -> Iterable[int]:
    """Yield the indexes of the words that deny."""
    tokens = analysis.tokens
    for index, token in enumerate(tokens):
        word = token.word
        following = tokens[index + 1].word if index + 1 < len(tokens) else ""
        if any(quantity.start <= token.start < quantity.end for quantity in analysis.quantities):
            continue
        if following in _EXEMPT_AFTER.get(word, ()):
            continue
        if word == "t" and analysis.text[max(0, token.start - 2) : token.start].lower() in ("n'", "n’"):
            yield index
        elif word in _WITH_NE:
            if word in ("rien", "aucun", "aucune") or _has_ne_before(tokens, index):
                yield index
        elif word in _NEGATIONS and analysis.text[token.end : token.end + 1] != _NO_NEGATION_BEFORE.get(word):
            yield index


def _has_ne_before(tokens: tuple[Token, ...], index: int) -> bool:
    near = tokens[max(0, index - 5) : index]
    if tokens[index].word == "personne":
        near += tokens[index + 1 : index + 3]  # "Personne n'entre"
    return any(token.word in _NE and not token.clauses.isdisjoint(tokens[index].clauses) for token in near)


def _extend_over_lists(analysis: Analysis, negations: list[int]) -> None:
    """Let a negation before a colon hold for what the colon introduces."""
    colon = re.search(r":(?=\s)", analysis.text)
    if colon is None:
        return
    before = [index for index, clause in enumerate(analysis.clauses) if clause.start < colon.start()]
    if any(negations[index] for index in before):
        for index, clause in enumerate(analysis.clauses):
            if clause.start >= colon.start():
                negations[index] += 1


def _has_opener(analysis: Analysis, clause: Clause, words: frozenset[str]) -> bool:
    if clause.opener in words:
        return True
    opening = [token.word for token in analysis.tokens if clause.start <= token.start < clause.end][:2]
    return bool(opening) and opening[0] in words


def _has_exception_noun(analysis: Analysis, clause: Clause) -> bool:
    return any(token.word in _EXCEPTION_NOUNS for token in analysis.tokens if clause.start <= token.start < clause.end)


@dataclass(frozen=True, kw_only=True, slots=True)
class Strength:
    """Strength of a statement: its quantifiers, modal verbs and tenses.

    Attributes:
        is_universal: It speaks of all, every or always.
        is_partial: It speaks of some, most or sometimes.
        is_obligation: It speaks of what must be done.
        is_option: It speaks of what may or can be done.
        is_hedged: It speaks of what is possible, planned or supposed.
        is_past: It speaks of what was so and may have ended.
        is_perfect: It has an auxiliary of the past, such as "a" or "had".
        is_future: It speaks of what will be.
        is_present: It speaks of what is so now.
        is_restricted: It speaks of one thing only.
        is_only: It says so with "only" or "seulement".
    """

    is_universal: bool
    is_partial: bool
    is_obligation: bool
    is_option: bool
    is_hedged: bool
    is_past: bool
    is_perfect: bool
    is_future: bool
    is_present: bool
    is_restricted: bool
    is_only: bool


_ONLY = re.compile(
    r"(?<!not )(?<!non )\b(?:only|solely|exclusively|seulement|uniquement|exclusivement)\b", re.IGNORECASE
)
_RESTRICTION = re.compile(r"\bn(?:e |['’]).{1,40}?\bqu(?:e|['’])", re.IGNORECASE)


def measure_strength(text: str, words: frozenset[str]) -> Strength:
    """Return the strength of a text.

    Args:
        text: The text in the spelling for checks.
        words: Its words in lower case and without accents.
    """
    used_to = bool(re.search(r"\bused to\b", text, re.IGNORECASE))
    return Strength(
        is_universal=bool(words & _UNIVERSALS),
        is_partial=bool(words & _PARTIALS),
        is_obligation=bool(words & _STRONG_MODALS),
        is_option=bool(words & _WEAK_MODALS),
        is_hedged=bool(words & _HEDGES) or bool(_CONDITIONAL.search(text)),
        is_past=used_to or bool(words & _PAST) or bool(_IMPERFECT.search(text)),
        is_perfect=bool(words & _PERFECT),
        is_future=bool(words & _FUTURE),
        is_present=bool(_NOW.search(text)),
        is_restricted=bool(_ONLY.search(text)) or bool(_RESTRICTION.search(text)),
        is_only=bool(_ONLY.search(text)),
    )


def find_restricted_words(analysis: Analysis) -> list[Token]:
    """Return the content words beside "only": those to which it restricts a statement."""
    words = []
    for match in _ONLY.finditer(analysis.text):
        before = [token for token in analysis.content if token.end <= match.start()]
        after = [token for token in analysis.content if token.start >= match.end()]
        words += before[-1:] + after[:1]
    return words


def has_end(text: str) -> bool:
    """Return True if a text names an end: "until 2015"."""
    return bool(_UNTIL.search(text))


def is_unconditional(text: str) -> bool:
    """Return True if a text holds whatever a condition says: "even if", "même si", "regardless"."""
    return bool(_UNCONDITIONAL.search(text))


def has_strong_condition(text: str) -> bool:
    """Return True if a text holds only under a condition that it names: "only if", "unless", "à condition"."""
    return bool(_STRONG_CONDITIONS.search(text))


@lru_cache(maxsize=2)
def _list_opposites(*, is_binary: bool) -> list[tuple[_Side, _Side]]:
    pairs = _BINARY_OPPOSITES if is_binary else _OPPOSITES
    return [(_create_side(first), _create_side(second)) for first, second in pairs]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Side:
    """One side of a pair of opposites."""

    words: frozenset[str]
    roots: frozenset[str]


def _create_side(words: str) -> _Side:
    split = words.split()
    roots = frozenset(find_root(word, language) for word in split for language in ("en", "fr"))
    return _Side(words=frozenset(split), roots=roots - _AMBIGUOUS_ROOTS)


def find_opposites(claim: Iterable[Token], evidence: Iterable[Token], *, is_binary: bool) -> tuple[str, str] | None:
    """Return a word of the claim and its opposite in the evidence, None if there is no such pair.

    The evidence must not have the claim's word, or another of its side, too.

    Args:
        claim: Words of the claim.
        evidence: Words of the evidence.
        is_binary: True for pairs of which one is the denial of the other, False for the rest.
    """
    ours, theirs = _find_sides(claim, is_binary=is_binary), _find_sides(evidence, is_binary=is_binary)
    for (pair, side), token in sorted(ours.items(), key=lambda item: item[0]):
        opposite = theirs.get((pair, 1 - side))
        if opposite is None or (pair, side) in theirs or (pair, 1 - side) in ours:
            continue
        if not (is_binary and (token.word in _NEGATIONS or opposite.word in _NEGATIONS)):
            return token.spelling, opposite.spelling
    return None


def _find_sides(tokens: Iterable[Token], *, is_binary: bool) -> dict[tuple[int, int], Token]:
    """Return the sides of pairs of opposites that a text has, each with its first word."""
    sides: dict[tuple[int, int], Token] = {}
    for token in tokens:
        for side in _list_sides(token.word, token.root if token.is_content else "", is_binary=is_binary):
            sides.setdefault(side, token)
    return sides


@lru_cache(maxsize=65536)
def _list_sides(word: str, root: str, *, is_binary: bool) -> tuple[tuple[int, int], ...]:
    """Return the number of each pair of opposites that a word belongs to, with its side, 0 or 1."""
    return tuple(
        (number, place)
        for number, pair in enumerate(_list_opposites(is_binary=is_binary))
        for place, side in enumerate(pair)
        if word in side.words or root in side.roots
    )
