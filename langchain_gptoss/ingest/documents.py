"""Documents with the metadata that citations and filters need.

Every document knows the offset of its text in the extracted text of its whole source.
"""

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import PurePosixPath
from typing import Any

from langchain_core.document_loaders import BaseLoader
from langchain_core.documents import Document

from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText, PageHeadings, UnreadableFileError
from langchain_gptoss.ingest.sources import make_printable
from langchain_gptoss.ingest.structure import HEADINGS, can_have_headings, find_first_heading
from langchain_gptoss.text.language import identify_language


def create_documents(source: str, extracted: ExtractedText, default_title: str) -> list[Document]:
    """Return the documents of a file: one per page or part that has text.

    Args:
        source: The file's name in metadata.
        extracted: The file's text.
        default_title: The title if the file has none.

    Raises:
        UnreadableFileError: There is no text.
    """
    pages = [_remove_unencodable(page) for page in extracted.pages]
    text = PAGE_BREAK.join(pages)
    if not text.strip():
        raise UnreadableFileError(extracted.empty_reason)
    title = _remove_unencodable(extracted.title) or default_title
    metadata = {**extracted.metadata, "source": source, "title": title, **_describe_text(text)}
    # The headings' offsets hold for the text as it was extracted.
    headings = extracted.headings if pages == extracted.pages else []
    details = [
        {**({"page": number} if extracted.has_pages else {}), **_describe_outline(headings, number - 1)}
        for number in range(1, len(pages) + 1)
    ]
    if len(pages) > 1 and not extracted.has_pages:
        details = [{**own, **_describe_language(page)} for own, page in zip(details, pages, strict=True)]
    if extracted.page_metadata:
        details = [{**own, **given} for own, given in zip(details, extracted.page_metadata, strict=True)]
    return list(_create_page_documents(pages, metadata, details))


def _describe_outline(headings: list[PageHeadings], index: int) -> dict[str, Any]:
    return {HEADINGS: [list(heading) for heading in headings[index]]} if headings and headings[index] else {}


def _create_page_documents(
    pages: list[str], metadata: dict[str, Any], details: list[dict[str, Any]]
) -> Iterator[Document]:
    start = 0
    for page, page_details in zip(pages, details, strict=True):
        if page.strip():
            yield Document(page_content=page, metadata={**metadata, "start": start, **page_details})
        start += len(page) + len(PAGE_BREAK)


def load_with_langchain(loader: BaseLoader) -> list[Document]:
    """Return the documents of a LangChain loader with complete metadata."""
    return complete_documents(loader.lazy_load())


def complete_documents(documents: Iterable[Document], *, default_title: str = "") -> list[Document]:
    """Return documents of other loaders with the metadata that this package's own documents have.

    Metadata that is already there stays. Several documents of one source count as its pages.

    Args:
        documents: The documents.
        default_title: The title of documents without one; by default the first heading or the name of the source.
    """
    documents_by_source: dict[str, list[Document]] = {}
    for document in documents:
        documents_by_source.setdefault(str(document.metadata.get("source", "")), []).append(document)
    return [
        completed
        for source, pages in documents_by_source.items()
        for completed in _complete_source(source, pages, default_title)
    ]


def _complete_source(source: str, documents: list[Document], default_title: str) -> Iterator[Document]:
    texts = [_remove_unencodable(document.page_content) for document in documents]
    text = PAGE_BREAK.join(texts)
    title = default_title or _choose_title(source, text)
    defaults: dict[str, object] = {"source": source, **({"title": title} if title else {}), **_describe_text(text)}
    start = 0
    for document, page in zip(documents, texts, strict=True):
        if page.strip():
            own = {name: value for name, value in document.metadata.items() if name not in defaults or value}
            metadata = {**defaults, "start": start, **own, "source": source}
            yield Document(id=document.id, page_content=page, metadata=metadata)
        start += len(page) + len(PAGE_BREAK)


def _choose_title(source: str, text: str) -> str:
    """Return the first heading of a source, else its name without the suffix; "" if it has no name."""
    heading = find_first_heading(text) if can_have_headings(source) else ""
    return _remove_unencodable(heading) or make_printable(PurePosixPath(source.replace("\\", "/").rstrip("/")).stem)


def _describe_text(text: str) -> dict[str, str]:
    """Return the hash of a text and, if it is beyond doubt, its language."""
    return {"content_hash": hashlib.sha256(text.encode()).hexdigest(), **_describe_language(text)}


def _describe_language(text: str) -> dict[str, str]:
    language = identify_language(text)
    return {} if language is None else {"language": language}


def _remove_unencodable(text: str) -> str:
    """Return a text without NULs and lone surrogates, which JSON and e-mail can contain and nothing can show."""
    text = text.replace("\0", "")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
