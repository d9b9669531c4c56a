"""Text of Word paragraphs: fields, superscripts, symbols, formulas, pictures."""

import pytest

from tests.unit_tests.ingest.readers.word.helpers import (
    read_word,
    write_field,
    write_paragraph,
    write_raised,
    write_run,
)


def write_formula(xml: str) -> str:
    return f"<m:oMath>{xml}</m:oMath>"


def write_math(text: str) -> str:
    return f"<m:r><m:t>{text}</m:t></m:r>"


TEN_TO_FOUR = f"<m:sSup><m:e>{write_math('10')}</m:e><m:sup>{write_math('4')}</m:sup></m:sSup>"


@pytest.mark.parametrize(
    ("runs", "text"),
    [
        # Fields show their last value.
        (["Valid from ", '<w:fldSimple w:instr=" DATE "><w:r><w:t>12 May 2025</w:t></w:r></w:fldSimple>'], "Valid from 12 May 2025"),
        (["Dear ", write_field("MERGEFIELD Name", "Anna"), ","], "Dear Anna,"),
        (["See ", write_field("REF _Ref1 \\h", "Section ", "4"), "."], "See Section 4."),
        (["Contract ", write_field("DOCPROPERTY Number", "A-12")], "Contract A-12"),
        (["Table ", write_field("SEQ Table \\* ARABIC", "2"), ": fares"], "Table 2: fares"),
        ([write_field('HYPERLINK "https://larkspur.example"', "our site")], "our site"),
        ([f'<w:hyperlink r:id="x">{write_run("our site")}</w:hyperlink>'], "our site"),
        (["on page ", write_field("PAGEREF _Toc1", "9"), " of"], "on page of"),
        # An IF field contains other fields in its instruction, which are not shown.
        (
            [
                '<w:r><w:fldChar w:fldCharType="begin"/></w:r><w:r><w:instrText>IF </w:instrText></w:r>',
                write_field("MERGEFIELD Age", "12"),
                '<w:r><w:instrText>&gt; 18 "adult"</w:instrText></w:r><w:r><w:fldChar w:fldCharType="separate"/></w:r>',
                "child",
                '<w:r><w:fldChar w:fldCharType="end"/></w:r>',
                " fare",
            ],
            "child fare",
        ),
        # Superscripts and subscripts, also in several runs or by style.
        (["10", write_raised("4"), " litres, 2 m", write_raised("3")], "10^4 litres, 2 m³"),
        (["10", write_raised("-"), write_raised("6")], "10^-6"),
        (["le 1", write_raised("er"), " mai, 12", write_raised("e ")], "le 1er mai, 12e"),
        (["10", write_run("4", '<w:rStyle w:val="Exposant"/>')], "10^4"),
        (["H", write_run("2", '<w:vertAlign w:val="subscript"/>'), "O"], "H₂O"),
        (["19", write_raised("99"), " €"], "19,99 €"),
        (["10", write_run("4", '<w:vertAlign w:val="baseline"/>')], "104"),
        # Words in several runs, breaks and special characters.
        (["inter", write_run("nation", "<w:b/>"), "al"], "international"),
        (["4 Quay Street", "<w:r><w:br/></w:r>", "Larkspur"], "4 Quay Street\nLarkspur"),
        (["Total", "<w:r><w:tab/></w:r>", "12 €"], "Total\t12 €"),
        (["Adult", "<w:r><w:tab/></w:r>", "1", "<w:r><w:tab/></w:r>", "200 €"], "Adult\t1; 200 €"),
        (["A", "<w:r><w:noBreakHyphen/></w:r>", "12"], "A-12"),
        (["inter", "<w:r><w:softHyphen/></w:r>", "national  law"], "international law"),
        (["5 ", '<w:r><w:sym w:font="Symbol" w:char="F0B3"/></w:r>', " 4"], "5 ≥ 4"),
        (['<w:r><w:sym w:font="Wingdings" w:char="F0FC"/></w:r>', " included"], "✓ included"),
        (['<w:r><w:sym w:font="Other" w:char="F0FC"/></w:r>', "included"], "included"),
        ([write_run("\uf0b1", '<w:rFonts w:ascii="Symbol" w:hAnsi="Symbol"/>'), "2 %"], "±2 %"),
        # Formulas.
        (["burns ", write_formula(TEN_TO_FOUR), " litres"], "burns 10^4 litres"),
        (
            [write_formula(f"<m:f><m:num>{write_math('a+b')}</m:num><m:den>{write_math('2')}</m:den></m:f>")],
            "(a+b)/2",
        ),
        ([write_formula(f"<m:rad><m:deg/><m:e>{write_math('x')}</m:e></m:rad>")], "√x"),
        (
            [write_formula(f"<m:d><m:dPr><m:begChr m:val='['/><m:endChr m:val=']'/></m:dPr><m:e>{write_math('0')}</m:e><m:e>{write_math('1')}</m:e></m:d>")],
            "[0; 1]",
        ),
        # Descriptions of pictures.
        (["See", '<w:r><w:drawing><wp:inline><wp:docPr descr="Map of the harbour"/></wp:inline></w:drawing></w:r>', "below"], "See Map of the harbour below"),
        (["See", '<w:r><w:drawing><wp:inline><wp:docPr descr="image1.png"/></wp:inline></w:drawing></w:r>'], "See"),
        (["See", '<w:r><w:drawing><wp:inline><wp:docPr descr="A dog&#10;Description automatically generated"/></wp:inline></w:drawing></w:r>'], "See"),
        # Content that other elements enclose.
        ([f'<w:smartTag>{write_run("one ")}</w:smartTag><w:customXml>{write_run("two")}</w:customXml>'], "one two"),
        ([f"<w:sdt><w:sdtPr/><w:sdtContent>{write_run('chosen')}</w:sdtContent></w:sdt>"], "chosen"),
        ([f"<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr><w:sdtContent>{write_run('Choose')}</w:sdtContent></w:sdt>", "x"], "x"),
        ([f"<w:r><w:ruby><w:rt>{write_run('kan')}</w:rt><w:rubyBase>{write_run('漢')}</w:rubyBase></w:ruby></w:r>"], "漢"),
    ],
)  # fmt: skip
def test_text_of_a_paragraph(runs, text):
    assert read_word(write_paragraph(*runs)) == text
