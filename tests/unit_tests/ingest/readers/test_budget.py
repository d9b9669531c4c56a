"""Budgets: every way to make a small file large ends at the limit, and ordinary files are not concerned."""

import json
import zipfile
from collections.abc import Callable
from io import BytesIO

import pytest

from langchain_gptoss.ingest.readers.base import SizeLimitError, UnreadableFileError
from langchain_gptoss.ingest.readers.budget import BoundedZipFile, SizeBudget, create_text_budget
from langchain_gptoss.ingest.readers.registry import load_reader

LIMIT = 200_000
MAIN = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
PACKAGE = "http://schemas.openxmlformats.org/package/2006/relationships"
WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"


def create_zip(parts: dict[str, str]) -> bytes:
    out = BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in parts.items():
            archive.writestr(name, text)
    return out.getvalue()


def create_relationships(*relations: tuple[str, str]) -> str:
    items = "".join(
        f'<Relationship Id="r{number}" Type="{OFFICE}/{kind}" Target="{target}"/>'
        for number, (kind, target) in enumerate(relations)
    )
    return f'<Relationships xmlns="{PACKAGE}">{items}</Relationships>'


def create_xlsx(cells: str, *, texts: str = "", more: str = "", sheet_name: str = "xl/s.xml", sheets: int = 1) -> bytes:
    items = "".join(f'<sheet name="S{n}" sheetId="{n + 1}" r:id="r0"/>' for n in range(sheets))
    return create_zip(
        {
            "_rels/.rels": create_relationships(("officeDocument", "xl/workbook.xml")),
            "xl/workbook.xml": f'<workbook xmlns="{MAIN}" xmlns:r="{OFFICE}"><sheets>{items}</sheets></workbook>',
            "xl/_rels/workbook.xml.rels": create_relationships(
                ("worksheet", f"/{sheet_name}"), ("sharedStrings", "/xl/t.xml")
            ),
            "xl/t.xml": f'<sst xmlns="{MAIN}">{texts}</sst>',
            sheet_name: f'<worksheet xmlns="{MAIN}"><sheetData>{cells}</sheetData>{more}</worksheet>',
        }
    )


def create_rows(count: int, cell: str) -> str:
    return "".join(f"<row>{cell}</row>" for _ in range(count))


def create_epub(chapter: str, references: int = 1, *, name: str = "c.xhtml", items: int = 1) -> bytes:
    manifest = "".join(f'<item id="i{n}" href="{name}" media-type="application/xhtml+xml"/>' for n in range(items))
    spine = "".join(f'<itemref idref="i{n % items}"/>' for n in range(references))
    return create_zip(
        {
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="b.opf"/></rootfiles></container>',
            "b.opf": f'<package xmlns="http://www.idpf.org/2007/opf"><manifest>{manifest}</manifest>'
            f"<spine>{spine}</spine></package>",
            name: chapter,
        }
    )


def create_docx(
    body: str, parts: dict[str, str] | None = None, *, relations: tuple[tuple[str, str], ...] = ()
) -> bytes:
    return create_zip(
        {
            "_rels/.rels": create_relationships(("officeDocument", "word/document.xml")),
            "word/document.xml": f'<w:document xmlns:w="{WORD}" xmlns:r="{OFFICE}"><w:body>{body}</w:body></w:document>',
            "word/_rels/document.xml.rels": create_relationships(*relations),
            **(parts or {}),
        }
    )


LONG = "word " * 2000
NOTE = f'<w:footnotes xmlns:w="{WORD}"><w:footnote w:id="1"><w:p><w:r><w:t>{LONG}</w:t></w:r></w:p></w:footnote></w:footnotes>'
NOTE_MARK = '<w:p><w:r><w:t>x</w:t><w:footnoteReference w:id="1"/></w:r></w:p>'

