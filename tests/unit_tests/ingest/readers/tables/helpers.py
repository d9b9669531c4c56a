"""Grids and tables written as short texts."""

from langchain_gptoss.ingest.readers.budget import SizeBudget
from langchain_gptoss.ingest.readers.tables.detection import find_tables
from langchain_gptoss.ingest.readers.tables.grid import Grid
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets


def parse_grid(text, *, merges=(), headers=()):
    rows = [[cell.strip() for cell in line.split("|")] for line in text.strip("\n").splitlines()]
    return Grid(rows=rows, merges=tuple(merges), headers=dict(headers))


def show_sheet(text, **options):
    """Return the lines of the text of a sheet that is not empty."""
    shown, _ = format_sheets([("", find_tables(parse_grid(text, **options)))], SizeBudget(1_000_000))
    return [line for line in shown.splitlines() if line]
