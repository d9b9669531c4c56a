"""Reader of PDF: pages in reading order, without running heads, under the headings of the bookmarks."""

from langchain_gptoss.ingest.readers.pdf.reader import read_pdf

__all__ = ["read_pdf"]
