"""Reader of EPUB books, as Markdown.

Chapters are XHTML. XML is UTF-8 unless it says otherwise, but tools have put old pages into books as they were.
"""

import posixpath
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree

from langchain_gptoss.ingest.readers.base import PAGE_BREAK, ExtractedText, SizeLimitError, UnreadableFileError
from langchain_gptoss.ingest.readers.budget import SizeBudget, create_text_budget
from langchain_gptoss.ingest.readers.decoder import DecodedText, decode_text
from langchain_gptoss.ingest.readers.html import convert_html_to_markdown, find_declared_encoding
from langchain_gptoss.ingest.readers.zip_files import open_archive
from langchain_gptoss.ingest.structure import find_first_heading

_CONTAINER = "{urn:oasis:names:tc:opendocument:xmlns:container}"
_OPF = "{http://www.idpf.org/2007/opf}"
_NCX = "{http://www.daisy.org/z3986/2005/ncx/}"
_XHTML = "{http://www.w3.org/1999/xhtml}"
_TITLE = "{http://purl.org/dc/elements/1.1/}title"
_CIPHER_REFERENCE = "{http://www.w3.org/2001/04/xmlenc#}CipherReference"
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^\[>]*\[(?P<subset>.*?)\]\s*>", re.DOTALL | re.IGNORECASE)
_REFERENCE = re.compile(r"&([\w.-]+);")
_ENTITY = re.compile(r"""<!ENTITY\s+([\w.-]+)\s+(?:"([^"<&%]{0,200})"|'([^'<&%]{0,200})')\s*>""")


