"""The smallest Office, EPUB and e-mail files that hold what is asked for."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from email.message import EmailMessage

_W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
_RELS = "http://schemas.openxmlformats.org/package/2006/relationships"
_OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


def zipped(files: Mapping[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", compression) as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return out.getvalue()


def docx(*blocks: str | tuple[int, str] | list[list[str]]) -> bytes:
    """A heading is (level, text), a paragraph a text, a table a list of rows."""
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="Heading{n}"><w:name w:val="heading {n}"/></w:style>' for n in (1, 2, 3)
    )
    types = (
        '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        '<Override PartName="/word/document.xml" ContentType='
        '"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>'
    )
    body = "".join(_docx_block(block) for block in blocks)
    return zipped(
        {
            "[Content_Types].xml": types,
            "_rels/.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/officeDocument" Target="word/document.xml"/></Relationships>',
            "word/_rels/document.xml.rels": f'<Relationships xmlns="{_RELS}"><Relationship Id="r1" Type="{_OFFICE}/styles" Target="styles.xml"/></Relationships>',
            "word/styles.xml": f"<w:styles {_W}>{styles}</w:styles>",
            "word/document.xml": f"<w:document {_W}><w:body>{body}</w:body></w:document>",
        }
    )


def _docx_block(block: str | tuple[int, str] | list[list[str]]) -> str:
    if isinstance(block, tuple):
        return f'<w:p><w:pPr><w:pStyle w:val="Heading{block[0]}"/></w:pPr><w:r><w:t>{block[1]}</w:t></w:r></w:p>'
    if isinstance(block, list):
        rows = ("".join(f"<w:tc>{_docx_block(cell)}</w:tc>" for cell in row) for row in block)
        return f"<w:tbl>{''.join(f'<w:tr>{row}</w:tr>' for row in rows)}</w:tbl>"
    return f'<w:p><w:r><w:t xml:space="preserve">{block}</w:t></w:r></w:p>'


def epub(*chapters: str, title: str = "A Book", enciphered: Sequence[str] = ()) -> bytes:
    names = [f"c{number}.xhtml" for number in range(len(chapters))]
    items = "".join(f'<item id="{n}" href="text/{n}" media-type="application/xhtml+xml"/>' for n in reversed(names))
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
        files[f"OEBPS/text/{name}"] = (
            f'<?xml version="1.0"?><html><head><title>x</title></head><body>{chapter}</body></html>'
        )
    if enciphered:
        data = "".join(
            f'<EncryptedData xmlns="http://www.w3.org/2001/04/xmlenc#"><CipherData><CipherReference URI="{name}"/>'
            "</CipherData></EncryptedData>"
            for name in enciphered
        )
        files["META-INF/encryption.xml"] = f"<encryption>{data}</encryption>"
    return zipped(files)


def eml(
    subject: str, *, text: str | None = None, html: str | None = None, attached: Mapping[str, bytes] | None = None
) -> bytes:
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
