"""Bands of rows between blank rows, and which of them are one table."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from langchain_gptoss.ingest.readers.tables.grid import Grid, join_grids
from langchain_gptoss.ingest.readers.tables.headers import count_header_rows, find_column_kinds, judge_header


def is_text(grid: Grid) -> bool:
    """Return True if every row is one cell, in a sheet with several columns."""
    return grid.width > 1 and all(len(grid.list_cells(row)) == 1 for row in range(len(grid.rows)))


def join_bands(bands: Sequence[Grid]) -> Iterator[Grid]:
    """Join bands that are one table with blank rows between them."""
    current: _Table | None = None
    for band in bands:
        if current is not None and not is_text(band) and current.add(band):
            continue
        if current is not None:
            yield join_grids(current.bands)
        current = None if is_text(band) else _Table(band)
        if current is None:
            yield band
    if current is not None:
        yield join_grids(current.bands)


class _Table:
    """Bands that are one table.

    Args:
        first: The first band.
    """

    def __init__(self, first: Grid) -> None:
        self.bands = [first]
        self._last_column = first.find_used_columns()[-1]
        self._is_header = len(first.rows) == 1  # names with a blank row below them
        self._describe(first)

    def _describe(self, grid: Grid) -> None:
        self._names = count_header_rows(grid)
        self._header = grid.rows[: self._names]
        self._kinds = find_column_kinds(grid, self._names)
        self._values = [{grid.get_text(row, column) for row in range(len(grid.rows))} for column in range(grid.width)]

    def add(self, band: Grid) -> bool:
        """Add a band, or return False if it is a table of its own."""
        if band.find_used_columns()[-1] > self._last_column:
            return False
        if self._is_header:
            joined = join_grids([*self.bands, band])
            if not count_header_rows(joined):
                return False
            self._describe(joined)
            self._is_header = False
        elif not self._is_continued_by(band):
            return False
        self.bands.append(band)
        for values, column in zip(self._values, zip(*band.rows, strict=True), strict=True):
            values.update(column)
        return True

    def _is_continued_by(self, band: Grid) -> bool:
        if self._names and band.rows[: self._names] == self._header:
            return True  # a header that is printed again
        if judge_header(band) == "certain":
            return False
        pairs = [pair for pair in zip(self._kinds, find_column_kinds(band, 0), strict=True) if "none" not in pair]
        if 2 * sum(one != other for one, other in pairs) > len(pairs):
            return False
        has_kinds = any(one != "text" for one, _ in pairs)
        return len(band.rows) == 1 or has_kinds or self._has_values_of(band)

    def _has_values_of(self, band: Grid) -> bool:
        return any(text in values for row in band.rows for values, text in zip(self._values, row, strict=True) if text)
