"""Registry of the readers, by suffix.

To add a file format:

1. Write a function `read_<format>(data: bytes, max_bytes: int) -> ExtractedText` in the module of its family, or in a
   new module of this folder. Raise `UnreadableFileError` for files that cannot be used; load optional packages with
   `_optional.require(..., extra="rag")` inside the function. Charge what the file unpacks to (`readers/budget.py`).
2. Add its suffix to `READERS`. Its files are parsed in a worker process.
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
        is_plain: True if the text is taken as it is, in time that grows with its size alone.
    """

    module: str
    function: str
    is_plain: bool = False


READERS: dict[str, ReaderEntry] = {
    ".md": ReaderEntry("markdown", "read_markdown", is_plain=True),
    ".markdown": ReaderEntry("markdown", "read_markdown", is_plain=True),
    ".txt": ReaderEntry("text", "read_text", is_plain=True),
    ".html": ReaderEntry("html", "read_html"),
    ".htm": ReaderEntry("html", "read_html"),
    ".pdf": ReaderEntry("pdf", "read_pdf"),
    ".docx": ReaderEntry("word", "read_docx"),
    ".pptx": ReaderEntry("slides", "read_pptx"),
    ".xlsx": ReaderEntry("excel.reader", "read_xlsx"),
    ".epub": ReaderEntry("epub", "read_epub"),
    ".csv": ReaderEntry("csv_files", "read_csv"),
    ".tsv": ReaderEntry("csv_files", "read_csv"),
    ".json": ReaderEntry("json_records", "read_json"),
    ".jsonl": ReaderEntry("json_records", "read_jsonl"),
    ".eml": ReaderEntry("email_messages", "read_eml"),
}

SUPPORTED_SUFFIXES: tuple[str, ...] = tuple(READERS)
"""Suffixes of the files that `load_documents` reads, in lower case."""


def load_reader(suffix: str) -> Reader:
    """Return the reader of a suffix, which must be one of `SUPPORTED_SUFFIXES`."""
    entry = READERS[suffix]
    reader: Reader = getattr(import_module(f"langchain_gptoss.ingest.readers.{entry.module}"), entry.function)
    return reader


def is_plain(suffix: str) -> bool:
    """Return True if files with this suffix are plain text, which small files may be read as without a worker."""
    return suffix in READERS and READERS[suffix].is_plain
