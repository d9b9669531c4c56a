"""Workbooks: merged and hidden cells, formulas, formats, several tables and sheets."""

import datetime
import io
import zipfile

import pytest

from langchain_gptoss.errors import DocumentWarning
from langchain_gptoss.ingest import load_documents, split_documents
from langchain_gptoss.ingest.readers.base import UnreadableFileError
from langchain_gptoss.ingest.readers.excel.reader import read_xlsx

openpyxl = pytest.importorskip("openpyxl")

MAX_BYTES = 100_000_000


def create_book(*rows, **sheets):
    """Return a workbook with the rows in its first sheet, and further sheets."""
    book = openpyxl.Workbook()
    for row in rows:
        book.active.append(row)
    for name, sheet_rows in sheets.items():
        sheet = book.create_sheet(name)
        for row in sheet_rows:
            sheet.append(row)
    return book


def save(book):
    out = io.BytesIO()
    book.save(out)
    return out.getvalue()


def read(book):
    return read_xlsx(save(book), MAX_BYTES)


def read_lines(book):
    return [line for line in read(book).pages[0].splitlines() if line]


def replace_part(data, name, *replacements):
    """Return a workbook with one part changed."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w") as target:
        assert name in source.namelist()
        for entry in source.namelist():
            content = source.read(entry).decode()
            if entry == name:
                for old, new in replacements:
                    assert old in content, content
                    content = content.replace(old, new)
            target.writestr(entry, content)
    return out.getvalue()


def test_merged_cells_are_said_in_every_row():
    book = create_book(
        ["Range", "Model", "Price"], ["Eco", "E1", 1234.5], [None, "E2", 1534.5], ["Pro", "P1", 2234.5], [None, "P2", 9]
    )
    book.active.merge_cells("A2:A3")
    book.active.merge_cells("A4:A5")
    assert read_lines(book) == [
        "- Range: Eco; Model: E1; Price: 1234.5",
        "- Range: Eco; Model: E2; Price: 1534.5",
        "- Range: Pro; Model: P1; Price: 2234.5",
        "- Range: Pro; Model: P2; Price: 9",
    ]


def test_merged_titles_and_names_over_two_rows():
    book = create_book(
        ["Tarifs de la piscine, en euros"], ["Public", "Habitants", None, "Extérieurs"], [None, "Semaine", "Week-end", "Semaine"],
        ["Adultes", 3.2, 3.9, 4.6], ["Enfants", 1.8, 2.1, 2.5],
    )  # fmt: skip
    for area in ("A1:D1", "A2:A3", "B2:C2"):
        book.active.merge_cells(area)
    assert read_lines(book) == [
        "Tarifs de la piscine, en euros",
        "- Public: Adultes; Habitants / Semaine: 3.2; Habitants / Week-end: 3.9; Extérieurs / Semaine: 4.6",
        "- Public: Enfants; Habitants / Semaine: 1.8; Habitants / Week-end: 2.1; Extérieurs / Semaine: 2.5",
    ]
    assert read(book).headings == [[(0, "Tarifs de la piscine, en euros")]]


def test_a_title_over_two_tables_side_by_side_is_the_title_of_both():
    book = create_book(
        ["Prices 2025"], ["Zone", "Summer", None, "Zone", "Winter"], ["A", 1, None, "A", 3], ["B", 2, None, "B", 4]
    )
    book.active.merge_cells("A1:E1")
    assert read_lines(book) == [
        "Prices 2025", "- Zone: A; Summer: 1", "- Zone: B; Summer: 2",
        "Prices 2025", "- Zone: A; Winter: 3", "- Zone: B; Winter: 4",
    ]  # fmt: skip


def test_formats_are_kept():
    book = create_book(["Measure", "Value"])
    values = [
        ("Punctuality", 0.94, "0%"), ("Occupancy", 0.735, "0.0%"), ("Price", 1234.5, '#,##0.00 "€"'),
        ("Prix", 1234.5, "#,##0.00\\ [$€-40C]"), ("Voyage", datetime.timedelta(hours=30, minutes=15), "[h]:mm"),
        ("Start", datetime.date(2025, 5, 12), "d mmmm yyyy"), ("Opening", datetime.time(8, 30), "h:mm"),
        ("Code", 123, "00000"), ("Weight", 12, '0" kg"'), ("Balance", -5.5, "#,##0.00_);(#,##0.00)"),
        ("Account", "00123", "@"), ("Sum", 0.1 + 0.2, "General"),
    ]  # fmt: skip
    for row, (name, value, code) in enumerate(values, 2):
        book.active.cell(row, 1, name)
        book.active.cell(row, 2, value).number_format = code
    assert [line.removeprefix("- Measure: ") for line in read_lines(book)] == [
        "Punctuality; Value: 94%", "Occupancy; Value: 73.5%", "Price; Value: 1,234.50 €", "Prix; Value: 1 234,50 €",
        "Voyage; Value: 30:15", "Start; Value: 12 May 2025", "Opening; Value: 8:30", "Code; Value: 00123",
        "Weight; Value: 12 kg", "Balance; Value: (5.50)", "Account; Value: 00123", "Sum; Value: 0.3",
    ]  # fmt: skip


def test_truth_values_and_errors_are_kept():
    data = save(create_book(["Name", "Value", "Rate"], ["a", True, 1], ["b", False, 2], ["c", "#DIV/0!", 3]))
    assert read_xlsx(data, MAX_BYTES).pages[0].splitlines() == [
        "- Name: a; Value: TRUE; Rate: 1",
        "- Name: b; Value: FALSE; Rate: 2",
        "- Name: c; Value: #DIV/0!; Rate: 3",
    ]


def test_a_formula_without_a_stored_value_is_named(tmp_path):
    book = create_book(["Quarter", "Revenue"], ["Q1", 1200], ["Q2", 1800], ["Year", "=SUM(B2:B3)"])
    book.save(tmp_path / "revenue.xlsx")
    with pytest.warns(DocumentWarning, match=r"has 1 formula without a stored value \(B4\); open it"):
        (document,) = load_documents(tmp_path)
    assert document.page_content.splitlines()[-1] == "- Quarter: Year; Revenue: (formula =SUM(B2:B3), no stored value)"


def test_a_stored_value_of_a_formula_is_shown():
    data = save(create_book(["Quarter", "Revenue"], ["Q1", 1200], ["Year", "=SUM(B2:B3)"], ["Text", '=A1&"x"']))
    data = replace_part(
        data, "xl/worksheets/sheet1.xml",
        ("<f>SUM(B2:B3)</f><v></v>", "<f>SUM(B2:B3)</f><v>3000</v>"),
        ('<c r="B4"><f>A1&amp;"x"</f><v></v>', '<c r="B4" t="str"><f>A1&amp;"x"</f><v></v>'),
    )  # fmt: skip
    text = read_xlsx(data, MAX_BYTES)
    assert text.pages[0].splitlines()[1:] == ["- Quarter: Year; Revenue: 3000", "- Quarter: Text"]
    assert not text.warnings


def test_hidden_rows_columns_and_sheets_are_left_out():
    book = create_book(
        ["Name", "Secret", "Price"], ["Tea", "x", 3], ["Milk", "y", 4], ["Jam", "z", 5], Notes=[["hidden", "sheet"]]
    )
    book.active.row_dimensions[3].hidden = True
    book.active.column_dimensions["B"].hidden = True
    book["Notes"].sheet_state = "hidden"
    text = read(book)
    assert text.pages[0].splitlines() == ["- Name: Tea; Price: 3", "- Name: Jam; Price: 5"]
    assert list(text.warnings) == ['1 hidden row and 1 hidden column of sheet "Sheet" are left out']


def test_tables_beside_and_below_each_other():
    book = create_book(
        ["Fruit", "Price", None, "City", "Stores"],
        ["Apple", 1, None, "Brest", 2],
        ["Pear", 2, None, "Lyon", 5],
        [],
        ["Room", "Seats"],
        ["A", 20],
        [],
        ["Rooms are booked at the desk, at least two days before."],
    )
    assert read_lines(book) == [
        "- Fruit: Apple; Price: 1", "- Fruit: Pear; Price: 2",
        "- Room: A; Seats: 20", "Rooms are booked at the desk, at least two days before.",
        "- City: Brest; Stores: 2", "- City: Lyon; Stores: 5",
    ]  # fmt: skip


def test_months_have_the_language_of_the_sheet():
    book = create_book(
        ["Réunion", "Date de la réunion"],
        ["Le conseil de la ville est ouvert à tous les habitants", datetime.date(2025, 5, 12)],
    )
    book.active["B2"].number_format = "d mmmm yyyy"
    assert read_lines(book) == [
        "- Réunion: Le conseil de la ville est ouvert à tous les habitants; Date de la réunion: 12 mai 2025"
    ]


def test_fields_of_a_sheet():
    book = create_book(["Adresse", "4 rue du Port"], ["Téléphone", "02 98 00 00 00"], ["Horaires", "9 h - 18 h"])
    assert read_lines(book) == ["- Adresse: 4 rue du Port", "- Téléphone: 02 98 00 00 00", "- Horaires: 9 h - 18 h"]


def test_every_chunk_has_the_sheet_and_the_title_as_its_heading(tmp_path):
    rows = [[f"Ship {number}", f"Captain {number}", 40 + number] for number in range(60)]
    book = create_book(Crew=[["Crew list, summer 2025"], [], ["Ship", "Master", "Wage"], *rows], Ports=[["Port", "Depth"], ["Brest", 12]])  # fmt: skip
    book.save(tmp_path / "crew.xlsx")
    documents = load_documents(tmp_path)
    chunks = split_documents(documents)
    assert len(chunks) > 3
    assert {chunk.metadata["heading"] for chunk in chunks[:-1]} == {"Crew > Crew list, summer 2025"}
    assert chunks[-1].metadata["heading"] == "Ports"
    assert "- Port: Brest; Depth: 12" in chunks[-1].page_content
    for chunk in chunks:
        assert documents[0].page_content[chunk.metadata["start"] : chunk.metadata["end"]] == chunk.page_content


def test_a_bold_first_row_is_the_header():
    book = create_book(["Mara Lind", "Hull City"], ["Pavel Novak", "Port Ellen"], ["Ana Ruiz", "Saint Malo"])
    for cell in book.active[1]:
        cell.font = openpyxl.styles.Font(bold=True)
    assert read_lines(book)[0] == "- Mara Lind: Pavel Novak; Hull City: Port Ellen"


def test_the_header_of_a_table_object_is_the_header():
    book = create_book(["1", "2"], ["3", "4"], ["5", "6"])
    book.active.add_table(openpyxl.worksheet.table.Table(displayName="T", ref="A1:B3"))
    assert read_lines(book) == ["- 1: 3; 2: 4", "- 1: 5; 2: 6"]


def test_dates_of_a_workbook_from_1904():
    book = create_book(["Day", "Price"], [datetime.date(2025, 5, 12), 3])
    book.epoch = openpyxl.utils.datetime.CALENDAR_MAC_1904
    assert read_lines(book) == ["- Day: 2025-05-12; Price: 3"]


def test_raised_digits_stay_raised():
    data = replace_part(
        save(create_book(["Cells", "Area"], ["10 per litre", 4])), "xl/worksheets/sheet1.xml",
        ("<t>10 per litre</t>", '<r><t>10</t></r><r><rPr><vertAlign val="superscript"/></rPr><t>4</t></r><r><t xml:space="preserve"> per_x0020_litre</t></r><rPh><t>sound</t></rPh>'),
    )  # fmt: skip
    assert read_xlsx(data, MAX_BYTES).pages[0] == "- Cells: 10^4 per litre; Area: 4"


def test_shared_texts_styles_and_sheets_in_any_folder():
    texts = "".join(
        f"<si>{text}</si>"
        for text in (
            "<t>Jour</t>",
            "<t>Le prix de la journée pour les habitants de la ville</t>",
            "<r><t>en </t></r><r><t>hiver, la piscine est ouverte à tous</t></r>",
        )
    )
    parts = {
        "_rels/.rels": '<R><R Id="a" Type="x/officeDocument" Target="book/main.xml"/></R>',
        "book/main.xml": '<w xmlns:r="rel"><sheets><sheet name="Tarifs" r:id="s1"/><sheet name="Chart" r:id="s2"/></sheets></w>',
        "book/_rels/main.xml.rels": '<R><R Id="s1" Type="x/worksheet" Target="../pages/one.xml"/><R Id="s2" Type="x/chartsheet" Target="c.xml"/>'
        '<R Id="t" Type="x/sharedStrings" Target="texts.xml"/><R Id="y" Type="x/styles" Target="styles.xml"/></R>',
        "book/texts.xml": f"<sst>{texts}</sst>",
        "book/styles.xml": '<s><numFmts><numFmt numFmtId="200" formatCode="d mmmm yyyy"/></numFmts><fonts><font/><font><b/></font></fonts>'
        '<cellXfs><xf/><xf numFmtId="200"/><xf numFmtId="4" fontId="1"/></cellXfs></s>',
        "pages/one.xml": '<w><sheetData><row r="1"><c r="A1" t="s"><v>0</v></c><c r="B1" t="s"><v>1</v></c></row>'
        '<row r="2"><c r="A2" s="1"><v>45789</v></c><c r="B2" s="2"><v>12.5</v></c><c r="C2" t="s"><v>2</v></c><c r="D2" t="s"><v>99</v></c></row></sheetData></w>',
    }  # fmt: skip
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    text = read_xlsx(out.getvalue(), MAX_BYTES)
    assert text.pages[0].splitlines() == [
        "Tarifs",
        "",
        "- Jour: 12 mai 2025; Le prix de la journée pour les habitants de la ville: 12,50; en hiver, la piscine est ouverte à tous",
    ]


def test_strict_documents_and_cells_without_references_are_read():
    data = save(create_book(["Name", "Price"], ["Tea", 3]))
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    data = replace_part(
        data, "xl/worksheets/sheet1.xml", (main, "http://purl.oclc.org/ooxml/spreadsheetml/main"),
        (' r="A2"', ""), (' r="B2"', ""), ('<row r="2"', "<row"),
    )  # fmt: skip
    assert read_xlsx(data, MAX_BYTES).pages[0] == "- Name: Tea; Price: 3"


def test_cells_far_apart_take_little_memory():
    book = create_book(["Name", "Price"], ["Tea", 3])
    book.active["XFD1048576"] = "far"
    assert read_lines(book) == ["- Name: Tea; Price: 3", "- far"]


def test_scattered_cells_are_refused():
    book = create_book()
    for number in range(1, 4200):
        book.active.cell(number, number, "x")
    with pytest.raises(UnreadableFileError, match="scattered over a sheet"):
        read(book)


def test_a_document_type_is_refused():
    data = save(create_book(["Name", "Price"], ["Tea", 3]))
    data = replace_part(data, "xl/worksheets/sheet1.xml", ("<worksheet ", '<!DOCTYPE a [<!ENTITY b "c">]><worksheet '))
    with pytest.raises(UnreadableFileError, match="document type"):
        read_xlsx(data, MAX_BYTES)


def test_a_part_that_is_not_counted_in_the_size_is_refused():
    data = save(create_book(["Name", "Price"], ["Tea", 3]))
    data = replace_part(data, "xl/_rels/workbook.xml.rels", ("/xl/worksheets/sheet1.xml", "/xl/sheet1.bin"))
    out = io.BytesIO(data)
    with zipfile.ZipFile(out, "a") as archive:
        archive.writestr("xl/sheet1.bin", archive.read("xl/worksheets/sheet1.xml"))
    data = out.getvalue()
    with pytest.raises(UnreadableFileError, match=r"sheet1\.bin is not XML"):
        read_xlsx(data, MAX_BYTES)


def test_an_empty_workbook_has_no_text():
    assert read(create_book()).pages == [""]


def test_a_large_sheet_is_read_in_linear_time():
    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("Big")
    sheet.append(["Id", "Group", "Price"])
    for number in range(6000):
        sheet.append([number, f"Group {number // 2}" if number % 2 == 0 else None, number / 4])
    data = save(book)
    merges = "".join(f'<mergeCell ref="B{row}:B{row + 1}"/>' for row in range(2, 6002, 2))
    data = replace_part(
        data, "xl/worksheets/sheet1.xml", ("</sheetData>", f"</sheetData><mergeCells>{merges}</mergeCells>")
    )
    lines = read_xlsx(data, MAX_BYTES).pages[0].splitlines()
    assert lines[-1] == "- Id: 5999; Group: Group 2999; Price: 1499.75"
    assert len(lines) == 6002
