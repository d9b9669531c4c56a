"""How long a stretch of text is, in characters or in the tokens of an embedding model.

Counting tokens is slow next to everything else that splitting does, so the length of a join is first added up from its
parts and only the finished chunk is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import InvalidInputError

Count = Callable[[str], int]
"""The number of tokens of a text, special tokens included."""

_CHARS_PER_TOKEN = 16  # a generous window: only what lies in it is tried as an overlap


class Measure(Protocol):
    """Lengths of stretches of one text."""

    def size(self, start: int, end: int) -> int:
        """Returns the exact length of `text[start:end]`."""

    def joined(self, sizes: int, start: int, end: int, more: int) -> int:
        """Returns about how long `text[start:end]` is, whose parts have the lengths `sizes` and `more`."""

    def window(self, size: int) -> int:
        """Returns how many characters `size` may take."""


class Chars:
    """Lengths in characters."""

    def size(self, start: int, end: int) -> int:
        """Returns the number of characters."""
        return end - start

    def joined(self, sizes: int, start: int, end: int, more: int) -> int:
        """Returns the number of characters, white space between the parts included."""
        return end - start

    def window(self, size: int) -> int:
        """Returns the same number."""
        return size


class Tokens:
    """Lengths in tokens.

    Args:
        text: The text.
        count: Counts the tokens of a part of it.
    """

    def __init__(self, text: str, count: Count) -> None:
        self._text = text
        self._count = count
        self._special = count("")
        self._known: dict[tuple[int, int], int] = {}

    def size(self, start: int, end: int) -> int:
        """Returns the number of tokens, special ones included."""
        size = self._known.get((start, end))
        if size is None:
            size = self._known[start, end] = self._count(self._text[start:end])
        return size

    def joined(self, sizes: int, start: int, end: int, more: int) -> int:
        """Returns the sum, special tokens counted once."""
        return sizes + more - self._special

    def window(self, size: int) -> int:
        """Returns a number of characters that holds so many tokens of any usual text."""
        return size * _CHARS_PER_TOKEN


def longest(start: int, end: int, limit: int, measure: Measure) -> int:
    """Returns where the longest start of a stretch ends that is within the limit; one character is always taken."""
    fits, step = start + 1, max(1, limit)
    beyond = end + 1
    while fits < end and beyond > end:
        tried = min(end, start + step)
        if tried > fits and measure.size(start, tried) > limit:
            beyond = tried
        else:
            fits, step = max(fits, tried), step * 2
    while beyond - fits > 1 and beyond <= end:
        middle = (fits + beyond) // 2
        if measure.size(start, middle) <= limit:
            fits = middle
        else:
            beyond = middle
    return min(fits, end)


def repeated_from(
    text: str, before: tuple[int, int], upto: int, *, limit: int, overlap: int, measure: Measure
) -> int | None:
    """Returns where a chunk that ends at `upto` may begin so as to repeat the end of the chunk before it.

    Args:
        text: The text.
        before: The span of the chunk before.
        upto: The least that the new chunk must reach.
        limit: The most that it may hold in all.
        overlap: The most that it may repeat.
        measure: How lengths are measured.

    Returns:
        The start of a sentence, of a line or, failing these, of a word; None where nothing fits.
    """
    window = max(before[0], before[1] - measure.window(overlap) - 1)

    def allowed(at: int) -> bool:
        return measure.size(at, before[1]) <= overlap and measure.size(at, upto) <= limit

    for boundary in (_SENTENCE_OR_LINE, _WORD):
        places = [at for at in _ends(boundary, text, window, before[1]) if at > before[0]]
        low, high = 0, len(places)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if allowed(places[middle]) else (middle + 1, high)
        if low < len(places) and allowed(places[low]):
            return places[low]
    return None


_SENTENCE_OR_LINE = re.compile(r"(?<![.!?…])[.!?…]++(?:[\"'”’)\]]|\s?»)*+\s++|[。！？]++\s*+|(?:\r\n|\n|\r)\s*+")
_WORD = re.compile(r"\s++")


def _ends(pattern: re.Pattern[str], text: str, start: int, end: int) -> Iterator[int]:
    return (match.end() for match in pattern.finditer(text, start, end) if match.end() < end)


def token_counter(embeddings: Embeddings) -> Count:
    """Returns a function that counts the tokens an embedding model makes of a text.

    Args:
        embeddings: `HuggingFaceEmbeddings`, such as `load_embeddings()` returns, or any embeddings with a method
            `get_num_tokens`.

    Raises:
        InvalidInputError: The tokens of these embeddings cannot be counted.
    """
    own = getattr(embeddings, "get_num_tokens", None)
    if callable(own):
        return own  # type: ignore[no-any-return]
    backend = getattr(getattr(getattr(embeddings, "_client", None), "tokenizer", None), "backend_tokenizer", None)
    if backend is None:
        raise InvalidInputError(
            f"The tokens of {type(embeddings).__name__} cannot be counted. "
            "Give count=, a function that returns the number of tokens of a text, or use max_chars."
        )
    tokenizer = _untruncated(backend)
    return lambda text: len(tokenizer.encode(text).ids)


def _untruncated(backend: Any) -> Any:
    # A copy: the model's own truncates, and other threads use it.
    tokenizer = type(backend).from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
