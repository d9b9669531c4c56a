"""Tables of a grid: titles, names, rows and notes."""

import pytest

from langchain_gptoss.ingest.readers.tables.detection import create_table
from langchain_gptoss.ingest.readers.tables.grid import Cell, create_grid
from langchain_gptoss.ingest.readers.tables.table import format_as_pipes
from tests.unit_tests.ingest.readers.tables.helpers import show_sheet


@pytest.mark.parametrize(
    ("sheet", "lines"),
    [
        (
            "Crew list, summer 2025\n\nShip|Role|Hourly wage\nAurora|Captain|41.5\nBorealis|Engineer|35.5",
            ["Crew list, summer 2025", "- Ship: Aurora; Role: Captain; Hourly wage: 41.5", "- Ship: Borealis; Role: Engineer; Hourly wage: 35.5"],
        ),
        (
            "Tarifs 2025\nen euros\nModèle|Prix\nE1|30\nTotal|30\nSource : service commercial",
            ["Tarifs 2025", "en euros", "- Modèle: E1; Prix: 30", "- Modèle: Total; Prix: 30", "Source : service commercial"],
        ),
        ("Route|2022|2023\nHolm|8400|8120\nSkerry|1|2", ["- Route: Holm; 2022: 8400; 2023: 8120", "- Route: Skerry; 2022: 1; 2023: 2"]),
        ("1|2|3\n4|5|6\n7|8|9", ["- 1; 2; 3", "- 4; 5; 6", "- 7; 8; 9"]),
        (
            "Fruits\nName|Price\nApple|1\nVegetables\nName|Price\nLeek|2",
            ["Fruits", "- Name: Apple; Price: 1", "Vegetables", "- Name: Leek; Price: 2"],
        ),
        ("Name|Price\nTea|3\nMilk|4\nPrices valid until 31 March 2025|", ["- Name: Tea; Price: 3", "- Name: Milk; Price: 4", "Prices valid until 31 March 2025"]),
        ("|Tarifs 2025|\nNom|Prix|Durée\nCoupe|25|30 min", ["Tarifs 2025", "- Nom: Coupe; Prix: 25; Durée: 30 min"]),
        (
            "Rapport mensuel||Page 1|\nSociété|ACME||\nRef|Libellé|Qté|Prix\nA|Vis|3|4\nB|Clou|5|6",
            ["Rapport mensuel; Page 1", "Société; ACME", "- Ref: A; Libellé: Vis; Qté: 3; Prix: 4", "- Ref: B; Libellé: Clou; Qté: 5; Prix: 6"],
        ),
        (
            "Invoice|||\nNumber|2025-01||\nDate|12 May 2025||\n|||\nItem|Qty|Price|Total\nScrew|10|0.15|1.50\nTotal|||3.50",
            ["Invoice", "- Number: 2025-01", "- Date: 12 May 2025", "- Item: Screw; Qty: 10; Price: 0.15; Total: 1.50", "- Item: Total; Total: 3.50"],
        ),
        ("Name||Price\nTea||3\nMilk||4", ["- Name: Tea; Price: 3", "- Name: Milk; Price: 4"]),
        (
            "Summer||||Winter||\nZone|Price|||Zone|Price|\nA|1|||A|3|\nB|2|||B|4|",
            ["Summer", "- Zone: A; Price: 1", "- Zone: B; Price: 2", "Winter", "- Zone: A; Price: 3", "- Zone: B; Price: 4"],
        ),
        ("Name|Price\nTea|3\n\nCoffee|4\n\nPort|Depth\nBrest|12 m", ["- Name: Tea; Price: 3", "- Name: Coffee; Price: 4", "- Port: Brest; Depth: 12 m"]),
        ("A|B||C|D\nx|1||y|2\nz|3||w|4\n|||v|5", ["- A: x; B: 1", "- A: z; B: 3", "- C: y; D: 2", "- C: w; D: 4", "- C: v; D: 5"]),
    ],
)  # fmt: skip
def test_titles_names_and_notes_are_told_from_rows(sheet, lines):
    assert show_sheet(sheet) == lines


def test_a_cell_over_several_rows_is_said_in_each_of_them():
    rows = [
        [Cell(text=name, is_header=True) for name in ("Vehicle", "Season", "Fare")],
        [Cell(text="Car", rowspan=2), Cell(text="Summer"), Cell(text="42 EUR")],
        [Cell(text="Winter"), Cell(text="31 EUR")],
    ]
    assert format_as_pipes(create_table(create_grid(rows))) == (
        "| Vehicle | Season | Fare |\n| --- | --- | --- |\n| Car | Summer | 42 EUR |\n| Car | Winter | 31 EUR |"
    )
