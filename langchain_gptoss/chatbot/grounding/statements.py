"""Statements of a long sentence: which of them has what an answer adds, and which has the words of its question.

"The office in Lyon sells flats and the office in Metz lets them." is two statements. What the first one says of its
office is not said of the other one.
"""

from __future__ import annotations

from collections.abc import Sequence

from langchain_gptoss.chatbot.grounding.alignment import Alignment, weigh_token
from langchain_gptoss.chatbot.grounding.answer_fit import list_new_quantities, list_new_tokens
from langchain_gptoss.chatbot.grounding.conflicts.lookup import has_same_subject
from langchain_gptoss.text.analysis import Analysis, Token
from langchain_gptoss.text.word_lists import parse_words

# A clause after "who" or "when" says more of the same thing, and one after these words speaks of something else.
_OPENERS = parse_words(
    """and or but while whereas after before because although though unless since et ou mais tandis alors apres avant
    parce puisque bien"""
)
_MIN_ENUMERATED = 4  # parts without a verb from which a sentence is a list, whose items say the same of many


def is_of_other_statement(alignment: Alignment) -> bool:
    """Return True if another statement of the evidence than the one with the answer has more of the question.

    It has more of it by weight, or it has a word of the question that the other one lacks, and one that both have.
    """
    analysis = alignment.evidence.analysis
    statements = _number_statements(analysis)
    count = max(statements, default=0) + 1
    if count < 2:
        return False
    asked = [
        frozenset(
            word
            for word in alignment.claim.question.content
            if any(token.matches(word) for token in analysis.tokens if _is_in(token, statements, number))
        )
        for number in range(count)
    ]
    weights = [sum(map(weigh_token, words)) for words in asked]
    for places in _locate_news(alignment, statements):
        if not places or any(weights[place] == max(weights) and not _has_rival(place, asked) for place in places):
            continue
        return True
    return False


def _has_rival(place: int, asked: Sequence[frozenset[Token]]) -> bool:
    return any(others & asked[place] and others - asked[place] for others in asked)


def _locate_news(alignment: Alignment, statements: Sequence[int]) -> list[frozenset[int]]:
    """Return the statements of each name and figure that the answer adds, or of each word if it adds none of them."""
    analysis = alignment.evidence.analysis
    new = list_new_tokens(alignment)
    names = [token for token in new if token.is_name]
    quantities = list_new_quantities(alignment)
    found = [
        frozenset(statements[clause] for token in alignment.tokens[word] for clause in token.clauses)
        for word in (names if names or quantities else new)
    ]
    return found + [
        frozenset(
            statements[clause] for other in alignment.quantities[quantity] for clause in analysis.find_clauses(other)
        )
        for quantity in quantities
    ]


def _is_in(token: Token, statements: Sequence[int], number: int) -> bool:
    return any(statements[clause] == number for clause in token.clauses)


def _number_statements(analysis: Analysis) -> list[int]:
    """Return the number of the statement to which each clause belongs."""
    numbers: list[int] = []
    is_enumeration = sum(clause.verb is None for clause in analysis.clauses) >= _MIN_ENUMERATED
    for index, clause in enumerate(analysis.clauses):
        before = numbers[-1] if numbers else 0
        is_new = bool(index) and (
            clause.opener in _OPENERS or analysis.text[: clause.start].rstrip().endswith((";", "."))
        )
        is_item = is_enumeration and clause.verb is None
        numbers.append(before + int(is_new and not is_item and not has_same_subject(analysis, clause)))
    return numbers
