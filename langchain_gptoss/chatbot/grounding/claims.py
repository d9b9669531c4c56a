"""Claims: the sentences of an answer, read together with their question where they do not stand alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from langchain_gptoss.text.analysis import PRONOUNS, Analysis, Token, analyse
from langchain_gptoss.text.language import choose_language, detect_language
from langchain_gptoss.text.normalization import fold_accents
from langchain_gptoss.text.polarity import find_polarities
from langchain_gptoss.text.verbs import find_infinitive, is_auxiliary
from langchain_gptoss.text.word_lists import parse_words
from langchain_gptoss.text.words import is_stop_word

_YES_OR_NO = re.compile(r"^\W*(yes|no|oui|non|si)\b(?![-’'])[\s,.:;!–—-]*", re.IGNORECASE)
_NO = frozenset(("no", "non"))
# What introduces a claim and is no part of it.
_SOURCES_EN = r"(?:documents?|passages?|texts?|context|sources?|excerpts?|information)"
_SOURCES_FR = r"(?:documents?|passages?|textes?|sources?|extraits?|informations?)"
_OPENING = re.compile(
    rf"^\W*(?:(?:according to|based on|as (?:stated|mentioned) in|in) (?:the|these|your) (?:\w+ )?{_SOURCES_EN}"
    r"(?: provided)?,?\s+(?:it (?:says|states) that\s+)?"
    rf"|(?:the|these) {_SOURCES_EN} (?:say|state|indicate|mention|specif|show)\w* that\s+"
    rf"|(?:d['’]après|selon) (?:le|les|ce|ces|vos) {_SOURCES_FR}(?: fourni\w*)?,?\s+"
    rf"|(?:le|les|ce|ces) {_SOURCES_FR} (?:indiqu|précis|dis|mentionn|montr)\w* qu(?:e |['’])"
    r"|(?:it (?:seems|appears)|i (?:think|believe))(?: that)?\s+|(?:apparently|apparemment),?\s+"
    r"|(?:il semble(?:rait)?|je (?:pense|crois)) qu(?:e |['’])"
    r"|(?:the answer is|it is|la réponse est|c['’]est)\s*:?\s+(?=\W*\d))",
    re.IGNORECASE,
)
_MAX_BARE_CONTENT = 2  # content words of a claim without a verb
_MIN_CONTENT = 2  # content words and quantities from which a claim with a verb stands alone
_HOW_MANY = re.compile(r"\b(?:how many|combien d(?:e\s|['’]))\s*([^\W\d_]+)(?:\s([^\W\d_]+))?", re.IGNORECASE)
_CLEFT = re.compile(
    r"\W*(?:it (?:is|was)|c['’](?:est|était)) .{1,80}? (?:that|who|which|qui|que|qu['’])", re.IGNORECASE
)
_INDEFINITE = parse_words("nobody everyone everybody anyone anybody none nothing chacun tous personne rien on")
_NOUN_PHRASE_WORDS = parse_words("of the a an de d du des la le les l")
QUESTION_TYPE_WORDS = parse_words(
    """time date number limit limite maximum minimum money sum argent somme mois name kind type hour moment year day
    nombre nom heure annee jour sorte genre long far much often old big tall many longtemps cost price cout prix
    coute coutent costs combien quantity amount quantite montant place lieu endroit way maniere facon reason
    raison person personne address"""
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """A sentence of an answer, as it is checked.

    Attributes:
        sentence: The sentence as the model wrote it.
        language: The language whose stemmer is used.
        analysis: The sentence without its introduction, and after the question's words if it does not stand alone.
        question: The question.
        is_bare: True if the sentence does not stand alone: "Yes.", "In 1999."
        is_denied: True if the sentence answers the question with "no" and its own words do not deny.
        own: Content words that are the sentence's own.
        borrowed: Content words that a bare sentence takes from the question.
    """

    sentence: str
    language: str
    analysis: Analysis
    question: Analysis
    is_bare: bool
    is_denied: bool
    own: tuple[Token, ...]
    borrowed: tuple[Token, ...]

    @property
    def content(self) -> tuple[Token, ...]:
        """All content words that need support."""
        return self.own + self.borrowed

    @property
    def subject(self) -> tuple[Token, ...]:
        """Content words of the sentence's own subject."""
        if self.is_bare:
            return tuple(token for token in self.borrowed if token.start in self.question_subject)
        return tuple(token for token in self.analysis.subject if token.is_content)

    @property
    def question_subject(self) -> frozenset[int]:
        """Offsets of the words of the question that are its subject: those before its verb, or after an auxiliary."""
        before = [token.start for token in self.question.subject if token.is_content]
        if before:
            return frozenset(before)
        run: list[int] = []
        for token in self.question.tokens:
            if token.is_content:
                run.append(token.start)
            elif run and token.word not in _NOUN_PHRASE_WORDS:
                break
        return frozenset(run[:-1] or run)  # the last word of "Is the pool open on Mondays?" is the predicate

    @property
    def groups(self) -> tuple[frozenset[int], ...]:
        """Indexes of the clauses that state one thing each; all clauses of a bare claim state one thing."""
        if self.is_bare:
            return (frozenset(range(len(self.analysis.clauses))),)
        return self.analysis.groups

    @property
    def is_negated(self) -> bool:
        """True if the claim denies as a whole."""
        return any(polarity.is_negated for polarity in find_polarities(self.analysis)) != self.is_denied


