"""Sheets of fields: each row is a name and its value, such as "Address" and "4 Quay Street"."""

from __future__ import annotations

from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import count_header_rows, judge_header
from langchain_gptoss.ingest.readers.tables.values import classify_value, find_common_kind, has_name_word

_MAX_NAME_CHARS = 60


def is_record_sheet(grid: Grid) -> bool:
    """Return True if the first of two columns names the values in the second one."""
    rows = [row for row in grid.rows if any(row)]
    if grid.width != 2 or not rows:
        return False
    names = [row[0] for row in rows if row[0]]
    values = [row[1] for row in rows if len(row) > 1 and row[1]]
    if not values or len(set(names)) < len(names) or any(len(name) > _MAX_NAME_CHARS for name in names):
        return False
    if len(names) < len(rows) or any(classify_value(name) not in ("text", "code") for name in names):
        return False
    if 2 * sum(name.endswith(":") for name in names) >= len(names):
        return True
    if len(rows) == 1:
        return has_name_word(names[0])
    return _has_fields(grid, names, values)


def _has_fields(grid: Grid, names: list[str], values: list[str]) -> bool:
    header = grid.rows[0]
    if all(grid.headers.get(row) == frozenset({0}) for row in range(len(grid.rows))):
        return True  # the file marks the names of the fields
    common = find_common_kind(values[1:])
    if common not in ("text", "none"):
        return count_header_rows(grid) == 0
    if judge_header(grid) == "certain" and all(map(has_name_word, header)):
        return False
    kinds = {classify_value(value) for value in values} - {"none"}
    if len(kinds) > 1:
        return judge_header(grid) != "certain" or any(map(has_name_word, names[1:]))
    return sum(map(has_name_word, names[1:])) >= 2