BOMBS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "cells that share a text": (
        ".xlsx",
        lambda: create_xlsx(create_rows(60, '<c t="s"><v>0</v></c>'), texts=f"<si><t>{LONG}</t></si>"),
    ),
    "merged cells": (
        ".xlsx",
        lambda: create_xlsx(
            f'<row r="1"><c r="A1" t="inlineStr"><is><t>{LONG}</t></is></c></row>'
            + "".join(f'<row r="{n}"><c r="B{n}"><v>1</v></c></row>' for n in range(2, 60)),
            more='<mergeCells><mergeCell ref="A1:A60"/></mergeCells>',
        ),
    ),
    "the name of a column": (
        ".xlsx",
        lambda: create_xlsx(
            f'<row><c t="inlineStr"><is><t>{LONG}</t></is></c><c t="inlineStr"><is><t>Price</t></is></c></row>'
            + create_rows(60, "<c><v>1</v></c><c><v>2</v></c>")
        ),
    ),
    "a sheet that is listed often": (
        ".xlsx",
        lambda: create_xlsx(create_rows(400, '<c t="inlineStr"><is><t>some words</t></is></c>'), sheets=60),
    ),
    "a large sheet of any name": (
        ".xlsx",
        lambda: create_xlsx(create_rows(9_000, "<c><v>1</v></c>"), sheet_name="xl/a.XML"),
    ),
    "a chapter without the suffix of a page": (".epub", lambda: create_epub(f"<p>{LONG * 30}</p>", name="c.bin")),
    "a chapter under many addresses": (".epub", lambda: create_epub(f"<p>{LONG * 30}</p>", 9, name="c.txt", items=9)),
    "entities of a chapter": (
        ".epub",
        lambda: create_epub(f'<!DOCTYPE html [<!ENTITY e "{"word " * 39}">]><p>{"&e; " * 5000}</p>'),
    ),
    "a note that is referred to often": (
        ".docx",
        lambda: create_docx(NOTE_MARK * 60, {"word/f.xml": NOTE}, relations=(("footnotes", "f.xml"),)),
    ),
    "a page that is embedded often": (
        ".docx",
        lambda: create_docx(
            '<w:altChunk r:id="r0"/>' * 60, {"word/p.html": f"<p>{LONG}</p>"}, relations=(("aFChunk", "p.html"),)
        ),
    ),
    "the name of a column of CSV": (".csv", lambda: f"{LONG};Price\n{'a;1' + chr(10)}".encode() + b"b;2\n" * 100),
    "the name of a group of CSV": (".tsv", lambda: f"Name\tPrice\t{LONG}\n".encode() + b"b\t2\t3\n" * 100),
    "the name of a JSON object": (".json", lambda: json.dumps({LONG: {str(n): n for n in range(100)}}).encode()),
    "the name of a JSON list": (".json", lambda: json.dumps({LONG: [{"a": n} for n in range(100)]}).encode()),
    "the name of JSON objects without values": (
        ".json",
        lambda: json.dumps({LONG: {**{str(n): {} for n in range(100)}, "a": 1}}).encode(),
    ),
    "nested names of JSON": (".json", lambda: (b'{"' + b"n" * 200 + b'":') * 200 + b"1" + b"}" * 200),
    "names in JSON lines": (
        ".jsonl",
        lambda: b'{"a": 1}\n' + json.dumps({LONG: {str(n): n for n in range(100)}}).encode() + b"\n",
    ),
}


@pytest.mark.parametrize("kind", BOMBS)
def test_small_files_do_not_become_large(kind):
    suffix, create = BOMBS[kind]
    data = create()
    assert len(data) < LIMIT / 4
    with pytest.raises(UnreadableFileError, match=r"unpacks? to"):
        load_reader(suffix)(data, LIMIT)
    assert any(map(str.strip, load_reader(suffix)(data, 100_000_000).pages))  # the file is valid otherwise


def test_a_chapter_that_is_listed_often_is_read_once():
    data = create_epub("<p>once</p>", 1000)
    assert load_reader(".epub")(data, LIMIT).pages == ["once"]


def test_pictures_of_a_presentation_count_and_may_be_as_large_as_the_file():
    data = create_zip({"ppt/media/a.bmp": "\0" * 3 * LIMIT, "[Content_Types].xml": "<Types/>"})
    with pytest.raises(UnreadableFileError, match="unpacks to more than"):
        load_reader(".pptx")(data, LIMIT)


def test_tables_may_have_more_text_than_bytes():
    data = b"Name;Place of birth;Remark\n" + b"Anna;Brest;none\n" * 20_000
    assert len(load_reader(".csv")(data, len(data)).pages[0]) > 2 * len(data)


def test_budget():
    budget = SizeBudget(10)
    budget.charge(4)
    assert budget.remaining == 6
    texts = budget.charge_texts(["abc", "d", "e"])
    assert (next(texts), next(texts)) == ("abc", "d")
    with pytest.raises(SizeLimitError, match=r"more than 0\.0 MB; .* save it again, else split it or raise max_bytes"):
        next(texts)
    assert create_text_budget(b"x" * 10, 5).remaining == 40
    assert create_text_budget(b"x", 5).remaining == 5


@pytest.mark.parametrize("read", [lambda part: part.read(), lambda part: part.read(1000), lambda part: part.readline()])
def test_parts_of_an_archive_are_read_up_to_the_budget(read):
    data = create_zip({"a": "0123456789", "b": "0123456789"})
    with BoundedZipFile(data, SizeBudget(20)) as archive:
        for name in ("a", "b"):
            with archive.open(name) as part:
                assert read(part) == b"0123456789"
    with BoundedZipFile(data, SizeBudget(19)) as archive:
        archive.read("a")
        for _ in range(2):
            with archive.open("b") as part, pytest.raises(SizeLimitError):
                read(part)