@lru_cache(maxsize=512)
def parse_claim(sentence: str, question: str) -> Claim | None:
    """Return the claim of a sentence.

    Args:
        sentence: A sentence of an answer.
        question: The question, complete without the conversation.

    Returns:
        The claim; None if the sentence is a question or has no content.
    """
    if sentence.rstrip(" \"'”»)").endswith("?"):
        return None
    answer, is_denial, has_yes_or_no = _remove_opening(sentence)
    both = f"{question} {answer}"  # "The answer is: 14 h" is of the question's language
    language = detect_language(both) or choose_language(both)
    analysed_question = analyse(question.strip().rstrip("?! "), language)
    own = analyse(answer, language)
    size = len(own.content) + len(own.quantities)
    if not size and not has_yes_or_no:
        return None
    is_bare = _is_bare(own, size)
    if not is_bare:
        if has_yes_or_no and _contradicts_itself(own, analysed_question, is_denial=is_denial):
            return None
        return Claim(
            sentence=sentence, language=language, analysis=own, question=analysed_question, is_bare=False,
            is_denied=False, own=own.content, borrowed=(),
        )  # fmt: skip
    counted = _find_counted_noun(question) if len(own.quantities) == 1 and not own.content else ""
    if answer.split(maxsplit=1)[:1] and is_stop_word(answer.split(maxsplit=1)[0].strip("'’")):
        answer = answer[0].lower() + answer[1:]  # "She" is no name behind the question
    whole = analyse(f"{analysed_question.text} – {answer.rstrip(' .')} {counted}".rstrip(), language)
    boundary = len(analysed_question.text)
    borrowed = tuple(
        token
        for token in whole.content
        if token.start < boundary and not (token.word in QUESTION_TYPE_WORDS and size)
        and not any(token.matches(other) for other in own.content)
    )  # fmt: skip
    return Claim(
        sentence=sentence,
        language=language,
        analysis=whole,
        question=analysed_question,
        is_bare=True,
        is_denied=is_denial and not any(polarity.is_negated for polarity in find_polarities(own)),
        own=tuple(token for token in whole.content if token.start >= boundary),
        borrowed=borrowed,
    )


def _remove_opening(sentence: str) -> tuple[str, bool, bool]:
    """Return a sentence without "Yes," and "According to the documents,", whether it began with no, and with either."""
    text = _OPENING.sub("", sentence.strip(), count=1)
    match = _YES_OR_NO.match(text)
    if match is None or (match[1].lower() == "si" and len(text) > len(match[0])):
        return text, False, False
    if match[1].lower() == "no" and text[match.end(1) : match.end(1) + 1] == " ":
        return text, False, False  # "No dogs are allowed."
    rest = _OPENING.sub("", text[match.end() :], count=1)
    return rest, match[1].lower() in _NO, True


def _is_bare(own: Analysis, size: int) -> bool:
    """Return True if a sentence needs its question: it has no verb, or its subject is a pronoun or missing."""
    verb = next((clause.verb for clause in own.clauses if clause.verb is not None), None)
    if verb is None:
        return size <= _MAX_BARE_CONTENT + 1
    subject = own.tokens[:verb]
    has_subject = any(token.is_content or token.is_unit for token in subject) or any(
        quantity.start < own.tokens[verb].start for quantity in own.quantities
    )
    if _CLEFT.match(own.text) or any(token.word in _INDEFINITE for token in subject):
        return False
    has_pronoun = any(token.word in PRONOUNS for token in subject)
    return not has_subject and (has_pronoun or size < _MIN_CONTENT)


def _find_counted_noun(question: str) -> str:
    """Return "members" for "How many members ...?", so that the answer "38" means 38 members."""
    match = _HOW_MANY.search(question)
    if match is None:
        return ""
    second = fold_accents((match[2] or "").lower())
    is_noun = bool(second) and not is_auxiliary(second) and find_infinitive(second) is None and not is_stop_word(second)
    return f"{match[1]} {match[2]}" if is_noun else match[1]


def _contradicts_itself(own: Analysis, question: Analysis, *, is_denial: bool) -> bool:
    """Return True for "No, pickup is free." and "Yes, pickup is not free.", which repeat their question."""
    own_denies, asks_denial = (
        any(polarity.is_negated for polarity in find_polarities(analysis)) for analysis in (own, question)
    )
    return own_denies != is_denial and not (asks_denial and own_denies) and _is_repetition(own, question)


def _is_repetition(own: Analysis, question: Analysis) -> bool:
    """Return True if all content words of a sentence are the question's."""
    return all(any(token.matches(other) for other in question.content) for token in own.content) and not own.quantities
