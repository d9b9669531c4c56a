"""What is taken out of a file: text, page by page, and a title. Markdown, plain text, HTML and PDF are read here.

Nothing is tidied up on the way: a citation made later must still match what was read.
"""

import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.split import first_heading

PAGE_BREAK = "\n\n"

_NO_TEXT_IN_HTML = ("head", "title", "script", "style", "nav", "template", "noscript")
_FPDF_ERR_PASSWORD = 4  # fpdfview.h
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
# PDFium writes U+FFFE for the hyphen of a word that was broken at a line's end.
_BROKEN_WORD = re.compile("\ufffe(?:\r\n|\n)?")

_pdfium_lock = threading.Lock()  # PDFium is not thread-safe, not even across documents


class UnusableError(Exception):
    """A file that cannot be used. Its text is the reason of a `Skipped`.

    Attributes:
        lasting: The file itself is at fault, and not something that may pass, such as its permissions.
        file_hash: SHA-256 of its bytes, hex, if it could be read.
    """

    file_hash: str | None = None

    def __init__(self, reason: str, *, lasting: bool = True) -> None:
        """Takes the reason, a clause without a full stop."""
        super().__init__(reason)
        self.lasting = lasting


@dataclass(frozen=True)
class Extract:
    """What was taken out of a file.

    Attributes:
        pages: Its text; several where the format has pages.
        title: Its title, "" where it names none.
        paged: The pages have numbers.
        empty: The reason for which it cannot be used if there is no text.
    """

    pages: list[str]
    title: str = ""
    paged: bool = False
    empty: str = "it is empty"


Reader = Callable[[bytes, int], Extract]
"""Takes a file's bytes, and the most bytes that anything in it may be unpacked to."""


def read_text(data: bytes, limit: int) -> Extract:
    """Returns Markdown or plain text, left as it is."""
    text = decoded(data)
    return Extract([text], first_heading(text))


def read_html(data: bytes, limit: int) -> Extract:
    """Returns a web page as Markdown, so that headings survive."""
    text = markdown_of(decoded(data))
    return Extract([text], first_heading(text))


def read_pdf(data: bytes, limit: int) -> Extract:
    """Returns the text of each page of a PDF."""
    pdfium = require("pypdfium2", extra="rag")
    if not data:
        raise UnusableError("it is empty")
    try:
        with _pdfium_lock, closing(pdfium.PdfDocument(data)) as document:
            pages = [_page_text(document, index) for index in range(len(document))]
    except (pdfium.PdfiumError, AssertionError) as error:  # pypdfium2 asserts on some damaged pages
        if getattr(error, "err_code", None) == _FPDF_ERR_PASSWORD:
            raise UnusableError("it is protected by a password; save a copy without one") from None
        raise UnusableError(f"it is not a readable PDF ({str(error).rstrip('.')})") from None
    return Extract(pages, paged=True, empty="it holds no text; a scanned PDF needs OCR first")


def _page_text(document: Any, index: int) -> str:
    with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        text = _BROKEN_WORD.sub("", text_page.get_text_range())
    return text.replace("\r\n", "\n").replace("\0", "")


def decoded(data: bytes) -> str:
    """Returns UTF-8 text.

    Raises:
        UnusableError: It is something else.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UnusableError(f"it is not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from None
    if "\0" in text:
        raise UnusableError("it holds NUL bytes, so it is not UTF-8 text; save it as UTF-8")
    return text


def markdown_of(html: str, *, table_infer_header: bool = False) -> str:
    """Returns a web page as Markdown.

    Args:
        html: The page.
        table_infer_header: The first row of a table without a header is taken for one.

    Raises:
        UnusableError: It cannot be parsed.
    """
    converter = _converter(table_infer_header=table_infer_header)
    # BeautifulSoup warns of XML and of text that could be a file name; we know that it is the text of a page.
    page = _XML_DECLARATION.sub("", html, count=1) + "\n"
    try:
        return str(converter.convert(page))
    except RecursionError:
        raise UnusableError("its HTML is nested too deeply") from None
    except Exception as error:  # html.parser gives up on bad markup with errors of several kinds
        raise UnusableError(f"it is not readable HTML ({error})") from error


def _converter(**options: Any) -> Any:
    markdownify = require("markdownify", extra="rag")

    def nothing(*_: Any, **__: Any) -> str:
        return ""

    drop = {f"convert_{tag}": nothing for tag in _NO_TEXT_IN_HTML}
    # Backslashes before "_" and "*" would be in every quotation.
    return type("_Converter", (markdownify.MarkdownConverter,), drop)(
        heading_style="ATX", escape_asterisks=False, escape_underscores=False, **options
    )
