"""Stop strings in text that arrives in pieces."""

import itertools

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from langchain_gptoss.chat_formats.stop_filter import StopFilter
from langchain_gptoss.errors import InvalidInputError
from tests import scale


def filter_text(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    stop_filter = StopFilter(stops)
    text = "".join(stop_filter.feed(piece) for piece in pieces)
    return text + stop_filter.flush(), stop_filter.is_stopped


def find_first_stop(pieces: list[str], stops: list[str]) -> tuple[str, bool]:
    """Cut the text where the earliest stop string begins, as soon as any stop string is complete."""
    text = ""
    for piece in pieces:
        text += piece
        if found := [at for stop in stops if (at := text.find(stop)) >= 0]:
            return text[: min(found)], True
    return text, False


@given(
    st.lists(st.text("ab\n", max_size=4), max_size=12), st.lists(st.text("ab\n", min_size=1, max_size=4), max_size=3)
)
@settings(deadline=None, max_examples=scale(100, minimum=30))
@example(["a", "a", "b"], ["aab"])
@example(["aa", "ab"], ["aab"])
def test_pieces_give_the_same_result_as_find(pieces, stops):
    assert filter_text(pieces, stops) == find_first_stop(pieces, stops)


@settings(deadline=None, max_examples=scale(100, minimum=30))
@given(st.text("ab", max_size=12), st.text("ab", min_size=1, max_size=4), st.data())
def test_result_does_not_depend_on_the_pieces(text, stop, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(text)), max_size=6)))
    pieces = [text[start:end] for start, end in itertools.pairwise([0, *cuts, len(text)])]
    at = text.find(stop)
    assert filter_text(pieces, [stop]) == (text[:at] if at >= 0 else text, at >= 0)


@pytest.mark.parametrize("stop", ["END", "\n\nUser:", "🎉"])
def test_stop_string_is_found_in_all_pieces(stop):
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
        assert filter_text([*pieces, piece], [stop]) == ("one ", True)


def test_text_is_held_back_only_while_it_may_be_a_stop_string():
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


def test_no_text_passes_after_a_stop_string():
    stop_filter = StopFilter(["."])
    assert stop_filter.feed("a.b") == "a"
    assert stop_filter.feed("c") == ""
    assert stop_filter.flush() == ""


def test_without_stop_strings_all_text_passes_at_once():
    stop_filter = StopFilter([])
    assert stop_filter.feed("abc") == "abc"
    assert stop_filter.flush() == ""


@pytest.mark.parametrize("stops", [[""], ["a", ""]])
def test_empty_stop_string_is_rejected(stops):
    with pytest.raises(InvalidInputError, match="A stop string is empty"):
        StopFilter(stops)


@pytest.mark.parametrize("stops", [5, [5], {"a"}])
def test_stop_must_be_a_list_of_strings(stops):
    with pytest.raises(InvalidInputError, match="must be a list of strings"):
        StopFilter(stops)


def test_single_stop_string_needs_no_list():
    assert StopFilter(" end").feed("the end.") == "the"
