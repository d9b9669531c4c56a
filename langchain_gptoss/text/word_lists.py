"""Lists of words in the source code."""

from __future__ import annotations


def parse_words(text: str) -> frozenset[str]:
    """Return the words of a text as a set; a list of strings would take a line for each."""
    return frozenset(text.split())
