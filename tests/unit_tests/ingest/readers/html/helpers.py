"""Helpers that read one page."""

from langchain_gptoss.ingest.readers.html import read_html


def read_page(html: str) -> str:
    """Return the text of a page in UTF-8."""
    return "\n".join(read_html(f"<meta charset=utf-8>{html}".encode(), 10**9).pages)
