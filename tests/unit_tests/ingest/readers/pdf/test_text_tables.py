"""Tables that are drawn as text: each row names its columns, and what may be no table stays as it is."""

import pytest

from langchain_gptoss.ingest.readers.pdf import read_pdf
from tests.unit_tests.ingest.readers.pdf.placed_text import Text, create_placed_pdf

EDGES = (50, 200, 350, 480)


def place_rows(*rows: tuple[str, ...], y: float = 700, pitch: float = 16, has_bold_head: bool = False) -> list[Text]:
    return [
        Text(x, y - pitch * number, text, is_bold=has_bold_head and not number)
        for number, row in enumerate(rows)
        for x, text in zip(EDGES, row, strict=False)
        if text
    ]


def read_lines(*texts: Text) -> list[str]:
    (page,) = read_pdf(create_placed_pdf(texts), 0).pages
    return page.split("\n")


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        (
            [("Range", "Model", "Price"), ("Eco", "E2", "30 €"), ("Pro line", "P5", "120 €"), ("Max", "M9", "1 250 €")],
            [
                "Range: Eco; Model: E2; Price: 30 €",
                "Range: Pro line; Model: P5; Price: 120 €",
                "Range: Max; Model: M9; Price: 1 250 €",
            ],
        ),
        (
            [
                ("Gamme", "Modèle", "Prix"),
                ("Éco", "E2", "30,00 €"),
                ("Pro", "", "120,50 €"),
                ("Max", "M9", "1 250,00 €"),
            ],
            [
                "Gamme: Éco; Modèle: E2; Prix: 30,00 €",
                "Gamme: Pro; Prix: 120,50 €",
                "Gamme: Max; Modèle: M9; Prix: 1 250,00 €",
            ],
        ),
        (
            [("Destination", "Délai"), ("Belgique", "2 jours"), ("Suisse", "5 jours"), ("Maroc", "12 jours")],
            [
                "Destination: Belgique; Délai: 2 jours",
                "Destination: Suisse; Délai: 5 jours",
                "Destination: Maroc; Délai: 12 jours",
            ],
        ),
        (
            [("Site", "2024", "2025"), ("Lyon", "120", "135"), ("Nice", "80", "70"), ("Lille", "30", "45")],
            ["Site: Lyon; 2024: 120; 2025: 135", "Site: Nice; 2024: 80; 2025: 70", "Site: Lille; 2024: 30; 2025: 45"],
        ),
    ],
)
def test_rows_name_their_columns(rows, expected):
    assert read_lines(*place_rows(*rows)) == [f"- {row}" for row in expected]


def test_bold_names_above_texts():
    rows = [("Form", "Sent to"), ("Claim", "the insurer"), ("Order", "the shop"), ("Return", "the depot")]
    assert read_lines(*place_rows(*rows, has_bold_head=True)) == [
        "- Form: Claim; Sent to: the insurer",
        "- Form: Order; Sent to: the shop",
        "- Form: Return; Sent to: the depot",
    ]


def test_text_around_a_table_stays():
    rows = place_rows(("Model", "Price"), ("E2", "30 €"), ("E3", "35 €"), ("E4", "50 €"))
    above, below = (
        Text(50, 730, "Price list of all the models that the shop in Namur has"),
        Text(50, 610, "Prices hold until June."),
    )
    assert read_lines(above, *rows, below) == [
        above.text,
        "- Model: E2; Price: 30 €",
        "- Model: E3; Price: 35 €",
        "- Model: E4; Price: 50 €",
        below.text,
    ]


def test_columns_drawn_one_after_the_other():
    texts = place_rows(("Model", "Price"), ("E2", "30 €"), ("E3", "35 €"), ("E4", "50 €"))
    assert read_lines(*texts[::2], *texts[1::2]) == [
        "- Model: E2; Price: 30 €",
        "- Model: E3; Price: 35 €",
        "- Model: E4; Price: 50 €",
    ]


def test_a_cell_of_two_lines_is_one_cell():
    rows = place_rows(
        ("Plan", "Includes", "Price"),
        ("Eco", "the pump and", "30 €"),
        ("Pro", "all", "90 €"),
        ("Max", "all twice", "95 €"),
        pitch=30,
    )
    assert read_lines(*rows, Text(200, 658, "its filters")) == [
        "- Plan: Eco; Includes: the pump and its filters; Price: 30 €",
        "- Plan: Pro; Includes: all; Price: 90 €",
        "- Plan: Max; Includes: all twice; Price: 95 €",
    ]


