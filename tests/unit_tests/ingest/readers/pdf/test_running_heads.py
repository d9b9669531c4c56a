"""Running heads and page numbers are no text; titles, headings and headers of tables are."""

import pytest

from langchain_gptoss.ingest import load_documents
from langchain_gptoss.ingest.readers.pdf import read_pdf
from tests.unit_tests.ingest.readers.pdf.placed_text import BOTTOM, TOP, Text, create_placed_pdf, place_lines


def read_pages(*pages: list[Text]) -> list[str]:
    return read_pdf(create_placed_pdf(*pages), 0).pages


def create_pages(heads: list[str], feet: list[str]) -> list[list[Text]]:
    """Create pages with a head and a foot, drawn before the text as word processors do."""
    pages = []
    for number, (head, foot) in enumerate(zip(heads, feet, strict=True)):
        margins = [Text(50, TOP, head), Text(270, BOTTOM, foot)]
        body = place_lines(
            50, 740, f"Body {'abcdefgh'[number]} begins here and", "goes on and on.", f"It ends{'!' * number}."
        )
        pages.append([text for text in margins if text.text] + body)
    return pages


def expect_bodies(count: int) -> list[str]:
    return [
        f"Body {'abcdefgh'[number]} begins here and\ngoes on and on.\nIt ends{'!' * number}." for number in range(count)
    ]


@pytest.mark.parametrize("count", [2, 3, 6])
@pytest.mark.parametrize(
    "head", ["Aurora – Engine manual, revision 7", "Larkspur SARL, 12 rue des Lilas", "CONFIDENTIAL"]
)
@pytest.mark.parametrize(
    "foot",
    ["Page {} of {}", "Page {} sur {}", "{}/{}", "- {} -", "{}", "p. {}", "Larkspur | {}", "Seite {} von {}", "[{}]"],
)
def test_heads_and_page_numbers_are_left_out(count, head, foot):
    feet = [foot.format(number, count) for number in range(1, count + 1)]
    assert read_pages(*create_pages([head] * count, feet)) == expect_bodies(count)


def test_roman_numbers_and_later_beginnings_are_page_numbers():
    assert read_pages(*create_pages([""] * 4, ["i", "ii", "iii", "iv"])) == expect_bodies(4)
    assert read_pages(*create_pages([""] * 3, ["97", "98", "99"])) == expect_bodies(3)


def test_even_and_odd_pages_have_their_own_heads():
    heads = ["Engine manual", "Larkspur Ltd"] * 3
    assert read_pages(*create_pages(heads, [f"{n}" for n in range(1, 7)])) == expect_bodies(6)


def test_heads_that_name_the_chapter_are_left_out():
    heads = ["Pumps"] * 3 + ["Filters"] * 4
    assert read_pages(*create_pages(heads, [""] * 7)) == expect_bodies(7)


def test_first_page_may_have_no_head():
    assert read_pages(*create_pages(["", *["Manual"] * 3], ["", "2", "3", "4"])) == expect_bodies(4)


@pytest.mark.parametrize(
    "heads",
    [
        ["Article 5", "Article 6"],
        ["Chapter 1", "Chapter 2", "Chapter 3"],
        ["Annexe 1", "Annexe 2"],
        ["Invoice 1001", "Invoice 1002"],
        ["Jour 1", "Jour 2", "Jour 3"],
        ["Deposit: 30 €", "Deposit: 90 €"],
        ["Returns", "Warranty"],
        ["Opened in 1998", "Opened in 2003"],
    ],
)
def test_first_lines_that_differ_stay(heads):
    pages = read_pages(*create_pages(heads, [""] * len(heads)))
    assert [page.split("\n")[0] for page in pages] == heads


def test_titles_stay():
    first, second = create_pages(["", "Engine manual"], ["1", "2"])
    pages = read_pages([Text(50, TOP, "Engine manual", 20), *first], second)
    assert pages[0].startswith("Engine manual\n")


@pytest.mark.parametrize(
    "heads", [["Warranty", "Warranty"], ["Plan 1", "Plan 2", "Plan 3"], ["1 Pumps", "2 Filters", "3 Tools", "4 Oil"]]
)
def test_headings_close_to_their_text_stay(heads):
    pages = [place_lines(50, 780, head, f"Text {'xyzu'[number]}.", "More.") for number, head in enumerate(heads)]
    assert [page.split("\n")[0] for page in read_pages(*pages)] == heads


def test_headings_with_numbers_stay_if_they_are_bold():
    bodies = create_pages([""] * 3, [""] * 3)
    pages = [[Text(50, TOP, f"Plan {number}", is_bold=True), *body] for number, body in enumerate(bodies, 1)]
    assert [page.split("\n")[0] for page in read_pages(*pages)] == ["Plan 1", "Plan 2", "Plan 3"]


def test_large_running_head_is_the_title_of_the_first_page():
    bodies = create_pages([""] * 4, [""] * 4)
    first, *others = read_pages(*([Text(50, TOP - 10, "Larkspur", 16), *body] for body in bodies))
    assert first == f"Larkspur\n{expect_bodies(4)[0]}"
    assert others == expect_bodies(4)[1:]


def test_heads_that_name_the_chapter_and_the_page():
    heads = ["Pumps 1", "Pumps 2", "3 Filters", "4 Filters", "Index 5"]
    assert read_pages(*create_pages(heads, [""] * 5)) == expect_bodies(5)


def test_page_number_may_be_large():
    assert read_pages([*create_pages([""], [""])[0], Text(270, BOTTOM, "Page 1 of 1", 18)]) == expect_bodies(1)


def test_header_of_a_table_stays_on_every_page():
    def create_page(*rows: tuple[str, str]) -> list[Text]:
        return [
            Text(x, TOP - 14 * n, text)
            for n, row in enumerate((("Model", "Price"), *rows))
            for x, text in zip((50, 200), row, strict=True)
        ]

    pages = read_pages(create_page(("E2", "30 €"), ("E3", "35 €")), create_page(("E4", "50 €"), ("E5", "60 €")))
    for page, prices in zip(pages, (("30 €", "35 €"), ("50 €", "60 €")), strict=True):
        assert "Model" in page
        assert all(price in page for price in prices)


def test_numbers_in_the_text_stay():
    body = place_lines(50, 700, "12", "13", "14")
    assert read_pages(body, body) == ["12\n13\n14"] * 2


def test_pages_of_one_line_stay():
    assert read_pages([Text(50, TOP, "Sold out")], [Text(50, TOP, "Sold out")]) == ["Sold out"] * 2


def test_one_page_loses_only_an_explicit_page_number():
    (page,) = read_pages([*create_pages(["Manual"], ["Page 1 of 1"])[0]])
    assert page == f"Manual\n{expect_bodies(1)[0]}"
    assert read_pages(create_pages([""], ["7"])[0]) == [f"7\n{expect_bodies(1)[0]}"]


def test_offsets_count_the_text_without_heads(tmp_path):
    pages = create_pages(["Aurora"] * 3, [f"{n}" for n in range(1, 4)])
    (tmp_path / "a.pdf").write_bytes(create_placed_pdf(*pages))
    text = "\n\n".join(expect_bodies(3))
    for document in load_documents(tmp_path / "a.pdf"):
        start = document.metadata["start"]
        assert text[start : start + len(document.page_content)] == document.page_content
