"""Masking: personal data and secrets are replaced, similar text is kept."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langchain_gptoss.audit import Masker
from langchain_gptoss.audit.checksums import is_card, is_iban, is_nir
from langchain_gptoss.errors import InvalidInputError
from tests import scale

MASKER = Masker()
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N"

HITS = [
    ("Write to ada.lovelace+bills@mail.example.co.uk.", "Write to [email-1]."),
    ("Écrivez à <hélène@exemple.fr> ou à d'autres.", "Écrivez à <[email-1]> ou à d'autres."),
    ("l'adresse d'ada@exemple.fr", "l'adresse d'[email-1]"),
    ("Appelez le 06 12 34 56 78.", "Appelez le [phone-1]."),
    ("Tél. : 06.12.34.56.78, puis", "Tél. : [phone-1], puis"),
    ("tel 0612345678", "tel [phone-1]"),
    ("mon numéro est 01-23-45-67-89", "mon numéro est [phone-1]"),
    ("+33 6 12 34 56 78", "[phone-1]"),
    ("+33 (0)6 12 34 56 78", "[phone-1]"),
    ("0033612345678", "[phone-1]"),
    ("+33 612 345 678", "[phone-1]"),
    ("06\u00a012\u00a034\u00a056\u00a078", "[phone-1]"),
    ("Call +44 20 7946 0958 today", "Call [phone-1] today"),
    ("Call +1 (415) 555-2671.", "Call [phone-1]."),
    ("(415) 555-2671", "[phone-1]"),
    ("415-555-2671", "[phone-1]"),
    ("ring 07700 900123", "ring [phone-1]"),
    ("+351 912 345 678", "[phone-1]"),
    ("+45 12 34 56 78", "[phone-1]"),
    ("IBAN FR76 3000 6000 0112 3456 7890 189 et BIC", "IBAN [iban-1] et BIC"),
    ("FR7630006000011234567890189", "[iban-1]"),
    ("GB82 WEST 1234 5698 7654 32", "[iban-1]"),
    ("de89370400440532013000", "[iban-1]"),
    ("AB12 FR7630006000011234567890189", "AB12 [iban-1]"),
    ("card 4111 1111 1111 1111, exp 12/27", "card [card-1], exp 12/27"),
    ("carte 5555-5555-5555-4444", "carte [card-1]"),
    ("378282246310005", "[card-1]"),
    ("3782 822463 10005", "[card-1]"),
    ("NIR 2 55 08 14 168 025 38", "NIR [nir-1]"),
    ("255081416802538", "[nir-1]"),
    ("né en Corse : 1 80 01 2A 004 012 57.", "né en Corse : [nir-1]."),
    ("from 192.168.10.24:8080", "from [ip-1]:8080"),
    ("from 10.0.0.1.", "from [ip-1]."),
    ("2001:db8:85a3::8a2e:370:7334", "[ip-1]"),
    ("fe80::1ff:fe23:4567:890a is up", "[ip-1] is up"),
    ("https://ada:s3cret@host.example/x", "https://[credentials-1]@host.example/x"),
    ("postgres://app:pw@db/main", "postgres://[credentials-1]@db/main"),
    ("key sk-proj-abcdEFGH1234ijklMNOP5678", "key [secret-1]"),
    ("hf_abcdefghijklmnopqrstuvwxyzABCD1234", "[secret-1]"),
    ("ghp_abcdefghijklmnopqrstuvwxyz0123456789", "[secret-1]"),
    ("AKIAIOSFODNN7EXAMPLE", "[secret-1]"),
    (f"Authorization: Bearer {JWT}", "Authorization: Bearer [secret-1]"),
    ("password: hunter2", "password: [secret-1]"),
    ("le mot de passe est Azerty123!", "le mot de passe est [secret-1]"),
    ("?api_key=abc123def456&x=1", "?api_key=[secret-1]&x=1"),
    ("-----BEGIN RSA PRIVATE KEY-----\nMIIE1\n-----END RSA PRIVATE KEY-----", "[secret-1]"),
    ("2 55 08 14 168 025 / 38", "[nir-1]"),
    ("2 55 08 14 168 025/38", "[nir-1]"),
    ("2550814168025/38", "[nir-1]"),
    ("2550814168025 clé 38", "[nir-1]"),
    ("2 55 08 14 168 025 clé : 38", "[nir-1]"),
    ("2 55 08 14 168 025, clé 38.", "[nir-1]."),
    ("2 55 08 14 168 025 (clé 38)", "[nir-1]"),
    ("2 55 08 14 168 025 clef 38", "[nir-1]"),
    ("2 55 08 14 168 025 Cle=38", "[nir-1]"),
    ("2550814168025 key 38", "[nir-1]"),
    ("2550814168025-38", "[nir-1]"),
    ("2 55 08 14 168 025 - 38", "[nir-1]"),
    ("2 55 08 14 168 025 (38)", "[nir-1]"),
    ("2.55.08.14.168.025.38", "[nir-1]"),
    ("2-55-08-14-168-025-38", "[nir-1]"),
    ("2/55/08/14/168/025/38", "[nir-1]"),
    ("1 80 01 2A 004 012 / 57", "[nir-1]"),
    ("1 80 01 2A 004 012 clé 57", "[nir-1]"),
    ("2\u00a055\u00a008\u00a014\u00a0168\u00a0025\u00a0\u00a038", "[nir-1]"),
    ("n° de sécurité sociale : 2550814168025", "n° de sécurité sociale : [nir-1]"),
    ("NIR 2 55 08 14 168 025", "NIR [nir-1]"),
    ("mon numéro de sécu est 2 55 08 14 168 025", "mon numéro de sécu est [nir-1]"),
]

MISSES = [
    "Article L. 221-18 du code de la consommation",
    "article R. 4127-35, alinéa 2, et articles 1101 à 1386-1",
    "Le prix est de 1 234 567,89 €, soit 12 % de plus qu'en 2023.",
    "It costs $1,234,567.89 or £12.50; order 10 for 99.99.",
    "Du 01/02/2024 au 31-12-2025, de 9:30 à 17:45:00",
    "2024-05-17T12:30:45.123456Z",
    "ISO 9001:2015, ISO/IEC 27001, EN 301 549, RFC 9562",
    "ISBN 978-2-07-036822-8, ISSN 1234-5679",
    "SIREN 552 100 554, SIRET 552 100 554 00013 et 55210055400013",
    "commande n° 0612345678",
    "Order number 0612345678",
    "order #4111111111111111",
    "Facture 2024-000123, dossier 20240517-0042, colis 6A12345678901",
    "+12 500 000 € de chiffre d'affaires, +12 345 678 habitants",
    "Population: 67 000 000 people, growth of +25 000 000 units",
    "version 10.2.1.3, section 12.4.1.2, § 10.11.12.13, v1.20.3.4",
    "1.2.3.4 Installation; 127.0.0.1 and 0.0.0.0; ::1",
    "Le 3949, le 116 117, le 0 800 123 456 et le 0892 350 350",
    "std::vector<int> a::b Foo::bar",
    "password: required; mot de passe : obligatoire; the token is valid",
    "Le secret est bien gardé. A key is on page 12: see there.",
    "BE TWEEN 12 AND 34 WORDS OF CAPITALS ARE NO IBAN AT ALL",
    "FR76 3000 6000 0112 3456 7890 188",  # a wrong check digit
    "4111 1111 1111 1112",  # a wrong check digit
    "2 55 08 14 168 025 39",  # a wrong key
    "@ada said so, meet @ 5; a@b",
    "https://host.example:8443/path?x=1",
    "π is 3.14159265358979323846, e is 2.718281828",
    "75001 Paris, 44000 Nantes, CS 12345",
    "gpt-oss-20b, 20.9 B parameters, 131,072 tokens, task-specific, ask-me",
    # articles and laws
    "article L. 121-21-8",
    "art. R4127-35",
    "article 1240 du code civil",
    "articles L. 611-1, L. 611-2 et L. 611-3",
    "directive 2011/83/UE",
    "règlement (UE) 2016/679",
    "loi n° 78-17 du 6 janvier 1978",
    "42 U.S.C. § 1983",
    "26 CFR 1.501(c)(3)-1",
    "Article 6(1)(a)",
    "décret n° 2020-1310",
    # IBAN-like, cards
    "FR76 3000 6000 0112 3456 7890 188",
    "FR12345678901",
    "DE89 3704 0044 0532 0130 01",
    "TVA FR 40 303 265 045",
    "BIC BNPAFRPPXXX",
    "GB82 WEST 1234",
    "4111 1111 1111 1112",
    "4111111111111112,5555555555554445",
    "0,4111111111111111",
    "0.4111111111111111",
    # versions
    "v1.20.3.4",
    "version 10.2.1.3",
    "Python 3.11.9",
    "1.2.3",
    "CUDA 12.4.1",
    "build 20240517.1",
    "01.02.03.04.05.06",
    "firmware 06.12.34.56.78.90",
    # ISBN, ISSN, DOI
    "ISBN 978-2-07-036822-8",
    "ISBN 2-07-036822-X",
    "978-0-306-40615-7",
    "ISSN 1234-5679",
    "doi:10.1000/182",
    "arXiv:2401.01234",
    "10.1038/s41586-024-07123-4",
    # SIREN, SIRET
    "SIREN 552 100 554",
    "SIRET 552 100 554 00013",
    "552 100 554",
    "552 100 554 00013",
    "55210055400013",
    "RCS Paris B 552 100 554",
    "n° TVA FR83552100554",
    # coordinates
    "48.8566, 2.3522",
    "48.856614,2.3522219",
    "48° 51′ 24″ N, 2° 21′ 07″ E",
    "-33.8688, 151.2093",
    "40.7128° N",
    "45.764043,4.835659",
    "lat 45.764043 lon 4.835659",
    # others
    "sha256 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
    "550e8400-e29b-41d4-a716-446655440000",
    "00:1A:2B:3C:4D:5E",
    "75001 Paris",
    "44000 Nantes",
    "12 345 678 habitants",
    "Boeing 747-8, Airbus A350-900",
    "ISO 9001:2015",
    "RFC 9110",
    "1,2,3,4,5,6,7,8,9,10",
    "10, 20, 30, 40, 50",
    "01 02 03 04",
    "chapitres 01, 02, 03, 04, 05 et 06",
]


@pytest.mark.parametrize(("text", "masked"), HITS)
def test_personal_data_is_masked(text, masked):
    assert MASKER.mask(text) == masked


@pytest.mark.parametrize("text", MISSES)
def test_similar_text_is_kept(text):
    assert MASKER.mask(text) == text


def test_equal_values_get_one_placeholder_within_a_record():
    value = {
        "question": "06 12 34 56 78 or ada@example.org or 07 11 22 33 44?",
        "answer": ["Call 0612345678.", {"quote": "ADA@example.org"}],
    }
    assert MASKER.mask_all(value) == {
        "question": "[phone-1] or [email-1] or [phone-2]?",
        "answer": ["Call [phone-1].", {"quote": "[email-1]"}],
    }


def test_excluded_keys_and_other_types_are_kept():
    value = {"id": "ada@example.org", "n": 3, "none": None, "ok": True, "deep": [{"id": "ada@example.org"}]}
    assert MASKER.mask_all(value, keep={"id"}) == value
    assert MASKER.mask_all(value)["deep"] == [{"id": "[email-1]"}]


def test_custom_patterns_are_applied_first():
    masker = Masker(kinds=["email"], patterns={"employee": r"EMP-[0-9]{5}", "name": re.compile(r"Dr (?P<value>\w+)")})
    text = "Dr House (EMP-12345, h@example.org, 06 12 34 56 78)"
    assert masker.mask(text) == "Dr [name-1] ([employee-1], [email-1], 06 12 34 56 78)"


def test_pattern_that_matches_the_empty_string():
    assert Masker(patterns={"empty": "x*"}).mask("axxb") == "a[empty-1]b"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kinds": ["fax"]}, "'fax'.*email"),
        ({"patterns": {"Two words": "x"}}, "Two words"),
        ({"patterns": {"odd": "("}}, "'odd'.*not a regular expression"),
    ],
)
def test_invalid_options_are_rejected(options, message):
    with pytest.raises(InvalidInputError, match=message):
        Masker(**options)


WORDS = st.text(alphabet=st.sampled_from("abcdefghij éàç,.;!?'\n"), max_size=60)
DIGITS = st.text(alphabet="0123456789", min_size=8, max_size=8)


# A pattern that goes back over a text of repeated beginnings would take hours.
@pytest.mark.parametrize(
    "beginning",
    [
        *("password ", "password for the ", "secret_", "api-key ", "eyJaaaaaaaaa.x", "FR76 ", "4111 ", "nir 2 55 08 "),
        *("a", "1", "(", ":", "0.0.", "x@", "-----BEGIN PRIVATE KEY-----", "+33(", "gptoss-", "0-"),
    ],
)
def test_long_texts_of_beginnings_are_kept(beginning):
    text = beginning * (100_000 // len(beginning))
    assert MASKER.mask(text) == text


@settings(max_examples=scale(500))
@given(WORDS, WORDS)
def test_text_without_numbers_or_signs_is_kept(before, after):
    assert MASKER.mask(before + after) == before + after


@settings(max_examples=scale(500))
@given(WORDS, DIGITS, st.sampled_from(["", " ", ".", "-", "\u00a0", "\u202f"]), st.sampled_from("1234567"), WORDS)
def test_french_numbers_are_always_masked(before, digits, gap, first, after):
    pairs = [f"0{first}", *(digits[n : n + 2] for n in range(0, 8, 2))]
    number = gap.join(pairs)
    assert number not in MASKER.mask(f"{before} tel {number} {after}")


@settings(max_examples=scale(500))
@given(WORDS, st.from_regex(r"[a-z0-9]{1,12}@[a-z]{2,12}\.(fr|com|org)", fullmatch=True), WORDS)
def test_email_addresses_are_always_masked(before, address, after):
    assert address not in MASKER.mask(f"{before} {address} {after}")


@settings(max_examples=scale(500))
@given(st.integers(min_value=0, max_value=10**21 - 1), st.booleans())
def test_french_ibans_are_always_masked(account, spaced):
    body = f"{account:021d}00"
    check = 98 - int(body + "152700") % 97
    iban = f"FR{check:02d}{body}"
    assert is_iban(iban, "", "")
    written = " ".join(iban[n : n + 4] for n in range(0, 27, 4)) if spaced else iban
    assert MASKER.mask(f"sur {written} svp") == "sur [iban-1] svp"


@settings(max_examples=scale(500))
@given(st.integers(min_value=0, max_value=10**14 - 1))
def test_cards_are_always_masked(number):
    body = f"4{number:014d}"
    card = next(body + digit for digit in "0123456789" if is_card(body + digit, "", ""))
    assert card not in MASKER.mask(f"card {card}.")


@settings(max_examples=scale(500))
@given(st.sampled_from("12"), st.integers(min_value=0, max_value=10**12 - 1))
def test_nirs_are_always_masked(sex, number):
    body = f"{sex}{number:012d}"
    nir = f"{body}{97 - int(body) % 97:02d}"
    assert is_nir(nir, "", "")
    assert nir not in MASKER.mask(f"n° {nir}")


@settings(max_examples=scale(500))
@given(st.text(max_size=200) | st.text(alphabet="0123456789 +-.:@[]/aFR", max_size=120))
def test_masking_twice_changes_nothing(text):
    once = MASKER.mask(text)
    assert MASKER.mask(once) == once
