"""Superscripts, subscripts and note marks in plain text.

Without their position they change what a text says: 10⁴ becomes 104, and a note mark the last digit of a price. After a
digit they are written with a caret, 10^4, because searches and checks read 10⁴ in compatibility form, as 104.
"""

import re

_SUPERSCRIPTS = dict(zip("0123456789+-−()=ni", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁽⁾⁼ⁿⁱ", strict=True))
_SUBSCRIPTS = dict(zip("0123456789+-−()=", "₀₁₂₃₄₅₆₇₈₉₊₋₋₍₎₌", strict=True))
_POWER_SIGNS = frozenset("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻ⁿⁱ")

_TRADE_MARKS = {"tm": "™", "mc": "ᴹᶜ", "sm": "℠"}
_ORDINAL = re.compile(
    r"(?:st|nd|rd|th|e|er|re|ers|res|es|ère|ères|eme|emes|ème|èmes|ième|ièmes|d|de|nde|ds|des|o|os|a|as|bis|ter|quater)",
    re.IGNORECASE,
)
# The beginning of an abbreviation and its raised end: Mᵐᵉ, Dʳ, Sᵗ, Cⁱᵉ, Nᵒ.
_ABBREVIATION = re.compile(
    r"(?:[MV](?:me|mes|lle|lles|e|es|gr|r|rs|s|ve)|D(?:r|rs|re)|P(?:r|rs|re)|S(?:t|te|ts|tes)|C(?:ie|ies)|B(?:d)|É?(?:ts)"
    r"|[Vv](?:o|ve)|[Ff](?:o|os)|[Rr](?:o|os))"
)
_NUMERO = re.compile(r"(?:^|[^\w])([nN])$")
_ROMAN = re.compile(r"(?:^|[^\w])[IVXLCDM]+$", re.IGNORECASE)
_NOTE_MARK = re.compile(r"\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*|[a-z]|[ivx]{2,4}")
_BRACKETED = re.compile(r"[(\[].{0,12}[)\]]")
_SYMBOLS = re.compile(r"[*†‡§¶°º′″'’\"®©™#]+")
_LAST_WORD = re.compile(r"[^\W\d_]+$")
_UNIT = re.compile(
    r"[cdhkmµnMG]?(?:m|g|s|W|Hz|J|N|Pa|V|A|L|l)|da[mg]|ft|in|yd|sec|min|mol|rad|px|sin|cos|tan|log|ln|exp|chi"
    r"|(?:centi|milli|déci|deci|kilo)?m[eè]t(?:re|er)s?|feet|foot|pieds?|pouces?|inch(?:es)?|yards?|miles?|secondes?|seconds?"
)
_PRICE_BEFORE = re.compile(r"[$€£]\s?\d{1,6}$")
_CURRENCY_BEFORE = re.compile(r"\d\s?[$€£]$")
_CENTS = re.compile(r"\d\d")
_COLUMN = re.compile(r"(?<=\d)[ \t]*\t[ \t]*(?=\d)")
_CURRENCY_AFTER = re.compile(r"\s*(?:[$€£]|EUR\b|USD\b|CHF\b)")


def separate_columns(text: str) -> str:
    """Return text with ";" for a tab between two figures, which would read as the space within one number."""
    return _COLUMN.sub("; ", text)


def format_superscript(text: str, before: str, after: str = "") -> str:
    """Return the plain form of a superscript, which is appended to the text before it.

    Args:
        text: The text of the superscript.
        before: The text before it in the same paragraph.
        after: The text that follows.
    """
    text = " ".join(text.split())
    if not text:
        return ""
    if text.lower() in _TRADE_MARKS and before[-1:].isalpha():
        return _TRADE_MARKS[text.lower()]
    if (letters := _join_letters(text, before)) is not None:
        return letters
    if _BRACKETED.fullmatch(text):
        return format_note_mark(text, before)
    if _SYMBOLS.fullmatch(text) or not before or text[0] in "™®":
        return text if before else format_note_mark(text, before)
    if _CENTS.fullmatch(text) and (cents := _join_cents(text, before, after)):
        return cents
    if _NOTE_MARK.fullmatch(text) and _can_take_note(before):
        return format_note_mark(text, before)
    return _format_power(text, before)


def format_note_mark(mark: str, before: str) -> str:
    """Return the mark of a footnote in brackets, set apart from the word or number before it."""
    mark = " ".join(mark.split())
    if not mark:
        return ""
    if not _BRACKETED.fullmatch(mark):
        mark = f"[{mark}]"
    return f" {mark}" if before[-1:].isalnum() or before[-1:] in tuple("%$€£°)]") else mark


def format_subscript(text: str, before: str) -> str:
    """Return the plain form of a subscript, which is appended to the text before it."""
    text = " ".join(text.split())
    if not text or not before or before[-1].isspace():
        return text
    if before[-1].isdigit():
        return f"_{text}" if len(text) == 1 or text.isalnum() else f"_({text})"
    if all(character in _SUBSCRIPTS for character in text):
        return "".join(_SUBSCRIPTS[character] for character in text)
    return f"_{text}" if text.isalnum() else f"_({text})"


def _join_letters(text: str, before: str) -> str | None:
    """Return the raised letters of an ordinal or abbreviation, None if the superscript is neither."""
    if not text.rstrip(".").isalpha():
        return None
    if _NUMERO.search(before) and text.lower() in ("o", "os"):
        return "°" if text.lower() == "o" else "°s"  # "no" and "nos" would be other words
    is_number = before[-1:].isdigit() or before[-1:] in _POWER_SIGNS or _ROMAN.search(before) is not None
    if is_number and _ORDINAL.fullmatch(text):
        return "°" if text.lower() == "o" else text
    word = _LAST_WORD.search(before)
    return text if word and _ABBREVIATION.fullmatch(word[0] + text.rstrip(".")) else None


def _join_cents(text: str, before: str, after: str) -> str:
    if _CURRENCY_BEFORE.search(before):
        return text
    if _PRICE_BEFORE.search(before):
        return f".{text}"
    if before[-1:].isdigit() and _CURRENCY_AFTER.match(after):
        return f",{text}"
    return ""


def _can_take_note(before: str) -> bool:
    """Return True if a raised number marks a note: after a word that is no unit, punctuation, or a currency sign."""
    if before[-1:].isspace() or before[-1] in ".,;:!?…»”\"'’%$€£°]":
        return True
    word = _LAST_WORD.search(before)
    return word is not None and len(word[0]) > 1 and not _UNIT.fullmatch(word[0])


def _format_power(text: str, before: str) -> str:
    if not before[-1:].isdigit() and all(character in _SUPERSCRIPTS for character in text):
        return "".join(_SUPERSCRIPTS[character] for character in text)
    plain = text.replace("−", "-")
    return f"^{plain}" if re.fullmatch(r"[-+]?\w+", plain) else f"^({plain})"
