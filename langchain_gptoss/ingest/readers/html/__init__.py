"""Reader of HTML, and the conversion of HTML to Markdown that other formats share."""

from langchain_gptoss.ingest.readers.html.page import convert_html_to_markdown, find_declared_encoding, read_html

__all__ = ["convert_html_to_markdown", "find_declared_encoding", "read_html"]
