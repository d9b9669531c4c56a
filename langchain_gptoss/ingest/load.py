"""Reads files into LangChain Documents whose text can be cited by offset.

Every Document says where its text stands in the file's whole extracted text, so nothing is tidied up on the
way: a citation made later must still match. A file that cannot be used is reported and the others go on,
because one broken PDF must not cost an index of a thousand files; a folder that yields nothing is an error,
because an empty index answers nothing and says so only much later.
"""

import hashlib
import logging
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path, PurePosixPath

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.errors import DocumentsError, GptOssError, InvalidInputError
from langchain_gptoss.ingest.readers.formats import PAGE_BREAK, Extract, Reader, UnusableError
from langchain_gptoss.ingest.readers.pdf_outline import Headings
from langchain_gptoss.ingest.sources import Found, Listing, Skipped, list_files, printable
from langchain_gptoss.ingest.split import HEADINGS, MARKDOWN, first_heading, may_have_headings
from langchain_gptoss.text.language import identify_language

# Where the reader of each format is. The modules are imported when a file of theirs comes.
_READERS = {
    ".md": "formats.read_text",
    ".markdown": "formats.read_text",
    ".txt": "formats.read_text",
    ".html": "formats.read_html",
    ".htm": "formats.read_html",
    ".pdf": "formats.read_pdf",
    ".docx": "office.read_docx",
    ".pptx": "office.read_pptx",
    ".xlsx": "office.read_xlsx",
    ".epub": "office.read_epub",
    ".csv": "records.read_csv",
    ".tsv": "records.read_csv",
    ".json": "records.read_json",
    ".jsonl": "records.read_jsonl",
    ".eml": "records.read_eml",
}

SUPPORTED_SUFFIXES: tuple[str, ...] = tuple(_READERS)
"""Suffixes of the files that `load_documents` reads, in lower case."""

MAX_BYTES = 100_000_000
"""The largest file that is read, unless another limit is given."""

Loader = Callable[[Path], "str | BaseLoader | Iterable[Document]"]
"""Reads a file in place of this package: returns its text, its Documents, or a LangChain loader of them."""

