"""Reader of Excel workbooks."""

from __future__ import annotations

import io
import zipfile

from langchain_gptoss.ingest.readers.base import ExtractedText
from langchain_gptoss.ingest.readers.excel.workbook import read_workbook
from langchain_gptoss.ingest.readers.excel.worksheet import create_sheet_grid, describe_omissions, read_worksheet
from langchain_gptoss.ingest.readers.tables.detection import find_tables
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets
from langchain_gptoss.ingest.readers.tables.table import Table
from langchain_gptoss.ingest.readers.zip_files import explain_errors


def read_xlsx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the visible sheets of a workbook, each under its name, with one list item per row."""
    with explain_errors("Excel workbook (.xlsx)", data, max_bytes), zipfile.ZipFile(io.BytesIO(data)) as archive:
        workbook = read_workbook(archive)
        sheets: list[tuple[str, list[Table]]] = []
        warnings: list[str] = []
        for name, part in workbook.sheets:
            sheet = read_worksheet(workbook, part)
            sheets.append((" ".join(name.split()), find_tables(create_sheet_grid(sheet))))
            warnings += describe_omissions(name, sheet)
        text, headings = format_sheets(sheets)
    return ExtractedText([text], headings=[headings] if text else [], warnings=warnings)
