"""Rows of a table below its header: groups, repeated headers and labels that are written once."""

from __future__ import annotations

from collections.abc import Sequence

from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.table import Row
from langchain_gptoss.ingest.readers.tables.values import classify_value, is_note, is_total

_MIN_GROUPS = 2


def create_rows(grid: Grid, header_count: int) -> tuple[tuple[Row, ...], list[str]]:
    """Return the rows below the header, and the notes between them.

    A header that is printed again is left out. A line between the rows that names a group of them is said by each row
    of the group.
    """
    header = [_pad(row, grid.width) for row in grid.rows[:header_count]]
    labels = _find_group_labels(grid, header_count)
    rows: list[Row] = []
    notes: list[str] = []
    group = ""
    for number in range(header_count, len(grid.rows)):
        values = _pad(grid.rows[number], grid.width)
        if number in labels:
            text = next(filter(None, values))
            if is_note(text):
                notes.append(text)
            else:
                group = text
        elif _is_note_line(values):
            notes.append(values[0])
        elif any(values) and values not in header:
            rows.append(Row(values=values, group=group))
    return _fill_first_column(rows), notes


def _is_note_line(values: Sequence[str]) -> bool:
    return len(values) > 1 and bool(values[0]) and not any(values[1:]) and is_note(values[0])


def _pad(row: Sequence[str], width: int) -> tuple[str, ...]:
    return (*row, *[""] * (width - len(row)))


def _find_group_labels(grid: Grid, first: int) -> set[int]:
    """Return the rows that are one line over the whole width, or that name a group by their first cell alone.

    Without merged cells this needs a pattern: the table begins with such a row, has at least two, and every one is
    followed by a full row. A record of which only the name is known is then no label.
    """
    merged = {
        row for row, columns in grid.repeated_columns.items() if row >= first and len(columns) == grid.width - 1 > 0
    }
    if grid.width < 3:
        return merged
    single = [row for row in range(first, len(grid.rows)) if grid.rows[row][:1] > [""] and not any(grid.rows[row][1:])]
    if len(single) < _MIN_GROUPS or single[0] != first:
        return merged
    singles = set(single)
    has_rows = all(row + 1 < len(grid.rows) and row + 1 not in singles for row in single)
    others = [row for row in range(first, len(grid.rows)) if row not in singles and row not in merged]
    are_full = all(sum(map(bool, grid.rows[row])) * 2 > grid.width for row in others)
    return merged | singles if has_rows and are_full else merged


def _fill_first_column(rows: list[Row]) -> tuple[Row, ...]:
    """Fill the first column if its labels are written only in the first row of each group.

    The pattern must leave no doubt, because a filled cell is said as a fact: there are at least two labels, none twice,
    and every label stands above an empty cell.
    """
    labels = [(number, row.values[0]) for number, row in enumerate(rows) if row.values[0]]
    names = [name for _, name in labels if not is_total(name)]
    has_pattern = (
        len(names) >= _MIN_GROUPS
        and bool(rows[0].values[0])
        and len(set(names)) == len(names)
        and all(classify_value(name) in ("text", "code", "date") for name in names)
        and all(
            is_total(name) or (number + 1 < len(rows) and not rows[number + 1].values[0]) for number, name in labels
        )
        and all(len(row.values) > 2 and row.values[1] for row in rows if not is_total(row.values[0]))
    )
    if not has_pattern:
        return tuple(rows)
    filled, label = [], ""
    for row in rows:
        label = row.values[0] or label
        filled.append(Row(values=(label, *row.values[1:]), group=row.group))
    return tuple(filled)
