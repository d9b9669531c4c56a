"""Claims of every kind, true and false, in English and French, judged by a whole chatbot.

A fake model states the claim, BM25 finds the document, and declining is off. No false claim may be shown as supported.
Of the true ones of `claim_pairs.toml` and `claim_pairs_held_out.toml`, at least 85 % must be. The pairs of
`claim_pairs_fresh.toml` and `claim_pairs_unseen.toml` are on other subjects and in other words; less of them is
supported, and the limits say how much, so that it cannot fall unseen. Their reports name kinds only.
"""

import tomllib
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import pytest
from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from langchain_gptoss import BM25Retriever, create_chatbot

DATA = Path(__file__).parent / "data"
FILES = ["claim_pairs", "claim_pairs_held_out", "claim_pairs_fresh", "claim_pairs_unseen"]
MIN_RECALL = {("claim_pairs", "claim_pairs_held_out"): 0.85, ("claim_pairs_fresh",): 0.7, ("claim_pairs_unseen",): 0.58}


@dataclass(frozen=True, kw_only=True)
class Pair:
    kind: str
    language: str
    question: str
    claim: str
    document: str
    supported: bool


@cache
def load_pairs(name):
    data = tomllib.loads((DATA / f"{name}.toml").read_text(encoding="utf-8"))
    return tuple(Pair(**pair) for pair in data["pair"])


def is_supported(pair):
    """Return True if the chatbot shows the claim as supported by the document."""
    documents = [Document(pair.document, metadata={"source": "a.md", "start": 0})]
    llm = FakeListChatModel(responses=[pair.claim])
    bot = create_chatbot(llm, BM25Retriever.from_documents(documents), decline_below=0.0)
    return any(citation.verdict == "supported" for citation in bot.invoke(pair.question).citations)


@cache
def judge_pairs(name):
    return tuple((pair, is_supported(pair)) for pair in load_pairs(name))


def format_report(name, *, with_claims):
    """Return the numbers per kind, and the claims that were judged wrongly."""
    wrong = [pair for pair, verdict in judge_pairs(name) if verdict and not pair.supported]
    missed = [pair for pair, verdict in judge_pairs(name) if not verdict and pair.supported]
    lines = [f"{name}: kind, language: false ones shown as supported, true ones missed, of each"]
    totals = Counter((pair.kind, pair.language, pair.supported) for pair in load_pairs(name))
    faults = Counter((pair.kind, pair.language, pair.supported) for pair in wrong + missed)
    for kind, language in dict.fromkeys((pair.kind, pair.language) for pair in load_pairs(name)):
        counts = [f"{faults[kind, language, truth]} of {totals[kind, language, truth]}" for truth in (False, True)]
        lines.append(f"  {kind:16} {language}  {counts[0]:8} {counts[1]:8}")
    if with_claims:
        for title, pairs in (("shown as supported, but false", wrong), ("true, but missed", missed)):
            lines.append(f"{title}: {len(pairs)}")
            lines += [f"  {pair.kind}: {pair.claim!r} | {pair.question!r} | {pair.document!r}" for pair in pairs]
    return "\n".join(lines)


@pytest.mark.parametrize("name", FILES)
def test_no_false_claim_is_shown_as_supported(name):
    wrong = Counter(pair.kind for pair, verdict in judge_pairs(name) if verdict and not pair.supported)
    assert not wrong, f"{dict(wrong)}\n{format_report(name, with_claims=name == FILES[0])}"


@pytest.mark.parametrize("names", MIN_RECALL)
def test_most_true_claims_are_supported(names):
    verdicts = [verdict for name in names for pair, verdict in judge_pairs(name) if pair.supported]
    recall = sum(verdicts) / len(verdicts)
    reports = "\n".join(format_report(name, with_claims=name == FILES[0]) for name in names)
    assert recall >= MIN_RECALL[names], f"{recall:.3f}\n{reports}"


def test_the_pairs_are_balanced_and_distinct():
    pairs = [pair for name in FILES for pair in load_pairs(name)]
    assert len(pairs) >= 700
    assert len(set(pairs)) == len({(pair.question, pair.claim, pair.document) for pair in pairs}) == len(pairs)
    assert sum(pair.supported for pair in pairs) * 2 == len(pairs)
    assert abs(sum(1 if pair.language == "en" else -1 for pair in pairs)) <= len(pairs) // 50
    truths = {(pair.kind, pair.language, pair.supported) for pair in pairs}
    assert all((kind, language, not supported) in truths for kind, language, supported in truths)
    assert {pair.language for pair in pairs} == {"en", "fr"}
