"""Claim support: whether sentences of the passages state what a sentence of an answer states, with score and reason.

Common words are not enough. Figures must agree as wholes, names must be those of the sentence or of what it refers to,
words must belong to the same statement, and neither side may deny what the other affirms. A fitted score decides the
rest (`claim_support.json`, written by `scripts/fit_claim_support.py`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

from langchain_gptoss.chatbot.grounding.alignment import Alignment, Evidence, align
from langchain_gptoss.chatbot.grounding.answer_type import is_answer
from langchain_gptoss.chatbot.grounding.claim_features import compute_features
from langchain_gptoss.chatbot.grounding.claim_score import load_score_model
from langchain_gptoss.chatbot.grounding.claim_windows import compute_window_features
from langchain_gptoss.chatbot.grounding.claims import Claim, parse_claim
from langchain_gptoss.chatbot.grounding.conflicts import Conflict, ConflictKind, find_conflicts
from langchain_gptoss.chatbot.grounding.evidence import find_candidates
from langchain_gptoss.chatbot.grounding.passages import Span
from langchain_gptoss.chatbot.grounding.restated_answers import (
    compute_restatement_features,
    is_restatement,
    is_tolerable,
    load_restatement_model,
)
from langchain_gptoss.chatbot.grounding.verifiers import MIN_PROBABILITY, ClaimVerifier
from langchain_gptoss.text.analysis import analyse

Verdict = Literal["supported", "partly", "contradicted", "not found"]

# Conflicts that veto every claim. The others come from words that a long claim may paraphrase, so the score decides.
HARD_CONFLICTS: frozenset[ConflictKind] = frozenset(("quantity", "name", "role", "exception", "negation", "answer"))
MIN_LONG_CONTENT = 9  # content words and quantities of a long claim

_MIN_TOPIC = 0.45  # coverage from which a conflict contradicts a claim; below, the sentence is about something else
_RIVAL_LEAD = 0.1  # coverage by which a contradicting sentence must lead over the supporting one
_LONG_SENTENCE_CHARS = 300  # length from which a part of a sentence is cited
_MAX_PARTS = 3
_PART_END = re.compile(r"[,;:)]\s|\s[(–—-]\s?")
_SAME = 0.03  # coverage by which a sentence may have less than a run of sentences that contains it
_MIN_TRANSLATED = 0.6  # coverage of a claim by evidence in another language
_MIN_PARTLY = 0.8  # share of the threshold from which a claim without conflicts is partly supported


@dataclass(frozen=True, kw_only=True)
class ClaimJudgement:
    """The verdict on a sentence of an answer.

    Attributes:
        sentence: The sentence.
        verdict: `"supported"`, `"partly"` (a condition is missing, or a part is not stated), `"contradicted"`, or
            `"not found"`.
        score: Calibrated probability that the documents support the sentence, from 0 to 1.
        reason: A clause for people.
        span: The sentences that decided, None if nothing is near.
    """

    sentence: str
    verdict: Verdict
    score: float
    reason: str
    span: Span | None


def find_supporting_span(sentence: str, question: str, spans: Sequence[Span]) -> Span | None:
    """Return the span that supports a sentence of an answer, or None; arguments are those of `judge_claim`."""
    judgement = judge_claim(sentence, question, spans)
    return judgement.span if judgement.verdict == "supported" else None


def judge_claim(
    sentence: str,
    question: str,
    spans: Sequence[Span],
    *,
    must_answer: bool = True,
    accepts_restatements: bool = True,
    verifier: ClaimVerifier | None = None,
) -> ClaimJudgement:
    """Judge a sentence of an answer.

    Args:
        sentence: The sentence.
        question: The question, complete without the conversation; a sentence such as "Yes." is read together with it.
        spans: Sentences of the passages.
        must_answer: True if the sentence must also give the kind of answer that the question asks for.
        accepts_restatements: True judges an answer that repeats its question by what it adds, too.
        verifier: A model that judges a supported sentence again, or None.
    """
    claim = parse_claim(sentence, question)
    if claim is None:
        return ClaimJudgement(
            sentence=sentence, verdict="not found", score=0.0, reason="it states nothing that can be checked", span=None
        )
    results = _judge_all_evidence(claim, spans, must_answer=must_answer)
    if not results:
        return ClaimJudgement(
            sentence=sentence, verdict="not found", score=0.0, reason="no passage has its words", span=None
        )
    best = min(results, key=_rank)
    judgement = _create_judgement(sentence, best, results)
    if judgement.verdict != "supported" and must_answer and accepts_restatements:
        judgement = _judge_restatement(sentence, results) or judgement
    return judgement if verifier is None else _verify(judgement, question, verifier)


def _judge_restatement(sentence: str, results: Sequence[_Result]) -> ClaimJudgement | None:
    """Return the judgement on an answer that repeats its question; None if no evidence supports it."""
    model = load_restatement_model()
    scored = [(model.calculate(features), result) for result, features in _list_restatements(results)]
    score, best = max(scored, key=lambda pair: (pair[0], -pair[1].size), default=(0.0, None))
    if best is None or score < model.threshold or _is_contradicted(best, results):
        return None
    span, reason = best.alignment.evidence.span, "the document states what it adds to the question"
    return ClaimJudgement(sentence=sentence, verdict="supported", score=score, reason=reason, span=span)


def _is_contradicted(best: _Result, results: Sequence[_Result]) -> bool:
    """Return True if evidence with as much of the claim contradicts it."""
    return any(
        conflict.contradicts
        and not is_tolerable(conflict, result.alignment)
        and result.alignment.coverage >= best.alignment.coverage
        for result in results
        for conflict in result.conflicts
    )


def compute_restatement_candidates(sentence: str, question: str, spans: Sequence[Span]) -> list[dict[str, float]]:
    """Return the features of each piece of evidence that has all that a sentence adds to its question."""
    claim = parse_claim(sentence, question)
    results = _judge_all_evidence(claim, spans, must_answer=True) if claim is not None else []
    return [features for result, features in _list_restatements(results) if not _is_contradicted(result, results)]


def _list_restatements(results: Sequence[_Result]) -> list[tuple[_Result, dict[str, float]]]:
    return [
        (result, compute_restatement_features(result.alignment, result.conflicts))
        for result in results
        if is_restatement(result.alignment, result.conflicts)
    ]


def _rank(result: _Result) -> tuple[bool, bool, float, float, bool, int]:
    """Return a key that sorts the best evidence first: without conflicts, complete, with its own subject, short."""
    is_clean = not result.conflicts
    return (
        bool(result.vetoes),
        not is_clean,
        -round(result.score, 2),
        -round(result.alignment.coverage, 2),
        result.alignment.needs_earlier,
        result.size,
    )


def _verify(judgement: ClaimJudgement, question: str, verifier: ClaimVerifier) -> ClaimJudgement:
    """Return a judgement that a verifier agrees with."""
    if judgement.verdict != "supported" or judgement.span is None:
        return judgement
    probability = verifier.verify(judgement.sentence, judgement.span.text_with_context, question)
    score = min(judgement.score, probability)
    if probability >= MIN_PROBABILITY:
        return replace(judgement, score=score)
    return replace(judgement, verdict="not found", score=score, reason="the verifier does not find it in the document")


@dataclass(frozen=True, kw_only=True)
class _Result:
    alignment: Alignment
    conflicts: Sequence[Conflict]
    windows: Mapping[str, float]
    features: Mapping[str, float]

    @cached_property
    def score(self) -> float:
        """Probability that the sentences support the claim."""
        return load_score_model().calculate(self.features)

    @cached_property
    def vetoes(self) -> Sequence[Conflict]:
        """The conflicts that no score makes up for: all of a short claim, and the hard ones of a long claim."""
        claim = self.alignment.claim
        if len(claim.content) + len(claim.analysis.quantities) < MIN_LONG_CONTENT:
            return self.conflicts
        if self.score >= load_score_model().long_threshold:
            return [conflict for conflict in self.conflicts if conflict.kind in HARD_CONFLICTS]
        return self.conflicts

    @property
    def size(self) -> int:
        """Length of the sentences in characters."""
        return len(self.alignment.evidence.span.text)


def compute_candidates(sentence: str, question: str, spans: Sequence[Span]) -> list[dict[str, float]]:
    """Return the features of each piece of evidence for a sentence of an answer; the score is fitted on them."""
    claim = parse_claim(sentence, question)
    results = _judge_all_evidence(claim, spans, must_answer=True) if claim is not None else []
    return [dict(result.features) for result in results]


def _judge_all_evidence(claim: Claim, spans: Sequence[Span], *, must_answer: bool) -> list[_Result]:
    candidates = find_candidates(claim, spans)
    windows = compute_window_features(claim, spans) if candidates else {}
    return [_judge_evidence(claim, evidence, windows, must_answer=must_answer) for evidence in candidates]


def _judge_evidence(
    claim: Claim, evidence: Evidence, windows: Mapping[str, float], *, must_answer: bool = True
) -> _Result:
    alignment = align(claim, evidence)
    conflicts = find_conflicts(alignment)
    if must_answer and not is_answer(alignment):
        reason = "it does not answer the question"
        conflicts.append(Conflict(kind="answer", reason=reason, contradicts=False))
    if evidence.is_translated and alignment.coverage >= _MIN_TRANSLATED and _has_figure_or_name(alignment):
        # Not every word is in the lists of both languages; figures, names and most words must agree.
        conflicts = [conflict for conflict in conflicts if conflict.kind not in ("word", "subject")]
    features = {**compute_features(alignment, conflicts), **windows}
    return _Result(alignment=alignment, conflicts=conflicts, windows=windows, features=features)


def _is_mixture(conflict: Conflict, result: _Result, best: _Result) -> bool:
    """Return True if a part of the best evidence is put together from several statements."""
    return conflict.kind == "binding" and _is_within(result, best)


def _is_within(result: _Result, other: _Result) -> bool:
    """Return True if the sentences of a result are some of those of another one."""
    part, whole = result.alignment.evidence.span, other.alignment.evidence.span
    return part != whole and part.passage is whole.passage and whole.start <= part.start and part.end <= whole.end


def _has_figure_or_name(alignment: Alignment) -> bool:
    names = [token for token, found in alignment.tokens.items() if token.is_name and found]
    return bool(names) or any(alignment.quantities.values())


def _create_judgement(sentence: str, best: _Result, results: Sequence[_Result]) -> ClaimJudgement:
    model = load_score_model()
    span = best.alignment.evidence.span
    against = [
        result
        for result in results
        if any(conflict.contradicts or _is_mixture(conflict, result, best) for conflict in result.vetoes)
        and result.alignment.coverage
        >= max(_MIN_TOPIC, best.alignment.coverage + (-_SAME if _is_within(result, best) else _RIVAL_LEAD))
    ]
    if not best.vetoes and best.score >= model.threshold and not against:
        part = _trim_to_support(best, span)
        return ClaimJudgement(
            sentence=sentence, verdict="supported", score=best.score, reason="the document states it", span=part
        )
    if not best.vetoes and not against:
        missing = ", ".join(f"“{token.spelling}”" for token in best.alignment.missing[:3])
        is_partly = best.score >= _MIN_PARTLY * model.threshold
        reason = f"the document does not say {missing}" if missing else "too little of it is in the document"
        verdict: Verdict = "partly" if is_partly else "not found"
        return ClaimJudgement(sentence=sentence, verdict=verdict, score=best.score, reason=reason, span=span)
    decisive = max(against or [best], key=lambda result: result.alignment.coverage)
    nearest = max(results, key=lambda result: result.alignment.coverage)
    decisive = decisive if against else nearest if nearest.conflicts else decisive
    conflict = next((c for c in decisive.conflicts if c.contradicts), decisive.conflicts[0])
    verdict = "not found"
    if decisive.alignment.coverage >= _MIN_TOPIC:
        verdict = "contradicted" if conflict.contradicts else "partly"
    return ClaimJudgement(
        sentence=sentence,
        verdict=verdict,
        score=min(decisive.score, model.threshold / 2),
        reason=conflict.reason,
        span=decisive.alignment.evidence.span,
    )


def _trim_to_support(result: _Result, span: Span) -> Span:
    """Return the part of a very long sentence that supports a claim, or the sentence if no part supports it alone."""
    if len(span.text) <= _LONG_SENTENCE_CHARS or span.row:
        return span
    ends = [0, *(match.end() for match in _PART_END.finditer(span.text)), len(span.text)]
    for count in range(1, _MAX_PARTS + 1):
        for start, end in zip(ends, ends[count:], strict=False):
            text = span.text[start:end]
            first = span.start + start + len(text) - len(text.lstrip())
            part = replace(span, start=first, end=first + len(text.strip(" ,;:(–—-")))
            evidence = replace(result.alignment.evidence, span=part, analysis=analyse(part.text, _get_language(result)))
            other = _judge_evidence(result.alignment.claim, evidence, result.windows, must_answer=False)
            if not other.conflicts and other.alignment.coverage >= result.alignment.coverage:
                return part
    return span


def _get_language(result: _Result) -> str:
    return result.alignment.evidence.analysis.language
