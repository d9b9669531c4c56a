"""Reader of CSV and other texts with delimiters."""

import csv
import io
import re
from collections import Counter
from typing import Literal

from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.budget import create_text_budget
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.readers.tables.detection import find_tables
from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.headers import judge_header
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets
from langchain_gptoss.ingest.readers.tables.table import Table

_DELIMITERS = "\t;|,"  # in the order of preference, if they agree equally well
# The first line of a file for Excel can state the delimiter: sep=;
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?[^\r\n]*(?:\r\n|\n|\r)', re.IGNORECASE)
_OTHER_COMMA = re.compile(r"(?<!\d),|,(?!\d)")  # than those of numbers
_COMMENT = re.compile(r"#\s*(?=\S)")
_MAX_LINES_IN_CELL = 100  # a cell with more lines begins with a quotation mark that does not open a quotation

_Rows = list[list[str]]


def read_csv(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the tables of a file as lists, one item per row."""
    decoded = decode_text(data)
    try:
        rows, comments = parse_rows(decoded.text)
    except csv.Error as error:
        raise UnreadableFileError(f"it is not readable CSV ({error}); export it again") from None
    tables = find_tables(Grid(rows=rows))
    if comments:
        tables.append(Table(notes=tuple(comments)))
    text, headings = format_sheets([("", tables)], create_text_budget(data, max_bytes))
    title = next((heading for _, heading in headings if heading), "")
    return ExtractedText(
        [text],
        title,
        headings=[headings] if title else [],
        metadata=decoded.metadata,
        warnings=decoded.warnings,
    )


def parse_rows(text: str) -> tuple[list[list[str]], list[str]]:
    """Return the cells of a text with delimiters, which all lines decide, and its comments.

    Raises:
        csv.Error: The text cannot be parsed.
    """
    separator = _SEPARATOR_LINE.match(text)
    if separator:
        rows = _parse(text[separator.end() :], separator[1])
        delimiter = separator[1]
    else:
        present = [delimiter for delimiter in _DELIMITERS if delimiter in text]
        parsed = {delimiter: _parse(text, delimiter) for delimiter in present or [","]}
        delimiter = _choose_delimiter(text, parsed)
        rows = parsed[delimiter]
    return _take_comments(rows, delimiter)


def _parse(text: str, delimiter: str) -> _Rows:
    rows = _parse_with(text, delimiter, quoting=csv.QUOTE_MINIMAL)
    if any(cell.count("\n") > _MAX_LINES_IN_CELL for row in rows for cell in row if "\n" in cell):
        rows = _parse_with(text, delimiter, quoting=csv.QUOTE_NONE)
    return [[" ".join(cell.split()) for cell in row] for row in rows]


def _parse_with(text: str, delimiter: str, *, quoting: Literal[0, 3]) -> _Rows:
    has_escapes = '\\"' in text and quoting == csv.QUOTE_MINIMAL
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter=delimiter,
        quoting=quoting,
        doublequote=not has_escapes,
        escapechar="\\" if has_escapes else None,
        skipinitialspace=delimiter != "\t",
    )
    return list(reader)


def _choose_delimiter(text: str, parsed: dict[str, _Rows]) -> str:
    """Return the delimiter by which most lines have the same number of cells."""
    scores = {delimiter: _score_agreement(rows) for delimiter, rows in parsed.items()}
    if ";" in scores and "," in scores and not _OTHER_COMMA.search(text):
        scores.pop(",")  # all commas are between digits
    best = max(score for score, _ in scores.values())
    candidates = [delimiter for delimiter, (score, _) in scores.items() if score > best - 0.1]
    return max(
        candidates, key=lambda delimiter: (scores[delimiter][0] * scores[delimiter][1], -_DELIMITERS.index(delimiter))
    )


def _score_agreement(rows: _Rows) -> tuple[float, int]:
    """Return the share of the rows that have the most frequent number of cells, and this number."""
    counts = Counter(len(row) for row in rows if any(row))
    counts_of_several = {count: number for count, number in counts.items() if count > 1}
    if not counts_of_several:
        return 0.0, 1
    width = max(counts_of_several, key=lambda count: (counts_of_several[count], count))
    return counts_of_several[width] / counts.total(), width


def _take_comments(rows: _Rows, delimiter: str) -> tuple[_Rows, list[str]]:
    """Separate the comments, which begin with "#", from the rows. A header can begin with this mark, too."""
    marked = [number for number, row in enumerate(rows) if row and _COMMENT.match(row[0])]
    first_row = next((number for number, row in enumerate(rows) if any(row) and number not in marked), len(rows))
    width = _score_agreement(rows)[1]
    comments = []
    for number in marked:
        row = rows[number]
        is_full = width > 1 and len(row) == width
        if is_full and number > first_row:
            continue  # a value such as "#1"
        text = _COMMENT.sub("", f"{delimiter} ".join(filter(None, row)), count=1)
        has_header_below = judge_header(Grid(rows=rows[first_row:])) == "certain" if first_row < len(rows) else True
        if is_full and number == first_row - 1 and not has_header_below:
            row[0] = _COMMENT.sub("", row[0], count=1)
        else:
            comments.append(text)
            rows[number] = []
    return rows, comments
