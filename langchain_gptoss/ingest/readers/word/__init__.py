"""Reader of Word documents, as Markdown."""

from langchain_gptoss.ingest.readers.word.document import read_docx

__all__ = ["read_docx"]
