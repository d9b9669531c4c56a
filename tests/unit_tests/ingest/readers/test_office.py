"""Word, PowerPoint, Excel and EPUB."""

import datetime
import io
import zipfile
from pathlib import Path

import pytest

from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.sample_files import create_docx, create_zip


def test_excel_reads_visible_sheets_as_lists(tmp_path):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.title = "Prices"
    sheet.append(["Name", "Since", "Price"])
    sheet.append(["Tea", datetime.datetime(2024, 5, 1), 3.5])
    sheet.append([None, None, None])
    sheet.append(["Coffee\nblack", datetime.datetime(2024, 5, 1, 8, 30), 4])
    book.create_sheet("Empty")
    hidden = book.create_sheet("Hidden")
    hidden.append(["secret"])
    hidden.sheet_state = "hidden"
    out = io.BytesIO()
    book.save(out)
    assert load_text(tmp_path, "a.xlsx", out.getvalue()).page_content == (
        "Prices\n\n- Name: Tea; Since: 2024-05-01; Price: 3.5\n"
        "- Name: Coffee black; Since: 2024-05-01 8:30:00; Price: 4"
    )


BOMB = create_zip({"word/document.xml": b"0" * 3_000_000, "[Content_Types].xml": "x"})


OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 600


@pytest.mark.parametrize(
    ("name", "data", "part"),
    [
        ("a.docx", b"", "it is empty"),
        ("a.docx", b"junk", "it is not a readable Word document (.docx) (File is not a zip file); open it and save"),
        ("a.docx", create_zip({"x": "y"}), "it is not a readable Word document"),
        ("a.pptx", create_zip({"x": "y"}), "it is not a readable PowerPoint presentation"),
        ("a.xlsx", create_zip({"x": "y"}), "it is not a readable Excel workbook"),
        ("a.docx", create_docx("long text")[:-40], "it is not a readable Word document"),
        ("a.docx", create_docx(), "it is empty"),
        ("a.docx", OLE, "it is protected by a password or has a format from before 2007; save a copy without"),
        ("a.xlsx", OLE, "it is protected by a password or has a format from before 2007"),
        ("a.docx", BOMB, "unpack to 3 MB of text and the limit is 1 MB; if it is no zip bomb, split it or raise"),
    ],
)  # fmt: skip
def test_unusable_files_are_skipped_with_a_remedy(tmp_path, name, data, part):
    for module in {".pptx": ["pptx"], ".xlsx": ["openpyxl"]}.get(Path(name).suffix, []):
        pytest.importorskip(module)
    assert part in read_skip_reason(tmp_path, name, data, max_bytes=1_000_000)


def test_wrong_size_in_the_zip_directory_is_detected(tmp_path):
    correct = create_docx("x" * 5_000_000)
    size = zipfile.ZipFile(io.BytesIO(correct)).getinfo("word/document.xml").file_size
    altered = correct.replace(size.to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    assert "it is not a readable Word document" in read_skip_reason(tmp_path, "a.docx", altered, max_bytes=1_000_000)


def test_merged_cells_of_a_slide_are_said_in_every_row(tmp_path):
    pptx = pytest.importorskip("pptx")
    deck = pptx.Presentation()
    slide = deck.slides.add_slide(deck.slide_layouts[5])
    slide.shapes.title.text = "Tarifs"
    table = slide.shapes.add_table(4, 3, 0, 0, 9144, 9144).table
    texts = [["Gamme", "Modèle", "Prix"], ["Éco", "E1", "30 €"], ["", "E2", "40 €"], ["Pro", "P1", "90 €"]]
    for row, line in enumerate(texts):
        for column, text in enumerate(line):
            table.cell(row, column).text = text
    table.cell(1, 0).merge(table.cell(2, 0))
    out = io.BytesIO()
    deck.save(out)
    assert load_text(tmp_path, "a.pptx", out.getvalue()).page_content == (
        "# Tarifs\n\n| Gamme | Modèle | Prix |\n| --- | --- | --- |\n"
        "| Éco | E1 | 30 € |\n| Éco | E2 | 40 € |\n| Pro | P1 | 90 € |"
    )
