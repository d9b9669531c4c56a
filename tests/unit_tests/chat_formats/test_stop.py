"""Stop strings are found however the text is cut, and nothing of them is shown."""

import itertools

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.stop_filter import StopFilter
from langchain_gptoss.errors import InvalidInputError


def shown(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    stop_filter = StopFilter(stops)
    text = "".join(stop_filter.feed(piece) for piece in pieces)
    return text + stop_filter.flush(), stop_filter.is_stopped


def expected(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    """The first stop string to be complete ends the text, at the earliest place where one that is there begins."""
    text = ""
    for piece in pieces:
        text += piece
        if found := [at for stop in stops if (at := text.find(stop)) >= 0]:
            return text[: min(found)], True
    return text, False


@given(
    st.lists(st.text("ab\n", max_size=4), max_size=12), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)
)
@example(["a", "a", "b"], ["aab"])
@example(["aa", "ab"], ["aab"])
def test_any_cut_gives_what_find_gives(pieces, stops):
    assert shown(pieces, stops) == expected(pieces, stops)


@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=4), st.data())
def test_one_stop_string_does_not_depend_on_the_cut(text, stop, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    at = text.find(stop)
    assert shown(pieces, [stop]) == (text[:at] if at >= 0 else text, at >= 0)


@pytest.mark.parametrize("stop", ["END", "\n\nUser:", "🎉"])
def test_every_way_to_cut_a_stop_string(stop):
    text = f"one {stop} two"
    for cuts in itertools.product([False, True], repeat=len(text) - 1):
        if sum(cuts) > 3:
            continue
        pieces, piece = [], text[0]
        for cut, character in zip(cuts, text[1:], strict=True):
            if cut:
                pieces.append(piece)
                piece = ""
            piece += character
        assert shown([*pieces, piece], [stop]) == ("one ", True)


def test_text_is_held_back_no_longer_than_needed():
    stop_filter = StopFilter(["STOP"])
    assert [stop_filter.feed(piece) for piece in ["go ", "S", "T", "ay", "ST", "!"]] == [
        "go ",
        "",
        "",
        "STay",
        "",
        "ST!",
    ]
    assert not stop_filter.is_stopped


def test_nothing_passes_after_a_stop():
    stop_filter = StopFilter(["."])
    assert stop_filter.feed("a.b") == "a"
    assert stop_filter.feed("c") == ""
    assert stop_filter.flush() == ""


def test_without_stops_everything_passes_at_once():
    stop_filter = StopFilter([])
    assert stop_filter.feed("abc") == "abc"
    assert stop_filter.flush() == ""


@pytest.mark.parametrize("stops", [[""], ["a", ""]])
def test_an_empty_stop_string_is_refused(stops):
    with pytest.raises(InvalidInputError, match="A stop string is empty"):
        StopFilter(stops)
