"""Identifiers that only look like numbers: versions, articles, reference numbers, phone numbers, addresses."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence, Word, split_words
from langchain_gptoss.text.quantities.model import Quantity
from langchain_gptoss.text.quantities.number_words import NUMBER_WORDS, parse_number_words
from langchain_gptoss.text.quantities.units import find_unit, is_plural

_ADDRESS = re.compile(
    r"(?P<url>(?:https?://|www\.)[^\s<>\"]+)|(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]+(?:\.[\w-]+)+)"
    r"|(?P<ip>(?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?:[:/]\d+)?(?![\d.]*\d))"
)
_IBAN = re.compile(r"\b[a-z]{2}\d{2}(?: ?[a-z0-9]{4}){2,7}(?: ?[a-z0-9]{1,3})?\b")
_SIRET = re.compile(r"\b(?:siret|siren)\b[ :n°]*(?P<text>\d{3} ?\d{3} ?\d{3}(?: ?\d{5})?)(?!\d)")
_PHONE = re.compile(
    r"(?<![\w+])(?:(?:\+|00 ?)\d{1,3}[ .-]?(?:\(0\))?[ .-]?\d(?:[ .-]?\d){6,11}|0\d(?:[ .-]?\d{2}){4}"
    r"|0\d{2,4}[ -]\d{3,4}[ -]?\d{3,4}|\(?\d{3}\)?[ .-]\d{3}[.-]\d{4})(?![\w]|[.-]\d)"
)
# Each line: canonical kind, and the words before the number.
_KEYWORDS = {
    word: line.split()[0]
    for line in (
        "article art articles arts",
        "section sect sections §",
        "chapter chapitre chap chapters chapitres ch",
        "page p pp pages",
        "paragraph paragraphe para alinea",
        "annex annexe appendix",
        "clause clauses",
        "figure fig",
        "table tableau",
        "step etape",
        "level niveau lvl",
        "room salle bureau chambre local",
        "gate porte",
        "platform quai voie",
        "line ligne",
        "bus",
        "tram tramway",
        "flight vol",
        "train",
        "number numero n° no nr num #",
        "reference ref references",
        "file dossier",
        "lot",
        "question",
        "rule regle",
        "form formulaire cerfa",
        "zone",
        "isbn",
        "issn",
        "ean",
        "sector secteur",
        "version versions v ver release",
        "model modele",
        "type",
        "class classe",
        "category categorie",
        "phase",
        "iso",
        "iec",
        "en",
        "din",
        "rfc",
        "norm norme standard",
        "law loi",
        "regulation reglement directive",
        "decree decret",
        "building batiment",
        "floor etage",
        "stage",
        "grade echelon",
        "group groupe",
        "box boite casier",
        "port",
        "code",
        "siret siren",
        "pin",
        "error erreur",
        "ticket",
        "order commande",
        "invoice facture",
        "account compte",
        "iban",
        "route road highway",
        "exit sortie",
        "volume vol. tome",
        "edition",
        "item",
        "part partie",
        "unit unite",
        "window fenetre guichet desk counter",
        "channel canal chaine",
        "key touche",
    )
    for word in line.split()
}
_REFERENCE = (
    r"(?:[a-z]{1,3}(?:\. ?|-)?|[lrda] )?\d+(?:[.,/-]\d+)*(?:[ -]?\d+(?:-\d+)*(?=-))?"
    r"(?:[a-z](?![a-z])| (?:bis|ter|quater)\b)?(?:-[a-z0-9]+)*"
)
_AFTER_KEYWORD = re.compile(
    r"\.?(?: ?(?:no\.?|n°|number|numero|nr\.?|:))?[ ]?"
    rf"(?P<text>{_REFERENCE}|[a-z]{{1,4}}-?\d[\w./-]*\w|[a-z]{{1,4}}\d)(?![\w])(?!['%°€$£]|[.,:]\d| \d{{3}}(?!\d))"
)
_SIGN = re.compile(r"§{1,2}|#|(?<!\w)n°s?")
_NUMBER_FIRST = frozenset(
    """step etape phase level niveau platform quai line ligne gate chapter chapitre section article room page group
    groupe zone category categorie class classe question rule regle stage floor part partie""".split()  # noqa: SIM905
)
_KEYWORD_THEN_WORD = re.compile(rf"\b(?P<word>{'|'.join(sorted(_NUMBER_FIRST))}) (?=[a-z])")
_LEGAL = re.compile(r"(?<![\w.])(?P<letter>[lrda])\.? ?\*?(?P<text>\d+(?:-\d+)+|\d{3,4}(?:-\d+)*)(?![\w-])")
_PREFIXED_VERSION = re.compile(r"(?<![\w.])v\.? ?(?P<text>\d+(?:\.\d+)*(?:[a-z]\d*|-[a-z]+[\w.]*)?)(?!\w)")
_DOTTED = re.compile(r"(?<![\d.,\w])\d+(?:\.\d+){2,}(?:[-.]?(?:rc|beta|alpha|b|a|dev|post)\.?\d*)?(?![\d]|[.,]\d)")
_CODE = re.compile(
    r"(?<![\w/.-])(?=[\w./-]*\d)(?=[\w./-]*[a-z])[a-z]+[ ]?(?:[-/.]?[a-z0-9]+)*(?:[-/][a-z0-9]+)*(?!\w)"
    r"|(?<![\w.,])\d+[a-z]+\d[\w-]*(?!\w)|(?<![\w.,-])\d+-[a-z]{1,4}-\d[\w-]*|(?<![\w])\d{1,2}h?/(?:24"
    r"|7)(?:[ ]?(?:and|et)?[ ]?7[ ]?[jd]/7)?(?!\w)|(?<!\w)7j/7"
)
_SPACED_CODE = re.compile(r"(?<![\w-])(?P<letters>[A-Z]{2,5}) (?P<digits>\d{3,}(?:-\d+)*)(?![\w]|[.,]\d)")
_CODE_IN_CAPITALS = re.compile(r"(?<![\w.,-])(?:\d+-[A-Z]{1,4}|\d[DEGPQRSXYZ])(?![\w])")
_POSTCODE = re.compile(r"(?<![\w.,-])\d{5}(?= [A-Z][A-Za-z]{2})")
_HYPHENATED = re.compile(r"(?<![\w.,-])\d+(?:-\d+){2,}(?![\w]|[-.,]\d)")
_RATIO = re.compile(r"(?<![\w.,:/-])(?P<first>\d{1,3})(?P<mark>[:-])(?P<second>\d{1,3})(?![\w:/-]|[.,]\d| ?[%°€$£])")
_CURRENCY_LETTERS = frozenset(
    """eur usd chf gbp jpy inr cad aud cny xof sek nok dkk us fcfa pln mad hkd nzd sfr rs ht ttc
    an""".split()  # noqa: SIM905
)
_NOT_CODES = re.compile(
    r"(?:us|eur|usd|chf|gbp|inr|rs|cad|aud)\d+|co2|h2o|m[23]|[ckdm]m[23]|[qth][1-4]|fy\d+|mp[34]|covid-?19"
    r"|ht|(?:[a-z]+-)?\d+(?:er|e|th|st|nd|rd)|\d+e\d+|(?:l|kwh|g|mg|ml|wh)/\d+|\d*½?"
)
_NAMED_NUMBER = re.compile(
    r"(?<![\w'’.-])(?P<name>[A-Z][A-Za-z]*[a-z]|[A-Z]{2,}) (?P<text>\d+(?:\.\d+)*)(?![\w]|[.,:/-]\d|[%°€$£]| ?[€$£%])"
)


def find_identifiers(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield addresses, phone numbers and references.

    Args:
        sentence: The folded text.
        text: Its lower-case form in which what was found before is blank.
    """
    taken = bytearray(len(text))
    finders = (_find_addresses, _find_references, _find_codes)
    for finder in finders:
        for quantity in finder(sentence, text):
            if not any(taken[quantity.start : quantity.end]):
                taken[quantity.start : quantity.end] = b"\1" * (quantity.end - quantity.start)
                yield quantity


