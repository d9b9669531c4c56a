"""The kind of answer that a question asks for, and whether a sentence gives one.

A true sentence about something else is no answer: the number of cabins does not answer "How much is a ride?". Only
questions that ask for a fact of a known kind are judged; all others accept any sentence.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from langchain_gptoss.chatbot.grounding.alignment import Alignment, is_money, weigh_token
from langchain_gptoss.chatbot.grounding.answer_fit import (
    is_fitting,
    is_open_question,
    list_new_quantities,
    list_new_tokens,
)
from langchain_gptoss.text.analysis import Token
from langchain_gptoss.text.normalization import fold_accents
from langchain_gptoss.text.word_lists import parse_words

_MIN_QUESTION_SHARE = 0.3  # of a question for a fact that the sentence and its evidence must have
_MIN_WHO_SHARE = 0.75  # the same for "who", whose answer is known by what the person does
_MONEY = re.compile(
    r"\b(?:how much (?:is|are|was|were|do(?:es)?|did|will|would|must|should|can)|what (?:is|are|was) the "
    r"(?:\w+ ){0,3}(?:price|cost|fee|fare|rent|rate|tariff|charge)|(?:price|cost|fee|fare|tariff) (?:of|for)|"
    r"combien (?:co[uû]t|va(?:ut|lent)|pa[iy]|faut-il pa|doi)|quel(?:le)?s? (?:est|sont|était) (?:le|la|les) "
    r"(?:\w+ ){0,2}(?:prix|tarif|coût|montant|loyer|frais)|"
    r"what (?:do|does|did|will|would) .{1,80} cost)",
    re.IGNORECASE,
)
_CURRENCY_NAMES = parse_words(
    """franc rupee peso dirham dinar couronne crown krona krone yen yuan livre mark zloty forint real rand rouble
    ruble lira shilling pound cent centime penny token jeton point"""
)
_FREE = re.compile(
    r"\b(?:free|nothing|gratuit\w*|offert\w*|included|inclus\w*|rien|percent|pour cent)\b|%", re.IGNORECASE
)
_NUMBER = re.compile(
    r"\b(?:how (?:many|long|old|far|tall|high|big|large|heavy|deep|wide|fast)|combien d(?:e\b|['’])"
    r"|combien (?:mesur|p[eè]s|dur)|"
    r"quelle (?:est|était) (?:la |l['’])(?:durée|taille|hauteur|longueur|largeur|surface|superficie|capacité"
    r"|température)|"
    r"depuis combien|pendant combien)",
    re.IGNORECASE,
)
_SOME = re.compile(
    r"\b(?:no|none|several|many|few|some|all|half|dozen|once|twice|always|indefinitely|aucune?|plusieurs"
    r"|quelques|tous|moitié|"
    r"toujours|until|jusqu)\b",
    re.IGNORECASE,
)
_CONTACT = re.compile(
    r"\b(?:(?:phone|telephone|fax|extension|account|reference|invoice|licence) numbers?|e-?mail address"
    r"|(?:tele)?phone (?:of|for)|(?:numéro|téléphone) (?:de |du |des |d['’])?\w*|"
    r"adresse (?:mail|e-mail|électronique)|courriel)\b",
    re.IGNORECASE,
)
# Not "What are the steps?", whose answer names the steps and not the word.
_ATTRIBUTE = re.compile(
    r"^\W*(?:what|which) (?:is|was) the (\w+)|^\W*quel(?:le)? (?:est|était) (?:le |la |l['’])(\w+)",
    re.IGNORECASE,
)
_AGE = re.compile(r"\b(?:how old|what age|quel âge)\b", re.IGNORECASE)
_HOUR = re.compile(r"^\W*(?:and |et )?(?:at )?(?:what time|quelle heure|à quelle heure)\b", re.IGNORECASE)
_TIME = re.compile(
    r"^(?!.*,\s*(?:what|who|which|where|how|why|que|qu['’]|qui|quel|où|comment|combien|pourquoi)\b)"  # "When ..., who"
    r"\W*(?:and |et |on |since |depuis )?(?:when|what time|at what time|on (?:which|what) (?:day|date)|quand"
    r"|à quelle heure|quel jour|à quelle date|"
    r"à partir de quand|jusqu['’]à quand)\b",
    re.IGNORECASE,
)
_TEMPORAL = re.compile(
    r"\b(?:before|after|during|while|once|when|until|as soon|every|each|daily|weekly|monthly|always|never|morning|"
    r"afternoon|evening|night|noon|midnight|summer|winter|spring|autumn|season|today|tomorrow|yesterday|term"
    r"|holiday|week|"
    r"month|year|day|immediately|soon|now|avant|après|pendant|lors|lorsque|quand|dès|jusqu|chaque|toujours"
    r"|jamais|matin|soir|midi|"
    r"minuit|nuit|été|hiver|printemps|automne|saison|aujourd|demain|hier|semaine|mois|année|jour|immédiat"
    r"|bientôt|vacances|if|unless|provided|as long as|si|tant qu|à condition|que)",
    re.IGNORECASE,
)
_WHO = re.compile(r"^\W*(?:and |et )?(?:by |de |à |par |pour )?(?:who|whom|qui)\b", re.IGNORECASE)
_WHERE = re.compile(
    r"^\W*(?:and |et )?(?:where|in which (?:town|city|room|place|country)|où|à quelle adresse|dans quelle? )",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"\b(?:in|at|on|near|behind|opposite|next|under|over|above|below|from|to|by|inside|outside|street|road"
    r"|avenue|square|floor|room|building|"
    r"online|à|au|aux|dans|en|chez|sur|sous|près|derrière|face|rue|route|place|étage|salle|vers|devant|entre|ligne)\b",
    re.IGNORECASE,
)


def _has_attribute(alignment: Alignment) -> bool:
    """Return True if a sentence gives the thing that "What is the power of ...?" asks for, or a figure or name."""
    match = _ATTRIBUTE.search(alignment.claim.question.text)
    word = fold_accents((match[1] or match[2]).lower()) if match else ""
    claim, evidence = alignment.claim, alignment.evidence
    asked = [token for token in claim.question.tokens if token.word == word and token.is_content]
    known = (*claim.own, *evidence.analysis.tokens, *evidence.context.tokens)
    new_names = [token for token in list_new_tokens(alignment) if token.is_name]
    is_named = not asked or any(asked[0].matches(token) for token in known)
    return is_named or bool(claim.analysis.quantities or new_names)


def is_answer(alignment: Alignment) -> bool:
    """Return True if a sentence gives the kind of answer that its question asks for, or if the kind is not known."""
    question = alignment.claim.question.text
    if is_open_question(question) and not is_fitting(alignment):
        return False
    for pattern, has_kind in _KINDS:
        if pattern.search(question):
            return has_kind(alignment) and calculate_question_share(alignment) >= _MIN_QUESTION_SHARE
    return True


def calculate_question_share(alignment: Alignment) -> float:
    """Return the weighted share of the question's words that the sentence, its evidence or their context have."""
    claim, evidence = alignment.claim, alignment.evidence
    known = (*claim.own, *evidence.analysis.tokens, *evidence.context.tokens, *alignment.in_context)
    return _share(claim.question.content, known)


