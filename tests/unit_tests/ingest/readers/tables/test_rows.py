"""Rows below the header: groups, repeated headers, labels that are written once."""

import pytest

from tests.unit_tests.ingest.readers.tables.helpers import show_sheet


@pytest.mark.parametrize(
    ("sheet", "merges", "lines"),
    [
        (
            "Produit|Taille|Prix\nBoissons||\nThé|S|3\nCafé|M|4\nDesserts||\nTarte|L|5",
            [],
            ["- Boissons; Produit: Thé; Taille: S; Prix: 3", "- Boissons; Produit: Café; Taille: M; Prix: 4", "- Desserts; Produit: Tarte; Taille: L; Prix: 5"],
        ),
        (
            "Model|Price\nCars|Cars\nA|3\nBikes|Bikes\nB|5",
            [(1, 0, 1, 1), (3, 0, 3, 1)],
            ["- Cars; Model: A; Price: 3", "- Bikes; Model: B; Price: 5"],
        ),
        ("Nom|Ville|Âge\nZoé|Brest|3\nMax||\nLéo|Nice|5", [], ["- Nom: Zoé; Ville: Brest; Âge: 3", "- Nom: Max", "- Nom: Léo; Ville: Nice; Âge: 5"]),
        (
            "Gamme|Modèle|Prix\nEco|E1|10\n|E2|12\nPro|P1|30\n|P2|40\nTotal||92",
            [],
            ["- Gamme: Eco; Modèle: E1; Prix: 10", "- Gamme: Eco; Modèle: E2; Prix: 12", "- Gamme: Pro; Modèle: P1; Prix: 30", "- Gamme: Pro; Modèle: P2; Prix: 40", "- Gamme: Total; Prix: 92"],
        ),
        ("Nom|Ville|Âge\nZoé|Brest|3\n|Lyon|4\nLéo|Nice|5", [], ["- Nom: Zoé; Ville: Brest; Âge: 3", "- Ville: Lyon; Âge: 4", "- Nom: Léo; Ville: Nice; Âge: 5"]),
        ("Day|Morning|Evening\nMonday|closed|closed\nTuesday|9-12|14-18", [(1, 1, 1, 2)], ["- Day: Monday; Morning: closed; Evening: closed", "- Day: Tuesday; Morning: 9-12; Evening: 14-18"]),
        (
            "Ref|Libellé|Prix\nA1|Vis|3\nPage 1 / 2||\nRef|Libellé|Prix\nB1|Écrou|5\nPage 2 / 2||",
            [],
            ["- Ref: A1; Libellé: Vis; Prix: 3", "- Ref: B1; Libellé: Écrou; Prix: 5", "Page 1 / 2", "Page 2 / 2"],
        ),
        ("Name|Qty|Price\nTea|1|3\nMilk|2|4\nTotal||7", [], ["- Name: Tea; Qty: 1; Price: 3", "- Name: Milk; Qty: 2; Price: 4", "- Name: Total; Price: 7"]),
        (
            "Name|Price\nTea|3\n* without milk|\nMilk|4",
            [],
            ["- Name: Tea; Price: 3", "- Name: Milk; Price: 4", "* without milk"],
        ),
    ],
)  # fmt: skip
def test_rows(sheet, merges, lines):
    assert show_sheet(sheet, merges=merges) == lines
