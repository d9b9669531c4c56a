"""Tables of a grid: where they begin and end, their titles, names, rows and notes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby

from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import (
    count_header_rows,
    find_column_kinds,
    find_modal_fill,
    join_header_rows,
    judge_header,
)
from langchain_gptoss.ingest.readers.tables.records import is_record_sheet
from langchain_gptoss.ingest.readers.tables.rows import create_rows
from langchain_gptoss.ingest.readers.tables.table import Table
from langchain_gptoss.ingest.readers.tables.values import is_note

_MAX_TITLE_ROWS = 12


def find_tables(grid: Grid) -> list[Table]:
    """Return the tables of a sheet, which blank rows and columns separate."""
    width = grid.width
    padded = replace(grid, rows=[row if len(row) == width else row + [""] * (width - len(row)) for row in grid.rows])
    return [table for part in _split_columns(padded) for table in _read_part(part)]


def create_table(grid: Grid) -> Table:
    """Return the table of a grid that holds one table, such as one of a web page."""
    filled = _drop_blank_columns(_drop_blank_rows(grid))
    return _read_table(filled, []) if filled.rows else Table()


def _split_columns(grid: Grid) -> Iterator[Grid]:
    """Yield the parts of a grid that blank columns separate.

    A blank column within a table only makes room: the parts beside it begin in the same row, and one has one column.
    """
    used = [False] * grid.width
    for row in grid.rows:
        for column, text in enumerate(row):
            if text:
                used[column] = True
    runs = [list(run) for is_used, run in groupby(range(grid.width), key=used.__getitem__) if is_used]
    parts: list[list[int]] = []
    for run in runs:
        if parts and not _are_separate(grid, parts[-1], run):
            parts[-1] += run
        else:
            parts.append(run)
    for part in parts:
        cropped = grid.crop(0, len(grid.rows), part[0], part[-1] + 1)
        yield _drop_blank_rows_around(_drop_blank_columns(cropped))


def _are_separate(grid: Grid, left: Sequence[int], right: Sequence[int]) -> bool:
    rows = [
        [number for number, row in enumerate(grid.rows) if any(row[part[0] : part[-1] + 1])] for part in (left, right)
    ]
    same_rows = len(set(rows[0]) ^ set(rows[1])) * 4 <= max(len(rows[0]), len(rows[1]))
    return not (same_rows and min(len(left), len(right)) == 1)


def _drop_blank_columns(grid: Grid) -> Grid:
    used = sorted({column for row in grid.rows for column, text in enumerate(row) if text})
    if len(used) == grid.width:
        return grid
    position = {column: number for number, column in enumerate(used)}
    merges = []
    for top, left, bottom, right in grid.merges:
        columns = [position[column] for column in range(left, right + 1) if column in position]
        if columns and (bottom > top or len(columns) > 1):
            merges.append((top, columns[0], bottom, columns[-1]))
    return replace(
        grid,
        rows=[[row[column] if column < len(row) else "" for column in used] for row in grid.rows],
        merges=tuple(merges),
        headers=frozenset((row, position[column]) for row, column in grid.headers if column in position),
    )


def _drop_blank_rows_around(grid: Grid) -> Grid:
    filled = [number for number, row in enumerate(grid.rows) if any(row)]
    return grid.crop(filled[0], filled[-1] + 1, 0, grid.width) if filled else grid.crop(0, 0, 0, 0)


def _drop_blank_rows(grid: Grid) -> Grid:
    bands = list(_split_rows(grid))
    if not bands:
        return grid.crop(0, 0, 0, 0)
    joined = bands[0]
    for band in bands[1:]:
        joined = joined.append(band)
    return joined


def _split_rows(grid: Grid) -> Iterator[Grid]:
    """Yield the parts of a grid that blank rows separate."""
    for is_filled, run in groupby(range(len(grid.rows)), key=lambda row: any(grid.rows[row])):
        if is_filled:
            rows = list(run)
            yield grid.crop(rows[0], rows[-1] + 1, 0, grid.width)


def _read_part(grid: Grid) -> list[Table]:
    """Return the tables of a part of a sheet that no blank column separates as a whole."""
    bands = list(_split_rows(grid))
    if len(bands) > 1:
        parts = [list(_split_columns(band)) for band in bands]
        if any(len(columns) > 1 for columns in parts):
            return [table for columns in parts for part in columns for table in _read_part(part)]
    tables: list[Table] = []
    lines: list[str] = []  # above the next table
    for band in _join_bands(bands):
        if _is_text(band):
            texts = [text for row in range(len(band.rows)) for _, text in band.list_cells(row)]
            if tables and all(map(is_note, texts)):
                tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *texts))
            else:
                lines += texts
        else:
            tables.append(_read_table(_drop_blank_columns(band), lines))
            lines = []
    if lines and tables:
        tables[-1] = replace(tables[-1], notes=(*tables[-1].notes, *lines))
    elif lines:
        tables.append(Table(notes=tuple(lines)))
    return tables


def _is_text(grid: Grid) -> bool:
    """Return True if every row is one cell, in a sheet with several columns."""
    return grid.width > 1 and all(len(grid.list_cells(row)) == 1 for row in range(len(grid.rows)))


def _join_bands(bands: Sequence[Grid]) -> Iterator[Grid]:
    """Join bands of rows that are one table with blank rows between them."""
    current: Grid | None = None
    for band in bands:
        if current is not None and not _is_text(current) and not _is_text(band):
            joined = _join(current, band)
            if joined is not None:
                current = joined
                continue
        if current is not None:
            yield current
        current = band
    if current is not None:
        yield current


def _join(above: Grid, below: Grid) -> Grid | None:
    """Return two bands as one table, None if the lower one is a table of its own."""
    if _list_filled_columns(above)[-1] < _list_filled_columns(below)[-1]:
        return None
    joined = above.append(below)
    if len(above.rows) == 1:  # the names, with a blank row below them
        return joined if count_header_rows(joined) else None
    names = count_header_rows(above)
    if names and below.rows[:names] == above.rows[:names]:  # a header that is printed again
        return joined
    if judge_header(below) == "certain":
        return None
    kinds, other_kinds = find_column_kinds(above, names), find_column_kinds(below, 0)
    pairs = [(one, other) for one, other in zip(kinds, other_kinds, strict=False) if "none" not in (one, other)]
    if any(one != other for one, other in pairs):
        return None
    if len(below.rows) == 1 or any(one != "text" for one, _ in pairs) or _share_values(above, below):
        return joined
    return None


def _list_filled_columns(grid: Grid) -> list[int]:
    return sorted({column for row in grid.rows for column, text in enumerate(row) if text})


def _share_values(above: Grid, below: Grid) -> bool:
    """Return True if a value of a column occurs above and below."""
    return any(
        {grid_row[column] for grid_row in above.rows if column < len(grid_row)}
        & {row[column] for row in below.rows if column < len(row) and row[column]}
        for column in range(below.width)
    )


def _read_table(grid: Grid, lines: Sequence[str]) -> Table:
    """Return the table of rows without blank rows and columns."""
    titles, top = _read_titles(grid)
    bottom = _find_notes(grid, top)
    notes = [text for row in range(bottom, len(grid.rows)) for _, text in grid.list_cells(row)]
    body = grid.crop(top, bottom, 0, grid.width)
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
    if not is_sparse or any(top <= row <= bottom for top, _, bottom, _ in grid.merges):
        return False
    below = grid.crop(row + 1, len(grid.rows), 0, grid.width)
    return any(
        len(below.list_cells(other)) >= modal_fill and judge_header(below, other) == "certain"
        for other in range(min(_MAX_TITLE_ROWS, len(below.rows)))
    )


def _is_group_head(grid: Grid, row: int, column: int) -> bool:
    """Return True if the only cell of a row names columns below it, as "2024" above Q1 and Q2 does."""
    for top, left, bottom, right in grid.merges:
        if top <= row <= bottom and left == column:
            return left > 0 or right < grid.width - 1
    return column > 0 and len(grid.get_text(row, column)) <= 30 and bool(grid.get_text(row + 1, column))


def _find_notes(grid: Grid, top: int) -> int:
    """Return the row at which the notes below a table begin."""
    bottom = len(grid.rows)
    while bottom - 1 > top and grid.width > 1:
        cells = grid.list_cells(bottom - 1)
        is_line = len(cells) == 1 and cells[0][0] == 0
        spans_table = len(grid.repeated_columns.get(bottom - 1, ())) == grid.width - 1
        if not is_line or not (spans_table or is_note(cells[0][1])):
            break
        bottom -= 1
    return bottom
