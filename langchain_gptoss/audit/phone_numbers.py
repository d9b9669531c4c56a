"""Recognition of phone numbers: French, British and American forms, and international numbers with + or 00.

The forms follow ITU-T E.123 and E.164, and the national numbering plans (ARCEP, Ofcom, NANPA). A number that starts
with 08 in France is that of a service, not of a person. Digits without gaps that a national plan alone does not tell
from the number of a thing are a phone number only where the text says so ("tel: 4155552671").
"""

import re

_SPACE = "[ \u00a0\u202f]"
_GAP = "[ .\u00a0\u202f\u2010-\u2013-]"
_PAIR_GAP = f"(?:{_SPACE}{{0,2}}[./_\u2010-\u2013-]?{_SPACE}{{0,2}})"
_COUNTRY = r"(?:(?:\+|00{space}?){code}|\((?:\+|00){code}\))"
_FRANCE, _BRITAIN, _AMERICA = (_COUNTRY.format(space=_SPACE, code=code) for code in ("33", "44", "1"))

# Equal gaps between the pairs: otherwise "01.02.2024 10:30" would be a number.
_FRENCH_FORMS = (
    rf"(?:{_FRANCE}{_GAP}{{0,2}}(?:\(0\){_GAP}?)?[1-79]|33{_GAP}[67]|\(0[1-79]\)|0[1-79])"
    rf"(?P<pairs>{_PAIR_GAP})[0-9]{{2}}(?:(?P=pairs)[0-9]{{2}}){{3}}",
    rf"(?:{_FRANCE}{_GAP}{{0,2}}(?:\(0\){_GAP}?)?[1-79]|0[1-79]){_GAP}?[0-9]{{2}}(?P<late>{_GAP}?)"
    r"[0-9]{2}(?:(?P=late)[0-9]{2}){2}",
    rf"(?:{_FRANCE}{_GAP}{{0,2}}(?:\(0\){_GAP}?)?[1-79]|0[1-79])(?:{_GAP}?[0-9]{{2}}(?P<triples>{_GAP})[0-9]{{3}}"
    rf"(?P=triples)[0-9]{{3}}|{_GAP}[0-9]{{4}}{_GAP}[0-9]{{4}}|{_GAP}[0-9]{{3}}{_GAP}[0-9]{{3}}{_GAP}[0-9]{{2}})",
)
_BRITISH_FORMS = (
    rf"{_BRITAIN}{_GAP}{{0,2}}(?:\(0\){_GAP}?)?(?:{_GAP}?[0-9]){{10}}",
    rf"0[1237][0-9]{{3}}{_GAP}?[0-9]{{3}}{_GAP}?[0-9]{{3}}",
    rf"0[1237][0-9]{{2}}{_GAP}[0-9]{{3}}{_GAP}[0-9]{{4}}",
    rf"0[1237][0-9]{_GAP}[0-9]{{4}}{_GAP}?[0-9]{{4}}",
    rf"01[0-9]{{3}}{_GAP}[0-9]{{5}}",
    rf"\(0[1237][0-9]{{1,3}}\){_GAP}?(?:[0-9]{{3,4}}{_GAP}?[0-9]{{3,4}})",
)
_AMERICAN_FORMS = (
    rf"{_AMERICA}(?:[ ./()\u00a0\u202f\u2010-\u2013-]{{0,2}}[0-9]){{10}}",
    rf"(?:1{_GAP}?)?\([2-9][0-9]{{2}}\){_GAP}?[2-9][0-9]{{2}}{_GAP}?[0-9]{{4}}",
    rf"(?:1(?P<long>{_GAP})(?=[0-9]{{3}}(?P=long)))?[2-9][0-9]{{2}}(?P<area>{_GAP})[2-9][0-9]{{2}}(?P=area)[0-9]{{4}}",
    r"[2-9][0-9]{2}/[2-9][0-9]{2}-[0-9]{4}",
)
_OTHER_FORMS = (
    r"(?:\+[1-9]|00 ?[1-9])(?:[ ./()\u00a0\u202f\u2010-\u2013-]{0,2}[0-9]){7,14}",
    r"\((?:\+|00)[1-9][0-9]{0,2}\)(?:[ ./()\u00a0\u202f\u2010-\u2013-]{0,2}[0-9]){6,12}",
)
PHONE = (
    r"(?<![\w+])(?=[+(0-9])(?:"
    + "|".join((*_FRENCH_FORMS, *_BRITISH_FORMS, *_AMERICAN_FORMS, *_OTHER_FORMS))
    + r")(?!\w)"
)
_FORM = re.compile(PHONE)
_STRONG_FORM = re.compile("|".join(_FRENCH_FORMS))

_WORDS = (
    r"(?:t[ée]l(?:[ée]ph(?:one)?)?|tph|(?:tele|cell|smart)?phone|mobile|cell|portable|port|gsm|fax|whats ?app|sms"
    r"|signal|ligne directe|direct line)s?"
)
_CALLS = (
    r"(?:(?:call|text|ring|reach|phone)(?:ing)?(?: (?:me|us|him|her|them))? (?:at|on)"
    r"|(?:appel\w+|joi\w+|contact\w+|rappel\w+)(?:[ -](?:moi|nous|le|la))? (?:au|sur le))"
)
ANNOUNCED_PHONE = (
    rf"(?i:(?<!\w)(?:{_WORDS}\.?(?:{_SPACE}?(?:number|num|no|nr|num[ée]ro|n[°º])\.?)?{_SPACE}{{0,2}}(?:is\b|est\b|[:=])?"
    rf"|{_CALLS}){_SPACE}{{0,2}})"
    r"(?P<value>\+?\(?[0-9](?:[ ./()\u00a0\u202f\u2010-\u2013-]{0,2}[0-9]){6,14})(?![\w%€$£]|[,:][0-9])"
)
PHONE_HINTS = (
    *("tel", "tél", "phone", "tph", "mobile", "cell", "port", "gsm", "fax", "whats", "sms", "signal", "direct"),
    *("call", "text", "ring", "reach", "appel", "joi", "contact"),
)
_PHONE_WORD = re.compile(rf"(?i)(?<!\w)(?:{_WORDS}|{_CALLS})\b[^\w\n]{{0,4}}(?:\w+[^\w\n]{{1,3}}){{0,2}}$")
_ABBREVIATION = re.compile(rf"(?i)(?<!\w){_WORDS}[./-]$")

