"""Sentence splitting for English and French prose, lists and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

# A sentence ends at its punctuation mark if a new sentence can begin after it, or at the end of a line. A line of a PDF
# that breaks within a sentence does not end it: the next line continues with a small letter.
_BOUNDARY = re.compile(
    r"""(?<=[.!?…])["'”»)\]]*\s+(?=["'“«(\[]*[A-ZÀ-ÖØ-Þ0-9•*-])|(?<![\w,’'-])\n+|\n\n+|\n(?![a-zß-öø-ÿ])"""
)
_LEADING = " \t\r\n-*•|>#"
_TRAILING = " \t\r\n|"


def find_sentences(text: str) -> Iterator[tuple[int, int]]:
    """Yield the span of each sentence, list item or table row of a text.

    `text[start:end]` is a sentence without white space, list marks and cell borders at its ends.
    """
    start = 0
    for boundary in [*_BOUNDARY.finditer(text), None]:
        # Closing quotation marks and brackets belong to the sentence before the boundary.
        end = len(text) if boundary is None else boundary.start() + len(boundary[0].rstrip())
        while start < end and text[start] in _LEADING:
            start += 1
        while end > start and text[end - 1] in _TRAILING:
            end -= 1
        if end > start:
            yield start, end
        if boundary is not None:
            start = boundary.end()
