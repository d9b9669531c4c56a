"""Whether a number is what it looks like: checksums, and the words around it.

Each check gets the number, what stands before it and what stands after it. Sources: ISO 13616 (IBAN), ISO/IEC 7812-1
(Luhn, card prefixes), INSEE (the NIR's key), ITU-T E.164 (phone numbers).
"""

import ipaddress
import re

_NOT_ALPHANUMERIC = re.compile(r"[^0-9A-Za-z]")
_NOT_A_DIGIT = re.compile(r"[^0-9]")
_LONGEST_IBAN = 34
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
# Words after which digits number a thing and call nobody.
_NUMBERED = re.compile(
    r"(?i)(?:\b(?:command\w*|orders?|réf\w*|ref\w*|dossier|case|facture|invoice|tickets?|contrat|contract|colis|parcel"
    r"|suivi|tracking|bon|lot|batch|isbn|issn|ean|siren|siret|rcs|article|art\.?|devis|quote|série|serial)\b"
    r"[\s\w.]{0,14}(?:n[°ºo]\.?|#|:|number|numéro|is|est)?\s{0,2}|[#№]\s?)$"
)
_QUANTITY = re.compile(
    r"(?i)\s{0,2}(?:%|€|\$|£|euros?\b|eur\b|usd\b|gbp\b|dollars?\b|pounds?\b|millions?\b|milliards?\b|billions?\b|k€|m€"
    r"|habitants?\b|inhabitants?\b|people\b|personnes?\b|km\b|kg\b|tonnes?\b|tokens?\b|units?\b|unités?\b|octets?\b"
    r"|bytes?\b)"
)
_THOUSANDS = re.compile(r"(?:\+|00)[0-9]{1,3}(?:[ .\u00a0\u202f][0-9]{3})+")
_OUTLINE = re.compile(
    r"(?i)(?:\b(?:v|ver|version|release|article|art|section|sect|chapter|chapitre|clause|point|paragraphe?|annexe?|appendix"
    r"|table|tableau|figure|fig|firmware|build|oid|step|étape)\.?|§)\s{0,2}(?:n[°º]\s?)?$"
)


def _luhn(digits: str) -> bool:
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (1 + place % 2)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def is_card(found: str, before: str, after: str) -> bool:
    """A payment card of a known network, with a right check digit."""
    digits = _NOT_A_DIGIT.sub("", found)
    return bool(_CARDS.fullmatch(digits)) and _luhn(digits) and not _NUMBERED.search(before)


def iban_in(found: str) -> str:
    """Returns the part of a match that is as long as an IBAN of its country; empty where there is none."""
    length, characters = _IBAN_LENGTHS.get(found[:2].upper(), _LONGEST_IBAN), 0
    for place, character in enumerate(found):
        characters += character.isalnum()
        if characters == length:
            return found[: place + 1]
    return ""


def is_iban(found: str, before: str, after: str) -> bool:
    """An IBAN of a country that has them, with right check digits."""
    characters = _NOT_ALPHANUMERIC.sub("", found).upper()
    if len(characters) != _IBAN_LENGTHS.get(characters[:2]) or after[:1].isalnum():
        return False
    return int("".join(str(int(character, 36)) for character in characters[4:] + characters[:4])) % 97 == 1


def is_nir(found: str, before: str, after: str) -> bool:
    """A French social security number with its right key; Corsica's letters stand for 19 and 18."""
    characters = _NOT_ALPHANUMERIC.sub("", found).upper()
    number = characters[:13].replace("2A", "19").replace("2B", "18")
    return number.isdecimal() and 97 - int(number) % 97 == int(characters[13:])


def is_phone(found: str, before: str, after: str) -> bool:
    """A phone number, and neither an amount nor the number of an order."""
    digits = _NOT_A_DIGIT.sub("", found)
    if _QUANTITY.match(after) or not 8 <= len(digits.removeprefix("00")) <= 15:
        return False
    if found.startswith("00") and not found.startswith("0033") and len(digits) < 11:
        return False
    if _THOUSANDS.fullmatch(found) and len(digits.removeprefix("00")) < 11:
        return False
    return found != digits or not _NUMBERED.search(before)


def is_ipv4(found: str, before: str, after: str) -> bool:
    """An address of a machine; a version, the number of a heading, and this machine's own are not."""
    try:
        address = ipaddress.IPv4Address(found)
    except ValueError:
        return False
    small = all(part < 10 for part in address.packed)
    return not (small or address.is_loopback or address.is_unspecified or _OUTLINE.search(before))


def is_ipv6(found: str, before: str, after: str) -> bool:
    """An address of a machine, and no time of the day or name in a program."""
    try:
        address = ipaddress.IPv6Address(found)
    except ValueError:
        return False
    written = found.replace(":", "")
    return len(written) >= 4 and not written.isalpha() and not (address.is_loopback or address.is_unspecified)
