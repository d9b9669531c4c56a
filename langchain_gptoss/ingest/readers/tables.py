"""Reader of CSV, and the text form of tables that spreadsheets share.

A row becomes "column: value; column: value", because a chunk of bare values says nothing without the table's header.
"""

import csv
import io
from collections.abc import Iterable, Iterator

from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text

_DELIMITERS = (",", ";", "\t", "|")


def read_csv(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a table as a list, one item per row."""
    decoded = decode_text(data)
    text = decoded.text
    try:
        rows = [[" ".join(cell.split()) for cell in row] for row in csv.reader(io.StringIO(text), _find_dialect(text))]
    except csv.Error as error:
        raise UnreadableFileError(f"it is not readable CSV ({error}); export it again") from None
    return ExtractedText([format_rows(rows)], metadata=decoded.metadata, warnings=decoded.warnings)


def _find_dialect(text: str) -> type[csv.Dialect]:
    # csv.Sniffer takes quadratic time on some texts and may choose a letter as the delimiter.
    header = next((line for line in text.splitlines() if line.strip()), "")
    best = max(_DELIMITERS, key=lambda delimiter: len(next(csv.reader([header], delimiter=delimiter), [])))

    class FileDialect(csv.excel):
        delimiter = best

    return FileDialect


def format_rows(rows: Iterable[list[str]]) -> str:
    """Format a table as list items, each row with its column names if the first row has names."""
    filled_rows = [row for row in rows if any(row)]
    if not filled_rows:
        return ""
    names = filled_rows[0] if len(filled_rows) > 1 and _is_header(filled_rows[0]) else None
    if names is None:
        return "\n".join(f"- {'; '.join(filter(None, row))}" for row in filled_rows)
    return "\n".join(f"- {'; '.join(_label_values(names, row))}" for row in filled_rows[1:])


def _is_header(row: list[str]) -> bool:
    names = [name for name in row if name]
    return len(set(names)) == len(names) and not any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    return not text.strip("0123456789.,-+%/: ")


def _label_values(names: list[str], row: list[str]) -> Iterator[str]:
    for column, value in enumerate(row):
        if value:
            name = names[column] if column < len(names) else ""
            yield f"{name}: {value}" if name else value