def test_cells_in_the_middle_of_a_row_of_several_lines():
    def place_row(y: float, plan: str, lines: tuple[str, ...], price: str) -> list[Text]:
        middle = y - 6.5 * (len(lines) - 1)
        return [
            Text(50, middle, plan),
            *(Text(150, y - 13 * number, line) for number, line in enumerate(lines)),
            Text(400, middle, price),
        ]

    rows = [
        *place_row(700, "Plan", ("Includes",), "Price"),
        *place_row(676, "Eco", ("Access to the garden on weekdays and", "the use of the tools"), "30 €"),
        *place_row(
            638,
            "Pro",
            ("Access on all days with a key of", "one's own, and the use of the", "tools and the shed"),
            "90 €",
        ),
        *place_row(588, "Max", ("Everything",), "120 €"),
    ]
    assert read_lines(*rows) == [
        "- Plan: Eco; Includes: Access to the garden on weekdays and the use of the tools; Price: 30 €",
        "- Plan: Pro; Includes: Access on all days with a key of one's own, and the use of the tools and the shed; Price: 90 €",
        "- Plan: Max; Includes: Everything; Price: 120 €",
    ]


def test_totals_that_stand_beside_their_sum():
    rows = place_rows(
        ("Item", "Pieces", "Price"), ("Blade", "2", "49,00 €"), ("Travel", "1", "25,00 €"), ("Visit", "1", "80,00 €")
    )
    totals = place_rows(("", "", "154,00 €"), ("", "", "186,34 €"), y=636)
    labels = [Text(200, 636, "Total"), Text(200, 620, "with tax")]
    assert read_lines(*rows, *labels, *totals)[-3:] == [
        "- Item: Visit; Pieces: 1; Price: 80,00 €",
        "- Item: Total; Price: 154,00 €",
        "- Item: with tax; Price: 186,34 €",
    ]


def test_names_may_begin_with_an_empty_cell():
    rows = place_rows(
        ("", "Monday", "Tuesday", "Friday"),
        ("Morning", "8 to 12", "8 to 12", "closed"),
        ("Evening", "14 to 18", "closed", "14 to 17"),
    )
    assert read_lines(*rows) == [
        "- Morning; Monday: 8 to 12; Tuesday: 8 to 12; Friday: closed",
        "- Evening; Monday: 14 to 18; Tuesday: closed; Friday: 14 to 17",
    ]


def test_tables_below_each_other_are_apart():
    first = place_rows(("Model", "Price"), ("E2", "30 €"), ("E3", "35 €"), ("E4", "50 €"))
    second = [
        Text(x, 590 - 16 * number, text)
        for number, row in enumerate(
            (("Town", "Shops", "Staff"), ("Namur", "2", "12"), ("Mons", "1", "7"), ("Huy", "3", "9"))
        )
        for x, text in zip((50, 160, 260), row, strict=True)
    ]
    assert read_lines(*first, Text(50, 622, "Shops of the firm"), *second) == [
        "- Model: E2; Price: 30 €",
        "- Model: E3; Price: 35 €",
        "- Model: E4; Price: 50 €",
        "Shops of the firm",
        "- Town: Namur; Shops: 2; Staff: 12",
        "- Town: Mons; Shops: 1; Staff: 7",
        "- Town: Huy; Shops: 3; Staff: 9",
    ]


def test_rows_of_long_texts_are_no_columns_of_text():
    questions = [
        ("When is the pump drained and who", "is told about it beforehand?"),
        ("Who may clean the filters of the", "engine at sea, and how?"),
        ("Where are the spare filters of the", "engine kept on board?"),
    ]
    answers = [
        ("It is drained every five hundred", "hours; the bridge is told before."),
        ("The crew may clean them at sea with", "the brush, never with water."),
        ("They hang in the store near the", "deck, on the left-hand side."),
    ]
    texts = [
        Text(x, 700 - 45 * row - 13 * number, line)
        for row in range(3)
        for x, cell in ((50, questions[row]), (310, answers[row]))
        for number, line in enumerate(cell)
    ]
    text = " ".join(read_lines(*texts))
    places = [text.index(" ".join(cell)) for row in zip(questions, answers, strict=True) for cell in row]
    assert places == sorted(places)


@pytest.mark.parametrize(
    "rows",
    [
        [("-a", "show all files"), ("-b", "print bytes"), ("-c", "count the lines"), ("-d", "delete")],
        [("Introduction", "1"), ("Pumps", "4"), ("Filters", "9"), ("Index", "12")],
        [("Model", "Price"), ("E2", "30 €")],
    ],
)
def test_rows_without_sure_names_keep_their_words_together(rows):
    lines = read_lines(*place_rows(*rows))
    for row in rows:
        assert any(all(cell in line for cell in row) for line in lines)
    assert not any(f"{rows[0][0]}: {rows[1][0]}" in line for line in lines)
