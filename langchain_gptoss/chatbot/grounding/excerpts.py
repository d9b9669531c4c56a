"""Excerpts: what a model reads of the passages, the sentences nearest to the question and what belongs to them.

Reading is most of the time to an answer on a CPU. Excerpts of eight passages hold the answer about as often as three
whole passages, at two thirds of the length (docs/chatbot.md).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import takewhile

from langchain_gptoss.chatbot.grounding.passages import Passage, Span, collect_spans, estimate_likelihoods
from langchain_gptoss.text.analysis import PRONOUNS
from langchain_gptoss.text.normalization import fold_accents

_ENOUGH_PROBABILITY = 0.95  # that one of the sentences so far answers
_FIRST_WORD = re.compile(r"\W*(\w+)")


def select_excerpts(
    question: str, passages: Sequence[Passage], ranked: Sequence[Span], *, max_chars: int
) -> list[Passage]:
    """Return passages with the parts of their text that a model reads; passages without any are left out.

    A sentence is read with the next one, with the one before it if it begins with a pronoun, and as an item of a list
    with the other items after it. No more sentences are read than are likely to answer. Passages that fit into half of
    the length are returned as they are.

    Args:
        question: The question, complete without the conversation.
        passages: The passages.
        ranked: Their sentences, the nearest to the question first.
        max_chars: Maximum length of all excerpts. The first sentence is returned whatever its length.
    """
    enough = max_chars // 2
    if sum(len(passage.text) for passage in passages) <= enough:
        return list(passages)
    spans = collect_spans(passages)
    places = {(span.passage.number, span.start): place for place, span in enumerate(spans)}
    chosen: set[int] = set()
    length, probability = 0, 0.0
    for span, likelihood in zip(ranked, estimate_likelihoods(question, ranked), strict=True):
        if probability >= _ENOUGH_PROBABILITY and length >= enough:
            break
        probability += likelihood
        place = places[span.passage.number, span.start]
        if place in chosen:
            continue
        group = _list_neighbours(spans, place) - chosen
        if length + _measure(spans, group) > max_chars:
            group = {place}
        added = _measure(spans, group)
        if chosen and length + added > max_chars:
            break
        chosen |= group
        length += added
    return list(_cut(passages, spans, chosen))


def _list_neighbours(spans: Sequence[Span], place: int) -> set[int]:
    """Return the places of a sentence and of those that it is read with."""
    span = spans[place]
    passage = {other for other in range(len(spans)) if spans[other].passage is span.passage}
    before = {place - 1} if _begins_with_pronoun(span) else set()
    after = {place + 1}
    if span.lead_in:
        rest = takewhile(lambda other: spans[other].lead_in == span.lead_in, range(place + 1, len(spans)))
        after = set(rest)
    return passage & {place, *before, *after}


def _begins_with_pronoun(span: Span) -> bool:
    word = _FIRST_WORD.match(span.text)
    return word is not None and fold_accents(word[1].lower()) in PRONOUNS


def _measure(spans: Sequence[Span], group: set[int]) -> int:
    return sum(len(spans[place].introduced_statement) for place in group)


def _cut(passages: Sequence[Passage], spans: Sequence[Span], chosen: set[int]) -> Iterator[Passage]:
    for passage in passages:
        places = sorted(place for place in chosen if spans[place].passage is passage)
        if places:
            yield replace(passage, text=_join(spans, places))


def _join(spans: Sequence[Span], places: Sequence[int]) -> str:
    """Return sentences as text: neighbours as they stand in the document, others in lines of their own."""
    parts: list[str] = []
    for place in places:
        span = spans[place]
        before = spans[place - 1] if place - 1 in places else None
        gap = "\n" if before is None else span.passage.text[before.end : span.start]
        is_introduced = before is not None and span.lead_in in {before.lead_in, before.text}
        if parts:
            parts.append("\n" if "\n" in gap else " ")
        parts.append(span.statement if is_introduced else span.introduced_statement)
    return "".join(parts)
