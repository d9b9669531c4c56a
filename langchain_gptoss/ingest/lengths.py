"""Length of a part of a text, in characters or in tokens of an embedding model.

Counting tokens takes longer than all other work of splitting. The length of joined parts is therefore first estimated
as the sum of their lengths; only the finished chunk is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol

from langchain_core.embeddings import Embeddings

from langchain_gptoss.errors import InvalidInputError
from langchain_gptoss.text.sentences import find_sentences

TokenCounter = Callable[[str], int]
"""Returns the number of tokens of a text, special tokens included."""

_MAX_CHARS_PER_TOKEN = 16  # generous; it bounds the text in which the start of an overlap is searched


class Measure(Protocol):
    """Measure of the parts of one text, in its own unit."""

    def measure(self, start: int, end: int) -> int:
        """Return the exact length of `text[start:end]`."""

    def estimate_length(self, first_length: int, start: int, end: int, second_length: int) -> int:
        """Estimate the length of `text[start:end]`, which consists of two parts of known lengths."""

    def convert_to_chars(self, length: int) -> int:
        """Return the maximum number of characters that a part of this length usually has."""


class CharacterMeasure:
    """Measure in characters."""

    def measure(self, start: int, end: int) -> int:
        """Return the number of characters."""
        return end - start

    def estimate_length(self, first_length: int, start: int, end: int, second_length: int) -> int:
        """Return the number of characters, including white space between the parts."""
        return end - start

    def convert_to_chars(self, length: int) -> int:
        """Return `length`."""
        return length


class TokenMeasure:
    """Measure in tokens.

    Args:
        text: The text.
        count_tokens: Counts the tokens of a part of the text.
    """

    def __init__(self, text: str, count_tokens: TokenCounter) -> None:
        self._text = text
        self._count_tokens = count_tokens
        self._special_tokens = count_tokens("")
        self._cache: dict[tuple[int, int], int] = {}

    def measure(self, start: int, end: int) -> int:
        """Return the number of tokens, special tokens included."""
        length = self._cache.get((start, end))
        if length is None:
            length = self._cache[start, end] = self._count_tokens(self._text[start:end])
        return length

    def estimate_length(self, first_length: int, start: int, end: int, second_length: int) -> int:
        """Return the sum of the lengths, with special tokens counted once."""
        return first_length + second_length - self._special_tokens

    def convert_to_chars(self, length: int) -> int:
        """Return a number of characters that holds this many tokens of any usual text."""
        return length * _MAX_CHARS_PER_TOKEN


def find_longest_end(start: int, end: int, limit: int, measure: Measure) -> int:
    """Return the largest `stop` up to `end` such that `text[start:stop]` is within the limit.

    One character is always taken. The search doubles its step first and then halves the interval.
    """
    fits, step = start + 1, max(1, limit)
    too_far = end + 1
    while fits < end and too_far > end:
        candidate = min(end, start + step)
        if candidate > fits and measure.measure(start, candidate) > limit:
            too_far = candidate
        else:
            fits, step = max(fits, candidate), step * 2
    while too_far - fits > 1 and too_far <= end:
        middle = (fits + too_far) // 2
        if measure.measure(start, middle) <= limit:
            fits = middle
        else:
            too_far = middle
    return min(fits, end)


def find_overlap_start(
    text: str, previous: tuple[int, int], required_end: int, *, limit: int, overlap: int, measure: Measure
) -> int | None:
    """Return the start of a chunk that repeats the end of the previous chunk.

    Args:
        text: The text.
        previous: Start and end of the previous chunk.
        required_end: The smallest end of the new chunk.
        limit: The largest length of the new chunk.
        overlap: The largest length of the repeated part.
        measure: The measure of lengths.

    Returns:
        The start of a sentence, of a line or, if neither fits, of a word; None if nothing fits.
    """
    window_start = max(previous[0], previous[1] - measure.convert_to_chars(overlap) - 1)

    def fits(start: int) -> bool:
        return measure.measure(start, previous[1]) <= overlap and measure.measure(start, required_end) <= limit

    for find_starts in (_find_sentence_starts, _find_word_starts):
        starts = [start for start in find_starts(text, window_start, previous[1]) if previous[0] < start < previous[1]]
        low, high = 0, len(starts)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(starts[middle]) else (middle + 1, high)
        if low < len(starts) and fits(starts[low]):
            return starts[low]
    return None


def _find_sentence_starts(text: str, start: int, end: int) -> Iterator[int]:
    """Yield where the sentences and lines after the first one begin, list marks included."""
    for _, sentence_end in find_sentences(text[start:end]):
        white_space = _WHITE_SPACE.match(text, start + sentence_end, end)
        yield white_space.end() if white_space else start + sentence_end


def _find_word_starts(text: str, start: int, end: int) -> Iterator[int]:
    return (match.end() for match in _WHITE_SPACE.finditer(text, start, end))


_WHITE_SPACE = re.compile(r"\s++")


def create_token_counter(embeddings: Embeddings) -> TokenCounter:
    """Return a function that counts the tokens of a text as an embedding model does.

    Args:
        embeddings: `HuggingFaceEmbeddings`, such as `load_embeddings()` returns, or any embeddings with a method
            `get_num_tokens`.

    Raises:
        InvalidInputError: The tokens of these embeddings cannot be counted.
    """
    own_counter = getattr(embeddings, "get_num_tokens", None)
    if callable(own_counter):
        return own_counter  # type: ignore[no-any-return]
    backend = getattr(getattr(getattr(embeddings, "_client", None), "tokenizer", None), "backend_tokenizer", None)
    if backend is None:
        raise InvalidInputError(
            f"The tokens of {type(embeddings).__name__} cannot be counted.",
            hint="Give count_tokens=, a function that returns the number of tokens of a text, or use max_chars.",
        )
    tokenizer = _copy_without_truncation(backend)
    return lambda text: len(tokenizer.encode(text).ids)


def _copy_without_truncation(backend: Any) -> Any:
    # The model's own tokenizer truncates, and other threads use it.
    tokenizer = type(backend).from_str(backend.to_str())
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
