"""Reader of PDF: the text of each page, under the headings of the bookmarks."""

import threading
from collections.abc import Sequence
from contextlib import closing
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.pdf.columns import arrange_regions
from langchain_gptoss.ingest.readers.pdf.form_fields import add_field_values, read_field_values
from langchain_gptoss.ingest.readers.pdf.hyphens import join_broken_words
from langchain_gptoss.ingest.readers.pdf.lines import PageLines, find_lines, is_upright
from langchain_gptoss.ingest.readers.pdf.outline import find_headings, list_bookmarks
from langchain_gptoss.ingest.readers.pdf.running_heads import remove_running_heads
from langchain_gptoss.ingest.readers.pdf.words import CharBoxes, find_words, mark_scripts, read_characters

_FPDF_ERR_PASSWORD = 4  # fpdfview.h
_MAX_NAMED_PAGES = 20
_MAX_PICTURE_DEPTH = 3  # of form objects, in which some programs put the picture of a page

_pdfium_lock = threading.Lock()  # PDFium is not thread-safe, not even across documents


def read_pdf(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the text of each page of a PDF, under the headings of its bookmarks.

    Running heads and page numbers are left out, columns follow each other, and words that a line's end breaks are
    joined. The values of form fields stand beside their labels.
    """
    pdfium = require("pypdfium2", extra="rag")
    pdfium_raw = require("pypdfium2.raw", extra="rag")
    if not data:
        raise UnreadableFileError("it is empty")
    try:
        with _pdfium_lock, closing(pdfium.PdfDocument(data)) as document:
            if document.get_formtype() != pdfium_raw.FORMTYPE_NONE:
                document.init_forms()
            pages = [_read_page(document, index) for index in range(len(document))]
            bookmarks = list_bookmarks(document)
    except (pdfium.PdfiumError, AssertionError) as error:  # pypdfium2 asserts on some damaged pages
        if getattr(error, "err_code", None) == _FPDF_ERR_PASSWORD:
            raise UnreadableFileError("it is protected by a password; save a copy without one") from None
        raise UnreadableFileError(f"it is not a readable PDF ({str(error).rstrip('.')})") from None
    texts = join_broken_words(arrange_regions(page).format_text() for page in remove_running_heads(pages))
    return ExtractedText(
        texts,
        has_pages=True,
        empty_reason="it has no text; a scanned PDF needs OCR first",
        headings=find_headings(texts, bookmarks),
        warnings=_warn_of_scans(pages),
    )


def _read_page(document: Any, index: int) -> PageLines:
    with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        boxes = CharBoxes(page, text_page)
        text = read_characters(text_page)
        words = find_words(text, boxes)
        text = mark_scripts(text, words, boxes)
        lines = [line._replace(is_bold=boxes.is_bold(line.words[0].start)) for line in find_lines(text, words)]
        values = list(read_field_values(document, page))
        width, height = page.get_size()
        is_scan = not words and _has_pictures(page)
    if values:
        text, lines = add_field_values(text, lines, values)
    return PageLines(
        lines=[line for line in lines if is_upright(line)],
        rotated=[line for line in lines if not is_upright(line)],
        raw_text=text,
        width=width,
        height=height,
        is_scan=is_scan,
    )


def _has_pictures(page: Any) -> bool:
    image = require("pypdfium2.raw", extra="rag").FPDF_PAGEOBJ_IMAGE
    return any(True for _ in page.get_objects(filter=[image], max_depth=_MAX_PICTURE_DEPTH))


def _warn_of_scans(pages: Sequence[PageLines]) -> list[str]:
    """Return a warning that names the scanned pages, if other pages have text."""
    scans = [str(number) for number, page in enumerate(pages, 1) if page.is_scan]
    if not scans:
        return []
    named = ", ".join(scans[:_MAX_NAMED_PAGES]) + (" ..." if len(scans) > _MAX_NAMED_PAGES else "")
    return (
        [f"page {named} is a picture without text, and needs OCR first"]
        if len(scans) == 1
        else [f"pages {named} are pictures without text, and need OCR first"]
    )
