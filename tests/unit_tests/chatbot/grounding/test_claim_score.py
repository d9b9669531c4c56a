"""The score model: probabilities, monotone in what is found and in conflicts, with its provenance."""

import itertools

import pytest

from langchain_gptoss.chatbot.grounding.claim_score import load_score_model
from langchain_gptoss.chatbot.grounding.claim_windows import WINDOW_SIZES
from langchain_gptoss.chatbot.grounding.conflicts import CONFLICT_KINDS

SHARES = ["coverage", "anywhere", *(f"{name}_{n}" for name in ("window", "new", "pairs") for n in WINDOW_SIZES)]


def create_features(share=1.0, **values):
    features = dict.fromkeys(load_score_model().features, 0.0)
    features |= dict.fromkeys(SHARES, share) | {"length": 2.3, "question": 0.5, "reading": 6.0}
    for name in ("missing", "rarest"):
        features |= {f"{name}_{n}": (1 - share) * (5 if name == "missing" else 1) for n in WINDOW_SIZES}
    return features | values


def test_every_tree_ends_in_leaves_and_knows_its_features():
    model = load_score_model()
    for tree in model.trees:
        assert all(len(node) in (1, 4) for node in tree)
        for place, (feature, _, left, right) in ((i, node) for i, node in enumerate(tree) if len(node) == 4):
            assert 0 <= feature < len(model.features)
            assert place < left < len(tree)
            assert place < right < len(tree)


def test_thresholds_are_probabilities_and_long_claims_need_more():
    model = load_score_model()
    assert 0 < model.threshold <= model.long_threshold < 1


@pytest.mark.parametrize("share", [0.0, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("length", [0.7, 2.0, 3.5])
def test_scores_are_probabilities(share, length):
    assert 0 < load_score_model().calculate(create_features(share, length=length)) < 1


@pytest.mark.parametrize("length", [1.1, 2.3, 3.2])
def test_the_score_does_not_fall_when_more_of_the_claim_is_found(length):
    model = load_score_model()
    scores = [model.calculate(create_features(step / 20, length=length)) for step in range(21)]
    assert all(a <= b for a, b in itertools.pairwise(scores))
    assert scores[0] < model.threshold < scores[-1]
    single = [model.calculate(create_features(0.6, coverage=step / 20, length=length)) for step in range(21)]
    assert all(a <= b for a, b in itertools.pairwise(single))


@pytest.mark.parametrize("kind", CONFLICT_KINDS)
def test_a_conflict_does_not_raise_the_score(kind):
    model = load_score_model()
    scores = [model.calculate(create_features(0.9, **{f"conflict_{kind}": float(n)})) for n in range(3)]
    assert scores[0] >= scores[1] >= scores[2]


def test_the_model_names_its_origin():
    provenance = load_score_model().provenance
    assert {"date", "script", "data", "split"} <= provenance.keys()
    figures = provenance["shares of the claims shown as supported"]["half 1"]
    assert {"AttributionBench", "pairs"} <= figures.keys()
    assert all(entry["claims"] > 0 for entry in figures.values())
