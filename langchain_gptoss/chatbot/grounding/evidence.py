"""Evidence for a claim: the runs of one to three sentences that share most of its words."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from langchain_gptoss.chatbot.grounding.alignment import QUANTITY_WEIGHT, Evidence, index_tokens, weigh_token
from langchain_gptoss.chatbot.grounding.claims import Claim
from langchain_gptoss.chatbot.grounding.passages import Passage, Span
from langchain_gptoss.text.analysis import Analysis, Token, analyse
from langchain_gptoss.text.language import identify_language
from langchain_gptoss.text.quantities import Quantity, is_same_quantity

MAX_SENTENCES = 3  # of one piece of evidence
_MAX_CANDIDATES = 8  # pieces of evidence that are compared in full
_MAX_EARLIER = 3  # sentences before the evidence that it may refer to
_BETWEEN_SENTENCES = "\"'”») \t\r\n"
_LIST_MARK = re.compile(r"\n\s*(?:[-*•|]|\d+[.)])")  # items of a list and rows of a table stand alone
_MARK_CHARS = 8  # of the line before an item, with its mark
_MAX_ITEMS = 6  # of a list that are read together
_SECTION = re.compile(r"^ {0,3}#{1,6} ", re.MULTILINE)
_MAX_PASSAGE_CHARS = 4000  # of a passage that are analysed as a whole
_SIZE_PENALTY = 0.02  # of each further sentence, in shares of the claim


def find_candidates(claim: Claim, spans: Sequence[Span]) -> list[Evidence]:
    """Return the runs of sentences that share most of a claim's words and figures, the best first.

    Args:
        claim: The claim.
        spans: Sentences of the passages, in any order.
    """
    max_sentences = MAX_SENTENCES if claim.own or claim.analysis.quantities else 1  # "Yes." repeats one sentence
    by_passage: dict[int, list[Span]] = defaultdict(list)
    for span in spans:
        by_passage[span.passage.number].append(span)
    scored: list[tuple[float, list[Span], list[Span]]] = []
    topics: dict[int, str] = {}
    languages = {number: choose_passage_language(claim, group[0].passage) for number, group in by_passage.items()}
    for number, group in by_passage.items():
        language = languages[number]
        # A line such as "It does not cover:" states nothing; its items carry it.
        ordered = sorted((span for span in group if not span.text.endswith(":")), key=lambda span: span.start)
        if not ordered:
            continue
        topics[number] = _describe_topic(ordered, language)
        shared = [
            _find_shared(claim, analyse(span.text_with_context, language))
            if _find_shared(claim, analyse(span.statement, language))
            else set[Token | Quantity]()
            for span in ordered
        ]
        for start, end in _list_runs(ordered, max_sentences, has_figures=bool(claim.analysis.quantities)):
            found = set[Token | Quantity]().union(*shared[start:end])
            if found and shared[start] and shared[end - 1]:
                score = sum(_weigh(element) for element in found) - _SIZE_PENALTY * (end - start)
                scored.append((score, ordered[start:end], ordered[max(0, start - _MAX_EARLIER) : start]))
    scored.sort(key=lambda item: -item[0])
    return [
        _create_evidence(claim, run, earlier, topics[run[0].passage.number], languages[run[0].passage.number])
        for _, run, earlier in scored[:_MAX_CANDIDATES]
    ]


def choose_passage_language(claim: Claim, passage: Passage) -> str:
    """Return the language of a passage if it is certain, else that of the claim."""
    return identify_language(passage.text) or claim.language


def _describe_topic(ordered: Sequence[Span], language: str) -> str:
    """Return the heading of a passage, the subject of its first sentence, and its lead-ins.

    If the passage has sections of its own, only its heading is what all of it is about.
    """
    if _SECTION.search(ordered[0].passage.text):
        return ordered[0].passage.heading
    first = analyse(ordered[0].text, language)
    subject = first.text[: first.subject[-1].end] if first.subject else ""
    lead_ins = dict.fromkeys(span.lead_in for span in ordered if span.lead_in)
    return ". ".join(filter(None, [ordered[0].passage.heading, subject, *lead_ins]))


def _list_runs(ordered: Sequence[Span], max_sentences: int, *, has_figures: bool) -> Iterator[tuple[int, int]]:
    for start in range(len(ordered)):
        yield start, start + 1
        for end in range(start + 2, min(start + max_sentences, len(ordered)) + 1):
            before, after = ordered[end - 2], ordered[end - 1]
            between = after.passage.text[before.end : after.start]
            introduces = before.text.endswith(":") or after.text.endswith(":")
            if introduces or before.row or after.row or between.strip(_BETWEEN_SENTENCES) or _LIST_MARK.search(between):
                break
            yield start, end
        if not has_figures:
            yield from ((start, end) for end in range(start + 2, _find_list_end(ordered, start) + 1))


def _find_list_end(ordered: Sequence[Span], start: int) -> int:
    """Return the end of the list items from a sentence on: "You need: - a photo - a form" says "a photo and a form".

    Items such as "Lockers: free" say something of their own and are not read together, nor are items for a claim with
    figures, which would take the figure of another item.
    """
    first = ordered[start]
    for end in range(start, min(start + _MAX_ITEMS, len(ordered))):
        item = ordered[end]
        is_item = item.lead_in and item.lead_in == first.lead_in and item.passage is first.passage and not item.row
        if not is_item or not _LIST_MARK.search(item.passage.text[: item.start][-_MARK_CHARS:]) or ":" in item.text:
            return end
    return min(start + _MAX_ITEMS, len(ordered))


def _find_shared(claim: Claim, analysis: Analysis) -> set[Token | Quantity]:
    index = index_tokens(analysis)
    shared: set[Token | Quantity] = {token for token in claim.content if index.find(token)}
    return shared | {
        quantity
        for quantity in claim.analysis.quantities
        if any(is_same_quantity(quantity, other) for other in analysis.quantities)
    }


def _weigh(element: Token | Quantity) -> float:
    return weigh_token(element) if isinstance(element, Token) else QUANTITY_WEIGHT


def _create_evidence(claim: Claim, run: Sequence[Span], earlier: Sequence[Span], topic: str, language: str) -> Evidence:
    first, last = run[0], run[-1]
    passage: Passage = first.passage
    span = first if len(run) == 1 else Span(passage=passage, start=first.start, end=last.end, lead_in=first.lead_in)
    lead_in = analyse(first.lead_in, language) if first.lead_in else None
    return Evidence(
        span=span,
        analysis=analyse(span.statement, language),
        context=analyse(span.context, language),
        lead_in=lead_in,
        topic=analyse(topic, language),
        # The other items of a list say nothing of an item.
        earlier=[analyse(other.statement, language) for other in reversed(earlier) if not first.lead_in],
        passage=analyse(f"{passage.heading}. {passage.text[:_MAX_PASSAGE_CHARS]}", language),
        is_translated=language != claim.language,
    )
