"""Windows of a passage: how much of a claim stands in one, two, three or five sentences that follow each other.

A long claim often summarizes several sentences. These shares say how probably it does, whichever sentence is cited.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from langchain_gptoss.chatbot.grounding.alignment import QUANTITY_WEIGHT, index_tokens, weigh_token
from langchain_gptoss.chatbot.grounding.claims import Claim
from langchain_gptoss.chatbot.grounding.evidence import choose_passage_language
from langchain_gptoss.chatbot.grounding.passages import Span
from langchain_gptoss.text.analysis import Analysis, Token, analyse
from langchain_gptoss.text.quantities import is_same_quantity

WINDOW_SIZES = (1, 2, 3, 5)
_MAX_DISTANCE = 2  # content words between two words that count as neighbours
_MAX_SENTENCES = 400  # of all passages; later ones are left out


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shared:
    """Parts of a claim that a sentence has: positions of words and quantities, and of words whose next one follows."""

    elements: frozenset[int]
    pairs: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class _Elements:
    """The words and quantities of a claim with their weights."""

    words: Sequence[Token]
    weights: Sequence[float]
    new: frozenset[int]
    names: frozenset[int]
    quantities: frozenset[int]

    def share(self, found: frozenset[int], of: frozenset[int]) -> float:
        """Return the weighted share of some elements that are found; 1 if there are none."""
        total = sum(self.weights[i] for i in of)
        return sum(self.weights[i] for i in of & found) / total if total else 1.0


def compute_window_features(claim: Claim, spans: Sequence[Span]) -> dict[str, float]:
    """Return the features of a claim and all sentences of the passages.

    For each size of window, of the window that has most of the claim: its share of the claim (`window_1`), of the words
    and figures that the question does not have (`new_1`), of neighbours in order (`pairs_1`), and the weight of what is
    missing, of the rarest missing word, and the number of missing names and figures. `anywhere` and `nowhere` are the
    share and the weight of what all passages have and lack.

    Args:
        claim: The claim.
        spans: Sentences of the passages, at least one.
    """
    elements = _list_elements(claim)
    by_passage: dict[int, list[Span]] = defaultdict(list)
    for span in spans[:_MAX_SENTENCES]:
        by_passage[span.passage.number].append(span)
    groups = []
    for group in by_passage.values():
        language = choose_passage_language(claim, group[0].passage)
        ordered = sorted(group, key=lambda span: span.start)
        groups.append([_find_shared(claim, elements, analyse(span.text, language)) for span in ordered])
    everything = frozenset(range(len(elements.weights)))
    features: dict[str, float] = {}
    for size in WINDOW_SIZES:
        windows = [
            _join(group[start : start + size]) for group in groups for start in range(max(1, len(group) - size + 1))
        ]
        best = max(windows, key=lambda window: elements.share(window.elements, everything))
        missing = everything - best.elements
        features |= {
            f"window_{size}": elements.share(best.elements, everything),
            f"new_{size}": elements.share(best.elements, elements.new),
            f"pairs_{size}": len(best.pairs) / max(1, len(elements.words) - 1),
            f"missing_{size}": sum(elements.weights[i] for i in missing),
            f"rarest_{size}": max((elements.weights[i] for i in missing), default=0.0),
            f"names_{size}": float(len(missing & elements.names)),
            f"figures_{size}": float(len(missing & elements.quantities)),
        }
    anywhere = frozenset[int]().union(*(shared.elements for group in groups for shared in group))
    return features | {
        "anywhere": elements.share(anywhere, everything),
        "nowhere": sum(elements.weights[i] for i in everything - anywhere),
        "reading": math.log1p(sum(len(span.text) for group in by_passage.values() for span in group)),
    }


def _list_elements(claim: Claim) -> _Elements:
    words, quantities = claim.content, claim.analysis.quantities
    asked = claim.question
    known = {i for i, word in enumerate(words) if any(word.matches(other) for other in asked.content)}
    known |= {
        len(words) + i
        for i, quantity in enumerate(quantities)
        if any(is_same_quantity(quantity, other) for other in asked.quantities)
    }
    size = len(words) + len(quantities)
    return _Elements(
        words=words,
        weights=[*map(weigh_token, words), *(QUANTITY_WEIGHT for _ in quantities)],
        new=frozenset(range(size)) - known,
        names=frozenset(i for i, word in enumerate(words) if word.is_name),
        quantities=frozenset(range(len(words), size)),
    )


def _find_shared(claim: Claim, elements: _Elements, analysis: Analysis) -> _Shared:
    index = index_tokens(analysis)
    found = [index.find(word) for word in elements.words]
    shared = {i for i, others in enumerate(found) if others}
    shared |= {
        len(found) + i
        for i, quantity in enumerate(claim.analysis.quantities)
        if any(is_same_quantity(quantity, other) for other in analysis.quantities)
    }
    pairs: set[int] = set()
    if len(shared) > 1:
        places = {token.start: place for place, token in enumerate(analysis.content)}
        positions = [[places[token.start] for token in others if token.start in places] for others in found]
        pairs = {
            i
            for i, (first, second) in enumerate(pairwise(positions))
            if any(0 < b - a <= _MAX_DISTANCE for a in first for b in second)
        }
    return _Shared(elements=frozenset(shared), pairs=frozenset(pairs))


def _join(window: Sequence[_Shared]) -> _Shared:
    return _Shared(
        elements=frozenset[int]().union(*(shared.elements for shared in window)),
        pairs=frozenset[int]().union(*(shared.pairs for shared in window)),
    )
