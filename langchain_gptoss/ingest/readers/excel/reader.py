"""Reader of Excel workbooks."""

from __future__ import annotations

from langchain_gptoss.ingest.readers.base import ExtractedText
from langchain_gptoss.ingest.readers.budget import create_text_budget
from langchain_gptoss.ingest.readers.excel.workbook import read_workbook
from langchain_gptoss.ingest.readers.excel.worksheet import create_sheet_grid, describe_omissions, read_worksheet
from langchain_gptoss.ingest.readers.tables.detection import find_tables
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets
from langchain_gptoss.ingest.readers.tables.table import Table
from langchain_gptoss.ingest.readers.zip_files import open_archive


def read_xlsx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the visible sheets of a workbook, each under its name, with one list item per row."""
    with open_archive("Excel workbook (.xlsx)", data, max_bytes) as archive:
        budget = create_text_budget(data, max_bytes)
        workbook = read_workbook(archive)
        sheets: list[tuple[str, list[Table]]] = []
        warnings: list[str] = []
        for name, part in workbook.sheets:
            sheet = read_worksheet(workbook, part, budget)
            sheets.append((" ".join(name.split()), find_tables(create_sheet_grid(sheet, budget))))
            warnings += describe_omissions(name, sheet)
        text, headings = format_sheets(sheets, create_text_budget(data, max_bytes))
    return ExtractedText([text], headings=[headings] if text else [], warnings=warnings)
