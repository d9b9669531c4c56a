"""Text forms of tables."""

from langchain_gptoss.ingest.readers.tables.table import Row, Table, format_as_list, format_as_pipes
from langchain_gptoss.text.table_rows import describe_table_row

FARES = Table(
    titles=("Fares",),
    columns=("Season", "Fare"),
    rows=(Row(values=("Summer", "42 EUR"), group="Car"), Row(values=("Winter", ""), group="Bike")),
    notes=("All fares are one way.",),
)


def test_a_list_item_says_the_group_and_the_names():
    assert format_as_list(FARES) == "- Car; Season: Summer; Fare: 42 EUR\n- Bike; Season: Winter"


def test_a_markdown_table_has_a_column_for_the_groups():
    assert format_as_pipes(FARES) == (
        "Fares\n\n|  | Season | Fare |\n| --- | --- | --- |\n| Car | Summer | 42 EUR |\n| Bike | Winter |  |"
        "\n\nAll fares are one way."
    )


def test_a_table_without_names_has_no_delimiter_row():
    assert format_as_pipes(Table(rows=(Row(values=("1", "2")),))) == "| 1 | 2 |"


def test_fields_are_said_with_their_names():
    rows = (Row(values=("Address :", "4 Quay Street")), Row(values=("Phone", "")))
    assert format_as_list(Table(rows=rows, is_record=True)) == "- Address: 4 Quay Street\n- Phone"


def test_a_pipe_in_a_cell_is_escaped_and_read_back():
    text = format_as_pipes(Table(columns=("Sign", "Use"), rows=(Row(values=("a | b", "or")),)))
    assert text.splitlines()[2] == "| a \\| b | or |"
    assert describe_table_row(text, text.index("or |"), len(text)) == "Sign: a | b; Use: or"
