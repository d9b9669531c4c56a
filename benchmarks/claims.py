"""Measure how many true and false claims a chatbot shows as supported.

    python benchmarks/claims.py --data DIR [--half 1] [--json claims.json]

DIR has AttributionBench (`attribution-dev.jsonl`): claims in English, with references that do or do not support them.
A fake model states the claim, BM25 searches the references, and declining is off. Half 0 of the questions, by their
hash, was used for fitting the score (`scripts/fit_claim_support.py`), half 1 was not. Word overlap is the share of
the claim's content words in three sentences that follow each other, with the threshold that gives the same share of
false support. The claim pairs are those of the unit tests; a report per kind is printed for each of their two files.
"""

import argparse
import hashlib
import json
import platform
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

from langchain_core.documents import Document
from langchain_core.language_models.fake_chat_models import FakeListChatModel

from langchain_gptoss import BM25Retriever, create_chatbot
from langchain_gptoss.ingest import split_documents
from langchain_gptoss.text.sentences import find_sentences
from langchain_gptoss.text.words import extract_content_words

PAIRS = Path(__file__).parents[1] / "tests" / "unit_tests" / "chatbot" / "grounding" / "data"
WINDOW = 3  # sentences in which word overlap is counted
MIN_SUPPORTED, MAX_FALSE = 0.60, 0.05  # of attributable claims, and of the others
MIN_LEAD = 0.05  # over word overlap at the same share of false support
MIN_PAIRS = 0.85  # of the true claim pairs


@dataclass(frozen=True, kw_only=True)
class JudgedClaim:
    """A claim and what was shown.

    Attributes:
        group: Data set, or kind of claim pair.
        is_true: True if the documents support the claim.
        is_shown: True if the chatbot shows it as supported.
        overlap: Share of its content words in a few sentences of the documents.
    """

    group: str
    is_true: bool
    is_shown: bool
    overlap: float


def judge(group: str, claim: str, question: str, documents: Sequence[Document], *, is_true: bool) -> JudgedClaim:
    """Return a claim as a chatbot over some documents shows it."""
    bot = create_chatbot(
        FakeListChatModel(responses=[claim]), BM25Retriever.from_documents(documents), decline_below=0.0
    )
    is_shown = any(citation.verdict == "supported" for citation in bot.invoke(question).citations)
    overlap = measure_overlap(claim, [document.page_content for document in documents])
    return JudgedClaim(group=group, is_true=is_true, is_shown=is_shown, overlap=overlap)


def measure_overlap(claim: str, texts: Sequence[str]) -> float:
    """Return the share of the content words of a claim in the best run of a few sentences."""
    words = set(extract_content_words(claim))
    best = 0
    for text in texts:
        sentences = [set(extract_content_words(text[start:end])) for start, end in find_sentences(text)]
        for start in range(len(sentences)):
            best = max(best, len(words.intersection(set[str]().union(*sentences[start : start + WINDOW]))))
    return best / len(words) if words else 0.0


def read_claims(data: Path, half: int) -> Iterator[JudgedClaim]:
    """Yield the judged claims of half the questions."""
    for line in (data / "attribution-dev.jsonl").read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        if hashlib.sha256(row["question"].encode()).digest()[0] % 2 == half:
            references = [
                Document(text, metadata={"source": f"{number}.txt"}) for number, text in enumerate(row["references"])
            ]
            is_true = row["attribution_label"] == "attributable"
            yield judge(row["src_dataset"], row["claim"], row["question"], split_documents(references), is_true=is_true)


def read_pairs(name: str) -> Iterator[JudgedClaim]:
    """Yield the judged claim pairs of a file."""
    for pair in tomllib.loads((PAIRS / f"{name}.toml").read_text(encoding="utf-8"))["pair"]:
        document = Document(pair["document"], metadata={"source": "a.md", "start": 0})
        yield judge(pair["kind"], pair["claim"], pair["question"], [document], is_true=pair["supported"])


def calculate_share(values: Sequence[bool]) -> float:
    """Return the share of true values."""
    return round(sum(values) / len(values), 3) if values else 0.0


def summarize(claims: Sequence[JudgedClaim]) -> dict[str, Any]:
    """Return the shares shown as supported, and that of word overlap at the same share of false support."""
    true, false = ([claim for claim in claims if claim.is_true == truth] for truth in (True, False))
    allowed = sum(claim.is_shown for claim in false)
    ordered = sorted((claim.overlap for claim in false), reverse=True)
    threshold = ordered[allowed] if allowed < len(ordered) else 0.0
    return {
        "attributable": len(true),
        "not attributable": len(false),
        "supported": calculate_share([claim.is_shown for claim in true]),
        "falsely supported": calculate_share([claim.is_shown for claim in false]),
        "supported by word overlap": calculate_share([claim.overlap > threshold for claim in true]),
    }


def count_pairs(claims: Sequence[JudgedClaim]) -> dict[str, str]:
    """Return for each kind of claim pair how many true and false ones are shown as supported."""
    totals = Counter((claim.group, claim.is_true) for claim in claims)
    shown = Counter((claim.group, claim.is_true) for claim in claims if claim.is_shown)
    return {
        kind: f"true {shown[kind, True]} of {totals[kind, True]}, false {shown[kind, False]} of {totals[kind, False]}"
        for kind in dict.fromkeys(claim.group for claim in claims)
    }


def check_goals(figures: dict[str, Any]) -> dict[str, bool]:
    """Return which goals are met."""
    claims, pairs = figures["all claims"], figures["claim pairs"]
    return {
        "at least 60 % of the attributable claims supported": claims["supported"] >= MIN_SUPPORTED,
        "at most 5 % of the others supported": claims["falsely supported"] <= MAX_FALSE,
        "at least 5 points above word overlap at equal false support": claims["supported"]
        >= claims["supported by word overlap"] + MIN_LEAD,
        "at least 85 % of the true pairs supported": all(pair["supported"] >= MIN_PAIRS for pair in pairs.values()),
        "no false pair supported": all(not pair["falsely supported"] for pair in pairs.values()),
    }


def main() -> None:
    """Print the figures and the goals."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--half", type=int, choices=(0, 1), default=1, help="half of the questions")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    start = time.process_time()
    claims = list(read_claims(arguments.data, arguments.half))
    seconds = time.process_time() - start
    pairs = {name: list(read_pairs(name)) for name in ("claim_pairs", "claim_pairs_held_out")}
    figures: dict[str, Any] = {
        "date": date.today().isoformat(),
        "machine": platform.platform(),
        "half": arguments.half,
        "milliseconds per claim": round(1000 * seconds / len(claims), 1),
        "all claims": summarize(claims),
        "by source": {
            source: summarize([claim for claim in claims if claim.group == source])
            for source in sorted({claim.group for claim in claims})
        },
        "claim pairs": {name: summarize(judged) for name, judged in pairs.items()},
        "claim pairs by kind": {name: count_pairs(judged) for name, judged in pairs.items()},
    }
    figures["goals"] = check_goals(figures)
    print(json.dumps(figures, indent=2))
    for goal, is_met in figures["goals"].items():
        print(f"{'met   ' if is_met else 'missed'} {goal}")
    if arguments.json:
        arguments.json.write_text(json.dumps(figures, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
