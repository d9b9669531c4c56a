"""Columns of text are read one after the other, whatever the order in which they are drawn."""

from itertools import chain, zip_longest

import pytest

from langchain_gptoss.ingest.readers.pdf import read_pdf
from tests.unit_tests.ingest.readers.pdf.placed_text import Text, create_placed_pdf, place_lines

LEFT, RIGHT, THIRD = (
    text.split("\n")
    for text in (
        """The pump is drained every five
hundred hours. Always wear gloves
when the lid is open and hot. Then
close the valve before the engine
is started again. Report each leak
to the bridge at once.""",
        """Filters are changed once a year by
the crew. The spare filters hang
in the store near the deck. Old
filters are oily and must be burned
ashore. Never throw a filter over
board.""",
        """Les filtres sont remplacés chaque
année par l'équipage. Les filtres
de rechange sont dans le local du
pont. Les anciens filtres sont à
brûler à terre. Ne jeter aucun
filtre à la mer.""",
    )
)
TITLE, NOTE = "Upkeep of the engine: what the crew of the ship has to know about pumps and filters", "x" * 80


def interleave(*columns: list[Text]) -> list[Text]:
    """Return texts line by line over all columns."""
    return [text for row in zip_longest(*columns) for text in row if text is not None]


def read_page(texts: list[Text]) -> list[str]:
    (page,) = read_pdf(create_placed_pdf(texts), 0).pages
    return page.split("\n")


@pytest.mark.parametrize("shift", [0, 3, 6])
@pytest.mark.parametrize("order", [interleave, lambda *columns: list(chain(*columns))])
def test_two_columns_with_a_title_and_a_note(shift, order):
    columns = order(place_lines(50, 700, *LEFT), place_lines(310, 700 - shift, *RIGHT))
    assert read_page([Text(50, 740, TITLE), *columns, Text(50, 560, NOTE)]) == [TITLE, *LEFT, *RIGHT, NOTE]


def test_three_columns():
    columns = interleave(
        *(place_lines(x, 700, *lines, size=8) for x, lines in ((40, LEFT), (220, RIGHT), (400, THIRD)))
    )
    assert read_page(columns) == [*LEFT, *RIGHT, *THIRD]


@pytest.mark.parametrize(("left", "right"), [(LEFT, RIGHT[:4]), (LEFT[:4], RIGHT)])
def test_columns_of_different_length(left, right):
    columns = interleave(place_lines(50, 700, *left), place_lines(310, 700, *right))
    assert read_page(columns) == [*left, *right]


SHORT = [
    "a year.",
    "6 Warranty",
    "The warranty lasts three years",
    "from the date of purchase. It",
    "does not cover:",
    "- damage by frost",
    "- seals that are worn",
]
COURT = ["tous les ans.", "Garantie", "La garantie dure trois ans à", "compter de l'achat. Exclus :", "- le gel"]


@pytest.mark.parametrize("short", [SHORT, COURT])
@pytest.mark.parametrize("is_left", [True, False])
def test_a_column_of_headings_and_list_items_beside_a_column_of_text(short, is_left):
    columns = (short, THIRD) if is_left else (THIRD, short)
    places = (place_lines(x, 700, *lines) for x, lines in zip((50, 310), columns, strict=True))
    assert read_page(interleave(*places)) == [*columns[0], *columns[1]]


def test_words_broken_at_the_end_of_a_column_line_are_joined():
    left = [*LEFT[:4], "is started again after main-", "tenance of the pump."]
    columns = interleave(place_lines(50, 700, *left), place_lines(310, 700, *RIGHT))
    assert read_page(columns) == [*LEFT[:4], "is started again after maintenance of the pump.", *RIGHT]


def test_gaps_in_one_column_are_no_gutters():
    words = [line.split() for line in LEFT]
    texts = [
        Text(50 + 30 * place + 11 * row % 17 + 5 * len(" ".join(line[:place])), 700 - 14 * row, word)
        for row, line in enumerate(words)
        for place, word in enumerate(line)
    ]
    assert [line.split() for line in read_page(texts)] == words


def test_text_of_one_column_stays_as_it_is():
    assert read_page(place_lines(50, 700, *LEFT)) == LEFT


@pytest.mark.parametrize("rotation", [90, 180, 270])
def test_pages_that_are_turned(rotation):
    columns = interleave(place_lines(50, 700, *LEFT), place_lines(310, 700, *RIGHT))
    data = create_placed_pdf(columns, page_entries=[f"/Rotate {rotation}"])
    (page,) = read_pdf(data, 0).pages
    assert sorted(page.split()) == sorted(" ".join([*LEFT, *RIGHT]).split())


def test_text_that_runs_upwards_comes_last():
    texts = [Text(20, 300, "Printed in Namur", angle="0 1 -1 0"), *place_lines(50, 700, *LEFT)]
    assert read_page(texts) == [*LEFT, "Printed in Namur"]


@pytest.mark.parametrize("mark", ["•", "-", "1.", "(a)"])
def test_marks_of_a_list_are_no_column(mark):
    rows = zip(LEFT[::2], LEFT[1::2], strict=True)
    texts = [
        text
        for number, (first, second) in enumerate(rows)
        for text in (Text(50, 700 - 28 * number, mark), *place_lines(75, 700 - 28 * number, first, second))
    ]
    assert " ".join(read_page(texts)).replace(f"{mark} ", "") == " ".join(LEFT)
