"""Readers of Word, PowerPoint, Excel and EPUB, as Markdown.

All four are zip files, and a zip file of a few kilobytes can unpack to terabytes. The sizes in its directory are
therefore checked before anything is unpacked.
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
from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown
from langchain_gptoss.ingest.readers.tables.detection import create_table, find_tables
from langchain_gptoss.ingest.readers.tables.grid import Cell, Grid, create_grid
from langchain_gptoss.ingest.readers.tables.sheets import format_sheets
from langchain_gptoss.ingest.readers.tables.table import format_as_pipes
from langchain_gptoss.ingest.structure import find_first_heading

_OLE_SIGNATURE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"  # of encrypted Office files and of the formats before 2007
_PARSED_SUFFIXES = (".xml", ".rels", ".xhtml", ".html", ".htm", ".opf")
_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_CIPHER_REFERENCE = "{http://www.w3.org/2001/04/xmlenc#}CipherReference"


def read_docx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a Word document: headings, paragraphs, lists, tables and notes."""
    mammoth = require("mammoth", extra="rag")
    html = require("mammoth.html", extra="rag")
    with _explain_errors("Word document (.docx)", data, max_bytes):
        result = mammoth.convert_to_html(
            io.BytesIO(data),
            convert_image=lambda image: [html.text(image.alt_text)] if image.alt_text else [],
            style_map="p[style-name='Title'] => h1:fresh",
        )
        text = convert_html_to_markdown(str(result.value))
    return ExtractedText([text], find_first_heading(text))


def read_pptx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a presentation, one page per slide: title, texts, tables and the speaker's notes."""
    pptx = require("pptx", extra="rag")
    with _explain_errors("PowerPoint presentation (.pptx)", data, max_bytes):
        pages = [_format_slide(slide) for slide in pptx.Presentation(io.BytesIO(data)).slides]
    return ExtractedText(pages, find_first_heading(PAGE_BREAK.join(pages)), has_pages=True)


