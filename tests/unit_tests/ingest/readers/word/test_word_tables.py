"""Tables of Word documents."""

from tests.unit_tests.ingest.readers.word.helpers import read_word, write_cell, write_paragraph, write_run, write_table

RESTART, CONTINUE = '<w:vMerge w:val="restart"/>', "<w:vMerge/>"


def write_row(*texts: str) -> str:
    return "".join(map(write_cell, texts))


def write_span(columns: int) -> str:
    return f'<w:gridSpan w:val="{columns}"/>'


HEADER = write_row("Vehicle", "Season", "Fare")


def test_merged_cells_are_filled_downwards():
    table = write_table(
        HEADER,
        write_cell("Car", RESTART) + write_row("Summer", "42 €"),
        write_cell("", CONTINUE) + write_row("Winter", "31 €"),
        write_cell("Moto", RESTART) + write_row("Summer", "18 €"),
        write_cell("", CONTINUE) + write_row("Winter", "12 €"),
    )
    assert read_word(table) == (
        "| Vehicle | Season | Fare |\n| --- | --- | --- |\n| Car | Summer | 42 € |\n| Car | Winter | 31 € |\n"
        "| Moto | Summer | 18 € |\n| Moto | Winter | 12 € |"
    )


def test_merged_cells_are_filled_to_the_right():
    table = write_table(
        HEADER,
        write_cell("Vélo") + write_cell("gratuit", write_span(2)),
        write_row("Auto", "Été", "42 €"),
        write_cell("Moto") + write_cell("18 €", '<w:hMerge w:val="restart"/>') + write_cell("", "<w:hMerge/>"),
    )
    assert read_word(table) == (
        "| Vehicle | Season | Fare |\n| --- | --- | --- |\n| Vélo | gratuit | gratuit |\n| Auto | Été | 42 € |\n"
        "| Moto | 18 € | 18 € |"
    )


def test_two_header_rows_become_one():
    table = write_table(
        f"<w:trPr><w:tblHeader/></w:trPr>{write_cell('Zone', RESTART)}{write_cell('2025', write_span(2))}",
        f"<w:trPr><w:tblHeader/></w:trPr>{write_cell('', CONTINUE)}{write_row('Adult', 'Child')}",
        write_row("A", "5", "3"),
        write_row("B", "7", "4"),
    )
    assert read_word(table) == (
        "| Zone | 2025 / Adult | 2025 / Child |\n| --- | --- | --- |\n| A | 5 | 3 |\n| B | 7 | 4 |"
    )


def test_cells_hold_one_line_with_their_notes_below_the_table():
    reference = '<w:r><w:footnoteReference w:id="2"/></w:r>'
    cell = write_cell(write_paragraph("42", reference, " €") + write_paragraph("per day"))
    table = write_table(write_row("Kind", "Fare"), write_cell("Car") + cell, write_row("Bike", "5 €"))
    notes = f'<w:footnote w:id="2">{write_paragraph("In summer.")}</w:footnote>'
    assert read_word(table + write_paragraph("End"), footnotes=notes) == (
        "| Kind | Fare |\n| --- | --- |\n| Car | 42 [1] € per day |\n| Bike | 5 € |\n\n[1] In summer.\n\nEnd"
    )


def test_rows_that_are_deleted_or_begin_later():
    table = write_table(
        HEADER,
        f"<w:trPr><w:del/></w:trPr>{write_row('Old', 'Winter', '1 €')}",
        f'<w:trPr><w:gridBefore w:val="1"/></w:trPr>{write_row("Winter", "2 €")}',
        write_row("Car", "Summer", "3 €"),
    )
    assert read_word(table) == (
        "| Vehicle | Season | Fare |\n| --- | --- | --- |\n|  | Winter | 2 € |\n| Car | Summer | 3 € |"
    )


def test_fields_of_a_form_are_a_list():
    rows = [(write_run("Address:", "<w:b/>"), "4 Quay Street"), (write_run("Phone:", "<w:b/>"), "01 02")]
    table = write_table(*[write_cell(write_paragraph(name)) + write_cell(value) for name, value in rows])
    assert read_word(table) == "- Address: 4 Quay Street\n- Phone: 01 02"


def test_tables_for_layout_are_text():
    heading = write_paragraph("Fares", properties='<w:pStyle w:val="Titre1"/>')
    assert read_word(write_table(write_cell(heading + write_paragraph("12 €")))) == "# Fares\n\n12 €"
    assert read_word(write_table(write_row("left", "right"))) == "left\n\nright"
    nested = write_table(
        write_cell("a") + write_cell(write_table(write_row("b")) + write_paragraph("c")), write_row("d", "e")
    )
    assert read_word(nested) == "a\n\nb\n\nc\n\nd\n\ne"


def test_headings_in_cells_of_data_are_text():
    heading = write_cell(write_paragraph("Kind", properties='<w:pStyle w:val="Titre1"/>'))
    table = write_table(heading + write_cell("Fare"), write_row("Car", "5 €"), write_row("Bike", "3 €"))
    assert read_word(table).startswith("| Kind | Fare |\n")
