"""Interface of the readers: bytes of a file in, its text out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

PAGE_BREAK = "\n\n"
"""Text between two pages, or parts without numbers, in the extracted text of a file."""

PageHeadings = list[tuple[int, str]]
"""Headings of a page, in order: the offset in the page's text where each begins, and its path ("Returns > Costs")."""


OUT_OF_MEMORY = "reading it needs more memory than it may use; split it"
"""Reason why a file is skipped."""


class UnreadableFileError(Exception):
    """A file cannot be used. Its text becomes the reason of a `SkippedFile`.

    Args:
        reason: The reason, as a clause without a full stop.
        is_permanent: False if the reason may pass without a change of the file, such as missing permissions.

    Attributes:
        is_permanent: As above.
        file_hash: SHA-256 of the file's bytes as hex, None if they could not be read.
    """

    file_hash: str | None = None

    def __init__(self, reason: str, *, is_permanent: bool = True) -> None:
        super().__init__(reason)
        self.is_permanent = is_permanent


class OutOfMemoryError(UnreadableFileError):
    """Reading a file needs more memory than it may use."""


class SizeLimitError(UnreadableFileError):
    """A file unpacks to more than it may. Unlike other errors in a part of a file, it ends the whole file."""


@dataclass(frozen=True)
class ExtractedText:
    """The text of a file.

    Readers leave the text as it is in the file: a citation must match it later.

    Attributes:
        pages: The text, one item per page or part; one item if the format has neither.
        title: The title, "" if the file has none.
        has_pages: True if the pages have numbers.
        empty_reason: The reason to report if there is no text.
        headings: Headings of each page, if the format stores them apart from the text.
        metadata: Metadata of the whole file, as JSON values: `{"encoding": "windows-1252"}`.
        page_metadata: Metadata of each page or part, which overrides the file's; empty if there is none.
        warnings: What a user should know about the text, as clauses without a full stop: "line 3 is not valid JSON
            and is left out". The file is used all the same.
    """

    pages: list[str]
    title: str = ""
    has_pages: bool = False
    empty_reason: str = "it is empty"
    headings: list[PageHeadings] = field(default_factory=list)
    metadata: Mapping[str, Any] = field(default_factory=dict)
    page_metadata: Sequence[Mapping[str, Any]] = ()
    warnings: Sequence[str] = ()


Reader = Callable[[bytes, int], ExtractedText]
"""Reads a file: takes its bytes and the most bytes that its compressed parts may unpack to.

It raises `UnreadableFileError` if the file cannot be used.
"""
