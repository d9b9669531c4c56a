"""Sentences of prose, law, mail, lists, tables, dialogue, manuals and PDF text, in English and French."""

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_gptoss.text.sentences import find_sentences
from tests import scale
from tests.unit_tests.text.sentences.labelled_texts import load_labelled_texts

LABELLED_TEXTS = load_labelled_texts()
MIN_BOUNDARIES = 300

WORDS = st.sampled_from(
    """the The Le le etc. Dr. M. J. e.g. p. 12 3.5 Inc. U.S. a.m. « » "Yes." (see ) - * • 1. 2) a) | # > ``` : ; , ? ! ...
    … . ?! voir art. L. 145-1 iPhone https://a.org. after of de 日本。 12 Name: Eco; Price: 5; - —""".split()  # noqa: SIM905 (a list of strings would be a page long)
)
SPACES = st.sampled_from([" ", " ", " ", "\n", "\n\n", "\u00a0", "  ", "\r\n", "\n- ", "\n1. ", "\n| "])
TEXTS = st.lists(st.tuples(WORDS, SPACES), max_size=25).map(lambda pairs: "".join(map("".join, pairs)))
ANY_TEXT = TEXTS | st.text(alphabet="aA .!?…»«\"')(\n-|#1:;,é。\t\u202f", max_size=60) | st.text(max_size=60)


def read_sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in find_sentences(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It costs 4.90 euros. It takes e.g. two days.", ["It costs 4.90 euros.", "It takes e.g. two days."]),
        ("- One item\n- Another item\n", ["One item", "Another item"]),
        ("1. One\n2) Two\n(c) Three\n• Four\n– Five\n* [x] Six", ["One", "Two", "Three", "Four", "Five", "Six"]),
        ("Il a dit « oui ». Puis il est parti !", ["Il a dit « oui ».", "Puis il est parti !"]),
        ("| a | b |\n| c | d |", ["a | b", "c | d"]),
        ("It stops. The pump moves\n31 litres a minute.", ["It stops.", "The pump moves\n31 litres a minute."]),
        ("C'est fermé. Le bus passe\n12 fois par jour.", ["C'est fermé.", "Le bus passe\n12 fois par jour."]),
        ("- The bus runs\n- 12 times a day", ["The bus runs", "12 times a day"]),
        ("  \n\n ", []),
        ("no end", ["no end"]),
        ("You need:\n- a card\n- a photo\nEnd", ["You need:", "a card", "a photo", "End"]),
        ("-250 euros were paid. -3 °C is cold.", ["-250 euros were paid.", "-3 °C is cold."]),
        ("#1 in sales. **Bold.** Plain.", ["#1 in sales.", "**Bold.**", "Plain."]),
    ],
)
def test_spans_have_no_white_space_list_marks_and_cell_borders(text, expected):
    assert read_sentences(text) == expected


@pytest.mark.parametrize("labelled", LABELLED_TEXTS, ids=lambda labelled: f"{labelled.topic}: {labelled.text[:30]}")
def test_boundaries_are_where_people_put_them(labelled):
    if labelled.text.startswith("Bonjour,\n\nla réunion est à 15 h."):
        pytest.xfail("a unit before a word in lower case does not end a sentence")
    ends = [end for _, end in find_sentences(labelled.text)]
    assert ends[:-1] == list(labelled.ends)


def test_labelled_texts_are_many_and_of_both_languages():
    counts = {"en": 0, "fr": 0, "other": 0}
    for labelled in LABELLED_TEXTS:
        counts[labelled.topic.split()[0]] += len(labelled.ends)
    assert sum(counts.values()) >= MIN_BOUNDARIES
    assert min(counts["en"], counts["fr"]) >= MIN_BOUNDARIES / 3


@settings(deadline=None, max_examples=scale(500))
@example(text="0\x1f")  # a separator that counts as white space
@given(text=ANY_TEXT)
def test_spans_are_ordered_and_leave_out_nothing_but_marks(text):
    last, left_out = 0, ""
    for start, end in find_sentences(text):
        assert last <= start < end
        assert text[start:end] == text[start:end].strip()
        left_out += text[last:start]
        last = end
    left_out += text[last:]
    assert not [mark for mark in left_out.split() if any(c.isalpha() for c in mark) and len(mark.strip("().|")) > 5]


@settings(deadline=None, max_examples=scale(500))
@example(text="the the the\n#\xa0")
@given(text=ANY_TEXT)
def test_a_growing_text_gives_the_same_sentences(text):
    whole = list(find_sentences(text))
    for end in range(len(text) + 1):
        certain = list(find_sentences(text[:end], is_complete=False))
        assert certain == whole[: len(certain)], text[:end]


@pytest.mark.parametrize("labelled", LABELLED_TEXTS, ids=lambda labelled: f"{labelled.topic}: {labelled.text[:30]}")
def test_a_growing_labelled_text_gives_the_same_sentences(labelled):
    text, whole = labelled.text, list(find_sentences(labelled.text))
    for end in range(len(text) + 1):
        certain = list(find_sentences(text[:end], is_complete=False))
        assert certain == whole[: len(certain)], text[:end]


@pytest.mark.parametrize(
    ("beginning", "count"),
    [
        ("It costs 5 euros. ", 0),
        ("It costs 5 euros. It", 1),
        ("Ask Dr. ", 0),
        ("Ask Dr. Osei, room 12. She can", 1),
        ("It is sold by Acme Inc. The ", 0),
        ("It is sold by Acme Inc. The price ", 1),
        ("See p. ", 0),
        ("- One\n-", 0),
        ("- One\n- T", 1),
    ],
)
def test_a_sentence_waits_until_more_text_cannot_change_it(beginning, count):
    assert len(list(find_sentences(beginning, is_complete=False))) == count


@pytest.mark.parametrize(
    "text",
    [
        "." * 300_000,
        'a."' * 100_000,
        "Dr. " * 100_000,
        "of\n" * 50_000,
        "a of\n\n" * 30_000,
        "12\n\n" * 50_000,
        "| -\n" * 50_000,
        "|" + "-" * 300_000 + "x",
        "(see p. 5 " * 50_000,
        "- a: b; c: d. E\n" * 20_000,
        ("word " * 12 + "\nNext ") * 5_000,
        "a:\nb\n" * 20_000,
        "- " * 100_000,
        ". . " * 100_000,
        '!" ' * 100_000,
        "a" + " " * 300_000 + "b",
    ],
    ids=lambda text: text[:12],
)
def test_repetitive_text_takes_linear_time(text):
    started = time.process_time()
    list(find_sentences(text))
    assert time.process_time() - started < 60  # quadratic time takes many minutes


@pytest.mark.parametrize("text", [";;;|-. ;", "|-. A", '(". b', "-. -. -.", "«. Oui"])
def test_a_point_after_signs_only_is_read(text):
    spans = list(find_sentences(text))
    assert all(text[start:end].strip() for start, end in spans)
    assert spans[-1][1] == len(text)
