"""Phone numbers: French, British, American and international forms, and numbers that are none."""

import re

import pytest

from langchain_gptoss.audit import Masker
from langchain_gptoss.audit.phone_numbers import PHONE, is_announced_phone, is_phone

MASKER = Masker()

MASKED = [
    # French phones
    ("06/12/34/56/78", "[phone-1]"),
    ("06 - 12 - 34 - 56 - 78", "[phone-1]"),
    ("06  12  34  56  78", "[phone-1]"),
    ("06\u201112\u201134\u201156\u201178", "[phone-1]"),
    ("06–12–34–56–78", "[phone-1]"),
    ("06_12_34_56_78", "[phone-1]"),
    ("06. 12. 34. 56. 78", "[phone-1]"),
    ("tél.0612345678", "tél.[phone-1]"),
    ("Tél:06.12.34.56.78", "Tél:[phone-1]"),
    ("tel:+33612345678", "tel:[phone-1]"),
    ("-0612345678", "-[phone-1]"),
    ("(+33) 6 12 34 56 78", "[phone-1]"),
    ("(0033) 6 12 34 56 78", "[phone-1]"),
    ("(+33 6 12 34 56 78)", "([phone-1])"),
    ("+33.6.12.34.56.78", "[phone-1]"),
    ("+33-6-12-34-56-78", "[phone-1]"),
    ("+33(0)612345678", "[phone-1]"),
    ("+33 (0) 6 12 34 56 78", "[phone-1]"),
    ("+33 (0)1.23.45.67.89", "[phone-1]"),
    ("00 33 6 12 34 56 78", "[phone-1]"),
    ("0033 (0)6 12 34 56 78", "[phone-1]"),
    ("33 6 12 34 56 78", "[phone-1]"),
    ("06 12345678", "[phone-1]"),
    ("06 1234 5678", "[phone-1]"),
    ("06 123 456 78", "[phone-1]"),
    ("0612 34 56 78", "[phone-1]"),
    ("0612 345 678", "[phone-1]"),
    ("06.12 34 56 78", "[phone-1]"),
    ("(06) 12 34 56 78", "[phone-1]"),
    ("09 72 12 34 56", "[phone-1]"),
    ("05 61 12 34 56 à Toulouse", "[phone-1] à Toulouse"),
    ("mon portable 06 12 34 56 78?", "mon portable [phone-1]?"),
    ("commande passée par téléphone au 06 12 34 56 78", "commande passée par téléphone au [phone-1]"),
    ("commande par téléphone 0612345678", "commande par téléphone [phone-1]"),
    ("appelez le 06 12 34 56 78,24h/24", "appelez le [phone-1],24h/24"),
    ("06 12 34 56 78.", "[phone-1]."),
    # lists
    ("0612345678,0711223344", "[phone-1],[phone-2]"),
    ("0612345678, 0711223344", "[phone-1], [phone-2]"),
    ("0612345678;0711223344", "[phone-1];[phone-2]"),
    ("0612345678/0711223344", "[phone-1]/[phone-2]"),
    ("0612345678-0711223344", "[phone-1]-[phone-2]"),
    ("0612345678|0711223344", "[phone-1]|[phone-2]"),
    ("06 12 34 56 78,07 11 22 33 44,01 23 45 67 89", "[phone-1],[phone-2],[phone-3]"),
    ("06.12.34.56.78/07.11.22.33.44", "[phone-1]/[phone-2]"),
    ("06 12 34 56 78 07 11 22 33 44", "[phone-1] [phone-2]"),
    ("+33612345678,+33711223344", "[phone-1],[phone-2]"),
    ("+33612345678,06 12 34 56 79", "[phone-1],[phone-2]"),
    ("+44 7700 900123,+44 7700 900124", "[phone-1],[phone-2]"),
    ("415-555-2671,212-555-0147", "[phone-1],[phone-2]"),
    ("(415) 555-2671,(212) 555-0147", "[phone-1],[phone-2]"),
    ("07700 900123,07700 900124", "[phone-1],[phone-2]"),
    ("Ada,0612345678,ada@example.org", "Ada,[phone-1],[email-1]"),
    ("4111111111111111,5555555555554444", "[card-1],[card-2]"),
    ("4111 1111 1111 1111,12/27,123", "[card-1],12/27,123"),
    ("ada@example.org,bob@example.org;carl@example.org", "[email-1],[email-2];[email-3]"),
    ("10.0.0.1,10.0.0.12", "[ip-1],[ip-2]"),
    ("FR7630006000011234567890189,GB82WEST12345698765432", "[iban-1],[iban-2]"),
    ("255081416802538,180012A00401257", "[nir-1],[nir-2]"),
    # British
    ("07700900123", "[phone-1]"),
    ("07700 900 123", "[phone-1]"),
    ("07700-900-123", "[phone-1]"),
    ("0770 090 0123", "[phone-1]"),
    ("077 0090 0123", "[phone-1]"),
    ("020 7946 0958", "[phone-1]"),
    ("02079460958", "[phone-1]"),
    ("0207 946 0958", "[phone-1]"),
    ("(020) 7946 0958", "[phone-1]"),
    ("020-7946-0958", "[phone-1]"),
    ("0121 496 0123", "[phone-1]"),
    ("01632 960123", "[phone-1]"),
    ("01632 960 123", "[phone-1]"),
    ("(01632) 960123", "[phone-1]"),
    ("01632 96012", "[phone-1]"),
    ("+44 (0)20 7946 0958", "[phone-1]"),
    ("+44(0)7700 900123", "[phone-1]"),
    ("+447700900123", "[phone-1]"),
    ("0044 7700 900123", "[phone-1]"),
    ("+44-20-7946-0958", "[phone-1]"),
    ("(+44) 20 7946 0958", "[phone-1]"),
    ("028 9018 0123", "[phone-1]"),
    ("0161 496 0000 ext. 12", "[phone-1] ext. 12"),
    # American
    ("415 555 2671", "[phone-1]"),
    ("415.555.2671", "[phone-1]"),
    ("(415)555-2671", "[phone-1]"),
    ("(415) 555 2671", "[phone-1]"),
    ("(415) 555.2671", "[phone-1]"),
    ("415/555-2671", "[phone-1]"),
    ("1-415-555-2671", "[phone-1]"),
    ("1 (415) 555-2671", "[phone-1]"),
    ("1.415.555.2671", "[phone-1]"),
    ("+1-415-555-2671", "[phone-1]"),
    ("+14155552671", "[phone-1]"),
    ("+1 415 555 2671", "[phone-1]"),
    ("001 415 555 2671", "[phone-1]"),
    ("+1.415.555.2671 x12", "[phone-1] x12"),
    ("415–555–2671", "[phone-1]"),
    ("phone: 4155552671", "phone: [phone-1]"),
    ("cell 415 5552671", "cell [phone-1]"),
    ("Tel. 555-2671", "Tel. [phone-1]"),
    ("call me at 4155552671", "call me at [phone-1]"),
    ("my phone number is 4155552671", "my phone number is [phone-1]"),
    ("ordered by phone 415-555-2671", "ordered by phone [phone-1]"),
    ("joignable au 33612345678", "joignable au [phone-1]"),
]
KEPT = [
    # product numbers
    "Product no. 0612345678",
    "produit n° 0612345678",
    "réf. 01234567890",
    "SKU 4155552671",
    "item 415-555-2671",
    "pièce 06-1234-5678-90",
    "modèle XJ-0612345678",
    "part number 5552671",
    "INV-0612345678",
    "CMD/0612345678",
    "4155552671",
    "EAN 3760123456789",
    "GTIN 0012345678905",
    "code-barres 0123456789012",
    "EAN-13 : 4006381333931",
    "2550814168025",
    # dates and times
    "01/02/2024 10:30",
    "01.02.2024 10:30",
    "01-02-2024 10 h 30",
    "2024-12-31 23:59:59",
    "le 06/12/2024 à 18 h 30",
    "12/31/2024",
    "20240517T101500",
    "06.12.2024",
    "2024-W06-3",
    "du 01 02 2024 au 03 04 2025",
    "05/06/07",
    "1712345678",
    "1712345678901",
    "mobile 2024-12-31",
    "phone 31/12/2024",
    # prices and amounts
    "12 500,00 €",
    "1 234 567 €",
    "415 555 267,10 €",
    "$4,155,552.67",
    "06 12 €",
    "£1,234.50",
    "415 555 2671 €",
    "+33 612 345 678 €",
    "3 415 555 267",
    "prix : 1234 €",
    "0,0612345678",
    "0.0612345678",
    "3,14159265358979",
    "total 10.000.000,00 EUR",
    "4 111 111 111 111 111 tokens",
    "portable : 12 345 678 utilisateurs",
    # years
    "1998, 1999, 2000, 2001",
    "2019-2024",
    "de 2020 à 2025",
    "2020 2021 2022 2023",
    "1789,1815,1848,1870",
    # orders
    "order 112-1234567-1234567",
    "commande n° 0612345678",
    "commande 2024-000123",
    "order number: 0712345678",
    "ticket #0712345678",
    "colis 6A12345678901",
    "facture 0612345678",
    "dossier : 0612345678",
    "numéro de suivi 0612345678",
    "contract no 4155552671",
    "client n° 0612345678",
    "invoice 415-555-2671",
    # services
    "le 3949",
    "le 0 800 123 456",
    "0892 350 350",
    "112",
    "Tél : 0 800 123 456",
    "fax 0892 350 350",
    "call 911",
    "116 117",
]


@pytest.mark.parametrize(("text", "masked"), MASKED)
def test_phone_numbers_are_masked(text, masked):
    assert MASKER.mask(text) == masked


@pytest.mark.parametrize("text", KEPT)
def test_other_numbers_are_kept(text):
    assert MASKER.mask(text) == text


@pytest.mark.parametrize(
    ("before", "after", "is_number"),
    [
        ("", "", True),
        ("INV-", "", False),
        ("tel.", "", True),
        ("réf. ", "", False),
        ("", "/12", False),
        ("", "/0711223344", True),
        ("[phone-1],", "", True),
        ("3,", "", False),
        ("", " tokens", False),
    ],
)
def test_compact_digits_are_judged_by_their_context(before, after, is_number):
    assert re.fullmatch(PHONE, "0612345678")
    assert is_phone("0612345678", before, after) is is_number


@pytest.mark.parametrize(
    ("match", "is_number"), [("5552671", True), ("0800 123 456", False), ("31/12/2024", False), ("2024-12-31", False)]
)
def test_announced_digits_are_neither_services_nor_dates(match, is_number):
    assert is_announced_phone(match, "tel: ", "") is is_number
