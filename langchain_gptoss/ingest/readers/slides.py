"""Reader of PowerPoint presentations, as Markdown: what the slides show, and the speaker's notes."""

import io
import re
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText
from langchain_gptoss.ingest.readers.notation import format_subscript, format_superscript, separate_columns
from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Cell, Grid, create_grid
from langchain_gptoss.ingest.readers.tables.table import format_as_pipes
from langchain_gptoss.ingest.readers.zip_files import explain_errors
from langchain_gptoss.ingest.structure import find_first_heading

_MAIN = "{http://schemas.openxmlformats.org/drawingml/2006/main}"
_SPACES = re.compile(r"[ \n\r\f\v]+")
_SLIDE_NUMBER = "sldNum"
_FRAME_PLACEHOLDERS = ("ftr", "dt", "hdr")  # footer, date and header, which stand on every slide


def read_pptx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a presentation, one page per slide: title, texts, tables, notes. A hidden slide is an empty page."""
    pptx = require("pptx", extra="rag")
    with explain_errors("PowerPoint presentation (.pptx)", data, max_bytes, unpacks_pictures=True):
        frames: set[str] = set()
        pages = [
            "" if slide.element.get("show") in ("0", "false") else _format_slide(slide, frames)
            for slide in pptx.Presentation(io.BytesIO(data)).slides
        ]
    return ExtractedText(pages, find_first_heading(PAGE_BREAK.join(pages)), has_pages=True)


def _format_slide(slide: Any, frames: set[str]) -> str:
    """Return the text of a slide; `frames` are the footers of the slides before, which are not repeated."""
    title = slide.shapes.title
    parts = []
    if title is not None and (name := " ".join(map(_read_paragraph, title.text_frame.paragraphs)).strip()):
        parts.append(f"# {name}")
    for shape in _iterate_shapes(slide.shapes):
        if title is not None and shape.shape_id == title.shape_id:
            continue
        kind = _get_placeholder_kind(shape)
        text = "" if kind == _SLIDE_NUMBER else _format_shape(shape)
        if kind in _FRAME_PLACEHOLDERS:
            if text in frames:
                continue
            frames.add(text)
        parts += [text] if text else []
    if slide.has_notes_slide and slide.notes_slide.notes_text_frame is not None:
        notes = _format_paragraphs(slide.notes_slide.notes_text_frame)
        parts += [f"Notes:\n{notes}"] if notes else []
    return PAGE_BREAK.join(parts)


def _iterate_shapes(shapes: Iterable[Any]) -> Iterator[Any]:
    for shape in shapes:
        if shape.element.find(".//{*}cNvPr[@hidden='1']") is not None and not hasattr(shape, "shapes"):
            continue
        if hasattr(shape, "shapes"):
            yield from _iterate_shapes(shape.shapes)
        else:
            yield shape


def _get_placeholder_kind(shape: Any) -> str:
    placeholder = shape.element.find(".//{*}nvPr/{*}ph")
    return "" if placeholder is None else str(placeholder.get("type", ""))


def _format_shape(shape: Any) -> str:
    if shape.has_text_frame:
        return _format_paragraphs(shape.text_frame)
    if getattr(shape, "has_table", False):
        return format_as_pipes(create_table(_create_slide_grid(shape.table)))
    if shape.element.tag.endswith("}pic"):
        name = shape.element.find(".//{*}cNvPr")
        return " ".join(name.get("descr", "").split()) if name is not None else ""
    return ""


def _create_slide_grid(table: Any) -> Grid:
    rows = [
        [
            Cell(
                text=" ".join(map(_read_paragraph, cell.text_frame.paragraphs)),
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
    lines = [("  " * paragraph.level, _read_paragraph(paragraph)) for paragraph in frame.paragraphs]
    return "\n".join(f"{indent}- {line}" for indent, line in lines if line)


def _read_paragraph(paragraph: Any) -> str:
    """Return the text of a paragraph in one line, without struck text and slide numbers."""
    text = ""
    for child in paragraph._p:
        if child.tag == f"{_MAIN}br":
            text += " "
        if child.tag not in (f"{_MAIN}r", f"{_MAIN}fld") or child.get("type") == "slidenum":
            continue
        content = child.findtext(f"{_MAIN}t") or ""
        properties = child.find(f"{_MAIN}rPr")
        baseline = "0" if properties is None else properties.get("baseline", "0")
        if properties is not None and properties.get("strike", "noStrike") != "noStrike":
            continue
        if baseline.startswith("-") and baseline != "-0":
            text += format_subscript(content, text)
        elif baseline.strip("0%"):
            text += format_superscript(content, text, _get_text_after(child))
        else:
            text += content
    return separate_columns(_SPACES.sub(" ", text)).strip()


def _get_text_after(run: Any) -> str:
    following = run.getnext()
    return "" if following is None else following.findtext(f"{_MAIN}t") or ""