def _share(words: tuple[Token, ...], known: tuple[Token, ...]) -> float:
    weights = [(weigh_token(token), any(token.matches(other) for other in known)) for token in words]
    total = sum(weight for weight, _ in weights)
    return sum(weight for weight, is_known in weights if is_known) / total if total else 1.0


def _has_money(alignment: Alignment) -> bool:
    claim = alignment.claim
    amounts = [q for q in claim.analysis.quantities if q.kind == "amount"]
    return (
        any(is_money(quantity) or quantity.unit in _CURRENCY_NAMES for quantity in amounts)
        or bool(_FREE.search(claim.sentence))
        or (bool(amounts) and any(is_money(q) for found in alignment.quantities.values() for q in found))
    )


def _has_number(alignment: Alignment) -> bool:
    claim = alignment.claim
    return bool(claim.analysis.quantities) or bool(_SOME.search(claim.sentence))


def _has_hour(alignment: Alignment) -> bool:
    kinds = {quantity.kind for quantity in list_new_quantities(alignment)}
    return "time" in kinds or _has_new_time_word(alignment)


def _has_contact(alignment: Alignment) -> bool:
    quantities = list_new_quantities(alignment)
    is_other = bool(quantities) and all(is_money(quantity) or quantity.unit == "%" for quantity in quantities)
    return bool(re.search(r"[@\d]", alignment.claim.sentence)) and not is_other


def _has_age(alignment: Alignment) -> bool:
    return any(q.unit in ("year", "month", "") for q in alignment.claim.analysis.quantities)


def _has_time(alignment: Alignment) -> bool:
    kinds = {quantity.kind for quantity in list_new_quantities(alignment)}
    return bool(kinds & {"date", "time", "amount", "ordinal"}) or _has_new_time_word(alignment)


def _has_new_time_word(alignment: Alignment) -> bool:
    """Return True if a sentence has a word of time that the question does not have."""
    question = {match[0].lower() for match in _TEMPORAL.finditer(alignment.claim.question.text)}
    return any(match[0].lower() not in question for match in _TEMPORAL.finditer(alignment.claim.sentence))


def _has_person(alignment: Alignment) -> bool:
    claim = alignment.claim
    known = (*claim.own, *alignment.evidence.analysis.tokens, *alignment.evidence.context.tokens)
    new = list_new_tokens(alignment)
    return bool(new or claim.analysis.quantities) and _share(claim.question.content, known) >= _MIN_WHO_SHARE


def _has_place(alignment: Alignment) -> bool:
    claim = alignment.claim
    new = list_new_tokens(alignment)
    return bool(new or claim.analysis.quantities) and bool(_PLACE.search(claim.sentence))


_KINDS: tuple[tuple[re.Pattern[str], Callable[[Alignment], bool]], ...] = (
    (_MONEY, _has_money),
    (_CONTACT, _has_contact),
    (_AGE, _has_age),
    (_HOUR, _has_hour),
    (_NUMBER, _has_number),
    (_TIME, _has_time),
    (_ATTRIBUTE, _has_attribute),
    (_WHO, _has_person),
    (_WHERE, _has_place),
)