def read_epub(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a book, its chapters in reading order. A chapter without headings has its title in the table of contents."""
    budget = create_text_budget(data, max_bytes)
    with open_archive("EPUB book (.epub)", data, max_bytes) as file:
        book = _open_book(file)
        texts: list[str] = []
        metadata: dict[str, Any] = {}
        warnings: list[str] = []
        for name in book.chapter_names:
            place = f"its chapter {posixpath.basename(name)}"
            try:
                chapter = _read_chapter(file, name)
                text = convert_html_to_markdown(_clean_markup(chapter.text, budget)).strip()
            except SizeLimitError:
                raise
            except (UnreadableFileError, KeyError) as error:
                reason = "it is missing" if isinstance(error, KeyError) else str(error)
                warnings.append(f"{place} is left out: {reason}")
                continue
            texts.append(_add_title(text, book.chapter_titles.get(name, "")))
            metadata.update(chapter.metadata)
            warnings += (f"{place}: {warning}" for warning in chapter.warnings)
    text = PAGE_BREAK.join(filter(None, texts))
    empty_reason = warnings[0] if warnings else "it is empty"
    return ExtractedText([text], book.title, empty_reason=empty_reason, metadata=metadata, warnings=warnings)


@dataclass(frozen=True, kw_only=True)
class _Book:
    """Contents of a book.

    Attributes:
        title: Its title.
        chapter_names: Names of the chapters in the zip file, in reading order.
        chapter_titles: Their titles in the table of contents, by name.
    """

    title: str
    chapter_names: list[str]
    chapter_titles: Mapping[str, str]


def _open_book(file: zipfile.ZipFile) -> _Book:
    rootfile = _parse_xml(file, "META-INF/container.xml").find(f".//{_CONTAINER}rootfile")
    if rootfile is None:
        raise UnreadableFileError("its container names no book; export it again as .epub")
    package_path = rootfile.get("full-path", "")
    package = _parse_xml(file, package_path)
    folder = posixpath.dirname(package_path)
    names = _list_chapters(package, folder)
    if set(names) & _list_encrypted_parts(file):
        raise UnreadableFileError("it is protected (DRM); use a copy without protection")
    return _Book(
        title=" ".join((package.findtext(f".//{_TITLE}") or "").split()),
        chapter_names=names,
        chapter_titles=_read_contents(file, package, folder),
    )


def _read_chapter(file: zipfile.ZipFile, name: str) -> DecodedText:
    data = file.read(name)
    return decode_text(data, declared=find_declared_encoding(data))


def _clean_markup(markup: str, budget: SizeBudget) -> str:
    """Return a chapter with its own entities replaced, and marked as XML even if it does not say so.

    The chapter counts toward the budget, with the values of its entities.
    """
    doctype = _DOCTYPE.search(markup)
    if doctype is not None:
        values = {name: double or single for name, double, single in _ENTITY.findall(doctype["subset"])}
        markup = markup[: doctype.start()] + markup[doctype.end() :]
        budget.charge(sum(len(values.get(name, "")) for name in _REFERENCE.findall(markup)))
        markup = _REFERENCE.sub(lambda match: values.get(match[1], match[0]), markup)
    return f'<?xml version="1.0"?>{_XML_DECLARATION.sub("", markup, count=1)}'


def _add_title(text: str, title: str) -> str:
    return f"# {title}\n\n{text}" if title and text and not find_first_heading(text) else text


def _parse_xml(file: zipfile.ZipFile, name: str) -> ElementTree.Element:
    data = file.read(name)
    text = decode_text(data, declared=find_declared_encoding(data)).text
    if "<!ENTITY" in text:
        raise UnreadableFileError("its XML defines entities, which no book needs; export it again as .epub")
    return ElementTree.fromstring(_XML_DECLARATION.sub("", text, count=1))


def _list_chapters(package: ElementTree.Element, folder: str) -> list[str]:
    items = {item.get("id"): item for item in package.iter(f"{_OPF}item")}
    chapters = [items.get(reference.get("idref")) for reference in package.iter(f"{_OPF}itemref")]
    names = [
        _resolve(folder, item.get("href", ""))
        for item in chapters
        if item is not None
        and "html" in item.get("media-type", "")
        and "nav" not in item.get("properties", "").split()  # the table of contents
    ]
    return list(dict.fromkeys(names))  # EPUB 3.3, 5.7.3: a book lists each chapter once


def _resolve(folder: str, reference: str) -> str:
    return posixpath.normpath(posixpath.join(folder, unquote(reference.partition("#")[0])))


def _read_contents(file: zipfile.ZipFile, package: ElementTree.Element, folder: str) -> dict[str, str]:
    """Return the titles in the table of contents of EPUB 2 or 3; none if there is no valid one."""
    titles: dict[str, str] = {}
    for item in package.iter(f"{_OPF}item"):
        is_navigation = "nav" in item.get("properties", "").split()
        if not is_navigation and item.get("media-type") != "application/x-dtbncx+xml":
            continue
        name = _resolve(folder, item.get("href", ""))
        try:
            contents = _parse_xml(file, name)
        except SizeLimitError:
            raise
        except (KeyError, ElementTree.ParseError, UnreadableFileError):
            continue
        entries = _list_navigation(contents) if is_navigation else _list_ncx(contents)
        for reference, title in entries:
            titles.setdefault(_resolve(posixpath.dirname(name), reference), " ".join(title.split()))
    return titles


def _list_navigation(contents: ElementTree.Element) -> list[tuple[str, str]]:
    return [(link.get("href", ""), "".join(link.itertext())) for link in contents.iter(f"{_XHTML}a")]


def _list_ncx(contents: ElementTree.Element) -> list[tuple[str, str]]:
    entries = []
    for point in contents.iter(f"{_NCX}navPoint"):
        target = point.find(f"{_NCX}content")
        if target is not None:
            entries.append((target.get("src", ""), point.findtext(f"{_NCX}navLabel/{_NCX}text") or ""))
    return entries


def _list_encrypted_parts(file: zipfile.ZipFile) -> set[str]:
    if "META-INF/encryption.xml" not in file.namelist():
        return set()
    references = _parse_xml(file, "META-INF/encryption.xml").iter(_CIPHER_REFERENCE)
    return {unquote(reference.get("URI", "")) for reference in references}
