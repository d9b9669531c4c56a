"""Text and headings of sheets."""

from langchain_gptoss.ingest.readers.budget import SizeBudget
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets
from langchain_gptoss.ingest.readers.tables.table import Row, Table


def write_sheets(sheets):
    return format_sheets(sheets, SizeBudget(1_000_000))


def create_table(value, *titles, notes=()):
    return Table(titles=titles, columns=("Name",), rows=(Row(values=(value,)),), notes=notes)


def test_the_titles_are_lines_and_headings():
    text, headings = write_sheets([("Crew", [create_table("Mara", "Summer", "as of May")])])
    assert text == "Crew\n\nSummer\nas of May\n\n- Name: Mara"
    assert headings == [(0, "Crew > Summer > as of May")]


def test_every_table_begins_a_heading():
    tables = [create_table("Mara", "Summer", notes=("All paid.",)), create_table("Pavel")]
    text, headings = write_sheets([("Crew", tables), ("Ports", [create_table("Brest")])])
    assert text == "Crew\n\nSummer\n\n- Name: Mara\n\nAll paid.\n\n- Name: Pavel\n\nPorts\n\n- Name: Brest"
    assert [(text[start : start + 7], path) for start, path in headings] == [
        ("Crew\n\nS", "Crew > Summer"),
        ("- Name:", "Crew"),
        ("Ports\n\n", "Ports"),
    ]


def test_default_names_of_sheets_are_left_out():
    for name in ("Sheet1", "Feuil1", "Sheet", "Tabelle 2"):
        assert write_sheets([(name, [create_table("Mara")])]) == ("- Name: Mara", [(0, "")])


def test_a_long_line_above_a_table_is_no_heading():
    line = "All prices include the tax and are valid for one year " * 3
    assert write_sheets([("", [create_table("Mara", line)])])[1] == [(0, "")]


def test_sheets_without_tables_are_left_out():
    assert write_sheets([("Empty", []), ("Crew", [create_table("Mara")])]) == ("Crew\n\n- Name: Mara", [(0, "Crew")])
