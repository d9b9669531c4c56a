"""Claim support: the sentence of the passages that states what a sentence of an answer states.

Common words are not enough. Numbers with their units, dates and names must agree, and neither may negate the other. If
another sentence matches the words better and has other numbers, the claim is not supported.
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
from langchain_gptoss.text.quantities import extract_quantities, has_same_quantities
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import (
    build_lexicon,
    extract_content_words,
    extract_words_with_spelling,
    find_missing_words,
)

_MIN_SUPPORT = 0.65  # share of a claim's words that its span must have
_MIN_NEW_SUPPORT = 0.6  # share of the words that the claim adds to the question
_SHORT_CLAIM_WORDS = 4  # a claim with fewer content words ("It costs 12.90.") is read together with its question
_MIN_TYPO_LETTERS, _MIN_TYPO_RATIO = 6, 85  # longer words may differ by a letter: scanned text has such errors
_LONG_SENTENCE_CHARS = 300  # length from which a part of a sentence is cited
_CLAIM_PARTS = re.compile(r"[,;]\s|\s(?:and|but|et|mais)\s", re.IGNORECASE)
_PART_END = re.compile(r"[,;:)]\s|\s[(–—-]\s?")
_YES_OR_NO = re.compile(r"\W*(yes|no|oui|non)\b", re.IGNORECASE)
_OPENING = "\"'“”«»([*•- "
_BETWEEN_SENTENCES = "\"'”»)|*•- \t\r\n"


def find_supporting_span(sentence: str, question: str, spans: Sequence[Span]) -> Span | None:
    """Return the span that supports a sentence of an answer, or None.

    The span is one sentence, a part of a very long one, or two sentences that follow each other in a passage. Words
    that the sentence takes over from the question must occur in the span's passage: a passage without students does not
    support an answer about a "student discount". A question is not an answer, nor is a sentence that adds nothing to
    the question.

    Args:
        sentence: The sentence of the answer.
        question: The question; a short sentence is read together with it.
        spans: Sentences of the passages, best first.
    """
    claim = _parse_claim(sentence, question)
    if claim is None:
        return None
    span = (
        _find_best_span(claim, spans)
        or _find_best_span(claim, _create_sentence_pairs(spans))
        or _find_translated_support(claim, spans[:1])
    )
    return None if span is None else trim_to_support(claim, span)


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A sentence of an answer with the words that need support.

    Attributes:
        text: The sentence.
        words: Words, without numbers, most of which a span must have.
        new_words: Words that the question does not have.
        question_words: Words of the question that the sentence repeats.
    """

    text: str
    words: tuple[str, ...]
    new_words: tuple[str, ...]
    question_words: tuple[str, ...]


def _parse_claim(sentence: str, question: str) -> Claim | None:
    """Return the claim of a sentence; None if it is a question or adds nothing to the question."""
    words, question_words = extract_content_words(sentence), extract_content_words(question)
    new_words = find_missing_words(words, question)
    adds_something = bool(new_words or _YES_OR_NO.match(sentence))
    if not words or sentence.rstrip().endswith("?") or not adds_something:
        return None
    all_words = words if len(words) >= _SHORT_CLAIM_WORDS else words + question_words
    lexicon = build_lexicon(sentence)
    return Claim(
        text=sentence,
        words=tuple(word for word in all_words if not word[0].isdigit()),
        new_words=tuple(new_words),
        question_words=tuple(word for word in question_words if word in lexicon),
    )


def _find_best_span(claim: Claim, spans: Sequence[Span]) -> Span | None:
    """Return the span with most of the claim's words; None if one with other numbers has more of them."""
    supporter, best_share, rival_share = None, _MIN_SUPPORT if claim.words else 0.0, 0.0
    for span in spans:
        share = _calculate_share(claim.words, span.text_with_heading)
        if max(rival_share, share) < best_share or (not claim.words and supporter):
            continue
        if not has_same_quantities(claim.text, span.text):
            rival_share = max(rival_share, share) if extract_quantities(span.text) else rival_share
        elif (share > best_share or (share == best_share and not supporter)) and _has_same_details(claim, span):
            supporter, best_share = span, share
    return None if rival_share > best_share else supporter


def _has_same_details(claim: Claim, span: Span) -> bool:
    """Return True if a span with the numbers of a claim also has its dates, names and new words, and no negation."""
    passage = f"{span.passage.heading} {span.passage.text}"
    return (
        (not claim.new_words or _calculate_share(claim.new_words, span.text) >= _MIN_NEW_SUPPORT)
        and not find_missing_words(claim.question_words, passage)
        and _has_same_names(claim, span)
        and not contradicts(span, claim)
    )


def _calculate_share(words: Sequence[str], text: str) -> float:
    """Return the share of words that a text has; long words may differ by a letter."""
    missing = find_missing_words(words, text)
    if missing and (fuzz := _load_rapidfuzz()):
        candidates = [word for word in build_lexicon(text).words if len(word) >= _MIN_TYPO_LETTERS]
        missing = [
            word
            for word in missing
            if len(word) < _MIN_TYPO_LETTERS
            or not any(fuzz.ratio(word, other) >= _MIN_TYPO_RATIO for other in candidates)
        ]
    return 1 - len(missing) / len(words) if words else 0.0


