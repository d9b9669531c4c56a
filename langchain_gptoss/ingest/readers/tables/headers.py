"""Header rows of a table, found by the agreement of the rows below them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.values import (
    classify_value,
    describe_shape,
    find_common_kind,
    find_common_shape,
    has_name_word,
    is_unit,
    is_year,
    parse_plain_number,
)

Verdict = Literal["certain", "likely", "no"]
"""Whether a row is a header: "likely" means that nothing speaks against it."""

_SAMPLE_ROWS = 200  # rows that are compared with a possible header, evenly spread
_MAX_HEADER_ROWS = 3
_MAX_NAME_CHARS = 60
_VALUE = re.compile(r"\d(?:[\s.-]?\d){4}|, |[?!]$|(?:\S+\s){3}.*\.$")  # long numbers, lists and sentences are no names
_PROPER = (2, False, False, True)  # two or three words with capital letters
_NUMBER_CHARS = re.compile(r"[\d.,\s+()-]+")
_MIN_SERIES = 3  # numbers that form a series, such as the sizes 36, 38, 40


def count_header_rows(grid: Grid) -> int:
    """Return the number of rows that name the columns, 0 if the table has no names."""
    if grid.header_count is not None:
        return min(grid.header_count, len(grid.rows) - 1)
    for count in range(min(_MAX_HEADER_ROWS, len(grid.rows) - 1), 1, -1):
        if all(_is_next_header_row(grid, row, count) for row in range(1, count)):
            last = count - 1
            # A row of units has no names: then the row above it must be the header.
            while last and _is_unit_row(grid, last):
                last -= 1
            if judge_header(grid, last, first_below=count) != "no":
                return count
    return 1 if len(grid.rows) > 1 and judge_header(grid) != "no" else 0


def judge_header(grid: Grid, row: int = 0, *, first_below: int | None = None) -> Verdict:
    """Judge if a row names the columns of the rows below it.

    A name has another kind than the values in its column, such as a text above numbers. If all values are texts, a
    value that occurs again below is no name, and words such as "price" are names.
    """
    below = _sample_rows(grid, row + 1 if first_below is None else first_below)
    cells = [(column, text) for column, text in enumerate(grid.rows[row]) if text]
    if not cells or not below:
        return "no"
    if is_marked(grid, row) and not all(is_marked(grid, other) for other in below):
        return "certain"
    columns = {column: [grid.get_text(other, column) for other in below] for column, _ in cells}
    is_series = _is_series_of_names(grid, row, below)
    signs = [_compare(text, columns[column], is_series=is_series) for column, text in cells]
    signs += _compare_with_texts(cells, columns)
    if sum(signs):
        return "certain" if sum(signs) > 0 else "no"
    verdict = _judge_texts(cells, columns, grid.width)
    return "no" if any(signs) and verdict == "likely" else verdict


def join_header_rows(grid: Grid, count: int) -> tuple[str, ...]:
    """Return the names of the columns: "2024 / Q1" from two rows, "Weight (kg)" with a row of units."""
    names: list[list[str]] = [[] for _ in range(grid.width)]
    for row in range(count):
        texts = [grid.get_text(row, column) for column in range(grid.width)]
        if row and _is_unit_row(grid, row):
            for parts, text in zip(names, texts, strict=True):
                _add_unit(parts, text)
            continue
        if row + 1 < count and not _is_unit_row(grid, row + 1):
            texts = _fill_group_heads(texts, grid, row)
        for parts, text in zip(names, texts, strict=True):
            if text and text not in parts:
                parts.append(text)
    return tuple(" / ".join(parts) for parts in names)


def _add_unit(parts: list[str], text: str) -> None:
    unit = text.strip("()[] ")
    if unit and parts and unit not in parts[-1].split():
        parts[-1] = f"{parts[-1]} ({unit})"
    elif unit and not parts:
        parts.append(unit)


def _fill_group_heads(texts: list[str], grid: Grid, row: int) -> list[str]:
    """Repeat a name that stands above several columns without being merged: "2024" above Q1 and Q2."""
    filled, head = [], ""
    for column, text in enumerate(texts):
        below = grid.get_text(row + 1, column)
        if text:
            head = text if below and below != text else ""
        filled.append(text or (head if below else ""))
    return filled


def _sample_rows(grid: Grid, first: int) -> Sequence[int]:
    step = max((len(grid.rows) - first) // _SAMPLE_ROWS, 1)
    return range(first, len(grid.rows), step)


def is_marked(grid: Grid, row: int) -> bool:
    """Return True if the file marks all cells with text in a row as headers."""
    marked = grid.headers.get(row, frozenset())
    return bool(marked) and all(column in marked for column, text in enumerate(grid.rows[row]) if text)


def _compare(name: str, values: Sequence[str], *, is_series: bool) -> int:
    """Return 1 if a text differs from the values below it as a name does, -1 if it is one of their kind, else 0."""
    kind, common = classify_value(name), find_common_kind(values)
    if common == "text":
        return -1 if _has_common_beginning(name, values) else 0
    if kind == "none" or common == "none":
        return 0
    if kind == "code" and common == "number":
        return 1  # such as "Q1"
    if kind == common or (kind, common) == ("number", "code"):
        is_name = kind == "number" and (is_series or _has_own_unit(name, values))
        return 1 if is_name else -1
    return 1


def _has_own_unit(name: str, values: Sequence[str]) -> bool:
    """Return True if a number has a unit that no value has, such as the discount "5 %" above prices."""
    unit = _NUMBER_CHARS.sub("", name)
    return bool(unit) and all(_NUMBER_CHARS.sub("", value) != unit for value in values)


def _compare_with_texts(cells: Sequence[tuple[int, str]], columns: dict[int, list[str]]) -> list[int]:
    """Return signs of numbers and times that stand above texts only, as rooms and hours do in a schedule."""
    found = [
        column
        for column, text in cells
        if classify_value(text) in ("number", "date", "time")
        and find_common_kind(columns[column], share=1.0) == "text"
        and all(classify_value(value) in ("text", "none") for value in columns[column])
    ]
    return [1] * len(found) if len(found) > 1 else []


def _has_common_beginning(name: str, values: Sequence[str]) -> bool:
    """Return True if most values begin with the first word of a text, as in "Plan A", "Plan B", "Plan C"."""
    texts = [value for value in values if value]
    first, *rest = name.split()
    return len(texts) > 1 and bool(rest) and 2 * sum(value.split()[0] == first for value in texts) > len(texts)


def _is_series_of_names(grid: Grid, row: int, below: Sequence[int]) -> bool:
    """Return True if the numbers in a row are years or sizes that name columns."""
    numbers = _list_numbers(grid, row)
    if not numbers or len(set(numbers)) != len(numbers):
        return False
    if all(is_year(text) for text in numbers):
        values = [text for other in below for text in _list_numbers(grid, other)]
        return 2 * sum(map(is_year, values)) < len(values)
    if not _is_progression(numbers):
        return False
    first = grid.get_text(row, 0)
    if not first or has_name_word(first):
        return True
    return 5 * sum(_is_progression(_list_numbers(grid, other)) for other in below) < len(below)


def _list_numbers(grid: Grid, row: int) -> list[str]:
    return [text for _, text in grid.list_cells(row) if classify_value(text) == "number"]


def _is_progression(texts: Sequence[str]) -> bool:
    numbers = [number for text in texts if (number := parse_plain_number(text)) is not None]
    if len(numbers) < _MIN_SERIES or len(numbers) != len(texts):
        return False
    steps = {round(after - before, 9) for before, after in pairwise(numbers)}
    return len(steps) == 1 and steps != {0}


def _judge_texts(cells: Sequence[tuple[int, str]], columns: dict[int, list[str]], width: int) -> Verdict:
    """Judge a row above columns whose kinds say nothing."""
    if 2 * len(cells) < width:
        return "no"
    for column, text in cells:
        kind = classify_value(text)
        if text in columns[column] or len(text) > _MAX_NAME_CHARS or kind in ("address", "choice"):
            return "no"
        if kind in ("number", "date", "time") or _VALUE.search(text):
            return "no"
    named = sum(has_name_word(text) for _, text in cells)
    if 2 * named >= len(cells):
        return "certain"
    # The names of people and places, such as "Mara Lind", above others of this shape are values.
    proper = [find_common_shape(columns[column]) == _PROPER == describe_shape(text) for column, text in cells]
    return "no" if width == 1 or any(proper) else "likely"


def _is_next_header_row(grid: Grid, row: int, count: int) -> bool:
    """Return True if a row belongs to the header that the row above it begins."""
    if _is_unit_row(grid, row):
        return row == count - 1
    if is_marked(grid, row) and is_marked(grid, row - 1):
        return not all(is_marked(grid, below) for below in _sample_rows(grid, count))
    if any(top < row for top, _, _, _ in grid.list_merges(row)):
        return True
    if any(right > left and bottom == row - 1 for _, left, bottom, right in grid.list_merges(row - 1)):
        return True
    return _has_open_group_heads(grid, row) and judge_header(grid, row, first_below=count) == "certain"


def _has_open_group_heads(grid: Grid, row: int) -> bool:
    """Return True if the row above has names only at the beginning of groups of columns."""
    above = [grid.get_text(row - 1, column) for column in range(grid.width)]
    here = [grid.get_text(row, column) for column in range(grid.width)]
    if above[0] and here[0]:
        return False
    first_head = next((column for column, text in enumerate(above) if text and here[column]), grid.width)
    return any(here[column] and not above[column] for column in range(first_head, grid.width))


def _is_unit_row(grid: Grid, row: int) -> bool:
    texts = [text for text in grid.rows[row] if text]
    return bool(texts) and all(map(is_unit, texts)) and grid.rows[row] != grid.rows[row - 1]


def find_column_kinds(grid: Grid, first_row: int) -> list[str]:
    """Return the common kind of the values of each column from a row on."""
    rows = _sample_rows(grid, first_row)
    return [find_common_kind(grid.get_text(row, column) for row in rows) for column in range(grid.width)]


def find_modal_fill(grid: Grid) -> int:
    """Return the number of cells that most rows have."""
    counts = Counter(len(grid.list_cells(row)) for row in _sample_rows(grid, 0))
    return max(counts, key=lambda fill: (counts[fill], fill))
