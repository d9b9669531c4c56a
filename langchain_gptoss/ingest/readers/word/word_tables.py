"""Tables of a Word document."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from xml.etree.ElementTree import Element

from langchain_gptoss.ingest.readers.markdown_blocks import Block, join_in_line
from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Cell, create_grid
from langchain_gptoss.ingest.readers.tables.table import format_as_list, format_as_pipes
from langchain_gptoss.ingest.readers.word.package import get_value, is_on

_CONTAINERS = {"sdt", "sdtContent", "customXml", "ins", "moveTo"}

ReadCell = Callable[[Element], list[Block]]


@dataclass(frozen=True, kw_only=True)
class _Place:
    """A cell, the column in which it begins, and whether it only continues the cell above it."""

    element: Element
    column: int
    colspan: int
    continues: bool


def format_word_table(table: Element, read_cell: ReadCell) -> Iterator[Block]:
    """Yield the blocks of a table: one Markdown table, or its texts if the table only arranges them.

    Args:
        table: The element.
        read_cell: Returns the blocks of a cell.
    """
    rows = [row for row in _iterate(table, "tr") if row.find("trPr/del") is None]
    places = [list(_place_cells(row)) for row in rows]
    if _is_layout(table, places):
        for row in places:
            for place in row:
                if not place.continues:
                    yield from read_cell(place.element)
        return
    header_count = 0
    while header_count < len(rows) and is_on(rows[header_count].find("trPr/tblHeader")):
        header_count += 1
    if header_count == len(rows):
        header_count = 0
    model = create_table(create_grid(_create_cells(places, read_cell), header_count=header_count or None))
    yield Block(text=format_as_list(model) if model.is_record else format_as_pipes(model))


def _iterate(element: Element, tag: str) -> Iterator[Element]:
    for child in element:
        if child.tag == tag:
            yield child
        elif child.tag in _CONTAINERS:
            yield from _iterate(child, tag)


def _place_cells(row: Element) -> Iterator[_Place]:
    column = _read_span(row, "trPr/gridBefore", 0)
    for cell in _iterate(row, "tc"):
        colspan = _read_span(cell, "tcPr/gridSpan", 1)
        vertical, horizontal = cell.find("tcPr/vMerge"), cell.find("tcPr/hMerge")
        is_merged = any(
            merge is not None and merge.get("val", "continue") == "continue" for merge in (vertical, horizontal)
        )
        yield _Place(element=cell, column=column, colspan=max(colspan, 1), continues=is_merged)
        column += max(colspan, 1)


def _read_span(element: Element, path: str, default: int) -> int:
    value = get_value(element, path)
    return int(value) if value.isdigit() else default


def _is_layout(table: Element, places: Sequence[Sequence[_Place]]) -> bool:
    if any(True for cell in table.iter("tc") for _ in cell.iter("tbl")):
        return True
    return len(places) < 2 or max(map(len, places)) < 2


def _create_cells(places: Sequence[Sequence[_Place]], read_cell: ReadCell) -> list[list[Cell]]:
    """Return the rows of cells; a cell that others continue covers their positions."""
    rows: list[list[Cell]] = []
    origins: dict[int, tuple[int, int]] = {}  # by column: the row and index of the cell that covers it
    for number, row in enumerate(places):
        cells: list[Cell] = []
        column = 0
        for place in row:
            if place.column > column:  # positions without a cell at the start of the row
                cells.append(Cell(text="", colspan=place.column - column))
            column = place.column + place.colspan
            if place.continues:
                _extend(rows, cells, origins, place, number)
                continue
            origins[place.column] = (number, len(cells))
            text = join_in_line(read_cell(place.element))
            cells.append(Cell(text=text, colspan=place.colspan, is_header=number == 0 and _is_bold(place.element)))
        rows.append(cells)
    return rows


def _extend(
    rows: list[list[Cell]],
    cells: list[Cell],
    origins: dict[int, tuple[int, int]],
    place: _Place,
    number: int,
) -> None:
    is_horizontal = place.element.find("tcPr/hMerge") is not None
    if is_horizontal and cells:
        cells[-1] = replace(cells[-1], colspan=cells[-1].colspan + place.colspan)
        return
    origin = origins.get(place.column)
    if origin is None:
        cells.append(Cell(text="", colspan=place.colspan))
        return
    row, index = origin
    rows[row][index] = replace(rows[row][index], rowspan=number - row + 1)


def _is_bold(cell: Element) -> bool:
    runs = [run for run in cell.iter("r") if any((text.text or "").strip() for text in run.iter("t"))]
    return bool(runs) and all(is_on(run.find("rPr/b")) for run in runs)
