"""Text of sheets: the tables of CSV files and workbooks, with the headings that their titles give."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from langchain_gptoss.ingest.readers.base import PageHeadings
from langchain_gptoss.ingest.readers.budget import SizeBudget
from langchain_gptoss.ingest.readers.tables.table import Table, iterate_list_items

_PARAGRAPH = "\n\n"
_MAX_TITLE_CHARS = 120  # a longer line above a table is a text
_MAX_TITLES = 3
_DEFAULT_NAME = re.compile(r"(?:sheet|feuil|feuille|tabelle|hoja|foglio|planilha|blad)\s?\d*", re.IGNORECASE)


def format_sheets(sheets: Iterable[tuple[str, Sequence[Table]]], budget: SizeBudget) -> tuple[str, PageHeadings]:
    """Return the text of sheets and its headings.

    The titles of a table are lines of the text, so that they can be quoted, and the heading of all chunks of the table.

    Args:
        sheets: The name of each sheet, "" for none, and its tables. Default names such as "Sheet1" are left out.
        budget: Limits the text: the name of a column is repeated before each of its values.

    Raises:
        SizeLimitError: The text is larger than the budget.
    """
    parts: list[str] = []
    headings: PageHeadings = []
    length = 0

    def add_part(text: str) -> None:
        nonlocal length
        length += len(text) + len(_PARAGRAPH)
        parts.append(text)

    for sheet_name, tables in sheets:
        name = "" if _DEFAULT_NAME.fullmatch(sheet_name) else sheet_name
        for number, table in enumerate(tables):
            headings.append((length, " > ".join(filter(None, [name, *_choose_headings(table)]))))
            if name and not number:
                add_part(name)
            rows = "\n".join(budget.charge_texts(iterate_list_items(table)))
            for part in ("\n".join(table.titles), rows, "\n".join(table.notes)):
                if part:
                    add_part(part)
    return _PARAGRAPH.join(parts), headings


def _choose_headings(table: Table) -> list[str]:
    return [title.rstrip(" :") for title in table.titles[:_MAX_TITLES] if len(title) <= _MAX_TITLE_CHARS]
