"""Grid of cells, as a file lays them out, before it is known which of them are names, values or titles."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
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
        headers: Positions (row, column) of the cells that the file marks as headers.
        header_count: Number of header rows if the file states it, else None.
    """

    rows: list[list[str]]
    merges: tuple[Merge, ...] = ()
    headers: frozenset[tuple[int, int]] = field(default_factory=frozenset)
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

    def get_text(self, row: int, column: int) -> str:
        """Return the text of a position, "" outside of the grid."""
        cells = self.rows[row]
        return cells[column] if column < len(cells) else ""

    def list_cells(self, row: int) -> list[tuple[int, str]]:
        """Return the columns and texts of the cells with text in a row; a merged cell counts once."""
        repeated = self.repeated_columns.get(row, frozenset())
        return [(column, text) for column, text in enumerate(self.rows[row]) if text and column not in repeated]

    def crop(self, top: int, bottom: int, left: int, right: int) -> Grid:
        """Return the rows from `top` to before `bottom` and the columns from `left` to before `right`."""
        merges = (
            (max(first, top) - top, max(start, left) - left, min(last, bottom - 1) - top, min(end, right - 1) - left)
            for first, start, last, end in self.merges
            if first < bottom and last >= top and start < right and end >= left
        )
        headers = ((row - top, column - left) for row, column in self.headers)
        return Grid(
            rows=[row[left:right] for row in self.rows[top:bottom]],
            merges=tuple(merges),
            headers=frozenset(
                (row, column) for row, column in headers if 0 <= row < bottom - top and 0 <= column < right - left
            ),
            header_count=None if self.header_count is None else max(self.header_count - top, 0),
        )

    def append(self, other: Grid) -> Grid:
        """Return this grid with the rows of another one below."""
        shift = len(self.rows)
        return Grid(
            rows=self.rows + other.rows,
            merges=self.merges
            + tuple((top + shift, left, bottom + shift, right) for top, left, bottom, right in other.merges),
            headers=self.headers | {(row + shift, column) for row, column in other.headers},
            header_count=self.header_count,
        )


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
    headers: set[tuple[int, int]] = set()
    for row, column, cell in placed:
        bottom = min(row + max(cell.rowspan, 1), len(grid)) - 1
        right = min(column + _limit_colspan(cell), width) - 1
        if (bottom, right) != (row, column):
            merges.append((row, column, bottom, right))
        text = " ".join(cell.text.split())
        for line in range(row, bottom + 1):
            grid[line][column : right + 1] = [text] * (right + 1 - column)
            if cell.is_header:
                headers.update((line, covered) for covered in range(column, right + 1))
    return Grid(rows=grid, merges=tuple(merges), headers=frozenset(headers), header_count=header_count)


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
