"""Sheets of fields: a name and its value in each row."""

import pytest

from langchain_gptoss.ingest.readers.tables.records import is_record_sheet
from tests.unit_tests.ingest.readers.tables.helpers import parse_grid, show_sheet


@pytest.mark.parametrize(
    "sheet",
    [
        "Address|4 Quay Street\nPhone|02 98 00 00 00\nOpening hours|9:00 - 18:00\nParking|free",
        "Adresse|4 rue du Port\nTéléphone|02 98 00 00 00\nHoraires|9h - 18h\nParking|gratuit",
        "Nom :|Zoé\nVille :|Brest",
        "Captain|Mara Lind\nEngineer|Pavel Novak\nCook|Ana Ruiz",
        "Fire alarm|Beacon Systems, 01539 555 018\nFirst aid box|Behind the shop counter\nHospital|Westmere, 12 km",
        "Directrice|Zoé Martin\nAdresse|rue du Port\nVille|Brest",
        "Adult|12.50\nChild|6.00\nSenior|9.00",
        "Plan A|sur devis\nPlan B|30\nPlan C|40",
        "Wi-Fi|libre\nParking|gratuit\nAnimaux|interdits",
        "Address|4 Quay Street",
        "Address|4 Quay Street\nPhone|02 98",
        "Number|2025-01\nDate|12 May 2025",
    ],
)
def test_fields_are_recognised(sheet):
    assert is_record_sheet(parse_grid(sheet))


@pytest.mark.parametrize(
    "sheet",
    [
        "Name|City\nAnna|Paris\nBob|Lyon",
        "Champ|Valeur\nAdresse|4 rue du Port\nTéléphone|02 98",
        "Measure|Value\nPunctuality|94 %\nPrice|1234.50 €\nVoyage|30:15",
        "Category|Fare\nAdult|12.50\nChild|6.00",
        "Ship|Captain\nAurora|Mara Lind\nBorealis|Pavel Novak",
        "Question|Answer\nIs it free?|No.\nCan I return it?|Yes, within 30 days.",
        "1|2\n3|4",
        "a|b|c\nd|e|f",
        "Name|City",
        "Name|City\nAnna|Paris\nAnna|Lyon",
        "Item|2024\nTotal|5\nPrice|3",
        "Name|Age\nAnna|3",
        "Is it free?|No.\nCan I return it?|Yes, within 30 days.",
        "When is the pump drained and who|It is drained every five hundred\nis told beforehand?|hours, at sea.",
    ],
)
def test_tables_are_no_fields(sheet):
    assert not is_record_sheet(parse_grid(sheet))


def test_bold_names_are_fields():
    sheet = "Name|Anna\nRole|Cook\nTeam|Red"
    assert is_record_sheet(parse_grid(sheet, headers={row: frozenset({0}) for row in range(3)}))
    assert not is_record_sheet(parse_grid(sheet, headers={0: frozenset({0, 1})}))


def test_a_field_is_said_with_its_name():
    assert show_sheet("Adresse :|4 rue du Port\nTél. :|02 98 00 00 00\nSite|") == [
        "- Adresse: 4 rue du Port",
        "- Tél.: 02 98 00 00 00",
        "- Site",
    ]
