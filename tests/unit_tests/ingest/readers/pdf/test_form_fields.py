"""Values of form fields stand beside their labels."""

import pytest

from langchain_gptoss.ingest.readers.pdf import read_pdf
from tests.unit_tests.ingest.readers.pdf.placed_text import Text, create_placed_pdf


def read_form(texts: list[Text], *fields: str) -> list[str]:
    """Read a page with these texts and fields, which are entries of their dictionaries."""
    numbers = [7 + number for number in range(len(fields))]
    names = " ".join(f"{number} 0 R" for number in numbers)
    objects = [
        f"<< /Type /Annot /Subtype /Widget /T (field{number}) /P 5 0 R {entries} >>"
        for number, entries in zip(numbers, fields, strict=True)
    ]
    data = create_placed_pdf(
        texts, page_entries=[f"/Annots [{names}]"], extra=objects, catalog=f"/AcroForm << /Fields [{names}] >>"
    )
    (page,) = read_pdf(data, 0).pages
    return page.split("\n")


def create_text_field(value: str, left: int, bottom: int, *entries: str) -> str:
    return f"/FT /Tx /V ({value}) /Rect [{left} {bottom} {left + 150} {bottom + 18}] {' '.join(entries)}"


def test_value_follows_its_label():
    lines = read_form(
        [Text(50, 700, "Name of the tenant"), Text(50, 650, "The rent is due on the first day of each month.")],
        create_text_field("Zoe Martin", 180, 694),
    )
    assert lines == ["Name of the tenant Zoe Martin", "The rent is due on the first day of each month."]


def test_two_fields_in_a_line():
    lines = read_form(
        [Text(50, 700, "Arrival"), Text(300, 700, "Departure")],
        create_text_field("1 May", 360, 694),
        create_text_field("30 April", 110, 694),
    )
    assert lines == ["Arrival 30 April Departure 1 May"]


@pytest.mark.parametrize(("state", "mark"), [("Yes", "[x]"), ("Off", "[ ]")])
def test_boxes_that_can_be_ticked(state, mark):
    field = f"/FT /Btn /V /{state} /AS /{state} /Rect [150 698 162 710] /AP << /N << /Yes 1 0 R /Off 1 0 R >> >>"
    assert read_form([Text(50, 700, "Pets allowed")], field) == [f"Pets allowed {mark}"]


def test_value_without_text_beside_it():
    lines = read_form(
        [Text(50, 700, "Claim"), Text(50, 300, "Signed")],
        create_text_field("Broken pump", 50, 500, "/TU (Damage:)"),
        create_text_field("2 pieces", 50, 450),
    )
    assert lines == ["Claim", "Damage: Broken pump", "2 pieces", "Signed"]


@pytest.mark.parametrize("entries", ["/F 2", "/Ff 8192", "/V ()"])
def test_hidden_secret_and_empty_values_are_left_out(entries):
    value = "" if entries == "/V ()" else "/V (secret)"
    field = f"/FT /Tx {value} /Rect [180 694 330 712] {entries}"
    assert read_form([Text(50, 700, "Name")], field) == ["Name"]


def test_form_of_fields_alone_is_text():
    assert read_form([], create_text_field("Paid", 50, 700, "/TU (State)")) == ["State: Paid"]


def test_annotations_are_no_text():
    note = "<< /Type /Annot /Subtype /Text /Contents (a comment) /Rect [50 500 70 520] >>"
    data = create_placed_pdf([Text(50, 700, "Text")], page_entries=["/Annots [7 0 R]"], extra=[note])
    assert read_pdf(data, 0).pages == ["Text"]
