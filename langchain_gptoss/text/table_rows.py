"""Rows of Markdown pipe tables, read together with the names of their columns."""

from __future__ import annotations

import re

# GitHub-flavoured Markdown 4.10: the delimiter row. At least one pipe, so that a line under a heading is none.
_DELIMITER_ROW = re.compile(r"(?=[^|]*\|)[ \t]*\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*")
_CELL_BORDER = re.compile(r"(?<!\\)\|")
_CAPTION_END = re.compile(r"[:.!?](?=\s)")
_MAX_ROWS_ABOVE = 2000


def describe_table_row(text: str, start: int, end: int, *, lead_in: str = "") -> str:
    """Return a row of a pipe table with the name of each value: "Vehicle: Car; Season: Winter; Fare: 31 EUR".

    Args:
        text: The text with the table.
        start: Offset of the row's first character, or of any character of the row.
        end: Offset after its last character. A span of several lines is read by its first line.
        lead_in: The lead-in of the text. If the table begins in an earlier chunk it ends with the names of the columns.

    Returns:
        The row, or "" if the span is in no table, in its header, or in a table without names.
    """
    line_start, line_end = _find_line(text, start)
    row = text[line_start:line_end]
    if end <= line_start or not _CELL_BORDER.search(row) or _is_delimiter_row(row):
        return ""
    if line_end < len(text) and _is_delimiter_row(text[slice(*_find_line(text, line_end + 1))]):
        return ""  # the header
    values = _split_cells(row)
    names = _find_names(text, line_start)
    if names is None:
        names = _split_cells(lead_in[len(remove_column_names(lead_in)) :])
        if len(names) < 2 or len(names) != len(values):
            return ""
    return "; ".join(_label_values(names, values))


def remove_column_names(lead_in: str) -> str:
    """Return a lead-in without the names of columns at its end: "Fares of the lines:" for "Fares of the lines: A | B".

    A caption without a punctuation mark at its end cannot be told from the first name, and is removed with it.
    """
    border = _CELL_BORDER.search(lead_in)
    if border is None:
        return lead_in
    ends = [match.end() for match in _CAPTION_END.finditer(lead_in, 0, border.start())]
    return lead_in[: ends[-1]] if ends else ""


def _is_delimiter_row(line: str) -> bool:
    return _DELIMITER_ROW.fullmatch(line.rstrip("\r")) is not None


def _label_values(names: list[str], values: list[str]) -> list[str]:
    padded = names + [""] * (len(values) - len(names))
    return [
        f"{name.rstrip(' :')}: {value}" if name else value for name, value in zip(padded, values, strict=False) if value
    ]


def _find_line(text: str, at: int) -> tuple[int, int]:
    line_start = text.rfind("\n", 0, at) + 1
    line_end = text.find("\n", line_start)
    return line_start, len(text) if line_end < 0 else line_end


def _find_names(text: str, line_start: int) -> list[str] | None:
    """Return the names above a row, None if the text has no header for it."""
    for _ in range(_MAX_ROWS_ABOVE):
        if not line_start:
            break
        line_start, line_end = _find_line(text, line_start - 1)
        line = text[line_start:line_end]
        if _is_delimiter_row(line):
            return _split_cells(text[slice(*_find_line(text, line_start - 1))]) if line_start else None
        if not _CELL_BORDER.search(line):
            break
    return None


def _split_cells(row: str) -> list[str]:
    row = row.strip()
    cells = _CELL_BORDER.split(row.removeprefix("|"))
    if row.endswith("|") and not row.endswith("\\|"):
        cells = cells[:-1]
    return [" ".join(cell.replace("\\|", "|").split()) for cell in cells]
