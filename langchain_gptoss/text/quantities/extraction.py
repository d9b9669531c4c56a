"""The quantities of a text in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from langchain_gptoss.text.quantities.amounts import find_amounts
from langchain_gptoss.text.quantities.bounds import add_bound
from langchain_gptoss.text.quantities.dates import CAPITALIZED_WORDS, blank_span, find_dates
from langchain_gptoss.text.quantities.folding import FoldedSentence
from langchain_gptoss.text.quantities.identifiers import REFERENCE_KINDS, find_identifiers, find_named_numbers
from langchain_gptoss.text.quantities.model import Quantity
from langchain_gptoss.text.quantities.ranges import combine_quantities
from langchain_gptoss.text.quantities.rates import add_adjective_rates, add_label_rate, add_rate, find_frequencies
from langchain_gptoss.text.quantities.times import find_times
from langchain_gptoss.text.quantities.units import FUNCTION

_NO_NAMES = frozenset({*FUNCTION, *CAPITALIZED_WORDS, "the", "les", "le", "la", "noël", "noel"})
_ADDRESSES = frozenset({"url", "email", "ip", "iban", "phone", "article", "section", "version", "norm", "siret"})
_Finder = Callable[[FoldedSentence, str], Iterable[Quantity]]


@lru_cache(maxsize=8192)
def extract_quantities(text: str) -> tuple[Quantity, ...]:
    """Return the quantities of a text in order.

    Args:
        text: A sentence or a longer text, in English or French.
    """
    sentence = FoldedSentence(text)
    found = _find_all(sentence)
    if not found:
        return ()
    combined = [add_rate(sentence.text, quantity) for quantity in combine_quantities(sentence.text, found)]
    combined = [add_label_rate(sentence.text, quantity) for quantity in combined]
    combined = _drop_consumed(combined)
    complete = [add_bound(sentence.text, quantity) for quantity in add_adjective_rates(sentence.text, combined)]
    return tuple(_restore_span(sentence, quantity) for quantity in complete)


def _drop_consumed(quantities: list[Quantity]) -> list[Quantity]:
    """Return the quantities without those that became part of the one before: "100 km" of "5 l per 100 km"."""
    kept: list[Quantity] = []
    for quantity in quantities:
        if not kept or quantity.start >= kept[-1].end:
            kept.append(quantity)
    return kept


def _find_all(sentence: FoldedSentence) -> list[Quantity]:
    """Return single values in order; a finder does not see what one before it has found."""
    blanked, found = sentence.text, []
    finders: tuple[_Finder, ...] = (
        _find_addresses_first,
        find_dates,
        find_times,
        find_frequencies,
        find_identifiers,
        _find_named,
        find_amounts,
    )
    for finder in finders:
        for quantity in list(finder(sentence, blanked)):
            if "\0" in blanked[quantity.start : quantity.end]:
                continue
            blanked = blank_span(blanked, quantity.start, quantity.end)
            found.append(quantity)
    return sorted(found, key=lambda quantity: quantity.start)


def _find_addresses_first(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield addresses and phone numbers, which contain what looks like dates."""
    if sentence.has_digit or "@" in text or "www." in text or "://" in text:
        for quantity in find_identifiers(sentence, text):
            is_number = quantity.identifier.isdecimal() and sentence.text[quantity.start] not in "n#§"
            if quantity.unit in _ADDRESSES or (quantity.unit in REFERENCE_KINDS and not is_number):
                yield quantity


def _find_named(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    return find_named_numbers(sentence, text, _NO_NAMES)


def _restore_span(sentence: FoldedSentence, quantity: Quantity) -> Quantity:
    start, end = quantity.start, quantity.end
    while start < end and sentence.text[start].isspace():
        start += 1
    while end > start and sentence.text[end - 1].isspace():
        end -= 1
    start, end = sentence.find_original_span(start, end)
    return quantity if (start, end) == (quantity.start, quantity.end) else quantity.change(start=start, end=end)
