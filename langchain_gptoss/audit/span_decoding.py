"""From labels of tokens to spans of text, for token-classification models.

The labels follow BIOES (`B-person`, `I-person`, `E-person`, `S-person`), BIO, or have no prefix. The best valid
sequence of labels is found with Viterbi's algorithm: a span in BIOES has a beginning and an end, as
the model was trained.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

_PREFIX = re.compile(r"([BIESLU])-(.+)")
_JOINING = re.compile(r"[\s'’-]*")
_WORD_CHARACTER = re.compile(r"[0-9A-Za-z\u00aa-\u052f]")  # scripts with spaces between words


@dataclass(frozen=True, kw_only=True)
class Span:
    """A part of a text.

    Attributes:
        start: Position of its first character.
        end: Position after its last character.
        label: What it is.
    """

    start: int
    end: int
    label: str


@dataclass(frozen=True)
class _Tag:
    prefix: str
    label: str


def split_label(label: str) -> tuple[str, str]:
    """Return the prefix and the name of a label: `("B", "person")` for `B-person`, `("I", "PER")` for `PER`."""
    if label == "O":
        return "O", ""
    matched = _PREFIX.fullmatch(label)
    return (matched[1].replace("L", "E").replace("U", "S"), matched[2]) if matched else ("I", label)


class SpanDecoder:
    """Finds the best valid sequence of labels and its spans.

    Args:
        labels: The labels of a model, in the order of its outputs.
    """

    def __init__(self, labels: Sequence[str]) -> None:
        import numpy

        self._tags = [_Tag(*split_label(label)) for label in labels]
        has_ends = {tag.label for tag in self._tags if tag.prefix in "ES"}
        count = len(self._tags)
        self._transitions = numpy.full((count, count), -numpy.inf)
        for before, left in enumerate(self._tags):
            for after, right in enumerate(self._tags):
                if _can_follow(left, right, has_ends):
                    self._transitions[before, after] = 0.0
        self._starts = numpy.array([0.0 if _can_start(tag, has_ends) else -numpy.inf for tag in self._tags])
        self._ends = numpy.array(
            [-numpy.inf if tag.prefix in "BI" and tag.label in has_ends else 0.0 for tag in self._tags]
        )

    def decode(self, scores: Any, offsets: Sequence[tuple[int, int]]) -> list[Span]:
        """Return the spans of the best sequence of labels.

        Args:
            scores: Log probabilities, of shape (tokens, labels), as a NumPy array.
            offsets: Start and end of each token in the text.
        """
        if not len(offsets) or all(self._tags[best].prefix == "O" for best in scores.argmax(axis=1)):
            return []
        spans: list[Span] = []
        previous = _Tag("O", "")
        for (start, end), best in zip(offsets, self._find_best_path(scores), strict=True):
            tag = self._tags[best]
            continues = tag.prefix in "IE" and previous.prefix in "BI" and tag.label == previous.label
            if continues:
                spans[-1] = Span(start=spans[-1].start, end=max(spans[-1].end, end), label=tag.label)
            elif tag.prefix != "O":
                spans.append(Span(start=start, end=end, label=tag.label))
            previous = tag
        return spans

    def _find_best_path(self, scores: Any) -> list[int]:
        import numpy

        totals = self._starts + scores[0]
        origins = numpy.zeros(scores.shape, dtype=numpy.int64)
        columns = numpy.arange(scores.shape[1])
        for row in range(1, len(scores)):
            candidates = totals[:, None] + self._transitions
            origins[row] = candidates.argmax(axis=0)
            totals = candidates[origins[row], columns] + scores[row]
        path = [int((totals + self._ends).argmax())]
        for row in range(len(scores) - 1, 0, -1):
            path.append(int(origins[row, path[-1]]))
        return path[::-1]


def _can_start(tag: _Tag, has_ends: set[str]) -> bool:
    return tag.prefix in "OBS" or tag.label not in has_ends


def _can_follow(left: _Tag, right: _Tag, has_ends: set[str]) -> bool:
    if left.prefix in "BI" and left.label in has_ends:
        return right.prefix in "IE" and right.label == left.label
    return _can_start(right, has_ends)


def merge_spans(text: str, spans: Sequence[Span]) -> list[Span]:
    """Return spans of whole words without spaces at their ends; neighbours with the same label are one span.

    Args:
        text: The text.
        spans: Spans in it, in any order.
    """
    merged: list[Span] = []
    for span in sorted(spans, key=lambda each: (each.start, each.end)):
        start, end = _fit_to_words(text, span.start, span.end)
        if start >= end:
            continue
        last = merged[-1] if merged else None
        if last and start < last.end:  # parts of a span that overlaps another one are hidden too
            start = last.end
            if end <= start:
                continue
        if last and last.label == span.label and _JOINING.fullmatch(text, last.end, start):
            merged[-1] = Span(start=last.start, end=end, label=last.label)
        else:
            merged.append(Span(start=start, end=end, label=span.label))
    return merged


def _fit_to_words(text: str, start: int, end: int) -> tuple[int, int]:
    while start < end and text[start].isspace():
        start += 1
    while start < end and text[end - 1].isspace():
        end -= 1
    if start >= end:
        return start, start
    if _WORD_CHARACTER.match(text[start]):
        while start and _WORD_CHARACTER.match(text[start - 1]):
            start -= 1
    if _WORD_CHARACTER.match(text[end - 1]):
        while end < len(text) and _WORD_CHARACTER.match(text[end]):
            end += 1
    return start, end
