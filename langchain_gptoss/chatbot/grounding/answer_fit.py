"""Answers to open questions: they must say something new, of the case and the column that are asked."""

from __future__ import annotations

import re

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.cells import find_meant_cell, list_elements, parse_cells
from langchain_gptoss.text.analysis import Token
from langchain_gptoss.text.quantities import Quantity, is_rival_quantity, is_same_quantity

_INTERROGATIVES = (
    r"(?:how|what|which|who|whom|whose|when|where|why|combien|quand|quel(?:le)?s?|où|qui|comment|pourquoi"
    r"|lequel|laquelle|lesquel(?:le)?s)\b"
)
_OPEN = re.compile(
    r"^\W*(?:(?!(?:is|are|was|were|does|do|did|has|have|can|may|must|will|would|should|est|sont|peut|doit|if|si)\b)"
    rf"\w+\W+){{0,2}}?{_INTERROGATIVES}|^\W*(?:que|qu['’]est-ce)\b|\bcombien\W*$"
    # "Given its age, what did the council do?"
    r"|^\W*(?:given|if|after|before|during|in|at|on|for|with|by|according|besides|since|because|as|unlike|dans|en|si"
    rf"|lors\w*|après|avant|selon|pour|avec|à|au|aux|outre|depuis)\b.*,\s*(?:(?:in|at|to|de|à)\s+)?{_INTERROGATIVES}"
    r"(?!.*,)"
    # "Life began on which continent?", "The price was stable until when?"
    r"|\b(?:what|which|quel(?:le)?s?)\s+(?:\w+\s+){0,2}\w+\W*$|\b(?:when|where|why|whom|who|what|quand|où|qui|quoi)\W*$",
    re.IGNORECASE,
)
_CHOICE = re.compile(r"\b(?:or|ou)\b", re.IGNORECASE)
_ASKS_FIGURE = re.compile(r"\b(?:how|when|what time|combien|quand|quelle heure)\b", re.IGNORECASE)
_ASKS_DAY = re.compile(r"\b(?:when|what (?:day|date)|quand|quel jour|quelle date)\b", re.IGNORECASE)
# Words that answer without being content words.
_ANSWER_WORDS = re.compile(
    r"\b(?:no|none|nobody|nothing|never|always|all|every\w*|both|each|half|several|many|few|some|once|twice|free|here"
    r"|there|now|today|aucune?|rien|personne|jamais|toujours|tou[st]e?s?|chaque|deux|plusieurs|quelques|moitié|ici|là"
    r"|gratuit\w*|maintenant"
    r"|only|while|during|unless|provided|as long as|seulement|uniquement|pendant|tant que|pourvu|condition"
    r"|until|before|after|since|when|if|jusqu\w*|avant|après|depuis|dès|lorsqu\w*|si)\b",
    re.IGNORECASE,
)


def is_open_question(question: str) -> bool:
    """Return True for a question that asks who, what, when or how much, and not whether or which of two."""
    return bool(_OPEN.search(question)) and not _CHOICE.search(question)


def is_fitting(alignment: Alignment) -> bool:
    """Return True if a sentence tells the one who asks an open question something, and of what is asked."""
    return _has_news(alignment) and _has_asked_figures(alignment) and _is_of_asked_column(alignment)


def list_new_quantities(alignment: Alignment) -> list[Quantity]:
    """Return the quantities of the sentence that the question does not have."""
    claim = alignment.claim
    return [
        quantity
        for quantity in claim.analysis.quantities
        if not any(is_same_quantity(quantity, other) for other in claim.question.quantities)
    ]


def list_new_tokens(alignment: Alignment) -> list[Token]:
    """Return the content words of the sentence that the question does not have."""
    claim = alignment.claim
    return [token for token in claim.own if not any(token.matches(other) for other in claim.question.tokens)]


def _has_news(alignment: Alignment) -> bool:
    """Return True if a sentence says more than its question: "The shop is open on Saturday." does not say when."""
    claim = alignment.claim
    if claim.is_negated or claim.is_denied or list_new_quantities(alignment) or list_new_tokens(alignment):
        return True
    words = {match[0].lower() for match in _ANSWER_WORDS.finditer(claim.question.text)}
    return any(match[0].lower() not in words for match in _ANSWER_WORDS.finditer(claim.sentence))


def _has_asked_figures(alignment: Alignment) -> bool:
    """Return False if a sentence is about another figure than the question: the price of 400 litres for 600 litres.

    A figure that is the answer itself may differ: "How many of the 600 seats are taken?", "400 seats are taken."
    """
    claim, new = alignment.claim, list_new_quantities(alignment)
    if claim.is_bare:
        return True
    for asked in claim.question.quantities:
        if any(is_same_quantity(asked, quantity) for quantity in claim.analysis.quantities):
            continue
        rivals = [quantity for quantity in new if _is_other_case(asked, quantity)]
        if rivals and not (len(rivals) == len(new) and _ASKS_FIGURE.search(claim.question.text)):
            return all(_is_day(rival) for rival in rivals) and bool(_ASKS_DAY.search(claim.question.text))
    return True


def _is_other_case(asked: Quantity, quantity: Quantity) -> bool:
    """Return True for another value in the same unit; other units measure something else: 3 days of 6 hours."""
    return quantity.is_single and asked.unit == quantity.unit and is_rival_quantity(asked, quantity)


def _is_day(quantity: Quantity) -> bool:
    """Return True for a date with a year or a month."""
    date = quantity.low_date
    return date is not None and (date.year is not None or date.month is not None)


def _is_of_asked_column(alignment: Alignment) -> bool:
    """Return False if all that a sentence says of a row stands in other columns than the one that is asked."""
    if not parse_cells(alignment.evidence.analysis):
        return True
    elements = list_new_quantities(alignment) or list_new_tokens(alignment)
    asked = list_elements(alignment.claim.question)
    return not elements or any(find_meant_cell(alignment, element, asked) is None for element in elements)
