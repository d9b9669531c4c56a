"""Grids of cells that cover several rows and columns."""

import pytest

from langchain_gptoss.ingest.readers.tables.grid import Cell, Grid, create_grid, join_grids


def read(*rows):
    """Return cells from texts: "Car^2" covers two rows, "Total>3" three columns."""
    cells = []
    for row in rows:
        line = []
        for text in row:
            name, _, rows_covered = text.partition("^")
            name, _, columns_covered = name.partition(">")
            line.append(Cell(text=name, rowspan=int(rows_covered or 1), colspan=int(columns_covered or 1)))
        cells.append(line)
    return create_grid(cells).rows


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ((["Car^2", "a"], ["b"]), [["Car", "a"], ["Car", "b"]]),
        ((["a", "Car^2"], ["b"]), [["a", "Car"], ["b", "Car"]]),
        ((["x>2", "y"], ["a", "b", "c"]), [["x", "x", "y"], ["a", "b", "c"]]),
        ((["x>2^2", "y"], ["c"]), [["x", "x", "y"], ["x", "x", "c"]]),
        ((["title>100"], ["a", "b"]), [["title", "title"], ["a", "b"]]),
        ((["a^9", "b"], ["c"]), [["a", "b"], ["a", "c"]]),
        ((["a", "b"], ["c"]), [["a", "b"], ["c", ""]]),
        ((["a^2", "b^2"], [], ["c", "d"]), [["a", "b"], ["a", "b"], ["c", "d"]]),
        ((["  two\n lines "],), [["two lines"]]),
        ((), []),
    ],
)
def test_merged_cells_fill_their_positions(rows, expected):
    assert read(*rows) == expected


def test_a_merged_cell_counts_once_in_its_row():
    grid = create_grid([[Cell(text="title", colspan=3)], [Cell(text="a"), Cell(text="b"), Cell(text="c")]])
    assert grid.list_cells(0) == [(0, "title")]
    assert grid.list_cells(1) == [(0, "a"), (1, "b"), (2, "c")]
    assert grid.find_used_columns() == [0, 1, 2]


def test_selected_rows_and_columns_keep_the_parts_of_merged_cells():
    grid = Grid(
        rows=[["t", "t", "t"], ["a", "b", "c"], ["a", "d", "e"]],
        merges=((0, 0, 0, 2), (1, 0, 2, 0)),
        headers={0: frozenset({0, 1, 2})},
        header_count=1,
    )
    part = grid.select([0, 2], [1, 2])
    assert part.rows == [["t", "t"], ["d", "e"]]
    assert part.merges == ((0, 0, 0, 1),)
    assert part.headers == {0: frozenset({0, 1})}
    assert part.header_count == 1
    assert grid.select_rows([1, 2]).merges == ((0, 0, 1, 0),)
    assert grid.select_rows([1, 2]).header_count == 0


def test_joined_grids_keep_merged_cells_and_headers_at_their_rows():
    first = Grid(rows=[["a", "b"]], headers={0: frozenset({0})})
    second = Grid(rows=[["c", "c"]], merges=((0, 0, 0, 1),), headers={0: frozenset({1})})
    joined = join_grids([first, second])
    assert joined.rows == [["a", "b"], ["c", "c"]]
    assert joined.merges == ((1, 0, 1, 1),)
    assert joined.headers == {0: frozenset({0}), 1: frozenset({1})}
