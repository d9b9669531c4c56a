"""Whether passages say what a sentence of an answer says, and where.

Sharing words is not enough: numbers with their units, dates and names must agree, yes must not meet no, and no other
sentence of the passages may fit the words better and have other numbers.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from langchain_gptoss._optional import require
from langchain_gptoss.chatbot.grounding.passages import Span
from langchain_gptoss.errors import MissingDependencyError
from langchain_gptoss.text.language import choose_language
from langchain_gptoss.text.names import extract_names
from langchain_gptoss.text.polarity import has_opposite_meaning, is_negated
from langchain_gptoss.text.quantities import extract_dates, extract_quantities, has_same_quantities
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import (
    build_lexicon,
    extract_content_words,
    extract_words_with_spelling,
    find_missing_words,
)

_SUPPORT = 0.65  # the share of a claim's words that its span must hold
_NEWS = 0.6  # the share of the words that the sentence adds to the question
_ELLIPTIC = 4  # a sentence with fewer content words ("It costs 12.90.") is read together with its question
_TYPO_LENGTH, _TYPO_RATIO = 6, 85  # a longer word may differ by a letter: text from scans has such errors
_LONG = 300  # characters of a sentence from which a part of it is cited
_CLAIM_PARTS = re.compile(r"[,;]\s|\s(?:and|but|et|mais)\s", re.IGNORECASE)
_PART_END = re.compile(r"[,;:)]\s|\s[(–—-]\s?")
_YES_OR_NO = re.compile(r"\W*(yes|no|oui|non)\b", re.IGNORECASE)


def supporting_span(sentence: str, question: str, spans: Sequence[Span]) -> Span | None:
    """Returns the span that supports a sentence of an answer, or None.

    It is one sentence, a part of a very long one, or two that follow each other in a passage. Words that the sentence
    takes over from the question must stand in the span's passage: an answer about a "student discount" is not supported
    by a passage that knows no students. A sentence that says nothing beyond the question, or asks, is not an answer.

    Args:
        sentence: The claim.
        question: What was asked; a short claim is read together with it.
        spans: The sentences of the passages, nearest first.
    """
    claim = _Claim.of(sentence, question)
    if claim is None:
        return None
    found = _best(claim, spans) or _best(claim, _pairs(spans)) or _across_languages(claim, spans[:1])
    return None if found is None else _narrowed(claim, found)


@dataclass(frozen=True, kw_only=True)
class _Claim:
    """A sentence of an answer, taken apart.

    Attributes:
        text: The sentence.
        wanted: The words, without numbers, that a span must hold most of.
        new: Those that the question does not have.
        taken_over: Those of the question that it repeats.
    """

    text: str
    wanted: tuple[str, ...]
    new: tuple[str, ...]
    taken_over: tuple[str, ...]

    @classmethod
    def of(cls, sentence: str, question: str) -> "_Claim | None":
        said, asked = extract_content_words(sentence), extract_content_words(question)
        new = find_missing_words(said, question)
        if not said or sentence.rstrip().endswith("?") or not (new or _YES_OR_NO.match(sentence)):
            return None
        whole = said if len(said) >= _ELLIPTIC else said + asked
        there = build_lexicon(sentence)
        return cls(
            text=sentence,
            wanted=tuple(word for word in whole if not word[0].isdigit()),
            new=tuple(new),
            taken_over=tuple(word for word in asked if word in there),
        )


def _best(claim: _Claim, spans: Sequence[Span]) -> Span | None:
    """Returns the span that fits best, unless one with other numbers fits the words better."""
    supporter, best, rival = None, _SUPPORT if claim.wanted else 0.0, 0.0
    for span in spans:
        fit = _share(claim.wanted, f"{span.passage.heading} {span.text}")
        if max(rival, fit) < best or (not claim.wanted and supporter):
            continue
        if not has_same_quantities(claim.text, span.text):
            rival = max(rival, fit) if extract_quantities(span.text) else rival
        elif (fit > best or (fit == best and not supporter)) and _agrees(claim, span):
            supporter, best = span, fit
    return None if rival > best else supporter


def _agrees(claim: _Claim, span: Span) -> bool:
    """Returns whether a span that has the numbers of a claim also has its dates, names, news, and its yes or no."""
    passage = f"{span.passage.heading} {span.passage.text}"
    return (
        extract_dates(claim.text) <= extract_dates(f"{span.passage.heading} {span.text}")
        and (not claim.new or _share(claim.new, span.text) >= _NEWS)
        and not find_missing_words(list(claim.taken_over), passage)
        and _same_names(claim, span)
        and not _speaks_against(claim, span)
    )


def _share(wanted: Sequence[str], text: str) -> float:
    lacking = find_missing_words(list(wanted), text)
    if lacking and (fuzz := _rapidfuzz()):
        there = [word for word in build_lexicon(text).words if len(word) >= _TYPO_LENGTH]
        lacking = [
            word
            for word in lacking
            if len(word) < _TYPO_LENGTH or not any(fuzz.ratio(word, other) >= _TYPO_RATIO for other in there)
        ]
    return 1 - len(lacking) / len(wanted) if wanted else 0.0


def _rapidfuzz() -> Any:
    """Returns the module that compares spellings, or None where the extra `rag` is not installed."""
    try:
        return require("rapidfuzz", extra="rag").fuzz
    except MissingDependencyError:
        return None


def _same_names(claim: _Claim, span: Span) -> bool:
    """Returns whether the span is about those that the claim names.

    A name that the claim adds to the question stands in the span or its heading, or before it in the passage where the
    span itself names nobody else ("She founded it in 1999").
    """
    here = build_lexicon(f"{span.passage.heading} {span.text}")
    before = build_lexicon(span.passage.text[: span.start])
    others = [name for name in extract_names(span.text) if name not in build_lexicon(claim.text)]
    for name in extract_names(claim.text):
        if name in claim.new and name not in here and (others or name not in before):
            return False
    return not _other_subject(claim, span)


def _other_subject(claim: _Claim, span: Span) -> bool:
    """Returns whether both begin with a capital word that the other does not know: "Bob founded", "Alice founded"."""
    first, second = _subject(claim.text), _subject(span.text)
    return (
        bool(first and second)
        and first in claim.new
        and first not in build_lexicon(f"{span.passage.heading} {span.passage.text}")
        and second not in build_lexicon(claim.text)
    )


def _subject(sentence: str) -> str:
    start = sentence.lstrip("\"'“”«»([*•- ")
    found = extract_words_with_spelling(start)[:1]
    return found[0][1] if found and found[0][0][0].isupper() and start.startswith(found[0][0]) else ""


def _speaks_against(claim: _Claim, span: Span) -> bool:
    """Returns whether a span denies a claim.

    Of two sentences, each part of the claim is held against the one that is nearest to it, figures included: a year in
    the one does not date what the other says.
    """
    sides = [span.text[start:end] for start, end in find_sentences(span.text)]
    if len(sides) < 2:
        return has_opposite_meaning(claim.text, span.text)
    named = {*extract_names(claim.text), _subject(claim.text)}
    parts = [part for part in _CLAIM_PARTS.split(claim.text) if len(extract_content_words(part)) > 1]
    wanted = (
        [(part, extract_content_words(part)) for part in parts]
        if len(parts) > 1
        else [(claim.text, list(claim.wanted))]
    )
    for part, said in wanted:
        telling = [word for word in said if not word[0].isdigit() and word not in named]
        nearest = sides[_first_of_highest([_share(telling, side) for side in sides])]
        if has_opposite_meaning(part, nearest) or not has_same_quantities(part, nearest):
            return True
    return False


def _first_of_highest(values: Sequence[float]) -> int:
    return values.index(max(values))


def _pairs(spans: Sequence[Span]) -> list[Span]:
    """Returns every two sentences that follow each other in a passage, those of the first spans first."""
    places = {id(span): place for place, span in enumerate(spans)}
    ordered = sorted(spans, key=lambda span: (span.passage.number, span.start))
    pairs = [
        (min(places[id(one)], places[id(other)]), Span(passage=one.passage, start=one.start, end=other.end))
        for one, other in itertools.pairwise(ordered)
        if one.passage is other.passage and not one.passage.text[one.end : other.start].strip("\"'”»)|*•- \t\r\n")
    ]
    return [pair for _, pair in sorted(pairs, key=lambda pair: pair[0])]


def _across_languages(claim: _Claim, spans: Sequence[Span]) -> Span | None:
    """Returns the nearest span where it holds the figures and names of a claim that is in another language.

    Words cannot agree then; a claim without a figure is not supported.
    """
    for span in spans:
        if (
            choose_language(claim.text) != choose_language(span.text)
            and extract_quantities(claim.text)
            and has_same_quantities(claim.text, span.text)
            and is_negated(claim.text) == is_negated(span.text)
            and not find_missing_words(list(extract_names(claim.text)), f"{span.passage.heading} {span.passage.text}")
        ):
            return span
    return None


def _narrowed(claim: _Claim, span: Span) -> Span:
    """Returns the part of a very long sentence that the claim is taken from, where that part supports it by itself."""
    fuzz = _rapidfuzz() if len(span.text) > _LONG else None
    if fuzz is None:
        return span
    found = fuzz.partial_ratio_alignment(claim.text.lower(), span.text.lower())
    if found is None:
        return span
    ends = [0, *(match.end() for match in _PART_END.finditer(span.text)), len(span.text)]
    start = max(end for end in ends if end <= found.dest_start)
    end = min(end for end in ends if end >= found.dest_end)
    text = span.text[start:end]
    start += len(text) - len(text.lstrip())
    part = Span(passage=span.passage, start=span.start + start, end=span.start + start + len(text.strip(" ,;:(–—-")))
    return part if _best(claim, [part]) else span
