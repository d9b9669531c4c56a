"""Smallest files of each format that have the requested contents."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'


_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"


_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def create_zip(files: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Create a ZIP archive of these files."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def create_docx(*blocks: str | tuple[int, str] | list[list[str]]) -> bytes:
    """Create a Word document: a heading is (level, text), a paragraph a text, a table a list of rows."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2, 3)
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    body = "".join(_format_docx_block(block) for block in blocks)
    return create_zip(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f"<w:styles {_W}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        }
    )


def _format_docx_block(block: str | tuple[int, str] | list[list[str]]) -> str:
    if isinstance(block, tuple):
        return f'<w:p><w:pPr><w:pStyle w:val="Heading{block[0]}"/></w:pPr><w:r><w:t>{block[1]}</w:t></w:r></w:p>'
    if isinstance(block, list):
        rows = ("".join(f"<w:tc>{_format_docx_block(cell)}</w:tc>" for cell in row) for row in block)
        return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"
    return f'<w:p><w:r><w:t xml:space="preserve">{block}</w:t></w:r></w:p>'


def create_epub(
    *chapters: str | bytes, title: str = "A Book", enciphered: Sequence[str] = (), contents: str = ""
) -> bytes:
    """Create an EPUB; its manifest lists the chapters in reverse order.

    Args:
        chapters: Bodies of the chapters, or whole chapters as bytes.
        title: The title.
        enciphered: Names of the files that are listed as encrypted.
        contents: An EPUB 3 table of contents: the items of its list.
    """
    names = [f"c{number}.xhtml" for number in range(len(chapters))]
    items = "".join(f'<item id="{n}" href="text/{n}" media-type="application/xhtml+xml"/>' for n in reversed(names))
    if contents:
        items += '<item id="nav" href="nav.xhtml" properties="nav" media-type="application/xhtml+xml"/>'
    spine = "".join(f'<itemref idref="{name}"/>' for name in names)
    files: dict[str, str | bytes] = {
        "mimetype": "application/epub+zip",
        "META-INF/container.xml": '<container xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>'
        '<rootfile full-path="OEBPS/book.opf"/></rootfiles></container>',
        "OEBPS/book.opf": '<package xmlns="http://www.idpf.org/2007/opf"><metadata '
        f'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>{title}</dc:title></metadata>'
        f"<manifest>{items}</manifest><spine>{spine}</spine></package>",
    }
    for name, chapter in zip(names, chapters, strict=True):
        if isinstance(chapter, str):
            chapter = f'<?xml version="1.0"?><html><head><title>x</title></head><body>{chapter}</body></html>'
        files[f"OEBPS/text/{name}"] = chapter
    if contents:
        files["OEBPS/nav.xhtml"] = (
            f'<html xmlns="http://www.w3.org/1999/xhtml"><body><nav><ol>{contents}</ol></nav></body></html>'
        )
    if enciphered:
        data = "".join(
            f'<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="{name}"/>'
            "</CipherData></EncryptedData>"
            for name in enciphered
        )
        files["META-INF/encryption.xml"] = f"<encryption>{data}</encryption>"
    return create_zip(files)


def create_eml(
    subject: str, *, text: str | None = None, html: str | None = None, attached: Mapping[str, bytes] | None = None
) -> bytes:
    """Create an e-mail with these parts."""
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "Zoé <zoe@larkspur.example>"
    message["To"] = "shop@larkspur.example"
    if text is not None:
        message.set_content(text)
    if html is not None:
        (message.add_alternative if text is not None else message.set_content)(html, subtype="html")
    for name, data in (attached or {}).items():
        message.add_attachment(data, maintype="application", subtype="pdf", filename=name)
    return message.as_bytes()


def create_pdf(*pages: str, trailer: str = "", extra: Sequence[str] = (), catalog: str = "") -> bytes:
    """Create a PDF with these texts, one per page; a newline in a text starts a new line.

    `extra` are objects after the pages, the first numbered `4 + 2 * len(pages)`; `catalog` is added to the catalogue.
    """
    count = len(pages)
    kids = " ".join(f"{4 + 2 * i} 0 R" for i in range(count))
    objects = [
        f"<< /Type /Catalog /Pages 2 0 R {catalog} >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {count} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
    ]
    for i, page in enumerate(pages):
        lines = " T* ".join(f"({line}) Tj" for line in page.split("\n"))
        stream = f"BT /F1 12 Tf 14 TL 72 720 Td {lines} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents {5 + 2 * i} 0 R "
            "/Resources << /Font << /F1 3 0 R >> >> >>"
        )
        objects.append(f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream")
    return assemble_pdf([*objects, *extra], trailer)


def assemble_pdf(objects: Sequence[str], trailer: str = "") -> bytes:
    """Create a PDF of these objects, numbered from 1; the first is the catalogue."""
    out, offsets = b"%PDF-1.4\n", []
    for number, body in enumerate(objects, 1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size = len(objects) + 1
    end = f"xref\n0 {size}\n0000000000 65535 f \n{table}trailer\n<< /Size {size} /Root 1 0 R {trailer} >>\n"
    return out + f"{end}startxref\n{len(out)}\n%%EOF\n".encode()


def create_outlined_pdf(pages: Sequence[str], bookmarks: Sequence[tuple[int, str, int | None]]) -> bytes:
    """Create a PDF with bookmarks: level, title, index of the page or None for a bookmark without a target."""
    root = 4 + 2 * len(pages)
    parents, above = [], {-1: root}
    for number, (level, _, _) in enumerate(bookmarks):
        parents.append(above[level - 1])
        above[level] = root + 1 + number
    numbers = range(root + 1, root + 1 + len(bookmarks))

    def link_children(parent: int) -> str:
        children = [number for number, above in zip(numbers, parents, strict=True) if above == parent]
        return f"/First {children[0]} 0 R /Last {children[-1]} 0 R /Count {len(children)}" if children else ""

    items = [f"<< /Type /Outlines {link_children(root)} >>"]
    for number, parent, (_, title, page) in zip(numbers, parents, bookmarks, strict=True):
        after = [other for other, above in zip(numbers, parents, strict=True) if above == parent and other > number]
        following = f"/Next {after[0]} 0 R" if after else ""
        place = "" if page is None else f"/Dest [{4 + 2 * page} 0 R /Fit]"
        name = f"<feff{title.encode('utf-16-be').hex()}>"
        items.append(f"<< /Title {name} /Parent {parent} 0 R {following} {place} {link_children(number)} >>")
    return create_pdf(*pages, extra=items, catalog=f"/Outlines {root} 0 R")
