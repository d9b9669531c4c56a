"""A table with names, and its forms as text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Row:
    """A row of a table.

    Attributes:
        values: Its values, one per column; "" where there is none.
        group: The line above it in the table that names its group of rows, "" if there is none.
    """

    values: tuple[str, ...]
    group: str = ""


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table.

    Attributes:
        titles: The lines above it.
        columns: The names of the columns, "" for a column without a name; empty if the table has no names.
        rows: The rows, without those that name the columns.
        notes: The lines below it.
        is_record: True if each row is a name and its value, such as an address and a telephone number of a contact.
    """

    titles: tuple[str, ...] = ()
    columns: tuple[str, ...] = ()
    rows: tuple[Row, ...] = ()
    notes: tuple[str, ...] = ()
    is_record: bool = False


def format_as_list(table: Table) -> str:
    """Format the rows as list items that say the name of each value: "- Name: Anna; City: Paris"."""
    return "\n".join(iterate_list_items(table))


def iterate_list_items(table: Table) -> Iterator[str]:
    """Yield the lines of `format_as_list`."""
    format_row = _format_field if table.is_record else _format_record
    return (f"- {format_row(table, row)}" for row in table.rows if any(row.values))


def format_as_pipes(table: Table) -> str:
    """Format a table as GitHub-flavoured Markdown with its titles above and its notes below.

    A table without names has no delimiter row, because Markdown has no table without a header.
    """
    # The label of a group of rows gets a column of its own, so that each row says it.
    has_groups = any(row.group for row in table.rows)
    columns = ("", *table.columns) if has_groups and table.columns else table.columns
    lines = [_format_pipe_row(columns), f"|{' --- |' * len(columns)}"] if any(columns) else []
    lines += [_format_pipe_row((row.group, *row.values) if has_groups else row.values) for row in table.rows]
    parts = ["\n".join(table.titles), "\n".join(lines), "\n".join(table.notes)]
    return "\n\n".join(filter(None, parts))


def _format_pipe_row(values: tuple[str, ...]) -> str:
    return f"| {' | '.join(value.replace('|', chr(92) + '|') for value in values)} |"


def _format_field(_: Table, row: Row) -> str:
    name, *values = (value for value in row.values if value)
    text = f"{name.rstrip(' :')}: {'; '.join(values)}" if values else name
    return f"{row.group}; {text}" if row.group else text


def _format_record(table: Table, row: Row) -> str:
    parts = [row.group] if row.group else []
    return "; ".join([*parts, *_label_values(table.columns, row.values)])


def _label_values(columns: tuple[str, ...], values: tuple[str, ...]) -> Iterator[str]:
    for number, value in enumerate(values):
        if value:
            name = columns[number] if number < len(columns) else ""
            yield f"{name.rstrip(' :')}: {value}" if name else value
