"""PowerPoint presentations."""

import io

import pytest
from lxml import etree

from langchain_gptoss.ingest import load_documents, split_documents
from langchain_gptoss.ingest.readers.slides import read_pptx

pptx = pytest.importorskip("pptx")

PRESENTATION = "{http://schemas.openxmlformats.org/presentationml/2006/main}"


def save(deck) -> bytes:
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def create_deck(*texts: str):
    deck = pptx.Presentation()
    for text in texts:
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text, slide.placeholders[1].text = text, f"about {text}"
    return deck


def test_powerpoint_has_one_page_per_slide(tmp_path):
    deck = pptx.Presentation()
    for title in ("First", "Second"):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = title
        slide.placeholders[1].text = f"# about {title}\nmore"
    table = slide.shapes.add_table(2, 2, 0, 0, 9144, 9144).table
    for row, column, text in ((0, 0, "a"), (0, 1, "b"), (1, 0, "1"), (1, 1, "2")):
        table.cell(row, column).text = text
    slide.notes_slide.notes_text_frame.text = "Say hello."
    out = io.BytesIO()
    deck.save(out)
    (tmp_path / "a.pptx").write_bytes(out.getvalue())
    first, second = load_documents(tmp_path)
    assert first.page_content == "# First\n\n- # about First\n- more"
    assert second.page_content == (
        "# Second\n\n- # about Second\n- more\n\n| a | b |\n| --- | --- |\n| 1 | 2 |\n\nNotes:\n- Say hello."
    )
    assert [(d.metadata["page"], d.metadata["title"]) for d in (first, second)] == [(1, "First"), (2, "First")]
    assert second.metadata["start"] == len(first.page_content) + 2
    assert [chunk.metadata["heading"] for chunk in split_documents([first, second])] == ["First", "Second"]


def test_hidden_slides_have_no_text_and_keep_their_number(tmp_path):
    deck = create_deck("One", "Two", "Three")
    deck.slides[1].element.set("show", "0")
    (tmp_path / "a.pptx").write_bytes(save(deck))
    documents = load_documents(tmp_path)
    assert [(document.metadata["page"], document.page_content) for document in documents] == [
        (1, "# One\n\n- about One"),
        (3, "# Three\n\n- about Three"),
    ]


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        ([("10", {}), ("4", {"baseline": "30000"}), (" litres", {})], "10^4 litres"),
        ([("H", {}), ("2", {"baseline": "-25000"}), ("O", {})], "H₂O"),
        ([("le 1", {}), ("er", {"baseline": "30000"}), (" mai", {})], "le 1er mai"),
        ([("19", {}), ("99", {"baseline": "30000"}), (" €", {})], "19,99 €"),
        ([("5 €", {"strike": "sngStrike"}), ("4 €", {"strike": "noStrike"})], "4 €"),
        ([("inter", {}), ("national", {"b": "1"})], "international"),
        ([("Adult 1\t200 €", {})], "Adult 1; 200 €"),
    ],
)
def test_raised_lowered_and_struck_text(runs, text):
    deck = create_deck("One")
    paragraph = deck.slides[0].placeholders[1].text_frame.paragraphs[0]
    paragraph.clear()
    for content, properties in runs:
        run = paragraph.add_run()
        run.text = content
        for name, value in properties.items():
            run._r.get_or_add_rPr().set(name, value)
    deck.slides[0].shapes.title.text = ""
    assert read_pptx(save(deck), 10**9).pages == [f"- {text}"]


def test_groups_pictures_and_line_breaks_are_read():
    deck = create_deck("One\vtwo")
    group = deck.slides[0].shapes.add_group_shape()
    group.shapes.add_textbox(0, 0, 9144, 9144).text_frame.text = "in a group"
    assert read_pptx(save(deck), 10**9).pages[0].startswith("# One two\n\n")
    assert "- in a group" in read_pptx(save(deck), 10**9).pages[0]


def test_slide_numbers_are_left_out_and_footers_stand_once():
    deck = create_deck("One", "Two")
    for number, slide in enumerate(deck.slides, 1):
        for kind, text in (("sldNum", str(number)), ("ftr", "Larkspur, May 2025")):
            shape = slide.shapes.add_textbox(0, 0, 9144, 9144)
            shape.text_frame.text = text
            etree.SubElement(shape.element.find(".//{*}nvPr"), f"{PRESENTATION}ph", type=kind)
    first, second = read_pptx(save(deck), 10**9).pages
    assert first == "# One\n\n- about One\n\n- Larkspur, May 2025"
    assert second == "# Two\n\n- about Two"
