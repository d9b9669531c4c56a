"""Reads files into LangChain Documents whose text can be cited by offset.

Every Document says where its text stands in the file's whole extracted text, so nothing is tidied up on the
way: a citation made later must still match. A file that cannot be used is reported and the others go on,
because one broken PDF must not cost an index of a thousand files; a folder that yields nothing is an error,
because an empty index answers nothing and says so only much later.
"""

import hashlib
import logging
import os
import re
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langchain_core.documents import Document

from langchain_gptoss._optional import require
from langchain_gptoss.errors import DocumentsError
from langchain_gptoss.ingest.split import first_heading

_TEXT = (".md", ".markdown", ".txt")
_HTML = (".html", ".htm")
_PDF = (".pdf",)

SUPPORTED_SUFFIXES: tuple[str, ...] = (*_TEXT, *_HTML, *_PDF)
"""Suffixes of the files that `load_documents` reads, in lower case."""

_PAGE_BREAK = "\n\n"
_NO_TEXT_IN_HTML = ("head", "title", "script", "style", "nav", "template", "noscript")
_FPDF_ERR_PASSWORD = 4  # fpdfview.h
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
# PDFium writes U+FFFE for the hyphen of a word that was broken at a line's end.
_BROKEN_WORD = re.compile("\ufffe(?:\r\n|\n)?")

_pdfium_lock = threading.Lock()  # PDFium is not thread-safe, not even across documents
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Skipped:
    """A file or a subfolder that could not be used.

    Attributes:
        source: Its path relative to the folder that was given, with forward slashes.
        reason: Why, as a clause without a full stop: "it is empty".
    """

    source: str
    reason: str

    def __str__(self) -> str:
        return f"Skipped {self.source}: {self.reason}."


class _UnusableError(Exception):
    """Carries the reason of a `Skipped`."""


def load_documents(path: str | Path, *, on_skip: Callable[[Skipped], None] | None = None) -> list[Document]:
    """Returns the documents of a file or of a folder and its subfolders, in the order of their paths.

    Reads Markdown and plain text (UTF-8, left as it is), HTML (as Markdown, so that headings survive) and PDF
    (the text of each page). Hidden files and folders are passed over.

    Args:
        path: A file or a folder.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Returns:
        One Document per file, one per page for a PDF. Metadata: `source` (relative to the folder, with
        forward slashes), `title` (first heading, or the file's name without its suffix), `start` (offset of
        the text in the file's whole extracted text), `content_hash` (SHA-256 of that text, hex) and, in a
        PDF, `page` (from 1).

    Raises:
        DocumentsError: There is nothing at `path`, or nothing of it can be used.
        MissingDependencyError: There is HTML or PDF and the extra `rag` is not installed.
    """
    report = on_skip or _warn
    place = Path(os.path.expanduser(path))
    skips: list[Skipped] = []
    documents: list[Document] = []
    for source, file in _files(place, skips):
        try:
            documents.extend(_read(file, source))
        except _UnusableError as unusable:
            skips.append(Skipped(source, str(unusable)))
    for skipped in skips:
        report(skipped)
    if not documents:
        raise DocumentsError(_nothing_read(place, skips))
    return documents


def _warn(skipped: Skipped) -> None:
    _logger.warning("%s", skipped)


def _files(place: Path, skips: list[Skipped]) -> list[tuple[str, Path]]:
    """Returns the supported files at a place, with their sources, sorted."""
    try:
        mode = place.stat().st_mode
    except (FileNotFoundError, NotADirectoryError, ValueError):
        raise DocumentsError(f"There is no file or folder at {place}. Check the path.") from None
    except OSError as error:
        raise DocumentsError(f"{place} cannot be read ({error.strerror}). Check its permissions.") from error
    if not stat.S_ISDIR(mode):
        if place.suffix.lower() not in SUPPORTED_SUFFIXES:
            raise DocumentsError(f"{place.name} cannot be read. Convert it to one of {_suffixes()}.")
        return [(_printable(place.name), place)]
    every = sorted((_printable(file.relative_to(place).as_posix()), file) for file in _walk(place, skips))
    supported = [(source, file) for source, file in every if file.suffix.lower() in SUPPORTED_SUFFIXES]
    if not supported and not skips:
        raise DocumentsError(_nothing_supported(place, [source for source, _ in every]))
    return supported


def _walk(folder: Path, skips: list[Skipped]) -> Iterator[Path]:
    def unreadable(error: OSError) -> None:
        source = _printable(Path(error.filename).relative_to(folder).as_posix())
        skips.append(Skipped(source, f"the folder cannot be read ({error.strerror})"))

    for parent, folders, names in os.walk(folder, onerror=unreadable):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(parent, name) for name in names if not name.startswith("."))