_NOT_A_DIGIT = re.compile(r"[^0-9]")
# Words after which digits are the number of a thing, not a phone number.
NUMBERED_THING = re.compile(
    r"(?i)(?:\b(?:command\w*|orders?|réf\w*|ref\w*|dossier|case|facture|invoice|tickets?|contrat|contract|colis|parcel"
    r"|suivi|tracking|bon|lot|batch|isbn|issn|ean|gtin|upc|siren|siret|rcs|article|art\.?|devis|quote|série|serial|sku"
    r"|produit|product|pièce|part|item|modèle|model|code[- ]barres?|barcode|client|customer|compte|account|dossiers?"
    r"|police|policy|version|build|tva|vat)\b"
    r"[\s\w.]{0,14}(?:n[°ºo]\.?|#|:|number|numéro|is|est)?\s{0,2}|[#№]\s?)$"
)
_QUANTITY = re.compile(
    r"(?i)\s{0,2}(?:%|€|\$|£|euros?\b|eur\b|usd\b|gbp\b|dollars?\b|pounds?\b|millions?\b|milliards?\b|billions?\b|k€|m€"
    r"|habitants?\b|inhabitants?\b|people\b|personnes?\b|km\b|kg\b|tonnes?\b|tokens?\b|units?\b|unités?\b|octets?\b"
    r"|bytes?\b|users?\b|utilisateurs?\b|clients?\b|customers?\b|abonnés?\b)"
)
_THOUSANDS = re.compile(r"(?:\+|00)[0-9]{1,3}(?:[ .\u00a0\u202f][0-9]{3})+")
_DECIMALS = re.compile(r",[0-9]{1,2}(?![0-9 .-])")
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}[ ./-][0-9]{1,2}[ ./-][0-9]{1,2}\b|[0-9]{1,2}[ ./-][0-9]{1,2}[ ./-](?:19|20)[0-9]{2}\b"
)
_SIGNS = ".,/_-"


def is_phone(match: str, before: str, after: str) -> bool:
    """Return True for a phone number that is neither an amount nor the number of an order.

    Args:
        match: A match of `PHONE`.
        before: The text before it, in which earlier numbers are masked: a list of numbers has no gaps.
        after: The text after it.
    """
    digits = _NOT_A_DIGIT.sub("", match)
    if _QUANTITY.match(after) or not 8 <= len(digits.removeprefix("00")) <= 15:
        return False
    if _is_end_of_longer(match, before) or _is_start_of_longer(match, after):
        return False
    if match.startswith("00") and not match.startswith("0033") and len(digits) < 11:
        return False
    if _THOUSANDS.fullmatch(match) and (len(digits.removeprefix("00")) < 11 or _DECIMALS.match(after)):
        return False
    is_strong = match.startswith(("+", "(+")) or (match != digits and _STRONG_FORM.fullmatch(match) is not None)
    return is_strong or _PHONE_WORD.search(before) is not None or not NUMBERED_THING.search(before)


def is_announced_phone(match: str, before: str, after: str) -> bool:
    """Return True for digits that a word announces as a phone number, except numbers of services and dates.

    Args:
        match: The value of a match of `ANNOUNCED_PHONE`.
        before: The text before it.
        after: The text after it.
    """
    digits = _NOT_A_DIGIT.sub("", match)
    is_service = digits.startswith("08") or (digits.startswith("8") and match[:1] != "+")
    return not (is_service or _DATE.match(match) or _QUANTITY.match(after))


def _is_end_of_longer(match: str, before: str) -> bool:
    """Return True if the match is the end of a longer number or of a reference such as `INV-0612345678`."""
    sign, previous = before[-1:], before[-2:-1]
    if sign in {" ", "\u00a0"} and previous.isdecimal() and (match[:2] == "00" or match[:1] in "123456789"):
        return _is_plain_group(match, sign)
    if not sign or sign not in _SIGNS or not (previous.isdecimal() if sign == "," else previous.isalnum()):
        return False
    return (match.isdecimal() or sign in match) and not _ABBREVIATION.search(before)


def _is_start_of_longer(match: str, after: str) -> bool:
    """Return True if the match is the start of a longer number; a list of phone numbers is none."""
    sign, following = after[:1], after[1:2]
    if sign in {" ", "\u00a0"} and following.isdecimal() and match[:1] in "123456789" and _is_plain_group(match, sign):
        return not _FORM.match(after[1:])
    if not sign or sign not in _SIGNS or not following.isdecimal():
        return False
    if sign == "," and match[:1] in "+0(":
        return False
    return (match.isdecimal() or sign in match or sign == ",") and not _FORM.match(after[1:])


def _is_plain_group(match: str, sign: str) -> bool:
    """Return True for digits in groups, which may be a part of a longer number with the same gap."""
    return sign in match and match.replace(sign, "").isdecimal()
