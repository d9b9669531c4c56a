"""What is taken out of a file: text, page by page, and a title. Markdown, plain text, HTML and PDF are read here.

Nothing is tidied up on the way: a citation made later must still match what was read.
"""

import codecs
import re
import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.pdf_outline import Headings, bookmarks_of, headings_of
from langchain_gptoss.ingest.split import first_heading

PAGE_BREAK = "\n\n"

_NO_TEXT_IN_HTML = ("head", "title", "script", "style", "nav", "template", "noscript")
_FPDF_ERR_PASSWORD = 4  # fpdfview.h
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
# PDFium writes U+FFFE for the hyphen of a word that was broken at a line's end.
_BROKEN_WORD = re.compile("\ufffe(?:\r\n|\n)?")

_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_CHARSET = re.compile(rb"""<(?:meta\b[^>]*\bcharset|\?xml\b[^>]*\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_DECLARED_WITHIN = 1024  # HTML standard, 4.2.5.4: where a page's encoding must be declared

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
        headings: Those of each page, where the format names them beside the text.
    """

    pages: list[str]
    title: str = ""
    paged: bool = False
    empty: str = "it is empty"
    headings: list[Headings] = field(default_factory=list)


Reader = Callable[[bytes, int], Extract]
"""Takes a file's bytes, and the most bytes that anything in it may be unpacked to."""


def read_text(data: bytes, limit: int) -> Extract:
    """Returns Markdown or plain text, left as it is."""
    text = decoded(data)
    return Extract([text], first_heading(text))


def read_html(data: bytes, limit: int) -> Extract:
    """Returns a web page as Markdown, so that headings survive."""
    text = markdown_of(decoded(data, encoding=_declared(data)))
    return Extract([text], first_heading(text))


def _declared(data: bytes) -> str:
    """Returns the encoding that a web page says it is in."""
    found = _CHARSET.search(data[:_DECLARED_WITHIN])
    try:
        return codecs.lookup(found[1].decode()).name if found else "utf-8"
    except LookupError:
        return "utf-8"


def read_pdf(data: bytes, limit: int) -> Extract:
    """Returns the text of each page of a PDF, under the headings that its bookmarks name."""
    pdfium = require("pypdfium2", extra="rag")
    if not data:
        raise UnusableError("it is empty")
    try:
        with _pdfium_lock, closing(pdfium.PdfDocument(data)) as document:
            pages = [_page_text(document, index) for index in range(len(document))]
            bookmarks = bookmarks_of(document)
    except (pdfium.PdfiumError, AssertionError) as error:  # pypdfium2 asserts on some damaged pages
        if getattr(error, "err_code", None) == _FPDF_ERR_PASSWORD:
            raise UnusableError("it is protected by a password; save a copy without one") from None
        raise UnusableError(f"it is not a readable PDF ({str(error).rstrip('.')})") from None
    headings = headings_of(pages, bookmarks)
    return Extract(pages, paged=True, empty="it holds no text; a scanned PDF needs OCR first", headings=headings)


def _page_text(document: Any, index: int) -> str:
    with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        text = _BROKEN_WORD.sub("", text_page.get_text_range())
    return text.replace("\r\n", "\n").replace("\0", "")


def decoded(data: bytes, *, encoding: str = "utf-8") -> str:
    """Returns text in UTF-8, or in what a byte order mark or the file itself says; nothing is guessed.

    Args:
        data: The file.
        encoding: What it says it is in.

    Raises:
        UnusableError: It is something else.
    """
    for mark, marked in _MARKS:
        if data.startswith(mark):
            encoding = marked
            break
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding not in ("utf-8", "utf-8-sig"):
            raise UnusableError(f"it says that it is {encoding} and is not; save it as UTF-8") from None
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
