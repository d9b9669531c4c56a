"""Cells of a worksheet as a grid, as the reader of the sheet sees them."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from xml.etree import ElementTree

from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.budget import SizeBudget
from langchain_gptoss.ingest.readers.excel.display import format_text, format_value
from langchain_gptoss.ingest.readers.excel.package import (
    get_local_name,
    iterate_elements,
    parse_part,
    read_relationships,
    read_rich_text,
)
from langchain_gptoss.ingest.readers.excel.workbook import CellStyle, Workbook
from langchain_gptoss.ingest.readers.tables.grid import Grid, Merge

_REFERENCE = re.compile(r"([A-Z]{1,3})(\d{1,7})", re.IGNORECASE)
_MAX_FORMULA_CHARS = 200
_MAX_POSITIONS = 10_000_000  # of a grid that is mostly empty
_MAX_SPARSITY = 20  # positions per cell
_DEFAULT_STYLE = CellStyle()


@dataclass(kw_only=True)
class Worksheet:
    """The visible cells of a worksheet.

    Attributes:
        rows: Texts by row and column, counted from 1.
        headers: By row, the columns of bold cells and of headers of tables.
        merges: Merged cells.
        hidden_rows: Hidden rows.
        hidden_columns: Hidden columns, as first and last.
        missing: References of formulas without a stored value.
    """

    rows: dict[int, dict[int, str]] = field(default_factory=dict)
    headers: dict[int, set[int]] = field(default_factory=dict)
    merges: list[Merge] = field(default_factory=list)
    hidden_rows: set[int] = field(default_factory=set)
    hidden_columns: list[tuple[int, int]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def read_worksheet(workbook: Workbook, name: str, budget: SizeBudget) -> Worksheet:
    """Read the cells of a worksheet, whose texts count toward a budget: many cells can refer to one text."""
    sheet = Worksheet()
    reader = _CellReader(workbook, sheet, budget)
    row_number = 0
    for element in iterate_elements(workbook.archive, name):
        kind = get_local_name(element.tag)
        if kind == "row":
            row_number = int(element.get("r") or row_number + 1)
            if element.get("hidden") in ("1", "true"):
                sheet.hidden_rows.add(row_number)
            else:
                reader.read_row(row_number, element)
            element.clear()
        elif kind == "col" and element.get("hidden") in ("1", "true"):
            sheet.hidden_columns.append((int(element.get("min", "0")), int(element.get("max", "0"))))
        elif kind == "mergeCell":
            merge = parse_range(element.get("ref", ""))
            if merge is not None:
                sheet.merges.append(merge)
    _mark_table_headers(workbook, name, sheet)
    return sheet


def create_sheet_grid(sheet: Worksheet, budget: SizeBudget) -> Grid:
    """Return the visible cells of a worksheet as a grid, with one blank row or column for each gap.

    The texts of merged cells, which fill all their positions, count toward the budget.
    """
    rows = _number_lines(sorted(sheet.rows), sheet.hidden_rows)
    columns = _number_lines(
        sorted({column for cells in sheet.rows.values() for column in cells if not _is_hidden(column, sheet)}),
        {column for first, last in sheet.hidden_columns for column in range(first, min(last, first + 16_384) + 1)},
    )
    width, height = max(columns.values(), default=-1) + 1, max(rows.values(), default=-1) + 1
    if width * height > _MAX_POSITIONS and width * height > _MAX_SPARSITY * sum(map(len, sheet.rows.values())):
        raise UnreadableFileError("its cells are scattered over a sheet that is too large; move them together")
    grid = [[""] * width for _ in range(height)]
    for row, cells in sheet.rows.items():
        line = grid[rows[row]]
        for column, text in cells.items():
            if column in columns:
                line[columns[column]] = text
    merges = list(_fill_merges(sheet, grid, rows, columns, budget))
    headers = {
        rows[row]: frozenset(columns[column] for column in marked if column in columns)
        for row, marked in sheet.headers.items()
        if row in rows
    }
    return Grid(rows=grid, merges=tuple(merges), headers=headers)


def _fill_merges(
    sheet: Worksheet, grid: list[list[str]], rows: dict[int, int], columns: dict[int, int], budget: SizeBudget
) -> Iterator[Merge]:
    """Write the text of merged cells into the positions that they cover, and yield these."""
    used_rows, used_columns = list(rows), list(columns)
    remaining = sum(map(len, grid))  # merged cells of a valid file do not overlap
    for top, left, bottom, right in sheet.merges:
        text = sheet.rows.get(top, {}).get(left, "")
        covered_rows = used_rows[bisect_left(used_rows, top) : bisect_right(used_rows, bottom)]
        covered_columns = used_columns[bisect_left(used_columns, left) : bisect_right(used_columns, right)]
        if not text or not covered_rows or not covered_columns or len(covered_rows) * len(covered_columns) == 1:
            continue
        first, last = columns[covered_columns[0]], columns[covered_columns[-1]]
        remaining -= len(covered_rows) * (last - first + 1)
        if remaining < 0:
            break
        budget.charge(len(text) * len(covered_rows))
        for row in covered_rows:
            grid[rows[row]][first : last + 1] = [text] * (last + 1 - first)
        yield rows[covered_rows[0]], first, rows[covered_rows[-1]], last


def parse_range(reference: str) -> Merge | None:
    """Return the first row, first column, last row and last column of a range such as "A1:D2"; None if it is none."""
    corners = [_REFERENCE.fullmatch(part) for part in reference.replace("$", "").split(":")]
    if not corners or corners[0] is None or corners[-1] is None:
        return None
    return int(corners[0][2]), _number_column(corners[0][1]), int(corners[-1][2]), _number_column(corners[-1][1])


@lru_cache(maxsize=20_000)
def _number_column(letters: str) -> int:
    number = 0
    for letter in letters.upper():
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _number_lines(used: list[int], hidden: set[int]) -> dict[int, int]:
    """Return numbers of rows or columns from 0, with a number for each gap that is not only hidden."""
    numbers: dict[int, int] = {}
    at, previous = 0, None
    for line in used:
        if previous is not None:
            at += 1
            if line - previous > 1 and any(between not in hidden for between in range(previous + 1, line)):
                at += 1
        numbers[line] = at
        previous = line
    return numbers


def _is_hidden(column: int, sheet: Worksheet) -> bool:
    return any(first <= column <= last for first, last in sheet.hidden_columns)


def _mark_table_headers(workbook: Workbook, name: str, sheet: Worksheet) -> None:
    """Mark the header cells of ranges that the author made a table of Excel."""
    for kind, path in read_relationships(workbook.archive, name).values():
        if kind == "table":
            root = parse_part(workbook.archive, path)
            area = parse_range(root.get("ref", ""))
            if area is not None and root.get("headerRowCount", "1") != "0":
                columns = sheet.rows.get(area[0], {})
                marked = {column for column in columns if area[1] <= column <= area[3]}
                sheet.headers.setdefault(area[0], set()).update(marked)


class _CellReader:
    """Reads the cells of a row.

    Args:
        workbook: Texts and styles of the cells.
        sheet: Receives the cells.
        budget: Limits the texts of the cells.
    """

    def __init__(self, workbook: Workbook, sheet: Worksheet, budget: SizeBudget) -> None:
        self._budget = budget
        self._workbook = workbook
        self._sheet = sheet
        # Most values of a sheet occur several times.
        self._format = lru_cache(maxsize=50_000)(self._format_number)

    def read_row(self, number: int, row: ElementTree.Element) -> None:
        """Add the cells of a row that have a text."""
        cells: dict[int, str] = {}
        column = 0
        for cell in row:
            reference = cell.get("r", "").rstrip("0123456789")
            column = _number_column(reference) if reference else column + 1
            text = self._read_cell(cell, f"{reference}{number}")
            if text:
                self._budget.charge(len(text))
                cells[column] = text
                if self._get_style(cell).is_bold:
                    self._sheet.headers.setdefault(number, set()).add(column)
        if cells:
            self._sheet.rows[number] = cells

    def _get_style(self, cell: ElementTree.Element) -> CellStyle:
        number = int(cell.get("s") or 0)
        return self._workbook.styles[number] if number < len(self._workbook.styles) else _DEFAULT_STYLE

    def _read_cell(self, cell: ElementTree.Element, reference: str) -> str:
        kind = cell.get("t", "n")
        value: str | None = None
        formula: str | None = None
        for child in cell:
            name = get_local_name(child.tag)
            if name == "v":
                value = child.text
            elif name == "f":
                formula = child.text or ""
            elif name == "is":
                value = read_rich_text(child)
        if value is None or (not value and kind == "n"):
            return "" if formula is None or kind == "str" else self._describe_formula(formula, reference)
        return " ".join(self._show(kind, value, self._get_style(cell).code).split())

    def _describe_formula(self, formula: str, reference: str) -> str:
        self._sheet.missing.append(reference)
        text = " ".join(formula.split())
        shown = f"formula ={text}" if text and len(text) <= _MAX_FORMULA_CHARS else "formula"
        return f"({shown}, no stored value)"

    def _show(self, kind: str, value: str, code: str) -> str:
        if kind == "n":
            return self._format(value, code)
        if kind == "s":
            number = int(value)
            text = self._workbook.texts[number] if number < len(self._workbook.texts) else ""
            return format_text(text, code) if code not in ("General", "@") else text
        if kind == "b":
            return "TRUE" if value in ("1", "true") else "FALSE"
        return value if kind in ("e", "d") else format_text(value, code)

    def _format_number(self, value: str, code: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return value
        return format_value(number, code, is_1904=self._workbook.is_1904, language=self._workbook.language)


def describe_omissions(name: str, sheet: Worksheet) -> Iterator[str]:
    """Yield what a user should know about a sheet: parts that are left out and values that are not stored."""
    label = f'sheet "{name}"'
    if sheet.missing:
        shown = ", ".join(sheet.missing[:3]) + (" and others" if len(sheet.missing) > 3 else "")
        count = len(sheet.missing)
        yield (
            f"{label} has {count} formula{'s' if count > 1 else ''} without a stored value ({shown}); "
            f"open it in a spreadsheet program and save it"
        )
    hidden = [
        f"{count} hidden {word}{'s' if count > 1 else ''}"
        for count, word in ((len(sheet.hidden_rows), "row"), (_count_columns(sheet), "column"))
        if count
    ]
    if hidden:
        yield f"{' and '.join(hidden)} of {label} are left out"


def _count_columns(sheet: Worksheet) -> int:
    return sum(last - first + 1 for first, last in sheet.hidden_columns)
