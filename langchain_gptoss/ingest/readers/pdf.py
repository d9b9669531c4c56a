"""Reader of PDF: the text of each page, under the headings of the bookmarks."""

import re
import threading
from contextlib import closing
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.pdf_outline import find_headings, list_bookmarks

_FPDF_ERR_PASSWORD = 4  # fpdfview.h
# PDFium writes U+FFFE for the hyphen of a word that is broken at a line's end.
_WORD_BREAK = re.compile("\ufffe(?:\r\n|\n)?")

_pdfium_lock = threading.Lock()  # PDFium is not thread-safe, not even across documents


def read_pdf(data: bytes, max_bytes: int) -> ExtractedText:
    """Read the text of each page of a PDF, under the headings of its bookmarks."""
    pdfium = require("pypdfium2", extra="rag")
    if not data:
        raise UnreadableFileError("it is empty")
    try:
        with _pdfium_lock, closing(pdfium.PdfDocument(data)) as document:
            pages = [_read_page(document, index) for index in range(len(document))]
            bookmarks = list_bookmarks(document)
    except (pdfium.PdfiumError, AssertionError) as error:  # pypdfium2 asserts on some damaged pages
        if getattr(error, "err_code", None) == _FPDF_ERR_PASSWORD:
            raise UnreadableFileError("it is protected by a password; save a copy without one") from None
        raise UnreadableFileError(f"it is not a readable PDF ({str(error).rstrip('.')})") from None
    return ExtractedText(
        pages,
        has_pages=True,
        empty_reason="it has no text; a scanned PDF needs OCR first",
        headings=find_headings(pages, bookmarks),
    )


def _read_page(document: Any, index: int) -> str:
    with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        text = _WORD_BREAK.sub("", text_page.get_text_range())
    return text.replace("\r\n", "\n").replace("\0", "")
