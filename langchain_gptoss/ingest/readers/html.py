"""Reader of HTML, and the conversion of HTML to Markdown that other formats share."""

import re
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.ingest.readers.base import ExtractedText, UnreadableFileError
from langchain_gptoss.ingest.readers.decoder import decode_text
from langchain_gptoss.ingest.structure import find_first_heading

_TAGS_WITHOUT_TEXT = ("head", "title", "script", "style", "nav", "template", "noscript")
_XML_DECLARATION = re.compile(r"\s*<\?xml[^>]*\?>")
_CHARSET = re.compile(rb"""<(?:meta\b[^>]*\bcharset|\?xml\b[^>]*\bencoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_DECLARATION_BYTES = 4096  # browsers look at 1,024 bytes, but saved pages often have comments and scripts first


def read_html(data: bytes, max_bytes: int) -> ExtractedText:
    """Read a web page as Markdown, which keeps its headings."""
    decoded = decode_text(data, declared=find_declared_encoding(data))
    text = convert_html_to_markdown(decoded.text)
    return ExtractedText([text], find_first_heading(text), metadata=decoded.metadata, warnings=decoded.warnings)


def find_declared_encoding(data: bytes) -> str:
    """Return the encoding that a page declares in a meta element or an XML declaration, "" if it declares none."""
    declaration = _CHARSET.search(data[:_DECLARATION_BYTES])
    return declaration[1].decode() if declaration else ""


def convert_html_to_markdown(html: str, *, infer_table_header: bool = False) -> str:
    """Convert a web page to Markdown.

    Args:
        html: The page.
        infer_table_header: Use the first row of a table without a header as its header.

    Raises:
        UnreadableFileError: The page cannot be parsed.
    """
    converter = _create_converter(table_infer_header=infer_table_header)
    # BeautifulSoup warns about XML and about text that may be a file name. The declaration and the newline prevent it.
    page = _XML_DECLARATION.sub("", html, count=1) + "\n"
    try:
        return str(converter.convert(page))
    except RecursionError:
        raise UnreadableFileError("its HTML is nested too deeply") from None
    except Exception as error:  # html.parser raises errors of several kinds on bad markup
        raise UnreadableFileError(f"it is not readable HTML ({error})") from error


def _create_converter(**options: Any) -> Any:
    markdownify = require("markdownify", extra="rag")

    def return_nothing(*_: Any, **__: Any) -> str:
        return ""

    methods = {f"convert_{tag}": return_nothing for tag in _TAGS_WITHOUT_TEXT}
    # Without these options there would be a backslash before "_" and "*" in every quotation.
    return type("_Converter", (markdownify.MarkdownConverter,), methods)(
        heading_style="ATX", escape_asterisks=False, escape_underscores=False, **options
    )
