"""Word, PowerPoint, Excel and EPUB as Markdown.

All four are zip files, and a zip file of a few kilobytes can unpack to terabytes: the sizes in its directory are read
before anything is unpacked.
"""

import datetime
import io
import posixpath
import warnings
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.formats import PAGE_BREAK, Extract, UnusableError, markdown_of
from langchain_gptoss.ingest.readers.records import rows_as_text
from langchain_gptoss.ingest.split import first_heading

_OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # what Office wraps encrypted files in, and what it wrote before 2007
_PARSED = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf")
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_CIPHER = "{http://www.w3.org/2001/04/xmlenc#}CipherReference"


def read_docx(data: bytes, limit: int) -> Extract:
    """Returns a Word document: its headings, paragraphs, lists, tables and notes."""
    mammoth = require("mammoth", extra="rag")
    html = require("mammoth.html", extra="rag")
    with _office("Word document (.docx)", data, limit):
        made = mammoth.convert_to_html(
            io.BytesIO(data),
            convert_image=lambda image: [html.text(image.alt_text)] if image.alt_text else [],
            style_map="p[style-name='Title'] => h1:fresh",
        )
        text = markdown_of(str(made.value), table_infer_header=True)
    return Extract([text], first_heading(text))


def read_pptx(data: bytes, limit: int) -> Extract:
    """Returns a presentation, a page for each slide: title, texts, tables and the speaker's notes."""
    pptx = require("pptx", extra="rag")
    with _office("PowerPoint presentation (.pptx)", data, limit):
        pages = [_slide(slide) for slide in pptx.Presentation(io.BytesIO(data)).slides]
    return Extract(pages, first_heading(PAGE_BREAK.join(pages)), paged=True)


def read_xlsx(data: bytes, limit: int) -> Extract:
    """Returns the visible sheets of a workbook, each under a heading, a row as a list item."""
    openpyxl = require("openpyxl", extra="rag")
    with _office("Excel workbook (.xlsx)", data, limit), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of parts that hold no cells, such as pictures
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        visible = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        sheets = [f"## {_line(sheet.title)}\n\n{rows}" for sheet in visible if (rows := rows_as_text(_cells(sheet)))]
    return Extract([PAGE_BREAK.join(sheets)])


def read_epub(data: bytes, limit: int) -> Extract:
    """Returns a book, its chapters in reading order."""
    with _office("EPUB book (.epub)", data, limit), zipfile.ZipFile(io.BytesIO(data)) as book:
        package_name = _xml(book, "META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
        if package_name is None:
            raise UnusableError("its container names no book; export it again as .epub")
        path = package_name.get("full-path", "")
        package = _xml(book, path)
        names = _spine(package, posixpath.dirname(path))
        if set(names) & _enciphered(book):
            raise UnusableError("it is protected (DRM); use a copy without protection")
        chapters = [markdown_of(book.read(name).decode("utf-8", "replace")).strip() for name in names]
        title = package.findtext(f".//{_TITLE}") or ""
    return Extract([PAGE_BREAK.join(filter(None, chapters))], _line(title))


@contextmanager
def _office(kind: str, data: bytes, limit: int) -> Iterator[None]:
    """Says what is wrong with a file, whatever the parser makes of it."""
    _check_zip(kind, data, limit)
    try:
        yield
    except (UnusableError, ImportError):
        raise
    except Exception as error:  # the parsers take for granted that what they read is well made
        detail = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise UnusableError(f"it is not a readable {kind} ({detail}); open it and save it again") from error


def _check_zip(kind: str, data: bytes, limit: int) -> None:
    if not data:
        raise UnusableError("it is empty")
    if data.startswith(_OLE):
        raise UnusableError(
            f"it is protected by a password or in the format of before 2007; save a copy without password as {kind}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise UnusableError(f"it is not a readable {kind} ({error}); open it and save it again") from None
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnusableError("it is protected by a password; save a copy without one")
    unpacked = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_PARSED))
    if unpacked > limit:
        raise UnusableError(
            f"its {len(data) / 1e6:.1f} MB unpack to {unpacked / 1e6:,.0f} MB of text and the limit is "
            f"{limit / 1e6:,.0f} MB; if it is no zip bomb, split it or raise max_bytes"
        )


def _slide(slide: Any) -> str:
    title = slide.shapes.title
    parts = [f"# {_line(title.text_frame.text)}"] if title is not None and title.text_frame.text.strip() else []
    parts += [text for shape in _shapes(slide.shapes) if (text := _shape_text(shape, title))]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = _paragraphs(slide.notes_slide.notes_text_frame)
        parts += [f"Notes:\n{notes}"] if notes else []
    return PAGE_BREAK.join(parts)


def _shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _shapes(shape.shapes)
        else:
            yield shape


def _shape_text(shape: Any, title: Any) -> str:
    if title is not None and shape.shape_id == title.shape_id:
        return ""
    if shape.has_text_frame:
        return _paragraphs(shape.text_frame)
    if getattr(shape, "has_table", False):
        rows = [[_line(cell.text) for cell in row.cells] for row in shape.table.rows]
        lines = [f"| {' | '.join(row)} |" for row in rows]
        return "\n".join([lines[0], f"|{' --- |' * len(rows[0])}", *lines[1:]]) if lines else ""
    return ""


def _paragraphs(frame: Any) -> str:
    lines = [("  " * paragraph.level, _line(paragraph.text)) for paragraph in frame.paragraphs]
    return "\n".join(f"{indent}- {line}" for indent, line in lines if line)


def _line(text: str) -> str:
    return " ".join(text.split())


def _cells(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # what the file says of its size need not be true
    for row in sheet.iter_rows(values_only=True):
        yield [_cell(value) for value in row]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.15g}"
    return _line(str(value))


def _xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = book.read(name)
    if b"<!ENTITY" in data:
        raise UnusableError("its XML defines entities, which no book needs; export it again as .epub")
    return ElementTree.fromstring(data)


def _spine(package: ElementTree.Element, folder: str) -> list[str]:
    """Returns the names of the chapters in the zip file."""
    items = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    chapters = [items.get(ref.get("idref")) for ref in package.iter(f"{_OPF}itemref")]
    return [
        posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in chapters
        if item is not None and "html" in item.get("media-type", "")
    ]


def _enciphered(book: zipfile.ZipFile) -> set[str]:
    if "META-INF/encryption.xml" not in book.namelist():
        return set()
    return {unquote(part.get("URI", "")) for part in _xml(book, "META-INF/encryption.xml").iter(_CIPHER)}
