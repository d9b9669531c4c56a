"""Pages as Markdown: decoding, parsing, and what the parser cannot know."""

import copy
import re
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.readers.html.boilerplate import remove_boilerplate, remove_navigation
from langchain_gptoss.ingest.readers.html.rendering import render_markdown
from langchain_gptoss.ingest.readers.html.visibility import remove_invisible_elements
from langchain_gptoss.ingest.structure import find_first_heading

_CHARSET = re.compile(rb"""<(?:meta\b[^>]*\bcharset|\?xml\b[^>]*\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_DECLARATION_BYTES = 4096  # browsers look at 1,024 bytes, but saved pages often have comments and scripts first

_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_IS_XHTML = re.compile(r"\s*<\?xml\b|<html\b[^>]*\bxmlns\s*=", re.IGNORECASE)
_XHTML_CHARS = 2000
_CDATA_START, _CDATA_END = "<![CDATA[", "]]>"
_EMPTY_ELEMENT = re.compile(r"<([a-zA-Z][\w:-]*)((?:\s[^<>]*?)?)/>")
_VOID_ELEMENTS = {
    *("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr")
}
_HEAD_TAGS = {"base", "basefont", "bgsound", "link", "meta", "noscript", "script", "style", "template", "title"}
# The parser ends with the end of the page, and browsers do not: what follows these tags is shown.
_END_OF_PAGE = re.compile(r"</(?:body|html)\s*>", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff]")


def read_html(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a web page as Markdown: what it shows, without menus, cookie banners, and headers and footers of links."""
    decoded = decode_text(data, declared=find_declared_encoding(data))
    page = _parse_page(decoded.text)
    if page is None:
        return ExtractedText([""])
    title = " ".join((page.findtext(".//title") or "").split())
    text = _convert_page(page, is_web_page=True)
    return ExtractedText(
        [text], find_first_heading(text) or title, metadata=decoded.metadata, warnings=decoded.warnings
    )


def find_declared_encoding(data: bytes) -> str:
    """Return the encoding that a page declares in a meta element or an XML declaration, "" if it declares none."""
    declaration = _CHARSET.search(data[:_DECLARATION_BYTES])
    return declaration[1].decode() if declaration else ""


def convert_html_to_markdown(html: str) -> str:
    """Convert the HTML of a book or message to Markdown: what it shows, without navigation.

    Raises:
        UnreadableFileError: The HTML is nested too deeply.
    """
    page = _parse_page(html)
    return "" if page is None else _convert_page(page, is_web_page=False)


def _convert_page(page: Any, *, is_web_page: bool) -> str:
    try:
        remove_invisible_elements(page)
        body = page.find("body")
        if body is None:
            return ""
        if not is_web_page:
            remove_navigation(body)
            return render_markdown(body)
        complete = copy.deepcopy(body)
        remove_boilerplate(body)
        return render_markdown(body) or render_markdown(complete)  # a page of links alone is no menu
    except RecursionError:
        raise UnreadableFileError("its HTML is nested too deeply") from None


def _parse_page(html: str) -> Any:
    """Return the root element of a page, None if it is empty."""
    parser_module = require("lxml.html", extra="rag")
    text = _END_OF_PAGE.sub("", _CONTROLS.sub(" ", html))
    if _IS_XHTML.search(text[:_XHTML_CHARS]):
        text = _expand_xhtml(text)
    if not text.strip():
        return None
    parser = parser_module.HTMLParser(remove_comments=True, remove_pis=True, huge_tree=True)
    try:
        page = parser_module.document_fromstring(text, parser=parser)
    except parser_module.etree.ParserError:  # comments alone
        return None
    if page is None:
        return None
    if any("depth" in error.message for error in parser.error_log if error.level_name == "FATAL"):
        raise UnreadableFileError("its HTML is nested too deeply")
    _complete_body(page, parser_module)
    _separate_definitions(page)
    return page


def _complete_body(page: Any, parser_module: Any) -> None:
    """Move what is no part of a head into the body, where the HTML standard puts it if a page has no `<body>` tag."""
    body = page.find("body")
    if body is None:
        body = parser_module.etree.SubElement(page, "body")
    for head in page.findall("head"):
        first = next((number for number, child in enumerate(head) if child.tag not in _HEAD_TAGS), len(head))
        for place, child in enumerate(head[first:]):
            body.insert(place, child)


def _separate_definitions(page: Any) -> None:
    """Make a term or definition that begins within another one its neighbour, as the HTML standard does."""
    for element in list(page.iter("dt", "dd")):
        parent = element.getparent()
        while parent is not None and parent.tag in ("dt", "dd"):
            parent.addnext(element)
            parent = element.getparent()


def _expand_xhtml(text: str) -> str:
    """Write XHTML as HTML: `<title/>` would otherwise begin a title that ends nowhere."""
    text = _XML_DECLARATION.sub("", text, count=1)
    text = _escape_character_data(text)
    return _EMPTY_ELEMENT.sub(
        lambda match: match[0] if match[1].lower() in _VOID_ELEMENTS else f"<{match[1]}{match[2]}></{match[1]}>", text
    )


def _escape_character_data(text: str) -> str:
    """Replace CDATA sections by their text; a regular expression takes quadratic time on sections without an end."""
    parts = text.split(_CDATA_START)
    for number, part in enumerate(parts[1:], 1):
        content, end, rest = part.partition(_CDATA_END)
        escaped = content.replace("&", "&amp;").replace("<", "&lt;")
        parts[number] = escaped + rest if end else _CDATA_START + part
    return "".join(parts)
