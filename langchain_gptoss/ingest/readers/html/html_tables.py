"""Tables of a page: data as Markdown tables, layout as the text of the cells."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from langchain_gptoss.ingest.readers.markdown_blocks import Block, escape_structure, join_in_line
from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Cell, create_grid
from langchain_gptoss.ingest.readers.tables.table import format_as_list, format_as_pipes

_SECTIONS = ("thead", "tbody", "tfoot")
_TABLE_TAGS = (*_SECTIONS, "caption", "colgroup", "col", "tr", "td", "th", "form")
_HEADINGS = ("h1", "h2", "h3", "h4", "h5", "h6")
_MAX_CELL_CHARS = 300  # longer texts in a table without headers are columns of a layout
_MAX_SPAN = 65534  # HTML standard, 4.9.11

RenderBlocks = Callable[[Any], list[Block]]


def render_table(table: Any, render_blocks: RenderBlocks) -> Iterator[Block]:
    """Yield the blocks of a table.

    Args:
        table: The element.
        render_blocks: Returns the blocks of an element.
    """
    for caption in table.iterchildren("caption"):
        yield from render_blocks(caption)
    rows = list(_iterate_rows(table))
    yield from _render_misplaced([table, *table.iterchildren(*_SECTIONS), *rows], render_blocks)
    cells = [list(row.iterchildren("td", "th")) for row in rows]
    if _is_layout(table, cells):
        for row in cells:
            for cell in row:
                yield from render_blocks(cell)
        return
    header_count = sum(row.getparent().tag == "thead" for row in rows)
    grid_rows = [[_create_cell(cell, render_blocks, len(rows)) for cell in row] for row in cells]
    model = create_table(create_grid(grid_rows, header_count=header_count or None))
    yield Block(text=format_as_list(model) if model.is_record else format_as_pipes(model))


def _iterate_rows(table: Any) -> Iterator[Any]:
    """Yield the rows in the order in which they are shown: the head first, the foot last."""
    sections: dict[str, list[Any]] = {name: [] for name in _SECTIONS}
    for row in table.iter("tr"):
        path = list(itertools.takewhile(lambda ancestor: ancestor is not table, row.iterancestors()))
        if not any(ancestor.tag in ("td", "th", "caption", "table") for ancestor in path):
            section = next((ancestor.tag for ancestor in path if ancestor.tag in _SECTIONS), "tbody")
            sections[section].append(row)
    for rows in sections.values():
        yield from rows


def _render_misplaced(parts: Sequence[Any], render_blocks: RenderBlocks) -> Iterator[Block]:
    """Yield what stands in a table outside of its cells; browsers show it above the table."""
    for part in parts:
        for text in (part.text, *(child.tail for child in part)):
            if text and text.strip():
                yield Block(text=escape_structure(" ".join(text.split())))
        for child in part:
            if isinstance(child.tag, str) and child.tag not in _TABLE_TAGS:
                yield from render_blocks(child)


def _is_layout(table: Any, cells: list[list[Any]]) -> bool:
    if table.get("role") in ("presentation", "none"):
        return True
    if any(True for _ in table.iterdescendants("table", *_HEADINGS)):
        return True
    if any(cell.tag == "th" for row in cells for cell in row):
        return False
    if max(map(len, cells), default=0) < 2 or len(cells) < 2:
        return True
    return any(len(" ".join(cell.text_content().split())) > _MAX_CELL_CHARS for row in cells for cell in row)


def _create_cell(cell: Any, render_blocks: RenderBlocks, row_count: int) -> Cell:
    rowspan = _read_span(cell.get("rowspan"))
    return Cell(
        text=join_in_line(render_blocks(cell)),
        rowspan=min(rowspan, row_count) if rowspan else row_count,  # 0 means all rows below
        colspan=_read_span(cell.get("colspan")) or 1,
        is_header=cell.tag == "th",
    )


def _read_span(value: str | None) -> int:
    text = (value or "1").strip()
    return min(int(text), _MAX_SPAN) if text.isascii() and text.isdigit() else 1
