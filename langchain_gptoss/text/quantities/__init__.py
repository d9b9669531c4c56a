"""Quantities of English and French texts: numbers with units, bounds and rates, dates, times, identifiers."""

from langchain_gptoss.text.quantities.comparison import has_same_quantities, is_rival_quantity, is_same_quantity
from langchain_gptoss.text.quantities.dates import is_calendar_word
from langchain_gptoss.text.quantities.extraction import extract_quantities
from langchain_gptoss.text.quantities.model import CalendarDate, Quantity

__all__ = [
    "CalendarDate",
    "Quantity",
    "extract_quantities",
    "has_same_quantities",
    "is_calendar_word",
    "is_rival_quantity",
    "is_same_quantity",
]
