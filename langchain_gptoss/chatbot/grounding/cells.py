"""Cells of a row such as "Boat: Wren; Low season: 42 €; High season: 55 €": a value belongs to its column."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.claims import QUESTION_TYPE_WORDS
from langchain_gptoss.text.analysis import Analysis, Token
from langchain_gptoss.text.quantities import Quantity, is_same_quantity

_CELL = re.compile(r"(?:^|;\s|\n)[\s*•-]*(?P<label>[^:;\n]{1,80}?)\s?:\s(?P<value>[^;\n]*)")
_MIN_CELLS = 2
_MIN_LABEL_SHARE = 0.5  # of the words of a column's name that are asked, from which a figure can be meant by it
_WHOLE_LABEL = 0.99  # the same for a word, which can be another word for something else
_TYPE_WORD_WEIGHT = 0.5  # of words such as "number", which fit many columns

Element = Token | Quantity
"""A word or a figure."""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A value with the name of its column.

    Attributes:
        label: The name.
        label_elements: Content words and figures of the name.
        value_elements: Content words and figures of the value.
    """

    label: str
    label_elements: tuple[Element, ...]
    value_elements: tuple[Element, ...]


@lru_cache(maxsize=8192)
def parse_cells(analysis: Analysis) -> tuple[Cell, ...]:
    """Return the cells of a row, empty for other texts."""
    cells = tuple(
        Cell(
            label=match["label"].strip(),
            label_elements=_select_elements(analysis, *match.span("label")),
            value_elements=_select_elements(analysis, *match.span("value")),
        )
        for match in _CELL.finditer(analysis.text)
    )
    return cells if len(cells) >= _MIN_CELLS else ()


def _select_elements(analysis: Analysis, start: int, end: int) -> tuple[Element, ...]:
    # "Room: 12" is one quantity, and is the value.
    quantities = [quantity for quantity in analysis.quantities if start < quantity.end <= end]
    tokens = [t for t in analysis.tokens if (t.is_content or t.is_unit) and start <= t.start < end]
    return (*quantities, *tokens)


def list_elements(analysis: Analysis, clauses: frozenset[int] | None = None) -> list[Element]:
    """Return the content words and figures of a text, or of some of its clauses."""
    words = [token for token in analysis.tokens if token.is_content or token.is_unit]
    if clauses is None:
        return [*analysis.quantities, *words]
    quantities = [q for q in analysis.quantities if not analysis.find_clauses(q).isdisjoint(clauses)]
    return [*quantities, *(t for t in words if not t.clauses.isdisjoint(clauses))]


def find_meant_cell(alignment: Alignment, element: Element, asked: Sequence[Element]) -> tuple[Cell, Cell] | None:
    """Return the cell of an element of the claim and the cell that is meant instead, None if there is no better one.

    A cell is meant instead if its column has more of the words by which one asks, and if neither the claim nor the
    question has its value, as they have the name of the boat whose price is asked.

    Args:
        alignment: The claim, with a row as its evidence.
        element: A word or figure of the claim.
        asked: The words and figures by which one asks.
    """
    cells = parse_cells(alignment.evidence.analysis)
    found = (
        alignment.quantities.get(element, ()) if isinstance(element, Quantity) else alignment.tokens.get(element, ())
    )
    holders = [cell for cell in cells if any(other in cell.value_elements for other in found)]
    if not holders or any(other in cell.label_elements for cell in cells for other in found):
        return None
    others = [other for other in asked if other is not element]
    best = max(holders, key=lambda cell: _score_label(cell, others))
    limit = _score_label(best, others)
    min_share = _MIN_LABEL_SHARE if isinstance(element, Quantity) else _WHOLE_LABEL
    meant = [cell for cell in cells if cell not in holders and _score_label(cell, others) > limit]
    for cell in meant:
        share = sum(_has(others, part) for part in cell.label_elements) / len(cell.label_elements)
        if share >= min_share and cell.value_elements and not _is_named(cell, alignment):
            return best, cell
    return None


def _score_label(cell: Cell, asked: Iterable[Element]) -> float:
    """Return how many of the words by which one asks the name of a column has."""
    return sum(_weigh(part) for part in cell.label_elements if _has(asked, part))


def _weigh(element: Element) -> float:
    return _TYPE_WORD_WEIGHT if isinstance(element, Token) and element.word in QUESTION_TYPE_WORDS else 1.0


def _is_named(cell: Cell, alignment: Alignment) -> bool:
    """Return True if the claim or the question has a figure of a cell, or all of its words."""
    known = [*list_elements(alignment.claim.analysis), *list_elements(alignment.claim.question)]
    quantities = [part for part in cell.value_elements if isinstance(part, Quantity)]
    tokens = [part for part in cell.value_elements if isinstance(part, Token)]
    return any(_has(known, part) for part in quantities) or (bool(tokens) and all(_has(known, part) for part in tokens))


def _has(elements: Iterable[Element], part: Element) -> bool:
    return any(is_same_element(element, part) for element in elements)


def is_same_element(element: Element, part: Element) -> bool:
    """Return True if two words mean the same, or if a figure states the other one."""
    if isinstance(element, Token):
        return isinstance(part, Token) and element.matches(part)
    return isinstance(part, Quantity) and is_same_quantity(element, part)
