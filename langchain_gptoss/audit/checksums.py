"""Checks that a match of a pattern is real personal data: checksums, lengths, and the words around it.

Each check takes the match, the text before it and the text after it. Sources: ISO 13616 (IBAN), ISO/IEC 7812-1 (Luhn,
card prefixes), INSEE (key of the NIR).
"""

import ipaddress
import re

from langchain_gptoss.audit.phone_numbers import NUMBERED_THING

_NOT_ALPHANUMERIC = re.compile(r"[^0-9A-Za-z]")
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_NOT_IN_NIR = re.compile(r"[^0-9AB]")
_DECIMAL_POINT = re.compile(r"(?<![0-9])0,$")
MAX_IBAN_LENGTH = 34
# Lengths by country, from the SWIFT registry.
_IBAN_LENGTHS = {
    country: length
    for length, countries in {
        15: "NO",
        16: "BE",
        18: "DK FI FK FO GL NL SD",
        19: "MK SI",
        20: "AT BA EE KZ LT LU MN XK",
        21: "CH HR LI LV",
        22: "BG BH CR DE GB GE IE ME RS VA",
        23: "AE GI IL IQ OM SO TL",
        24: "AD CZ ES MD PK RO SA SE SK TN VG",
        25: "LY PT ST",
        26: "IS TR",
        27: "BI DJ FR GR IT MC MR SM",
        28: "AL AZ BY CY DO GT HU LB NI PL SV",
        29: "BR EG PS QA UA",
        30: "JO KW MU YE",
        31: "MT SC",
        32: "LC",
        33: "RU",
    }.items()
    for country in countries.split()
}
_CARDS = re.compile(
    r"(?:4[0-9]{15}|5[1-5][0-9]{14}|2(?:22[1-9]|2[3-9][0-9]|[3-6][0-9]{2}|7[01][0-9]|720)[0-9]{12}"
    r"|3[47][0-9]{13}|6(?:011|5[0-9]{2}|4[4-9][0-9])[0-9]{12}|35(?:2[89]|[3-8][0-9])[0-9]{12})"
)
_OUTLINE = re.compile(
    r"(?i)(?:\b(?:v|ver|version|release|article|art|section|sect|chapter|chapitre|clause|point|paragraphe?|annexe?|appendix"
    r"|table|tableau|figure|fig|firmware|build|oid|step|étape)\.?|§)\s{0,2}(?:n[°º]\s?)?$"
)


def _has_luhn_digit(digits: str) -> bool:
    total = 0
    for position, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + position % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(match: str, before: str, after: str) -> bool:
    """Return True for a payment card of a known network with a valid check digit."""
    digits = _NOT_A_DIGIT.sub("", match)
    return (
        bool(_CARDS.fullmatch(digits))
        and _has_luhn_digit(digits)
        and not (NUMBERED_THING.search(before) or _DECIMAL_POINT.search(before))
    )


def cut_iban(match: str) -> str:
    """Return the start of a match that is as long as an IBAN of its country; empty if the match is shorter."""
    length, characters = _IBAN_LENGTHS.get(match[:2].upper(), MAX_IBAN_LENGTH), 0
    for position, character in enumerate(match):
        characters += character.isalnum()
        if characters == length:
            return match[: position + 1]
    return ""


def is_iban(match: str, before: str, after: str) -> bool:
    """Return True for an IBAN of a known country with valid check digits."""
    characters = _NOT_ALPHANUMERIC.sub("", match).upper()
    if len(characters) != _IBAN_LENGTHS.get(characters[:2]) or after[:1].isalnum():
        return False
    return int("".join(str(int(character, 36)) for character in characters[4:] + characters[:4])) % 97 == 1


def is_nir(match: str, before: str, after: str) -> bool:
    """Return True for a French social security number with a valid key; the letters of Corsica count as 19 and 18."""
    characters = _NOT_IN_NIR.sub("", match.upper())
    number = characters[:13].replace("2A", "19").replace("2B", "18")
    return number.isdecimal() and 97 - int(number) % 97 == int(characters[13:])


def is_ipv4(match: str, before: str, after: str) -> bool:
    """Return True for an address of another machine, and False for versions and numbers of headings."""
    try:
        address = ipaddress.IPv4Address(match)
    except ValueError:
        return False
    has_small_parts = all(part < 10 for part in address.packed)
    return not (has_small_parts or address.is_loopback or address.is_unspecified or _OUTLINE.search(before))


def is_ipv6(match: str, before: str, after: str) -> bool:
    """Return True for an address of another machine, and False for times and names in programs."""
    try:
        address = ipaddress.IPv6Address(match)
    except ValueError:
        return False
    digits = match.replace(":", "")
    return len(digits) >= 4 and not digits.isalpha() and not (address.is_loopback or address.is_unspecified)
