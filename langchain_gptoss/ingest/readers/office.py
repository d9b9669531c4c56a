"""Readers of Word and PowerPoint, as Markdown."""

import io
from collections.abc import Iterable, Iterator
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown
from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Cell, Grid, create_grid
from langchain_gptoss.ingest.readers.tables.table import format_as_pipes
from langchain_gptoss.ingest.readers.zip_files import explain_errors
from langchain_gptoss.ingest.structure import find_first_heading


def read_docx(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a Word document: headings, paragraphs, lists, tables and notes."""
    mammoth = require("mammoth", extra="rag")
    html = require("mammoth.html", extra="rag")
    with explain_errors("Word document (.docx)", data, max_bytes):
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
    with explain_errors("PowerPoint presentation (.pptx)", data, max_bytes):
        pages = [_format_slide(slide) for slide in pptx.Presentation(io.BytesIO(data)).slides]
    return ExtractedText(pages, find_first_heading(PAGE_BREAK.join(pages)), has_pages=True)


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
