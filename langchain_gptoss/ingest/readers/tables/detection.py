"""Tables of a grid: where they begin and end, their titles, names, rows and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from langchain_gptoss.ingest.readers.tables.bands import is_text, join_bands
from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import (
    count_header_rows,
    find_modal_fill,
    join_header_rows,
    judge_header,
)
from langchain_gptoss.ingest.readers.tables.records import is_record_sheet
from langchain_gptoss.ingest.readers.tables.rows import create_rows
from langchain_gptoss.ingest.readers.tables.table import Table
from langchain_gptoss.ingest.readers.tables.values import classify_value, is_note

_MAX_TITLE_ROWS = 12
_MAX_TITLE_SAMPLE = 200  # rows beside a possible title or note that are read
_MIN_NOTE_WORDS = 4
_MAX_DEPTH = 10  # of tables beside and below each other


def find_tables(grid: Grid) -> list[Table]:
    """Return the tables of a sheet, which blank rows and columns separate."""
    return [table for part in _split_columns(grid) for table in _read_part(part)]


def create_table(grid: Grid) -> Table:
    """Return the table of a grid that holds one table, such as one of a web page."""
    filled = grid.select(grid.find_filled_rows(), grid.find_used_columns())
    return _read_table(filled, []) if filled.rows else Table()


def _split_columns(grid: Grid) -> Iterator[Grid]:
    """Yield the parts of a grid that blank columns separate.

    A blank column within a table only makes room: the parts beside it have the same rows, and one has one column.
    """
    parts: list[list[int]] = []
    used = grid.find_used_columns()
    for column in used:
        if parts and column == parts[-1][-1] + 1:
            parts[-1].append(column)
        else:
            parts.append([column])
    joined = parts[:1]
    for part in parts[1:]:
        if _are_separate(grid, joined[-1], part):
            joined.append(part)
        else:
            joined[-1] = joined[-1] + part
    for part in joined:
        rows = [number for number in range(len(grid.rows)) if any(grid.get_text(number, column) for column in part)]
        yield grid.select(range(rows[0], rows[-1] + 1), part)


def _are_separate(grid: Grid, left: Sequence[int], right: Sequence[int]) -> bool:
    rows = [
        {number for number, row in enumerate(grid.rows) if any(row[part[0] : part[-1] + 1])} for part in (left, right)
    ]
    has_same_rows = len(rows[0] ^ rows[1]) * 4 <= max(map(len, rows))
    return not (has_same_rows and min(len(left), len(right)) == 1)


def _split_rows(grid: Grid) -> Iterator[Grid]:
    """Yield the parts of a grid that blank rows separate."""
    for is_filled, run in groupby(range(len(grid.rows)), key=lambda row: any(grid.rows[row])):
        if is_filled:
            yield grid.select_rows(list(run))


def _read_part(grid: Grid, depth: int = 0) -> list[Table]:
    """Return the tables of a part of a sheet that no blank column separates as a whole."""
    bands = list(_split_rows(grid))
    if len(bands) > 1 and depth < _MAX_DEPTH:
        parts = [list(_split_columns(band)) for band in bands]
        if any(len(columns) > 1 for columns in parts):
            return [table for columns in parts for part in columns for table in _read_part(part, depth + 1)]
    tables: list[Table] = []
    lines: list[str] = []  # above the next table
    for band in join_bands(bands):
        if is_text(band):
            texts = [text for row in range(len(band.rows)) for _, text in band.list_cells(row)]
            if tables and all(map(is_note, texts)):
                tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *texts))
            else:
                lines += texts
        else:
            columns = band.find_used_columns()
            tables += _read_tables(band.select(range(len(band.rows)), columns), lines)
            lines = []
    if lines and tables:
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *lines))
    elif lines:
        tables.append(Table(notes=tuple(lines)))
    return tables


def _read_tables(grid: Grid, lines: Sequence[str]) -> list[Table]:
    """Return the tables of rows without blank rows and columns.

    A line between the rows above a header that is printed again is the title of a table of its own.
    """
    starts = _find_repeated_starts(grid)
    ends = [*starts[1:], len(grid.rows)]
    return [
        _read_table(grid.select_rows(range(start, end)), [] if start else lines)
        for start, end in zip(starts, ends, strict=True)
    ]


def _find_repeated_starts(grid: Grid) -> list[int]:
    titles, top = _read_titles(grid)
    body = grid.select_rows(range(top, len(grid.rows)))
    header = body.rows[: count_header_rows(body)]
    if not titles or not header:
        return [0]
    rows = range(top + len(header), len(grid.rows) - len(header))
    repeated = [row for row in rows if grid.rows[row + 1 : row + 1 + len(header)] == header]
    return [0, *(row for row in repeated if len(grid.list_cells(row)) == 1)]


def _read_table(grid: Grid, lines: Sequence[str]) -> Table:
    """Return the table of rows without blank rows and columns."""
    titles, top = _read_titles(grid)
    bottom = _find_notes(grid, top)
    notes = [text for row in range(bottom, len(grid.rows)) for _, text in grid.list_cells(row)]
    body = grid.select_rows(range(top, bottom))
    is_record = body.header_count is None and is_record_sheet(body)
    header_count = 0 if is_record or not body.rows else count_header_rows(body)
    columns = join_header_rows(body, header_count) if header_count else ()
    rows, row_notes = create_rows(body, header_count)
    return Table(titles=(*lines, *titles), columns=columns, rows=rows, notes=(*row_notes, *notes), is_record=is_record)


def _read_titles(grid: Grid) -> tuple[list[str], int]:
    """Return the title lines at the top of a table and the number of their rows."""
    modal_fill = find_modal_fill(grid)
    titles: list[str] = []
    row = 0
    while (row < min(len(grid.rows) - 1, _MAX_TITLE_ROWS) and grid.header_count is None) or row == 0:
        cells = grid.list_cells(row)
        if not _is_title(grid, row, cells, modal_fill):
            break
        texts = [text for _, text in cells]
        titles.append(" ".join(texts) if texts[0].endswith(":") else "; ".join(texts))
        row += 1
    return titles, row


def _is_title(grid: Grid, row: int, cells: Sequence[tuple[int, str]], modal_fill: int) -> bool:
    if grid.width == 1 or row + 1 >= len(grid.rows):
        return False
    if len(cells) == 1:
        return not _is_group_head(grid, row, cells[0][0]) and modal_fill > 1
    # Lines such as "Export; 12 May" above a table that has more columns.
    is_sparse = 2 * len(cells) <= modal_fill and bool(cells) and cells[0][0] == 0
    if not is_sparse or grid.list_merges(row):
        return False
    below = grid.select_rows(range(row + 1, min(row + 1 + _MAX_TITLE_SAMPLE, len(grid.rows))))
    return any(
        len(below.list_cells(other)) >= modal_fill and judge_header(below, other) == "certain"
        for other in range(min(_MAX_TITLE_ROWS, len(below.rows)))
    )


def _is_group_head(grid: Grid, row: int, column: int) -> bool:
    """Return True if the only cell of a row names columns below it, as "2024" above Q1 and Q2 does."""
    for _, left, _, right in grid.list_merges(row):
        if left == column:
            return left > 0 or right < grid.width - 1
    # Without merged cells a short text above the second column can be the title, a year or quarter cannot.
    is_period = classify_value(grid.get_text(row, column)) in ("number", "date", "code")
    return column > 0 and is_period and bool(grid.get_text(row + 1, column))


def _find_notes(grid: Grid, top: int) -> int:
    """Return the row at which the notes below a table begin."""
    bottom = len(grid.rows)
    while bottom - 1 > top and grid.width > 1:
        cells = grid.list_cells(bottom - 1)
        is_line = len(cells) == 1 and cells[0][0] == 0
        spans_table = len(grid.repeated_columns.get(bottom - 1, ())) == grid.width - 1
        if not is_line or not (spans_table or is_note(cells[0][1]) or _is_longer(grid, top, bottom - 1)):
            break
        bottom -= 1
    return bottom


def _is_longer(grid: Grid, top: int, row: int) -> bool:
    """Return True if the first cell of a row has many more words than those above it have."""
    above = [len(grid.get_text(other, 0).split()) for other in range(max(top, row - _MAX_TITLE_SAMPLE), row)]
    words = len(grid.get_text(row, 0).split())
    return words >= _MIN_NOTE_WORDS and words > 2 * max(above, default=0)
