"""From labels of tokens to spans: valid sequences, whole words, neighbours."""

import numpy
import pytest

from langchain_gptoss.audit.span_decoding import Span, SpanDecoder, merge_spans, split_label

BIOES = ["O", *(f"{prefix}-{label}" for label in ("person", "address") for prefix in "BIES")]
OFFSETS = [(0, 3), (4, 7), (8, 11), (12, 15)]


def score(labels, names, *, doubtful=()):
    """Returns log probabilities that prefer these labels, and the second label of a pair less."""
    scores = numpy.full((len(labels), len(names)), -9.0)
    for row, name in enumerate(labels):
        scores[row, names.index(name)] = -0.1
    for row, name in doubtful:
        scores[row, names.index(name)] = -0.5
    return scores


def decode(labels, names=BIOES, **options):
    spans = SpanDecoder(names).decode(score(labels, names, **options), OFFSETS[: len(labels)])
    return [(span.start, span.end, span.label) for span in spans]


@pytest.mark.parametrize(
    ("label", "parts"),
    [("O", ("O", "")), ("B-PER", ("B", "PER")), ("L-x", ("E", "x")), ("U-x", ("S", "x")), ("PERSON", ("I", "PERSON"))],
)
def test_labels_have_a_prefix_and_a_name(label, parts):
    assert split_label(label) == parts


def test_spans_of_valid_labels():
    assert decode(["O", "B-person", "E-person", "S-address"]) == [(4, 11, "person"), (12, 15, "address")]
    assert decode(["S-person", "S-person", "O", "O"]) == [(0, 3, "person"), (4, 7, "person")]
    assert decode(["B-person", "I-person", "I-person", "E-person"]) == [(0, 15, "person")]
    assert decode(["O", "O", "O", "O"]) == []


def test_invalid_sequence_becomes_the_best_valid_one():
    # A beginning without an end at the end of the text; a single token is the next best.
    assert decode(["O", "O", "O", "B-person"], doubtful=[(3, "S-person")]) == [(12, 15, "person")]
    # An end without a beginning; the token before may be one.
    assert decode(["O", "E-person"], doubtful=[(0, "B-person")]) == [(0, 7, "person")]
    # Two labels in one span: the second token follows the first.
    assert decode(["B-person", "E-address"], doubtful=[(1, "E-person")]) == [(0, 7, "person")]


def test_labels_without_ends_and_without_prefixes():
    names = ["O", "B-PER", "I-PER"]
    assert decode(["O", "I-PER", "I-PER", "B-PER"], names) == [(4, 11, "PER"), (12, 15, "PER")]
    assert decode(["PER", "PER", "O", "PER"], ["O", "PER"]) == [(0, 7, "PER"), (12, 15, "PER")]


@pytest.mark.parametrize(
    ("spans", "expected"),
    [
        ([(0, 3, "p"), (3, 12, "p")], ["Ada Lovelace"]),  # neighbours
        ([(0, 3, "p"), (3, 6, "p")], ["Ada Lovelace"]),  # a half word
        ([(5, 9, "p")], ["Lovelace"]),
        ([(3, 12, "p"), (13, 14, "q")], ["Lovelace"]),  # spaces at the ends
        ([(4, 12, "p"), (0, 3, "p")], ["Ada Lovelace"]),  # another order
        ([(0, 3, "p"), (4, 12, "q")], ["Ada", "Lovelace"]),  # other labels
        ([(0, 12, "p"), (4, 20, "q")], ["Ada Lovelace", ", Jean-P" + "aul"]),  # an overlap
        ([(14, 18, "p"), (19, 23, "p")], ["Jean-Paul"]),
        ([(0, 3, "p"), (14, 18, "p")], ["Ada", "Jean"]),
        ([(3, 4, "p")], []),
    ],
)
def test_spans_are_whole_words(spans, expected):
    text = "Ada Lovelace, Jean-Paul"
    merged = merge_spans(text, [Span(start=start, end=end, label=label) for start, end, label in spans])
    assert [text[span.start : span.end] for span in merged] == expected


def test_scripts_without_spaces_are_not_extended():
    assert merge_spans("我叫李雷你好", [Span(start=2, end=4, label="p")]) == [Span(start=2, end=4, label="p")]