def _load_rapidfuzz() -> Any:
    """Return the module that compares spellings, or None if the extra `rag` is not installed."""
    try:
        return require("rapidfuzz", extra="rag").fuzz
    except MissingDependencyError:
        return None


def _has_same_names(claim: Claim, span: Span) -> bool:
    """Return True if the names that a claim adds to the question are those of the span.

    Such a name occurs in the span or its heading. It may also occur before the span in the passage if the span has no
    other name ("She founded it in 1999").
    """
    span_lexicon = build_lexicon(span.text_with_heading)
    earlier_lexicon = build_lexicon(span.passage.text[: span.start])
    other_names = [name for name in extract_names(span.text) if name not in build_lexicon(claim.text)]
    for name in extract_names(claim.text):
        is_missing = name not in span_lexicon and (other_names or name not in earlier_lexicon)
        if name in claim.new_words and is_missing:
            return False
    return not _has_other_subject(claim, span)


def _has_other_subject(claim: Claim, span: Span) -> bool:
    """Return True if both begin with a name that the other does not have: "Bob founded", "Alice founded"."""
    claim_subject, span_subject = _find_subject(claim.text), _find_subject(span.text)
    return (
        bool(claim_subject and span_subject)
        and claim_subject in claim.new_words
        and claim_subject not in build_lexicon(f"{span.passage.heading} {span.passage.text}")
        and span_subject not in build_lexicon(claim.text)
    )


def _find_subject(sentence: str) -> str:
    """Return the first word of a sentence if it is a content word with a capital letter, else an empty string."""
    text = sentence.lstrip(_OPENING)
    first = extract_words_with_spelling(text)[:1]
    return first[0][1] if first and first[0][0][0].isupper() and text.startswith(first[0][0]) else ""


def contradicts(span: Span, claim: Claim) -> bool:
    """Return True if a span contradicts a claim.

    If the span has two sentences, each part of the claim is compared with the nearer one, numbers included: a year in
    one sentence does not date the statement of the other.
    """
    sentences = [span.text[start:end] for start, end in find_sentences(span.text)]
    if len(sentences) < 2:
        return has_opposite_meaning(claim.text, span.text)
    names = {*extract_names(claim.text), _find_subject(claim.text)}
    parts = [(part, extract_content_words(part)) for part in _CLAIM_PARTS.split(claim.text)]
    parts = [(part, words) for part, words in parts if len(words) > 1]
    if len(parts) < 2:
        parts = [(claim.text, list(claim.words))]
    for part, words in parts:
        topic_words = [word for word in words if not word[0].isdigit() and word not in names]
        nearest = max(sentences, key=lambda sentence: _calculate_share(topic_words, sentence))
        if has_opposite_meaning(part, nearest) or not has_same_quantities(part, nearest):
            return True
    return False


def _create_sentence_pairs(spans: Sequence[Span]) -> list[Span]:
    """Return spans of two sentences that follow each other in a passage, those with the best sentences first."""
    ranks = {id(span): rank for rank, span in enumerate(spans)}
    ordered = sorted(spans, key=lambda span: (span.passage.number, span.start))
    pairs = [
        (min(ranks[id(one)], ranks[id(other)]), Span(passage=one.passage, start=one.start, end=other.end))
        for one, other in itertools.pairwise(ordered)
        if one.passage is other.passage and not one.passage.text[one.end : other.start].strip(_BETWEEN_SENTENCES)
    ]
    return [pair for _, pair in sorted(pairs, key=lambda pair: pair[0])]


def _find_translated_support(claim: Claim, spans: Sequence[Span]) -> Span | None:
    """Return the first span in another language than the claim that has its numbers and names.

    Words of different languages cannot match, so a claim without a number is not supported.
    """
    for span in spans:
        if (
            choose_language(claim.text) != choose_language(span.text)
            and extract_quantities(claim.text)
            and has_same_quantities(claim.text, span.text)
            and is_negated(claim.text) == is_negated(span.text)
            and not find_missing_words(extract_names(claim.text), f"{span.passage.heading} {span.passage.text}")
        ):
            return span
    return None


def trim_to_support(claim: Claim, span: Span) -> Span:
    """Return the part of a very long sentence that supports a claim, or the sentence if no part supports it alone."""
    fuzz = _load_rapidfuzz() if len(span.text) > _LONG_SENTENCE_CHARS else None
    if fuzz is None:
        return span
    alignment = fuzz.partial_ratio_alignment(claim.text.lower(), span.text.lower())
    if alignment is None:
        return span
    ends = [0, *(match.end() for match in _PART_END.finditer(span.text)), len(span.text)]
    start = max(end for end in ends if end <= alignment.dest_start)
    end = min(end for end in ends if end >= alignment.dest_end)
    text = span.text[start:end]
    start += len(text) - len(text.lstrip())
    part = Span(passage=span.passage, start=span.start + start, end=span.start + start + len(text.strip(" ,;:(–—-")))
    return part if _find_best_span(claim, [part]) else span
