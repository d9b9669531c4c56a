"""Sheets of fields: each row is a name and its value, such as "Address" and "4 Quay Street"."""

from __future__ import annotations

from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import count_header_rows, is_marked
from langchain_gptoss.ingest.readers.tables.values import (
    classify_value,
    describe_shape,
    find_common_kind,
    find_common_shape,
    has_name_word,
    is_total,
    is_year,
)

_MAX_NAME_CHARS = 60
_MAX_NAME_WORDS = 5
_MIN_FIELDS = 2  # names of fields in the first column that leave no doubt
_MIN_ROWS = 2  # rows that can be a name and a value, or two fields


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
        return has_name_word(names[0]) and not has_name_word(values[0])
    return _has_fields(grid, names, values)


def _has_fields(grid: Grid, names: list[str], values: list[str]) -> bool:
    header = grid.rows[0]
    if all(grid.headers.get(row) == frozenset({0}) for row in range(len(grid.rows))):
        return True  # the file marks the names of the fields
    fields = [name for name in names if has_name_word(name) and not is_total(name)]
    if len(fields) >= _MIN_FIELDS and not has_name_word(header[1]) and not is_year(header[1]):
        return not is_marked(grid, 0)
    common = find_common_kind(values[1:])
    if common not in ("text", "none"):
        return count_header_rows(grid) == 0
    # Without a sign of a header, "Port: Brest" misreads less than "Port: Phone" does.
    if is_marked(grid, 0) or all(map(has_name_word, header)):
        return False
    if any(len(name.split()) > _MAX_NAME_WORDS or name.endswith((".", "?", "!", ",")) for name in names):
        return False  # columns of text
    is_named = any(map(has_name_word, header)) and not any(char.isdigit() for text in header for char in text)
    if is_named and not any(map(has_name_word, names[1:])):
        return False
    # "Captain" above "Mara Lind" and "Pavel Novak" is a name; fields have values of many shapes.
    shape = find_common_shape(values[1:])
    return (
        len(values) <= _MIN_ROWS or shape is None or shape == describe_shape(values[0]) or shape[1:3] != (False, False)
    )
