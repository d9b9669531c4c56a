"""Header rows, found by the agreement of the rows below them."""

import pytest

from langchain_gptoss.ingest.readers.tables.headers import count_header_rows, join_header_rows
from tests.unit_tests.ingest.readers.tables.helpers import parse_grid


def read_names(text, **options):
    grid = parse_grid(text, **options)
    count = count_header_rows(grid)
    return "|".join(join_header_rows(grid, count)) if count else None


@pytest.mark.parametrize(
    ("sheet", "names"),
    [
        ("Ship|Length\nAurora|80\nBorealis|120", "Ship|Length"),
        ("Nom|Ville|Métier\nZoé|Brest|Infirmière\nLéo|Lyon|Soudeur", "Nom|Ville|Métier"),
        ("Ship|Captain|Pilot\nAurora|Mara|Yann\nBorealis|Pavel|Loïc", "Ship|Captain|Pilot"),
        ("Navire|Capitaine|Port\nAurore|Zoé Martin|Brest\nBorée|Léo Petit|Lorient", "Navire|Capitaine|Port"),
        ("Name|Age\nAnna|3", "Name|Age"),
        ("Désign.|Comm.|Prix unit.\nVis|plate|sur devis\nÉcrou|borgne|offert", "Désign.|Comm.|Prix unit."),
        ("Route|2022|2023|2024\nHolm|8400|8120|9015\nSkerry|1|2|3", "Route|2022|2023|2024"),
        ("|2022|2023\nHolm|8400|8120\nSkerry|1|2", "|2022|2023"),
        ("2022|2023\n12040|15310\n8400|8120", "2022|2023"),
        ("Model|36|38|40\nBoot|3|4|5\nShoe|7|1|0", "Model|36|38|40"),
        ("Pointure|36|38|40\nBotte|3|9|5\nSandale|7|1|0\nBasket|2|2|1", "Pointure|36|38|40"),
        ("Ville|janv.|févr.|mars\nBrest|8|9|11\nLyon|3|5|9", "Ville|janv.|févr.|mars"),
        ("Produit|T1 2024|T2 2024\nVis|100|120\nÉcrou|80|85", "Produit|T1 2024|T2 2024"),
        ("Station|2024-01-01|2024-02-01\nBrest|8|9\nLyon|3|5", "Station|2024-01-01|2024-02-01"),
        ("Item|Price|Price\nTea|3|4\nMilk|1|2", "Item|Price|Price"),
        ("Item||Price\nTea|green|4\nMilk|cow|2", "Item||Price"),
        ("Feature|Basic|Pro\nSSO|no|yes\nAPI|yes|yes", "Feature|Basic|Pro"),
        ("Model|Price|Stock\nA|n/a|3\nB|30|-\nC|40|5", "Model|Price|Stock"),
        ("Date|Event|Place\n12/05/2025|Fair|Brest\n13/05/2025|Market|Lyon", "Date|Event|Place"),
        ("Question|Answer\nIs it free?|No.\nCan I return it?|Yes, within 30 days.", "Question|Answer"),
        ("Hourly Wage|First Name\n41.5|Mara\n35|Pavel", "Hourly Wage|First Name"),
        ("Room|101|102|103\nMonday|free|taken|free\nTuesday|taken|taken|free", "Room|101|102|103"),
        ("Jour|8h|9h|10h\nLundi|Zoé|Léo|Max\nMardi|Léo|Max|Zoé", "Jour|8h|9h|10h"),
        ("Produit|5 %|10 %|20 %\nA|3,50|3,20|3,00\nB|6,50|6,20|6,00", "Produit|5 %|10 %|20 %"),
        ("Poste|2023/24|2024/25\nLoyer|1200|1250\nEau|300|310", "Poste|2023/24|2024/25"),
    ],
)  # fmt: skip
def test_names_are_found(sheet, names):
    assert read_names(sheet) == names


@pytest.mark.parametrize(
    "sheet",
    [
        "1|2|3\n4|5|6\n7|8|9",
        "Anna|Paris|12\nBob|Lyon|30\nCarl|Nice|45",
        "Anna|Paris|cook\nBob|Lyon|waiter\nCarl|Paris|cook",
        "2024-01-01|open|12\n2024-01-02|closed|0",
        "SSO|no|yes\nAPI|yes|yes",
        "alice@example.org|Brest|x\nbob@example.org|Lyon|y",
        "AB-12|Vis|3\nAB-13|Écrou|4",
        "Plan A|sur devis\nPlan B|30\nPlan C|40",
        "Mara Lind|Hull City|Harbour Master\nPavel Novak|Port Ellen|Deck Hand\nAna Ruiz|Saint Malo|Ship Cook",
        "1999|2004\n2001|2010",
        "only one row|here",
        "Is it free?|No.\nCan I return it?|Yes, within 30 days.\nIs it red?|No.",
        "Tea\nMilk\nJam",
    ],
)
def test_no_names_are_invented(sheet):
    assert read_names(sheet) is None


@pytest.mark.parametrize(
    ("sheet", "merges", "names"),
    [
        ("|2023||2024|\nAgence|S1|S2|S1|S2\nBrest|10|12|14|16\nLyon|20|22|24|26", [], "Agence|2023 / S1|2023 / S2|2024 / S1|2024 / S2"),
        ("Agence|2023||2024|\n|S1|S2|S1|S2\nBrest|10|12|14|16\nLyon|20|22|24|26", [], "Agence|2023 / S1|2023 / S2|2024 / S1|2024 / S2"),
        ("Line|Week|Week|Weekend|Weekend\nLine|Day|Night|Day|Night\nA|yes|no|yes|no\nB|no|no|yes|yes", [(0, 0, 1, 0), (0, 1, 0, 2), (0, 3, 0, 4)], "Line|Week / Day|Week / Night|Weekend / Day|Weekend / Night"),
        ("Region|2024|2024|2024\nRegion|S1|S1|S2\nRegion|M|F|M\nA|1|2|3\nB|5|6|7", [(0, 0, 2, 0), (0, 1, 0, 3), (1, 1, 1, 2)], "Region|2024 / S1 / M|2024 / S1 / F|2024 / S2 / M"),
        ("Produit|Poids|Prix\n|kg|€\nA|12|3,50\nB|10|4,50", [], "Produit|Poids (kg)|Prix (€)"),
        ("Ship|Weight|Length\n|(t)|in m\nA|12|3\nB|10|4", [], "Ship|Weight (t)|Length (in m)"),
        ("Name||City\nAnna|x|Paris\nBob|y|Lyon", [], "Name||City"),
    ],
)  # fmt: skip
def test_several_header_rows_are_joined(sheet, merges, names):
    assert read_names(sheet, merges=merges) == names


def test_marks_of_the_file_decide():
    sheet = "Mara|Captain\nPavel|Engineer\nAna|Cook"
    assert read_names(sheet, headers={0: frozenset({0, 1})}) == "Mara|Captain"
    assert read_names(sheet, headers={row: frozenset({0, 1}) for row in range(3)}) == read_names(sheet)


def test_the_number_of_header_rows_can_be_given():
    grid = parse_grid("1|2\n3|4\n5|6")
    stated = type(grid)(rows=grid.rows, header_count=1)
    assert join_header_rows(stated, count_header_rows(stated)) == ("1", "2")
