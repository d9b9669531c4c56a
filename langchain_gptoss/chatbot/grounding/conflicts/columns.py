"""Check that a value of a row is claimed of its own column."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from langchain_gptoss.chatbot.grounding.alignment import Alignment
from langchain_gptoss.chatbot.grounding.cells import Element, find_meant_cell, list_elements, parse_cells
from langchain_gptoss.chatbot.grounding.claims import Claim
from langchain_gptoss.chatbot.grounding.conflicts.base import Conflict
from langchain_gptoss.chatbot.grounding.conflicts.lookup import show_quantity
from langchain_gptoss.text.quantities import Quantity


def check_columns(alignment: Alignment) -> Iterator[Conflict]:
    """Check that the words around a value are those of its column: the price of the low season is not the other one."""
    claim = alignment.claim
    if not parse_cells(alignment.evidence.analysis):
        return
    new = [t for t in claim.own if not any(t.matches(other) for other in claim.question.tokens)]
    elements: list[Element] = [*alignment.quantities, *new]
    for element in elements:
        if found := find_meant_cell(alignment, element, _list_asked(claim, element)):
            spelling = show_quantity(claim.analysis, element) if isinstance(element, Quantity) else element.spelling
            reason = f"the document has “{spelling}” as “{found[0].label}”, not as “{found[1].label}”"
            yield Conflict(kind="binding", reason=reason, contradicts=True)
            return


def _list_asked(claim: Claim, element: Element) -> Sequence[Element]:
    """Return the words and figures of the statement in which an element stands; of a cell those of its name."""
    for cell in parse_cells(claim.analysis):
        if element in cell.value_elements:
            return cell.label_elements
    clauses = claim.analysis.find_clauses(element) if isinstance(element, Quantity) else element.clauses
    groups = frozenset[int]().union(*(group for group in claim.groups if not group.isdisjoint(clauses)))
    return list_elements(claim.analysis, groups)