Source = str | Path | BaseLoader
"""A file, a folder, a pattern such as `docs/**/*.md`, or a LangChain loader."""

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Options:
    """How files are read.

    Attributes:
        loaders: Readers by suffix, in place of this package's own or for formats it does not know.
        max_bytes: The largest file that is read; what is packed in it may be as large.
    """

    loaders: Mapping[str, Loader]
    max_bytes: int

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Suffixes of the files that can be read."""
        return (*SUPPORTED_SUFFIXES, *(suffix for suffix in self.loaders if suffix not in SUPPORTED_SUFFIXES))


@dataclass(frozen=True)
class Contents:
    """What a file was read as.

    Attributes:
        documents: Its documents; None where it is known already.
        file_hash: SHA-256 of its bytes, hex.
    """

    documents: list[Document] | None
    file_hash: str


def load_documents(
    path: Source | Sequence[Source],
    *,
    loaders: Mapping[str, Loader] | None = None,
    max_bytes: int = MAX_BYTES,
    on_skip: Callable[[Skipped], None] | None = None,
) -> list[Document]:
    """Returns the documents of a file or of a folder and its subfolders, in the order of their paths.

    Reads Markdown and plain text (UTF-8, or UTF-16 with its mark; left as it is); HTML, Word, PowerPoint and EPUB (as
    Markdown, so that headings survive); PDF (the text of each page); Excel, CSV, JSON and JSON lines (a paragraph for
    each row or record); e-mail (.eml). Hidden files and folders are passed over.

    Args:
        path: A file, a folder, a pattern such as `docs/**/*.md`, a LangChain loader, or several of these.
        loaders: Functions that read a file themselves, by suffix: `{".pdf": my_loader}`. Each is called with a
            Path and returns a text, which is read as Markdown, or Documents, or a LangChain loader.
        max_bytes: The largest file that is read; larger ones are skipped.
        on_skip: Called for each file that cannot be used; by default a warning is logged.

    Returns:
        One Document per file, one per page or slide for PDF and PowerPoint. Metadata: `source` (relative to the
        folder, with forward slashes), `title` (first heading, or the file's name without its suffix), `start`
        (offset of the text in the file's whole extracted text), `content_hash` (SHA-256 of that text, hex),
        `language` (its ISO 639-1 code, where the text leaves no doubt) and, where there are pages, `page` (from 1).
        PDFs with bookmarks have `headings` besides, pairs of a place in the page and the heading that begins there.

    Raises:
        DocumentsError: There is nothing at `path`, or nothing of it can be used.
        InvalidInputError: `max_bytes` is below 1, or a loader returns something else.
        MissingDependencyError: There is HTML, PDF, Office or EPUB and the extra `rag` is not installed.
    """
    report = on_skip or _warn
    options = options_of(loaders, max_bytes)
    places, foreign = parted(path)
    documents: list[Document] = []
    skips: list[Skipped] = []
    if places or not foreign:
        listing = supported_files(places, options)
        skips += listing.skips
        for found in listing.files:
            try:
                documents.extend(read_file(found, options).documents or [])
            except UnusableError as unusable:
                skips.append(Skipped(found.source, str(unusable)))
    for loader in foreign:
        documents.extend(foreign_documents(loader.lazy_load()))
    for skipped in skips:
        report(skipped)
    if not documents:
        raise DocumentsError(_nothing_read(path, skips))
    return documents


def _warn(skipped: Skipped) -> None:
    _logger.warning("%s", skipped)


def options_of(loaders: Mapping[str, Loader] | None, max_bytes: int) -> Options:
    """Returns checked options; suffixes may be written in any case, with or without the point."""
    if max_bytes < 1:
        raise InvalidInputError(f"max_bytes is {max_bytes} and must be at least 1. The default is {MAX_BYTES}.")
    named = {f".{suffix.lower().lstrip('.')}": loader for suffix, loader in (loaders or {}).items()}
    return Options(named, max_bytes)


def parted(sources: Source | Sequence[Source]) -> tuple[list[str | Path], list[BaseLoader]]:
    """Returns the places and the LangChain loaders among some sources."""
    every = [sources] if isinstance(sources, str | Path | BaseLoader) else list(sources)
    places = [source for source in every if isinstance(source, str | Path)]
    foreign = [source for source in every if isinstance(source, BaseLoader)]
    if len(places) + len(foreign) != len(every):
        raise InvalidInputError("A source is neither a path nor a LangChain loader. Give paths, patterns or loaders.")
    return places, foreign


def supported_files(places: Sequence[str | Path], options: Options, *, exclude: Path | None = None) -> Listing:
    """Returns the files at some places.

    Raises:
        DocumentsError: There is nothing at one of the places, or nothing that can be read in all of them.
    """
    listing = list_files(places, options.suffixes, exclude=exclude)
    if not listing.files and not listing.skips:
        raise DocumentsError(_nothing_supported(places, listing.others, options.suffixes))
    return listing


def _listed(suffixes: Sequence[str]) -> str:
    return f"{', '.join(suffixes[:-1])} or {suffixes[-1]}"


def _nothing_supported(places: Sequence[str | Path], others: list[str], suffixes: Sequence[str]) -> str:
    place = ", ".join(map(str, places))
    if len(places) == 1 and Path(place).expanduser().is_file():
        return f"{Path(place).name} cannot be read. Convert it to one of {_listed(suffixes)}."
    if not others:
        return f"The folder {place} is empty. Put documents into it ({_listed(suffixes)})."
    more = f" and {len(others) - 3} more" if len(others) > 3 else ""
    return (
        f"The folder {place} holds no document that can be read, only {', '.join(others[:3])}{more}. "
        f"Supported are {_listed(suffixes)}."
    )


def _nothing_read(path: Source | Sequence[Source], skips: list[Skipped]) -> str:
    place = path if isinstance(path, str | Path) else "these sources"
    if not skips:
        return f"Nothing at {place} can be used: the loaders returned no documents. Check what they read."
    reasons = "; ".join(f"{skipped.source}: {skipped.reason}" for skipped in skips[:3])
    more = f"; and {len(skips) - 3} more" if len(skips) > 3 else ""
    return f"Nothing at {place} can be used ({reasons}{more}). Mend or replace the files."


def read_file(found: Found, options: Options, *, known_hash: str | None = None) -> Contents:
    """Returns the documents of one file.

    Args:
        found: The file.
        options: How it is read.
        known_hash: SHA-256 of what it held before; if it still does, it is not parsed.

    Raises:
        UnusableError: It cannot be used.
    """
    data = _bytes(found.path, options.max_bytes)
    file_hash = hashlib.sha256(data).hexdigest()
    if file_hash == known_hash:
        return Contents(None, file_hash)
    try:
        return Contents(_read(found, data, options), file_hash)
    except UnusableError as unusable:
        unusable.file_hash = file_hash
        raise


def _read(found: Found, data: bytes, options: Options) -> list[Document]:
    suffix = found.path.suffix.lower()
    if suffix in options.loaders:
        return _with_loader(found, options.loaders[suffix])
    extract = _reader(suffix)(data, options.max_bytes)
    return _documents(found.source, extract, printable(found.path.stem))


def _reader(suffix: str) -> Reader:
    module, name = _READERS[suffix].split(".")
    reader: Reader = getattr(import_module(f"langchain_gptoss.ingest.readers.{module}"), name)
    return reader


def _bytes(file: Path, limit: int) -> bytes:
    try:
        known = file.stat()
        # Opening a pipe would wait for ever.
        if not stat.S_ISREG(known.st_mode):
            raise UnusableError("it is not a regular file")
        if known.st_size > limit:
            raise UnusableError(
                f"it has {known.st_size / 1e6:,.1f} MB and the limit is {limit / 1e6:,.1f} MB; "
                "split it or raise max_bytes"
            )
        return file.read_bytes()
    except FileNotFoundError:
        raise UnusableError("it no longer exists") from None
    except OSError as error:
        raise UnusableError(f"it cannot be read ({error.strerror})", lasting=False) from error


def _documents(source: str, extract: Extract, stem: str) -> list[Document]:
    pages = [_encodable(page) for page in extract.pages]
    text = PAGE_BREAK.join(pages)
    if not text.strip():
        raise UnusableError(extract.empty)
    shared = {"source": source, "title": _encodable(extract.title) or stem} | _told_by(text)
    if not extract.paged:
        return [Document(page_content=text, metadata={**shared, "start": 0})]
    headings = extract.headings if pages == extract.pages else []  # their places are those of the text as it was
    return list(_page_documents(pages, headings, shared))


def _encodable(text: str) -> str:
    """Returns text without NULs and lone surrogates, which JSON and e-mail can bring and nothing can show."""
    text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _told_by(text: str) -> dict[str, str]:
    told = {"content_hash": hashlib.sha256(text.encode()).hexdigest()}
    language = identify_language(text)
    return told if language is None else {**told, "language": language}


def _page_documents(pages: list[str], headings: list[Headings], shared: dict[str, str]) -> Iterator[Document]:
    start = 0
    for number, page in enumerate(pages, 1):
        if page.strip():
            named = headings[number - 1] if headings else []
            outline = {HEADINGS: [list(heading) for heading in named]} if named else {}
            yield Document(page_content=page, metadata={**shared, "start": start, "page": number, **outline})
        start += len(page) + len(PAGE_BREAK)


def _with_loader(found: Found, loader: Loader) -> list[Document]:
    try:
        made = loader(found.path)
        if isinstance(made, BaseLoader):
            made = made.lazy_load()
        if isinstance(made, str):
            documents = [Document(page_content=made, metadata={"format": MARKDOWN})]
        else:
            documents = list(made)
    except (GptOssError, ImportError):
        raise
    except Exception as error:  # whatever a stranger's code raises concerns this file alone
        name = getattr(loader, "__name__", type(loader).__name__)
        raise UnusableError(f"{name} could not read it ({type(error).__name__}: {error})", lasting=False) from error
    if not all(isinstance(document, Document) for document in documents):
        raise InvalidInputError(f"The loader for {found.path.suffix} returned no text, Documents or LangChain loader.")
    documents = [
        Document(page_content=document.page_content, metadata={**document.metadata, "source": found.source})
        for document in documents
    ]
    if not any(document.page_content.strip() for document in documents):
        raise UnusableError("it holds no text")
    return foreign_documents(documents, title=printable(found.path.stem))


def foreign_documents(documents: Iterable[Document], *, title: str = "") -> list[Document]:
    """Returns documents of other loaders with what this package's own carry besides, where they lack it.

    Several of one source are taken for its pages, one after the other.

    Args:
        documents: The documents.
        title: The title of those that have none; else their first heading, else the name of their source.
    """
    by_source: dict[str, list[Document]] = {}
    for document in documents:
        by_source.setdefault(str(document.metadata.get("source", "")), []).append(document)
    return [document for source, group in by_source.items() for document in _completed(source, group, title)]


def _completed(source: str, group: list[Document], title: str) -> Iterator[Document]:
    texts = [_encodable(document.page_content) for document in group]
    whole = PAGE_BREAK.join(texts)
    title = title or _title(source, whole)
    shared: dict[str, object] = {"source": source, **({"title": title} if title else {})}
    shared |= _told_by(whole)
    start = 0
    for document, text in zip(group, texts, strict=True):
        if text.strip():
            own = {name: value for name, value in document.metadata.items() if name not in shared or value}
            metadata = {**shared, "start": start, **own, "source": source}
            yield Document(id=document.id, page_content=text, metadata=metadata)
        start += len(text) + len(PAGE_BREAK)


def _title(source: str, text: str) -> str:
    """Returns the first heading of a source, else its name without its suffix; "" where it has no name."""
    heading = first_heading(text) if may_have_headings(source) else ""
    return _encodable(heading) or printable(PurePosixPath(source.replace("\\", "/").rstrip("/")).stem)
