"""Sentences with the lines that introduce them: a list item means what its lead-in says."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from langchain_gptoss.text.sentences.boundaries import find_sentences_with_lines
from langchain_gptoss.text.sentences.enumerations import split_enumeration
from langchain_gptoss.text.sentences.lead_ins import find_lead_ins, join_lead_ins
from langchain_gptoss.text.sentences.lines import parse_lines

Span = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Statement:
    """A sentence, list item or table row with the lines that introduce it.

    Attributes:
        start: Offset of its first character.
        end: Offset after its last character.
        lead_ins: Spans of the lines that introduce it, outermost first: "The warranty does not cover:", the item "parts
            that wear out:" above a nested list, the caption and the head of a table.
    """

    start: int
    end: int
    lead_ins: tuple[Span, ...] = ()

    @property
    def lead_in(self) -> Span | None:
        """Span from the outermost to the innermost lead-in; other items may lie between them. None without any."""
        return (self.lead_ins[0][0], self.lead_ins[-1][1]) if self.lead_ins else None

    def get_lead_in_text(self, text: str) -> str:
        """Return the lead-ins as one line, "" without any.

        Args:
            text: The text that the statement is a part of.
        """
        return join_lead_ins(text[start:end] for start, end in self.lead_ins)


def find_statements(text: str) -> Iterator[Statement]:
    """Yield the sentences, list items and table rows of a text with their lead-ins.

    The spans are those of `find_sentences`, but that a sentence with an enumeration ("It does not cover: a) theft;
    b) fire.") is its lead-in and its items.
    """
    lines = list(parse_lines(text))
    sentences = list(find_sentences_with_lines(text, lines))
    lead_ins = find_lead_ins(text, lines, sentences)
    for start, end, line in sentences:
        first, *items = split_enumeration(text, start, end) if lines[line].kind in ("text", "item") else [(start, end)]
        yield Statement(start=first[0], end=first[1], lead_ins=lead_ins[line])
        for item in items:
            yield Statement(start=item[0], end=item[1], lead_ins=(*lead_ins[line], first))