def _find_addresses(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    if "@" in text or "://" in text or "www." in text or text.count(".") >= 3:
        for match in _ADDRESS.finditer(text):
            address = match[0].rstrip(".,;:!?)'»")
            plain = re.sub(r"^https?://|^www\.", "", address.removeprefix("mailto:")).removeprefix("www.").rstrip("/")
            yield _create(match.start(), match.start() + len(address), plain, match.lastgroup or "")
    if not sentence.has_digit:
        return
    for match in _IBAN.finditer(text):
        if sum(map(str.isdigit, match[0])) >= 10:
            yield _create(match.start(), match.end(), match[0].replace(" ", ""), "iban")
    for match in _SIRET.finditer(text):
        yield _create(match.start(), match.end(), match["text"].replace(" ", ""), "siret")
    for match in _PHONE.finditer(text):
        digits = re.sub(r"\D", "", match[0].replace("(0)", ""))
        if match[0].startswith("+"):
            digits = f"+{digits}"
        elif digits.startswith("00"):
            digits = f"+{digits[2:]}"
        yield _create(match.start(), match.end(), digits, "phone")


def _find_references(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    if not sentence.has_digit:
        yield from _find_references_in_words(sentence, text)
        return
    for word in sentence.get_words(text):
        if word.text in _KEYWORDS and text[word.start - 1 : word.start] not in ("-", "_"):
            match = _AFTER_KEYWORD.match(text, word.end)
            is_word = match and match["text"][1:2] == " " and sentence.cased[match.start("text")].islower()
            if match and not is_word and _is_reference(sentence, word, match):
                yield _create(word.start, match.end(), match["text"], _KEYWORDS[word.text])
    for sign in _SIGN.finditer(text):
        match = _AFTER_KEYWORD.match(text, sign.end())
        if match:
            yield _create(sign.start(), match.end(), match["text"], "section" if sign[0][0] == "§" else "number")
    yield from _find_references_in_words(sentence, text)
    yield from _find_versions(sentence, text)


def _find_references_in_words(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield "article twelve"."""
    if not (sentence.vocabulary & _NUMBER_FIRST and sentence.vocabulary & NUMBER_WORDS):
        return
    for match in _KEYWORD_THEN_WORD.finditer(text):
        words = split_words(text[match.end() : match.end() + 40])
        if words and words[0].text in NUMBER_WORDS:
            phrase = parse_number_words(text[match.end() :], words, 0)
            if phrase is not None and not phrase.is_ordinal and phrase.value.denominator == 1:
                end = match.end() + words[phrase.last].end
                following = re.match(r" ?([a-z%]+)", text[end : end + 15])
                if not following or find_unit(following[1]) is None:
                    yield _create(match.start(), end, str(phrase.value), _KEYWORDS[match["word"]])


def _find_versions(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    """Yield articles without the word, versions with a "v", and numbers with several points."""
    for match in _LEGAL.finditer(text):
        if sentence.cased[match.start()].isupper():
            yield _create(match.start(), match.end(), match["letter"] + match["text"], "article")
    for match in _PREFIXED_VERSION.finditer(text):
        yield _create(match.start(), match.end(), match["text"], "version")
    for match in _DOTTED.finditer(text):
        groups = match[0].split(".")
        if not all(len(group) == 3 for group in groups[1:]) or len(groups[0]) > 3:
            yield _create(match.start(), match.end(), match[0], "version")


def _is_reference(sentence: FoldedSentence, word: Word, match: re.Match[str]) -> bool:
    """Return True if a word before a number makes it a reference: "no. 5", but not "no 5" and "en 2024"."""
    after, following = sentence.text[match.end() : match.end() + 20], sentence.text[word.end : word.end + 1]
    if word.text in ("no", "nr", "num", "vol") and following != ".":
        return word.text == "no" and sentence.main_language == "fr"
    if word.text in ("en", "iec", "din", "iso"):
        return sentence.cased[word.start : word.end].isupper()
    if word.text in ("v", "p", "ch", "pp", "chap", "sect") and following == " ":
        return False
    if word.text in _VERBS and not re.search(r"n°|no|num|[:#]", sentence.text[word.end : match.start("text")]):
        return False
    if word.text in _WEAK_KEYWORDS and match["text"].isdigit():
        noun = _NOUN.match(after)
        is_counted = noun is not None and (is_plural(noun[1]) or find_unit(noun[1]) is not None)
        return not _MEASURE.match(after) and not is_counted
    return not _STRONG_MEASURE.match(after)


_NOUN = re.compile(r" ([a-z]+)")
_MEASURE = re.compile(r" ?(?:€|\$|£|%|euros?|days?|jours?|francs?|km|kg|m\b|h\b|ans?\b)")
_STRONG_MEASURE = re.compile(r" ?(?:€|\$|£|%|‰|euros?\b|jours?\b|days?\b|personnes?\b|people\b|k€)")
_VERBS = frozenset({"compte", "commande", "porte", "part", "local", "order", "forme"})  # "compte 23 élus"
_WEAK_KEYWORDS = frozenset(
    "order commande account compte file ticket unit unite part partie code port type key porte".split()  # noqa: SIM905
)


def _find_codes(sentence: FoldedSentence, text: str) -> Iterator[Quantity]:
    if not sentence.has_digit:
        return
    for match in _CODE.finditer(text):
        code = match[0]
        if " " in code:
            continue
        if not _NOT_CODES.fullmatch(code) and not _is_word_with_power(code):
            yield _create(match.start(), match.end(), code, "")
    for match in _SPACED_CODE.finditer(sentence.cased):
        if match["letters"].lower() not in _CURRENCY_LETTERS and not text[match.start() : match.end()].count("\0"):
            yield _create(match.start(), match.end(), match[0].lower(), "")

    for match in _CODE_IN_CAPITALS.finditer(sentence.cased):
        if "\0" not in text[match.start() : match.end()]:
            yield _create(match.start(), match.end(), match[0].lower(), "")
    for match in _HYPHENATED.finditer(text):
        yield _create(match.start(), match.end(), match[0], "")
    for match in _POSTCODE.finditer(sentence.cased):
        if "\0" not in text[match.start() : match.end()]:
            yield _create(match.start(), match.end(), match[0], "")
    for match in _RATIO.finditer(text):
        if match["mark"] == ":" or int(match["first"]) >= int(match["second"]):
            yield _create(match.start(), match.end(), f"{match['first']}{match['mark']}{match['second']}", "ratio")


def _is_word_with_power(code: str) -> bool:
    return bool(re.fullmatch(r"[a-z]{3,}\d", code))  # a word with the mark of a footnote


def find_named_numbers(sentence: FoldedSentence, text: str, is_name: frozenset[str]) -> Iterator[Quantity]:
    """Yield numbers that belong to a name: "Python 3.10", "Windows 11".

    Args:
        sentence: The folded text.
        text: Its lower-case form in which what was found before is blank.
        is_name: Capitalized words in lower case that are no names.
    """
    for match in _NAMED_NUMBER.finditer(sentence.cased) if sentence.has_digit else ():
        name = match["name"].lower()
        is_blank = "\0" in text[match.start() : match.end()]
        is_word = name in is_name or name in _CURRENCY_LETTERS
        if is_blank or is_word or _is_sentence_start(sentence.cased, match.start()):
            continue
        yield _create(match.start("text"), match.end(), match["text"], name)


def _is_sentence_start(text: str, position: int) -> bool:
    before = text[:position].rstrip(" \"'«([*-•")
    return not before or before[-1] in ".!?:;\n|"


def _create(start: int, end: int, text: str, unit: str) -> Quantity:
    canonical = text if unit in ("url", "email", "ip") else canonicalize_identifier(text)
    value = Fraction(int(canonical)) if canonical.isdecimal() and len(canonical) < 20 else None
    return Quantity(start=start, end=end, kind="identifier", low=value, high=value, unit=unit, identifier=canonical)


REFERENCE_KINDS = frozenset(_KEYWORDS.values())
"""Kinds of references that have their own words; any other unit of an identifier is a name."""


def canonicalize_identifier(text: str) -> str:
    """Return an identifier in lower case, without separators between letters and digits: "FX-2207" is "fx2207"."""
    text = re.sub(r"\s+", " ", text.lower()).strip()
    text = re.sub(r"(?<=[a-z])[. -]+(?=\d)|(?<=\d)[ -]+(?=[a-z])|(?<=[a-z])[ .-]+(?=[a-z])", "", text)
    return re.sub(r"(?<=\d)[ /-]+(?=\d)", "-", text)
