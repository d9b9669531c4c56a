"""Tables that are drawn as text: their rows as lines that name the columns."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from langchain_gptoss.ingest.readers.pdf.lines import Line, get_enclosing_box, rebuild_line
from langchain_gptoss.ingest.readers.pdf.regions import Band, Region, group_bands, split_lines
from langchain_gptoss.ingest.readers.pdf.words import Word
from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import judge_header
from langchain_gptoss.ingest.readers.tables.table import format_as_list
from langchain_gptoss.ingest.readers.tables.values import classify_value, has_name_word

_MIN_ROWS = 3
_MIN_LIKELY_COLUMNS = 3  # two columns of texts are often terms and their explanations
_MIN_FULL_ROWS = 0.6  # share of rows with two cells at least
_MIN_SINGLE_LINES = 0.8  # rows of one line in a table without names
_MAX_CELL_CHARS = 100  # of the usual cell; text in columns has more
_MIN_ALIGNED = 0.7  # share of a column's cells that share an edge or their middle
_ALIGNED_POINTS = 3.0
_CLOSE_SHARE = 0.8  # of the distance between rows: a nearer line continues the row above


@dataclass(frozen=True, kw_only=True)
class _Row:
    cells: list[list[Word]]
    top: float


def find_table_lines(text: str, region: Region, bold: frozenset[int] = frozenset()) -> list[Line] | None:
    """Return the rows of a region as lines that name the columns, None if it is no table with names.

    Args:
        text: The text of the page.
        region: Bands with common gutters.
        bold: Offsets of the words in bold.
    """
    rows = list(_join_rows(text, region))
    filled = [row for row in rows if sum(map(bool, row.cells)) > 1]
    if len(rows) < _MIN_ROWS or len(filled) < _MIN_FULL_ROWS * len(rows):
        return None
    if not all(_is_aligned(column) for column in zip(*(row.cells for row in rows), strict=True)):
        return None
    grid = _create_grid(text, rows, bold)
    if median(len(cell) for row in grid.rows for cell in row if cell) > _MAX_CELL_CHARS:
        return None
    table = create_table(grid)
    is_sure = _has_sure_fields(grid, rows, bold) if table.is_record else bool(table.columns)
    if not is_sure or not (table.is_record or _has_sure_names(grid, len(table.titles))):
        return None
    formatted = [*table.titles, *format_as_list(table).split("\n"), *table.notes]
    box = get_enclosing_box(word.box for band in region.bands for word in band.words)
    return [Line(line, box, region.bands[0].words[:1]) for line in formatted]


def find_row_lines(text: str, region: Region) -> list[Line] | None:
    """Return the rows of a region as lines without names, None if cells have several lines.

    Args:
        text: The text of the page.
        region: Bands with common gutters.
    """
    rows = list(_join_rows(text, region))
    blocks = len(group_bands(region.bands))
    if len(rows) < len(region.bands) or 1 < blocks < _MIN_SINGLE_LINES * len(region.bands):
        return None
    lines = []
    for row in rows:
        words = [word for cell in row.cells for word in cell]
        cells = (_format_cell(text, cell) for cell in row.cells if cell)
        lines.append(Line(" ".join(cells), get_enclosing_box(word.box for word in words), words))
    return lines


def _create_grid(text: str, rows: Sequence[_Row], bold: frozenset[int]) -> Grid:
    headers = {
        number: frozenset(
            column for column, cell in enumerate(row.cells) if cell and all(word.start in bold for word in cell)
        )
        for number, row in enumerate(rows)
    }
    return Grid(rows=_move_labels([[_format_cell(text, cell) for cell in row.cells] for row in rows]), headers=headers)


def _move_labels(rows: list[list[str]]) -> list[list[str]]:
    """Return rows with a text above no text in the first column, such as a "Total" that stands beside its sum."""
    moved = []
    for row in rows:
        column = next((number for number, cell in enumerate(row) if cell), 0)
        values = [classify_value(other[column]) for other in rows if other is not row and other[0] and other[column]]
        if column and classify_value(row[column]) == "text" and 2 * values.count("number") > len(values):
            row = [row[column], *row[1:column], "", *row[column + 1 :]]
        moved.append(row)
    return moved


def _has_sure_fields(grid: Grid, rows: Sequence[_Row], bold: frozenset[int]) -> bool:
    """Return True if the first column surely names the values beside it: options of a program or code look alike."""
    if all(word.start in bold for row in rows for word in row.cells[0]):
        return True
    names = [row[0] for row in grid.rows if row[0]]
    return 2 * sum(name.endswith(":") or has_name_word(name) for name in names) >= len(names)


def _has_sure_names(grid: Grid, header_row: int) -> bool:
    """Return True if a row surely names the columns, or may name them in a table of several columns."""
    verdict = judge_header(grid, header_row) if header_row < len(grid.rows) - 1 else "no"
    return verdict == "certain" or (verdict == "likely" and grid.width >= _MIN_LIKELY_COLUMNS)


def _join_rows(text: str, region: Region) -> Iterator[_Row]:
    """Yield the rows: a line close below a row that fills some of its cells continues them."""
    rows = [row for group in group_bands(region.bands) for row in _create_rows(region, group)]
    steps = [above.top - below.top for above, below in pairwise(rows) if all(above.cells) and all(below.cells)]
    pitch = median(steps) if steps else 0.0
    current: _Row | None = None
    last_top = 0.0
    for row in rows:
        if current is not None and _is_continuation(text, current, row, last_top, pitch):
            current = _Row(
                cells=[[*above, *below] for above, below in zip(current.cells, row.cells, strict=True)], top=current.top
            )
        else:
            if current is not None:
                yield current
            current = row
        last_top = row.top
    if current is not None:
        yield current


def _create_rows(region: Region, bands: Sequence[Band]) -> list[_Row]:
    """Return the rows of lines that are close: one row if a single line has a first cell, or several cells."""
    rows = [_Row(cells=region.split_words(band.words), top=band.top) for band in bands]
    if min(sum(bool(row.cells[0]) for row in rows), sum(sum(map(bool, row.cells)) > 1 for row in rows)) > 1:
        return rows
    return [_Row(cells=region.split_words(word for band in bands for word in band.words), top=bands[0].top)]


def _is_continuation(text: str, above: _Row, row: _Row, last_top: float, pitch: float) -> bool:
    if all(row.cells) or any(cell and not upper for cell, upper in zip(row.cells, above.cells, strict=True)):
        return False
    if last_top - row.top < _CLOSE_SHARE * pitch:
        return True
    filled = [cell for cell in row.cells if cell]
    return len(filled) == 1 and not row.cells[0] and text[min(word.start for word in filled[0])].islower()


def _format_cell(text: str, words: Sequence[Word]) -> str:
    return " ".join(rebuild_line(text, line).text for line in split_lines(words))


def _is_aligned(cells: Sequence[Sequence[Word]]) -> bool:
    boxes = [get_enclosing_box(word.box for word in cell) for cell in cells if cell]
    if not boxes:
        return True
    edges = (
        [box.left for box in boxes],
        [box.right for box in boxes],
        [(box.left + box.right) / 2 for box in boxes],
    )
    return any(
        sum(abs(place - median(places)) <= _ALIGNED_POINTS for place in places) >= _MIN_ALIGNED * len(places)
        for places in edges
    )
