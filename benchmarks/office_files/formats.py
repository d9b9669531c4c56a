"""Writers of office files: Word, PDF, EPUB and mail, as office programs write them."""

import io
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_RELATIONSHIPS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml"
_NAMESPACES = f'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" xmlns:r="{_OFFICE}"'
_PAGE_HEIGHT = 842  # of A4, in points
_LINE_HEIGHT = 13


def create_zip(files: dict[str, bytes | str]) -> bytes:
    """Return a ZIP archive of files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def format_run(text: str) -> str:
    """Return a run of text of a Word document."""
    return f'<w:r><w:t xml:space="preserve">{text}</w:t></w:r>'


def format_paragraph(content: str, *, style: str = "", list_level: int | None = None) -> str:
    """Return a paragraph; content is text, or runs and fields."""
    runs = content if content.startswith("<w:") else format_run(content)
    style = "ListParagraph" if list_level is not None else style
    properties = f'<w:pStyle w:val="{style}"/>' if style else ""
    if list_level is not None:
        properties += f'<w:numPr><w:ilvl w:val="{list_level}"/><w:numId w:val="1"/></w:numPr>'
    return f"<w:p><w:pPr>{properties}</w:pPr>{runs}</w:p>"


def format_field(instruction: str, result: str) -> str:
    """Return a field as Word stores it: its instruction, which is not text, and its last result, which is."""
    return (
        '<w:r><w:fldChar w:fldCharType="begin"/></w:r>'
        f'<w:r><w:instrText xml:space="preserve"> {instruction} </w:instrText></w:r>'
        '<w:r><w:fldChar w:fldCharType="separate"/></w:r>'
        f'{format_run(result)}<w:r><w:fldChar w:fldCharType="end"/></w:r>'
    )


def format_footnote(number: int) -> str:
    """Return the mark of a footnote."""
    return f'<w:r><w:rPr><w:vertAlign w:val="superscript"/></w:rPr><w:footnoteReference w:id="{number}"/></w:r>'


@dataclass(frozen=True, kw_only=True)
class WordCell:
    """A cell of a Word table.

    Attributes:
        text: Its text.
        columns: Number of columns that it covers.
        merge: `"restart"` for the first of cells merged from above to below, `"continue"` for the others.
    """

    text: str
    columns: int = 1
    merge: str = ""


def format_table(rows: Iterable[Sequence[str | WordCell]]) -> str:
    """Return a table of a Word document."""
    return f"<w:tbl>{''.join(_format_row(row) for row in rows)}</w:tbl>"


def _format_row(row: Sequence[str | WordCell]) -> str:
    cells = ""
    for entry in row:
        cell = WordCell(text=entry) if isinstance(entry, str) else entry
        span = f'<w:gridSpan w:val="{cell.columns}"/>' if cell.columns > 1 else ""
        merge = f'<w:vMerge w:val="{cell.merge}"/>' if cell.merge else ""
        cells += f"<w:tc><w:tcPr>{span}{merge}</w:tcPr>{format_paragraph(cell.text)}</w:tc>"
    return f"<w:tr>{cells}</w:tr>"


def create_docx(body: str, *, header: str, footer: str, footnotes: Sequence[str] = ()) -> bytes:
    """Return a Word document with a header, a footer and footnotes."""
    parts = {"header1": f"<w:hdr {_NAMESPACES}>{format_paragraph(header)}</w:hdr>"}
    parts["footer1"] = f"<w:ftr {_NAMESPACES}>{format_paragraph(footer)}</w:ftr>"
    notes = "".join(
        f'<w:footnote w:id="{n}">{format_paragraph(text)}</w:footnote>' for n, text in enumerate(footnotes, 1)
    )
    parts["footnotes"] = f"<w:footnotes {_NAMESPACES}>{notes}</w:footnotes>"
    headings = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2, 3)
    )
    listed = '<w:style w:type="paragraph" w:styleId="ListParagraph"><w:name w:val="List Paragraph"/></w:style>'
    parts["styles"] = f"<w:styles {_NAMESPACES}>{headings}{listed}</w:styles>"
    level = '<w:lvl w:ilvl="0"><w:numFmt w:val="bullet"/><w:lvlText w:val="-"/></w:lvl>'
    parts["numbering"] = (
        f'<w:numbering {_NAMESPACES}><w:abstractNum w:abstractNumId="0">{level}</w:abstractNum>'
        '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num></w:numbering>'
    )
    section = (
        '<w:sectPr><w:headerReference w:type="default" r:id="header1"/>'
        '<w:footerReference w:type="default" r:id="footer1"/></w:sectPr>'
    )
    overrides = "".join(_format_override(name) for name in ("document", *parts))
    links = "".join(
        f'<Relationship Id="{name}" Type="{_OFFICE}/{name.rstrip("1")}" Target="{name}.xml"/>' for name in parts
    )
    return create_zip(
        {
            "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
            '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
            f"{overrides}</Types>",
            "_rels/.rels": f'<Relationships xmlns="{_RELATIONSHIPS}"><Relationship Id="r1" '
            f'Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELATIONSHIPS}">{links}</Relationships>',
            "word/document.xml": f"<w:document {_NAMESPACES}><w:body>{body}{section}</w:body></w:document>",
            **{f"word/{name}.xml": text for name, text in parts.items()},
        }
    )


def _format_override(name: str) -> str:
    kind = "document.main" if name == "document" else name.rstrip("1")
    return f'<Override PartName="/word/{name}.xml" ContentType="{_WORD}.{kind}+xml"/>'


@dataclass(frozen=True, kw_only=True)
class PdfPage:
    """A page of a two-column document.

    Attributes:
        columns: The lines of each column.
        head: The running head.
        foot: The line below, which has the page number.
    """

    columns: tuple[Sequence[str], ...]
    head: str
    foot: str


def create_pdf(pages: Sequence[PdfPage], *, by_line: bool) -> bytes:
    """Return a PDF with columns.

    Args:
        pages: The pages.
        by_line: Write the first lines of all columns, then the second ones, as some programs do. Else column by column.
    """
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>",
    ]
    for number, page in enumerate(pages):
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 {_PAGE_HEIGHT}] /Contents {5 + 2 * number} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>".encode()
        )
        stream = _format_page(page, by_line).encode("cp1252")
        objects.append(f"<< /Length {len(stream)} >>\nstream\n".encode() + stream + b"\nendstream")
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n".encode() + body + b"\nendobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


def _format_page(page: PdfPage, by_line: bool) -> str:
    placed = [
        (line, column, _format_line(50 + 265 * column, _PAGE_HEIGHT - 90 - _LINE_HEIGHT * line, text))
        for column, lines in enumerate(page.columns)
        for line, text in enumerate(lines)
        if text
    ]
    placed.sort(key=lambda entry: entry[:2] if by_line else (entry[1], entry[0]))
    head = _format_line(50, _PAGE_HEIGHT - 40, page.head)
    foot = _format_line(290, 30, page.foot)
    return "\n".join([head, *(text for _, _, text in placed), foot])


def _format_line(x: int, y: int, text: str) -> str:
    escaped = text.replace("\\", r"\\").replace("(", r"\(").replace(")", r"\)")
    return f"BT /F1 10 Tf {x} {y} Td ({escaped}) Tj ET"


def create_epub(title: str, chapters: Sequence[bytes]) -> bytes:
    """Return an EPUB; each chapter is a whole XHTML file in an encoding of its own."""
    names = [f"chapter{number}.xhtml" for number in range(1, len(chapters) + 1)]
    items = "".join(f'<item id="{n}" href="{n}" media-type="application/xhtml+xml"/>' for n in names)
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    return create_zip(
        {
            "mimetype": "application/epub+zip",
            "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
            '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
            "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
            f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
            f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
            **{f"OEBPS/{name}": chapter for name, chapter in zip(names, chapters, strict=True)},
        }
    )
