"""Lines of a page: what stands side by side is one line, what stands below is another."""

import pytest

from langchain_gptoss.ingest.readers.pdf.lines import find_lines
from langchain_gptoss.ingest.readers.pdf.words import Box, Word

FIRST = Box(0, 100, 50, 112)


@pytest.mark.parametrize(
    ("between", "box", "lines"),
    [
        (" ", Box(54, 100, 90, 112), ["legiti‐ mate"]),
        (" ", Box(0, 86, 40, 98), ["legiti‐", "mate"]),
        (" ", Box(0, 89, 40, 101), ["legiti‐", "mate"]),
        ("\r\n", Box(0, 86, 40, 98), ["legiti‐", "mate"]),
        ("\r\n", Box(50.5, 100, 90, 112), ["legiti‐mate"]),
        ("\r\n", Box(54, 100, 90, 112), ["legiti‐ mate"]),
        ("\r\n", Box(90, 100, 130, 112), ["legiti‐", "mate"]),
        ("\r\n", Box(50, 105, 60, 113), ["legiti‐mate"]),
    ],
)
def test_lines_follow_the_places_of_the_words(between, box, lines):
    text = f"legiti‐{between}mate"
    words = [Word(0, 7, FIRST, True), Word(7 + len(between), len(text), box, True)]
    assert [line.text for line in find_lines(text, words)] == lines
