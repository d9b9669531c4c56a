"""Blank rows within a table and between tables."""

import pytest

from tests.unit_tests.ingest.readers.tables.helpers import show_sheet


@pytest.mark.parametrize(
    ("sheet", "lines"),
    [
        ("Name|Price\nTea|3\n\nMilk|4\n\nJam|5", ["- Name: Tea; Price: 3", "- Name: Milk; Price: 4", "- Name: Jam; Price: 5"]),
        ("Name|Price\nTea|3\nMilk|4\n\nTotal|7", ["- Name: Tea; Price: 3", "- Name: Milk; Price: 4", "- Name: Total; Price: 7"]),
        ("Crew\n\nShip|Role|Wage\n\nAurora|Captain|41.5\nBorealis|Engineer|35.5", ["Crew", "- Ship: Aurora; Role: Captain; Wage: 41.5", "- Ship: Borealis; Role: Engineer; Wage: 35.5"]),
        ("Nom|Prix\nThé|3\n\nVille|Magasins\nBrest|2\nLyon|5", ["- Nom: Thé; Prix: 3", "- Ville: Brest; Magasins: 2", "- Ville: Lyon; Magasins: 5"]),
        ("Nom|Prix\nThé|3\n\nNom|Prix\nLait|4", ["- Nom: Thé; Prix: 3", "- Nom: Lait; Prix: 4"]),
        ("Nom|Ville|Âge\nZoé|Brest|3\n\nVille|Magasins\nBrest|2\nLyon|5", ["- Nom: Zoé; Ville: Brest; Âge: 3", "- Ville: Brest; Magasins: 2", "- Ville: Lyon; Magasins: 5"]),
        ("Rate|Discount\nAdult|5 %\n\nRoom|Seats|Price\nA|20|30\nB|30|40", ["- Rate: Adult; Discount: 5 %", "- Room: A; Seats: 20; Price: 30", "- Room: B; Seats: 30; Price: 40"]),
    ],
)  # fmt: skip
def test_bands_are_joined_if_they_are_one_table(sheet, lines):
    assert show_sheet(sheet) == lines


def test_many_bands_are_read_in_linear_time():
    sheet = "Name|Price\n" + "\n\n".join(f"Item {number}|{number}" for number in range(3000))
    lines = show_sheet(sheet)
    assert len(lines) == 3000
    assert lines[-1] == "- Name: Item 2999; Price: 2999"
