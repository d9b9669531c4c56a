"""Grid of cells, as a file lays them out, before it is known which of them are names, values or titles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

Merge = tuple[int, int, int, int]
"""Merged cells: the first row, the first column, the last row, the last column."""

_MAX_COLSPAN = 100  # tables that people read are narrower; a page of huge spans must not fill the memory


@dataclass(frozen=True, kw_only=True)
class Cell:
    """A cell as HTML, Word and PowerPoint store it: the positions that it covers have no cell of their own.

    Attributes:
        text: Its text.
        rowspan: Number of rows that it covers.
        colspan: Number of columns that it covers.
        is_header: True if the file marks it as a header, by `<th>` or bold text.
    """

    text: str
    rowspan: int = 1
    colspan: int = 1
    is_header: bool = False


@dataclass(frozen=True, kw_only=True)
class Grid:
    """Rows of texts. Every position of a merged cell holds its text.

    Attributes:
        rows: The rows; positions behind the end of a row are empty.
        merges: The merged cells.
        headers: By row, the columns of the cells that the file marks as headers.
        header_count: Number of header rows if the file states it, else None.
    """

    rows: list[list[str]]
    merges: tuple[Merge, ...] = ()
    headers: Mapping[int, frozenset[int]] = field(default_factory=dict)
    header_count: int | None = None

    @cached_property
    def width(self) -> int:
        """Number of columns."""
        return max(map(len, self.rows), default=0)

    @cached_property
    def repeated_columns(self) -> dict[int, frozenset[int]]:
        """Columns of each row that only repeat the merged cell to their left."""
        columns: dict[int, set[int]] = {}
        for top, left, bottom, right in self.merges:
            if right > left:
                for row in range(top, bottom + 1):
                    columns.setdefault(row, set()).update(range(left + 1, right + 1))
        return {row: frozenset(repeated) for row, repeated in columns.items()}

    @cached_property
    def _is_rectangular(self) -> bool:
        return all(len(row) == self.width for row in self.rows)

    @cached_property
    def _merges_by_row(self) -> dict[int, list[Merge]]:
        merges: dict[int, list[Merge]] = {}
        for merge in self.merges:
            for row in range(merge[0], merge[2] + 1):
                merges.setdefault(row, []).append(merge)
        return merges

    def get_text(self, row: int, column: int) -> str:
        """Return the text of a position, "" outside of the grid."""
        cells = self.rows[row]
        return cells[column] if column < len(cells) else ""

    def list_cells(self, row: int) -> list[tuple[int, str]]:
        """Return the columns and texts of the cells with text in a row; a merged cell counts once."""
        repeated = self.repeated_columns.get(row, frozenset())
        return [(column, text) for column, text in enumerate(self.rows[row]) if text and column not in repeated]

    def list_merges(self, row: int) -> list[Merge]:
        """Return the merged cells that cover a part of a row."""
        return self._merges_by_row.get(row, [])

    def find_used_columns(self) -> list[int]:
        """Return the columns that have text of their own, in order."""
        used: set[int] = set()
        for row, cells in enumerate(self.rows):
            repeated = self.repeated_columns.get(row, frozenset())
            used.update(column for column, text in enumerate(cells) if text and column not in repeated)
        return sorted(used)

    def select(self, rows: Sequence[int], columns: Sequence[int]) -> Grid:
        """Return some rows and columns of the grid, in order. The parts of merged cells in them stay merged."""
        if len(rows) == len(self.rows) and len(columns) == self.width and self._is_rectangular:
            return self
        row_places = {row: number for number, row in enumerate(rows)}
        column_places = {column: number for number, column in enumerate(columns)}
        merges = []
        for merge in dict.fromkeys(merge for row in rows for merge in self.list_merges(row)):
            places = _find_places(merge[0], merge[2], row_places), _find_places(merge[1], merge[3], column_places)
            (top, bottom), (left, right) = places
            if left >= 0 and (bottom > top or right > left):
                merges.append((top, left, bottom, right))
        return Grid(
            rows=[_select_columns(self.rows[row], columns) for row in rows],
            merges=tuple(merges),
            headers={
                row_places[row]: frozenset(column_places[c] for c in self.headers[row] if c in column_places)
                for row in rows
                if row in self.headers
            },
            header_count=None if self.header_count is None else sum(row < self.header_count for row in rows),
        )

    def select_rows(self, rows: Sequence[int]) -> Grid:
        """Return some rows of the grid, in order."""
        return self.select(rows, range(self.width))

    def find_filled_rows(self) -> list[int]:
        """Return the rows that have text."""
        return [number for number, row in enumerate(self.rows) if any(row)]


def _select_columns(cells: list[str], columns: Sequence[int]) -> list[str]:
    if not columns:
        return []
    first, last = columns[0], columns[-1]
    if last - first + 1 == len(columns):  # without a gap
        selected = cells[first : last + 1]
        return selected + [""] * (len(columns) - len(selected))
    return [cells[column] if column < len(cells) else "" for column in columns]


def _find_places(first: int, last: int, places: Mapping[int, int]) -> tuple[int, int]:
    """Return the first and the last place of the lines from `first` to `last`, -1 if none is left."""
    found = [places[line] for line in range(first, last + 1) if line in places]
    return (found[0], found[-1]) if found else (-1, -1)


def join_grids(grids: Sequence[Grid]) -> Grid:
    """Return grids with the same columns below each other."""
    rows: list[list[str]] = []
    merges: list[Merge] = []
    headers: dict[int, frozenset[int]] = {}
    for grid in grids:
        shift = len(rows)
        merges += [(top + shift, left, bottom + shift, right) for top, left, bottom, right in grid.merges]
        headers |= {row + shift: columns for row, columns in grid.headers.items()}
        rows += grid.rows
    return Grid(rows=rows, merges=tuple(merges), headers=headers, header_count=grids[0].header_count)


def create_grid(rows: Iterable[Sequence[Cell]], *, header_count: int | None = None) -> Grid:
    """Lay out cells that cover several rows or columns: their text fills every position.

    Args:
        rows: The rows of cells, without cells for the positions that a cell above or to the left covers.
        header_count: Number of header rows if the file states it.
    """
    cells_by_row = list(rows)
    placed = list(_place_cells(cells_by_row))
    # A title often spans more columns than there are, such as colspan="100".
    width = max((column + 1 for _, column, _ in placed), default=0)
    grid = [[""] * width for _ in cells_by_row]
    merges: list[Merge] = []
    headers: dict[int, set[int]] = {}
    for row, column, cell in placed:
        bottom = min(row + max(cell.rowspan, 1), len(grid)) - 1
        right = min(column + _limit_colspan(cell), width) - 1
        if (bottom, right) != (row, column):
            merges.append((row, column, bottom, right))
        text = " ".join(cell.text.split())
        for line in range(row, bottom + 1):
            grid[line][column : right + 1] = [text] * (right + 1 - column)
            if cell.is_header:
                headers.setdefault(line, set()).update(range(column, right + 1))
    return Grid(
        rows=grid,
        merges=tuple(merges),
        headers={row: frozenset(columns) for row, columns in headers.items()},
        header_count=header_count,
    )


def _limit_colspan(cell: Cell) -> int:
    return min(max(cell.colspan, 1), _MAX_COLSPAN)


def _place_cells(rows: Sequence[Sequence[Cell]]) -> Iterator[tuple[int, int, Cell]]:
    """Yield the row and the first column of each cell (HTML standard, 4.9.12.1)."""
    covered_until: dict[int, int] = {}  # by column: the row before which a cell above covers it
    for row, cells in enumerate(rows):
        column = 0
        for cell in cells:
            while covered_until.get(column, 0) > row:
                column += 1
            yield row, column, cell
            end = column + _limit_colspan(cell)
            if cell.rowspan > 1:
                covered_until.update(dict.fromkeys(range(column, end), row + cell.rowspan))
            column = end