def _printable(source: str) -> str:
    # A file name need not be valid Unicode on Linux, and metadata must be, or it cannot be saved or shown.
    return source.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _suffixes() -> str:
    return f"{', '.join(SUPPORTED_SUFFIXES[:-1])} or {SUPPORTED_SUFFIXES[-1]}"


def _nothing_supported(folder: Path, sources: list[str]) -> str:
    if not sources:
        return f"The folder {folder} is empty. Put documents into it ({_suffixes()})."
    more = f" and {len(sources) - 3} more" if len(sources) > 3 else ""
    return (
        f"The folder {folder} holds no document that can be read, only {', '.join(sources[:3])}{more}. "
        f"Supported are {_suffixes()}."
    )


def _nothing_read(place: Path, skips: list[Skipped]) -> str:
    reasons = "; ".join(f"{skipped.source}: {skipped.reason}" for skipped in skips[:3])
    more = f"; and {len(skips) - 3} more" if len(skips) > 3 else ""
    return f"Nothing at {place} can be used ({reasons}{more}). Mend or replace the files."


def _read(file: Path, source: str) -> list[Document]:
    """Returns the documents of one file.

    Raises:
        _UnusableError: It cannot be used.
    """
    data = _bytes(file)
    suffix = file.suffix.lower()
    pages = _pdf_pages(data) if suffix in _PDF else [_text(data)]
    if suffix in _HTML:
        pages = [_markdown(pages[0])]
    text = _PAGE_BREAK.join(pages)
    if not text.strip():
        raise _UnusableError("it holds no text; a scanned PDF needs OCR first" if suffix in _PDF else "it is empty")
    title = "" if suffix in _PDF else first_heading(text)
    shared = {
        "source": source,
        "title": title or _printable(file.stem),
        "content_hash": hashlib.sha256(text.encode()).hexdigest(),
    }
    if suffix not in _PDF:
        return [Document(page_content=text, metadata={**shared, "start": 0})]
    return list(_page_documents(pages, shared))


def _page_documents(pages: list[str], shared: dict[str, str]) -> Iterator[Document]:
    start = 0
    for number, page in enumerate(pages, 1):
        if page.strip():
            yield Document(page_content=page, metadata={**shared, "start": start, "page": number})
        start += len(page) + len(_PAGE_BREAK)


def _bytes(file: Path) -> bytes:
    try:
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(file.stat().st_mode):
            raise _UnusableError("it is not a regular file")
        return file.read_bytes()
    except FileNotFoundError:
        raise _UnusableError("it no longer exists") from None
    except OSError as error:
        raise _UnusableError(f"it cannot be read ({error.strerror})") from error


def _text(data: bytes) -> str:
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _UnusableError(f"it is not UTF-8 text (byte {error.start + 1}); save it as UTF-8") from None
    if "\0" in text:
        raise _UnusableError("it holds NUL bytes, so it is not UTF-8 text; save it as UTF-8")
    return text


def _markdown(html: str) -> str:
    markdownify = require("markdownify", extra="rag")

    def nothing(*_: Any, **__: Any) -> str:
        return ""

    drop = {f"convert_{tag}": nothing for tag in _NO_TEXT_IN_HTML}
    # Backslashes before "_" and "*" would be in every quotation.
    converter = type("_Converter", (markdownify.MarkdownConverter,), drop)(
        heading_style="ATX", escape_asterisks=False, escape_underscores=False
    )
    # BeautifulSoup warns of XML and of text that could be a file name; we know that it is the text of a page.
    page = _XML_DECLARATION.sub("", html, count=1) + "\n"
    try:
        return str(converter.convert(page))
    except RecursionError:
        raise _UnusableError("its HTML is nested too deeply") from None
    except Exception as error:  # html.parser gives up on bad markup with errors of several kinds
        raise _UnusableError(f"it is not readable HTML ({error})") from error


def _pdf_pages(data: bytes) -> list[str]:
    pdfium = require("pypdfium2", extra="rag")
    if not data:
        raise _UnusableError("it is empty")
    try:
        with _pdfium_lock, closing(pdfium.PdfDocument(data)) as document:
            return [_page_text(document, index) for index in range(len(document))]
    except (pdfium.PdfiumError, AssertionError) as error:  # pypdfium2 asserts on some damaged pages
        if getattr(error, "err_code", None) == _FPDF_ERR_PASSWORD:
            raise _UnusableError("it is protected by a password; save a copy without one") from None
        raise _UnusableError(f"it is not a readable PDF ({str(error).rstrip('.')})") from None


def _page_text(document: Any, index: int) -> str:
    with closing(document[index]) as page, closing(page.get_textpage()) as text_page:
        text = _BROKEN_WORD.sub("", text_page.get_text_range())
    return text.replace("\r\n", "\n").replace("\0", "")