def read_xlsx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the visible sheets of a workbook, each under a heading, with one list item per row."""
    openpyxl = require("openpyxl", extra="rag")
    with _explain_errors("Excel workbook (.xlsx)", data, max_bytes), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # openpyxl warns about parts without cells, such as pictures
        book = openpyxl.load_workbook(io.BytesIO(data), read_only=True, data_only=True)
        sheets = [sheet for sheet in book.worksheets if sheet.sheet_state == "visible"]
        text, headings = format_sheets(
            (_join_words(sheet.title), find_tables(Grid(rows=list(_read_rows(sheet))))) for sheet in sheets
        )
    return ExtractedText([text], headings=[headings])


def read_epub(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a book, its chapters in reading order."""
    with _explain_errors("EPUB book (.epub)", data, max_bytes), zipfile.ZipFile(io.BytesIO(data)) as book:
        rootfile = _parse_xml(book, "META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
        if rootfile is None:
            raise UnreadableFileError("its container names no book; export it again as .epub")
        package_path = rootfile.get("full-path", "")
        package = _parse_xml(book, package_path)
        names = _list_chapters(package, posixpath.dirname(package_path))
        if set(names) & _list_encrypted_parts(book):
            raise UnreadableFileError("it is protected (DRM); use a copy without protection")
        chapters = [convert_html_to_markdown(book.read(name).decode("utf-8", "replace")).strip() for name in names]
        title = package.findtext(f".//{_TITLE}") or ""
    return ExtractedText([PAGE_BREAK.join(filter(None, chapters))], _join_words(title))


@contextmanager
def _explain_errors(format_name: str, data: bytes, max_bytes: int) -> Iterator[None]:
    """Check the zip file first, and turn every error of a parser into an `UnreadableFileError`."""
    _check_zip(format_name, data, max_bytes)
    try:
        yield
    except (UnreadableFileError, ImportError):
        raise
    except Exception as error:  # the parsers expect well-formed files and raise anything on others
        detail = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        raise UnreadableFileError(
            f"it is not a readable {format_name} ({detail}); open it and save it again"
        ) from error


def _check_zip(format_name: str, data: bytes, max_bytes: int) -> None:
    if not data:
        raise UnreadableFileError("it is empty")
    if data.startswith(_OLE_SIGNATURE):
        raise UnreadableFileError(
            f"it is protected by a password or has a format from before 2007; "
            f"save a copy without a password as {format_name}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, EOFError) as error:
        raise UnreadableFileError(f"it is not a readable {format_name} ({error}); open it and save it again") from None
    if any(entry.flag_bits & 1 for entry in entries):
        raise UnreadableFileError("it is protected by a password; save a copy without one")
    unpacked = sum(entry.file_size for entry in entries if entry.filename.lower().endswith(_PARSED_SUFFIXES))
    if unpacked > max_bytes:
        raise UnreadableFileError(
            f"its {len(data) / 1e6:.1f} MB unpack to {unpacked / 1e6:,.0f} MB of text and the limit is "
            f"{max_bytes / 1e6:,.0f} MB; if it is no zip bomb, split it or raise max_bytes"
        )


def _format_slide(slide: Any) -> str:
    title = slide.shapes.title
    parts = []
    if title is not None and title.text_frame.text.strip():
        parts.append(f"# {_join_words(title.text_frame.text)}")
    parts += [text for shape in _iterate_shapes(slide.shapes) if (text := _format_shape(shape, title))]
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = _format_paragraphs(slide.notes_slide.notes_text_frame)
        parts += [f"Notes:\n{notes}"] if notes else []
    return PAGE_BREAK.join(parts)


def _iterate_shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if hasattr(shape, "shapes"):
            yield from _iterate_shapes(shape.shapes)
        else:
            yield shape


def _format_shape(shape: Any, title: Any) -> str:
    if title is not None and shape.shape_id == title.shape_id:
        return ""
    if shape.has_text_frame:
        return _format_paragraphs(shape.text_frame)
    if getattr(shape, "has_table", False):
        return format_as_pipes(create_table(_create_slide_grid(shape.table)))
    return ""


def _create_slide_grid(table: Any) -> Grid:
    rows = [
        [
            Cell(
                text=cell.text,
                rowspan=cell.span_height,
                colspan=cell.span_width,
                is_header=table.first_row and number == 0,
            )
            for cell in row.cells
            if not cell.is_spanned
        ]
        for number, row in enumerate(table.rows)
    ]
    return create_grid(rows)


def _format_paragraphs(frame: Any) -> str:
    lines = [("  " * paragraph.level, _join_words(paragraph.text)) for paragraph in frame.paragraphs]
    return "\n".join(f"{indent}- {line}" for indent, line in lines if line)


def _join_words(text: str) -> str:
    return " ".join(text.split())


def _read_rows(sheet: Any) -> Iterator[list[str]]:
    sheet.reset_dimensions()  # the size that the file states may be wrong
    for row in sheet.iter_rows(values_only=True):
        yield [_format_cell(value) for value in row]


def _format_cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime.datetime) and value.time() == datetime.time():
        return value.date().isoformat()
    if isinstance(value, datetime.datetime):
        return value.isoformat(" ", "seconds")
    if isinstance(value, float):
        return f"{value:.15g}"
    return _join_words(str(value))


def _parse_xml(book: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = book.read(name)
    if b"<!ENTITY" in data:
        raise UnreadableFileError("its XML defines entities, which no book needs; export it again as .epub")
    return ElementTree.fromstring(data)


def _list_chapters(package: ElementTree.Element, folder: str) -> list[str]:
    """Return the names of the chapters in the zip file, in reading order."""
    items = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    chapters = [items.get(reference.get("idref")) for reference in package.iter(f"{_OPF}itemref")]
    return [
        posixpath.normpath(posixpath.join(folder, unquote(item.get("href", ""))))
        for item in chapters
        if item is not None
        and "html" in item.get("media-type", "")
        and "nav" not in item.get("properties", "").split()  # the table of contents
    ]


def _list_encrypted_parts(book: zipfile.ZipFile) -> set[str]:
    if "META-INF/encryption.xml" not in book.namelist():
        return set()
    references = _parse_xml(book, "META-INF/encryption.xml").iter(_CIPHER_REFERENCE)
    return {unquote(reference.get("URI", "")) for reference in references}
