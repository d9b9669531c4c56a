"""Registry of the readers, by suffix.

To add a file format:

1. Write a function `read_<format>(data: bytes, max_bytes: int) -> ExtractedText` in the module of its family, or in a
   new module of this folder. Raise `UnreadableFileError` for files that cannot be used; load optional packages with
   `_optional.require(..., extra="rag")` inside the function.
2. Add its suffix to `READERS`. `is_slow=True` lets files be parsed in worker processes.
3. If its text is not Markdown, add the suffix to `_SUFFIXES_WITHOUT_HEADINGS` in `ingest/structure.py`.
4. Add a writer of such files to `tests/unit_tests/ingest/readers/test_every_format.py`, which then checks the offsets.

Users need none of this for their own formats: they pass `loaders={".xyz": function}` to `load_documents`.
"""

from dataclasses import dataclass
from importlib import import_module

from langchain_gptoss.ingest.readers.base import Reader


@dataclass(frozen=True)
class ReaderEntry:
    """A reader that is imported when the first file of its format comes.

    Attributes:
        module: Name of its module in this folder.
        function: Name of the function.
        is_slow: True if parsing takes so long that worker processes help.
    """

    module: str
    function: str
    is_slow: bool = False


READERS: dict[str, ReaderEntry] = {
    ".md": ReaderEntry("markdown", "read_markdown"),
    ".markdown": ReaderEntry("markdown", "read_markdown"),
    ".txt": ReaderEntry("text", "read_text"),
    ".html": ReaderEntry("html", "read_html", is_slow=True),
    ".htm": ReaderEntry("html", "read_html", is_slow=True),
    ".pdf": ReaderEntry("pdf", "read_pdf", is_slow=True),
    ".docx": ReaderEntry("word", "read_docx", is_slow=True),
    ".pptx": ReaderEntry("slides", "read_pptx", is_slow=True),
    ".xlsx": ReaderEntry("excel.reader", "read_xlsx", is_slow=True),
    ".epub": ReaderEntry("epub", "read_epub", is_slow=True),
    ".csv": ReaderEntry("csv_files", "read_csv"),
    ".tsv": ReaderEntry("csv_files", "read_csv"),
    ".json": ReaderEntry("json_records", "read_json"),
    ".jsonl": ReaderEntry("json_records", "read_jsonl"),
    ".eml": ReaderEntry("email_messages", "read_eml", is_slow=True),
}

SUPPORTED_SUFFIXES: tuple[str, ...] = tuple(READERS)
"""Suffixes of the files that `load_documents` reads, in lower case."""


def load_reader(suffix: str) -> Reader:
    """Return the reader of a suffix, which must be one of `SUPPORTED_SUFFIXES`."""
    entry = READERS[suffix]
    reader: Reader = getattr(import_module(f"langchain_gptoss.ingest.readers.{entry.module}"), entry.function)
    return reader


def is_slow(suffix: str) -> bool:
    """Return True if files with this suffix take long to parse."""
    return suffix in READERS and READERS[suffix].is_slow
