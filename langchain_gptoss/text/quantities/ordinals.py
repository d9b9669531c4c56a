"""Ordinals with their nouns: the second floor, le 3e étage."""

from __future__ import annotations

import re
from fractions import Fraction

from langchain_gptoss.text.quantities.folding import FoldedSentence
from langchain_gptoss.text.quantities.model import Quantity, create_amount
from langchain_gptoss.text.quantities.units import FUNCTION, UNITS, find_unit, get_singular

_NOUN = re.compile(r"[ -](?P<word>[a-z][a-z'-]*)")
_DETERMINER = re.compile(
    r"(?:\b(?:the|le|la|les|au|aux|du|des|de|un|une|his|her|its|their|my|our|your|son|sa|ses|leur|notre|votre|this|that"
    r"|ce|cet|cette|in|on|came|finished|placed|ranked|termine|arrive) |'s |l')$"
)


def is_ordinal(text: str, start: int, end: int, word: str) -> bool:
    """Return True for "the second floor"; "First," begins a list and "a second" is a duration.

    Args:
        text: The folded text in lower case.
        start: Start of the word.
        end: Its end.
        word: Its first part.
    """
    before, after = text[max(0, start - 12) : start], text[end : end + 12]
    if text[start - 1 : start] == "-" or re.match(r"[ -]?(?:ly|hand|aid)\b", after):
        return False
    if word == "seconde":
        following = re.match(r" ([a-z]+)", after)
        return bool(re.search(r"\b(?:la|une|sa|cette|leur) $", before) and following and following[1] not in FUNCTION)
    if word in ("second", "first", "third", "premier", "premiere"):
        has_determiner = bool(_DETERMINER.search(before))
        if word == "second" and re.search(r"\b(?:a|per|each|every) $", before):
            return False
        return (
            (has_determiner or word.startswith("premier"))
            and not re.match(r"\s*(?:,|-ministre| ministre| of all|ly)", after)
        ) or bool(re.match(r" (?:floor|place|edition|class|time|year|day|etage|fois|edition|rang)", after))
    return True


def create_ordinal(sentence: FoldedSentence, text: str, start: int, end: int, value: Fraction) -> Quantity:
    """Return an ordinal with the noun that it orders: "the 2nd floor"."""
    noun = _NOUN.match(text, end)
    unit = ""
    if noun and noun["word"] not in FUNCTION:
        unit = find_unit(noun["word"]) or get_singular(noun["word"])
    return create_amount(
        start, end, value, kind="ordinal", unit=unit, noun=unit not in UNITS, language=sentence.main_language
    )
