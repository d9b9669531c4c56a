"""Word documents: blocks, headers and footers, notes, tracked changes."""

import pytest

from langchain_gptoss.ingest import split_documents
from tests.unit_tests.ingest.readers.helpers import load_text, read_skip_reason
from tests.unit_tests.ingest.readers.word.helpers import (
    create_word_file,
    create_word_parts,
    read_word,
    write_field,
    write_paragraph,
    write_run,
)
from tests.unit_tests.ingest.sample_files import create_docx, create_zip

P = write_paragraph


def write_style(name: str) -> str:
    return f'<w:pStyle w:val="{name}"/>'


def test_word_headings_paragraphs_and_tables_become_markdown(tmp_path):
    data = create_docx(
        (1, "Returns"), "You may return_it within 30 days.", (2, "Costs"), [["Kind", "Price"], ["Small", "5"]]
    )
    document = load_text(tmp_path, "a.docx", data)
    assert document.metadata["title"] == "Returns"
    first, second = split_documents([document])
    assert (first.metadata["heading"], first.page_content) == ("Returns", "You may return_it within 30 days.")
    assert second.metadata["heading"] == "Returns > Costs"
    assert "| Small | 5 |" in second.page_content


@pytest.mark.parametrize(
    ("style", "text"),
    [
        ("Titre", "# Fares"),
        ("Titre1", "# Fares"),
        ("Titre2", "## Fares"),
        ("Clause", "## Fares"),
        ("Plan", "### Fares"),
        ("Unknown", "Fares"),
    ],
)
def test_headings_are_known_by_style_name_in_every_language(style, text):
    assert read_word(P("Fares", properties=write_style(style))) == text


def test_headings_by_outline_level_and_too_long_headings():
    assert read_word(P("Fares", properties='<w:outlineLvl w:val="0"/>')) == "# Fares"
    assert read_word(P("Fares", properties=write_style("Titre1") + '<w:outlineLvl w:val="9"/>')) == "Fares"
    long = "long " * 70
    assert read_word(P(long, properties=write_style("Titre1"))) == long.strip()


def test_lines_that_look_like_markdown_are_text(tmp_path):
    document = load_text(
        tmp_path, "a.docx", create_word_file(P("# 5 is no heading") + P("a", "<w:r><w:br/></w:r>", "---"))
    )
    assert document.page_content == "\\# 5 is no heading\n\na\n\\---"
    assert {chunk.metadata["heading"] for chunk in split_documents([document])} == {""}


SECTION = (
    '<w:sectPr><w:headerReference w:type="default" r:id="header1"/><w:footerReference w:type="default" r:id="footer1"/>'
    '<w:headerReference w:type="first" r:id="header2"/><w:headerReference w:type="even" r:id="header3"/></w:sectPr>'
)


def test_headers_and_footers_stand_once_above_the_text_without_page_numbers():
    page = P("Page ", write_field("PAGE \\* MERGEFORMAT", "3"), " of ", write_field("NUMPAGES", "12"))
    text = read_word(
        P("One", f"<w:r/>{''}", properties=SECTION) + P("Two") + SECTION,
        header1=P("Larkspur – edition of 1 May 2025", properties=write_style("Titre1")),
        footer1=P("4 Quay Street | page ", '<w:fldSimple w:instr=" PAGE "><w:r><w:t>3</w:t></w:r></w:fldSimple>')
        + page,
        header2=P("Only on a title page"),
        header3=P("Only on even pages"),
    )
    assert text == "Larkspur – edition of 1 May 2025\n\n4 Quay Street\n\nOne\n\nTwo"


def test_headers_of_first_and_even_pages_count_if_they_are_printed():
    section = SECTION.replace("</w:sectPr>", "<w:titlePg/></w:sectPr>")
    parts = {"header1": P("Each"), "header2": P("First"), "header3": P("Even"), "footer1": ""}
    text = read_word(P("Text") + section, settings="<w:evenAndOddHeaders/>", **parts)
    assert text == "Each\n\nFirst\n\nEven\n\nText"


@pytest.mark.parametrize(
    "footer",
    [
        P("Page ", write_field("PAGE", "3"), " sur ", write_field("NUMPAGES", "12")),
        P("– ", write_field("PAGE", "3"), " –"),
        P(write_field("PAGE", "3"), "/", write_field("SECTIONPAGES", "9")),
        P("p. ", "<w:r><w:pgNum/></w:r>"),
    ],
)
def test_a_footer_with_a_page_number_alone_is_no_text(footer):
    assert read_word(P("Text") + SECTION, footer1=footer, header1="") == "Text"


def test_notes_follow_the_paragraph_or_list_that_they_belong_to():
    reference = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:{0}Reference w:id="{1}"/></w:r>'
    text = read_word(
        P("The fee is 12", reference.format("footnote", 2), " euros.", reference.format("footnote", 5))
        + P("It is due", reference.format("endnote", 3), " in May.")
        + P("Heading", properties=write_style("Titre1")),
        footnotes='<w:footnote w:type="separator" w:id="0">x</w:footnote>'
        + f'<w:footnote w:id="2">{P("<w:r><w:footnoteRef/></w:r>", " Without tax.")}</w:footnote>'
        + f'<w:footnote w:id="5">{P("In 2025.")}{P("Not in 2026.")}</w:footnote>',
        endnotes=f'<w:endnote w:id="3">{P("Or later.")}</w:endnote>',
    )
    assert text == (
        "The fee is 12 [1] euros.[2]\n\n[1] Without tax.\n\n[2] In 2025. Not in 2026.\n\nIt is due [i] in May.\n\n"
        "[i] Or later.\n\n# Heading"
    )


def test_a_note_with_a_mark_of_its_own():
    mark = '<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteReference w:customMarkFollows="1" w:id="2"/><w:t>*</w:t></w:r>'
    notes = f'<w:footnote w:id="2">{P("Without tax.")}</w:footnote>'
    assert read_word(P("12", mark, " euros"), footnotes=notes).startswith("12* euros\n\n")


def test_tracked_changes_are_accepted():
    body = P(
        "The fee is ",
        f"<w:del>{write_run('12').replace('w:t', 'w:delText')}</w:del>",
        f"<w:ins>{write_run('15')}</w:ins>",
        f"<w:moveFrom>{write_run(' moved')}</w:moveFrom><w:moveTo>{write_run(' euros')}</w:moveTo>",
    )
    assert read_word(body) == "The fee is 15 euros"


def test_a_paragraph_whose_mark_is_deleted_goes_on_in_the_next():
    body = P("one ", properties="<w:rPr><w:del/></w:rPr>") + P("two") + P("end", properties="<w:rPr><w:del/></w:rPr>")
    assert read_word(body) == "one two\n\nend"


def test_comments_hidden_text_and_placeholders_are_left_out():
    body = (
        P(
            '<w:commentRangeStart w:id="1"/>',
            "Text",
            '<w:commentRangeEnd w:id="1"/><w:r><w:commentReference w:id="1"/></w:r>',
        )
        + P("all hidden", properties=write_style("Masque"))
        + P(write_run("hidden", "<w:vanish/>"), write_run(" shown", '<w:vanish w:val="0"/>'))
        + P(
            write_run("struck", "<w:strike/>"),
            write_run("struck", "<w:dstrike/>"),
            write_run("kept", '<w:strike w:val="false"/>'),
        )
        + f"<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{P('Click here')}</w:sdtContent></w:sdt>"
        + f"<w:sdt><w:sdtPr/><w:sdtContent>{P('Chosen')}</w:sdtContent></w:sdt>"
    )
    assert (
        read_word(body, comments=f'<w:comment w:id="1">{P("A remark")}</w:comment>')
        == "Text\n\nshown\n\nkept\n\nChosen"
    )


def test_text_boxes_follow_their_paragraph_once():
    box = f"<w:txbxContent>{P('In the box')}</w:txbxContent>"
    drawing = (
        f"<w:r><mc:AlternateContent><mc:Choice><w:drawing><wp:inline><wps:txbx>{box}</wps:txbx></wp:inline></w:drawing>"
        f"</mc:Choice><mc:Fallback><w:pict><v:textbox>{box}</v:textbox></w:pict></mc:Fallback></mc:AlternateContent></w:r>"
    )
    old = f"<w:r><w:pict><v:textbox>{box.replace('In', 'Also in')}</v:textbox></w:pict></w:r>"
    assert read_word(P("Before", drawing, " after", old)) == "Before after\n\nIn the box\n\nAlso in the box"


def test_a_table_of_contents_is_left_out():
    entry = (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>TOC \\o "1-3"</w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
    )
    body = (
        P(entry, "Fares", "<w:r><w:tab/></w:r>", write_field("PAGEREF _Toc1", "4"))
        + P("Rules", "<w:r><w:tab/></w:r>", "9")
        + P('<w:r><w:fldChar w:fldCharType="end"/></w:r>')
        + P("Text")
    )
    assert read_word(body) == "Text"


def test_a_field_that_never_ends_hides_nothing():
    begin = '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>TOC</w:instrText></w:r>'
    assert read_word(P(begin, "One") + P("Two")) == "One\n\nTwo"


def test_a_web_page_that_is_part_of_a_document(tmp_path):
    parts = create_word_parts('<w:altChunk r:id="page"/>', page="")
    del parts["word/page.xml"]
    parts["word/_rels/document.xml.rels"] = parts["word/_rels/document.xml.rels"].replace("page.xml", "page.html")
    data = create_zip({**parts, "word/page.html": "<h1>Fares</h1><p>12 €</p>"})
    assert load_text(tmp_path, "a.docx", data).page_content == "# Fares\n\n12 €"


def test_strict_files_are_read_like_others(tmp_path):
    old, new = (
        "http://schemas.openxmlformats.org/wordprocessingml/2006/main",
        "http://purl.oclc.org/ooxml/wordprocessingml/main",
    )
    parts = create_word_parts(P("Fares", properties=write_style("Titre1")) + P("12 €"))
    data = create_zip({name: xml.replace(old, new) for name, xml in parts.items()})
    assert load_text(tmp_path, "a.docx", data).page_content == "# Fares\n\n12 €"


def test_entities_are_rejected(tmp_path):
    parts = create_word_parts(P("x"))
    parts["word/document.xml"] = '<!DOCTYPE x [<!ENTITY a "b">]>' + parts["word/document.xml"]
    assert "defines entities" in read_skip_reason(tmp_path, "a.docx", create_zip(parts))


def test_a_file_without_a_document_is_rejected(tmp_path):
    assert "it has no document part" in read_skip_reason(tmp_path, "a.docx", create_zip({"x": "y"}))
